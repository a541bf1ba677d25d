// Session: runs a Model through oneDNN.
//
// Thread safety: run() and plan() are const and safe from many threads at once; each run has its own memory.
// Plans are compiled on first use of a set of input shapes and cached; a Session keeps its model alive, and
// later changes of the Model object don't reach it. Errors are plica::Error: unsupported (the constructor,
// naming every operator that Plica lacks), invalid_argument (an input is missing, unknown, or of a wrong type
// or shape), invalid_model, limit.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "plica/model.h"
#include "plica/tensor.h"

namespace plica {

struct SessionOptions {
  int threads = 0;           // 0: the CPUs that this process may use (affinity, cgroup quota)
  size_t cached_plans = 16;  // sets of input shapes whose plans are kept; the least recently used goes
};

int default_threads();  // what 0 threads means here and now

class Session {
 public:
  // One step of a plan.
  struct Step {
    std::string kind;            // "Conv", "reorder", ...
    std::string nodes;           // the model's nodes that it computes
    std::string implementation;  // oneDNN's name of the kernel, or "evaluate"
    std::string layout;          // of its output
  };
  struct Plan {
    std::vector<Step> steps;
    size_t arena_bytes = 0;     // one run's intermediate tensors
    size_t constant_bytes = 0;  // packed weights
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

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plica
