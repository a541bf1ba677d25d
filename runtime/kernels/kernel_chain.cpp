#include "runtime/kernels/kernel_chain.h"

#include <algorithm>

#include "engine/core/checked.h"
#include "runtime/kernels/block_vectors.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/pointwise_functions.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

// A value as one float for each channel; nullopt when it is none of channels.
std::optional<Placement> by_channel(PlanBuilder& builder, const LoweredOp& op, int v,
                                    const ResultForm& form) {
  const LoweredValue& value = builder.value(v);
  if (checked_elements(value.dims) == 1 && value.constant.defined()) {
    Tensor all(DataType::float32, form.channel_dims);
    std::ranges::fill(all.mutable_values<float>(), *value.constant.data<float>());
    return builder.packed(all, onednn::row_major(form.channel_dims), form.channels);
  }
  if (aligned_dims(value.dims, form.channel_dims.size()) != form.channel_dims) return std::nullopt;
  return operand_as(builder, op, v, form.channel_dims, form.channels);
}

// y = f(y, values) where a block of y lies over the block of values.
template <class S, Binary kFunction>
PLICA_INLINE void combine(float* y, int64_t count, const float* values, bool reversed) {
  for (int64_t lane = 0; lane < S::kBlock; lane += S::kLanes) {
    typename S::Vec other;
    S::load(other, values + lane);
    for (int64_t i = lane; i < count; i += S::kBlock) {
      typename S::Vec v, o = other;
      S::load(v, y + i);
      if (reversed) {
        simd::apply<S, kFunction>(o, v);
        v = o;
      } else {
        simd::apply<S, kFunction>(v, o);
      }
      S::store(y + i, v);
    }
  }
}

template <class S>
PLICA_INLINE void combine_by_channel_body(const PointOp& op, float* y, int64_t count, int64_t /*block*/,
                                          const float* values) {
  switch (op.binary) {
    case Binary::add:
      return combine<S, Binary::add>(y, count, values, op.reversed);
    case Binary::sub:
      return combine<S, Binary::sub>(y, count, values, op.reversed);
    case Binary::mul:
      return combine<S, Binary::mul>(y, count, values, op.reversed);
    case Binary::div:
      return combine<S, Binary::div>(y, count, values, op.reversed);
    case Binary::min:
      return combine<S, Binary::min>(y, count, values, op.reversed);
    case Binary::max:
      return combine<S, Binary::max>(y, count, values, op.reversed);
    case Binary::prelu:
      return combine<S, Binary::prelu>(y, count, values, op.reversed);
  }
}

PLICA_FOR_BLOCK(block, combine_by_channel,
                (const PointOp& op, float* y, int64_t count, int64_t block, const float* values),
                (op, y, count, block, values))

}  // namespace

KernelChain::KernelChain(std::vector<KernelLink> links) : rest_(std::move(links)) {
  const auto takes = [](const KernelLink& l, std::initializer_list<Unary> functions) {
    return l.op.is_unary && std::ranges::find(functions, l.op.unary) != functions.end();
  };
  const auto next = [&] { return rest_.empty() ? nullptr : &rest_.front(); };
  if (const auto* l = next(); l && !l->op.is_unary && l->op.binary == Binary::add && !l->by_channel) {
    start_.add = l->operand;
    rest_.erase(rest_.begin());
  }
  if (const auto* l = next(); l && takes(*l, {Unary::relu, Unary::clip})) {
    const bool clip = l->op.unary == Unary::clip;
    start_.low = clip ? l->op.a : 0;
    if (clip) start_.high = l->op.b;
    rest_.erase(rest_.begin());
  }
}

