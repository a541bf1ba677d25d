// What MatMulNBits and MatMulBnb4 infer alike: A by weights of [rows, columns] that lie packed in flat
// tensors.
#pragma once

#include <string_view>

#include "engine/ops/infer.h"

namespace plica {

// Input i, if it is there, has so many elements.
void require_elements(const InferContext& context, int i, std::string_view what, int64_t expected);

// Output 0 is A, input 0, with `rows` for its last axis, which must be `columns`.
void infer_packed_product(InferContext& context, int64_t rows, int64_t columns);

}  // namespace plica
