// One link of a pointwise chain over contiguous elements, by the vectors of this CPU.
#pragma once

#include <cstdint>

#include "runtime/plan/lowered.h"

namespace plica {

// The other operand of a binary function: as many elements, or one for all.
struct PassOperand {
  const float* elements = nullptr;  // null: the scalar
  float scalar = 0;
};

// y[i] = f(x[i]) or f(x[i], other[i]) for i < count. y may be x. `other` is not read for a unary function.
void pointwise_pass(const PointOp& op, float* y, const float* x, int64_t count, const PassOperand& other);

}  // namespace plica