void KernelChain::apply(const Run& run, std::span<void* const> memory, float* results) const {
  for (const KernelLink& link : rest_) {
    const float* elements =
        link.operand >= 0 ? static_cast<const float*>(memory[static_cast<size_t>(link.operand)]) : nullptr;
    if (link.by_channel) {
      combine_by_channel(link.op, results, run.count, run.block, elements + run.channel);
    } else {
      PassOperand operand;
      if (elements) operand.elements = elements + run.offset;
      pointwise_pass(link.op, results, results, run.count, operand);
    }
  }
  if (run.valid >= run.block) return;
  for (int64_t i = 0; i < run.count; i += run.block)
    std::fill(results + i + run.valid, results + i + run.block, 0.f);
}

void KernelChain::apply_to_rows(const Rows& rows, std::span<void* const> memory, float* results) const {
  if (rest_.empty()) return;
  for (int64_t row = rows.first; row < rows.first + rows.count; ++row) {
    const int64_t offset = row * rows.stride + rows.column;
    for (const KernelLink& link : rest_) {
      PassOperand operand;
      if (link.operand >= 0) {
        operand.elements = static_cast<const float*>(memory[static_cast<size_t>(link.operand)]) +
                           (link.by_channel ? rows.column : offset);
      }
      pointwise_pass(link.op, results + offset, results + offset, rows.width, operand);
    }
  }
}

ResultForm blocked_form(PlanBuilder& builder, const LoweredOp& op) {
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Dims channels = {1, y[1], 1, 1};
  return {onednn::desc_of(y, builder.layout()), onednn::desc_of(channels, builder.layout()), channels};
}

ResultForm rows_form(PlanBuilder& builder, const LoweredOp& op) {
  const Dims& y = builder.value(op.outputs[0]).dims;
  Dims channels(y.size(), 1);
  channels.back() = y.back();
  return {onednn::row_major(y), onednn::row_major(channels), channels};
}

void emit_with_chain(PlanBuilder& builder, const LoweredOp& op, const ResultForm& form, StepInfo info,
                     std::vector<Placement> operands, InPlace allowed, const MakeKernel& make) {
  const Dims& y = builder.value(op.outputs[0]).dims;
  const onednn::Desc& destination = form.results;
  const bool has_bias = op.inputs.size() > 2 && op.inputs[2] >= 0;
  if (has_bias) operands.push_back(operand_as(builder, op, op.inputs[2], form.channel_dims, form.channels));
  std::vector<KernelLink> chain;
  std::optional<Placement> in_place;  // the memory of an operand that nothing else reads
  if (allowed == InPlace::source && builder.dies_here(operands[0])) in_place = operands[0];
  for (const PointOp& link : op.chain) {
    if (link.is_unary) {
      chain.push_back({link, -1, false});
      continue;
    }
    const LoweredValue& value = builder.value(link.operand);
    if (value.type != DataType::float32) break;
    std::optional<Placement> operand;
    const bool full = value.dims == y;
    if (full) {
      const bool bears = allowed == InPlace::any ||
                         (allowed == InPlace::first_sum && chain.empty() && link.binary == Binary::add);
      if (bears && !in_place && !value.constant.defined()) {
        const Placement where = builder.placement(link.operand);
        if (where.desc && onednn::same_placement(*where.desc, destination) && builder.dies_here(where))
          in_place = where;
      }
      operand = builder.in_layout(link.operand, destination);
    } else {
      operand = by_channel(builder, op, link.operand, form);
    }
    if (!operand) break;
    chain.push_back({link, static_cast<int>(operands.size()), !full});
    operands.push_back(*operand);
  }
  const size_t links = chain.size();
  const bool complete = links == op.chain.size();
  Placement to;
  if (in_place) {
    to = *in_place;
    to.desc = destination;
    if (complete) builder.alias(op.outputs[0], to);
  } else {
    to = complete ? builder.allocate(op.outputs[0], destination) : builder.allocate_temporary(destination);
  }
  operands.push_back(to);
  info.layout = onednn::layout_name(destination);
  info.flops = 2 * multiply_adds(builder.graph(), op);
  builder.emit(std::move(info), make(has_bias, std::move(chain)), operands);
  if (!complete) build_chain(builder, op, links, to, true);
}

}  // namespace plica
