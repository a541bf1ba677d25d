#include "passes/facts.h"

#include "engine/core/limits.h"
#include "engine/ops/declared_type.h"

namespace plica {
namespace {

// Larger constants are fold_constants' work: this runs anew for each pass.
constexpr ValueLimits kSmall = {.input_elements = 256, .output_elements = 256};

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

}  // namespace

bool is_quantization(const Node& node) { return node.is("DequantizeLinear") || node.is("QuantizeLinear"); }

const Facts& ModelFacts::of(const Value* value) const {
  static const Facts kNothing;
  auto it = map_.find(value);
  return it == map_.end() ? kNothing : it->second;
}

int ModelFacts::rank_of(const Value* value) const {
  const Facts& f = of(value);
  return f.type.shape ? f.type.shape->rank() : -1;
}

void ModelFacts::infer(const ModelGraph& model, bool check_declared) {
  map_.clear();
  faulty_.clear();
  check_declared_ = check_declared;
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
  check_limits();
  for_each_subgraph(node.attributes(), [&](const Graph& sub) { infer(sub); });
  std::vector<Facts> outputs(static_cast<size_t>(node.num_outputs()));
  if (find_op(node)) {
    std::vector<const Facts*> inputs;
    for (int i = 0; i < node.num_inputs(); ++i)
      inputs.push_back(node.has_input(i) ? &of(node.input(i)) : nullptr);
    try {
      const OuterFacts outer = [this](const Value* v) { return &of(v); };
      outputs = is_quantization(node) ? infer_node(node, inputs) : infer_values(node, inputs, kSmall, &outer);
    } catch (const Error& error) {
      if (ends_work(error)) throw;
      faulty_.insert(&node);
    }
  }
  outputs.resize(static_cast<size_t>(node.num_outputs()));
  for (int i = 0; i < node.num_outputs(); ++i) {
    const Value* v = node.output(i);
    if (!v) continue;
    Facts& f = outputs[static_cast<size_t>(i)];
    if (check_declared_) check_declared_type(node, *v, f.type);
    add_declared(f, v->type());
    map_[v] = std::move(f);
  }
}

}  // namespace plica
