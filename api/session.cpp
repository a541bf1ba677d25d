#include "plica/session.h"

#include <malloc.h>

#include <algorithm>
#include <utility>

#include "api/session_options.h"
#include "api/tuning_file.h"
#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/core/limits.h"
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

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      break;
  }
  return "warning";
}

struct Session::Impl {
  Impl(std::shared_ptr<const ModelGraph> of, const ExecutorOptions& options, std::string note)
      : model(of), executor(std::move(of), options), tuning_note(std::move(note)) {}
  std::shared_ptr<const ModelGraph> model;
  Executor executor;
  std::string tuning_note;
};

ExecutorOptions executor_options(const SessionOptions& options,
                                 const std::shared_ptr<const CompiledFile>& compiled, std::string& note) {
  if (options.threads < 0)
    throw Error(ErrorCode::invalid_argument, "the number of threads can't be negative");
  ExecutorOptions how{.threads = options.threads, .cached_plans = options.cached_plans, .exact = options.exact};
  if (options.log) {
    how.log = [log = options.log](bool is_notable, std::string_view message) {
      log(is_notable ? LogLevel::info : LogLevel::debug, message);
    };
  }
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
  const ExecutorOptions how = executor_options(options, model.compiled_, note);
  if (options.log) {
    if (!note.empty()) options.log(LogLevel::warning, note);
    if (!model.compiled_note().empty()) options.log(LogLevel::warning, "the compiled file " + model.compiled_note());
  }
  impl_ = std::make_shared<const Impl>(model.graph_, how, std::move(note));
}

const std::string& Session::tuning_note() const { return impl_->tuning_note; }

TensorMap Session::run(const TensorMap& inputs) const {
  const auto alive = impl_;
  return alive->executor.run(inputs);
}

TensorMap Session::run(const TensorMap& inputs, const RunOptions& options) const {
  const auto alive = impl_;
  const std::vector<Value*>& values = alive->model->graph.outputs();
  for (const auto& [name, _] : options.outputs) {
    require(std::ranges::any_of(values, [&](const Value* v) { return v->name() == name; }),
            ErrorCode::invalid_argument, "the model has no output {}", quoted(name));
  }
  plica::RunOptions how;
  if (options.on_step) {
    how.on_step = [&](const StepInfo& step, double start, double duration) {
      options.on_step(to_step(step), start, duration);
    };
  }
  if (!options.outputs.empty() || options.allocate) {
    how.memory = [&](size_t output, DataType type, const Dims& dims) {
      const std::string& name = values[output]->name();
      if (const auto given = options.outputs.find(name); given != options.outputs.end()) return given->second;
      return options.allocate ? options.allocate(name, type, dims) : Tensor();
    };
  }
  if (!options.cancel && options.timeout == 0 && options.max_memory == 0) return alive->executor.run(inputs, how);
  const LimitsScope limits(
      {.max_memory = options.max_memory, .timeout = options.timeout, .cancel = options.cancel});
  check_limits();
  return alive->executor.run(inputs, how);
}

Session::Memory Session::memory() const {
  const MemoryUse use = impl_->executor.memory();
  return {use.plans, use.constants, use.workspaces, use.results};
}

void Session::trim() const {
  impl_->executor.trim();
  ::malloc_trim(0);  // the allocator keeps what was freed within its heap
}

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
