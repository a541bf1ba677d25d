// Multidirectional (numpy) broadcasting for elementwise kernels: dims are collapsed where all operands step
// alike, and kernels then see long runs in which each operand either advances by one element or stands still.
// Thread safety: a Broadcast is immutable once made.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica {

class Broadcast {
 public:
  static constexpr int kMostOperands = 3;

  // Each of `operands` broadcasts to `out`.
  Broadcast(const Dims& out, std::span<const Dims> operands);
  Broadcast(const Dims& out, std::initializer_list<Dims> operands)
      : Broadcast(out, std::span<const Dims>(operands.begin(), operands.size())) {}

  int64_t size() const { return size_; }
  // What operand `i` advances by in a run: 1 or 0.
  int64_t step(int i) const { return dims_.empty() ? 0 : strides_[static_cast<size_t>(i)].back(); }

  // Offsets of the operands' elements at the start of a run, by operand.
  using Offsets = std::array<int64_t, kMostOperands>;
  // What is done with a run: (offset in the output, offsets of the operands, count). Called once a run, never
  // once an element; not a template, so that the walk is compiled once and not for each operator and type.
  using Run = std::function<void(int64_t, const Offsets&, int64_t)>;

  // Covers elements [begin, end) of the output by runs, in order.
  void for_each_run(int64_t begin, int64_t end, const Run& run) const;
  // The same for the whole output, in parallel where it is big.
  void parallel_runs(const Run& run) const;

 private:
  int64_t size_ = 1;
  int operands_;
  Dims dims_;                                // collapsed, outermost first; none of size 1
  std::array<Dims, kMostOperands> strides_;  // in elements, 0 where the operand is repeated
};

// out[i] = op(a[i], b[i]) over a run; A, B, and R are element types, op computes on whatever they convert to.
template <class A, class B, class R, class Op>
void apply_run(const A* a, int64_t step_a, const B* b, int64_t step_b, R* out, int64_t count, const Op& op) {
  if (step_a == 0 && step_b == 0) {
    std::fill_n(out, count, static_cast<R>(op(*a, *b)));
  } else if (step_a == 0) {
    const A x = *a;
    for (int64_t i = 0; i < count; ++i) out[i] = op(x, b[i]);
  } else if (step_b == 0) {
    const B y = *b;
    for (int64_t i = 0; i < count; ++i) out[i] = op(a[i], y);
  } else {
    for (int64_t i = 0; i < count; ++i) out[i] = op(a[i], b[i]);
  }
}

// out = op(a, b), the operands 0 and 1 of the plan.
template <class A, class B, class R, class Op>
void apply_broadcast(const Broadcast& plan, const A* a, const B* b, R* out, const Op& op) {
  plan.parallel_runs([&](int64_t at, const Broadcast::Offsets& offsets, int64_t count) {
    // A single element has no step; both operands may then be read as if they had one.
    apply_run(a + offsets[0], count == 1 ? 1 : plan.step(0), b + offsets[1], count == 1 ? 1 : plan.step(1),
              out + at, count, op);
  });
}

// The same for operands whose dims broadcast to out's.
template <class A, class B, class R, class Op>
void apply_broadcast(const A* a, const Dims& dims_a, const B* b, const Dims& dims_b, R* out,
                     const Dims& dims_out, const Op& op) {
  apply_broadcast(Broadcast(dims_out, {dims_a, dims_b}), a, b, out, op);
}

// ---- for infer functions

// The element type that inputs [first, last) share, as far as it is known. Throws invalid_model when two
// differ.
DataType common_type(const InferContext& context, int first, int last);

// The shape of a binary operator's output: numpy broadcasting, or, for definitions of opset 1 to 6, that of
// their attributes `broadcast` and `axis`.
std::optional<Shape> infer_binary_shape(const InferContext& context);

// How a binary operator's two inputs make its output; for the definitions of opset 1 to 6 by their
// attributes.
Broadcast plan_binary(EvaluateContext& context);

}  // namespace plica
