// A chain of pointwise operations in one pass over memory, with broadcast operands, in any layout.
#pragma once

#include <array>
#include <vector>

#include "runtime/kernels/kernel.h"
#include "runtime/plan/lowered.h"

namespace plica {

// Operands of the kernel: x, the operands, y. x and y have the same layout; y may be x.
class PointwiseKernel : public Kernel {
 public:
  struct Instruction {
    PointOp op;
    int operand = -1;  // among the kernel's operands; -1 for unary
  };
  // An axis of memory of y, outermost first: its extent, and by operand (x first, y left out) the stride in
  // elements.
  struct Loop {
    int64_t extent = 1;
    std::vector<int64_t> strides;
  };
  // `padded`: the last channel block of y has lanes from `first_padding` on that must be zero: y is
  // [outer, blocks, inner, block] then.
  struct Padding {
    int64_t outer = 0, blocks = 0, inner = 0, block = 0, first_lane = 0;
  };
  PointwiseKernel(std::vector<Instruction> program, std::vector<Loop> loops, Padding padding);

  void run(const Arguments& arguments) const override;

 private:
  void run_rows(std::span<void* const> memory, int64_t row_length, int64_t begin, int64_t end) const;
  void clear_padding(float* y) const;

  std::vector<Instruction> program_;
  std::vector<Loop> outer_;     // all loops but those of a tile
  int64_t rows_ = 1, row_ = 1;  // a tile is rows_ rows of row_ elements, cut into chunks
  std::vector<int64_t> row_strides_, element_strides_;  // by operand
  int64_t outer_count_ = 1;
  int64_t chunk_rows_ = 1;  // as many rows as are done at once
  Padding padding_;
};

}  // namespace plica
