// How large the values of a model can become, and how far they may be off: a walk over the graph that carries
// two tensors for each value, element by element:
//   reach   every operator applied to magnitudes (Conv to |x|, |w|, |b|; Sub adds; Relu does nothing), so
//   |value| <=
//           reach, and a change of an input or constant relative to its reach changes an output by no more
//           than that relative to the output's reach (degree 1; a product of two tensors adds the degrees of
//           its factors);
//   error   how far the value may be off, when constants and results of nodes are off as an ErrorModel says.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"

namespace plica::testing {

// Of a value of an in_double model; float64 tensors, undefined for what holds no floating-point numbers.
struct Extent {
  Tensor reach, error;
  int degree = 0;
};
using Extents = std::unordered_map<const Value*, Extent>;

// An element is off by absolute + relative * its reach.
struct Off {
  double absolute = 0, relative = 0;
};

struct ErrorModel {
  std::function<Off(const Value& constant)> of_constant;  // absent: constants are exact
  // What the node itself adds to the errors of its inputs; absent: nothing.
  std::function<Off(const Node& node, const std::vector<Extent>& inputs)> of_node;
};

// `model` comes from in_double, `inputs` too. Throws for an operator that it has no rule for.
Extents walk(const ModelGraph& model, const NamedTensors& inputs, const ErrorModel& errors = {});

// Of rounding to nearest: 2^-24 for float32.
double unit_roundoff(DataType type);

// Rounding errors of one node while a model of that type runs, relative to its reach.
double run_time_roundoff(const Node& node, DataType type, const std::vector<Extent>& inputs);

}  // namespace plica::testing
