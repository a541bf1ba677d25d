#include "runtime/kernels/winograd_kernel.h"

#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "runtime/kernels/block_vectors.h"

namespace plica {
namespace {

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

constexpr int kGroupVectors = 2;  // of output channels that are computed together

// The sizes that everything here goes by.
struct Sizes {
  int64_t lanes, points, in_padded, out_padded, group, groups;
  explicit Sizes(const WinogradShape& s)
      : lanes(simd::lanes_for(s.block)),
        points(s.points()),
        in_padded(s.in_blocks() * s.block),
        out_padded(s.out_blocks() * s.block),
        group(kGroupVectors * lanes),
        groups((out_padded + group - 1) / group) {}
  // Channels of group g: the last may be half of one.
  int64_t width(int64_t g) const { return std::min(group, out_padded - g * group); }
};

// Points lie `stride` floats apart: not a multiple of a page, or all would want the same set of the cache.
int64_t point_stride(int64_t floats) { return round_up(floats, 16) + 16 + (floats % 1024 < 32 ? 32 : 0); }

// ---- the transforms
//
// Interpolation at 0, +-a, +-b and infinity for m = 4, at 0, +-1 and infinity for m = 2 (Toom-Cook). a = 5/8
// and b = 3/2 keep the powers near 1: the largest error is a third of that with 1 and 2 (with 512 channels of
// normal numbers 3e-6 of the largest result against 1.3e-5; the direct sum in float32 has 2.5e-6).
constexpr float kA = 0.625f, kB = 1.5f;
constexpr float kA2 = kA * kA, kB2 = kB * kB;

template <class Vec>
PLICA_INLINE void transform_input(const Vec* d, Vec* out, int64_t stride, std::integral_constant<int, 4>) {
  const Vec ea = d[4] - kB2 * d[2], oa = kA * (d[3] - kB2 * d[1]);
  const Vec eb = d[4] - kA2 * d[2], ob = kB * (d[3] - kA2 * d[1]);
  out[0 * stride] = (kA2 * kB2) * d[0] - (kA2 + kB2) * d[2] + d[4];
  out[1 * stride] = ea + oa;
  out[2 * stride] = ea - oa;
  out[3 * stride] = eb + ob;
  out[4 * stride] = eb - ob;
  out[5 * stride] = (kA2 * kB2) * d[1] - (kA2 + kB2) * d[3] + d[5];
}

template <class Vec>
PLICA_INLINE void transform_input(const Vec* d, Vec* out, int64_t stride, std::integral_constant<int, 2>) {
  out[0 * stride] = d[0] - d[2];
  out[1 * stride] = d[1] + d[2];
  out[2 * stride] = d[2] - d[1];
  out[3 * stride] = d[3] - d[1];
}

template <class Vec>
PLICA_INLINE void transform_output(const Vec* p, Vec* out, int64_t stride, std::integral_constant<int, 4>) {
  const Vec sa = p[1] + p[2], da = p[1] - p[2], sb = p[3] + p[4], db = p[3] - p[4];
  out[0 * stride] = p[0] + sa + sb;
  out[1 * stride] = kA * da + kB * db;
  out[2 * stride] = kA2 * sa + kB2 * sb;
  out[3 * stride] = (kA2 * kA) * da + (kB2 * kB) * db + p[5];
}

template <class Vec>
PLICA_INLINE void transform_output(const Vec* p, Vec* out, int64_t stride, std::integral_constant<int, 2>) {
  out[0 * stride] = p[0] + p[1] + p[2];
  out[1 * stride] = p[1] - p[2] + p[3];
}

// Three weights to m + 2 points, of `count` filters at once: row k of the weights is `step` rows after the
// last, and so for points.
inline void transform_weights(const double* w, int64_t step, double* out, int64_t out_step, int tile,
                              int64_t count) {
  constexpr double a = kA, b = kB;
  constexpr double na = 2 * a * a * (a * a - b * b), nb = 2 * b * b * (b * b - a * a);
  step *= count;
  out_step *= count;
  for (int64_t i = 0; i < count; ++i) {
    const double w0 = w[i], w1 = w[i + step], w2 = w[i + 2 * step];
    double* const to = out + i;
    if (tile == 2) {
      to[0] = w0;
      to[out_step] = (w0 + w1 + w2) / 2;
      to[2 * out_step] = (w0 - w1 + w2) / 2;
      to[3 * out_step] = w2;
    } else {
      to[0] = w0 / (a * a * b * b);
      to[out_step] = (w0 + a * w1 + a * a * w2) / na;
      to[2 * out_step] = (w0 - a * w1 + a * a * w2) / na;
      to[3 * out_step] = (w0 + b * w1 + b * b * w2) / nb;
      to[4 * out_step] = (w0 - b * w1 + b * b * w2) / nb;
      to[5 * out_step] = w2;
    }
  }
}

// ---- products: kTiles tiles by kVectors vectors of output channels, at one point

template <class S, int kVectors, int kTiles>
PLICA_INLINE void multiply(const float* u, const float* v, float* m, int64_t channel_blocks,
                           int64_t v_stride) {
  constexpr int64_t block = S::kBlock;
  typename S::Vec sums[kTiles][kVectors];
#pragma GCC unroll 16
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) sums[t][j] = typename S::Vec{};
  }
  // The next point's weights, which come from memory: meanwhile they travel to the second-level cache.
  const int64_t ahead = channel_blocks * block * kVectors * S::kLanes;
  for (int64_t cb = 0; cb < channel_blocks; ++cb) {
    const float* x = v + cb * v_stride;
    for (int64_t c = 0; c < block; ++c) {
      typename S::Vec w[kVectors];
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) {
        S::load(w[j], u + j * S::kLanes);
        if (j * S::kLanes % 16 == 0) __builtin_prefetch(u + ahead + j * S::kLanes, 0, 2);
      }
#pragma GCC unroll 16
      for (int t = 0; t < kTiles; ++t) {
        const typename S::Vec s = x[t * block + c] - typename S::Vec{};
#pragma GCC unroll 2
        for (int j = 0; j < kVectors; ++j) sums[t][j] += w[j] * s;
      }
      u += kVectors * S::kLanes;
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; ++j) S::store(m + (t * kVectors + j) * S::kLanes, sums[t][j]);
  }
}

