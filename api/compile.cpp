#include "plica/compile.h"

#include "api/compiled_file.h"
#include "api/session_options.h"
#include "engine/core/fail.h"
#include "runtime/executor.h"

namespace plica {

CompileReport Session::compile(const Model& model, const std::vector<TensorMap>& inputs,
                               const std::filesystem::path& path, const CompileOptions& options) {
  require(!inputs.empty(), ErrorCode::invalid_argument, "there are no inputs to compile for");
  CompileReport report;
  SessionOptions session = options.session;
  session.cached_plans = inputs.size();  // their constants are there until they are written
  std::vector<int> threads = options.threads;
  if (threads.empty()) threads.push_back(session.threads);
  CompiledFileWriter file(path, *model.graph_);
  Tuning tuning;
  for (const int count : threads) {
    session.threads = count;
    const ExecutorOptions how = executor_options(session, model.compiled_, report.tuning_note);
    const Executor executor(model.graph_, how);
    for (const TensorMap& given : inputs) {
      executor.run(given);  // plans of subgraphs, and of what depends on data, are made on the way
      if (how.tuning) {
        for (const StepInfo& step : executor.describe(given).steps) {
          if (const auto it = how.tuning->plans.find(step.plan); it != how.tuning->plans.end())
            tuning.plans.insert(*it);
        }
      }
      ++report.plans;
      if (options.progress) options.progress(report.plans, threads.size() * inputs.size());
    }
    report.not_kept_bytes += file.add(executor.constants());
  }
  report.file_bytes = file.commit(tuning);
  report.packed = file.forms();
  report.packed_bytes = file.packed_bytes();
  return report;
}

}  // namespace plica
