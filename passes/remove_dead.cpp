// What nobody reads. Graph inputs stay: they are what callers know the model by.
#include "passes/rules.h"

namespace plica {

// The patch takes along the nodes that were there for this one alone.
RuleResult remove_dead_node(const Node& node, const RuleContext&) {
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i) && node.output(i)->has_uses()) return NoMatch{};
  }
  Patch patch(node);
  patch.remove(node);
  return patch;
}

RuleResult remove_unused_initializers(Graph& graph, const RuleContext&) {
  Patch patch(graph);
  for (Value* v : graph.initializers()) {
    if (!v->is_graph_input() && !v->has_uses()) patch.remove(v);
  }
  if (patch.removed_values().empty()) return NoMatch{};
  return patch;
}

}  // namespace plica
