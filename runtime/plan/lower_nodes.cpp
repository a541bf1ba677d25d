#include "runtime/plan/lower_nodes.h"

#include <string_view>

#include "runtime/plan/lowerer.h"

namespace plica {
namespace {

struct Entry {
  std::string_view op_type;
  void (*lower)(Lowerer&);
};

// Operators on float32 with a lowering of their own.
constexpr Entry kFloatTable[] = {
    {"Relu", [](Lowerer& l) { lower_unary(l, Unary::relu); }},
    {"LeakyRelu", [](Lowerer& l) { lower_unary(l, Unary::leaky_relu, l.attributes.f("alpha")); }},
    {"Elu", [](Lowerer& l) { lower_unary(l, Unary::elu, l.attributes.f("alpha")); }},
    {"Sigmoid", [](Lowerer& l) { lower_unary(l, Unary::sigmoid); }},
    {"Tanh", [](Lowerer& l) { lower_unary(l, Unary::tanh); }},
    {"HardSigmoid",
     [](Lowerer& l) {
       lower_unary(l, Unary::hard_sigmoid, l.attributes.f("alpha"), l.attributes.f("beta"));
     }},
    {"HardSwish", [](Lowerer& l) { lower_unary(l, Unary::hard_swish); }},
    {"Softplus", [](Lowerer& l) { lower_unary(l, Unary::soft_plus); }},
    {"Exp", [](Lowerer& l) { lower_unary(l, Unary::exp); }},
    {"Log", [](Lowerer& l) { lower_unary(l, Unary::log); }},
    {"Sqrt", [](Lowerer& l) { lower_unary(l, Unary::sqrt); }},
    {"Abs", [](Lowerer& l) { lower_unary(l, Unary::abs); }},
    {"Neg", [](Lowerer& l) { lower_unary(l, Unary::linear, -1.f, 0.f); }},
    {"Reciprocal", [](Lowerer& l) { lower_unary(l, Unary::reciprocal); }},
    {"Erf", [](Lowerer& l) { lower_unary(l, Unary::erf); }},
    {"Clip", lower_clip},
    {"Add", [](Lowerer& l) { lower_binary(l, Binary::add); }},
    {"Sub", [](Lowerer& l) { lower_binary(l, Binary::sub); }},
    {"Mul", [](Lowerer& l) { lower_binary(l, Binary::mul); }},
    {"Div", [](Lowerer& l) { lower_binary(l, Binary::div); }},
    {"Pow", lower_pow},
    {"Sum", lower_sum},
    {"PRelu", lower_prelu},
    {"BatchNormalization", lower_batch_norm},
    {"Conv", [](Lowerer& l) { lower_conv(l, false); }},
    {"ConvTranspose", [](Lowerer& l) { lower_conv(l, true); }},
    {"MaxPool", [](Lowerer& l) { lower_pool(l, true); }},
    {"AveragePool", [](Lowerer& l) { lower_pool(l, false); }},
    {"GlobalAveragePool", [](Lowerer& l) { lower_global_pool(l, PoolingParams::Kind::average); }},
    {"GlobalMaxPool", [](Lowerer& l) { lower_global_pool(l, PoolingParams::Kind::max); }},
    {"MatMul", lower_matmul},
    {"Gemm", lower_gemm},
    {"Softmax", lower_softmax},
    {"LayerNormalization", lower_layer_norm},
    {"Concat", lower_concat},
    {"Transpose", lower_transpose},
};
// Operators whose further inputs are not float32.
constexpr Entry kMixedTable[] = {
    {"ReduceMean", lower_reduce_mean}, {"Slice", lower_slice},     {"Split", lower_split},
    {"Resize", lower_resize},          {"Upsample", lower_resize},
};
// Operators on any type that only rename dims.
constexpr Entry kViewTable[] = {
    {"Reshape", lower_view},   {"Flatten", lower_view},  {"Squeeze", lower_view},
    {"Unsqueeze", lower_view}, {"Identity", lower_view}, {"Dropout", lower_dropout},
};

template <size_t N>
bool try_table(const Entry (&table)[N], Lowerer& l) {
  for (const Entry& e : table) {
    if (e.op_type != l.node.op_type()) continue;
    e.lower(l);
    return true;
  }
  return false;
}

}  // namespace

void lower_known_node(LoweredGraph& graph, const Node& node, LoweredOp& op) {
  if (!node.domain().empty() || op.outputs.empty() || op.outputs[0] < 0 || op.inputs.empty() ||
      op.inputs[0] < 0)
    return;
  Lowerer l{graph, node, op, AttributeReader(node)};
  if (try_table(kViewTable, l)) return;
  if (l.in(0).type != DataType::float32 || l.out().type != DataType::float32) return;
  if (l.empty(1)) return;
  if (try_table(kMixedTable, l)) return;
  if (l.all_float() && !l.empty(op.inputs.size())) try_table(kFloatTable, l);
}

}  // namespace plica
