#include "passes/facts.h"

#include "engine/core/checked.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

// Outputs of at most this many elements are computed on the way: shape computations.
constexpr int64_t kSmall = 256;

// What inference does not say, the declaration may.
void add_declared(Facts& facts, const Type& declared) {
  Type& type = facts.type;
  if (type.kind == Type::Kind::unknown) {
    type = declared;
  } else if (type.kind == declared.kind) {
    if (type.element == DataType::undefined) type.element = declared.element;
    if (!type.shape) type.shape = declared.shape;
  }
}

// A tensor of known elements is a constant.
void promote_elements(Facts& facts) {
  if (facts.constant.defined() || !facts.elements || !facts.type.shape) return;
  const auto values = Shape(*facts.elements).known();
  const auto dims = facts.type.shape->known();
  if (!values || !dims || checked_elements(*dims) != static_cast<int64_t>(values->size())) return;
  if (facts.type.element == DataType::int64) {
    facts.constant = Tensor::of(*values, *dims);
  } else if (facts.type.element == DataType::int32) {
    facts.constant = Tensor::of(std::vector<int32_t>(values->begin(), values->end()), *dims);
  }
}

void evaluate_small(const Node& node, const std::vector<const Facts*>& inputs, std::vector<Facts>& outputs) {
  std::vector<const Tensor*> tensors;
  for (const Facts* f : inputs) {
    if (f && (!f->constant.defined() || f->constant.size() > kSmall)) return;
    tensors.push_back(f ? &f->constant : nullptr);
  }
  for (const Facts& f : outputs) {
    const auto dims = f.type.shape ? f.type.shape->known() : std::nullopt;
    if (!dims || checked_elements(*dims) > kSmall) return;
  }
  std::vector<Tensor> results = evaluate_node(node, tensors);
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].defined()) outputs[i] = Facts::of(results[i]);
  }
}

}  // namespace

const Facts& ModelFacts::of(const Value* value) const {
  static const Facts kNothing;
  auto it = map_.find(value);
  return it == map_.end() ? kNothing : it->second;
}

int ModelFacts::rank_of(const Value* value) const {
  const Facts& f = of(value);
  return f.type.shape ? f.type.shape->rank() : -1;
}

void ModelFacts::infer(const ModelGraph& model) {
  map_.clear();
  infer(model.graph);
  for (const auto& function : model.functions) infer(function->graph);
}

void ModelFacts::infer(const Graph& graph) {
  for (const Value* v : graph.values()) {
    if (v->producer()) continue;
    Facts f;
    if (const Tensor* t = v->constant()) {
      f = Facts::of(*t);
    } else {
      f.type = v->type();
    }
    map_[v] = std::move(f);
  }
  for (const Node* node : graph.nodes()) infer(*node);
}

void ModelFacts::infer(const Node& node) {
  for_each_subgraph(node.attributes(), [&](const Graph& sub) { infer(sub); });
  std::vector<Facts> outputs(static_cast<size_t>(node.num_outputs()));
  if (const OpDef* def = find_op(node)) {
    std::vector<const Facts*> inputs;
    for (int i = 0; i < node.num_inputs(); ++i)
      inputs.push_back(node.has_input(i) ? &of(node.input(i)) : nullptr);
    try {
      outputs = infer_node(node, inputs);
      for (int i = 0; i < node.num_outputs(); ++i) promote_elements(outputs[static_cast<size_t>(i)]);
      bool has_subgraph = false;
      for_each_subgraph(node.attributes(), [&](const Graph&) { has_subgraph = true; });
      if (def->deterministic && !has_subgraph) evaluate_small(node, inputs, outputs);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
    }
  }
  outputs.resize(static_cast<size_t>(node.num_outputs()));
  for (int i = 0; i < node.num_outputs(); ++i) {
    const Value* v = node.output(i);
    if (!v) continue;
    Facts& f = outputs[static_cast<size_t>(i)];
    add_declared(f, v->type());
    map_[v] = std::move(f);
  }
}

}  // namespace plica
