// Runner: runs a region by plans, which it keeps by the shapes of the inputs.
//
// Where shapes depend on data (NonZero, an If, a Loop), a plan ends: what reads such values is a region of
// its own, the continuation, whose plans are made and kept by the shapes that come out. Each looks at all
// nodes that are left, so their number is bounded: the last one's steps learn shapes while they run.
// Subgraphs are run by
// runners too, one for each in the whole model, whatever plan its node is in. Thread safety: run() from many
// threads.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/ops/evaluate.h"
#include "runtime/plan/constants.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/plan_cache.h"
#include "runtime/plan/region.h"
#include "runtime/plan/tuning.h"

namespace plica {

class Runner;

// What happened, for a log; `is_notable`: an application may want to know without asking.
using RunnerLog = std::function<void(bool is_notable, std::string_view message)>;

// What the runners of a model share. Outlives them and their plans.
class Programs {
 public:
  explicit Programs(size_t cached_plans, bool exact = false, std::shared_ptr<const Tuning> tuning = nullptr,
                    std::shared_ptr<const PackedForms> packed = nullptr, RunnerLog log = nullptr)
      : cached_plans_(cached_plans),
        exact_(exact),
        tuning_(std::move(tuning)),
        log_(std::move(log)),
        constants_(std::move(packed)) {}
  ~Programs();

  // That of a subgraph.
  const Runner& runner_of(const Graph& body) const;
  // What is prepared of a node (OpDef::prepare): once, whatever plans it is in.
  Prepared prepared(const Node& node) const;
  ConstantCache& constants() const { return constants_; }
  ResultPool& results() const { return *results_; }
  WorkspacePool& workspaces() const { return workspaces_; }
  const RunnerLog& log() const { return log_; }  // may be empty
  size_t cached_plans() const { return cached_plans_; }
  // Sums are those of the operators' definitions: no method that computes them otherwise.
  bool exact() const { return exact_; }
  // Choices by measurement; null: none.
  const Tuning* tuning() const { return tuning_.get(); }

 private:
  size_t cached_plans_;
  bool exact_;
  std::shared_ptr<const Tuning> tuning_;
  const RunnerLog log_;
  mutable ConstantCache constants_;
  mutable WorkspacePool workspaces_;
  const std::shared_ptr<ResultPool> results_ = ResultPool::make();
  mutable std::mutex mutex_;
  mutable std::unordered_map<const Graph*, std::unique_ptr<Runner>> bodies_;
  mutable std::mutex preparing_;
  mutable std::unordered_map<const Node*, Prepared> prepared_;
};

class Runner {
 public:
  // `values_matter`: plans may be made for the values of small integer inputs, where shapes depend on them.
  // `nodes_left`: of a continuation, how many nodes those behind it may have in all.
  Runner(Region region, const Programs& programs, bool values_matter,
         std::optional<int64_t> nodes_left = std::nullopt);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  const Region& region() const { return region_; }

  // Inputs and outputs by position; outputs are in memory of their own, shared with inputs and constants, or as far as
  // the plans can, in that of the caller.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs, const OutputMemory& memory = nullptr) const;
  // The plan for such inputs (made now if it is not kept).
  std::shared_ptr<const Plan> plan_for(const std::vector<Tensor>& inputs) const;
  size_t plans() const { return plans_.size(); }  // that are kept

 private:
  std::shared_ptr<const Plan> plan_of_key(const std::string& key, const std::vector<Tensor>& inputs,
                                          bool with_values) const;
  std::shared_ptr<const Plan> make_plan(const std::vector<Tensor>& inputs, bool with_values) const;
  bool values_matter(const std::string& key, const std::vector<Tensor>& inputs) const;

  const Region region_;
  const Programs& programs_;
  const bool values_matter_;
  const int64_t nodes_left_;
  mutable PlanCache plans_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, bool> matters_;  // by shapes
};

// What a plan leaves for when shapes are known.
struct Continuation {
  Continuation(Region region, const Programs& programs, bool values_matter, int64_t nodes_left)
      : runner(std::move(region), programs, values_matter, nodes_left) {}

  // An input or output of the region that the plan belongs to, or of the plan.
  struct Source {
    enum class Kind { input, plan, rest } kind;
    size_t index;
  };
  Runner runner;
  std::vector<Source> inputs;   // of the runner
  std::vector<Source> outputs;  // of the region
};

}  // namespace plica
