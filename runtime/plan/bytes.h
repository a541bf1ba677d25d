// Elements of 8 bits, signed or not.
#pragma once

#include "engine/core/tensor.h"

namespace plica {

inline bool is_byte(DataType type) { return type == DataType::int8 || type == DataType::uint8; }

inline int byte_at(const Tensor& t, int64_t i) {
  return t.type() == DataType::int8 ? int{t.data<int8_t>()[i]} : int{t.data<uint8_t>()[i]};
}

}  // namespace plica
