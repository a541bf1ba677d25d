#include "plica/session.h"

#include <utility>

#include "engine/core/error.h"
#include "engine/core/parallel.h"
#include "engine/graph/model_graph.h"
#include "runtime/executor.h"

namespace plica {

int default_threads() { return available_cpus(); }

struct Session::Impl {
  Impl(std::shared_ptr<const ModelGraph> model, const ExecutorOptions& options)
      : executor(std::move(model), options) {}
  Executor executor;
};

Session::Session(const Model& model, SessionOptions options) {
  if (options.threads < 0)
    throw Error(ErrorCode::invalid_argument, "the number of threads can't be negative");
  impl_ = std::make_unique<Impl>(
      model.graph_, ExecutorOptions{.threads = options.threads, .cached_plans = options.cached_plans});
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

TensorMap Session::run(const TensorMap& inputs) const { return impl_->executor.run(inputs); }

Session::Plan Session::plan(const TensorMap& inputs) const {
  PlanInfo info = impl_->executor.describe(inputs);
  Plan plan;
  plan.arena_bytes = info.arena_bytes;
  plan.constant_bytes = info.constant_bytes;
  for (StepInfo& step : info.steps) {
    plan.steps.push_back({std::move(step.kind), std::move(step.nodes), std::move(step.implementation),
                          std::move(step.layout)});
  }
  return plan;
}

}  // namespace plica
