// Softmax, layer normalization and means along rows.
#include "engine/core/checked.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/rows_kernel.h"

namespace plica {
namespace {

int64_t row_length(const Dims& dims, int axes) {
  return checked_elements(std::span(dims).last(static_cast<size_t>(axes)));
}

// In place where the input dies, otherwise new memory.
Placement result_place(PlanBuilder& builder, const LoweredOp& op, const Placement& from) {
  if (op.chain.empty()) {
    if (builder.dies_here(from)) {
      builder.alias(op.outputs[0], from);
      return from;
    }
    return builder.allocate(op.outputs[0], *from.desc);
  }
  return builder.allocate_temporary(*from.desc);
}

}  // namespace

void build_softmax(PlanBuilder& builder, const LoweredOp& op, const SoftmaxParams& p) {
  const Placement from = builder.row_major(op.inputs[0]);
  const std::span<const int64_t> dims = builder.value(op.inputs[0]).dims;
  const auto axis = static_cast<size_t>(p.axis);
  const Placement to = result_place(builder, op, from);
  builder.emit({p.log ? "LogSoftmax" : "Softmax", node_names(op), "rows", onednn::layout_name(*from.desc)},
               std::make_unique<SoftmaxKernel>(checked_elements(dims.first(axis)), dims[axis],
                                               checked_elements(dims.subspan(axis + 1)), p.log),
               {from, to});
  if (!op.chain.empty()) build_chain(builder, op, 0, to, true);
}

void build_layer_norm(PlanBuilder& builder, const LoweredOp& op, const LayerNormParams& p) {
  const Dims& dims = builder.value(op.inputs[0]).dims;
  const int64_t row = row_length(dims, p.axes);
  const bool has_scale = op.inputs.size() > 1 && op.inputs[1] >= 0,
             has_shift = op.inputs.size() > 2 && op.inputs[2] >= 0;
  const Placement from = builder.row_major(op.inputs[0]);
  std::vector<Placement> operands = {from};
  if (has_scale) operands.push_back(builder.row_major(op.inputs[1]));
  if (has_shift) operands.push_back(builder.row_major(op.inputs[2]));
  const Placement to = result_place(builder, op, from);
  operands.push_back(to);
  builder.emit({p.centered ? "LayerNormalization" : "RMSNormalization", node_names(op), "rows",
                onednn::layout_name(*from.desc)},
               std::make_unique<LayerNormKernel>(LayerNormKernel::Options{
                   checked_elements(dims) / row, row, p.epsilon, p.centered, has_scale, has_shift}),
               operands);
  if (!op.chain.empty()) build_chain(builder, op, 0, to, true);
}

void build_reduce_mean(PlanBuilder& builder, const LoweredOp& op, const ReduceMeanParams& p) {
  const Dims& dims = builder.value(op.inputs[0]).dims;
  const int64_t row = row_length(dims, p.axes);
  const Placement from = builder.row_major(op.inputs[0]);
  const onednn::Desc desc = onednn::row_major(builder.value(op.outputs[0]).dims);
  const Placement to =
      op.chain.empty() ? builder.allocate(op.outputs[0], desc) : builder.allocate_temporary(desc);
  builder.emit({"ReduceMean", node_names(op), "rows", onednn::layout_name(desc)},
               std::make_unique<RowMeanKernel>(checked_elements(dims) / row, row), {from, to});
  if (!op.chain.empty()) build_chain(builder, op, 0, to, true);
}

}  // namespace plica
