#include "runtime/kernels/blocked_chain.h"

#include <algorithm>

#include "engine/core/checked.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

// A value as one float for each channel, those of the last block filled up; nullopt when it is none of
// channels.
std::optional<Placement> by_channel(PlanBuilder& builder, const LoweredOp& op, int v, const Dims& result) {
  const LoweredValue& value = builder.value(v);
  const Dims channels = {1, result[1], 1, 1};
  const onednn::Desc desc = onednn::desc_of(channels, builder.layout());
  if (checked_elements(value.dims) == 1 && value.constant.defined()) {
    Tensor all(DataType::float32, channels);
    std::ranges::fill(all.mutable_values<float>(), *value.constant.data<float>());
    return builder.packed(all, onednn::row_major(channels), desc);
  }
  if (aligned_dims(value.dims, 4) != channels) return std::nullopt;
  return operand_as(builder, op, v, channels, desc);
}

}  // namespace

BlockedChain::BlockedChain(std::vector<BlockedLink> links) : rest_(std::move(links)) {
  const auto takes = [](const BlockedLink& l, std::initializer_list<Unary> functions) {
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
  by_channel_ = std::ranges::any_of(rest_, &BlockedLink::by_channel);
}

void BlockedChain::apply(const Run& run, std::span<void* const> memory, float* results,
                         float* scratch) const {
  for (const BlockedLink& link : rest_) {
    PassOperand operand;
    if (link.operand >= 0) {
      const auto* elements = static_cast<const float*>(memory[static_cast<size_t>(link.operand)]);
      if (link.by_channel) {
        for (int64_t i = 0; i < run.count; i += run.block)
          std::copy_n(elements + run.channel, run.block, scratch + i);
        operand.elements = scratch;
      } else {
        operand.elements = elements + run.offset;
      }
    }
    pointwise_pass(link.op, results, results, run.count, operand);
  }
  if (run.valid >= run.block) return;
  for (int64_t i = 0; i < run.count; i += run.block)
    std::fill(results + i + run.valid, results + i + run.block, 0.f);
}

void emit_blocked(PlanBuilder& builder, const LoweredOp& op, StepInfo info, std::vector<Placement> operands,
                  InPlace allowed, const MakeBlockedKernel& make) {
  const Dims& y = builder.value(op.outputs[0]).dims;
  const onednn::Desc destination = onednn::desc_of(y, builder.layout());
  const bool has_bias = op.inputs.size() > 2;
  if (has_bias) {
    const Dims channels = {1, y[1], 1, 1};
    operands.push_back(
        operand_as(builder, op, op.inputs[2], channels, onednn::desc_of(channels, builder.layout())));
  }
  std::vector<BlockedLink> chain;
  std::optional<Placement> in_place;  // the memory of an operand that nothing else reads
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
      const bool bears = allowed == InPlace::any || (chain.empty() && link.binary == Binary::add);
      if (bears && !in_place && !value.constant.defined()) {
        const Placement where = builder.placement(link.operand);
        if (where.desc && onednn::same_placement(*where.desc, destination) && builder.dies_here(where))
          in_place = where;
      }
      operand = builder.in_layout(link.operand, destination);
    } else {
      operand = by_channel(builder, op, link.operand, y);
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
