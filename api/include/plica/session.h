// Session: runs a Model through oneDNN.
//
// Thread safety: const functions are safe from many threads at once; each run has its own memory. Copies share plans
// and packed weights, and a Session may be destroyed while others run() it: what a run needs lives as long as the run.
// Plans are compiled on first use of a set of input shapes and cached; a Session keeps its model alive, and
// later changes of the Model object don't reach it. A process may fork() while no run is under way, and use its
// sessions in the child. Errors are plica::Error: unsupported (the constructor,
// naming every operator that Plica lacks), invalid_argument (an input is missing, unknown, or of a wrong type
// or shape), invalid_model, limit (memory), cancelled (by the caller, or at the end of the time).
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plica/model.h"
#include "plica/tensor.h"

namespace PLICA_API plica {

enum class LogLevel {
  debug,    // a plan was compiled
  info,     // a plan was dropped, for there are too many sets of shapes
  warning,  // something that was asked for is not done: a tuning file that is not used
};
std::string_view to_string(LogLevel level);

struct SessionOptions {
  int threads = 0;           // 0: the CPUs that this process may use (affinity, cgroup quota)
  // Winograd's method, which makes 3x3 convolutions up to three times as fast, has about twice the rounding errors of
  // the direct sum, relative to the largest values nearby; an infinity or NaN among its inputs reaches 4x4 outputs.
  // Exact: it is not used.
  bool exact = false;
  // A file of choices by measurement (plica/tuning.h); empty: none. One for another CPU or version is not used, and
  // Session::tuning_note() says so; one that can't be read or is broken is an error.
  std::string tuning;
  size_t cached_plans = 64;  // sets of input shapes whose plans are kept; the least recently used goes
  // Called from the threads that construct and run the session, possibly at once; must not throw.
  std::function<void(LogLevel level, std::string_view message)> log = {};
};

int default_threads();  // what 0 threads means here and now

// The multiply-adds of float32 that this machine does now on so many threads (0: default_threads()), in GFLOP/s, a
// multiply-add counted as two. Measures for some 0.1 s.
double measure_peak_gflops(int threads = 0);

struct CompileOptions;
struct CompileReport;
struct TuneOptions;
struct TuneReport;

class Session {
 public:
  // One step of a plan.
  struct Step {
    std::string kind;            // "Conv", "reorder", ...
    std::string nodes;           // the model's nodes that it computes
    std::string implementation;  // oneDNN's name of the kernel, or "evaluate"
    std::string layout;          // of its output
    double flops = 0;            // of a convolution or product by its definition, a multiply-add counted as two
    double bytes = 0;            // that it reads and writes, each operand once
  };
  struct Plan {
    std::vector<Step> steps;
    size_t arena_bytes = 0;        // one run's intermediate tensors
    size_t arena_lower_bound = 0;  // those that are needed at one time, at least
    size_t constant_bytes = 0;     // packed weights
  };

  struct RunOptions {
    // Memory for outputs by name: tensors (views of arrays, say) that the results are written into, of the types and
    // dims that come out. Other outputs come in memory of their own.
    TensorMap outputs = {};
    // Asked for memory for each output that is not among `outputs`, when its dims are known; an undefined tensor: none.
    std::function<Tensor(const std::string& name, DataType type, const Dims& dims)> allocate = {};
    // Memory from either must not overlap inputs or other outputs (invalid_argument); when the run fails, what it holds
    // is undefined. Elements are computed in place where shapes are known before the run, else copied once.

    const std::atomic<bool>* cancel = nullptr;  // set by any thread: the run ends between two steps, with cancelled
    double timeout = 0;                         // in seconds; 0: none. Likewise.
    size_t max_memory = 0;                      // bytes that the run may allocate (plica/limits.h); 0: no bound
    // After each step, in the thread that runs; times in milliseconds since the beginning of the run.
    std::function<void(const Step& step, double start, double duration)> on_step = {};
  };

  // What the session and its copies hold, in bytes.
  struct Memory {
    size_t plans = 0;       // how many are kept
    size_t weights = 0;     // packed for the plans; those of the model itself are not counted
    size_t workspaces = 0;  // for intermediate tensors, of runs that are over
    size_t results = 0;     // of results that were dropped; they serve the next ones
  };

  // How long the steps of some runs took.
  struct Profile {
    struct StepRun {
      size_t step = 0;                  // in `steps`
      int depth = 0;                    // 1: within a step of depth 0 (of a subgraph), and so on
      double start = 0, duration = 0;   // in milliseconds, since the run began
    };
    std::vector<Step> steps;                 // those that ran
    std::vector<double> durations;           // of each run, in milliseconds
    std::vector<std::vector<StepRun>> runs;  // of each run, in the order in which they began
  };

  explicit Session(const Model& model, SessionOptions options = {});

  // Inputs by name, row-major, all that have no default; they are read in place. Outputs by name, owned by
  // the result.
  TensorMap run(const TensorMap& inputs) const;
  TensorMap run(const TensorMap& inputs, const RunOptions& options) const;
  // How inputs of these shapes are run (their values don't matter, except for inputs that are shapes
  // themselves).
  Plan plan(const TensorMap& inputs) const;
  // Runs `runs` times. Reading the clock costs some 50 ns a step.
  Profile profile(const TensorMap& inputs, int runs = 1) const;
  // Measures what is fastest for inputs of these shapes, and keeps it in a file (plica/tuning.h).
  static TuneReport tune(const Model& model, const TensorMap& inputs, const TuneOptions& options);
  // Runs the model on these inputs and writes it to a file with its weights as those runs want them
  // (plica/compile.h).
  static CompileReport compile(const Model& model, const std::vector<TensorMap>& inputs,
                               const std::filesystem::path& path, const CompileOptions& options);
  Memory memory() const;
  // Gives back to the system what waits for a next run. Plans and weights stay.
  void trim() const;
  // Why the tuning file is not used; empty when it is, or there is none.
  const std::string& tuning_note() const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

}  // namespace plica
