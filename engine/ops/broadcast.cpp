#include "engine/ops/broadcast.h"

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"

namespace plica {

Broadcast::Broadcast(const Dims& out, std::span<const Dims> operands)
    : size_(checked_elements(out)), operands_(static_cast<int>(operands.size())) {
  require(operands_ <= kMostOperands, ErrorCode::internal, "{} operands of a broadcast", operands_);
  const auto rank = static_cast<int64_t>(out.size());
  // Innermost first, then reversed: strides grow outwards.
  std::array<int64_t, kMostOperands> extent;  // elements of the operand below the current dim
  extent.fill(1);
  for (int64_t d = rank - 1; d >= 0; --d) {
    const int64_t size = out[static_cast<size_t>(d)];
    std::array<int64_t, kMostOperands> stride{};
    for (size_t i = 0; i < operands.size(); ++i) {
      const int64_t at = d - (rank - static_cast<int64_t>(operands[i].size()));
      const int64_t own = at < 0 ? 1 : operands[i][static_cast<size_t>(at)];
      require(own == size || own == 1, ErrorCode::internal, "{} does not broadcast to {}",
              to_string(operands[i]), to_string(out));
      stride[i] = own == 1 ? 0 : extent[i];
      extent[i] *= own;
    }
    if (size == 1) continue;
    bool collapses = !dims_.empty();
    for (size_t i = 0; i < operands.size() && collapses; ++i) {
      collapses = stride[i] == dims_.back() * strides_[i].back();
    }
    if (collapses) {
      dims_.back() *= size;
      continue;
    }
    dims_.push_back(size);
    for (size_t i = 0; i < operands.size(); ++i) strides_[i].push_back(stride[i]);
  }
  std::ranges::reverse(dims_);
  for (Dims& s : strides_) std::ranges::reverse(s);
}

void Broadcast::for_each_run(int64_t begin, int64_t end, const Run& run) const {
  if (begin >= end) return;
  Offsets offsets{};
  if (dims_.empty()) {
    run(int64_t{0}, offsets, int64_t{1});
    return;
  }
  const size_t last = dims_.size() - 1;
  std::vector<int64_t> index(dims_.size());
  int64_t rest = begin;
  for (size_t d = dims_.size(); d-- > 0;) {
    index[d] = rest % dims_[d];
    rest /= dims_[d];
    for (int i = 0; i < operands_; ++i)
      offsets[static_cast<size_t>(i)] += index[d] * strides_[static_cast<size_t>(i)][d];
  }
  for (int64_t at = begin; at < end;) {
    const int64_t count = std::min(dims_[last] - index[last], end - at);
    run(at, offsets, count);
    at += count;
    // Step to the start of the next row; only the first row may begin within itself.
    for (size_t d = last + 1; d-- > 0;) {
      const int64_t step = d == last ? count : 1;
      index[d] += step;
      for (int i = 0; i < operands_; ++i)
        offsets[static_cast<size_t>(i)] += step * strides_[static_cast<size_t>(i)][d];
      if (index[d] < dims_[d]) break;
      index[d] = 0;
      for (int i = 0; i < operands_; ++i)
        offsets[static_cast<size_t>(i)] -= dims_[d] * strides_[static_cast<size_t>(i)][d];
    }
  }
}

void Broadcast::parallel_runs(const Run& run) const {
  constexpr int64_t kGrain = 32768;
  parallel_for(size_, kGrain, [&](int64_t begin, int64_t end) { for_each_run(begin, end, run); });
}

DataType common_type(const InferContext& context, int first, int last) {
  DataType type = DataType::undefined;
  for (int i = first; i < last && i < context.num_inputs(); ++i) {
    if (!context.has_input(i)) continue;
    const DataType other = context.input_type(i);
    if (type == DataType::undefined) type = other;
    require(other == type || other == DataType::undefined, ErrorCode::invalid_model,
            "inputs have element types {} and {}; they must be the same", to_string(type), to_string(other));
  }
  return type;
}

namespace {

// Opset 1 to 6: without `broadcast` the shapes are equal; with it, the second is a contiguous part of the
// first's dims that begins at `axis` (at the end when absent). Gives the number of dims of 1 to append to the
// second operand. https://github.com/onnx/onnx/blob/main/docs/Changelog.md#Add-6
int trailing_ones(const AttributeReader& attributes, int rank_a, int rank_b) {
  require(rank_b <= rank_a, ErrorCode::invalid_model, "the second operand's rank {} exceeds the first's {}",
          rank_b, rank_a);
  if (attributes.i("broadcast") == 0 || rank_b == 0) return 0;
  const auto axis = attributes.maybe_i("axis");
  if (!axis) return 0;
  const int first = normalize_axis(*axis, rank_a);
  require(first + rank_b <= rank_a, ErrorCode::invalid_model,
          "the second operand's {} dims from axis {} exceed the first's rank {}", rank_b, *axis, rank_a);
  return rank_a - first - rank_b;
}

bool has_legacy_broadcast(const OpDef& def) { return def.until < 7; }

}  // namespace

std::optional<Shape> infer_binary_shape(const InferContext& context) {
  const auto& a = context.input_shape(0);
  const auto& b = context.input_shape(1);
  if (!has_legacy_broadcast(context.def()) || !a || !b) return broadcast_shapes(a, b);
  const AttributeReader& attributes = context.attributes();
  Shape padded = *b;
  for (int i = trailing_ones(attributes, a->rank(), b->rank()); i > 0; --i) padded.push_back(1);
  if (attributes.i("broadcast") == 0) {
    require(a->rank() == b->rank(), ErrorCode::invalid_model, "shapes {} and {} differ, and broadcast is 0",
            to_string(*a), to_string(*b));
  }
  auto shape = broadcast_shapes(a, padded);
  for (int i = 0; i < a->rank(); ++i) {
    const Dim &out = (*shape)[i], &in = (*a)[i];
    require(!out.is_known() || !in.is_known() || out.value() == in.value(), ErrorCode::invalid_model,
            "the second operand {} does not broadcast to the first {}", to_string(*b), to_string(*a));
  }
  return shape;
}

Broadcast plan_binary(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Dims dims_b = b.dims();
  if (has_legacy_broadcast(context.def())) {
    const int ones = trailing_ones(context.attributes(), a.rank(), b.rank());
    dims_b.insert(dims_b.end(), static_cast<size_t>(ones), 1);
  }
  return Broadcast(context.output().dims(), {a.dims(), dims_b});
}

}  // namespace plica
