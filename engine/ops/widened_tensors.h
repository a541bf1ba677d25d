// Like widened.h, for operators with several outputs.
#pragma once

#include "engine/core/tensor.h"
#include "engine/ops/cast.h"

namespace plica {

// What a floating-point type is computed in: float for 16-bit types, else itself.
inline DataType widened_type(DataType type) {
  return type == DataType::float16 || type == DataType::bfloat16 ? DataType::float32 : type;
}

// An input in the type that it is computed in; null stays undefined.
inline Tensor widened_input(const Tensor* input) {
  return input ? cast_tensor(*input, widened_type(input->type())) : Tensor();
}

// Memory for an output in the type that it is computed in: the output's own where that is the same.
class WidenedOutput {
 public:
  explicit WidenedOutput(Tensor& output) : output_(&output) {
    const DataType wide = widened_type(output.type());
    values_ = wide == output.type() ? output : Tensor(wide, output.dims());
  }
  Tensor& values() { return values_; }
  // Rounds into the output.
  void finish() {
    if (values_.type() != output_->type()) cast_elements(values_, *output_);
  }

 private:
  Tensor* output_;
  Tensor values_;
};

}  // namespace plica
