// Driver: runs passes over a model. It alone edits the graph, through patches that it has checked.
//
// Deterministic: nodes are visited in list order (a valid graph is sorted), each with its subgraphs, then the
// functions of the model; what a patch makes is not visited in the same walk.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>

#include "passes/apply.h"
#include "passes/optimize.h"
#include "passes/rule.h"

namespace plica {

// Hears what becomes of nodes.
class DriverListener {
 public:
  virtual ~DriverListener() = default;
  virtual void skipped(const Node& node, const Rule& rule, const Skip& skip) = 0;
  // Before the node, which `rule` matched or which its patch left unread, is removed.
  virtual void removed(const Node& node, const Rule& rule, const Patch& patch) = 0;
  // After the patch is in the graph.
  virtual void applied(const Rule& rule, const Patch& patch) = 0;
};

class Driver {
 public:
  // `enabled`: names of the rules that run. `kept`: nodes that nothing may change.
  Driver(ModelGraph& model, const OptimizeOptions& options, std::unordered_set<std::string_view> enabled,
         std::unordered_set<const Node*> kept, DriverListener& listener);

  // Visits every node once. Returns whether something changed.
  bool run(const Pass& pass);

  const std::map<std::string, int64_t>& rewrites() const { return rewrites_; }
  bool at_limit() const { return options_.max_rewrites >= 0 && total_ >= options_.max_rewrites; }

 private:
  void walk(Graph& graph, const Pass& pass);
  void visit(Node& node, const Pass& pass);
  // Whether the patch was applied.
  bool try_rule(const Node* node, Graph& graph, const Rule& rule);
  void report_progress(const Pass& pass);

  ModelGraph& model_;
  const OptimizeOptions& options_;
  const std::unordered_set<std::string_view> enabled_;
  const std::unordered_set<const Node*> kept_;
  DriverListener& listener_;

  ModelFacts facts_;
  bool facts_current_ = false;
  Applier applier_;
  std::unordered_set<const Node*> gone_;  // removed in this walk: a snapshot may still list them
  std::map<std::string, int64_t> rewrites_;
  int64_t total_ = 0;
  int64_t growth_left_, work_left_;
  int visited_ = 0, to_visit_ = 0;
};

// Nodes of the graph and of its subgraphs.
int64_t count_nodes(const Graph& graph);

}  // namespace plica
