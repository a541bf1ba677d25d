// Runs a graph through oneDNN. An Executor keeps a const graph, an LRU cache of plans by input shapes, and a pool of
// workspaces; run() is const and safe from many threads. Everything compiled is immutable, what a run needs is leased.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
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
  // What happens when; `is_notable`: an application may want to know without asking. Called from the threads that run.
  std::function<void(bool is_notable, std::string_view message)> log;
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

// What one run may be told.
struct RunOptions {
  // Memory for the model's outputs by position, asked for each at most once; an undefined tensor: memory of our own. It
  // must have this type and these dims, and share nothing with inputs or other outputs.
  std::function<Tensor(size_t output, DataType type, const Dims& dims)> memory;
  // After each step; times in ms since the beginning of the run.
  std::function<void(const StepInfo& step, double start, double duration)> on_step;
};

struct MemoryUse {
  size_t plans = 0;      // that are kept
  size_t constants = 0;  // bytes of packed weights,
  size_t workspaces = 0; // of what waits for a next run
  size_t results = 0;    // and of results that callers have dropped
};

class Executor {
 public:
  // Throws unsupported listing all operators that Plica does not have, with their nodes.
  explicit Executor(std::shared_ptr<const ModelGraph> model, ExecutorOptions options = {});
  ~Executor();

  // Inputs by name (row-major; all that have no initializer), outputs by name, owned. Throws invalid_argument for a
  // missing or unknown name, a wrong element type, a shape that contradicts the declared one.
  NamedTensors run(const NamedTensors& inputs, const RunOptions& options = {}) const;
  // The plan for these input shapes (compiled now if it is not cached).
  PlanInfo describe(const NamedTensors& inputs) const;
  // The constants of the plans that it keeps.
  std::vector<std::shared_ptr<const Constant>> constants() const;
  // Runs so many times and says how long each step took. The clock costs some 50 ns a step.
  RunProfile profile(const NamedTensors& inputs, int runs) const;
  MemoryUse memory() const;
  // Frees the memory that waits for a next run.
  void trim() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plica
