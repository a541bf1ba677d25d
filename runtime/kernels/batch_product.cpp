// Batches of products whose operands and result have their axes in any order, by oneDNN's strides.
#include "engine/core/fail.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

// A row-major tensor whose axis order[i] is axis i of what is described.
onednn::Desc reading(const Dims& stored, const std::vector<int>& order) {
  const Dims strides = row_major_strides(stored);
  Dims dims, seen;
  for (int axis : order) {
    dims.push_back(stored[static_cast<size_t>(axis)]);
    seen.push_back(strides[static_cast<size_t>(axis)]);
  }
  return onednn::strided(dims, seen);
}

// A row-major tensor whose axis i is axis order[i] of what is described.
onednn::Desc writing(const Dims& stored, const std::vector<int>& order) {
  std::vector<int> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse[static_cast<size_t>(order[i])] = static_cast<int>(i);
  return reading(stored, inverse);
}

// The matrices are such as BLAS takes: rows or, but for the result, columns without gaps, which do not
// overlap.
bool has_plain_matrices(const onednn::Desc& desc, bool is_result) {
  const auto axes = onednn::axes_of_memory(desc);
  if (!axes) return false;
  const Dims dims = onednn::dims_of(desc);
  const int rows = static_cast<int>(dims.size()) - 2, columns = rows + 1;
  int64_t row = 0, column = 0;
  for (const onednn::Axis& axis : *axes) {
    if (axis.axis == rows) row = axis.stride;
    if (axis.axis == columns) column = axis.stride;
  }
  return (column == 1 && row >= dims.back()) || (!is_result && row == 1 && column >= dims[dims.size() - 2]);
}

// The same elements in row-major order.
Placement materialized(PlanBuilder& builder, const LoweredOp& op, const Placement& from) {
  const onednn::Desc desc = onednn::row_major(onednn::dims_of(*from.desc));
  if (onednn::same_placement(*from.desc, desc)) return {from.storage, from.offset, desc};
  const Placement to = builder.allocate_temporary(desc);
  builder.reorder(node_names(op), from, to);
  return to;
}

}  // namespace

void build_batch_product(PlanBuilder& builder, const LoweredOp& op, const BatchProductParams& p) {
  const Dims stored = builder.value(op.outputs[0]).dims;
  Placement a = builder.row_major(op.inputs[0]), b = builder.row_major(op.inputs[1]);
  a.desc = reading(onednn::dims_of(*a.desc), p.a_order);
  b.desc = reading(onednn::dims_of(*b.desc), p.b_order);
  const onednn::Desc result = onednn::row_major(stored), seen = writing(stored, p.y_order);
  const Dims y = onednn::dims_of(seen);
  const onednn::Desc destination = has_plain_matrices(seen, true) ? seen : onednn::row_major(y);
  for (Placement* operand : {&a, &b}) {
    if (!has_plain_matrices(*operand->desc, false)) *operand = materialized(builder, op, *operand);
  }
  for (const bool with_chain : {true, false}) {
    LoweredOp bare = op;
    if (!with_chain) bare.chain.clear();
    const FusedChain chain(builder, bare, y, destination, false);
    auto primitive = onednn::matmul(*a.desc, *b.desc, false, destination, chain.post_ops());
    if (!primitive || (with_chain && primitive->implementation.find("ref") != std::string::npos)) continue;
    std::vector<PlanBuilder::PrimitiveOperand> operands = {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}};
    chain.add_operands(builder, bare, operands);
    const bool complete = chain.links() == op.chain.size();
    Placement to = complete ? builder.allocate(op.outputs[0], result) : builder.allocate_temporary(result);
    to.desc = seen;
    const bool in_place = onednn::same_placement(seen, destination);
    const Placement product = in_place ? to : builder.allocate_temporary(destination);
    operands.push_back({DNNL_ARG_DST, product});
    builder.emit(op, "MatMul", std::move(*primitive), operands);
    if (!in_place) builder.reorder(node_names(op), product, to);
    to.desc = result;
    if (!complete) build_chain(builder, op, chain.links(), to, true);
    return;
  }
  fail(ErrorCode::unsupported, "oneDNN has no product of {} by {}", to_string(onednn::dims_of(*a.desc)),
       to_string(onednn::dims_of(*b.desc)));
}

}  // namespace plica
