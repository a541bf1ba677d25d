// Region: what plans compute: nodes of one graph, from values that are given, to values that are wanted. A
// whole graph, a subgraph of a node, or what is left of one when shapes depend on data.
#pragma once

#include <utility>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/graph.h"
#include "engine/ops/infer.h"

namespace plica {

struct Region {
  std::vector<const Node*> nodes;    // each after those it depends on
  std::vector<const Value*> inputs;  // given: of the graph, or of one that encloses it
  // Values that it reads and that never change: initializers, of enclosing graphs too, and what is computed
  // from them.
  std::vector<std::pair<const Value*, Tensor>> constants;
  std::vector<const Value*> outputs;
};

// The inputs are those of the graph, then what it captures; its captures that are constants are constants.
Region region_of(const Graph& graph);

// What a node reads: its inputs, then the captures of its subgraphs. Null for an input that is left out.
std::vector<const Value*> reads_of(const Node& node);

// Integer tensors that are small enough to hold shapes: their values may become part of a plan.
bool may_hold_a_shape(const Tensor& tensor);

// Facts of all values of the region for these inputs, by position; `with_values`: of those that may hold
// shapes, too.
GraphFacts infer_region(const Region& region, const std::vector<Tensor>& inputs, bool with_values);

}  // namespace plica
