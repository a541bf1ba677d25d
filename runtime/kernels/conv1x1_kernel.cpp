#include "runtime/kernels/conv1x1_kernel.h"

#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "runtime/kernels/block_vectors.h"

namespace plica {
namespace {

constexpr int kUnitVectors = 2;  // of output channels that are summed together

// A unit of output channels is summed in registers; a group of them fills whole blocks.
struct Units {
  int64_t lanes, width, group;
  explicit Units(const Conv1x1Shape& s)
      : lanes(simd::lanes_for(s.block)), width(kUnitVectors * lanes), group(std::max(width, s.block)) {}
  int64_t groups(const Conv1x1Shape& s) const { return (s.out_channels + group - 1) / group; }
  // Floats of the packed weights for `channels` of a unit: half a vector of 16 is a vector too.
  int64_t packed(int64_t channels) const {
    const int64_t step = lanes == 16 ? 8 : lanes;
    return (std::min(channels, width) + step - 1) / step * step;
  }
};

// What a call computes: `pixels` of an image by the unit of channels that begins at `channel`.
struct Piece {
  const Conv1x1Shape& shape;
  const float* x;        // of the first pixel, first block of channels
  const float* weights;  // of the unit
  const float* next;     // those that are used next
  const float* bias;     // of the unit, or null
  const float* add;      // as y, or null
  float* y;              // of the first pixel, the unit's first channel
  int64_t pixels;
  int64_t width;  // of the packed weights
  float low, high;
};

// The results of kPixels by kVectors vectors S, and half of one more whose other half is filled with zeros,
// unless Half is S.
template <class S, class Half, int kVectors, int kPixels>
PLICA_INLINE void multiply(const Piece& p, int64_t pixel, const float* next, int64_t step) {
  using Vec = typename S::Vec;
  using HalfVec = typename Half::Vec;
  constexpr bool kHalf = Half::kLanes < S::kLanes;
  constexpr int64_t kWidth = kVectors * S::kLanes + (kHalf ? Half::kLanes : 0);
  constexpr int64_t block = S::kBlock;
  const int64_t plane = p.shape.pixels * block;
  Vec sums[kPixels][kVectors];
  HalfVec half_sums[kPixels];
#pragma GCC unroll 16
  for (int t = 0; t < kPixels; ++t) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) {
      sums[t][j] = Vec{};
      if (p.bias) S::load(sums[t][j], p.bias + j * S::kLanes);
    }
    half_sums[t] = HalfVec{};
    if (kHalf && p.bias) Half::load(half_sums[t], p.bias + kVectors * S::kLanes);
  }
  const float* w = p.weights;
  const float* x = p.x + pixel * block;
  for (int64_t c = 0; c < p.shape.in_channels; c += block, x += plane) {
    const int64_t count = std::min(block, p.shape.in_channels - c);
    for (int64_t i = 0; i < count; ++i, w += kWidth) {
      Vec v[kVectors];
      HalfVec half{};
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) S::load(v[j], w + j * S::kLanes);
      if constexpr (kHalf) Half::load(half, w + kVectors * S::kLanes);
      __builtin_prefetch(next, 0, 2);
      next += step;
#pragma GCC unroll 16
      for (int t = 0; t < kPixels; ++t) {
        const Vec s = x[t * block + i] - Vec{};
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) sums[t][j] += v[j] * s;
        if constexpr (kHalf) half_sums[t] += half * (x[t * block + i] - HalfVec{});
      }
    }
  }
  float* const y = p.y;
  const simd::Ending<S> ending(p.add, p.low, p.high);
#pragma GCC unroll 2
  for (int j = 0; j < kVectors; ++j) {
    const int64_t lane = j * S::kLanes, at = lane / block * plane + lane % block + pixel * block;
#pragma GCC unroll 16
    for (int t = 0; t < kPixels; ++t) ending.store(sums[t][j], y, at + t * block);
  }
  if constexpr (kHalf) {
    const simd::Ending<Half> half_ending(p.add, p.low, p.high);
    const int64_t lane = kVectors * S::kLanes, at = lane / block * plane + lane % block + pixel * block;
#pragma GCC unroll 16
    for (int t = 0; t < kPixels; ++t) {
      half_ending.store(half_sums[t], y, at + t * block);
      Half::store(y + at + t * block + Half::kLanes, HalfVec{});
    }
  }
}

