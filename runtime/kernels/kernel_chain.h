// The chain of an operation that a kernel of our own computes, in a layout blocked by channels or in rows
// whose elements are the channels.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <vector>

#include "runtime/kernels/kernel.h"
#include "runtime/kernels/pointwise_pass.h"
#include "runtime/plan/builder.h"

namespace plica {

// What is done to a result before it is stored. `operand` is that of the kernel, -1 for a unary function: all
// elements in the layout of the result, or one of each channel (padded to whole blocks if there are any).
struct KernelLink {
  PointOp op;
  int operand = -1;
  bool by_channel = false;
};

// A chain, divided into what a kernel does in registers and the rest.
class KernelChain {
 public:
  explicit KernelChain(std::vector<KernelLink> links);

  // y = min(max(x + a, low), high), a where there is an operand to add.
  struct Start {
    int add = -1;
    float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  };
  const Start& start() const { return start_; }
  bool has_rest() const { return !rest_.empty(); }

  // Some pixels of one block of channels, which begin at `offset` of the result's elements.
  struct Run {
    int64_t offset, count;          // in floats
    int64_t block, channel, valid;  // channels of a block, the first one, and how many there are
  };
  // Applies the rest to these results, which begin at `results`, and writes zeros to the lanes that are no
  // channels.
  void apply(const Run& run, std::span<void* const> memory, float* results) const;

  // A part of a matrix of rows.
  struct Rows {
    int64_t first, count;           // rows
    int64_t column, width, stride;  // the first of `width` columns; floats from row to row
  };
  // Applies the rest to them; `results` is the whole matrix.
  void apply_to_rows(const Rows& rows, std::span<void* const> memory, float* results) const;

 private:
  Start start_;
  std::vector<KernelLink> rest_;
};

using MakeKernel = std::function<std::unique_ptr<const Kernel>(bool has_bias, std::vector<KernelLink>)>;

// What a kernel reads before it writes the result there: any operand of the chain, one that is added first,
// or operand 0.
enum class InPlace { any, first_sum, source };

// How a kernel's results lie, and what is one for each of their channels.
struct ResultForm {
  onednn::Desc results, channels;
  Dims channel_dims;  // those of the result, with 1 for all axes but the channels
};
ResultForm blocked_form(PlanBuilder& builder, const LoweredOp& op);  // in the plan's layout
ResultForm rows_form(PlanBuilder& builder, const LoweredOp& op);     // row-major, the last axis for channels

// Adds the bias (input 2), the chain's operands and the result to `operands`, and emits the step. The result
// takes the memory of an operand that nothing else reads, if the kernel bears it. Links that need operands of
// another form become steps of their own.
void emit_with_chain(PlanBuilder& builder, const LoweredOp& op, const ResultForm& form, StepInfo info,
                     std::vector<Placement> operands, InPlace in_place, const MakeKernel& make);

}  // namespace plica
