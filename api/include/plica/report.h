// Report: what an optimization did, why it did not do more, and what was remarkable about the batch norms.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plica/tensor.h"

namespace PLICA_API plica {

// Something remarkable about the parameters of a batch norm, as they are before folding.
struct HealthFinding {
  // An error computes NaN, infinity, or something that depends on the rest of the batch; a warning is likely
  // a mistake, or costs accuracy or speed; a note is worth knowing.
  enum class Severity { note, warning, error };

  std::string kind;  // "dead", "extreme_gain", ...: docs/reports.md lists them
  Severity severity = Severity::note;
  int64_t channels = 0;                 // how many it concerns; 0: the batch norm as a whole
  std::vector<int64_t> first_channels;  // the first of them, at most 8
  std::string message;
  std::string fix;  // what can be done about it; may be empty
};
std::string_view to_string(HealthFinding::Severity severity);
// "4 of 64 channels are dead: ... (channels 3, 7, 9, 12)"
std::string to_text(const HealthFinding& finding);

struct Report {
  // A batch norm by channel: y = gain * x + shift. Empty where the parameters are not constants.
  struct Channels {
    std::vector<double> mean, variance, gain, shift;
    std::vector<double> bounds;  // as BatchNorm::error_bound; empty when the fold gives none by channel
    // 0: nothing remarkable; else 1 + the worst severity of the findings about the channel.
    std::vector<uint8_t> marks;
  };

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
    bool offset_stays = false;  // folded: but only the factor went into others, and one node adds the offset
    int64_t flushed = 0;  // folded: constants that became zero because they would have been subnormal
    DataType type = DataType::undefined;  // of the elements that it computes, as far as that is known
    double epsilon = 0;
    Channels channels;
    std::vector<HealthFinding> health;  // the worst first
  };

  // One application of a rule.
  struct Rewrite {
    std::string rule;
    std::string node;               // that the rule removed or changed
    std::vector<std::string> into;  // a fold: the nodes that absorbed it
  };

  // The outcome of running the model before and after on the same inputs, for callers that did so.
  // Differences are relative to the largest magnitude of their output; of an output that is not a
  // floating-point tensor, they are the share of the elements that differ.
  struct Verification {
    int64_t inputs = 0;         // how many sets of inputs were compared
    bool equal = false;         // within the tolerance
    double max_difference = 0;  // the largest, by its output's tolerance
    double tolerance = 0;       // the same measure
    double sensitivity = 0;  // the same measure: how far the smallest changes of the weights move that output
    std::string worst_output;       // where it was
    int64_t seeded = 0, given = 0;  // of the inputs: made from a seed, from the user's data
  };

  std::string model;  // what to call it: the graph's name, until somebody knows a better one
  int64_t nodes_before = 0, nodes_after = 0;
  std::map<std::string, int64_t> operators_before, operators_after;  // "Conv", "com.example.Foo" -> how often
  std::vector<BatchNorm> batch_norms;                                // in graph order
  std::map<std::string, int64_t> rules;                              // rewrites by rule, those that fired
  std::optional<Rewrite> last_rewrite;  // with max_rewrites: the one it ended with
  std::optional<Verification> verification;

  int64_t folded() const;
  int64_t rewrites() const;  // of all rules
  // How many findings are of a severity, over all batch norms.
  int64_t findings(HealthFinding::Severity severity) const;

  // One JSON object, "schema": 1; `indent` < 0 puts it on one line. What batch norms have by channel is there
  // as minimum, median and maximum, or whole.
  enum class ChannelDetail { summary, values };
  std::string to_json(int indent = 2, ChannelDetail detail = ChannelDetail::summary) const;
  // Lines for people: a summary, then every batch norm with its verdict and its findings.
  std::string to_text() const;
  // One HTML page that needs nothing else, with plots of every batch norm by channel.
  std::string to_html() const;
};

}  // namespace plica
