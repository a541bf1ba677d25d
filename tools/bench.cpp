// plica bench: how long a model takes to load and to run.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <string>
#include <thread>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
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
  std::string sweep;
  int streams = 1, warm_up = 3;
  double duration = 2;
  uint64_t seed = 0;
  bool no_optimize = false, json = false;
};

// One model, ready to run, with what it took to get there.
struct Candidate {
  std::string path;
  double load_ms = 0, first_run_ms = 0;
  std::optional<Session> session;
  std::vector<TensorMap> inputs;       // of each size
  std::vector<double> new_size_times;  // of the first run of each size, in ms; sorted
  std::vector<double> times;           // of runs, in ms; sorted at the end
  double seconds = 0;                  // that the runs took together

  double run(size_t size) const {
    const auto start = Clock::now();
    session->run(inputs[size]);
    return milliseconds_since(start);
  }
  void run_all() {
    for (size_t i = 0; i < inputs.size(); ++i) times.push_back(run(i));
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
    if (!options.no_optimize) optimize_to_run(model);
    c.session.emplace(model, options.session);
    note_tuning(*c.session);
    c.load_ms = milliseconds_since(start);
    for (const DimSizes& sizes : options.shapes.resolve_all(model, options.sweep))
      c.inputs.push_back(random_inputs(model, sizes, options.seed, c.inputs.empty() ? assumed : nullptr));
    for (size_t i = 0; i < c.inputs.size(); ++i) c.new_size_times.push_back(c.run(i));
    c.first_run_ms = c.new_size_times[0];
    std::ranges::sort(c.new_size_times);
    for (int i = 0; i < options.warm_up; ++i) c.run_all();
    c.times.clear();
  });
  return c;
}

// So many threads run the model at the same time, each again and again.
void run_streams(Candidate& c, const BenchOptions& options) {
  std::mutex mutex;
  std::exception_ptr error;
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration<double>(options.duration);
  const std::shared_ptr<Limits> limits = Limits::current();
  const auto work = [&] {
    const LimitsScope scope(limits);
    std::vector<double> times;
    try {
      while (Clock::now() < end || times.size() < kLeastRuns) {
        for (size_t i = 0; i < c.inputs.size(); ++i) times.push_back(c.run(i));
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      error = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    c.times.insert(c.times.end(), times.begin(), times.end());
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < options.streams; ++i) threads.emplace_back(work);
  threads.clear();
  if (error) std::rethrow_exception(error);
  c.seconds = milliseconds_since(start) / 1e3;
}

// In bytes. (What getrusage says includes the process that started this one.)
int64_t peak_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

Json to_json(const Candidate& c, int threads, int streams) {
  Json json = {{"schema", 1},
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
               {"runs_per_second", static_cast<double>(c.times.size()) / c.seconds},
               {"peak_rss_bytes", peak_rss()}};
  if (streams > 1) json["streams"] = streams;
  if (c.inputs.size() > 1) {
    json["sizes"] = c.inputs.size();
    json["new_size_ms"] = {{"min", c.new_size_times.front()}, {"median", median_of(c.new_size_times)}};
  }
  return json;
}

int bench(BenchOptions options) {
  // What the streams have together.
  if (options.session.threads == 0)
    options.session.threads = std::max(1, default_threads() / options.streams);
  std::vector<std::string> assumed;
  std::vector<Candidate> candidates;
  candidates.push_back(prepare(options.model, options, &assumed));
  if (!options.other.empty()) candidates.push_back(prepare(options.other, options, nullptr));
  note_assumed(assumed);

  if (options.streams > 1) {
    for (Candidate& c : candidates) run_streams(c, options);
  } else {
    // Turn by turn, so that whatever else the machine does meets both.
    const auto end = Clock::now() + std::chrono::duration<double>(options.duration);
    while (Clock::now() < end || candidates[0].times.size() < kLeastRuns) {
      for (Candidate& c : candidates) c.run_all();
    }
    for (Candidate& c : candidates) c.seconds = std::accumulate(c.times.begin(), c.times.end(), 0.0) / 1e3;
  }
  for (Candidate& c : candidates) std::ranges::sort(c.times);

  const int threads = options.session.threads;
  const double ratio = candidates.size() > 1 ? candidates[0].median() / candidates[1].median() : 0;
  if (options.json) {
    Json root = to_json(candidates[0], threads, options.streams);
    if (candidates.size() > 1) {
      Json other = to_json(candidates[1], threads, options.streams);
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
  for (const Candidate& c : candidates) {
    if (c.inputs.size() > 1) {
      print("{} sizes: a new one takes {} (median, {} at least)\n", c.inputs.size(),
            ms(median_of(c.new_size_times)), ms(c.new_size_times.front()));
    }
    if (options.streams > 1) {
      print("{} streams: {:.1f} runs a second\n", options.streams,
            static_cast<double>(c.times.size()) / c.seconds);
    }
  }
  print("{} thread{}{}, peak memory {}\n", threads, threads == 1 ? "" : "s",
        options.streams > 1 ? " each" : "", human_bytes(static_cast<double>(peak_rss())));
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
  app->add_option("--streams", options->streams,
                  "So many runs at the same time; --threads are those of each (default: the CPUs shared out)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  add_sweep(*app, options->sweep,
            "Sizes of an input in turn, x:1x3x48x64..320..16; says what a size costs that was not met before");
  app->add_option("--seed", options->seed, "Of the random inputs (default 0)")->type_name("N");
  app->add_option("--compare", options->other, "Another model, run in turns with the first")
      ->type_name("MODEL");
  app->add_flag("--no-optimize", options->no_optimize, "Run the graph as it is in the file");
  add_json(*app, options->json);
  app->footer(R"(
Examples:
  plica bench net.onnx --threads 1 --shape x:1x3x224x224
  plica bench folded.onnx --compare net.onnx --no-optimize
  plica bench net.onnx --streams 4 --threads 1
  plica bench ocr.onnx --sweep x:1x3x48x64..560..16)");
  app->callback([options, &invocation] { invocation = {[options] { return bench(*options); }, true}; });
}

}  // namespace plica::tools
