// Session: runs a Model through oneDNN.
//
// Thread safety: run() and plan() are const and safe from many threads at once; each run has its own memory.
// Plans are compiled on first use of a set of input shapes and cached; a Session keeps its model alive, and
// later changes of the Model object don't reach it. Errors are plica::Error: unsupported (the constructor,
// naming every operator that Plica lacks), invalid_argument (an input is missing, unknown, or of a wrong type
// or shape), invalid_model, limit.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "plica/model.h"
#include "plica/tensor.h"

namespace plica {

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
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // Inputs by name, row-major, all that have no default; they are read in place. Outputs by name, owned by
  // the result.
  TensorMap run(const TensorMap& inputs) const;
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
  // Why the tuning file is not used; empty when it is, or there is none.
  const std::string& tuning_note() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plica
