// 3x3 convolutions by Winograd's method, where it pays.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"
#include "runtime/kernels/winograd_kernel.h"
#include "runtime/plan/layout_policy.h"
#include "runtime/plan/runner.h"

namespace plica {
namespace {

// A value as one float for each channel, those of the last block filled up; nullopt when it is none of
// channels.
std::optional<Placement> by_channel(PlanBuilder& builder, const LoweredOp& op, int v, const Dims& result,
                                    onednn::Layout layout) {
  const LoweredValue& value = builder.value(v);
  const Dims channels = {1, result[1], 1, 1};
  const onednn::Desc desc = onednn::desc_of(channels, layout);
  if (checked_elements(value.dims) == 1 && value.constant.defined()) {
    Tensor all(DataType::float32, channels);
    std::ranges::fill(all.mutable_values<float>(), *value.constant.data<float>());
    return builder.packed(all, onednn::row_major(channels), desc);
  }
  if (aligned_dims(value.dims, 4) != channels) return std::nullopt;
  return operand_as(builder, op, v, channels, desc);
}

}  // namespace

bool build_winograd(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Tensor& weights = builder.value(op.inputs[1]).constant;
  const onednn::Layout layout = builder.layout();
  if (builder.programs().exact() || !weights.defined()) return false;
  if (layout != onednn::Layout::blocked8 && layout != onednn::Layout::blocked16) return false;
  const int tile = winograd_tile(p, x, y, current_threads(), builder.choice().tile);
  if (tile == 0) return false;

  WinogradShape shape;
  shape.batch = x[0];
  shape.in_channels = x[1];
  shape.out_channels = y[1];
  shape.in_height = x[2];
  shape.in_width = x[3];
  shape.out_height = y[2];
  shape.out_width = y[3];
  shape.pad_top = p.window.pads_begin[0];
  shape.pad_left = p.window.pads_begin[1];
  shape.block = layout == onednn::Layout::blocked8 ? 8 : 16;
  shape.tile = tile;

  const onednn::Desc destination = onednn::desc_of(y, layout);
  std::vector<Placement> operands = {
      builder.in_layout(op.inputs[0], onednn::desc_of(x, layout)),
      builder.packed(weights, fmt::format("winograd {}, blocks of {}", tile, shape.block),
                     [&] { return winograd_weights(weights.data<float>(), shape); })};
  const bool has_bias = op.inputs.size() > 2;
  if (has_bias) {
    const Dims channels = {1, y[1], 1, 1};
    operands.push_back(operand_as(builder, op, op.inputs[2], channels, onednn::desc_of(channels, layout)));
  }
  std::vector<WinogradKernel::Link> chain;
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
      if (!in_place && !value.constant.defined()) {
        const Placement where = builder.placement(link.operand);
        if (where.desc && onednn::same_placement(*where.desc, destination) && builder.dies_here(where))
          in_place = where;
      }
      operand = builder.in_layout(link.operand, destination);
    } else {
      operand = by_channel(builder, op, link.operand, y, layout);
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
  StepInfo info{"Conv", node_names(op), tile == 4 ? "winograd F(4x4,3x3)" : "winograd F(2x2,3x3)",
                onednn::layout_name(destination)};
  info.flops = 2 * multiply_adds(builder.graph(), op);
  builder.emit(std::move(info),
               std::make_unique<WinogradKernel>(shape, has_bias, std::move(chain), current_threads()),
               operands);
  if (!complete) build_chain(builder, op, links, to, true);
  return true;
}

}  // namespace plica
