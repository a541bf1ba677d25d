// A tensor seen around one axis: [outer, length, inner] elements, the axis being the middle one.
#pragma once

#include "engine/core/shape.h"

namespace plica {

struct AxisSplit {
  int64_t outer = 1, length = 1, inner = 1;
};

// `axis` in [0, rank); a scalar has one element along any.
inline AxisSplit split_at(const Dims& dims, int axis) {
  AxisSplit s;
  for (size_t i = 0; i < dims.size(); ++i) {
    const auto at = static_cast<size_t>(axis);
    (i < at ? s.outer : i == at ? s.length : s.inner) *= dims[i];
  }
  return s;
}

}  // namespace plica
