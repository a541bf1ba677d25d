#include "passes/optimize.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "engine/core/fail.h"
#include "passes/driver.h"
#include "passes/pipeline.h"
#include "passes/upgrade_ir.h"

namespace plica {
namespace {

// Calls f(Node&) for all nodes of the model in graph order: those of subgraphs after the node that owns them,
// functions last.
template <class F>
void for_each_node(const Graph& graph, F&& f) {
  for (Node* node : graph.nodes()) {
    f(*node);
    for_each_subgraph(node->attributes(), [&](const Graph& sub) { for_each_node(sub, f); });
  }
}
template <class F>
void for_each_node(const ModelGraph& model, F&& f) {
  for_each_node(model.graph, f);
  for (const auto& function : model.functions) for_each_node(function->graph, f);
}

// Follows every BatchNormalization of the original model to its verdict.
class Verdicts : public DriverListener {
 public:
  Verdicts(const ModelGraph& model, bool measure) : measure_(measure) {
    for_each_node(model, [&](const Node& node) {
      if (!node.is("BatchNormalization")) return;
      index_.emplace(&node, list_.size());
      BatchNormVerdict& v = list_.emplace_back();
      v.node = label_of(node);
      if (measure_) v.health = examine_batch_norm(node, channels_left_);
    });
  }

  void skipped(const Node& node, const Rule& rule, const Skip& skip) override {
    auto it = index_.find(&node);
    if (it == index_.end()) return;
    BatchNormVerdict& v = list_[it->second];
    examine_again(v, node);
    if (rule.name == "fold_affine_forward" && !v.reason.empty()) {
      // Why it did not go backward either was said just before; or, where only this rule runs, in the last
      // round.
      if (!v.reason.ends_with(skip.reason)) v.reason += "; " + skip.reason;
      if (v.fix.empty()) v.fix = skip.fix;
      return;
    }
    v.reason = skip.reason;
    v.fix = skip.fix;
    v.blocking = skip.blocking ? label_of(*skip.blocking) : "";
  }

  void removed(const Node& node, const Rule& rule, const Patch& patch) override {
    auto it = index_.find(&node);
    // A batch norm says more about a rewrite than what went with it.
    if (removed_.empty() || it != index_.end()) removed_ = label_of(node);
    if (it == index_.end()) return;
    BatchNormVerdict& v = list_[it->second];
    examine_again(v, node);
    v.folded = true;
    v.rule = rule.name;
    v.error_bound = patch.error_bound;
    v.bounds = patch.channel_bounds;
    v.offset_stays = patch.offset_stays;
    v.flushed = patch.flushed;
    v.reason.clear();
    v.fix.clear();
    v.blocking.clear();
    just_removed_.push_back(it->second);
    index_.erase(it);  // another node may come to live at the address
  }

  // Names of absorbers as they are now: an unnamed node goes by its output, which the fold has renamed.
  void applied(const Rule& rule, const Patch& patch) override {
    Rewrite& last = last_.emplace();
    last.rule = rule.name;
    for (const Node* node : patch.absorbers) last.into.push_back(label_of(*node));
    last.node = removed_.empty() ? changed_by(patch) : std::move(removed_);
    removed_.clear();
    for (size_t i : just_removed_) list_[i].into = last.into;
    just_removed_.clear();
  }

  std::optional<Rewrite> last_rewrite() && { return std::move(last_); }

  // What holds for batch norms that no rule spoke about.
  std::vector<BatchNormVerdict> finish(const OptimizeOptions& options, bool rule_enabled, bool at_limit) && {
    const std::unordered_set<std::string_view> kept(options.keep.begin(), options.keep.end());
    for (BatchNormVerdict& v : list_) {
      if (v.folded) continue;
      if (kept.contains(v.node)) {
        v.reason = "it is to be kept as it is";
        v.fix = "leave it out of the list of nodes to keep";
      } else if (!rule_enabled) {
        v.reason = "the rule that folds it is switched off";
        v.fix = "enable fold_affines";
      } else if (at_limit && v.reason.empty()) {
        v.reason = fmt::format("the limit of {} rewrites was reached", options.max_rewrites);
        v.fix = "raise the limit";
      }
    }
    return std::move(list_);
  }

