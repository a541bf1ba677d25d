// What a model computes in double precision, and how far an optimized copy of it may be off.
//
// No tolerance here is a number somebody chose. A walk over the graph (walk) carries two tensors for each
// value, element by element:
//   reach   how large the value can become: every operator applied to magnitudes (Conv to |x|, |w|, |b|; Sub
//           adds; Relu does nothing), so |value| <= reach, and a change of an input or constant relative to
//           its reach changes an output by no more than that relative to the output's reach (degree 1; a
//           product of two tensors adds the degrees of its factors);
//   error   how far the value may be off, when constants and results of nodes are off as an ErrorModel says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"
#include "passes/optimize.h"

namespace plica::testing {

// The model with every If replaced by one of its branches and every call of a model function by its body, as
// evaluate_graph wants it. `branch`: "then_branch" or "else_branch".
std::unique_ptr<ModelGraph> inlined(const ModelGraph& model, const std::string& branch = "then_branch");

// The model in float64: inputs, constants, Casts. Weights behind DequantizeLinear become the exact products;
// whatever is computed from constants alone is computed. Sizes and factors of Resize stay float32. `model` is
// inlined.
std::unique_ptr<ModelGraph> in_double(const ModelGraph& model);
NamedTensors in_double(const NamedTensors& tensors);

// The model with weights behind DequantizeLinear as constants of its own type: what runs.
std::unique_ptr<ModelGraph> dequantized(const ModelGraph& model);

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

struct Seen {
  double worst = 0;       // the largest difference of any output, relative to its tolerance
  bool reported = false;  // the bounds that the report gives were checked, too
  std::string failure;    // empty: all holds
};

// Whether `after`, which `report` says was made from `before`, computes the same. In double arithmetic, where
// only the constants can differ,
//   |after - before| <= ((1 + u)^(degree * roundings) - 1) * reach of before,
// `roundings` being how often a constant on the way may have been rounded (see the .cpp); and in its own
// type, with the rounding errors of the run itself added. `only_batch_norms`: nothing but batch norms was
// there to be folded; then, where every operator took in one of them at most, the difference is also within
// the reported error bounds alone.
Seen compare(const ModelGraph& before, const ModelGraph& after, const OptimizeReport& report,
             const NamedTensors& inputs, DataType type, bool only_batch_norms = false);

}  // namespace plica::testing
