#include "runtime/plan/region.h"

#include "engine/graph/captures.h"

namespace plica {

Region region_of(const Graph& graph) {
  Region region;
  region.inputs.assign(graph.inputs().begin(), graph.inputs().end());
  const auto add_constant = [&](const Value* v) {
    const Tensor* constant = v->constant();
    if (constant) region.constants.emplace_back(v, *constant);
    return constant != nullptr;
  };
  for (const Value* v : graph.initializers()) add_constant(v);
  for (const Value* v : captures_of(graph)) {
    if (!add_constant(v)) region.inputs.push_back(v);
  }
  const auto nodes = graph.topological_order();
  region.nodes.assign(nodes.begin(), nodes.end());
  region.outputs.assign(graph.outputs().begin(), graph.outputs().end());
  return region;
}

std::vector<const Value*> reads_of(const Node& node) {
  std::vector<const Value*> reads;
  for (int i = 0; i < node.num_inputs(); ++i) reads.push_back(node.input(i));
  if (has_subgraph(node)) {
    for (const Value* v : captures_of(node)) reads.push_back(v);
  }
  return reads;
}

bool may_hold_a_shape(const Tensor& t) {
  constexpr int64_t kMostElements = 64;
  return (t.type() == DataType::int64 || t.type() == DataType::int32) && t.rank() <= 1 &&
         t.size() <= kMostElements;
}

GraphFacts infer_region(const Region& region, const std::vector<Tensor>& inputs, bool with_values) {
  GraphFacts facts;
  for (const auto& [v, tensor] : region.constants) facts[v] = Facts::of(tensor);
  for (size_t i = 0; i < inputs.size(); ++i) {
    Facts known = Facts::of(inputs[i]);
    if (!with_values || !may_hold_a_shape(inputs[i])) {
      known.constant = Tensor();
      known.elements.reset();
    }
    // Plans are not kept by what is in a container.
    if (!known.type.is_tensor()) known.type = without_shapes(known.type);
    facts[region.inputs[i]] = std::move(known);
  }
  infer_nodes(region.nodes, facts, {});
  return facts;
}

}  // namespace plica
