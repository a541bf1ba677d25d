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

struct ExecutorOptions {
  int threads = 0;            // 0: available_cpus()
  size_t cached_plans = 16;   // LRU by input shapes
};

// One step of a compiled plan, for reports.
struct StepInfo {
  std::string kind;             // "Conv", "reorder", ...
  std::string nodes;            // the graph's nodes that it computes, "conv1+relu1"
  std::string implementation;   // oneDNN's name ("brgconv:avx512_core"), or "evaluate"
  std::string layout;           // of the output, e.g. "nchw", "nhwc", "nChw16c"
};

struct PlanInfo {
  std::vector<StepInfo> steps;
  size_t arena_bytes = 0;       // one run's intermediate tensors
  size_t arena_lower_bound = 0; // the largest sum of tensors alive at one time
  size_t constant_bytes = 0;    // packed weights
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

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plica
