// Matrix products. By constant weights the leading axes are rows of one product; otherwise they are a batch.
#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/gemv_kernel.h"
#include "runtime/kernels/post_ops.h"
#include "runtime/kernels/rows_product_kernel.h"

namespace plica {
namespace {

bool is_ref(const std::string& name) { return name.find("ref") != std::string::npos; }

onednn::Desc transposed_matrix(const Dims& stored) {
  return onednn::strided({stored[1], stored[0]}, {1, stored[1]});
}

// Emits the product and what of the chain it takes. `y`: the result as the primitive sees it.
bool emit_product(PlanBuilder& builder, const LoweredOp& op, const Placement& a, const onednn::Desc& b_stored,
                  const onednn::Desc& b_wanted, const Dims& y, bool with_chain) {
  LoweredOp bare = op;
  if (!with_chain) bare.chain.clear();
  const onednn::Desc destination = onednn::row_major(y);
  const FusedChain chain(builder, bare, y, destination, false);
  const bool has_bias = op.inputs.size() > 2;
  auto primitive = onednn::matmul(*a.desc, b_wanted, has_bias, destination, chain.post_ops());
  if (!primitive || (with_chain && is_ref(primitive->implementation))) return false;
  std::vector<PlanBuilder::PrimitiveOperand> operands = {{DNNL_ARG_SRC, a}};
  const LoweredValue& b = builder.value(op.inputs[1]);
  if (b.constant.defined()) {
    operands.push_back({DNNL_ARG_WEIGHTS, builder.packed(b.constant, b_stored, primitive->weights)});
  } else {
    Placement p = builder.row_major(op.inputs[1]);
    p.desc = b_stored;
    operands.push_back({DNNL_ARG_WEIGHTS, p});
  }
  if (has_bias) {
    Dims bias(y.size(), 1);
    bias.back() = y.back();
    operands.push_back({DNNL_ARG_BIAS, operand_as(builder, op, op.inputs[2], bias, onednn::row_major(bias))});
  }
  chain.add_operands(builder, bare, operands);
  const bool complete = chain.links() == op.chain.size();
  const onednn::Desc result = onednn::row_major(builder.value(op.outputs[0]).dims);
  Placement to = complete ? builder.allocate(op.outputs[0], result) : builder.allocate_temporary(result);
  to.desc = destination;
  operands.push_back({DNNL_ARG_DST, to});
  builder.emit(op, "MatMul", std::move(*primitive), operands);
  if (!complete) {
    to.desc = result;
    build_chain(builder, op, chain.links(), to, true);
  }
  return true;
}

// A few rows by constants: read where they are, and what the chain does to so few results is a step of its
// own.
bool build_gemv(PlanBuilder& builder, const LoweredOp& op, const MatMulParams& p) {
  const LoweredValue& b = builder.value(op.inputs[1]);
  const Dims& y = builder.value(op.outputs[0]).dims;
  if (!b.constant.defined() || b.dims.size() != 2 || y.empty() || y.back() == 0) return false;
  GemvShape shape;
  shape.columns = y.back();
  shape.rows = checked_elements(y) / shape.columns;
  shape.terms = b.dims[p.transpose_b ? 1 : 0];
  shape.transposed = p.transpose_b;
  if (shape.rows == 0 || shape.rows > GemvShape::kMostRows || (p.transpose_a && shape.rows > 1)) return false;
  const bool has_bias = op.inputs.size() > 2;
  if (has_bias && checked_elements(builder.value(op.inputs[2]).dims) != shape.columns) return false;
  std::vector<Placement> operands = {builder.row_major(op.inputs[0]), builder.row_major(op.inputs[1])};
  if (has_bias) operands.push_back(builder.row_major(op.inputs[2]));
  const onednn::Desc result = onednn::row_major(y);
  const bool complete = op.chain.empty();
  const Placement to =
      complete ? builder.allocate(op.outputs[0], result) : builder.allocate_temporary(result);
  operands.push_back(to);
  StepInfo info{"MatMul", node_names(op), "gemv", onednn::layout_name(result)};
  info.flops = 2 * multiply_adds(builder.graph(), op);
  builder.emit(std::move(info), std::make_unique<GemvKernel>(shape, has_bias, current_threads()), operands);
  if (!complete) build_chain(builder, op, 0, to, true);
  return true;
}

// More rows by constants.
bool build_rows_product(PlanBuilder& builder, const LoweredOp& op, const MatMulParams& p) {
  const LoweredValue& b = builder.value(op.inputs[1]);
  const Dims& y = builder.value(op.outputs[0]).dims;
  if (!b.constant.defined() || b.dims.size() != 2 || y.size() < 2 || p.transpose_a) return false;
  RowsProductShape shape;
  shape.columns = y.back();
  shape.terms = b.dims[p.transpose_b ? 1 : 0];
  shape.transposed = p.transpose_b;
  if (shape.columns == 0 || shape.terms == 0) return false;
  shape.rows = checked_elements(y) / shape.columns;
  if (shape.rows == 0) return false;
  if (op.inputs.size() > 2 && checked_elements(builder.value(op.inputs[2]).dims) != shape.columns)
    return false;
  const Placement packed =
      builder.packed(b.constant, p.transpose_b ? "rows product, transposed" : "rows product",
                     rows_product_weights_bytes(shape), [&] { return rows_product_weights(b.constant, shape); });
  emit_with_chain(builder, op, rows_form(builder, op), {"MatMul", node_names(op), "rows", ""},
                  {builder.row_major(op.inputs[0]), packed}, InPlace::first_sum,
                  [&](bool has_bias, std::vector<KernelLink> chain) {
                    return std::make_unique<RowsProductKernel>(shape, has_bias, std::move(chain),
                                                               current_threads());
                  });
  return true;
}

}  // namespace

void build_matmul(PlanBuilder& builder, const LoweredOp& op, const MatMulParams& p) {
  const LoweredValue& a = builder.value(op.inputs[0]);
  const LoweredValue& b = builder.value(op.inputs[1]);
  const Dims y = builder.value(op.outputs[0]).dims;
  const Dims a_dims = a.dims, b_dims = b.dims;
  if (build_gemv(builder, op, p) || build_rows_product(builder, op, p)) return;
  for (const bool with_chain : {true, false}) {
    if (b_dims.size() == 2 && y.size() >= 2) {
      const int64_t n = y.back(), m = checked_elements(y) / n;
      Placement source = builder.row_major(op.inputs[0]);
      const int64_t k = p.transpose_b ? b_dims[1] : b_dims[0];
      source.desc = p.transpose_a ? transposed_matrix(a_dims) : onednn::row_major({m, k});
      const onednn::Desc stored = p.transpose_b ? transposed_matrix(b_dims) : onednn::row_major(b_dims);
      const onednn::Desc wanted = b.constant.defined() ? onednn::any_layout({k, n}) : stored;
      if (emit_product(builder, op, source, stored, wanted, {m, n}, with_chain)) return;
    } else if (a_dims.size() >= 2 && b_dims.size() >= 2 && !p.transpose_a && !p.transpose_b) {
      const size_t rank = y.size();
      Placement source = builder.row_major(op.inputs[0]);
      source.desc = onednn::row_major(aligned_dims(a_dims, rank));
      const onednn::Desc stored = onednn::row_major(aligned_dims(b_dims, rank));
      if (emit_product(builder, op, source, stored, stored, y, with_chain)) return;
    }
  }
  fail(ErrorCode::unsupported, "oneDNN has no product of {} by {}", to_string(a_dims), to_string(b_dims));
}

}  // namespace plica
