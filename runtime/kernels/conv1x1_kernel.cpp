#include "runtime/kernels/conv1x1_kernel.h"

#include <algorithm>

#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "runtime/kernels/unit_product.h"

namespace plica {
namespace {

Units units_of(const Conv1x1Shape& s) { return Units(s.out_channels, s.block); }

void scale_rows(const float* from, const float* factors, int64_t rows, int64_t width, float* to) {
  vectorized([=] {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < width; ++i) to[r * width + i] = from[r * width + i] * factors[r];
    }
  });
}

}  // namespace

size_t conv1x1_weights_bytes(const Conv1x1Shape& s) { return packed_units_bytes(s.in_channels, units_of(s)); }

Tensor conv1x1_weights(const Tensor& weights, const Conv1x1Shape& s) {
  return pack_units(weights, s.in_channels, false, units_of(s));
}

Conv1x1Kernel::Conv1x1Kernel(const Conv1x1Shape& shape, bool has_bias, std::vector<KernelLink> chain,
                             int threads)
    : shape_(shape), has_bias_(has_bias), chain_(std::move(chain)), threads_(threads) {
  constexpr int64_t kInputs = (256 << 10) / 4, kLeast = 56, kMost = 448;
  const int64_t most = std::clamp(kInputs / shape.in_channels, kLeast, kMost);
  const int64_t pieces = (shape.pixels + most - 1) / most;
  pixel_block_ = (shape.pixels + pieces - 1) / pieces;
}

// The weights of a unit times the factors.
int64_t Conv1x1Kernel::thread_floats() const {
  return shape_.scaled ? units_of(shape_).width * shape_.in_channels : 0;
}

size_t Conv1x1Kernel::scratch_bytes() const {
  return static_cast<size_t>(threads_ * thread_floats()) * sizeof(float);
}

void Conv1x1Kernel::run(const Arguments& arguments) const {
  const Conv1x1Shape& s = shape_;
  const Units units = units_of(s);
  // A group of units fills whole blocks.
  const int64_t group = std::max(units.width, s.block);
  const auto memory = [&](int operand) {
    return static_cast<float*>(arguments.memory[static_cast<size_t>(operand)]);
  };
  const float *const x = memory(0), *const weights = memory(1),
                     *const factors = s.scaled ? memory(2) : nullptr,
                     *const bias = has_bias_ ? memory(s.scaled ? 3 : 2) : nullptr;
  const KernelChain::Start& start = chain_.start();
  const float* const add = start.add >= 0 ? memory(start.add) : nullptr;
  auto* const y = static_cast<float*>(arguments.memory.back());
  const int64_t block = s.block, plane = s.pixels * block;
  const int64_t in_blocks = (s.in_channels + block - 1) / block,
                out_blocks = (s.out_channels + block - 1) / block;
  const int64_t pixel_blocks = (s.pixels + pixel_block_ - 1) / pixel_block_,
                groups = (s.out_channels + group - 1) / group;
  const int64_t tasks = s.batch * pixel_blocks * groups;
  // Lanes that are no channels are zeros already where vectors fill blocks and the bounds let zeros be.
  const bool zeros = units.lanes == block && start.low <= 0 && start.high >= 0;
  const bool finish = chain_.has_rest() || (s.out_channels % block != 0 && !zeros);
  parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      float* const scratch = static_cast<float*>(arguments.scratch) + thread * thread_floats();
      for (int64_t task = tasks * thread / threads_; task < tasks * (thread + 1) / threads_; ++task) {
        const int64_t image = task / (pixel_blocks * groups);
        const int64_t pixel = task / groups % pixel_blocks * pixel_block_;
        const int64_t pixels = std::min(pixel_block_, s.pixels - pixel);
        const int64_t first = task % groups * group, last = std::min(first + group, s.out_channels);
        for (int64_t c = first; c < last; c += units.width) {
          const int64_t offset = (image * out_blocks + c / block) * plane + pixel * block + c % block;
          const float* unit = weights + c * s.in_channels;
          const int64_t width = units.packed_width(c);
          const float* const next = unit + s.in_channels * width;
          if (s.scaled) {
            scale_rows(unit, factors + image * in_blocks * block, s.in_channels, width, scratch);
            unit = scratch;
          }
          multiply_unit({.x = x + image * in_blocks * plane + pixel * block,
                         .terms = s.in_channels,
                         .block = block,
                         .plane = plane,
                         .weights = unit,
                         .width = width,
                         .next = next,
                         .bias = bias ? bias + c : nullptr,
                         .add = add ? add + offset : nullptr,
                         .y = y + offset,
                         .pixels = pixels,
                         .row = 0,
                         .channels = std::min(units.width, last - c),
                         .low = start.low,
                         .high = start.high});
        }
        if (!finish) continue;
        for (int64_t c = first; c < last; c += block) {
          const int64_t offset = (image * out_blocks + c / block) * plane + pixel * block;
          chain_.apply({offset, pixels * block, block, c, s.out_channels - c}, arguments.memory, y + offset);
        }
      }
    }
  });
}

}  // namespace plica
