#include "runtime/kernels/pointwise_kernel.h"

#include <algorithm>
#include <array>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/pointwise_pass.h"

namespace plica {
namespace {

// Elements that one instruction handles before the next begins: few enough that they stay in the first-level
// cache.
constexpr int64_t kChunk = 1024;
constexpr size_t kMostOperands = 16;
// Below this, waking the team costs more than the work.
constexpr int64_t kParallelGrain = 8192;

size_t operand_of(const PointwiseKernel::Instruction& i) {
  return i.operand < 0 ? 0 : static_cast<size_t>(i.operand);
}

// The other operand of such a function where it is one number for the whole chunk, else null.
const float* scalar_of(const PointwiseKernel::Instruction& i, Binary function,
                       const std::vector<PassOperand>& sources) {
  if (i.op.is_unary || i.op.binary != function) return nullptr;
  const PassOperand& source = sources[operand_of(i)];
  return source.elements ? nullptr : &source.scalar;
}

}  // namespace

PointwiseKernel::PointwiseKernel(std::vector<Instruction> program, std::vector<Loop> loops, Padding padding)
    : program_(std::move(program)), padding_(padding) {
  const size_t operands = loops.empty() ? 1 : loops.front().strides.size();
  require(operands < kMostOperands, ErrorCode::internal, "a chain has {} operands", operands);
  std::erase_if(loops, [](const Loop& l) { return l.extent == 1; });
  // Neighbours through which every operand goes evenly are one loop.
  std::vector<Loop> merged;
  for (Loop& l : loops) {
    bool continues = !merged.empty();
    for (size_t i = 0; continues && i < l.strides.size(); ++i)
      continues = merged.back().strides[i] == l.strides[i] * l.extent;
    if (continues) {
      l.extent *= merged.back().extent;
      merged.back() = std::move(l);
    } else {
      merged.push_back(std::move(l));
    }
  }
  element_strides_.assign(operands, 0);
  row_strides_.assign(operands, 0);
  if (!merged.empty()) {
    row_ = merged.back().extent;
    element_strides_ = merged.back().strides;
    merged.pop_back();
  }
  if (!merged.empty()) {
    rows_ = merged.back().extent;
    row_strides_ = merged.back().strides;
    merged.pop_back();
  }
  outer_ = std::move(merged);
  for (const Loop& l : outer_) outer_count_ *= l.extent;
  chunk_rows_ = std::clamp<int64_t>(kChunk / row_, 1, rows_);
}

// Rows are numbered through all outer loops. x and y are contiguous in this order.
void PointwiseKernel::run_rows(std::span<void* const> memory, int64_t row_length, int64_t begin,
                               int64_t end) const {
  const size_t operands = memory.size() - 1;
  auto* const y = static_cast<float*>(memory.back());
  const auto* const x = static_cast<const float*>(memory[0]);
  // Where an operand does not go evenly through a chunk, its elements are laid out here.
  thread_local std::vector<float> laid_out;
  laid_out.resize(operands * kChunk);
  std::vector<PassOperand> sources(operands);
  while (begin < end) {
    const int64_t outer = begin / rows_, row = begin % rows_;
    const int64_t rows = std::min({chunk_rows_, rows_ - row, end - begin});
    std::array<int64_t, kMostOperands> base{};
    for (int64_t rest = outer, i = static_cast<int64_t>(outer_.size()); i-- > 0;) {
      const Loop& l = outer_[static_cast<size_t>(i)];
      for (size_t o = 0; o < operands; ++o) base[o] += rest % l.extent * l.strides[o];
      rest /= l.extent;
    }
    for (int64_t first = 0; first < row_length; first += kChunk) {
      const int64_t width = std::min(kChunk, row_length - first);  // whole rows when there is more than one
      const int64_t count = rows * width;
      for (size_t o = 1; o < operands; ++o) {
        const auto* from = static_cast<const float*>(memory[o]) + base[o] + row * row_strides_[o] +
                           first * element_strides_[o];
        const int64_t step = element_strides_[o], stride = row_strides_[o];
        if (step == 0 && (rows == 1 || stride == 0)) {
          sources[o] = {nullptr, *from};
        } else if (step == 1 && (rows == 1 || stride == row_length)) {
          sources[o] = {from, 0};
        } else {
          float* to = laid_out.data() + o * kChunk;
          for (int64_t r = 0; r < rows; ++r) {
            const float* line = from + r * stride;
            float* out = to + r * width;
            if (step == 1) {
              std::copy_n(line, width, out);
            } else if (step == 0) {
              std::fill_n(out, width, *line);
            } else {
              for (int64_t i = 0; i < width; ++i) out[i] = line[i * step];
            }
          }
          sources[o] = {to, 0};
        }
      }
      const int64_t offset = begin * row_length + first;
      const float* in = x + offset;
      float* out = y + offset;
      for (size_t i = 0; i < program_.size(); ++i) {
        const auto* factor = scalar_of(program_[i], Binary::mul, sources);
        const auto* addend =
            factor && i + 1 < program_.size() ? scalar_of(program_[i + 1], Binary::add, sources) : nullptr;
        if (addend) {
          pointwise_pass(PointOp::of(Unary::linear, *factor, *addend), out, in, count, {});
          ++i;
        } else {
          pointwise_pass(program_[i].op, out, in, count, sources[operand_of(program_[i])]);
        }
        in = out;
      }
    }
    begin += rows;
  }
}

void PointwiseKernel::run(const Arguments& arguments) const {
  const int64_t rows = outer_count_ * rows_;
  if (rows == 1) {
    // One long row: cut into pieces of whole chunks.
    const int64_t chunks = (row_ + kChunk - 1) / kChunk;
    parallel_for(chunks, std::max<int64_t>(kParallelGrain / kChunk, 1), [&](int64_t begin, int64_t end) {
      std::vector<void*> memory(arguments.memory.begin(), arguments.memory.end());
      for (size_t o = 0; o < memory.size(); ++o) {
        const int64_t stride = o == 0 || o + 1 == memory.size() ? 1 : element_strides_[o];
        memory[o] = static_cast<float*>(memory[o]) + begin * kChunk * stride;
      }
      run_rows(memory, std::min(row_, end * kChunk) - begin * kChunk, 0, 1);
    });
  } else {
    parallel_for(rows, std::max<int64_t>(kParallelGrain / row_, 1),
                 [&](int64_t begin, int64_t end) { run_rows(arguments.memory, row_, begin, end); });
  }
  if (padding_.block > 0) clear_padding(static_cast<float*>(arguments.memory.back()));
}

void PointwiseKernel::clear_padding(float* y) const {
  const Padding& p = padding_;
  for (int64_t n = 0; n < p.outer; ++n) {
    float* last = y + ((n * p.blocks + p.blocks - 1) * p.inner) * p.block;
    for (int64_t i = 0; i < p.inner; ++i)
      std::fill(last + i * p.block + p.first_lane, last + (i + 1) * p.block, 0.f);
  }
}

}  // namespace plica
