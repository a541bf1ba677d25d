// Convolutions of 1x1 windows by a kernel of our own.
#include "engine/core/parallel.h"
#include "runtime/kernels/conv1x1_kernel.h"
#include "runtime/kernels/families.h"
#include "runtime/plan/layout_policy.h"

namespace plica {

bool build_conv1x1(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Tensor& weights = builder.value(op.inputs[1]).constant;
  const onednn::Layout layout = builder.layout();
  if (builder.choice().tile == 0 && !p.scaled) return false;
  if (!weights.defined() || !runs_as_1x1(p, x, y, layout)) return false;

  Conv1x1Shape shape;
  shape.batch = x[0];
  shape.in_channels = x[1];
  shape.out_channels = y[1];
  shape.pixels = y[2] * y[3];
  shape.block = block_of(layout);
  shape.scaled = p.scaled;

  std::vector<Placement> operands = {
      builder.in_layout(op.inputs[0], onednn::desc_of(x, layout)),
      builder.packed(weights, fmt::format("1x1, blocks of {}", shape.block),
                     conv1x1_weights_bytes(shape), [&] { return conv1x1_weights(weights, shape); })};
  if (p.scaled)
    operands.push_back(builder.in_layout(op.inputs[3], onednn::desc_of({x[0], x[1], 1, 1}, layout)));
  emit_with_chain(builder, op, blocked_form(builder, op),
                  {"Conv", node_names(op), p.scaled ? "1x1 of scaled" : "1x1", ""}, std::move(operands),
                  InPlace::first_sum, [&](bool has_bias, std::vector<KernelLink> chain) {
                    return std::make_unique<Conv1x1Kernel>(shape, has_bias, std::move(chain),
                                                           current_threads());
                  });
  return true;
}

}  // namespace plica
