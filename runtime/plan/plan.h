// Plan: a graph compiled for concrete input shapes. Immutable; what a run needs comes in a Workspace, which
// serves one run at a time and any plan.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "runtime/executor.h"
#include "runtime/kernels/kernel.h"
#include "runtime/plan/constants.h"
#include "runtime/plan/result_pool.h"

namespace plica {

// Where a tensor lies while the plan runs.
struct Storage {
  enum class Kind { arena, input, output, constant };
  Kind kind = Kind::arena;
  int index = 0;  // of the input or output
  size_t bytes = 0;
  size_t offset = 0;  // in the arena
  std::shared_ptr<const Constant> constant;
  Tensor tensor;  // of a constant that no primitive reads: its elements
};

struct Step {
  StepInfo info;
  std::unique_ptr<const Kernel> kernel;
  struct Operand {
    int storage;
    size_t offset;
  };
  std::vector<Operand> operands;
  int threads = 1;  // its primitive is made for so many
};

struct PlanOutput {
  enum class Kind { computed, constant, dynamic } kind = Kind::computed;
  DataType type = DataType::undefined;
  Dims dims;
  Tensor constant;
  int dynamic = -1;  // its slot
  std::string name;  // for messages
};

class Workspace;
struct Continuation;

// Memory for an output by position, as it is about to be computed; an undefined tensor where there is none of the
// caller's.
using OutputMemory = std::function<Tensor(size_t output, DataType type, const Dims& dims)>;

class Plan {
 public:
  // `inputs` and the result by position; types and shapes are those that the plan was made for. `memory` may be
  // empty, and is not asked for outputs that are not computed into memory (constants, those of unknown shape).
  std::vector<Tensor> run(Workspace& workspace, const std::vector<Tensor>& inputs, ResultPool& results,
                          const OutputMemory& memory) const;
  PlanInfo info() const;

  std::vector<Step> steps;
  std::vector<Storage> storages;
  std::vector<PlanOutput> outputs;
  int dynamic_slots = 0;
  std::vector<int> dynamic_inputs;  // by input: the slot that receives it, or -1
  size_t arena_bytes = 0, arena_lower_bound = 0, scratch_bytes = 0;
  std::shared_ptr<const Continuation> rest;  // what else the region computes (runner.h); null: nothing
};

class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  const Plan* bound_to() const { return plan_.get(); }
  // Makes it ready for runs of the plan. The memory only grows.
  void bind(std::shared_ptr<const Plan> plan);
  size_t bytes() const;

 private:
  friend class Plan;

  dnnl::stream stream_;
  Tensor arena_, scratch_;
  std::shared_ptr<const Plan> plan_;
  std::vector<void*> addresses_;                    // operands of all steps, in order
  std::vector<size_t> first_operand_;               // by step
  std::vector<std::unique_ptr<Binding>> bindings_;  // by step
  struct External {
    Storage::Kind kind;
    int index;
    size_t operand, offset;
  };
  std::vector<External> externals_;  // operands that are inputs or outputs of the run
};

}  // namespace plica
