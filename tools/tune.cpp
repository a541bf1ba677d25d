#include <algorithm>
#include <memory>

#include "engine/core/fail.h"
#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/inputs.h"

namespace plica::tools {
namespace {

struct TuneCommand {
  std::string model, cache;
  ShapeOptions shapes;
  std::vector<int> threads;
  double duration = 20;
  uint64_t seed = 0;
  bool exact = false, no_optimize = false, json = false;
};

Json to_json(const TuneReport& report, int threads) {
  Json steps = Json::array();
  for (const TuneReport::Step& s : report.steps)
    steps.push_back({{"operation", s.operation},
                     {"count", s.count},
                     {"choice", s.choice},
                     {"before_ms", s.before_ms},
                     {"after_ms", s.after_ms}});
  return {{"threads", threads},
          {"layout", report.layout.empty() ? Json() : Json(report.layout)},
          {"before_ms", report.before_ms},
          {"after_ms", report.after_ms},
          {"steps", std::move(steps)}};
}

void print_report(const TuneReport& report, int threads) {
  if (!report.steps.empty()) {
    using enum Table::Align;
    Table table({"steps", "operation", "choice", "before", "after"}, {right, left, left, right, right});
    for (const TuneReport::Step& s : report.steps)
      table.add({fmt::format("{}", s.count), escaped(s.operation), s.choice,
                 fmt::format("{:.3f} ms", s.before_ms), fmt::format("{:.3f} ms", s.after_ms)});
    print(table.text());
  }
  const std::string team = fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
  if (report.layout.empty()) {
    print("{}: {:.3f} ms, the default plan stays\n", team, report.before_ms);
  } else {
    print("{}: {:.3f} ms before, {:.3f} ms after, {} ({})\n", team, report.before_ms, report.after_ms,
          styled(Style::bold, fmt::format("{:.1f} % less", 100 * (1 - report.after_ms / report.before_ms))),
          report.layout);
  }
}

int tune_command(TuneCommand options) {
  if (options.threads.empty()) options.threads = {default_threads()};
  Model model = load_model(options.model);
  return about_model(options.model, [&] {
    if (!options.no_optimize) optimize_to_run(model);
    std::vector<std::string> assumed;
    const TensorMap inputs = random_inputs(model, options.shapes.resolve(model), options.seed, &assumed);
    note_assumed(assumed);
    Json results = Json::array();
    TuneOptions how;
    how.session.exact = options.exact;
    how.session.tuning = options.cache.empty() ? default_tuning_file() : options.cache;
    how.duration = options.duration / static_cast<double>(options.threads.size());
    for (const int threads : options.threads) {
      how.session.threads = threads;
      how.progress = [&](double done) {
        progress(fmt::format("{} thread(s): {:.0f} %", threads, 100 * done));
      };
      const TuneReport report = Session::tune(model, inputs, how);
      progress("");
      if (options.json) {
        results.push_back(to_json(report, threads));
      } else {
        print_report(report, threads);
      }
    }
    if (options.json)
      print_json(
          {{"schema", 1}, {"model", options.model}, {"file", how.session.tuning}, {"results", results}});
    else
      note("written to {}; --tuned goes by it", escaped(how.session.tuning));
    return kOk;
  });
}

}  // namespace

void add_tune(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<TuneCommand>();
  CLI::App* app = program.add_subcommand("tune", "Measure what is fastest on this machine, for --tuned");
  add_model(*app, options->model);
  add_shape_options(*app, options->shapes);
  add_threads_list(*app, options->threads, "Numbers of threads to tune for");
  app->add_option("--cache", options->cache,
                  "File of the results, which keeps what else it holds (default: plica/tuning.json in "
                  "$XDG_CACHE_HOME or ~/.cache)")
      ->type_name("FILE");
  app->add_option("--duration", options->duration, "Seconds to measure (default 20)")
      ->check(CLI::Range(0.0, 86400.0))
      ->type_name("S");
  app->add_option("--seed", options->seed, "Of the random inputs (default 0)")->type_name("N");
  app->add_flag("--exact", options->exact, "Tune for runs with --exact: no Winograd");
  app->add_flag("--no-optimize", options->no_optimize, "Tune the graph as it is in the file");
  add_json(*app, options->json);
  app->footer(R"(
Results hold for this CPU, these versions of Plica and oneDNN, and the shapes and threads measured.

Examples:
  plica tune net.onnx --shape x:1x3x224x224 --threads 1,2
  plica bench net.onnx --shape x:1x3x224x224 --threads 2 --tuned)");
  app->callback([options, &invocation] { invocation.run = [options] { return tune_command(*options); }; });
}

}  // namespace plica::tools
