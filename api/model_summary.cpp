// Model::summarize: counts, multiply-accumulates, and the health of batch norms.
#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <unordered_set>

#include "api/findings.h"
#include "api/graph_walk.h"
#include "engine/core/checked.h"
#include "engine/core/limits.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"
#include "plica/model.h"

namespace plica {
namespace {

ModelSummary::BatchNorm summary_of(const Node& node, int64_t& channels_left) {
  ModelSummary::BatchNorm summary{.node = node_label(node)};
  BatchNormHealth health = examine_batch_norm(node, channels_left);
  summary.epsilon = health.epsilon;
  summary.training = health.training;
  summary.channels = health.channels();
  const auto finite_range = [](const std::vector<double>& values, bool magnitude) {
    std::pair<double, double> range(std::numeric_limits<double>::infinity(),
                                    -std::numeric_limits<double>::infinity());
    for (double v : values) {
      if (!std::isfinite(v)) continue;
      range.first = std::min(range.first, magnitude ? std::abs(v) : v);
      range.second = std::max(range.second, magnitude ? std::abs(v) : v);
    }
    return range.first <= range.second ? range : std::pair(0.0, 0.0);
  };
  std::tie(summary.min_variance, summary.max_variance) = finite_range(health.variance, false);
  std::tie(summary.min_gain, summary.max_gain) = finite_range(health.gain, true);
  summary.values = {.mean = std::move(health.mean),
                    .variance = std::move(health.variance),
                    .gain = std::move(health.gain),
                    .shift = std::move(health.shift),
                    .bounds = {},
                    .marks = std::move(health.marks)};
  for (BatchNormFinding& f : health.findings) {
    if (f.kind == health::kDead) summary.dead += f.channels;
    if (f.kind == health::kTinyVariance || f.kind == health::kZeroVariance)
      summary.tiny_variance += f.channels;
    if (f.kind == health::kNotFinite || f.kind == health::kNoSquareRoot || f.kind == health::kOverflow)
      summary.bad += f.channels;
    summary.health.push_back(api_finding(std::move(f)));
  }
  return summary;
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
  } catch (const Error& error) {
    if (ends_work(error)) throw;
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
  s.graph_name = model.graph.name;
  s.graph_doc_string = model.graph.doc_string;
  s.opsets = model.opset_imports;
  s.functions = static_cast<int64_t>(model.functions.size());

  std::unordered_set<const void*> shared;  // one tensor under several names counts once
  const auto count_tensor = [&](const Tensor& tensor) {
    if (!shared.insert(tensor.buffer_id()).second && tensor.size() != 0) return;
    s.parameters = checked_add(s.parameters, tensor.size());
    s.parameter_bytes = checked_add(s.parameter_bytes, static_cast<int64_t>(tensor.bytes()));
  };
  int64_t channels_left = health::kMostChannels;
  const auto count_graph = [&](const Graph& graph, const auto& self) -> void {
    for (const Value* value : graph.initializers()) {
      ++s.initializers;
      count_tensor(*value->initializer());
    }
    for (const Node* node : graph.nodes()) {
      ++s.nodes;
      ++s.operators[operator_name(*node)];
      if (node->is("BatchNormalization")) s.batch_norms.push_back(summary_of(*node, channels_left));
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
