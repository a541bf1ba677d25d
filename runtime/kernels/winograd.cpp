// 3x3 convolutions by Winograd's method, where it pays.
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/winograd_kernel.h"
#include "runtime/plan/layout_policy.h"
#include "runtime/plan/runner.h"

namespace plica {
bool build_winograd(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Tensor& weights = builder.value(op.inputs[1]).constant;
  const onednn::Layout layout = builder.layout();
  if (builder.programs().exact() || !weights.defined()) return false;
  if (block_of(layout) == 1) return false;
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
  shape.block = block_of(layout);
  shape.tile = tile;

  const Placement source = builder.in_layout(op.inputs[0], onednn::desc_of(x, layout));
  const Placement packed =
      builder.packed(weights, fmt::format("winograd {}, blocks of {}", tile, shape.block),
                     winograd_weights_bytes(shape), [&] { return winograd_weights(weights, shape); });
  emit_with_chain(builder, op, blocked_form(builder, op),
                  {"Conv", node_names(op), tile == 4 ? "winograd F(4x4,3x3)" : "winograd F(2x2,3x3)", ""},
                  {source, packed}, InPlace::any, [&](bool has_bias, std::vector<KernelLink> chain) {
                    return std::make_unique<WinogradKernel>(shape, has_bias, std::move(chain),
                                                            current_threads());
                  });
  return true;
}

}  // namespace plica
