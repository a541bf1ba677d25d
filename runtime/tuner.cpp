#include "runtime/tuner.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include "engine/core/parallel.h"

namespace plica {
namespace {

using Clock = std::chrono::steady_clock;
using StepName = std::pair<std::string, std::string>;  // keys of plan and step

constexpr std::array kLayouts = {TunedLayout::blocked16, TunedLayout::blocked8, TunedLayout::channels_last};
constexpr int kLeastRounds = 5;
constexpr double kLeastStepGain = 0.03;  // below it, the cost model's choice stays

// The graph compiled in one way, and the least time that each of its steps took.
struct Variant {
  StepChoice choice;
  std::unique_ptr<Executor> executor;
  std::vector<StepInfo> steps;
  std::vector<double> least;

  void run(const NamedTensors& inputs) {
    const RunProfile profile = executor->profile(inputs, 1);
    std::vector<double> times(profile.steps.size());
    for (const auto& step : profile.runs[0]) times[step.step] += step.duration;
    if (steps.size() != profile.steps.size()) {
      steps = profile.steps;
      least = times;
    }
    for (size_t i = 0; i < times.size(); ++i) least[i] = std::min(least[i], times[i]);
  }
  std::map<StepName, double> by_step() const {
    std::map<StepName, double> sums;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (!steps[i].step.empty()) sums[{steps[i].plan, steps[i].step}] += least[i];
    }
    return sums;
  }
  bool uses_winograd() const {
    return std::ranges::any_of(steps,
                               [](const StepInfo& s) { return s.implementation.starts_with("winograd"); });
  }
};

Variant make_variant(const std::shared_ptr<const ModelGraph>& model, ExecutorOptions options, Tuning tuning) {
  Variant v;
  v.choice = tuning.others.others;
  options.tuning = std::make_shared<const Tuning>(std::move(tuning));
  v.executor = std::make_unique<Executor>(model, options);
  return v;
}

// What was measured of one layout.
struct Finding {
  Tuning tuning;
  std::vector<TunerResult::Step> steps;
};

class Tuner {
 public:
  Tuner(std::shared_ptr<const ModelGraph> model, ExecutorOptions options, const NamedTensors& inputs,
        const TunerOptions& how)
      : model_(std::move(model)), options_(std::move(options)), inputs_(inputs), how_(how) {
    options_.threads = options_.threads > 0 ? options_.threads : available_cpus();
  }

  TunerResult tune() {
    const double part = how_.seconds / (kLayouts.size() + 1);
    std::vector<Finding> findings;
    for (const TunedLayout layout : kLayouts) findings.push_back(measure(layout, part));
    return decide(std::move(findings), part);
  }

 private:
  // Runs in turns, so that whatever else the machine does meets all alike.
  template <class Run>
  void in_turns(double seconds, const Run& run) {
    const auto start = Clock::now();
    for (int round = 0;; ++round) {
      const double spent = std::chrono::duration<double>(Clock::now() - start).count();
      if (round >= kLeastRounds && spent >= seconds) break;
      if (how_.progress && how_.seconds > 0)
        how_.progress(std::min((spent_ + std::min(spent, seconds)) / how_.seconds, 1.0));
      run();
    }
    spent_ += seconds;
  }

  Finding measure(TunedLayout layout, double seconds) {
    std::vector<Variant> variants;
    const auto add = [&](StepChoice choice) {
      Tuning tuning;
      tuning.others.layout = layout;
      tuning.others.others = choice;
      variants.push_back(make_variant(model_, options_, std::move(tuning)));
      variants.back().run(inputs_);
    };
    add({});
    std::vector<std::optional<bool>> thread_choices = {std::nullopt};
    if (options_.threads > 1) thread_choices = {false, true};
    std::vector<std::optional<int>> tiles = {0, 4, 2};
    if (layout == TunedLayout::channels_last || options_.exact) tiles = {std::nullopt};
    for (const auto& tile : tiles) {
      for (const auto& one : thread_choices) {
        if (tile || one) add({tile, one});
      }
      // No convolution here can be done so: the other tiles are the same plan.
      if (tile > 0 && !variants.back().uses_winograd()) break;
    }
    if (variants.size() > 1)
      in_turns(seconds, [&] {
        for (Variant& v : variants) v.run(inputs_);
      });
    return choose(layout, variants);
  }

  static Finding choose(TunedLayout layout, const std::vector<Variant>& variants) {
    Finding finding;
    const Variant& model = variants.front();
    for (const StepInfo& step : model.steps) {
      if (!step.plan.empty()) finding.tuning.plans[step.plan].layout = layout;
    }
    std::map<StepName, int> counts;
    for (const StepInfo& step : model.steps) counts[{step.plan, step.step}] += step.kind != "reorder";
    std::vector<std::map<StepName, double>> times;
    for (const Variant& v : variants) times.push_back(v.by_step());
    for (const auto& [name, before] : times.front()) {
      size_t best = 0;
      double least = before * (1 - kLeastStepGain);
      for (size_t i = 1; i < variants.size(); ++i) {
        const auto it = times[i].find(name);
        if (it == times[i].end() || it->second >= least) continue;
        least = it->second;
        best = i;
      }
      if (best == 0) continue;
      finding.tuning.plans[name.first].steps[name.second] = variants[best].choice;
      finding.steps.push_back({name.second, counts[name], variants[best].choice, before, least});
    }
    std::ranges::stable_sort(finding.steps, [](const auto& a, const auto& b) {
      return a.before_ms - a.after_ms > b.before_ms - b.after_ms;
    });
    return finding;
  }

  TunerResult decide(std::vector<Finding> findings, double seconds) {
    std::vector<Variant> wholes;
    wholes.push_back(make_variant(model_, options_, {}));
    for (const Finding& f : findings) wholes.push_back(make_variant(model_, options_, f.tuning));
    for (const Variant& v : wholes) v.executor->run(inputs_);
    std::vector<double> least(wholes.size(), std::numeric_limits<double>::infinity());
    in_turns(seconds, [&] {
      for (size_t i = 0; i < wholes.size(); ++i) {
        const auto start = Clock::now();
        wholes[i].executor->run(inputs_);
        const std::chrono::duration<double, std::milli> taken = Clock::now() - start;
        least[i] = std::min(least[i], taken.count());
      }
    });
    const auto best = static_cast<size_t>(std::ranges::min_element(least) - least.begin());
    TunerResult result;
    result.before_ms = result.after_ms = least[0];
    if (best > 0 && least[best] < least[0] * (1 - kLeastGain)) {
      Finding& found = findings[best - 1];
      result.tuning = std::move(found.tuning);
      result.steps = std::move(found.steps);
      result.layout = kLayouts[best - 1];
      result.after_ms = least[best];
    } else {
      for (const auto& [plan, choice] : findings[0].tuning.plans) result.tuning.plans[plan] = {};
    }
    return result;
  }

  std::shared_ptr<const ModelGraph> model_;
  ExecutorOptions options_;
  const NamedTensors& inputs_;
  const TunerOptions& how_;
  double spent_ = 0;
};

}  // namespace

TunerResult tune(const std::shared_ptr<const ModelGraph>& model, const ExecutorOptions& options,
                 const NamedTensors& inputs, const TunerOptions& how) {
  return Tuner(model, options, inputs, how).tune();
}

}  // namespace plica
