// Elementwise functions on vectors of 16 floats, written once with the compiler's vector types: compiled for
// AVX-512, AVX2 or the baseline by whom they are inlined into (PLICA_FOR_EACH_ISA below). Errors: exp,
// sigmoid, tanh, swish are within a few units in the last place of the result's magnitude scale.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "runtime/plan/lowered.h"

namespace plica::simd {

inline constexpr int64_t kLanes = 16;
typedef float Vec __attribute__((vector_size(64)));
typedef int32_t IntVec __attribute__((vector_size(64)));

#define PLICA_INLINE [[gnu::always_inline]] inline

PLICA_INLINE void load(Vec& v, const float* p) { std::memcpy(&v, p, sizeof v); }
PLICA_INLINE void store(float* p, const Vec& v) { std::memcpy(p, &v, sizeof v); }
PLICA_INLINE void fill(Vec& v, float x) { v = Vec{} + x; }

PLICA_INLINE void select(Vec& v, const IntVec& mask, const Vec& yes, const Vec& no) {
  v = (Vec)((mask & (IntVec)yes) | (~mask & (IntVec)no));
}
// max(v, x) that keeps a NaN in v.
PLICA_INLINE void at_least(Vec& v, float x) { select(v, v < x, Vec{} + x, v); }
PLICA_INLINE void at_most(Vec& v, float x) { select(v, v > x, Vec{} + x, v); }

// exp by 2^n * exp(r), |r| <= ln(2) / 2, with the polynomial of Cephes' expf.
PLICA_INLINE void exp(Vec& x) {
  const Vec original = x;
  at_most(x, 88.72283f);
  at_least(x, -87.33654f);
  const Vec magic = Vec{} + 12582912.f;  // adding 1.5 * 2^23 rounds to an integer in the low bits
  Vec shifted = x * 1.44269504f + magic;
  const IntVec n = (IntVec)shifted - (IntVec)magic;
  const Vec rounded = shifted - magic;
  Vec r = x - rounded * 0.693359375f;
  r = r - rounded * -2.12194440e-4f;
  Vec p = Vec{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  // 2^n in two factors, since n may be 128.
  const IntVec half = n >> 1;
  const Vec a = (Vec)((half + 127) << 23), b = (Vec)((n - half + 127) << 23);
  x = p * a * b;
  select(x, original > 88.72283f, Vec{} + INFINITY, x);
  select(x, original < -103.97f, Vec{}, x);
  select(x, original != original, original, x);
}

PLICA_INLINE void sigmoid(Vec& x) {
  x = -x;
  exp(x);
  x = 1.f / (1.f + x);
}

// Near 0 by Cephes' tanhf polynomial, elsewhere 1 - 2 / (exp(2x) + 1).
PLICA_INLINE void tanh(Vec& x) {
  const Vec z = x * x;
  Vec p = Vec{} + -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  p = p * z * x + x;
  Vec e = x + x;
  exp(e);
  e = 1.f - 2.f / (e + 1.f);
  const IntVec small = (x < 0.625f) & (x > -0.625f);
  select(x, small, p, e);
}

template <class F>
PLICA_INLINE void by_lane(Vec& x, F f) {
  float lanes[kLanes];
  store(lanes, x);
  for (float& v : lanes) v = f(v);
  load(x, lanes);
}

template <Unary kFunction>
PLICA_INLINE void apply(Vec& x, float a, float b) {
  if constexpr (kFunction == Unary::linear) x = x * a + b;
  if constexpr (kFunction == Unary::relu) at_least(x, 0.f);
  if constexpr (kFunction == Unary::leaky_relu) select(x, x < 0.f, x * a, x);
  if constexpr (kFunction == Unary::elu) {
    Vec e = x;
    by_lane(e, [](float v) { return std::expm1(v); });
    select(x, x < 0.f, e * a, x);
  }
  if constexpr (kFunction == Unary::clip) {
    at_least(x, a);
    at_most(x, b);
  }
  if constexpr (kFunction == Unary::sigmoid) sigmoid(x);
  if constexpr (kFunction == Unary::tanh) tanh(x);
  if constexpr (kFunction == Unary::hard_sigmoid || kFunction == Unary::hard_swish) {
    const Vec original = x;
    x = kFunction == Unary::hard_swish ? x * (1.f / 6) + 0.5f : x * a + b;
    at_least(x, 0.f);
    at_most(x, 1.f);
    if constexpr (kFunction == Unary::hard_swish) x = x * original;
  }
  if constexpr (kFunction == Unary::swish) {
    Vec s = x * a;
    sigmoid(s);
    x = x * s;
  }
  if constexpr (kFunction == Unary::exp) exp(x);
  if constexpr (kFunction == Unary::log) by_lane(x, [](float v) { return std::log(v); });
  if constexpr (kFunction == Unary::sqrt) by_lane(x, [](float v) { return std::sqrt(v); });
  if constexpr (kFunction == Unary::abs) x = (Vec)((IntVec)x & 0x7fffffff);
  if constexpr (kFunction == Unary::square) x = x * x;
  if constexpr (kFunction == Unary::reciprocal) x = 1.f / x;
  if constexpr (kFunction == Unary::erf) by_lane(x, [](float v) { return std::erf(v); });
  if constexpr (kFunction == Unary::gelu) {
    by_lane(x, [](float v) { return 0.5f * v * (1.f + std::erf(v * 0.70710678f)); });
  }
  if constexpr (kFunction == Unary::soft_plus) {
    by_lane(x, [](float v) { return v > 0 ? v + std::log1p(std::exp(-v)) : std::log1p(std::exp(v)); });
  }
}

template <Binary kFunction>
PLICA_INLINE void apply(Vec& x, const Vec& y) {
  if constexpr (kFunction == Binary::add) x = x + y;
  if constexpr (kFunction == Binary::sub) x = x - y;
  if constexpr (kFunction == Binary::mul) x = x * y;
  if constexpr (kFunction == Binary::div) x = x / y;
  if constexpr (kFunction == Binary::min) select(x, x > y, y, x);
  if constexpr (kFunction == Binary::max) select(x, x < y, y, x);
}

// The best instruction set of this CPU that code here is compiled for.
enum class Isa { baseline, avx2, avx512 };
Isa best_isa();

}  // namespace plica::simd

// Defines `result name(parameters)` that calls the always_inline function `name_body(arguments)`, compiled
// for the CPU that runs it.
#if defined(__x86_64__)
#define PLICA_FOR_EACH_ISA(name, parameters, arguments)                                                 \
  [[gnu::target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")]] static void name##_avx512 parameters { \
    name##_body arguments;                                                                              \
  }                                                                                                     \
  [[gnu::target("fma,avx2")]] static void name##_avx2 parameters { name##_body arguments; }             \
  static void name##_baseline parameters { name##_body arguments; }                                     \
  static void name parameters {                                                                         \
    switch (::plica::simd::best_isa()) {                                                                \
      case ::plica::simd::Isa::avx512:                                                                  \
        return name##_avx512 arguments;                                                                 \
      case ::plica::simd::Isa::avx2:                                                                    \
        return name##_avx2 arguments;                                                                   \
      case ::plica::simd::Isa::baseline:                                                                \
        return name##_baseline arguments;                                                               \
    }                                                                                                   \
  }
#else
#define PLICA_FOR_EACH_ISA(name, parameters, arguments) \
  static void name parameters { name##_body arguments; }
#endif
