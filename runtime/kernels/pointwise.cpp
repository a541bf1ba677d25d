// Steps of pointwise chains.
#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/pointwise_kernel.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

using onednn::Axis;

PointwiseKernel::Padding padding_of(const onednn::Desc& desc, const Dims& dims) {
  if (!onednn::has_padding(desc)) return {};
  PointwiseKernel::Padding p;
  p.block = onednn::channel_block(desc);
  p.outer = dims[0];
  p.blocks = (dims[1] + p.block - 1) / p.block;
  p.inner = checked_elements(std::span(dims).subspan(2));
  p.first_lane = dims[1] % p.block;
  return p;
}

// The layout of an operand that lets it be walked along with a tensor in layout `desc`.
onednn::Desc operand_desc(const Dims& operand, const Dims& dims, const onednn::Desc& desc) {
  if (operand == dims) return desc;
  const bool blocked = onednn::channel_block(desc) > 1;
  return blocked && operand[1] != 1 ? onednn::desc_of(operand, onednn::layout_of(desc))
                                    : onednn::row_major(operand);
}

// The operand's step in its memory for each of the axes.
std::vector<int64_t> strides_along(const std::vector<Axis>& axes, const Dims& operand,
                                   const onednn::Desc& desc) {
  const auto own = *onednn::axes_of_memory(desc);
  std::vector<int64_t> strides;
  for (const Axis& a : axes) {
    int64_t stride = 0;
    if (operand[static_cast<size_t>(a.axis)] != 1) {
      for (const Axis& o : own) {
        if (o.axis == a.axis && o.step == a.step) stride = o.stride;
      }
    }
    strides.push_back(stride);
  }
  return strides;
}

}  // namespace

void build_chain(PlanBuilder& builder, const LoweredOp& op, size_t first, const Placement& from, bool owned) {
  const Dims& result = builder.value(op.outputs[0]).dims;
  const onednn::Desc desc = *from.desc;
  const Dims dims = onednn::dims_of(desc);
  const auto axes = *onednn::axes_of_memory(desc);
  std::vector<Placement> operands = {from};
  std::vector<std::vector<int64_t>> strides = {strides_along(axes, dims, desc)};
  std::vector<PointwiseKernel::Instruction> program;
  for (size_t i = first; i < op.chain.size(); ++i) {
    PointwiseKernel::Instruction instruction{op.chain[i], -1};
    if (!op.chain[i].is_unary) {
      const int v = op.chain[i].operand;
      const Dims operand = aligned_dims(builder.value(v).dims, dims.size());
      const onednn::Desc wanted = operand_desc(operand, dims, desc);
      instruction.operand = static_cast<int>(operands.size());
      operands.push_back(operand_as(builder, op, v, operand, wanted));
      strides.push_back(strides_along(axes, operand, wanted));
    }
    program.push_back(instruction);
  }
  std::vector<PointwiseKernel::Loop> loops;
  for (size_t a = 0; a < axes.size(); ++a) {
    PointwiseKernel::Loop loop;
    loop.extent = axes[a].extent;
    for (const auto& s : strides) loop.strides.push_back(s[a]);
    loops.push_back(std::move(loop));
  }
  Placement to = from;
  if (owned) {
    builder.alias(op.outputs[0], to);
  } else {
    to = builder.allocate(op.outputs[0], result.size() == dims.size() ? desc : onednn::row_major(result));
  }
  operands.push_back(to);
  builder.emit(
      {"Pointwise", node_names(op), "pointwise", onednn::layout_name(desc)},
      std::make_unique<PointwiseKernel>(std::move(program), std::move(loops), padding_of(desc, dims)),
      operands);
}

void build_pointwise(PlanBuilder& builder, const LoweredOp& op) {
  if (build_affine(builder, op)) return;
  Placement from = builder.placement(op.inputs[0]);
  const Dims& dims = builder.value(op.outputs[0]).dims;
  // A row-major operand follows the layout of the others.
  if (onednn::is_row_major(*from.desc)) {
    for (const PointOp& link : op.chain) {
      if (link.is_unary || builder.value(link.operand).constant.defined() ||
          builder.value(link.operand).dims != dims)
        continue;
      const Placement other = builder.placement(link.operand);
      if (onednn::is_row_major(*other.desc)) continue;
      from = builder.in_layout(op.inputs[0], *other.desc);
      break;
    }
  }
  if (!onednn::axes_of_memory(*from.desc) || onednn::channel_block(*from.desc) == 0)
    from = builder.row_major(op.inputs[0]);
  build_chain(builder, op, 0, from, builder.dies_here(from));
}

}  // namespace plica
