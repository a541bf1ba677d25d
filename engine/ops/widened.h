// For kernels that compute in float or double: 16-bit floats are widened to float32, and the result rounded
// once.
#pragma once

#include <vector>

#include "engine/core/tensor.h"
#include "engine/ops/cast.h"

namespace plica {

// Calls compute(inputs, output) with float32 in the place of 16-bit floats; other types as they are. An
// absent input stays null.
template <class Compute>
void compute_widened(std::vector<const Tensor*> inputs, Tensor& output, const Compute& compute) {
  const auto is_narrow = [](const Tensor& t) {
    return t.type() == DataType::float16 || t.type() == DataType::bfloat16;
  };
  std::vector<Tensor> wide(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i] || !is_narrow(*inputs[i])) continue;
    wide[i] = cast_tensor(*inputs[i], DataType::float32);
    inputs[i] = &wide[i];
  }
  if (!is_narrow(output)) {
    compute(inputs, output);
    return;
  }
  Tensor result(DataType::float32, output.dims());
  compute(inputs, result);
  cast_elements(result, output);
}

}  // namespace plica
