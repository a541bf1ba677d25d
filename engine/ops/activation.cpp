// Activation functions, formulas from https://onnx.ai/onnx/operators/. NaN stays NaN in all of them. An entry
// serves all versions of an operator that differ only in the element types they list: it takes those of the
// newest.
#include <cmath>

#include "engine/core/fail.h"
#include "engine/ops/activation_functions.h"
#include "engine/ops/cast.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/softmax.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

// ---- kernels of those with parameters

float alpha_of(const EvaluateContext& context) { return context.attributes().f("alpha"); }

// kOp(x, alpha), both of the type that x computes in.
template <auto kOp>
void evaluate_alpha(EvaluateContext& context) {
  map_elements<FloatTypes>(context.input(0), context.output(), [alpha = alpha_of(context)]<class T>(T x) {
    return kOp(x, static_cast<T>(alpha));
  });
}

void evaluate_selu(EvaluateContext& context) {
  const float gamma = context.attributes().f("gamma");
  map_elements<FloatTypes>(context.input(0), context.output(),
                           [alpha = alpha_of(context), gamma]<class T>(T x) {
                             return static_cast<T>(gamma) * kElu(x, static_cast<T>(alpha));
                           });
}

// max(0, min(1, alpha * x + beta))
void evaluate_hard_sigmoid(EvaluateContext& context) {
  const float beta = context.attributes().f("beta");
  map_elements<FloatTypes>(context.input(0), context.output(),
                           [alpha = alpha_of(context), beta]<class T>(T x) {
                             const T y = static_cast<T>(alpha) * x + static_cast<T>(beta);
                             return y < 0 ? T(0) : y > 1 ? T(1) : y;
                           });
}

bool gelu_by_tanh(const AttributeReader& attributes) {
  const std::string approximate = attributes.s("approximate");
  require(approximate == "none" || approximate == "tanh", ErrorCode::invalid_model,
          "approximate is {}, it must be none or tanh", quoted(approximate));
  return approximate == "tanh";
}
void infer_gelu(InferContext& context) {
  gelu_by_tanh(context.attributes());
  context.same_as_input();
}
void evaluate_gelu(EvaluateContext& context) {
  if (gelu_by_tanh(context.attributes())) {
    evaluate_map<kGeluTanh>(context);
  } else {
    evaluate_map<kGelu>(context);
  }
}

// x < -lambd: x + bias; x > lambd: x - bias; otherwise 0. The parameters are floats: integers compute in
// double.
void evaluate_shrink(EvaluateContext& context) {
  const float bias = context.attributes().f("bias");
  const float lambd = context.attributes().f("lambd");
  map_elements<NumericTypes>(context.input(0), context.output(), [bias, lambd]<class T>(T x) {
    using C = std::conditional_t<std::is_integral_v<T>, double, T>;
    const C c = static_cast<C>(x);
    const C y = c < -lambd ? c + bias : c > lambd ? c - bias : c != c ? c : C(0);
    if constexpr (std::is_integral_v<T>)
      return to_integer<T>(y);
    else
      return y;
  });
}

// ---- the table

OpDef map(std::string_view name, int since, void (*evaluate)(EvaluateContext&),
          std::vector<AttributeDef> attributes = {}) {
  return {.name = name,
          .since = since,
          .input_types = {types::kFloat},
          .attributes = std::move(attributes),
          .infer = infer_same,
          .evaluate = evaluate};
}

AttributeDef alpha(float value) { return {"alpha", AttributeType::float_, value}; }

std::vector<OpDef> make_table() {
  std::vector<OpDef> ops;
  OpDef relu = map("Relu", 1, evaluate_map<kRelu, JoinLists<FloatTypes, SignedTypes>>);
  relu.input_types = {types::kFloat | types::kSigned};
  add_since_1(ops, relu);
  add_since_1(ops, map("LeakyRelu", 1, evaluate_alpha<kLeakyRelu>, {alpha(0.01f)}));
  add_since_1(ops, map("Elu", 1, evaluate_alpha<kElu>, {alpha(1)}));
  // The defaults got more digits in opset 6.
  ops.push_back(map("Selu", 1, evaluate_selu,
                    {kConsumedInputs, alpha(1.6732f), {"gamma", AttributeType::float_, 1.0507f}}));
  ops.back().until = 5;
  ops.push_back(
      map("Selu", 6, evaluate_selu,
          {alpha(1.67326319217681884765625f), {"gamma", AttributeType::float_, 1.05070102214813232421875f}}));
  ops.push_back(map("Celu", 12, evaluate_alpha<kCelu>, {alpha(1)}));
  add_since_1(ops, map("Sigmoid", 1, evaluate_map<kSigmoid>));
  add_since_1(ops, map("HardSigmoid", 1, evaluate_hard_sigmoid,
                       {alpha(0.2f), {"beta", AttributeType::float_, 0.5f}}));
  ops.push_back(map("HardSwish", 14, evaluate_map<kHardSwish>));
  ops.push_back(map("Softplus", 1, evaluate_map<kSoftplus>));
  ops.push_back(map("Softsign", 1, evaluate_map<kSoftsign>));
  ops.push_back(map("ThresholdedRelu", 10, evaluate_alpha<kThresholdedRelu>, {alpha(1)}));
  ops.push_back(
      map("Gelu", 20, evaluate_gelu, {{"approximate", AttributeType::string, std::string_view("none")}}));
  ops.back().infer = infer_gelu;
  ops.push_back(map("Mish", 18, evaluate_map<kMish>));
  ops.push_back(map("Swish", 24, evaluate_alpha<kSwish>, {alpha(1)}));
  ops.push_back(map("Shrink", 9, evaluate_shrink,
                    {{"bias", AttributeType::float_, 0.0f}, {"lambd", AttributeType::float_, 0.5f}}));
  ops.back().input_types = {types::kNumeric};
  add_softmax_ops(ops);
  return ops;
}

}  // namespace

std::span<const OpDef> activation_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
