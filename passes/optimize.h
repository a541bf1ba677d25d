// The optimizer as its callers see it: options in, a better graph and a report out.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/model_graph.h"
#include "passes/fold/health.h"

namespace plica {

struct OptimizeOptions {
  std::vector<std::string> disable;  // rules or passes not to run, by name
  std::vector<std::string> only;     // when not empty, the only ones to run
  std::vector<std::string> keep;     // nodes (by name, or by first output) that no rule may change or remove
  int64_t max_rewrites = -1;         // stop after so many rewrites; negative: no bound
  int64_t constant_bytes =
      64 << 20;  // constant folding makes no tensor larger than this, nor more than this in all
  int64_t growth_bytes = 256 << 20;  // constants grow by no more in all, by folding affines into weights too
  bool measure = true;               // the report has error bounds and the health of batch norms
  bool verify = true;                // Graph::verify after each pass that changed something
  // For dumps: after every pass of the first round, later after those that changed something.
  std::function<void(std::string_view pass, const ModelGraph&)> after_pass;
  std::function<void(std::string_view pass, int done, int total)> progress;  // nodes visited in this pass
};

// What became of one BatchNormalization.
struct BatchNormVerdict {
  std::string node;  // its name, or its output's when it has none
  bool folded = false;
  std::vector<std::string> into;  // names of the nodes that absorbed it
  std::string rule;
  std::string reason;  // why it was kept
  std::string fix;     // what the user can do about that
  // Folded: a bound on the absolute difference of any output element before and after, relative to the
  // largest magnitude that the node's output can reach for inputs of the same size; from the rounding of
  // weights and bias, the roundings of a run aside (see docs/passes.md).
  std::optional<double> error_bound;
  bool offset_stays = false;   // folded: but in a node of its own; only the factor went into others
  std::string blocking;        // kept: the node in the way, when it is one
  int64_t flushed = 0;         // folded: constants that became zero because they would have been subnormal
  std::vector<double> bounds;  // folded: error_bound by channel, when the fold gives it
  BatchNormHealth health;      // of the parameters in the original model
};

// One application of a rule.
struct Rewrite {
  std::string rule;
  std::string node;               // the node that the rule removed or changed
  std::vector<std::string> into;  // a fold: the nodes that absorbed it
};

struct OptimizeReport {
  int64_t nodes_before = 0, nodes_after = 0;  // of the main graph, subgraphs included
  std::vector<BatchNormVerdict> batch_norms;  // in graph order
  std::map<std::string, int64_t> rules;       // rewrites by rule, only those that fired
  std::optional<Rewrite> last_rewrite;        // the one that max_rewrites stopped at, or the last of all
};

// Rewrites the model in place; it stays a valid model that computes the same. Throws invalid_argument for an
// unknown name of a rule, pass or node in the options, before anything changes.
OptimizeReport optimize(ModelGraph& model, const OptimizeOptions& options = {});

struct RuleInfo {
  std::string_view name, summary;
  std::string_view pass;  // which can be named in disable and only too
};
std::vector<RuleInfo> all_rules();  // in the order of the default pipeline

}  // namespace plica
