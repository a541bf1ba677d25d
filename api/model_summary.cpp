// Model::summarize: counts, multiply-accumulates, and the health of batch norms.
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include "api/graph_walk.h"
#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"
#include "plica/model.h"

namespace plica {
namespace {

std::vector<double> to_doubles(const Tensor& tensor) {
  return dispatch<FloatTypes>(tensor.type(), [&]<class T>(std::type_identity<T>) {
    const auto values = tensor.values<T>();
    return std::vector<double>(values.begin(), values.end());
  });
}

// y = scale (x - mean) / sqrt(var + epsilon) + bias (ONNX BatchNormalization).
ModelSummary::BatchNorm health_of(const Node& node) {
  ModelSummary::BatchNorm health{.node = node_label(node)};
  if (!find_op(node)) return health;
  const AttributeReader attributes(node);
  health.epsilon = attributes.f("epsilon");
  const int64_t opset = node.opset();
  health.training =
      opset >= 14 ? attributes.i("training_mode") != 0 : opset < 7 && attributes.i("is_test") == 0;
  std::vector<std::vector<double>> parameters;  // scale, bias, mean, var
  for (int i = 1; i <= 4; ++i) {
    const Tensor* constant = node.has_input(i) ? node.input(i)->constant() : nullptr;
    if (!constant || !is_floating(constant->type()) || bits_of(constant->type()) < 16) return health;
    parameters.push_back(to_doubles(*constant));
    if (parameters.back().size() != parameters.front().size()) return health;
  }
  health.channels = static_cast<int64_t>(parameters[0].size());
  health.min_variance = health.min_gain = std::numeric_limits<double>::infinity();
  for (size_t c = 0; c < parameters[0].size(); ++c) {
    const double scale = parameters[0][c], var = parameters[3][c];
    const double gain = scale / std::sqrt(var + health.epsilon);
    const double shift = parameters[1][c] - parameters[2][c] * gain;
    health.min_variance = std::min(health.min_variance, var);
    health.max_variance = std::max(health.max_variance, var);
    if (!(var + health.epsilon > 0) || !std::isfinite(gain) || !std::isfinite(shift)) {
      ++health.bad;
      continue;
    }
    if (scale == 0) ++health.dead;
    if (var >= 0 && var <= health.epsilon) ++health.tiny_variance;
    health.min_gain = std::min(health.min_gain, std::abs(gain));
    health.max_gain = std::max(health.max_gain, std::abs(gain));
  }
  if (health.bad == health.channels) health.min_gain = 0;
  if (health.channels == 0) health.min_variance = 0;
  return health;
}

int64_t product(const Dims& dims, size_t from = 0) {
  int64_t n = 1;
  for (size_t i = from; i < dims.size(); ++i) n = checked_mul(n, dims[i]);
  return n;
}

bool has_macs(const Node& node) {
  return node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul");
}

// Multiply-accumulates, from shapes: each output element of a Conv, and each input element of a
// ConvTranspose, meets the weights of one channel (dims 1.. of W); products of matrices meet K of them an
// output element.
std::optional<int64_t> macs_of(const Node& node, const GraphFacts& facts) {
  if (!node.has_input(0) || !node.has_input(1) || !node.has_output(0)) return std::nullopt;
  const auto a = facts.dims(node.input(0)), b = facts.dims(node.input(1)), y = facts.dims(node.output(0));
  if (!a || !b || !y || a->empty() || b->empty()) return std::nullopt;
  if (node.is("Conv")) return checked_mul(product(*y), product(*b, 1));
  if (node.is("ConvTranspose")) return checked_mul(product(*a), product(*b, 1));
  const bool transposed = node.is("Gemm") && a->size() == 2 && AttributeReader(node).i("transA") != 0;
  return checked_mul(product(*y), transposed ? a->front() : a->back());
}

void count_macs(const Graph& graph, const Model& model, const DimSizes& sizes, ModelSummary& summary) {
  InferOptions options;
  for (const TensorInfo& input : model.inputs()) {
    if (!input.is_tensor || input.has_default) continue;
    if (!input.shape && !sizes.shapes.contains(input.name)) continue;
    const Dims dims = Model::concrete_dims(input, sizes, 64, &summary.assumptions);
    options.inputs[graph.find(input.name)] = Type::tensor(input.type, Shape(dims));
  }
  std::optional<GraphFacts> facts;
  try {
    facts = infer_graph(graph, options);
  } catch (const Error&) {
    // The assumed sizes don't suit the model, or it is not valid: check() says which.
  }
  for (const Node* node : graph.nodes()) {
    if (!has_macs(*node)) continue;
    const std::optional<int64_t> macs = facts && find_op(*node) ? macs_of(*node, *facts) : std::nullopt;
    if (macs) {
      summary.macs = checked_add(summary.macs, *macs);
    } else {
      ++summary.macs_unknown;
    }
  }
}

}  // namespace

ModelSummary Model::summarize(const DimSizes& sizes) const {
  validate(sizes);
  const ModelGraph& model = *graph_;
  ModelSummary s;
  s.ir_version = model.ir_version;
  s.producer = model.producer_name;
  s.producer_version = model.producer_version;
  s.domain = model.domain;
  s.doc_string = model.doc_string;
  s.model_version = model.model_version;
  s.opsets = model.opset_imports;
  s.functions = static_cast<int64_t>(model.functions.size());

  std::unordered_set<const void*> shared;  // one tensor under several names counts once
  const auto count_tensor = [&](const Tensor& tensor) {
    if (!shared.insert(tensor.buffer_id()).second && tensor.size() != 0) return;
    s.parameters = checked_add(s.parameters, tensor.size());
    s.parameter_bytes = checked_add(s.parameter_bytes, static_cast<int64_t>(tensor.bytes()));
  };
  const auto count_graph = [&](const Graph& graph, const auto& self) -> void {
    for (const Value* value : graph.initializers()) {
      ++s.initializers;
      count_tensor(*value->initializer());
    }
    for (const Node* node : graph.nodes()) {
      ++s.nodes;
      ++s.operators[operator_name(*node)];
      if (node->is("BatchNormalization")) s.batch_norms.push_back(health_of(*node));
      if (node->is("Constant") && node->has_output(0)) {
        if (const Tensor* constant = node->output(0)->constant()) count_tensor(*constant);
      }
      for_each_subgraph(node->attributes(), [&](const Graph& sub) { self(sub, self); });
    }
  };
  count_graph(model.graph, count_graph);
  count_macs(model.graph, *this, sizes, s);
  return s;
}

}  // namespace plica
