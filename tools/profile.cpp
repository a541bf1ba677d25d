// plica profile: how long each step of a run takes, and how near it is to what the machine can do.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

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

constexpr int kLeastRuns = 3;
constexpr size_t kMostRuns = 10000;  // whose step times are kept

struct ProfileOptions {
  std::string model, trace;
  ShapeOptions shapes;
  SessionOptions session;
  int warm_up = 3, top = 25;
  double duration = 2;
  uint64_t seed = 0;
  bool in_order = false, no_optimize = false, json = false;
};

// A step over all runs.
struct StepTimes {
  size_t step = 0;
  double total = 0;           // ms of all calls, without the steps within
  std::vector<double> times;  // ms of each call in all runs, without the steps within; sorted
};

std::vector<StepTimes> summarize(const Session::Profile& profile) {
  std::vector<StepTimes> steps(profile.steps.size());
  for (size_t i = 0; i < steps.size(); ++i) steps[i].step = i;
  for (const auto& run : profile.runs) {
    std::vector<double> own(run.size());
    std::vector<size_t> open;  // by depth
    for (size_t i = 0; i < run.size(); ++i) {
      own[i] = run[i].duration;
      open.resize(static_cast<size_t>(run[i].depth));
      if (!open.empty()) own[open.back()] -= run[i].duration;
      open.push_back(i);
    }
    for (size_t i = 0; i < run.size(); ++i) {
      StepTimes& s = steps[run[i].step];
      s.total += own[i];
      s.times.push_back(own[i]);
    }
  }
  for (StepTimes& s : steps) std::ranges::sort(s.times);
  return steps;
}

// "conv1+relu1", or its beginning.
std::string shortened(std::string text, size_t most) {
  if (text.size() <= most) return text;
  text.resize(most - 3);
  return text + "...";
}

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f} %", 100 * part / whole) : "";
}

double gflops(double flops, double ms) { return ms > 0 ? flops / ms * 1e-6 : 0; }

void print_tables(const Session::Profile& profile, std::vector<StepTimes> steps,
                  const ProfileOptions& options, double peak) {
  using enum Table::Align;
  const auto runs = static_cast<double>(profile.runs.size());
  double all = 0;
  for (const StepTimes& s : steps) all += s.total;
  if (!options.in_order) std::ranges::stable_sort(steps, std::greater{}, &StepTimes::total);

  Table table({"step", "operation", "nodes", "kernel", "layout", "calls", "ms", "share", "GFLOP/s", "of peak",
               "GB/s"},
              {right, left, left, left, left, right, right, right, right, right, right});
  const size_t shown =
      options.top > 0 ? std::min(steps.size(), static_cast<size_t>(options.top)) : steps.size();
  for (size_t i = 0; i < shown; ++i) {
    const StepTimes& s = steps[i];
    const Session::Step& step = profile.steps[s.step];
    const double ms = median_of(s.times), rate = gflops(step.flops, ms);
    table.add({fmt::format("{}", s.step), escaped(step.kind), escaped(shortened(step.nodes, 40)),
               escaped(step.implementation), step.layout,
               fmt::format("{:.4g}", static_cast<double>(s.times.size()) / runs), fmt::format("{:.3f}", ms),
               percent(s.total, all), rate > 0 ? fmt::format("{:.1f}", rate) : "",
               rate > 0 ? fmt::format("{:.0f} %", 100 * rate / peak) : "",
               ms > 0 ? fmt::format("{:.1f}", step.bytes / ms * 1e-6) : ""});
  }
  print(table.text());
  if (shown < steps.size()) print("and {} steps more (--top 0 shows all)\n", steps.size() - shown);

  std::vector<std::pair<std::string, double>> kinds;
  for (const StepTimes& s : steps) {
    const std::string kind = profile.steps[s.step].kind + ", " + profile.steps[s.step].implementation;
    auto it = std::ranges::find(kinds, kind, &std::pair<std::string, double>::first);
    if (it == kinds.end()) it = kinds.insert(kinds.end(), {kind, 0.0});
    it->second += s.total;
  }
  std::ranges::stable_sort(kinds, std::greater{}, &std::pair<std::string, double>::second);
  Table by_kind({"operation, kernel", "ms a run", "share"}, {left, right, right});
  for (const auto& [kind, total] : kinds)
    by_kind.add({escaped(kind), fmt::format("{:.3f}", total / runs), percent(total, all)});
  print("\n{}", by_kind.text());

  std::vector<double> durations = profile.durations;
  std::ranges::sort(durations);
  double sum = 0;
  for (double d : durations) sum += d;
  const int threads = options.session.threads > 0 ? options.session.threads : default_threads();
  print("\n{} runs: {:.3f} ms at best, {:.3f} ms median; {} of the time between steps\n", durations.size(),
        durations.front(), median_of(durations), percent(std::max(sum - all, 0.0), sum));
  print("{} thread{}; the machine's peak now: {:.1f} GFLOP/s\n", threads, threads == 1 ? "" : "s", peak);
}

