// plica bench: how long a model takes to load and to run.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include "engine/core/fail.h"
#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/inputs.h"
#include "tools/statistics.h"

namespace plica::tools {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

constexpr int kLeastRuns = 5;

struct BenchOptions {
  std::string model, other;
  ShapeOptions shapes;
  SessionOptions session;
  int warm_up = 3;
  double duration = 2;
  uint64_t seed = 0;
  bool no_optimize = false, json = false;
};

// One model, ready to run, with what it took to get there.
struct Candidate {
  std::string path;
  double load_ms = 0, first_run_ms = 0;
  std::optional<Session> session;
  TensorMap inputs;
  std::vector<double> times;  // of runs, in ms; sorted at the end

  void run() {
    const auto start = Clock::now();
    session->run(inputs);
    times.push_back(milliseconds_since(start));
  }
  double quantile(double q) const {  // nearest rank
    const auto rank = static_cast<size_t>(std::ceil(q * static_cast<double>(times.size())));
    return times[std::clamp<size_t>(rank, 1, times.size()) - 1];
  }
  double median() const { return median_of(times); }
};

Candidate prepare(const std::string& path, const BenchOptions& options, std::vector<std::string>* assumed) {
  Candidate c;
  c.path = path;
  const auto start = Clock::now();
  Model model = load_model(path);
  about_model(path, [&] {
    if (!options.no_optimize) model.optimize();
    c.session.emplace(model, options.session);
    note_tuning(*c.session);
    c.load_ms = milliseconds_since(start);
    c.inputs = random_inputs(model, options.shapes.resolve(model), options.seed, assumed);
    c.run();
    c.first_run_ms = c.times[0];
    for (int i = 0; i < options.warm_up; ++i) c.run();
    c.times.clear();
  });
  return c;
}

int64_t peak_rss() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

Json to_json(const Candidate& c, int threads) {
  return {{"schema", 1},
          {"model", c.path},
          {"threads", threads},
          {"load_ms", c.load_ms},
          {"first_run_ms", c.first_run_ms},
          {"latency_ms",
           {{"min", c.times.front()},
            {"median", c.median()},
            {"p90", c.quantile(0.9)},
            {"p99", c.quantile(0.99)}}},
          {"runs", c.times.size()},
          {"peak_rss_bytes", peak_rss()}};
}

int bench(const BenchOptions& options) {
  std::vector<std::string> assumed;
  std::vector<Candidate> candidates;
  candidates.push_back(prepare(options.model, options, &assumed));
  if (!options.other.empty()) candidates.push_back(prepare(options.other, options, nullptr));
  for (const std::string& choice : assumed) note("the model leaves open: {}", escaped(choice));

  // Turn by turn, so that whatever else the machine does meets both.
  const auto end = Clock::now() + std::chrono::duration<double>(options.duration);
  while (Clock::now() < end || candidates[0].times.size() < kLeastRuns) {
    for (Candidate& c : candidates) c.run();
  }
  for (Candidate& c : candidates) std::ranges::sort(c.times);

  const int threads = options.session.threads > 0 ? options.session.threads : default_threads();
  const double ratio = candidates.size() > 1 ? candidates[0].median() / candidates[1].median() : 0;
  if (options.json) {
    Json root = to_json(candidates[0], threads);
    if (candidates.size() > 1) {
      Json other = to_json(candidates[1], threads);
      other.erase("schema");
      other.erase("peak_rss_bytes");
      root["compare"] = std::move(other);
      root["compare"]["ratio"] = ratio;
    }
    print_json(root);
    return kOk;
  }
  using enum Table::Align;
  Table table({"model", "load", "first run", "min", "median", "p90", "p99", "runs"},
              {left, right, right, right, right, right, right, right});
  const auto ms = [](double value) { return fmt::format("{:.3f} ms", value); };
  for (const Candidate& c : candidates) {
    table.add({shown(c.path), fmt::format("{:.1f} ms", c.load_ms), fmt::format("{:.1f} ms", c.first_run_ms),
               ms(c.times.front()), ms(c.median()), ms(c.quantile(0.9)), ms(c.quantile(0.99)),
               fmt::format("{}", c.times.size())});
  }
  print(table.text());
  print("{} thread{}, peak memory {}\n", threads, threads == 1 ? "" : "s",
        human_bytes(static_cast<double>(peak_rss())));
  if (candidates.size() > 1)
    print("median of the first / median of the second: {}\n",
          styled(Style::bold, fmt::format("{:.3f}", ratio)));
  return kOk;
}

}  // namespace

void add_bench(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* app = program.add_subcommand("bench", "Measure load time, latency and memory");
  add_model(*app, options->model);
  add_shape_options(*app, options->shapes);
  add_session_options(*app, options->session);
  app->add_option("--duration", options->duration, "Seconds to measure (default 2)")
      ->check(CLI::Range(0.0, 86400.0))
      ->type_name("S");
  app->add_option("--warm-up", options->warm_up, "Runs before that, after the first (default 3)")
      ->check(CLI::Range(0, 1000000))
      ->type_name("N");
  app->add_option("--seed", options->seed, "Of the random inputs (default 0)")->type_name("N");
  app->add_option("--compare", options->other, "Another model, run in turns with the first")
      ->type_name("MODEL");
  app->add_flag("--no-optimize", options->no_optimize, "Run the graph as it is in the file");
  add_json(*app, options->json);
  app->footer(R"(
Examples:
  plica bench net.onnx --threads 1 --shape x:1x3x224x224
  plica bench folded.onnx --compare net.onnx --no-optimize)");
  app->callback([options, &invocation] { invocation.run = [options] { return bench(*options); }; });
}

}  // namespace plica::tools
