// Random models of what batch-norm folding has to find its way through: batch norms, arithmetic with
// constants, linear operators, and the operators that stand between them.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"

namespace plica::testing {

struct RandomModel {
  std::unique_ptr<ModelGraph> model;
  NamedTensors inputs;
  DataType type = DataType::float32;
  bool only_batch_norms = false;  // the affines are batch norms alone
  bool in_branches = false;       // the nodes are in the bodies of an If, the constants outside
};

// The same seed gives the same model; fewer nodes give a prefix of it (with other outputs). Every model is
// valid, and every node can be evaluated (weights behind a DequantizeLinear by dequantized of
// double_reference.h).
RandomModel random_model(uint64_t seed, int nodes);

// How many nodes the seed's model has by itself, 5 to 25.
int random_node_count(uint64_t seed);

}  // namespace plica::testing
