#include "runtime/plan/lower_nodes.h"

#include <span>
#include <string_view>

#include "runtime/plan/lowerer.h"
#include "runtime/planned_kernel.h"

namespace plica {
namespace {

struct Entry {
  std::string_view op_type;
  void (*lower)(Lowerer&);
  PlannedKernel kernel = PlannedKernel::post_op;
};

// Operators on float32 with a lowering of their own.
constexpr Entry kFloatTable[] = {
    {"Relu", [](Lowerer& l) { lower_unary(l, Unary::relu); }},
    {"LeakyRelu", [](Lowerer& l) { lower_unary(l, Unary::leaky_relu, l.attributes.f("alpha")); }},
    {"Elu", [](Lowerer& l) { lower_unary(l, Unary::elu, l.attributes.f("alpha")); }},
    {"Selu", lower_selu},
    {"Celu", lower_celu},
    {"ThresholdedRelu", [](Lowerer& l) { lower_unary(l, Unary::thresholded_relu, l.attributes.f("alpha")); }},
    {"Sigmoid", [](Lowerer& l) { lower_unary(l, Unary::sigmoid); }},
    {"Tanh", [](Lowerer& l) { lower_unary(l, Unary::tanh); }},
    {"HardSigmoid",
     [](Lowerer& l) {
       lower_unary(l, Unary::hard_sigmoid, l.attributes.f("alpha"), l.attributes.f("beta"));
     }},
    {"HardSwish", [](Lowerer& l) { lower_unary(l, Unary::hard_swish, 1.f); }},
    {"Softplus", [](Lowerer& l) { lower_unary(l, Unary::soft_plus); }},
    {"Softsign", [](Lowerer& l) { lower_unary(l, Unary::soft_sign); }},
    {"Mish", [](Lowerer& l) { lower_unary(l, Unary::mish); }},
    {"Gelu", lower_gelu},
    {"Swish", [](Lowerer& l) { lower_unary(l, Unary::swish, l.attributes.f("alpha")); }},
    {"Exp", [](Lowerer& l) { lower_unary(l, Unary::exp); }},
    {"Log", [](Lowerer& l) { lower_unary(l, Unary::log); }},
    {"Sqrt", [](Lowerer& l) { lower_unary(l, Unary::sqrt); }},
    {"Abs", [](Lowerer& l) { lower_unary(l, Unary::abs); }},
    {"Sign", [](Lowerer& l) { lower_unary(l, Unary::sign); }},
    {"Floor", [](Lowerer& l) { lower_unary(l, Unary::floor); }},
    {"Ceil", [](Lowerer& l) { lower_unary(l, Unary::ceil); }},
    {"Round", [](Lowerer& l) { lower_unary(l, Unary::round); }},
    {"Sin", [](Lowerer& l) { lower_unary(l, Unary::sin); }},
    {"Cos", [](Lowerer& l) { lower_unary(l, Unary::cos); }},
    {"Neg", [](Lowerer& l) { lower_unary(l, Unary::linear, -1.f, 0.f); }},
    {"Reciprocal", [](Lowerer& l) { lower_unary(l, Unary::reciprocal); }},
    {"Erf", [](Lowerer& l) { lower_unary(l, Unary::erf); }},
    {"Clip", lower_clip},
    {"Add", [](Lowerer& l) { lower_binary(l, Binary::add); }},
    {"Sub", [](Lowerer& l) { lower_binary(l, Binary::sub); }},
    {"Mul", [](Lowerer& l) { lower_binary(l, Binary::mul); }},
    {"Div", [](Lowerer& l) { lower_binary(l, Binary::div); }},
    {"Pow", lower_pow},
    {"Sum", [](Lowerer& l) { lower_variadic(l, Binary::add); }},
    {"Max", [](Lowerer& l) { lower_variadic(l, Binary::max); }},
    {"Min", [](Lowerer& l) { lower_variadic(l, Binary::min); }},
    {"PRelu", lower_prelu},
    {"BatchNormalization", lower_batch_norm},
    {"Conv", [](Lowerer& l) { lower_conv(l, false); }, PlannedKernel::onednn},
    {"ConvTranspose", [](Lowerer& l) { lower_conv(l, true); }, PlannedKernel::onednn},
    {"MaxPool", [](Lowerer& l) { lower_pool(l, true); }, PlannedKernel::onednn},
    {"AveragePool", [](Lowerer& l) { lower_pool(l, false); }, PlannedKernel::onednn},
    {"GlobalAveragePool", [](Lowerer& l) { lower_global_pool(l, PoolingParams::Kind::average); },
     PlannedKernel::onednn},
    {"GlobalMaxPool", [](Lowerer& l) { lower_global_pool(l, PoolingParams::Kind::max); },
     PlannedKernel::onednn},
    {"LRN", lower_lrn, PlannedKernel::onednn},
    {"MatMul", lower_matmul, PlannedKernel::onednn},
    {"Gemm", lower_gemm, PlannedKernel::onednn},
    {"Softmax", lower_softmax, PlannedKernel::own},
    {"LogSoftmax", lower_softmax, PlannedKernel::own},
    {"LayerNormalization", lower_layer_norm, PlannedKernel::own},
    {"RMSNormalization", lower_layer_norm, PlannedKernel::own},
    {"Concat", lower_concat, PlannedKernel::own},
    {"Transpose", lower_transpose, PlannedKernel::own},
};
// Operators whose further inputs are not float32.
constexpr Entry kMixedTable[] = {
    {"ReduceMean", lower_reduce_mean, PlannedKernel::own},
    {"Slice", lower_slice, PlannedKernel::own},
    {"Split", lower_split, PlannedKernel::own},
    {"Resize", lower_resize, PlannedKernel::own},
    {"Upsample", lower_resize, PlannedKernel::own},
};
// Operators that may leave their first result out.
constexpr Entry kRecurrentTable[] = {
    {"RNN", lower_recurrent, PlannedKernel::onednn},
    {"GRU", lower_recurrent, PlannedKernel::onednn},
    {"LSTM", lower_recurrent, PlannedKernel::onednn},
};
// Operators on any type that only rename dims.
constexpr Entry kViewTable[] = {
    {"Reshape", lower_view, PlannedKernel::own},  {"Flatten", lower_view, PlannedKernel::own},
    {"Squeeze", lower_view, PlannedKernel::own},  {"Unsqueeze", lower_view, PlannedKernel::own},
    {"Identity", lower_view, PlannedKernel::own}, {"Dropout", lower_dropout, PlannedKernel::own},
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

std::optional<PlannedKernel> planned_kernel(std::string_view domain, std::string_view op_type) {
  if (is_integer_product(domain, op_type)) return PlannedKernel::onednn;
  if (!domain.empty()) return std::nullopt;
  for (std::span<const Entry> table :
       {std::span<const Entry>(kFloatTable), {kMixedTable}, {kRecurrentTable}, {kViewTable}}) {
    for (const Entry& e : table) {
      if (e.op_type == op_type) return e.kernel;
    }
  }
  return std::nullopt;
}

void lower_known_node(LoweredGraph& graph, const Node& node, LoweredOp& op) {
  if (op.inputs.empty() || op.inputs[0] < 0) return;
  Lowerer l{graph, node, op, AttributeReader(node)};
  if (node.domain().empty() && try_table(kRecurrentTable, l)) return;
  if (op.outputs.empty() || op.outputs[0] < 0) return;
  if (lower_quantized(l) || !node.domain().empty()) return;
  if (try_table(kViewTable, l)) return;
  if (l.in(0).type != DataType::float32 || l.out().type != DataType::float32) return;
  if (l.empty(1)) return;
  if (try_table(kMixedTable, l)) return;
  if (l.all_float() && !l.empty(op.inputs.size())) try_table(kFloatTable, l);
}

}  // namespace plica
