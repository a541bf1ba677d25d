#include "plica/session.h"

#include <utility>

#include "api/session_options.h"
#include "api/tuning_file.h"
#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/core/parallel.h"
#include "engine/graph/model_graph.h"
#include "runtime/executor.h"
#include "runtime/peak.h"

namespace plica {

namespace {

Session::Step to_step(StepInfo info) {
  return {std::move(info.kind),
          std::move(info.nodes),
          std::move(info.implementation),
          std::move(info.layout),
          info.flops,
          info.bytes};
}

}  // namespace

int default_threads() { return available_cpus(); }

double measure_peak_gflops(int threads) { return measure_peak_of(threads > 0 ? threads : available_cpus()); }

struct Session::Impl {
  Impl(std::shared_ptr<const ModelGraph> model, const ExecutorOptions& options)
      : executor(std::move(model), options) {}
  Executor executor;
  std::string tuning_note;
};

ExecutorOptions executor_options(const SessionOptions& options,
                                 const std::shared_ptr<const CompiledFile>& compiled, std::string& note) {
  if (options.threads < 0)
    throw Error(ErrorCode::invalid_argument, "the number of threads can't be negative");
  ExecutorOptions how{.threads = options.threads, .cached_plans = options.cached_plans, .exact = options.exact};
  if (compiled) {
    how.tuning = compiled->tuning();
    how.packed = compiled;
  }
  if (!options.tuning.empty()) {
    TuningFile file = read_tuning(options.tuning, this_host());
    if (file.differs.empty()) {
      how.tuning = std::make_shared<const Tuning>(std::move(file.tuning));
    } else {
      note = fmt::format("tuning file {} is not used: it is of {}", display_name(options.tuning), file.differs);
    }
  }
  return how;
}

Session::Session(const Model& model, SessionOptions options) {
  std::string note;
  impl_ = std::make_unique<Impl>(model.graph_, executor_options(options, model.compiled_, note));
  impl_->tuning_note = std::move(note);
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const std::string& Session::tuning_note() const { return impl_->tuning_note; }

TensorMap Session::run(const TensorMap& inputs) const { return impl_->executor.run(inputs); }

Session::Plan Session::plan(const TensorMap& inputs) const {
  PlanInfo info = impl_->executor.describe(inputs);
  Plan plan;
  plan.arena_bytes = info.arena_bytes;
  plan.arena_lower_bound = info.arena_lower_bound;
  plan.constant_bytes = info.constant_bytes;
  for (StepInfo& step : info.steps) plan.steps.push_back(to_step(std::move(step)));
  return plan;
}

Session::Profile Session::profile(const TensorMap& inputs, int runs) const {
  RunProfile measured = impl_->executor.profile(inputs, runs);
  Profile profile;
  profile.durations = std::move(measured.durations);
  for (StepInfo& step : measured.steps) profile.steps.push_back(to_step(std::move(step)));
  for (const auto& run : measured.runs) {
    auto& to = profile.runs.emplace_back();
    for (const auto& r : run) to.push_back({r.step, r.depth, r.start, r.duration});
  }
  return profile;
}

}  // namespace plica
