#include "plica/tuning.h"

#include <cstdlib>

#include "api/tuning_file.h"
#include "engine/core/fail.h"
#include "engine/graph/model_graph.h"
#include "runtime/tuner.h"

namespace plica {

TuneReport Session::tune(const Model& model, const TensorMap& inputs, const TuneOptions& options) {
  const SessionOptions& session = options.session;
  require(session.threads >= 0, ErrorCode::invalid_argument, "the number of threads can't be negative");
  // A file that can't be used is found before the time is spent.
  if (std::error_code error; std::filesystem::exists(session.tuning, error))
    read_tuning(session.tuning, this_host());
  const TunerResult result = plica::tune(
      model.graph_,
      ExecutorOptions{
          .threads = session.threads, .cached_plans = session.cached_plans, .exact = session.exact},
      inputs, TunerOptions{options.duration, options.progress});
  if (!session.tuning.empty()) merge_tuning(session.tuning, result.tuning, this_host());
  TuneReport report;
  report.before_ms = result.before_ms;
  report.after_ms = result.after_ms;
  if (result.layout) report.layout = layout_name(*result.layout);
  for (const TunerResult::Step& s : result.steps)
    report.steps.push_back({s.operation, s.count, describe(s.choice), s.before_ms, s.after_ms});
  return report;
}

std::string default_tuning_file() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  std::string cache = variable("XDG_CACHE_HOME");
  if (cache.empty()) {
    const std::string home = variable("HOME");
    require(!home.empty(), ErrorCode::invalid_argument,
            "neither XDG_CACHE_HOME nor HOME is set: name the tuning file");
    cache = home + "/.cache";
  }
  return cache + "/plica/tuning.json";
}

}  // namespace plica
