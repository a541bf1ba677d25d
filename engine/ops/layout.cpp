#include "engine/ops/layout.h"

#include <algorithm>
#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> layout_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {reshape_ops, transpose_ops, concat_ops, slice_ops, pad_ops, expand_ops}) {
      std::ranges::move(part(), std::back_inserter(all));
    }
    return all;
  }();
  return ops;
}

namespace {

void require_vector(int i, int rank) {
  require(rank <= 1, ErrorCode::invalid_model, "input {} has rank {}, it must be a vector", i, rank);
}

}  // namespace

std::optional<Dims> ints_of_input(const InferContext& context, int i) {
  if (!context.has_input(i)) return std::nullopt;
  if (const auto& shape = context.input_shape(i)) require_vector(i, shape->rank());
  return context.input_ints(i);
}

std::optional<Dims> ints_of_input(const EvaluateContext& context, int i) {
  const Tensor* t = context.maybe_input(i);
  if (!t) return std::nullopt;
  require_vector(i, t->rank());
  if (t->type() == DataType::int32) {
    const auto values = t->values<int32_t>();
    return Dims(values.begin(), values.end());
  }
  const auto values = t->values<int64_t>();
  return Dims(values.begin(), values.end());
}

std::vector<int> normalize_axes(const Dims& axes, int rank) {
  std::vector<int> out;
  for (int64_t axis : axes) out.push_back(normalize_axis(axis, rank));
  std::ranges::sort(out);
  const auto twice = std::ranges::adjacent_find(out);
  require(twice == out.end(), ErrorCode::invalid_model, "axis {} is given twice",
          twice == out.end() ? 0 : *twice);
  return out;
}

}  // namespace plica
