#include "passes/driver.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "engine/core/limits.h"

namespace plica {
namespace {

// Bytes that constant folding may read and write in all, in units of the largest tensor that it may make: a
// hostile chain of large constants ends there.
constexpr int64_t kWorkFactor = 64;

int64_t saturating_times(int64_t a, int64_t b) {
  int64_t r;
  return __builtin_mul_overflow(a, b, &r) ? INT64_MAX : r;
}

}  // namespace

int64_t count_nodes(const Graph& graph) {
  int64_t count = 0;
  for (const Node* node : graph.nodes()) {
    ++count;
    for_each_subgraph(node->attributes(), [&](const Graph& sub) { count += count_nodes(sub); });
  }
  return count;
}

Driver::Driver(ModelGraph& model, const OptimizeOptions& options,
               std::unordered_set<std::string_view> enabled, std::unordered_set<const Node*> kept,
               DriverListener& listener)
    : model_(model),
      options_(options),
      enabled_(std::move(enabled)),
      kept_(std::move(kept)),
      listener_(listener),
      applier_(model, facts_, kept_),
      growth_left_(options.growth_bytes),
      work_left_(saturating_times(options.constant_bytes, kWorkFactor)) {}

bool Driver::run(const Pass& pass) {
  const int64_t before = total_;
  bool any = false;
  for (const Rule& rule : pass.rules) any |= enabled_.contains(rule.name);
  if (!any || at_limit()) return false;

  if (!facts_current_) facts_.infer(model_, total_ == 0);
  facts_current_ = true;
  gone_.clear();
  visited_ = 0;
  to_visit_ = static_cast<int>(count_nodes(model_.graph));
  for (const auto& f : model_.functions) to_visit_ += static_cast<int>(count_nodes(f->graph));

  walk(model_.graph, pass);
  for (const auto& f : model_.functions) walk(f->graph, pass);
  visited_ = to_visit_;
  report_progress(pass);
  if (total_ == before) return false;
  // New constants may tell more of the shapes downstream.
  facts_current_ = false;
  if (options_.verify) {
    with_context(
        [&] {
          model_.graph.verify();
          for (const auto& f : model_.functions) f->graph.verify();
        },
        [&] { return fmt::format("after pass {}", pass.name); });
  }
  return true;
}

void Driver::walk(Graph& graph, const Pass& pass) {
  for (Node* node : graph.nodes()) {
    if (at_limit()) return;
    ++visited_;
    if (visited_ % 64 == 0) report_progress(pass);
    if (!gone_.contains(node)) visit(*node, pass);
  }
  for (const Rule& rule : pass.rules) {
    if (rule.on_graph && !at_limit() && enabled_.contains(rule.name)) try_rule(nullptr, graph, rule);
  }
}

void Driver::visit(Node& node, const Pass& pass) {
  // Inside first: what a subgraph no longer reads may free the nodes that come before this one in a later
  // round.
  for_each_subgraph(node.attributes(), [&](Graph& sub) { walk(sub, pass); });
  for (const Rule& rule : pass.rules) {
    if (!rule.on_node || !enabled_.contains(rule.name)) continue;
    if (try_rule(&node, *node.graph(), rule) || at_limit()) return;
  }
}

bool Driver::try_rule(const Node* node, Graph& graph, const Rule& rule) {
  check_limits();
  const int64_t spent = options_.growth_bytes - growth_left_;
  const RuleContext context{.model = model_,
                            .facts = facts_,
                            .kept = kept_,
                            .constant_bytes = options_.constant_bytes,
                            .constants_left = std::min(options_.constant_bytes - spent, growth_left_),
                            .growth_left = growth_left_,
                            .work_left = work_left_,
                            .measure = options_.measure};
  RuleResult result;
  try {
    result = node ? rule.on_node(*node, context) : rule.on_graph(graph, context);
  } catch (const Error& error) {
    // A model that is wrong here stays as it is: whoever runs or checks it will say so.
    if (ends_work(error)) throw;
    result = Skip{error.message(), "", node};
  }
  if (std::holds_alternative<NoMatch>(result)) return false;
  std::optional<Skip> skip;
  if (Patch* patch = std::get_if<Patch>(&result)) {
    skip = applier_.apply(*patch, [&](const Node& removed) {
      gone_.insert(&removed);
      listener_.removed(removed, rule, *patch);
    });
    if (!skip) {
      growth_left_ -= patch->growth_bytes;
      work_left_ -= patch->work_bytes;
      ++rewrites_[std::string(rule.name)];
      ++total_;
      listener_.applied(rule, *patch);
      return true;
    }
  } else {
    skip = std::get<Skip>(std::move(result));
  }
  if (node) listener_.skipped(*node, rule, *skip);
  return false;
}

void Driver::report_progress(const Pass& pass) {
  if (options_.progress) options_.progress(pass.name, visited_, to_visit_);
}

}  // namespace plica