 private:
  // Parameters that were computed may be constants by now.
  void examine_again(BatchNormVerdict& v, const Node& node) {
    const auto& findings = v.health.findings;
    const bool again = std::ranges::any_of(
        findings, [](const BatchNormFinding& f) { return f.kind == health::kNotConstant; });
    if (again) v.health = examine_batch_norm(node, channels_left_);
  }

  // What to call a rewrite that removed no node.
  static std::string changed_by(const Patch& patch) {
    if (!patch.absorbers.empty()) return label_of(*patch.absorbers[0]);
    if (!patch.input_edits().empty()) return label_of(*patch.input_edits()[0].node);
    if (!patch.attribute_edits().empty()) return label_of(*patch.attribute_edits()[0].node);
    return "";  // initializers that nobody read
  }

  const bool measure_;
  int64_t channels_left_ = health::kMostChannels;
  std::string removed_;  // by the patch at hand
  std::optional<Rewrite> last_;
  std::vector<BatchNormVerdict> list_;
  std::unordered_map<const Node*, size_t> index_;
  std::vector<size_t> just_removed_;
};

std::unordered_set<const Node*> find_kept(const ModelGraph& model, const std::vector<std::string>& names) {
  std::unordered_set<const Node*> kept;
  if (names.empty()) return kept;
  std::unordered_map<std::string_view, bool> found;
  for (const std::string& name : names) found.emplace(name, false);
  for_each_node(model, [&](const Node& node) {
    auto it = found.find(label_of(node));
    if (it == found.end()) return;
    it->second = true;
    kept.insert(&node);
  });
  for (const std::string& name : names) {
    require(found.at(name), ErrorCode::invalid_argument, "there is no node {} to keep", quoted(name));
  }
  return kept;
}

}  // namespace

OptimizeReport optimize(ModelGraph& model, const OptimizeOptions& options) {
  const auto enabled = enabled_rules(options.disable, options.only);
  require(options.constant_bytes >= 0, ErrorCode::invalid_argument, "constant_bytes is negative");
  require(options.growth_bytes >= 0, ErrorCode::invalid_argument, "growth_bytes is negative");
  auto kept = find_kept(model, options.keep);

  OptimizeReport report;
  report.nodes_before = count_nodes(model.graph);
  const bool upgraded =
      enabled.contains("upgrade_ir_version") && options.max_rewrites != 0 && upgrade_ir_version(model);
  Verdicts verdicts(model, options.measure);
  Driver driver(model, options, enabled, std::move(kept), verdicts);
  for (int round = 0; round < kMostRounds; ++round) {
    bool changed = false;
    for (const Pass& pass : default_pipeline()) {
      const bool pass_changed = driver.run(pass);
      changed |= pass_changed;
      if (options.after_pass && (pass_changed || round == 0)) options.after_pass(pass.name, model);
    }
    if (!changed) break;
  }
  report.nodes_after = count_nodes(model.graph);
  report.rules = driver.rewrites();
  report.last_rewrite = std::move(verdicts).last_rewrite();
  if (upgraded) report.rules["upgrade_ir_version"] = 1;
  report.batch_norms = std::move(verdicts).finish(
      options, enabled.contains("fold_affine_backward") || enabled.contains("fold_affine_forward"),
      driver.at_limit());
  return report;
}

std::vector<RuleInfo> all_rules() {
  std::vector<RuleInfo> out;
  for (const Pass& pass : default_pipeline()) {
    for (const Rule& rule : pass.rules) out.push_back({rule.name, rule.summary, pass.name});
  }
  return out;
}

}  // namespace plica
