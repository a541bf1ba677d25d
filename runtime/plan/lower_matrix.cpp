// Matrix products and what works on rows.
#include "runtime/plan/lowerer.h"

namespace plica {

void lower_matmul(Lowerer& l) {
  // Vectors get their missing axis by views.
  Dims a = l.in(0).dims, b = l.in(1).dims, y = l.out().dims;
  if (a.empty() || b.empty()) return;
  std::vector<int> inputs = l.op.inputs;
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) inputs[0] = l.before(ViewParams{}, {inputs[0]}, {1, a[0]});
  if (column) {
    if (l.constant(1)) {
      inputs[1] = l.graph.add_constant(l.constant(1)->reshaped({b[0], 1}));
    } else {
      inputs[1] = l.before(ViewParams{}, {inputs[1]}, {b[0], 1});
    }
  }
  if (row && l.constant(0)) return;
  if (!row && !column) {
    l.become(MatMulParams{}, inputs);
    return;
  }
  Dims full = y;
  if (column) full.push_back(1);
  if (row) full.insert(full.end() - 1, 1);
  const int product = l.before(MatMulParams{}, inputs, full);
  l.become(ViewParams{}, {product});
}

// alpha * A' * B' + beta * C (ONNX operator Gemm).
void lower_gemm(Lowerer& l) {
  MatMulParams p;
  p.transpose_a = l.attributes.i("transA") != 0;
  p.transpose_b = l.attributes.i("transB") != 0;
  const float alpha = l.attributes.f("alpha"), beta = l.attributes.f("beta");
  PointChain chain;
  if (alpha != 1.f) chain.push_back(PointOp::of(Unary::linear, alpha, 0.f));
  if (l.has_input(2) && beta != 0.f) {
    int c = l.op.inputs[2];
    if (beta != 1.f) {
      const Tensor* t = l.constant(2);
      if (!t) return;
      Tensor scaled = t->clone();
      for (float& v : scaled.mutable_values<float>()) v *= beta;
      c = l.graph.add_constant(std::move(scaled));
    }
    chain.push_back(PointOp::of(Binary::add, c));
  }
  l.become(p, {l.op.inputs[0], l.op.inputs[1]}, std::move(chain));
}

void lower_softmax(Lowerer& l) {
  const int rank = static_cast<int>(l.in(0).dims.size());
  int64_t axis = l.attributes.i("axis");
  if (rank == 0) return;
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  const bool log = l.node.op_type() == "LogSoftmax";
  if (l.node.opset() >= 13 || axis == rank - 1) {
    l.become(SoftmaxParams{static_cast<int>(axis), log}, {l.op.inputs[0]});
    return;
  }
  // Before opset 13 the axes from `axis` on are one.
  Dims flat = {1, 1};
  for (int i = 0; i < rank; ++i) flat[i < axis ? 0 : 1] *= l.in(0).dims[static_cast<size_t>(i)];
  const int rows = l.before(ViewParams{}, {l.op.inputs[0]}, flat);
  const int result = l.before(SoftmaxParams{1, log}, {rows}, flat);
  l.become(ViewParams{}, {result});
}

void lower_layer_norm(Lowerer& l) {
  if (l.has_output(1) || l.has_output(2)) return;
  const int rank = static_cast<int>(l.in(0).dims.size());
  int64_t axis = l.attributes.i("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  const Dims normal(l.in(0).dims.begin() + axis, l.in(0).dims.end());
  for (size_t i = 1; i < l.op.inputs.size(); ++i) {
    if (l.has_input(i) && l.in(i).dims != normal) return;
  }
  const bool centered = l.node.op_type() == "LayerNormalization";  // or RMSNormalization
  l.become(LayerNormParams{rank - static_cast<int>(axis), l.attributes.f("epsilon"), centered}, l.op.inputs);
}

}  // namespace plica
