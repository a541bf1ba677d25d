// Rule, Pass, and what a rule may answer.
//
// A rule is a pure function of a node (or of a graph): it reads the graph around it and the facts that
// inference found, and returns NoMatch, a Skip (the node is its case, but must stay: why, and what the user
// can do), or a Patch. It edits nothing; the driver does. So a rule can be called at any time, and "why was
// this batch norm not folded?" is the Skip that it returned anyway.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>

#include "engine/graph/model_graph.h"
#include "passes/facts.h"
#include "passes/patch.h"

namespace plica {

struct NoMatch {};

struct Skip {
  std::string reason;              // in the user's terms, a clause: "its output is also read by node ..."
  std::string fix;                 // what the user can do; may be empty
  const Node* blocking = nullptr;  // the node in the way, if it is one
};

using RuleResult = std::variant<NoMatch, Skip, Patch>;

// What a rule may look at besides the node.
struct RuleContext {
  const ModelGraph& model;
  const ModelFacts& facts;
  const std::unordered_set<const Node*>& kept;  // nodes that no patch may change
  int64_t constant_bytes;                       // the largest tensor that constant folding may make
  int64_t constants_left;  // by how many bytes constant folding may still make the constants grow
  int64_t growth_left;     // by how many bytes the constants may still grow in all
  int64_t work_left;       // how many bytes constant folding may still read and write in all
  bool measure;            // whether anybody asks for error bounds
};

// One of the two functions is there.
struct Rule {
  std::string_view name, summary;
  RuleResult (*on_node)(const Node&, const RuleContext&) = nullptr;
  RuleResult (*on_graph)(Graph&, const RuleContext&) = nullptr;  // after the graph's nodes
};

// Rules that are tried together, node by node in topological order, subgraphs and model functions too.
struct Pass {
  std::string_view name;
  std::span<const Rule> rules;
};

}  // namespace plica