Json to_json(const Session::Profile& profile, const std::vector<StepTimes>& times,
             const ProfileOptions& options, double peak) {
  std::vector<double> durations = profile.durations;
  std::ranges::sort(durations);
  Json steps = Json::array();
  for (const StepTimes& s : times) {
    const Session::Step& step = profile.steps[s.step];
    const double ms = median_of(s.times);
    steps.push_back({{"kind", step.kind},
                     {"nodes", step.nodes},
                     {"kernel", step.implementation},
                     {"layout", step.layout},
                     {"calls", s.times.size()},
                     {"ms", {{"min", s.times.front()}, {"median", ms}, {"total", s.total}}},
                     {"flops", step.flops},
                     {"bytes", step.bytes},
                     {"gflops", gflops(step.flops, ms)}});
  }
  return {{"schema", 1},
          {"model", options.model},
          {"threads", options.session.threads > 0 ? options.session.threads : default_threads()},
          {"runs", durations.size()},
          {"latency_ms", {{"min", durations.front()}, {"median", median_of(durations)}}},
          {"peak_gflops", peak},
          {"steps", std::move(steps)}};
}

// The trace event format, complete events: what chrome://tracing and ui.perfetto.dev open. Times in
// microseconds.
std::string to_trace(const Session::Profile& profile) {
  Json events = Json::array();
  double begin = 0;
  for (size_t i = 0; i < profile.runs.size(); ++i) {
    events.push_back({{"name", fmt::format("run {}", i)},
                      {"cat", "run"},
                      {"ph", "X"},
                      {"pid", 1},
                      {"tid", 1},
                      {"ts", begin * 1e3},
                      {"dur", profile.durations[i] * 1e3}});
    for (const auto& r : profile.runs[i]) {
      const Session::Step& step = profile.steps[r.step];
      events.push_back({{"name", step.kind},
                        {"cat", "step"},
                        {"ph", "X"},
                        {"pid", 1},
                        {"tid", 1},
                        {"ts", (begin + r.start) * 1e3},
                        {"dur", r.duration * 1e3},
                        {"args",
                         {{"nodes", step.nodes},
                          {"kernel", step.implementation},
                          {"layout", step.layout},
                          {"GFLOP/s", gflops(step.flops, r.duration)}}}});
    }
    begin += profile.durations[i];
  }
  return Json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump(
             -1, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

int profile(const ProfileOptions& options) {
  Model model = load_model(options.model);
  return about_model(options.model, [&] {
    if (!options.no_optimize) optimize_to_run(model);
    const Session session(model, options.session);
    note_tuning(session);
    std::vector<std::string> assumed;
    const TensorMap inputs = random_inputs(model, options.shapes.resolve(model), options.seed, &assumed);
    note_assumed(assumed);

    auto start = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    for (int i = 0; i < options.warm_up + 1; ++i) session.run(inputs);
    const double a_run = seconds() / (options.warm_up + 1);
    const double wanted =
        std::clamp(options.duration / std::max(a_run, 1e-9), double{kLeastRuns}, double{kMostRuns});
    const double peak = measure_peak_gflops(options.session.threads);
    const Session::Profile profile = session.profile(inputs, static_cast<int>(wanted));

    if (!options.trace.empty()) write_output(options.trace, to_trace(profile));
    const std::vector<StepTimes> steps = summarize(profile);
    const Session::Plan plan = session.plan(inputs);
    if (options.json) {
      Json root = to_json(profile, steps, options, peak);
      root["arena_bytes"] = plan.arena_bytes;
      root["arena_lower_bound"] = plan.arena_lower_bound;
      root["constant_bytes"] = plan.constant_bytes;
      print_json(root);
    } else {
      print_tables(profile, steps, options, peak);
      print("arena {} (no plan of these steps takes less than {}), packed weights {}\n",
            human_bytes(static_cast<double>(plan.arena_bytes)),
            human_bytes(static_cast<double>(plan.arena_lower_bound)),
            human_bytes(static_cast<double>(plan.constant_bytes)));
    }
    return kOk;
  });
}

}  // namespace

void add_profile(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<ProfileOptions>();
  CLI::App* app = program.add_subcommand("profile", "Measure each step of a run");
  add_model(*app, options->model);
  add_shape_options(*app, options->shapes);
  add_session_options(*app, options->session);
  app->add_option("--duration", options->duration, "Seconds to measure, about (default 2)")
      ->check(CLI::Range(0.0, 86400.0))
      ->type_name("S");
  app->add_option("--warm-up", options->warm_up, "Runs before that, after the first (default 3)")
      ->check(CLI::Range(0, 1000000))
      ->type_name("N");
  app->add_option("--top", options->top, "How many steps to list, the slowest; 0: all (default 25)")
      ->check(CLI::Range(0, 1000000))
      ->type_name("N");
  app->add_flag("--in-order", options->in_order, "List steps as they run, not by time");
  app->add_option("--trace", options->trace, "Write all runs as trace events, for ui.perfetto.dev")
      ->type_name("FILE");
  app->add_option("--seed", options->seed, "Of the random inputs (default 0)")->type_name("N");
  app->add_flag("--no-optimize", options->no_optimize, "Run the graph as it is in the file");
  add_json(*app, options->json);
  app->footer(R"(
A step's time is the median of its calls, without that of steps within (subgraphs). GFLOP/s count the multiply-adds of
convolutions and products by their definition, so Winograd's method can be above the machine's peak, which is measured
on registers. GB/s count each operand once; what caches hold is not read from memory.

Examples:
  plica profile net.onnx --threads 1
  plica profile net.onnx --top 0 --in-order --trace net.json)");
  app->callback([options, &invocation] { invocation = {[options] { return profile(*options); }, true}; });
}

}  // namespace plica::tools
