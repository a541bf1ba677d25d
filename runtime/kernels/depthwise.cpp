// Depthwise convolutions by a kernel of our own.
#include <algorithm>

#include "engine/core/parallel.h"
#include "runtime/kernels/depthwise_kernel.h"
#include "runtime/kernels/families.h"

namespace plica {

bool build_depthwise(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Tensor& weights = builder.value(op.inputs[1]).constant;
  const onednn::Layout layout = builder.layout();
  if (layout != onednn::Layout::blocked8 && layout != onednn::Layout::blocked16) return false;
  if (builder.choice().tile == 0) return false;
  const Window& w = p.window;
  if (!weights.defined() || x.size() != 4 || p.groups != x[1] || x[1] != y[1] || w.kernel[0] != w.kernel[1] ||
      w.dilations != Dims{1, 1} || !has_depthwise_kernel(w.kernel[0], w.strides[1]) ||
      std::ranges::count(y, 0) != 0)
    return false;

  DepthwiseShape shape;
  shape.batch = x[0];
  shape.channels = x[1];
  shape.in_height = x[2];
  shape.in_width = x[3];
  shape.out_height = y[2];
  shape.out_width = y[3];
  shape.pad_top = w.pads_begin[0];
  shape.pad_left = w.pads_begin[1];
  shape.block = layout == onednn::Layout::blocked8 ? 8 : 16;
  shape.window = static_cast<int>(w.kernel[0]);
  shape.stride_down = w.strides[0];
  shape.stride_along = w.strides[1];

  const Placement source = builder.in_layout(op.inputs[0], onednn::desc_of(x, layout));
  const Placement packed = builder.packed(weights, fmt::format("depthwise, blocks of {}", shape.block),
                                          [&] { return depthwise_weights(weights.data<float>(), shape); });
  emit_blocked(builder, op, {"Conv", node_names(op), "depthwise", ""}, {source, packed}, InPlace::first_sum,
               [&](bool has_bias, std::vector<BlockedLink> chain) {
                 return std::make_unique<DepthwiseKernel>(shape, has_bias, std::move(chain),
                                                          current_threads());
               });
  return true;
}

}  // namespace plica
