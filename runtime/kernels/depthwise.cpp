// Depthwise convolutions, and affines by channel, by a kernel of our own.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/depthwise_kernel.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

// Input 1 of the operation holds the filters.
void emit_depthwise(PlanBuilder& builder, const LoweredOp& op, StepInfo info, const Placement& source,
                    const DepthwiseShape& shape, InPlace in_place) {
  const Tensor& filters = builder.value(op.inputs[1]).constant;
  const Placement packed = builder.packed(filters, fmt::format("depthwise, blocks of {}", shape.block),
                                          depthwise_weights_bytes(shape), [&] { return depthwise_weights(filters.in_memory().data<float>(), shape); });
  emit_with_chain(builder, op, blocked_form(builder, op), std::move(info), {source, packed}, in_place,
                  [&](bool has_bias, std::vector<KernelLink> chain) {
                    return std::make_unique<DepthwiseKernel>(shape, has_bias, std::move(chain),
                                                             current_threads());
                  });
}

}  // namespace

bool build_depthwise(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Tensor& weights = builder.value(op.inputs[1]).constant;
  const onednn::Layout layout = builder.layout();
  if (block_of(layout) == 1 || builder.choice().tile == 0) return false;
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
  shape.block = block_of(layout);
  shape.window = static_cast<int>(w.kernel[0]);
  shape.stride_down = w.strides[0];
  shape.stride_along = w.strides[1];

  emit_depthwise(builder, op, {"Conv", node_names(op), "depthwise", ""},
                 builder.in_layout(op.inputs[0], onednn::desc_of(x, layout)), shape, InPlace::first_sum);
  return true;
}

// A factor for each channel [and a shift], and what the chain goes on with: a window of 1x1, whose chain runs
// while the results are in registers or in the cache.
bool build_affine(PlanBuilder& builder, const LoweredOp& op) {
  const LoweredValue& x = builder.value(op.inputs[0]);
  const onednn::Layout layout = builder.layout();
  const Placement from = builder.placement(op.inputs[0]);
  if (block_of(layout) == 1 || x.dims.size() != 4 || x.type != DataType::float32 ||
      x.dims != builder.value(op.outputs[0]).dims || !from.desc ||
      !onednn::same_placement(*from.desc, onednn::desc_of(x.dims, layout)) || checked_elements(x.dims) == 0)
    return false;
  const auto by_channel = [&](size_t i, Binary function) {
    if (i >= op.chain.size() || op.chain[i].is_unary || op.chain[i].binary != function) return false;
    const LoweredValue& operand = builder.value(op.chain[i].operand);
    return operand.constant.defined() && operand.type == DataType::float32 &&
           aligned_dims(operand.dims, 4) == Dims{1, x.dims[1], 1, 1};
  };
  if (x.dims[1] == 1 || !by_channel(0, Binary::mul)) return false;
  LoweredOp affine = op;
  affine.inputs = {op.inputs[0], op.chain[0].operand};
  if (by_channel(1, Binary::add)) affine.inputs.push_back(op.chain[1].operand);
  affine.chain.erase(affine.chain.begin(),
                     affine.chain.begin() + static_cast<std::ptrdiff_t>(affine.inputs.size()) - 1);

  constexpr int64_t kShortPlane = 1024;  // which is one row
  DepthwiseShape shape;
  shape.batch = x.dims[0];
  shape.channels = x.dims[1];
  const bool flat = x.dims[2] * x.dims[3] <= kShortPlane;
  shape.in_height = shape.out_height = flat ? 1 : x.dims[2];
  shape.in_width = shape.out_width = flat ? x.dims[2] * x.dims[3] : x.dims[3];
  shape.block = block_of(layout);
  shape.window = 1;
  emit_depthwise(builder, affine, {"Pointwise", node_names(op), "affine", ""}, from, shape, InPlace::source);
  return true;
}

}  // namespace plica
