// Tensors taken apart along an axis and put together again, for Loop, Scan and the operators on sequences.
// All element types; `axis` in [0, rank).
#pragma once

#include <span>

#include "engine/core/tensor.h"

namespace plica {

// Elements [begin, begin + count) along the axis, in memory of their own.
Tensor slice_of(const Tensor& tensor, int axis, int64_t begin, int64_t count);
// The same dims without the axis, which has one element.
Tensor without_axis(const Tensor& tensor, int axis);

// One after the other along the axis. There is at least one. Throws invalid_argument when they don't fit
// together.
Tensor concatenate(std::span<const Tensor> parts, int axis);
// Along a new axis, which may be the last: in [0, rank].
Tensor stack(std::span<const Tensor> parts, int axis);

}  // namespace plica