template <class S, class Half, int kVectors>
PLICA_INLINE void multiply_all(const Piece& p) {
  // As many sums as there are registers for.
  constexpr int kMost = S::kLanes == 16 ? 14 : 6;
  const int64_t pieces = (p.pixels + kMost - 1) / kMost;
  // Meanwhile the weights that are used next come from memory to the second-level cache, with each piece a
  // part of them.
  const int64_t step = (p.width + pieces - 1) / pieces;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const float* const next = p.next + p.shape.in_channels * piece * step;
    const int64_t pixel = p.pixels * piece / pieces, count = p.pixels * (piece + 1) / pieces - pixel;
    switch (count) {
#define PLICA_PIXELS(n)                                                             \
  case n:                                                                           \
    if constexpr (n <= kMost) multiply<S, Half, kVectors, n>(p, pixel, next, step); \
    break;
      PLICA_PIXELS(1)
      PLICA_PIXELS(2)
      PLICA_PIXELS(3)
      PLICA_PIXELS(4)
      PLICA_PIXELS(5)
      PLICA_PIXELS(6)
      PLICA_PIXELS(7)
      PLICA_PIXELS(8)
      PLICA_PIXELS(9)
      PLICA_PIXELS(10)
      PLICA_PIXELS(11)
      PLICA_PIXELS(12)
      PLICA_PIXELS(13)
      PLICA_PIXELS(14)
#undef PLICA_PIXELS
    }
  }
}

template <class S>
PLICA_INLINE void multiply_unit_body(const Piece& p) {
  if constexpr (S::kLanes == 16) {
    using Half = simd::Vectors<32>;
    if (p.width == 8) return multiply_all<S, Half, 0>(p);
    if (p.width == 24) return multiply_all<S, Half, 1>(p);
  }
  if (p.width == S::kLanes) return multiply_all<S, S, 1>(p);
  multiply_all<S, S, 2>(p);
}

PLICA_FOR_BLOCK(p.shape.block, multiply_unit, (const Piece& p), (p))

void scale_rows(const float* from, const float* factors, int64_t rows, int64_t width, float* to) {
  vectorized([=] {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < width; ++i) to[r * width + i] = from[r * width + i] * factors[r];
    }
  });
}

}  // namespace

Tensor conv1x1_weights(const float* weights, const Conv1x1Shape& s) {
  const Units units(s);
  const int64_t count = (s.out_channels + units.width - 1) / units.width;
  Tensor packed =
      Tensor::zeros(DataType::float32, {checked_mul(checked_mul(count, units.width), s.in_channels)});
  float* const to = packed.mutable_values<float>().data();
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t first = u * units.width, channels = std::min(units.width, s.out_channels - first);
      const int64_t width = units.packed(channels);
      float* const unit = to + first * s.in_channels;
      for (int64_t o = 0; o < channels; ++o) {
        const float* const from = weights + (first + o) * s.in_channels;
        for (int64_t i = 0; i < s.in_channels; ++i) unit[i * width + o] = from[i];
      }
    }
  });
  return packed;
}

Conv1x1Kernel::Conv1x1Kernel(const Conv1x1Shape& shape, bool has_bias, std::vector<BlockedLink> chain,
                             int threads)
    : shape_(shape), has_bias_(has_bias), chain_(std::move(chain)), threads_(threads) {
  constexpr int64_t kInputs = (256 << 10) / 4, kLeast = 56, kMost = 448;
  const int64_t most = std::clamp(kInputs / shape.in_channels, kLeast, kMost);
  const int64_t pieces = (shape.pixels + most - 1) / most;
  pixel_block_ = (shape.pixels + pieces - 1) / pieces;
}

// The weights of a unit times the factors.
int64_t Conv1x1Kernel::thread_floats() const {
  return shape_.scaled ? Units(shape_).width * shape_.in_channels : 0;
}

size_t Conv1x1Kernel::scratch_bytes() const {
  return static_cast<size_t>(threads_ * thread_floats()) * sizeof(float);
}

void Conv1x1Kernel::run(const Arguments& arguments) const {
  const Conv1x1Shape& s = shape_;
  const Units units(s);
  const auto memory = [&](int operand) {
    return static_cast<float*>(arguments.memory[static_cast<size_t>(operand)]);
  };
  const float *const x = memory(0), *const weights = memory(1),
                     *const factors = s.scaled ? memory(2) : nullptr,
                     *const bias = has_bias_ ? memory(s.scaled ? 3 : 2) : nullptr;
  const BlockedChain::Start& start = chain_.start();
  const float* const add = start.add >= 0 ? memory(start.add) : nullptr;
  auto* const y = static_cast<float*>(arguments.memory.back());
  const int64_t block = s.block, plane = s.pixels * block;
  const int64_t in_blocks = (s.in_channels + block - 1) / block,
                out_blocks = (s.out_channels + block - 1) / block;
  const int64_t pixel_blocks = (s.pixels + pixel_block_ - 1) / pixel_block_, groups = units.groups(s);
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
        const int64_t first = task % groups * units.group,
                      last = std::min(first + units.group, s.out_channels);
        for (int64_t c = first; c < last; c += units.width) {
          const int64_t offset = (image * out_blocks + c / block) * plane + pixel * block + c % block;
          const float* unit = weights + c * s.in_channels;
          const int64_t width = units.packed(last - c);
          const float* const next = unit + s.in_channels * width;
          if (s.scaled) {
            scale_rows(unit, factors + image * in_blocks * block, s.in_channels, width, scratch);
            unit = scratch;
          }
          multiply_unit({s, x + image * in_blocks * plane + pixel * block, unit, next,
                         bias ? bias + c : nullptr, add ? add + offset : nullptr, y + offset, pixels, width,
                         start.low, start.high});
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
