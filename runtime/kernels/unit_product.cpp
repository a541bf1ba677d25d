#include "runtime/kernels/unit_product.h"

#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/block_vectors.h"

namespace plica {
namespace {

constexpr int kUnitVectors = 2;

template <class S>
PLICA_INLINE void load_channels(typename S::Vec& v, const float* from, int64_t first, int64_t channels) {
  if (first + S::kLanes <= channels) return S::load(v, from + first);
  S::load_first(v, from + first, channels - first);
}

// The results of some pixels from `pixel` on, [pixel][channel of a whole unit], as rows.
template <class S>
PLICA_INLINE void store_rows_body(const UnitProduct& p, int64_t pixel, int64_t count, const float* results) {
  float* const y = p.y + pixel * p.row;
  const simd::Ending<S> ending(p.add ? p.add + pixel * p.row : nullptr, p.low, p.high);
  for (int64_t t = 0; t < count; ++t, results += kUnitVectors * S::kLanes) {
    for (int64_t c = 0; c < p.channels; c += S::kLanes) {
      typename S::Vec v;
      S::load(v, results + c);
      ending.store_first(v, y, t * p.row + c, p.channels - c);
    }
  }
}

PLICA_FOR_BLOCK(p.block, store_rows,
                (const UnitProduct& p, int64_t pixel, int64_t count, const float* results),
                (p, pixel, count, results))

// The results of kPixels by kVectors vectors S, and half of one more whose other half is filled with zeros,
// unless Half is S.
template <class S, class Half, int kVectors, int kPixels>
PLICA_INLINE void sum(const UnitProduct& p, int64_t pixel, const float* next, int64_t step) {
  using Vec = typename S::Vec;
  using HalfVec = typename Half::Vec;
  constexpr bool kHalf = Half::kLanes < S::kLanes;
  constexpr int64_t kWidth = kVectors * S::kLanes + (kHalf ? Half::kLanes : 0);
  constexpr int64_t block = S::kBlock;
  const int64_t plane = p.plane;
  Vec sums[kPixels][kVectors];
  HalfVec half_sums[kPixels];
#pragma GCC unroll 2
  for (int j = 0; j < kVectors; ++j) {
    Vec bias{};
    if (p.bias) load_channels<S>(bias, p.bias, j * S::kLanes, p.channels);
#pragma GCC unroll 16
    for (int t = 0; t < kPixels; ++t) sums[t][j] = bias;
  }
  HalfVec half_bias{};
  if (kHalf && p.bias) load_channels<Half>(half_bias, p.bias, kVectors * S::kLanes, p.channels);
#pragma GCC unroll 16
  for (int t = 0; t < kPixels; ++t) half_sums[t] = half_bias;
  const float* w = p.weights;
  const float* x = p.x + pixel * block;
  for (int64_t c = 0; c < p.terms; c += block, x += plane) {
    const int64_t count = std::min(block, p.terms - c);
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
  if (p.row > 0 && !kHalf && !p.add && p.channels == kWidth) {
    const simd::Ending<S> ending(nullptr, p.low, p.high);
#pragma GCC unroll 16
    for (int t = 0; t < kPixels; ++t) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) ending.store(sums[t][j], p.y, (pixel + t) * p.row + j * S::kLanes);
    }
    return;
  }
  if (p.row > 0) {
    constexpr int64_t kStep = kUnitVectors * S::kLanes;
    float results[kPixels * kStep];
    for (int t = 0; t < kPixels; ++t) {
#pragma GCC unroll 2
      for (int j = 0; j < kVectors; ++j) S::store(results + t * kStep + j * S::kLanes, sums[t][j]);
      if constexpr (kHalf) {
        float* const last = results + t * kStep + kVectors * S::kLanes;
        Half::store(last, half_sums[t]);
        Half::store(last + Half::kLanes, HalfVec{});
      }
    }
    return store_rows(p, pixel, kPixels, results);
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
PLICA_INLINE void sum_all(const UnitProduct& p) {
  // As many sums as there are registers for.
  constexpr int kMost = S::kLanes == 16 ? 14 : 6;
  const int64_t pieces = (p.pixels + kMost - 1) / kMost;
  // Meanwhile the weights that are used next come from memory to the second-level cache, with each piece a
  // part of them.
  const int64_t step = (p.width + pieces - 1) / pieces;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const float* const next = p.next + p.terms * piece * step;
    const int64_t pixel = p.pixels * piece / pieces, count = p.pixels * (piece + 1) / pieces - pixel;
    switch (count) {
#define PLICA_PIXELS(n)                                                        \
  case n:                                                                      \
    if constexpr (n <= kMost) sum<S, Half, kVectors, n>(p, pixel, next, step); \
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
PLICA_INLINE void multiply_body(const UnitProduct& p) {
  if constexpr (S::kLanes == 16) {
    using Half = simd::Vectors<32>;
    if (p.width == 8) return sum_all<S, Half, 0>(p);
    if (p.width == 24) return sum_all<S, Half, 1>(p);
  }
  if (p.width == S::kLanes) return sum_all<S, S, 1>(p);
  sum_all<S, S, 2>(p);
}

PLICA_FOR_BLOCK(p.block, multiply, (const UnitProduct& p), (p))

}  // namespace

Units::Units(int64_t all, int64_t block)
    : width(kUnitVectors * simd::lanes_for(block)), channels(all), lanes(simd::lanes_for(block)) {}

int64_t Units::packed_width(int64_t channel) const {
  const int64_t step = lanes == 16 ? 8 : lanes;  // half a vector of 16 is a vector too
  return (std::min(channels - channel, width) + step - 1) / step * step;
}

size_t packed_units_bytes(int64_t terms, const Units& units) {
  return bytes_of(DataType::float32, checked_mul(checked_mul(units.count(), units.width), terms));
}

Tensor pack_units(const Tensor& weights, int64_t terms, bool terms_first, const Units& units) {
  Tensor packed(DataType::float32, {static_cast<int64_t>(packed_units_bytes(terms, units) / sizeof(float))});
  float* const to = packed.mutable_values<float>().data();
  // A unit's channels lie together, and are read for it alone.
  const Tensor source = terms_first ? weights.in_memory() : weights;
  parallel_for(units.count(), 1, [&](int64_t begin, int64_t end) {
    std::vector<std::byte> buffer;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t first = u * units.width, channels = std::min(units.width, units.channels - first);
      const int64_t width = units.packed_width(first);
      float* const unit = to + first * terms;
      if (channels < units.width) std::fill_n(unit, units.width * terms, 0.f);
      if (terms_first) {
        const float* from = source.data<float>() + first;
        for (int64_t i = 0; i < terms; ++i)
          std::copy_n(from + i * units.channels, channels, unit + i * width);
        continue;
      }
      const auto* const from = reinterpret_cast<const float*>(
          source.piece(static_cast<size_t>(first * terms) * sizeof(float),
                       static_cast<size_t>(channels * terms) * sizeof(float), buffer));
      for (int64_t o = 0; o < channels; ++o) {
        for (int64_t i = 0; i < terms; ++i) unit[i * width + o] = from[o * terms + i];
      }
    }
  });
  return packed;
}

void multiply_unit(const UnitProduct& product) { multiply(product); }

}  // namespace plica
