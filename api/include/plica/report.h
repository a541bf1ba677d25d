// Report: what an optimization did, and why it did not do more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace plica {

struct Report {
  // What became of one BatchNormalization.
  struct BatchNorm {
    std::string node;  // its name, or its output's when it has none
    bool folded = false;
    std::vector<std::string> into;  // folded: the nodes that absorbed it
    std::string rule;               // folded: by which rule
    std::string reason;             // kept: why
    std::string fix;                // kept: what can be done about that
    std::string blocking;           // kept: the node in the way, when it is one
    // Folded: a bound on how far any element of the node's output may move, relative to the largest magnitude
    // that it can reach.
    std::optional<double> error_bound;
    int64_t flushed = 0;  // folded: constants that became zero because they would have been subnormal
  };

  // The outcome of running the model before and after on the same inputs, for callers that did so.
  struct Verification {
    int64_t inputs = 0;         // how many sets of inputs were compared
    bool equal = false;         // within the tolerance
    double max_difference = 0;  // the largest, relative to the largest magnitude of its output
    double tolerance = 0;       // the same measure
    std::string worst_output;   // where it was
  };

  int64_t nodes_before = 0, nodes_after = 0;
  std::vector<BatchNorm> batch_norms;    // in graph order
  std::map<std::string, int64_t> rules;  // rewrites by rule, those that fired
  std::optional<Verification> verification;

  int64_t folded() const;
  // One JSON object, "schema": 1; `indent` < 0 puts it on one line.
  std::string to_json(int indent = 2) const;
  // Lines for people: a summary, then every batch norm.
  std::string to_text() const;
};

}  // namespace plica
