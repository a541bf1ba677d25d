// Model::check: every fault and every operator that is missing, not only the first.
#include <deque>
#include <unordered_map>

#include "api/graph_walk.h"
#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/graph/function_index.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"
#include "plica/model.h"

namespace plica {
namespace {

// Infers node by node and goes on behind a fault with what the file declares, so that one fault hides no
// other.
void find_faults(const Graph& graph, std::vector<Finding>& findings) {
  std::unordered_map<const Value*, Facts> facts;
  const auto declared = [](const Value& value) {
    if (const Tensor* constant = value.constant()) return Facts::of(*constant);
    return Facts{.type = value.type(), .constant = {}, .elements = {}};
  };
  const OuterFacts outer = [&](const Value* v) { return &facts.try_emplace(v, declared(*v)).first->second; };
  for (const Node* node : graph.topological_order()) {
    if (!find_op(*node)) continue;
    std::vector<const Facts*> inputs;
    for (int i = 0; i < node->num_inputs(); ++i) {
      const Value* value = node->input(i);
      inputs.push_back(value ? &facts.try_emplace(value, declared(*value)).first->second : nullptr);
    }
    try {
      std::vector<Facts> outputs = infer_node(*node, inputs, &outer);
      for (int i = 0; i < node->num_outputs(); ++i) {
        if (const Value* value = node->output(i)) facts[value] = std::move(outputs[static_cast<size_t>(i)]);
      }
    } catch (const Error& error) {
      if (ends_work(error)) throw;
      findings.push_back({error.code(), "", error.message()});
    }
  }
}

}  // namespace

std::vector<Finding> Model::check() const {
  std::vector<Finding> findings;
  const FunctionIndex functions(*graph_);
  for_each_node(graph_->graph, [&](const Node& node) {
    if (find_op(node) || functions.find(node)) return;
    findings.push_back(
        {ErrorCode::unsupported, describe(node),
         fmt::format("operator {} of opset {} is not supported", quoted(operator_name(node)), node.opset())});
  });
  try {
    infer_graph(graph_->graph);
  } catch (const Error& error) {
    if (ends_work(error)) throw;
    const size_t before = findings.size();
    find_faults(graph_->graph, findings);
    if (findings.size() == before) findings.push_back({error.code(), "", error.message()});
  }
  return findings;
}

}  // namespace plica
