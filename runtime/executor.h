// Runs a graph through oneDNN. An Executor keeps a const graph, an LRU cache of plans by input shapes, and a pool of
// workspaces; run() is const and safe from many threads. Everything compiled is immutable, what a run needs is leased.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"

namespace plica {

struct Constant;
class PackedForms;
struct Tuning;

struct ExecutorOptions {
  int threads = 0;            // 0: available_cpus()
  size_t cached_plans = 16;   // LRU by input shapes
  bool exact = false;         // no Winograd: sums of products as the operators define them
  std::shared_ptr<const Tuning> tuning;  // choices by measurement (plan/tuning.h); null: by cost models
  std::shared_ptr<const PackedForms> packed;  // weights that are packed already (plan/constants.h); null: none
};

// One step of a compiled plan, for reports.
struct StepInfo {
  std::string kind;             // "Conv", "reorder", ...
  std::string nodes;            // the graph's nodes that it computes, "conv1+relu1"
  std::string implementation;   // oneDNN's name ("brgconv:avx512_core"), or "evaluate"
  std::string layout;           // of the output, e.g. "nchw", "nhwc", "nChw16c"
  double flops = 0;             // of a convolution or product, a multiply-add counted as two, by its definition
  double bytes = 0;             // of memory that it reads and writes, each operand once
  std::string plan, step;       // its keys, where there is a Tuning (plan/tuning.h); a reorder has its reader's
};

struct PlanInfo {
  std::vector<StepInfo> steps;
  size_t arena_bytes = 0;       // one run's intermediate tensors
  size_t arena_lower_bound = 0; // the largest sum of tensors alive at one time
  size_t constant_bytes = 0;    // packed weights
};

// Runs, step by step.
struct RunProfile {
  struct StepRun {
    size_t step = 0;                // in `steps`
    int depth = 0;                  // 1: within a step of depth 0 (of a subgraph), ...
    double start = 0, duration = 0; // in ms, since the beginning of its run
  };
  std::vector<StepInfo> steps;               // those that ran
  std::vector<double> durations;             // of each run, in ms
  std::vector<std::vector<StepRun>> runs;    // in the order in which steps began
};

class Executor {
 public:
  // Throws unsupported listing all operators that Plica does not have, with their nodes.
  explicit Executor(std::shared_ptr<const ModelGraph> model, ExecutorOptions options = {});
  ~Executor();

  // Inputs by name (row-major; all that have no initializer), outputs by name, owned. Throws invalid_argument for a
  // missing or unknown name, a wrong element type, a shape that contradicts the declared one.
  NamedTensors run(const NamedTensors& inputs) const;
  // The plan for these input shapes (compiled now if it is not cached).
  PlanInfo describe(const NamedTensors& inputs) const;
  // The constants of the plans that it keeps.
  std::vector<std::shared_ptr<const Constant>> constants() const;
  // Runs so many times and says how long each step took. The clock costs some 50 ns a step.
  RunProfile profile(const NamedTensors& inputs, int runs) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plica
