// Choices by measurement: what was fastest for a plan on this machine, where the cost models would guess.
//
// A plan is known by the text of its operations (their kinds, shapes and windows, not their constants) and
// its number of threads; a step by its own text within its plan. What a table says nothing about goes by the
// cost models, and so does a choice that an operation cannot follow. Filled, then shared as const: any thread
// may read it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtime/plan/lowered.h"

namespace plica {

// How one step is done; what is not set goes by the cost model.
struct StepChoice {
  // Of a convolution: 4 or 2 by Winograd's method with such tiles, 0 by oneDNN.
  std::optional<int> tile;
  std::optional<bool> one_thread;  // or all

  bool operator==(const StepChoice&) const = default;
};

enum class TunedLayout { blocked16, blocked8, channels_last };

struct PlanChoice {
  std::optional<TunedLayout> layout;        // of activations between convolutions
  StepChoice others;                        // of steps that `steps` does not name
  std::map<std::string, StepChoice> steps;  // by step_key()

  const StepChoice& of(const std::string& step) const {
    const auto it = steps.find(step);
    return it == steps.end() ? others : it->second;
  }
  bool operator==(const PlanChoice&) const = default;
};

struct Tuning {
  PlanChoice others;                        // of plans that `plans` does not name
  std::map<std::string, PlanChoice> plans;  // by plan_key()

  const PlanChoice& of(const std::string& plan) const {
    const auto it = plans.find(plan);
    return it == plans.end() ? others : it->second;
  }
};

// What holds for one plan.
struct PlanTuning {
  std::string key;  // its plan_key(); empty without a Tuning
  PlanChoice choice;
};

// "Conv+Relu 1x64x56x56,w64x64x3x3 to 1x64x56x56 k3x3 s1x1 d1x1 p1x1/1x1 g1"; empty for an operation that
// nothing is chosen for, because its shapes are known only when it runs.
std::string step_key(const LoweredGraph& graph, const LoweredOp& op);
// A digest of the operations in their order, and the threads: "9f2c51d07be34a68-t2". Two plans that share it
// by accident share choices, which may be slow but are never wrong.
std::string plan_key(const LoweredGraph& graph, int threads);
PlanTuning tuning_of(const LoweredGraph& graph, const Tuning* tuning, int threads);

}  // namespace plica
