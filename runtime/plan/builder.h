// PlanBuilder: turns lowered operations into steps. It knows where each value lies and in which layout,
// inserts reorders where an operation wants another one, and tells operations when they may write in place.
// The families of kernels (runtime/kernels/<family>.cpp) each build the steps of their operations with it;
// build_step.cpp is the table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/kernels/kernel.h"
#include "runtime/plan/constants.h"
#include "runtime/plan/lowered.h"
#include "runtime/plan/memory_plan.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/tuning.h"

namespace plica {

class Programs;

// Where a value lies. Without `desc` it is row-major; what is float32 always has one.
struct Placement {
  int storage = -1;
  size_t offset = 0;
  std::optional<onednn::Desc> desc;
};

class PlanBuilder {
 public:
  // `layout`: of activations between convolutions. For the current number of threads (ThreadScope).
  PlanBuilder(LoweredGraph graph, onednn::Layout layout, PlanTuning tuned, const Programs& programs);
  std::shared_ptr<Plan> build();

  // ---- for the families
  const LoweredGraph& graph() const { return graph_; }
  const LoweredValue& value(int v) const { return graph_.value(v); }
  const Programs& programs() const { return programs_; }
  // The layout that convolutions of this plan prefer.
  onednn::Layout layout() const { return layout_; }
  // What was measured to be best for the operation being built.
  const StepChoice& choice() const { return choice_; }

  // Where the value lies now, as its producer left it; a constant in row-major order.
  Placement placement(int v);
  // The value in this layout, whose type is the value's: where it lies already, or reordered by a step.
  Placement in_layout(int v, const onednn::Desc& desc);
  Placement row_major(int v);
  // Constant weights in a layout; `from` describes the row-major tensor's elements as the primitive sees
  // them, after `arrange` if there is one.
  Placement packed(const Tensor& tensor, const onednn::Desc& from, const onednn::Desc& desc,
                   Arrange arrange = nullptr);
  // The same, in a form of a kernel's own, of so many bytes.
  Placement packed(const Tensor& tensor, const std::string& form, size_t bytes,
                   const std::function<Tensor()>& make);

  // New memory for a result; the value lies there from now on.
  Placement allocate(int v, const onednn::Desc& desc);
  Placement allocate_row_major(int v);
  // Memory that is no value.
  Placement allocate_temporary(const onednn::Desc& desc);
  // The value lies where another one does.
  void alias(int v, Placement where);
  // The operation being built is the last that reads this memory, and may write its result into it.
  bool dies_here(const Placement& where) const;
  std::optional<int> dynamic_slot(int v) const;

  // Adds a step; its kernel's operands are these, in order.
  void emit(StepInfo info, std::unique_ptr<const Kernel> kernel, const std::vector<Placement>& operands);
  struct PrimitiveOperand {
    int number;
    Placement placement;
  };
  void emit(const LoweredOp& op, std::string kind, onednn::Primitive primitive,
            const std::vector<PrimitiveOperand>& operands);
  void reorder(const std::string& nodes, const Placement& from, const Placement& to);

 private:
  // A Concat whose parts may be computed into its result directly.
  struct Home {
    int concat = -1;    // operation
    int64_t first = 0;  // channel of the result where the part begins
  };
  bool is_small(const LoweredOp& op) const;
  void choose_homes();
  std::optional<Placement> place_at_home(int v, const onednn::Desc& desc);
  int add_storage(Storage storage);
  int storage_of(std::shared_ptr<const Constant> constant);
  void record(int v, Placement where);
  void finish_outputs();
  void plan_arena();

  LoweredGraph graph_;
  onednn::Layout layout_;
  PlanTuning tuned_;
  std::string step_key_;  // empty without a Tuning
  const Programs& programs_;
  ConstantCache& constants_;
  int threads_;
  std::shared_ptr<Plan> plan_;
  std::vector<int> uses_left_;                  // by value
  std::vector<std::vector<Placement>> places_;  // by value: as produced, then reordered copies
  std::vector<int> storage_uses_;               // by storage: reads to come of the values there
  const LoweredOp* current_ = nullptr;
  StepChoice choice_;
  std::vector<Lifetime> lifetimes_;                                       // by storage
  std::vector<std::optional<Home>> homes_;                                // by value
  std::unordered_map<int, std::pair<int, onednn::Layout>> home_storage_;  // by concat operation
  std::unordered_map<const void*, int> constant_storage_;
  std::vector<int> dynamic_slot_;  // by value, or -1
};

// Builds the steps of one operation.
void build_step(PlanBuilder& builder, const LoweredOp& op);

// Multiply-adds of a convolution, product or recurrent layer, by its definition; 0 for other operations.
double multiply_adds(const LoweredGraph& graph, const LoweredOp& op);

// "conv1+relu1": the names of the nodes that an operation computes.
std::string node_names(const LoweredOp& op);

}  // namespace plica
