// Integer inputs of one element: what inference knows of them, and their value.
#pragma once

#include <string_view>

#include "engine/core/checked.h"
#include "engine/ops/cast.h"
#include "engine/ops/infer.h"

namespace plica {

inline void require_one_element(int64_t count, std::string_view what) {
  require(count == 1, ErrorCode::invalid_model, "the {} has {} elements, it must have one", what, count);
}

// A number or symbol, or unknown.
inline Dim scalar_input(const InferContext& context, int i, std::string_view what) {
  if (const auto& shape = context.input_shape(i)) {
    if (const auto dims = shape->known()) require_one_element(checked_elements(*dims), what);
  }
  const auto* elements = context.input_elements(i);
  return elements && elements->size() == 1 ? (*elements)[0] : Dim();
}

inline int64_t read_scalar(const Tensor& tensor, std::string_view what) {
  require_one_element(tensor.size(), what);
  return *cast_tensor(tensor, DataType::int64).data<int64_t>();
}

}  // namespace plica
