#include "runtime/kernels/depthwise_kernel.h"

#include <algorithm>
#include <array>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/block_vectors.h"

namespace plica {
namespace {

constexpr int kLargestWindow = 7;

// One row of results: the rows of x under each row of the window (null: padding), and where it goes.
struct Row {
  std::array<const float*, kLargestWindow> x;
  const float* weights;  // [window, window, block]
  const float* bias;     // of the block, or null
  const float* add;      // a row to add, or null
  float low, high;       // bounds of the results
  float* y;
};

// kColumns results from column `first` on. Each vector of x is read once a row and serves all results that
// need it. kInside: no column of the window lies in the padding.
template <class S, int kWindow, int kStride, int kColumns, bool kInside>
PLICA_INLINE void compute(const DepthwiseShape& s, const Row& row, int64_t lane, int64_t first) {
  using Vec = typename S::Vec;
  Vec sums[kColumns], start{};
  if (row.bias) S::load(start, row.bias + lane);
#pragma GCC unroll 8
  for (int j = 0; j < kColumns; ++j) sums[j] = start;
  const int64_t left = first * kStride - s.pad_left;
  for (int ky = 0; ky < kWindow; ++ky) {
    const float* x = row.x[static_cast<size_t>(ky)];
    if (!x) continue;
    Vec w[kWindow];
#pragma GCC unroll 8
    for (int kx = 0; kx < kWindow; ++kx) S::load(w[kx], row.weights + (ky * kWindow + kx) * S::kBlock + lane);
#pragma GCC unroll 24
    for (int i = 0; i < (kColumns - 1) * kStride + kWindow; ++i) {
      Vec v{};
      if (kInside || (left + i >= 0 && left + i < s.in_width)) S::load(v, x + (left + i) * S::kBlock + lane);
#pragma GCC unroll 8
      for (int kx = 0; kx < kWindow; ++kx) {
        if (i >= kx && (i - kx) % kStride == 0 && (i - kx) / kStride < kColumns)
          sums[(i - kx) / kStride] += v * w[kx];
      }
    }
  }
  float* const y = row.y;
  const simd::Ending<S> ending(row.add, row.low, row.high);
#pragma GCC unroll 8
  for (int j = 0; j < kColumns; ++j) ending.store(sums[j], y, (first + j) * S::kBlock + lane);
}

template <class S, int kWindow, int kStride, int kColumns>
PLICA_INLINE void compute_columns(const DepthwiseShape& s, const Row& row, int64_t lane, int64_t first) {
  const int64_t left = first * kStride - s.pad_left;
  if (left >= 0 && left + (kColumns - 1) * kStride + kWindow <= s.in_width)
    return compute<S, kWindow, kStride, kColumns, true>(s, row, lane, first);
  compute<S, kWindow, kStride, kColumns, false>(s, row, lane, first);
}

template <class S, int kWindow, int kStride>
PLICA_INLINE void compute_row_of(const DepthwiseShape& s, const Row& row) {
  // As many sums as there are registers for, beside the weights of a row.
  constexpr int kMost = S::kLanes == 16 ? 8 : 6;
  const int64_t pieces = (s.out_width + kMost - 1) / kMost;
  for (int64_t lane = 0; lane < S::kBlock; lane += S::kLanes) {
    for (int64_t p = 0; p < pieces; ++p) {
      const int64_t first = s.out_width * p / pieces, count = s.out_width * (p + 1) / pieces - first;
      switch (count) {
#define PLICA_COLUMNS(n)                                                                    \
  case n:                                                                                   \
    if constexpr (n <= kMost) compute_columns<S, kWindow, kStride, n>(s, row, lane, first); \
    break;
        PLICA_COLUMNS(1)
        PLICA_COLUMNS(2)
        PLICA_COLUMNS(3)
        PLICA_COLUMNS(4)
        PLICA_COLUMNS(5)
        PLICA_COLUMNS(6)
        PLICA_COLUMNS(7)
        PLICA_COLUMNS(8)
#undef PLICA_COLUMNS
      }
    }
  }
}

template <class S>
PLICA_INLINE void compute_row_body(const DepthwiseShape& s, const Row& row) {
  switch (s.window * 2 + s.stride_along) {
    case 3:
      return compute_row_of<S, 1, 1>(s, row);
    case 7:
      return compute_row_of<S, 3, 1>(s, row);
    case 8:
      return compute_row_of<S, 3, 2>(s, row);
    case 11:
      return compute_row_of<S, 5, 1>(s, row);
    case 12:
      return compute_row_of<S, 5, 2>(s, row);
    case 15:
      return compute_row_of<S, 7, 1>(s, row);
    case 16:
      return compute_row_of<S, 7, 2>(s, row);
  }
}

PLICA_FOR_BLOCK(s.block, compute_row, (const DepthwiseShape& s, const Row& row), (s, row))

}  // namespace

bool has_depthwise_kernel(int64_t window, int64_t stride_along) {
  return (window == 1 && stride_along == 1) ||
         ((window == 3 || window == 5 || window == 7) && (stride_along == 1 || stride_along == 2));
}

size_t depthwise_weights_bytes(const DepthwiseShape& s) {
  return bytes_of(DataType::float32,
                  checked_mul(checked_mul(s.blocks(), s.block), int64_t{s.window} * s.window));
}

Tensor depthwise_weights(const float* weights, const DepthwiseShape& s) {
  const int64_t points = int64_t{s.window} * s.window;
  Tensor packed = Tensor::zeros(DataType::float32,
                                {static_cast<int64_t>(depthwise_weights_bytes(s) / sizeof(float))});
  float* const to = packed.mutable_values<float>().data();
  for (int64_t c = 0; c < s.channels; ++c) {
    for (int64_t k = 0; k < points; ++k)
      to[(c / s.block * points + k) * s.block + c % s.block] = weights[c * points + k];
  }
  return packed;
}

DepthwiseKernel::DepthwiseKernel(const DepthwiseShape& shape, bool has_bias, std::vector<KernelLink> chain,
                                 int threads)
    : shape_(shape), has_bias_(has_bias), chain_(std::move(chain)), threads_(threads) {}

void DepthwiseKernel::run(const Arguments& arguments) const {
  const DepthwiseShape& s = shape_;
  const auto memory = [&](int operand) {
    return static_cast<float*>(arguments.memory[static_cast<size_t>(operand)]);
  };
  const float *const x = memory(0), *const weights = memory(1), *const bias = has_bias_ ? memory(2) : nullptr;
  const KernelChain::Start& start = chain_.start();
  const float* const add = start.add >= 0 ? memory(start.add) : nullptr;
  auto* const y = static_cast<float*>(arguments.memory.back());
  const int64_t in_row = s.in_width * s.block, out_row = s.out_width * s.block, blocks = s.blocks();
  const int64_t rows = s.batch * blocks * s.out_height;
  parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      for (int64_t r = rows * thread / threads_; r < rows * (thread + 1) / threads_; ++r) {
        const int64_t plane = r / s.out_height, channel = plane % blocks * s.block;
        const int64_t top = r % s.out_height * s.stride_down - s.pad_top;
        Row row{};
        for (int k = 0; k < s.window; ++k) {
          if (top + k >= 0 && top + k < s.in_height)
            row.x[static_cast<size_t>(k)] = x + (plane * s.in_height + top + k) * in_row;
        }
        row.weights = weights + channel * s.window * s.window;
        row.bias = bias ? bias + channel : nullptr;
        row.add = add ? add + r * out_row : nullptr;
        row.low = start.low;
        row.high = start.high;
        row.y = y + r * out_row;
        compute_row(s, row);
        const int64_t valid = s.channels - channel;
        if (chain_.has_rest() || valid < s.block) {
          chain_.apply({r * out_row, out_row, s.block, channel, valid}, arguments.memory, row.y);
        }
      }
    }
  });
}

}  // namespace plica
