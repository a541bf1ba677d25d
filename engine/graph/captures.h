// Subgraphs of nodes, and what they read of the graphs around them.
#pragma once

#include <vector>

#include "engine/graph/graph.h"

namespace plica {

bool has_subgraph(const Node& node);

// The values that a graph and those nested in it read, as inputs of nodes or as outputs, from graphs that
// enclose it; each once, in the order of their first reading.
std::vector<Value*> captures_of(const Graph& graph);
// Those of all subgraphs of a node.
std::vector<Value*> captures_of(const Node& node);

}  // namespace plica
