// Walks over all nodes of a model, for what the API tells about models.
#pragma once

#include <string>

#include "engine/graph/model_graph.h"

namespace plica {

// Calls f(const Node&) for the nodes of the graph in list order, those of subgraphs after the node that owns
// them.
template <class F>
void for_each_node(const Graph& graph, F&& f) {
  for (const Node* node : graph.nodes()) {
    f(*node);
    for_each_subgraph(node->attributes(), [&](const Graph& sub) { for_each_node(sub, f); });
  }
}

// What a node is called in reports: its name, or its first output's when it has none.
inline std::string node_label(const Node& node) {
  if (!node.name.empty()) return node.name;
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i)) return node.output(i)->name();
  }
  return node.op_type();
}

// "Conv", "com.example.Foo"
inline std::string operator_name(const Node& node) {
  return node.domain().empty() ? node.op_type() : node.domain() + "." + node.op_type();
}

}  // namespace plica
