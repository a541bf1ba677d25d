// Convolutions of 1x1 windows by a kernel of our own.
#include <algorithm>

#include "engine/core/parallel.h"
#include "runtime/kernels/conv1x1_kernel.h"
#include "runtime/kernels/families.h"

namespace plica {

bool build_conv1x1(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Tensor& weights = builder.value(op.inputs[1]).constant;
  const onednn::Layout layout = builder.layout();
  if (layout != onednn::Layout::blocked8 && layout != onednn::Layout::blocked16) return false;
  const Window& w = p.window;
  const auto all = [](const Dims& dims, int64_t v) {
    return std::ranges::all_of(dims, [v](int64_t d) { return d == v; });
  };
  if (!weights.defined() || x.size() != 4 || p.groups != 1 || !all(w.kernel, 1) || !all(w.strides, 1) ||
      !all(w.pads_begin, 0) || !all(w.pads_end, 0) || std::ranges::count(y, 0) != 0 || x[1] == 0)
    return false;

  Conv1x1Shape shape;
  shape.batch = x[0];
  shape.in_channels = x[1];
  shape.out_channels = y[1];
  shape.pixels = y[2] * y[3];
  shape.block = layout == onednn::Layout::blocked8 ? 8 : 16;

  const Placement source = builder.in_layout(op.inputs[0], onednn::desc_of(x, layout));
  const Placement packed = builder.packed(weights, fmt::format("1x1, blocks of {}", shape.block),
                                          [&] { return conv1x1_weights(weights.data<float>(), shape); });
  emit_blocked(builder, op, {"Conv", node_names(op), "1x1", ""}, {source, packed}, InPlace::first_sum,
               [&](bool has_bias, std::vector<BlockedLink> chain) {
                 return std::make_unique<Conv1x1Kernel>(shape, has_bias, std::move(chain), current_threads());
               });
  return true;
}

}  // namespace plica
