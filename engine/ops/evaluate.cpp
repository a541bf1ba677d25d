#include "engine/ops/evaluate.h"

#include <cstring>

#include "engine/core/limits.h"
#include "engine/graph/captures.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {

void EvaluateContext::share(int i, const Tensor& tensor) {
  Tensor& out = output(i);
  if (!out.defined() || out.type() != tensor.type() || out.size() != tensor.size()) {
    out = tensor;
  } else if (is_container(tensor.type())) {
    out = tensor;
  } else if (tensor.type() == DataType::string) {
    std::ranges::copy(tensor.values<std::string>(), out.mutable_data<std::string>());
  } else if (tensor.bytes() != 0 && out.raw() != tensor.raw()) {
    std::memcpy(out.mutable_raw(), tensor.raw(), tensor.bytes());
  }
}

std::vector<Tensor> EvaluateContext::run_body(const Graph& body, std::vector<Tensor> inputs) const {
  check_limits();
  require(bodies_ != nullptr, ErrorCode::internal, "{} has nobody to run its subgraphs", def_.name);
  require(inputs.size() == body.inputs().size(), ErrorCode::invalid_model, "subgraph {} has {} inputs, expected {}",
          quoted(body.name), body.inputs().size(), inputs.size());
  return bodies_->run(body, std::move(inputs));
}

void run_kernel(const Node& node, const OpDef& def, std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                const BodyRunner* bodies, Prepared prepared) {
  require(def.evaluate != nullptr, ErrorCode::unsupported, "operator {} has no kernel", def.name);
  EvaluateContext context(node, def, inputs, outputs, bodies, std::move(prepared));
  def.evaluate(context);
}

Prepared prepare_node(const Node& node) {
  return with_context(
      [&]() -> Prepared {
        const OpDef& def = op_of(node);
        return def.prepare ? def.prepare(AttributeReader(def, node.attributes())) : nullptr;
      },
      [&] { return describe(node); });
}

std::vector<Tensor> evaluate_node(const Node& node, std::span<const Tensor* const> inputs, const BodyRunner* bodies,
                                  Prepared prepared) {
  check_limits();
  std::vector<Facts> facts(inputs.size());
  std::vector<const Facts*> pointers(inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    facts[i] = Facts::of(*inputs[i]);
    pointers[i] = &facts[i];
  }
  std::vector<Tensor> outputs(static_cast<size_t>(node.num_outputs()));
  if (has_subgraph(node)) {
    // Whoever runs the subgraphs infers them.
    validate_node(node, pointers);
    with_context([&] { run_kernel(node, op_of(node), inputs, outputs, bodies); }, [&] { return describe(node); });
    return outputs;
  }
  const std::vector<Facts> inferred = infer_node(node, pointers, nullptr, &prepared);
  return with_context(
      [&] {
        for (size_t i = 0; i < inferred.size(); ++i) {
          const Type& type = inferred[i].type;
          if (!node.has_output(static_cast<int>(i)) || !type.is_tensor() || !type.shape) continue;
          if (auto dims = type.shape->known()) outputs[i] = Tensor(type.element, *std::move(dims));
        }
        run_kernel(node, op_of(node), inputs, outputs, nullptr, std::move(prepared));
        return std::move(outputs);
      },
      [&] { return describe(node); });
}

namespace {

// The values of a graph while it is interpreted; those of the graphs around it are its parent's.
class Interpreter : public BodyRunner {
 public:
  explicit Interpreter(const Interpreter* parent = nullptr) : parent_(parent) {}

  void set(const Value* v, Tensor tensor) { values_[v] = std::move(tensor); }
  const std::unordered_map<const Value*, Tensor>& values() const { return values_; }

  // Null when it has no value.
  const Tensor* find(const Value* v) const {
    for (const Interpreter* i = this; i; i = i->parent_) {
      if (auto it = i->values_.find(v); it != i->values_.end()) return &it->second;
    }
    return nullptr;
  }

  std::vector<Tensor> run_graph(const Graph& graph) {
    for (Value* v : graph.values()) {
      if (v->producer() || values_.contains(v)) continue;
      require(v->initializer() != nullptr, ErrorCode::invalid_argument, "input {} is not given", quoted(v->name()));
      values_[v] = *v->initializer();
    }
    for (const Node* node : graph.topological_order()) {
      std::vector<const Tensor*> in;
      for (int i = 0; i < node->num_inputs(); ++i) in.push_back(node->has_input(i) ? find(node->input(i)) : nullptr);
      auto out = evaluate_node(*node, in, this, prepared(*node));
      for (int i = 0; i < node->num_outputs(); ++i) {
        if (node->has_output(i)) values_[node->output(i)] = std::move(out[static_cast<size_t>(i)]);
      }
    }
    std::vector<Tensor> outputs;
    for (const Value* v : graph.outputs()) outputs.push_back(*find(v));
    return outputs;
  }

  std::vector<Tensor> run(const Graph& body, std::vector<Tensor> inputs) const override {
    require(inputs.size() == body.inputs().size(), ErrorCode::invalid_model, "subgraph {} has {} inputs, expected {}",
            quoted(body.name), body.inputs().size(), inputs.size());
    Interpreter inner(this);
    for (size_t i = 0; i < inputs.size(); ++i) inner.set(body.inputs()[i], std::move(inputs[i]));
    return inner.run_graph(body);
  }

 private:
  // Kept for the next iteration of a loop around the node.
  const Prepared& prepared(const Node& node) const {
    if (parent_) return parent_->prepared(node);
    const auto [it, is_new] = prepared_.try_emplace(&node);
    if (is_new) it->second = prepare_node(node);
    return it->second;
  }

  const Interpreter* parent_;
  std::unordered_map<const Value*, Tensor> values_;
  mutable std::unordered_map<const Node*, Prepared> prepared_;  // of the outermost
};

}  // namespace

std::vector<Tensor> evaluate_graph(const Graph& graph, const NamedTensors& inputs, NamedTensors* all) {
  Interpreter interpreter;
  for (const Value* v : graph.inputs()) {
    if (auto it = inputs.find(v->name()); it != inputs.end()) interpreter.set(v, it->second);
  }
  std::vector<Tensor> outputs = interpreter.run_graph(graph);
  if (all) {
    for (auto& [v, t] : interpreter.values()) (*all)[v->name()] = t;
  }
  return outputs;
}

}  // namespace plica
