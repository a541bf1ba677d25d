// What the tests of the simplifying rules share.
#pragma once

#include <cstring>

#include "tests/passes/build.h"

namespace plica::testing {

// The operators in list order.
inline std::string ops_of(const Graph& graph) {
  std::string all;
  for (const Node* n : graph.nodes()) all += (all.empty() ? "" : " ") + n->op_type();
  return all;
}

// Optimizes, checks as always, and that the results are the same bit for bit.
inline OptimizeReport simplify(Build& b, OptimizeOptions options = {}) {
  const auto before = b.model->clone();
  OptimizeReport report = optimize_and_check(b, std::move(options), 0);
  for (const uint64_t seed : {7u, 8u}) {
    const NamedTensors inputs = random_inputs(before->graph, seed);
    const auto x = evaluate_graph(before->graph, inputs), y = evaluate_graph(b.model->graph, inputs);
    EXPECT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size() && i < y.size(); ++i) {
      EXPECT_EQ(x[i].dims(), y[i].dims());
      EXPECT_TRUE(x[i].identical_to(y[i])) << "output " << i;
    }
  }
  return report;
}

}  // namespace plica::testing
