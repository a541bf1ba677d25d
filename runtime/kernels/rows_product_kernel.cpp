#include "runtime/kernels/rows_product_kernel.h"

#include <algorithm>

#include "engine/core/parallel.h"
#include "runtime/kernels/block_vectors.h"
#include "runtime/kernels/unit_product.h"

namespace plica {
namespace {

constexpr int64_t kGroupUnits = 4;  // of columns, to whose results the chain is applied at once

// Of the terms, such that vectors of this CPU fill it.
int64_t term_block() { return simd::lanes_for(16) == 16 ? 16 : 8; }

Units units_of(const RowsProductShape& s) { return Units(s.columns, term_block()); }

// [rows, terms] into [terms / block][rows][block]. Of the last block only what there is is written.
void copy_to_blocks(const float* from, int64_t rows, int64_t terms, int64_t block, float* to) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* const row = from + r * terms;
    int64_t i = 0;
    for (; i + block <= terms; i += block) std::copy_n(row + i, block, to + i * rows + r * block);
    std::copy_n(row + i, terms - i, to + i * rows + r * block);
  }
}

}  // namespace

size_t rows_product_weights_bytes(const RowsProductShape& s) {
  return packed_units_bytes(s.terms, units_of(s));
}

Tensor rows_product_weights(const Tensor& weights, const RowsProductShape& s) {
  return pack_units(weights, s.terms, !s.transposed, units_of(s));
}

RowsProductKernel::RowsProductKernel(const RowsProductShape& shape, bool has_bias,
                                     std::vector<KernelLink> chain, int threads)
    : shape_(shape), has_bias_(has_bias), chain_(std::move(chain)), threads_(threads) {
  constexpr int64_t kInputs = (384 << 10) / 4, kLeast = 56, kMost = 448;
  const int64_t most = std::clamp(kInputs / shape.terms, kLeast, kMost);
  const int64_t blocks = (shape.rows + most - 1) / most;
  row_block_ = (shape.rows + blocks - 1) / blocks;
}

// A block of rows.
int64_t RowsProductKernel::thread_floats() const {
  const int64_t block = term_block();
  return (shape_.terms + block - 1) / block * block * row_block_;
}

size_t RowsProductKernel::scratch_bytes() const {
  return static_cast<size_t>(threads_ * thread_floats()) * sizeof(float);
}

void RowsProductKernel::run(const Arguments& arguments) const {
  const RowsProductShape& s = shape_;
  const Units units = units_of(s);
  const auto memory = [&](int operand) {
    return static_cast<float*>(arguments.memory[static_cast<size_t>(operand)]);
  };
  const float *const x = memory(0), *const weights = memory(1), *const bias = has_bias_ ? memory(2) : nullptr;
  const KernelChain::Start& start = chain_.start();
  const float* const add = start.add >= 0 ? memory(start.add) : nullptr;
  auto* const y = static_cast<float*>(arguments.memory.back());
  const int64_t block = term_block(), row_blocks = (s.rows + row_block_ - 1) / row_block_;
  const int64_t tasks = row_blocks * units.count();
  parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      float* const scratch = static_cast<float*>(arguments.scratch) + thread * thread_floats();
      const int64_t last_task = tasks * (thread + 1) / threads_;
      for (int64_t task = tasks * thread / threads_; task < last_task;) {
        const int64_t row = task / units.count() * row_block_, rows = std::min(row_block_, s.rows - row);
        const int64_t first = task % units.count(), last = std::min(first + last_task - task, units.count());
        task += last - first;
        copy_to_blocks(x + row * s.terms, rows, s.terms, block, scratch);
        for (int64_t unit = first; unit < last; unit += kGroupUnits) {
          const int64_t begin_column = unit * units.width,
                        end_column = std::min(std::min(unit + kGroupUnits, last) * units.width, s.columns);
          for (int64_t c = begin_column; c < end_column; c += units.width) {
            const float* const packed = weights + c * s.terms;
            const int64_t width = units.packed_width(c), at = row * s.columns + c;
            multiply_unit({.x = scratch,
                           .terms = s.terms,
                           .block = block,
                           .plane = rows * block,
                           .weights = packed,
                           .width = width,
                           .next = packed + s.terms * width,
                           .bias = bias ? bias + c : nullptr,
                           .add = add ? add + at : nullptr,
                           .y = y + at,
                           .pixels = rows,
                           .row = s.columns,
                           .channels = std::min(units.width, s.columns - c),
                           .low = start.low,
                           .high = start.high});
          }
          chain_.apply_to_rows({row, rows, begin_column, end_column - begin_column, s.columns},
                               arguments.memory, y);
        }
      }
    }
  });
}

}  // namespace plica
