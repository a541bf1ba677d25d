// Channels from anywhere: shuffles, and what Concat and Slice can't do by naming places (layout.cpp).
#include <algorithm>

#include "engine/core/checked.h"
#include "runtime/kernels/channel_gather_kernel.h"
#include "runtime/kernels/families.h"

namespace plica {

using onednn::Layout;

Layout layout_of_most(PlanBuilder& builder, const std::vector<int>& values) {
  int64_t weight[4] = {};
  for (int v : values)
    weight[static_cast<int>(onednn::layout_of(*builder.placement(v).desc))] +=
        checked_elements(builder.value(v).dims);
  return static_cast<Layout>(std::max_element(weight, weight + 4) - weight);
}

int64_t block_of(Layout layout) {
  return layout == Layout::blocked8 ? 8 : layout == Layout::blocked16 ? 16 : 1;
}

void gather_channels(PlanBuilder& builder, const LoweredOp& op, const std::string& kind, Layout layout,
                     const std::vector<ChannelGatherParams::Source>& channels) {
  const Dims& y = builder.value(op.outputs[0]).dims;
  const int64_t block = block_of(layout);
  int64_t positions = 1;
  for (size_t i = 2; i < y.size(); ++i) positions = checked_mul(positions, y[i]);
  std::vector<Placement> operands;
  std::vector<int64_t> input_channels;
  for (int v : op.inputs) {
    const Dims& x = builder.value(v).dims;
    operands.push_back(builder.in_layout(v, onednn::desc_of(x, layout)));
    input_channels.push_back(x[1]);
  }
  const onednn::Desc desc = onednn::desc_of(y, layout);
  operands.push_back(builder.allocate(op.outputs[0], desc));
  std::unique_ptr<Kernel> kernel;
  if (block == 1) {
    kernel = std::make_unique<PlaneGatherKernel>(y[0], positions, channels, std::move(input_channels));
  } else {
    kernel = std::make_unique<BlockedChannelGatherKernel>(static_cast<int>(block), y[0], positions, channels,
                                                          input_channels);
  }
  builder.emit({kind, node_names(op), "channel gather", onednn::layout_name(desc)}, std::move(kernel),
               operands);
}

void build_channel_gather(PlanBuilder& builder, const LoweredOp& op, const ChannelGatherParams& params) {
  Layout layout = layout_of_most(builder, op.inputs);
  if (layout == Layout::channels_last) layout = builder.layout();
  if (layout == Layout::channels_last) layout = Layout::row_major;
  gather_channels(builder, op, "ChannelGather", layout, params.channels);
}

}  // namespace plica
