#include "engine/ops/evaluate.h"

#include <cstring>

#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {

void EvaluateContext::share(int i, const Tensor& tensor) {
  Tensor& out = output(i);
  if (!out.defined() || out.type() != tensor.type() || out.size() != tensor.size()) {
    out = tensor;
  } else if (tensor.type() == DataType::string) {
    std::ranges::copy(tensor.values<std::string>(), out.mutable_data<std::string>());
  } else if (tensor.bytes() != 0 && out.raw() != tensor.raw()) {
    std::memcpy(out.mutable_raw(), tensor.raw(), tensor.bytes());
  }
}

void run_kernel(const Node& node, const OpDef& def, std::span<const Tensor* const> inputs, std::span<Tensor> outputs) {
  require(def.evaluate != nullptr, ErrorCode::unsupported, "operator {} has no kernel", def.name);
  EvaluateContext context(node, def, inputs, outputs);
  def.evaluate(context);
}

std::vector<Tensor> evaluate_node(const Node& node, std::span<const Tensor* const> inputs) {
  std::vector<Facts> facts(inputs.size());
  std::vector<const Facts*> pointers(inputs.size(), nullptr);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    facts[i] = Facts::of(*inputs[i]);
    pointers[i] = &facts[i];
  }
  const std::vector<Facts> inferred = infer_node(node, pointers);
  return with_context(
      [&] {
        std::vector<Tensor> outputs(inferred.size());
        for (size_t i = 0; i < inferred.size(); ++i) {
          const Type& type = inferred[i].type;
          if (!node.has_output(static_cast<int>(i)) || !type.is_tensor() || !type.shape) continue;
          if (auto dims = type.shape->known()) outputs[i] = Tensor(type.element, *std::move(dims));
        }
        run_kernel(node, op_of(node), inputs, outputs);
        return outputs;
      },
      [&] { return describe(node); });
}

std::vector<Tensor> evaluate_graph(const Graph& graph, const NamedTensors& inputs, NamedTensors* all) {
  std::unordered_map<const Value*, Tensor> values;
  for (Value* v : graph.values()) {
    if (v->producer()) continue;
    if (v->is_graph_input()) {
      if (auto it = inputs.find(v->name()); it != inputs.end()) {
        values[v] = it->second;
        continue;
      }
    }
    if (const Tensor* t = v->initializer()) {
      values[v] = *t;
    } else {
      require(!v->is_graph_input(), ErrorCode::invalid_argument, "input {} is not given", quoted(v->name()));
    }
  }
  for (const Node* node : graph.topological_order()) {
    std::vector<const Tensor*> in;
    for (int i = 0; i < node->num_inputs(); ++i) in.push_back(node->has_input(i) ? &values[node->input(i)] : nullptr);
    auto out = evaluate_node(*node, in);
    for (int i = 0; i < node->num_outputs(); ++i) {
      if (node->has_output(i)) values[node->output(i)] = std::move(out[static_cast<size_t>(i)]);
    }
  }
  std::vector<Tensor> outputs;
  for (const Value* v : graph.outputs()) outputs.push_back(values.at(v));
  if (all) {
    for (auto& [v, t] : values) (*all)[v->name()] = t;
  }
  return outputs;
}

}  // namespace plica