// ---- the three phases

// Tiles of an image, and their transformed inputs.
struct Tiles {
  const WinogradShape& shape;
  int64_t image = 0, first = 0, count = 0;
  float* inputs = nullptr;   // [point][channel block][tile][block]
  int64_t point_stride = 0;  // of them
};

template <class S, int kTile>
PLICA_INLINE void transform_inputs_of(const Tiles& tiles, const float* x, int64_t first_block,
                                      int64_t last_block) {
  using Vec = typename S::Vec;
  constexpr int kSide = kTile + 2;
  using Method = std::integral_constant<int, kTile>;
  const WinogradShape& s = tiles.shape;
  constexpr int64_t block = S::kBlock;
  const int64_t blocks = s.in_blocks(), columns = s.tile_columns();
  const int64_t row = s.in_width * block;
  for (int64_t b = first_block; b < last_block; ++b) {
    const float* plane = x + (tiles.image * blocks + b) * s.in_height * row;
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t top = (tiles.first + t) / columns * kTile - s.pad_top;
      const int64_t left = (tiles.first + t) % columns * kTile - s.pad_left;
      const bool inside = top >= 0 && left >= 0 && top + kSide <= s.in_height && left + kSide <= s.in_width;
      float* to = tiles.inputs + (b * tiles.count + t) * block;
      for (int64_t lane = 0; lane < block; lane += S::kLanes) {
        Vec half[kSide * kSide];  // transformed along columns: [point][x]
#pragma GCC unroll 6
        for (int dx = 0; dx < kSide; ++dx) {
          Vec d[kSide];
          const float* from = plane + top * row + (left + dx) * block + lane;
          if (inside) {
#pragma GCC unroll 6
            for (int dy = 0; dy < kSide; ++dy) S::load(d[dy], from + dy * row);
          } else {
            const bool in_row = left + dx >= 0 && left + dx < s.in_width;
            for (int dy = 0; dy < kSide; ++dy) {
              d[dy] = Vec{};
              if (in_row && top + dy >= 0 && top + dy < s.in_height) S::load(d[dy], from + dy * row);
            }
          }
          transform_input(d, half + dx, kSide, Method{});
        }
#pragma GCC unroll 6
        for (int i = 0; i < kSide; ++i) {
          Vec out[kSide];
          transform_input(half + i * kSide, out, 1, Method{});
#pragma GCC unroll 6
          for (int j = 0; j < kSide; ++j) S::store(to + (i * kSide + j) * tiles.point_stride + lane, out[j]);
        }
      }
    }
  }
}

template <class S>
PLICA_INLINE void transform_inputs_body(const Tiles& tiles, const float* x, int64_t first_block,
                                        int64_t last_block) {
  if (tiles.shape.tile == 4) return transform_inputs_of<S, 4>(tiles, x, first_block, last_block);
  transform_inputs_of<S, 2>(tiles, x, first_block, last_block);
}

