// Finds the choices of a Tuning that make a model's runs fastest on this machine, by running its whole graph.
//
// For each layout of activations, the graph is compiled with every step by the cost model, all by Winograd's
// method with tiles of 4, with tiles of 2, and all convolutions by oneDNN, each with all threads and with
// one; they run in turns, and the least time of each step counts, its reorders among it. The best choices by
// step make one plan for each layout, which is measured as a whole beside the default one: that one stays
// unless another is faster by kLeastGain. The variants of a layout are in memory together, so tuning takes
// several times the memory of a run.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/executor.h"
#include "runtime/plan/tuning.h"

namespace plica {

struct TunerOptions {
  double seconds = 20;                   // to measure, compilation not counted
  std::function<void(double)> progress;  // told the fraction that is done
};

struct TunerResult {
  struct Step {
    std::string operation;  // its step_key()
    int count = 0;          // of the steps of this key
    StepChoice choice;
    double before_ms = 0,
           after_ms = 0;  // by the cost model, and as chosen; of all of them together, in this layout
  };
  Tuning tuning;                       // an entry for each plan that ran, empty where the default is best
  std::vector<Step> steps;             // that a choice was made for, those that win most first
  std::optional<TunedLayout> layout;   // none: the default one
  double before_ms = 0, after_ms = 0;  // a whole run, the least of those taken in turns
};

inline constexpr double kLeastGain = 0.02;

// `options.tuning` is not looked at. Throws what Executor does.
TunerResult tune(const std::shared_ptr<const ModelGraph>& model, const ExecutorOptions& options,
                 const NamedTensors& inputs, const TunerOptions& how);

}  // namespace plica
