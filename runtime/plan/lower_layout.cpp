// Operators that move elements or only rename their places.
#include "runtime/plan/lowerer.h"

namespace plica {

void lower_view(Lowerer& l) { l.become(ViewParams{}, {l.op.inputs[0]}); }

void lower_dropout(Lowerer& l) {
  if (l.has_output(1) || l.node.opset() < 7) return;
  if (l.has_input(2)) {
    const Tensor* training = l.constant(2);
    if (!training || training->type() != DataType::boolean || training->data<bool>()[0]) return;
  }
  lower_view(l);
}

void lower_concat(Lowerer& l) {
  const int rank = static_cast<int>(l.out().dims.size());
  int64_t axis = l.attributes.i("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  if (l.op.inputs.size() == 1) return lower_view(l);
  l.become(ConcatParams{static_cast<int>(axis)}, l.op.inputs);
}

void lower_transpose(Lowerer& l) {
  const size_t rank = l.in(0).dims.size();
  TransposeParams p;
  if (auto perm = l.attributes.maybe_ints("perm")) {
    p.permutation.assign(perm->begin(), perm->end());
  } else {
    for (size_t i = rank; i-- > 0;) p.permutation.push_back(static_cast<int>(i));
  }
  if (p.permutation.size() != rank || rank == 0 || rank > 6) return;
  l.become(std::move(p), {l.op.inputs[0]});
}

void lower_slice(Lowerer& l) {
  const Dims& x = l.in(0).dims;
  const int64_t rank = static_cast<int64_t>(x.size());
  std::vector<int64_t> starts, axes;
  const auto ints = [&](size_t i) -> std::optional<std::vector<int64_t>> {
    const Tensor* t = l.constant(i);
    if (!t) return std::nullopt;
    if (t->type() == DataType::int64)
      return std::vector<int64_t>(t->values<int64_t>().begin(), t->values<int64_t>().end());
    if (t->type() == DataType::int32)
      return std::vector<int64_t>(t->values<int32_t>().begin(), t->values<int32_t>().end());
    return std::nullopt;
  };
  std::optional<std::vector<int64_t>> given;
  if (l.node.opset() < 10) {
    starts = l.attributes.ints("starts");
    given = l.attributes.maybe_ints("axes");
  } else {
    auto s = ints(1);
    if (!s) return;
    starts = *s;
    if (l.has_input(3)) {
      given = ints(3);
      if (!given) return;
    }
    if (l.has_input(4)) {
      auto steps = ints(4);
      if (!steps || std::ranges::any_of(*steps, [](int64_t v) { return v != 1; })) return;
    }
  }
  if (given) {
    axes = *given;
  } else {
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  }
  SliceParams p{Dims(x.size(), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank || i >= starts.size()) return;
    const int64_t dim = x[static_cast<size_t>(axis)];
    const int64_t start = starts[i] < 0 ? std::max<int64_t>(starts[i], -dim) + dim : std::min(starts[i], dim);
    p.starts[static_cast<size_t>(axis)] = start;
  }
  l.become(std::move(p), {l.op.inputs[0]});
}

// A slice for each output.
void lower_split(Lowerer& l) {
  const int rank = static_cast<int>(l.in(0).dims.size());
  int64_t axis = l.attributes.i("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  for (size_t i = 0; i < l.op.outputs.size(); ++i) {
    if (!l.has_output(i)) return;
  }
  Dims starts(l.in(0).dims.size(), 0);
  const std::vector<int> outputs = l.op.outputs;
  const int x = l.op.inputs[0];
  for (size_t i = 0; i < outputs.size(); ++i) {
    LoweredOp slice;
    slice.params = SliceParams{starts};
    slice.nodes = l.op.nodes;
    slice.inputs = {x};
    slice.outputs = {outputs[i]};
    starts[static_cast<size_t>(axis)] += l.graph.value(outputs[i]).dims[static_cast<size_t>(axis)];
    if (i + 1 < outputs.size()) {
      l.graph.ops.push_back(std::move(slice));
    } else {
      l.op = std::move(slice);
    }
  }
}

}  // namespace plica