// The products of a group of kVectors vectors of output channels: [point][tile][channel].
template <class S, int kVectors>
PLICA_INLINE void multiply_group(const Tiles& tiles, const float* weights, float* products,
                                 int64_t product_stride) {
  // As many sums as there are registers for.
  constexpr int kMostTiles = S::kLanes == 16 ? 12 : 6;
  const WinogradShape& s = tiles.shape;
  const int64_t blocks = s.in_blocks();
  const int64_t pieces = (tiles.count + kMostTiles - 1) / kMostTiles;
  for (int64_t p = 0; p < s.points(); ++p) {
    const float* u = weights + p * blocks * S::kBlock * kVectors * S::kLanes;
    for (int64_t piece = 0; piece < pieces; ++piece) {
      const int64_t t = tiles.count * piece / pieces, size = tiles.count * (piece + 1) / pieces - t;
      const float* v = tiles.inputs + p * tiles.point_stride + t * S::kBlock;
      float* m = products + p * product_stride + t * kVectors * S::kLanes;
      const int64_t stride = tiles.count * S::kBlock;
      switch (size) {
#define PLICA_MULTIPLY(kTiles)                                                                  \
  case kTiles:                                                                                  \
    if constexpr (kTiles <= kMostTiles) multiply<S, kVectors, kTiles>(u, v, m, blocks, stride); \
    break;
        PLICA_MULTIPLY(1)
        PLICA_MULTIPLY(2)
        PLICA_MULTIPLY(3)
        PLICA_MULTIPLY(4)
        PLICA_MULTIPLY(5)
        PLICA_MULTIPLY(6)
        PLICA_MULTIPLY(7)
        PLICA_MULTIPLY(8)
        PLICA_MULTIPLY(9)
        PLICA_MULTIPLY(10)
        PLICA_MULTIPLY(11)
        PLICA_MULTIPLY(12)
#undef PLICA_MULTIPLY
      }
    }
  }
}

template <class S>
PLICA_INLINE void multiply_tiles_body(const Tiles& tiles, int64_t vectors, const float* weights,
                                      float* products, int64_t product_stride) {
  if (vectors == 2) return multiply_group<S, 2>(tiles, weights, products, product_stride);
  multiply_group<S, 1>(tiles, weights, products, product_stride);
}

// Where results go, and what is done to them before.
struct Results {
  const float* bias;  // or null
  const std::vector<KernelLink>& chain;
  std::span<void* const> memory;
  float* y;
};

constexpr int kMostOutputs = 16 * 16;  // of a tile, a vector of channels each

// The products of the group of channels that begins at `channel`.
template <class S, int kTile>
PLICA_INLINE void transform_outputs_of(const Tiles& tiles, const float* products, int64_t product_stride,
                                       int64_t channel, int64_t vectors, const Results& results) {
  using Vec = typename S::Vec;
  constexpr int kSide = kTile + 2, kCount = kTile * kTile * S::kLanes;
  using Method = std::integral_constant<int, kTile>;
  const WinogradShape& s = tiles.shape;
  constexpr int64_t block = S::kBlock;
  const int64_t blocks = s.out_blocks(), columns = s.tile_columns();
  alignas(64) float other[kMostOutputs] = {};  // of a link's operand; beyond the image's edge anything
  for (int64_t j = 0; j < vectors; ++j) {
    const int64_t c = channel + j * S::kLanes, lane = c % block;
    const int64_t plane = (tiles.image * blocks + c / block) * s.out_height * s.out_width * block;
    Vec bias{};
    if (results.bias) S::load(bias, results.bias + c);
    const int64_t valid = std::min<int64_t>(S::kLanes, s.out_channels - c);  // lanes that are channels
    for (int64_t t = 0; t < tiles.count; ++t) {
      const int64_t top = (tiles.first + t) / columns * kTile, left = (tiles.first + t) % columns * kTile;
      const int64_t rows = std::min<int64_t>(kTile, s.out_height - top),
                    width = std::min<int64_t>(kTile, s.out_width - left);
      const float* from = products + (t * vectors + j) * S::kLanes;
      Vec half[kTile * kSide];  // transformed along columns: [y][point]
#pragma GCC unroll 6
      for (int i = 0; i < kSide; ++i) {
        Vec p[kSide];
#pragma GCC unroll 6
        for (int k = 0; k < kSide; ++k) S::load(p[k], from + (k * kSide + i) * product_stride);
        transform_output(p, half + i, kSide, Method{});
      }
      alignas(64) float tile[kMostOutputs];  // [y][x][channel]
#pragma GCC unroll 4
      for (int y = 0; y < kTile; ++y) {
        Vec out[kTile];
        transform_output(half + y * kSide, out, 1, Method{});
#pragma GCC unroll 4
        for (int x = 0; x < kTile; ++x) S::store(tile + (y * kTile + x) * S::kLanes, out[x] + bias);
      }
      const int64_t offset = plane + (top * s.out_width + left) * block + lane;
      for (const KernelLink& link : results.chain) {
        PassOperand operand;
        if (link.operand >= 0) {
          const auto* elements = static_cast<const float*>(results.memory[static_cast<size_t>(link.operand)]);
          operand.elements = other;
          for (int64_t y = 0; y < rows; ++y) {
            for (int64_t x = 0; x < width; ++x) {
              Vec v;
              S::load(v, link.by_channel ? elements + c : elements + offset + (y * s.out_width + x) * block);
              S::store(other + (y * kTile + x) * S::kLanes, v);
            }
          }
        }
        pointwise_pass(link.op, tile, tile, kCount, operand);
      }
      if (valid < S::kLanes) {
        for (int i = 0; i < kTile * kTile; ++i)
          std::fill(tile + i * S::kLanes + std::max<int64_t>(valid, 0), tile + (i + 1) * S::kLanes, 0.f);
      }
      for (int64_t y = 0; y < rows; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          Vec v;
          S::load(v, tile + (y * kTile + x) * S::kLanes);
          S::store(results.y + offset + (y * s.out_width + x) * block, v);
        }
      }
    }
  }
}

