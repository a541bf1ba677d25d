// Vectors for layouts that are blocked by channels: at most a block long.
#pragma once

#include "runtime/kernels/vector_math.h"

namespace plica::simd {

// Floats of the vectors of this CPU that fit a block of 8 or 16 channels.
inline int lanes_for(int64_t block) {
  switch (best_isa()) {
    case Isa::avx512:
      return block >= 16 ? 16 : 8;
    case Isa::avx2:
      return 8;
    default:
      return 4;
  }
}

// Vectors for blocks of a known size.
template <int kBytes, int kChannels>
struct BlockVectors : Vectors<kBytes> {
  static constexpr int64_t kBlock = kChannels;
};

// What a kernel does to its sums before it stores them: y = min(max(sum + add, low), high).
template <class S>
struct Ending {
  using Vec = typename S::Vec;
  const float* add;  // lies as y; null: nothing
  Vec low, high;

  PLICA_INLINE Ending(const float* a, float least, float most)
      : add(a), low(Vec{} + least), high(Vec{} + most) {}
  PLICA_INLINE void store(const Vec& sum, float* y, int64_t at) const {
    Vec v = sum;
    if (add) {
      Vec a;
      S::load(a, add + at);
      v += a;
    }
    S::max(v, low);
    S::min(v, high);
    S::store(y + at, v);
  }
  // The first `count` lanes only; all, if there are so many.
  PLICA_INLINE void store_first(const Vec& sum, float* y, int64_t at, int64_t count) const {
    if (count >= S::kLanes) return store(sum, y, at);
    Vec v = sum;
    if (add) {
      Vec a{};
      S::load_first(a, add + at, count);
      v += a;
    }
    S::max(v, low);
    S::min(v, high);
    S::store_first(y + at, v, count);
  }
};

}  // namespace plica::simd

// Defines `void name(parameters)` that calls the always_inline function template
// `name_body<BlockVectors<...>>(arguments)` with vectors of lanes_for(block) and this block.
#define PLICA_BY_BLOCK(block, name, bytes, arguments)                                    \
  if ((block) == 8) return name##_body<::plica::simd::BlockVectors<bytes, 8>> arguments; \
  name##_body<::plica::simd::BlockVectors<bytes, 16>> arguments;

#if defined(__x86_64__)
#define PLICA_FOR_BLOCK(block, name, parameters, arguments)                                             \
  [[gnu::target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")]] static void name##_avx512 parameters { \
    name##_body<::plica::simd::BlockVectors<64, 16>> arguments;                                         \
  }                                                                                                     \
  [[gnu::target("fma,avx2")]] static void name##_avx2 parameters {                                      \
    PLICA_BY_BLOCK(block, name, 32, arguments)                                                          \
  }                                                                                                     \
  static void name##_baseline parameters { PLICA_BY_BLOCK(block, name, 16, arguments) }                 \
  static void name parameters {                                                                         \
    switch (::plica::simd::lanes_for(block)) {                                                          \
      case 16:                                                                                          \
        return name##_avx512 arguments;                                                                 \
      case 8:                                                                                           \
        return name##_avx2 arguments;                                                                   \
      default:                                                                                          \
        return name##_baseline arguments;                                                               \
    }                                                                                                   \
  }
#else
#define PLICA_FOR_BLOCK(block, name, parameters, arguments) \
  static void name parameters { PLICA_BY_BLOCK(block, name, 16, arguments) }
#endif
