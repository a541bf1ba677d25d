// Pointwise operators, and batch normalization as one.
#include "runtime/plan/lowerer.h"

#include <cmath>
#include <limits>

namespace plica {

namespace {

bool same_dims(const Lowerer& l) { return l.in(0).dims == l.out().dims; }

}  // namespace

void lower_unary(Lowerer& l, Unary f, float a, float b) {
  l.become(PointwiseParams{}, {l.op.inputs[0]}, {PointOp::of(f, a, b)});
}

void lower_clip(Lowerer& l) {
  float low = std::numeric_limits<float>::lowest(), high = std::numeric_limits<float>::max();
  if (l.node.opset() < 11) {
    low = l.attributes.f("min");
    high = l.attributes.f("max");
  } else {
    if (l.has_input(1)) {
      if (!l.scalar(1)) return;
      low = *l.scalar(1);
    }
    if (l.has_input(2)) {
      if (!l.scalar(2)) return;
      high = *l.scalar(2);
    }
  }
  if (low > high) return;
  lower_unary(l, Unary::clip, low, high);
}

// A binary operator. By a constant scalar it is a linear function where it is one.
void lower_binary(Lowerer& l, Binary f) {
  if (l.op.inputs.size() != 2) return;
  // Before opset 7 operands align by an axis attribute, not as in numpy.
  if (l.node.opset() < 7 && l.in(0).dims != l.in(1).dims) return;
  // The chain runs on the operand that has the result's shape.
  const bool first_is_full = l.in(0).dims == l.out().dims;
  const bool second_is_full = l.in(1).dims == l.out().dims;
  if (!first_is_full && !second_is_full) return;
  const size_t root = first_is_full && !(second_is_full && l.constant(0)) ? 0 : 1;
  const size_t other = 1 - root;
  if (auto s = l.scalar(other); s && l.in(root).dims == l.out().dims) {
    std::optional<PointOp> linear;
    if (f == Binary::add) linear = PointOp::of(Unary::linear, 1.f, *s);
    if (f == Binary::mul) linear = PointOp::of(Unary::linear, *s, 0.f);
    if (f == Binary::sub)
      linear = root == 0 ? PointOp::of(Unary::linear, 1.f, -*s) : PointOp::of(Unary::linear, -1.f, *s);
    if (f == Binary::div && root == 0 && std::isnormal(1.f / *s))
      linear = PointOp::of(Unary::linear, 1.f / *s, 0.f);
    if (linear) {
      l.become(PointwiseParams{}, {l.op.inputs[root]}, {*linear});
      return;
    }
  }
  l.become(PointwiseParams{}, {l.op.inputs[root]}, {PointOp::of(f, l.op.inputs[other], root == 1)});
}

void lower_pow(Lowerer& l) {
  const auto exponent = l.scalar(1);
  if (!exponent || !same_dims(l)) return;
  if (*exponent == 2.f) lower_unary(l, Unary::square);
  if (*exponent == 0.5f) lower_unary(l, Unary::sqrt);
  if (*exponent == 1.f) l.become(ViewParams{}, {l.op.inputs[0]});
}

// y = scale * (x - mean) / sqrt(variance + epsilon) + shift = a * x + b by channel (ONNX operator
// BatchNormalization).
void lower_batch_norm(Lowerer& l) {
  for (size_t i = 1; i < 5; ++i) {
    if (!l.constant(i) || l.in(i).dims != l.in(1).dims || l.in(i).dims.size() != 1) return;
  }
  for (size_t i = 1; i < l.op.outputs.size(); ++i) {
    if (l.has_output(i)) return;
  }
  if (l.in(0).dims.size() < 2 || l.in(1).dims[0] != l.in(0).dims[1]) return;
  if (l.node.opset() < 7 && l.attributes.i("is_test") == 0) return;
  if (l.node.opset() < 9 && l.attributes.i("spatial") == 0) return;
  if (l.node.opset() >= 14 && l.attributes.i("training_mode") != 0) return;
  const float epsilon = l.attributes.f("epsilon");
  const auto values = [&](size_t i) { return l.constant(i)->values<float>(); };
  const int64_t channels = l.in(1).dims[0];
  Dims dims(l.in(0).dims.size(), 1);
  dims[1] = channels;
  Tensor a(DataType::float32, dims), b(DataType::float32, dims);
  for (int64_t c = 0; c < channels; ++c) {
    const size_t i = static_cast<size_t>(c);
    const double scale = values(1)[i] / std::sqrt(static_cast<double>(values(4)[i]) + epsilon);
    a.mutable_data<float>()[c] = static_cast<float>(scale);
    b.mutable_data<float>()[c] = static_cast<float>(values(2)[i] - scale * values(3)[i]);
  }
  const int scale = l.graph.add_constant(std::move(a)), shift = l.graph.add_constant(std::move(b));
  l.become(PointwiseParams{}, {l.op.inputs[0]},
           {PointOp::of(Binary::mul, scale), PointOp::of(Binary::add, shift)});
}

void lower_prelu(Lowerer& l) {
  if (auto slope = l.scalar(1)) return lower_unary(l, Unary::leaky_relu, *slope);
  if (l.node.opset() < 7) return;  // slopes are by channel, not as in numpy
  l.become(PointwiseParams{}, {l.op.inputs[0]}, {PointOp::of(Binary::prelu, l.op.inputs[1])});
}

void lower_selu(Lowerer& l) {
  l.become(PointwiseParams{}, {l.op.inputs[0]},
           {PointOp::of(Unary::elu, l.attributes.f("alpha")),
            PointOp::of(Unary::linear, l.attributes.f("gamma"))});
}

void lower_celu(Lowerer& l) {
  if (const float alpha = l.attributes.f("alpha"); alpha > 0) lower_unary(l, Unary::celu, alpha);
}

void lower_gelu(Lowerer& l) {
  lower_unary(l, l.attributes.s("approximate") == "tanh" ? Unary::gelu_tanh : Unary::gelu);
}

// Sum, Max, Min.
void lower_variadic(Lowerer& l, Binary f) {
  constexpr size_t kMostOperands = 8;
  if (l.op.inputs.size() > kMostOperands) return;
  PointChain chain;
  for (size_t i = 1; i < l.op.inputs.size(); ++i) chain.push_back(PointOp::of(f, l.op.inputs[i]));
  if (!same_dims(l)) return;
  if (chain.empty()) {
    l.become(ViewParams{}, {l.op.inputs[0]});
  } else {
    l.become(PointwiseParams{}, {l.op.inputs[0]}, std::move(chain));
  }
}

}  // namespace plica