template <class S>
PLICA_INLINE void transform_outputs_body(const Tiles& tiles, const float* products, int64_t product_stride,
                                         int64_t channel, int64_t vectors, const Results& results) {
  if (tiles.shape.tile == 4)
    return transform_outputs_of<S, 4>(tiles, products, product_stride, channel, vectors, results);
  transform_outputs_of<S, 2>(tiles, products, product_stride, channel, vectors, results);
}

PLICA_FOR_BLOCK(tiles.shape.block, transform_inputs,
                (const Tiles& tiles, const float* x, int64_t first_block, int64_t last_block),
                (tiles, x, first_block, last_block))
PLICA_FOR_BLOCK(tiles.shape.block, multiply_tiles,
                (const Tiles& tiles, int64_t vectors, const float* weights, float* products,
                 int64_t product_stride),
                (tiles, vectors, weights, products, product_stride))
PLICA_FOR_BLOCK(tiles.shape.block, transform_outputs,
                (const Tiles& tiles, const float* products, int64_t product_stride, int64_t channel,
                 int64_t vectors, const Results& results),
                (tiles, products, product_stride, channel, vectors, results))

constexpr int64_t kCacheFloats = (640 << 10) / 4;  // of transformed inputs and products together

}  // namespace

size_t winograd_weights_bytes(const WinogradShape& shape) {
  const Sizes sizes(shape);
  return static_cast<size_t>(checked_mul(checked_mul(sizes.points * 4, sizes.in_padded), sizes.out_padded));
}

Tensor winograd_weights(const Tensor& weights, const WinogradShape& shape) {
  const Sizes sizes(shape);
  Tensor packed(DataType::float32, {static_cast<int64_t>(winograd_weights_bytes(shape) / 4)});
  float* const to = packed.mutable_values<float>().data();
  const int side = shape.tile + 2;
  parallel_for(sizes.groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<std::byte> buffer;
    for (int64_t g = begin; g < end; ++g) {
      // [group][point][input channel][output channel of the group]
      const int64_t width = sizes.width(g), first = g * sizes.group;
      float* const group = to + sizes.points * sizes.in_padded * first;
      const int64_t filters = std::min(width, shape.out_channels - first);
      if (filters < width || shape.in_channels < sizes.in_padded)
        std::fill_n(group, sizes.points * sizes.in_padded * width, 0.f);
      // Those of the group are read for it alone.
      const size_t filter_bytes = static_cast<size_t>(shape.in_channels) * 9 * sizeof(float);
      const auto* const of_group = reinterpret_cast<const float*>(weights.piece(
          static_cast<size_t>(first) * filter_bytes, static_cast<size_t>(filters) * filter_bytes, buffer));
      // Some input channels at a time, so that memory is read and written in runs.
      constexpr int64_t kChannels = 8;
      const auto most = static_cast<size_t>(kChannels * width);
      std::vector<double> given(9 * most), half(18 * most), points(36 * most);
      for (int64_t c = 0; c < shape.in_channels; c += kChannels) {
        const int64_t channels = std::min(kChannels, shape.in_channels - c), count = channels * width;
        for (int64_t o = 0; o < filters; ++o) {
          const float* w = of_group + (o * shape.in_channels + c) * 9;
          for (int64_t i = 0; i < channels; ++i) {
            for (int64_t k = 0; k < 9; ++k) given[static_cast<size_t>(k * count + i * width + o)] = *w++;
          }
        }
        vectorized([&] {
          // Down the columns, then along the rows.
          for (int x = 0; x < 3; ++x)
            transform_weights(given.data() + x * count, 3, half.data() + x * count, 3, shape.tile, count);
          for (int k = 0; k < side; ++k) {
            transform_weights(half.data() + 3 * k * count, 1, points.data() + side * k * count, 1, shape.tile,
                              count);
          }
          for (int64_t p = 0; p < sizes.points; ++p) {
            float* const row = group + (p * sizes.in_padded + c) * width;
            const double* const from = points.data() + p * count;
            for (int64_t i = 0; i < count; ++i) row[i] = static_cast<float>(from[i]);
          }
        });
      }
    }
  });
  return packed;
}

WinogradKernel::WinogradKernel(const WinogradShape& shape, bool has_bias, std::vector<KernelLink> chain,
                               int threads)
    : shape_(shape), has_bias_(has_bias), chain_(std::move(chain)), threads_(threads) {
  const Sizes sizes(shape);
  const int64_t floats = sizes.points * (sizes.in_padded + sizes.group);  // of a tile
  const int64_t most = std::clamp<int64_t>(kCacheFloats / floats, 12, 192);
  const int64_t tiles = shape.tiles();
  shares_tiles_ = threads > 1 && shape.batch * ((tiles + most - 1) / most) < 2 * threads;
  const int64_t pieces = (tiles + most - 1) / most;
  tile_block_ = shares_tiles_ ? tiles : (tiles + pieces - 1) / pieces;
}

size_t WinogradKernel::scratch_bytes() const {
  const Sizes sizes(shape_);
  const int64_t inputs = sizes.points * point_stride(tile_block_ * sizes.in_padded);
  const int64_t products = sizes.points * point_stride(tile_block_ * sizes.group);
  return static_cast<size_t>(((shares_tiles_ ? 1 : threads_) * inputs + threads_ * products) * 4);
}

void WinogradKernel::run(const Arguments& arguments) const {
  const Sizes sizes(shape_);
  const auto* x = static_cast<const float*>(arguments.memory[0]);
  const auto* weights = static_cast<const float*>(arguments.memory[1]);
  const Results results{has_bias_ ? static_cast<const float*>(arguments.memory[2]) : nullptr, chain_,
                        arguments.memory, static_cast<float*>(arguments.memory.back())};
  const int64_t point = point_stride(tile_block_ * sizes.in_padded),
                product = point_stride(tile_block_ * sizes.group);
  auto* const scratch = static_cast<float*>(arguments.scratch);
  const auto compute_group = [&](const Tiles& tiles, int64_t g, float* products) {
    const int64_t vectors = sizes.width(g) / sizes.lanes;
    multiply_tiles(tiles, vectors, weights + sizes.points * sizes.in_padded * g * sizes.group, products,
                   product);
    transform_outputs(tiles, products, product, g * sizes.group, vectors, results);
  };
  const int64_t channel_blocks = shape_.in_blocks();
  if (shares_tiles_) {
    float* const products = scratch + sizes.points * point;
    for (int64_t n = 0; n < shape_.batch; ++n) {
      const Tiles tiles{shape_, n, 0, tile_block_, scratch, point};
      parallel_for(channel_blocks, 1,
                   [&](int64_t begin, int64_t end) { transform_inputs(tiles, x, begin, end); });
      parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
        for (int64_t thread = begin; thread < end; ++thread) {
          for (int64_t g = sizes.groups * thread / threads_; g < sizes.groups * (thread + 1) / threads_; ++g)
            compute_group(tiles, g, products + thread * sizes.points * product);
        }
      });
    }
    return;
  }
  const int64_t pieces = (shape_.tiles() + tile_block_ - 1) / tile_block_, all = shape_.batch * pieces;
  parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread) {
      float* const inputs = scratch + thread * sizes.points * (point + product);
      for (int64_t i = all * thread / threads_; i < all * (thread + 1) / threads_; ++i) {
        const int64_t first = i % pieces * tile_block_;
        const Tiles tiles{shape_, i / pieces, first, std::min(tile_block_, shape_.tiles() - first),
                          inputs, point};
        transform_inputs(tiles, x, 0, channel_blocks);
        for (int64_t g = 0; g < sizes.groups; ++g) compute_group(tiles, g, inputs + sizes.points * point);
      }
    }
  });
}

}  // namespace plica
