// Elementwise functions on vectors of floats, written once with the compiler's vector types: compiled for
// AVX-512, AVX2 or the baseline by whom they are inlined into (PLICA_FOR_EACH_ISA below). Errors, in units in
// the last place of the exact result (tests/runtime/vector_math_test.cpp holds them to it): exp, expm1, log,
// log1p, tanh, erf 4; of sin and cos, 4 of the larger of the result and 2^-12; sums and products with these
// have theirs. The polynomials were fitted for this file (minimax by Lawson's iteration), unless another
// source is named.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace plica::simd {

#define PLICA_INLINE [[gnu::always_inline]] inline

// kBytes: of a vector, those of the registers that it is compiled for.
template <int kBytes>
struct Vectors {
  static constexpr int64_t kLanes = kBytes / 4;
  typedef float Vec __attribute__((vector_size(kBytes)));
  typedef int32_t IntVec __attribute__((vector_size(kBytes)));
  typedef uint32_t BitVec __attribute__((vector_size(kBytes)));  // wraps around

  PLICA_INLINE static void load(Vec& v, const float* p) { std::memcpy(&v, p, sizeof v); }
  PLICA_INLINE static void store(float* p, const Vec& v) { std::memcpy(p, &v, sizeof v); }
  PLICA_INLINE static void fill(Vec& v, float x) { v = Vec{} + x; }

  PLICA_INLINE static void select(Vec& v, const IntVec& mask, const Vec& yes, const Vec& no) {
    v = mask ? yes : no;
  }
  PLICA_INLINE static void magnitude(Vec& v) { v = (Vec)((IntVec)v & 0x7fffffff); }
  static constexpr int32_t kSignBit = INT32_MIN;
  // v with the sign of x.
  PLICA_INLINE static void copy_sign(Vec& v, const Vec& x) {
    v = (Vec)(((IntVec)v & 0x7fffffff) | ((IntVec)x & kSignBit));
  }

  // max(v, bound) and min(v, bound) that keep a NaN in v, as the instructions do with their second source.
  // The compiler has no name for them, since it is not told for which CPU until this is inlined.
  PLICA_INLINE static void max(Vec& v, const Vec& bound) {
#if defined(__x86_64__)
    if constexpr (kBytes > 16) {
      asm("vmaxps %1, %2, %0" : "=v"(v) : "v"(v), "v"(bound));
      return;
    }
#endif
    select(v, v < bound, bound, v);
  }
  PLICA_INLINE static void min(Vec& v, const Vec& bound) {
#if defined(__x86_64__)
    if constexpr (kBytes > 16) {
      asm("vminps %1, %2, %0" : "=v"(v) : "v"(v), "v"(bound));
      return;
    }
#endif
    select(v, v > bound, bound, v);
  }
  PLICA_INLINE static void at_least(Vec& v, float x) { max(v, Vec{} + x); }
  PLICA_INLINE static void at_most(Vec& v, float x) { min(v, Vec{} + x); }

  // An integer of magnitude below 2^22 added to 1.5 * 2^23 is in the low bits of the sum: rounds to nearest,
  // and converts.
  static constexpr float kRounder = 12582912.f;

  // Makes x a rounded one, and returns that as integers.
  PLICA_INLINE static void round_small(Vec& x, IntVec& n) {
    const Vec magic = Vec{} + kRounder;
    const Vec shifted = x + magic;
    n = (IntVec)((BitVec)shifted - (BitVec)magic);
    x = shifted - magic;
  }

  // exp by 2^n * exp(r), |r| <= ln(2) / 2, with the polynomial of Cephes' expf.
  PLICA_INLINE static void exp(Vec& x) {
    at_most(x, 89.f);     // beyond the largest number
    at_least(x, -104.f);  // below half of the smallest number
    IntVec n;
    Vec rounded = x * 1.44269504f;
    round_small(rounded, n);
    Vec r = x - rounded * 0.693359375f;
    r = r - rounded * -2.12194440e-4f;
    Vec p = Vec{} + 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.f;
    // 2^n in two factors, since n is in [-150, 128].
    const IntVec half = n >> 1;
    const Vec a = (Vec)((half + 127) << 23), b = (Vec)((n - half + 127) << 23);
    x = p * a * b;
  }

  // exp(x) - 1 for x <= 0: near 0 by a polynomial.
  PLICA_INLINE static void expm1_negative(Vec& x) {
    Vec p = Vec{} + 1.99931412e-4f;
    p = p * x + 1.39973906e-3f;
    p = p * x + 8.33307207e-3f;
    p = p * x + 4.16653194e-2f;
    p = p * x + 1.66666687e-1f;
    p = p * x + 0.5f;
    p = p * x * x + x;
    Vec e = x;
    exp(e);
    e = e - 1.f;
    const IntVec near = x > -0.5f;
    select(x, near, p, e);
  }

  // log of m * 2^e is log(1 + r) + e * log(2), r = m - 1 and m in [sqrt(1/2), sqrt(2)).
  // Of a positive normal number, times 2^-scaling.
  PLICA_INLINE static void log_of_normal(Vec& x, const IntVec& scaling) {
    const IntVec bits = (IntVec)((BitVec)x - 0x3f3504f3u);
    IntVec n = bits >> 23;
    const Vec r = (Vec)((bits & 0x7fffff) + 0x3f3504f3) - 1.f;
    n = n - scaling;
    const Vec magic = Vec{} + kRounder;
    const Vec e = (Vec)((IntVec)magic + n) - magic;
    Vec p = Vec{} + -7.86544830e-2f;
    p = p * r + 1.28792003e-1f;
    p = p * r + -1.31252959e-1f;
    p = p * r + 1.41814202e-1f;
    p = p * r + -1.66249692e-1f;
    p = p * r + 2.00022832e-1f;
    p = p * r + -2.50007957e-1f;
    p = p * r + 3.33333164e-1f;
    const Vec z = r * r;
    p = p * r * z + e * -2.12194440e-4f;
    p = p - 0.5f * z;
    x = r + p + e * 0.693359375f;
  }

  PLICA_INLINE static void log(Vec& x) {
    const Vec original = x;
    const IntVec subnormal = x < 1.17549435e-38f;
    select(x, subnormal, x * 8388608.f, x);
    log_of_normal(x, subnormal & 23);
    select(x, original == INFINITY, original, x);
    select(x, original < 0.f, Vec{} + NAN, x);
    select(x, original == 0.f, Vec{} + -INFINITY, x);
    select(x, original != original, original, x);
  }

  // log(1 + x) for x in [0, 1]: what is lost in the sum is added by the derivative.
  PLICA_INLINE static void log1p_of_fraction(Vec& x) {
    const Vec sum = 1.f + x, lost = x - (sum - 1.f);
    Vec y = sum;
    log_of_normal(y, IntVec{});
    x = y + lost / sum;
  }

  // exp of a negative number only, so that nothing overflows.
  PLICA_INLINE static void sigmoid(Vec& x) {
    Vec e = (Vec)((IntVec)x | kSignBit);
    exp(e);
    Vec numerator;
    select(numerator, x < 0.f, e, Vec{} + 1.f);
    x = numerator / (1.f + e);
  }

  // Near 0 by Cephes' tanhf polynomial, elsewhere 1 - 2 / (exp(2x) + 1).
  PLICA_INLINE static void tanh(Vec& x) {
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
    Vec t = x;
    magnitude(t);
    select(e, t < 0.625f, p, e);
    copy_sign(e, x);
    x = e;
  }

  template <class F>
  PLICA_INLINE static void by_lane(Vec& x, F f) {
    float lanes[kLanes];
    store(lanes, x);
    for (float& v : lanes) v = f(v);
    load(x, lanes);
  }

  // Near 0 by a polynomial in x^2, elsewhere 1 - exp(q(|x|)), where exp(q) = 1 - erf.
  PLICA_INLINE static void erf(Vec& x) {
    Vec t = x;
    magnitude(t);
    const Vec z = x * x;
    Vec p = Vec{} + 7.85386146e-5f;
    p = p * z + -8.01019371e-4f;
    p = p * z + 5.18832775e-3f;
    p = p * z + -2.68538129e-2f;
    p = p * z + 1.12835854e-1f;
    p = p * z + -3.76126260e-1f;
    p = p * z * x + 1.28379166e-1f * x + x;  // the constant term is 1.128379166
    const IntVec near = t < 1.f;
    at_most(t, 4.f);  // where erf rounds to 1
    Vec q = Vec{} + 1.91504063e-4f;
    q = q * t + -2.99953995e-3f;
    q = q * t + 2.20519956e-2f;
    q = q * t + -1.03566885e-1f;
    q = q * t + -6.37600064e-1f;
    q = q * t + -1.12742603f;
    q = q * t + -2.56445928e-4f;
    exp(q);
    q = 1.f - q;
    select(q, near, p, q);
    copy_sign(q, x);
    x = q;
  }

  // sin(x + kQuarter * pi / 2), kQuarter 0 or 1: x reduced by multiples of pi / 2 in three parts, of which
  // the first two times n < 2^13 are exact. Beyond, by the library.
  template <int kQuarter>
  PLICA_INLINE static void sine(Vec& x) {
    constexpr float kLargest = 8192.f;
    const Vec original = x;
    Vec t = x;
    magnitude(t);
    const IntVec near = t <= kLargest;
    IntVec n;
    Vec count = x * 0.636619772f;
    round_small(count, n);
    n = n + kQuarter;
    Vec r = x - count * 1.5703125f;
    r = r - count * 4.837512969970703125e-4f;
    r = r - count * 7.54978995489188e-8f;
    const Vec z = r * r;
    Vec s = Vec{} + -1.95175933e-4f;
    s = s * z + 8.33218079e-3f;
    s = s * z + -1.66666552e-1f;
    s = s * z * r + r;
    Vec c = Vec{} + 2.44394832e-5f;
    c = c * z + -1.38873782e-3f;
    c = c * z + 4.16666456e-2f;
    c = c * z * z - 0.5f * z + 1.f;
    const IntVec odd = (n & 1) != 0;
    select(x, odd, c, s);
    x = (Vec)((IntVec)x ^ ((n & 2) << 30));
    if constexpr (kQuarter == 0) select(x, original == 0.f, original, x);  // keeps the sign
    int32_t lanes[kLanes], all = -1;
    std::memcpy(lanes, &near, sizeof lanes);
    for (const int32_t l : lanes) all &= l;
    if (all == 0) [[unlikely]] {
      Vec far = original;
      by_lane(far, [](float v) { return kQuarter == 0 ? std::sin(v) : std::cos(v); });
      select(x, near, x, far);
    }
  }
};

// The best instruction set of this CPU that code here is compiled for.
enum class Isa { baseline, avx2, avx512 };
Isa best_isa();

}  // namespace plica::simd

// Defines `void name(parameters)` that calls the always_inline function template
// `name_body<Vectors<...>>(arguments)`, compiled for the CPU that runs it.
#if defined(__x86_64__)
#define PLICA_FOR_EACH_ISA(name, parameters, arguments)                                                 \
  [[gnu::target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")]] static void name##_avx512 parameters { \
    name##_body<::plica::simd::Vectors<64>> arguments;                                                  \
  }                                                                                                     \
  [[gnu::target("fma,avx2")]] static void name##_avx2 parameters {                                      \
    name##_body<::plica::simd::Vectors<32>> arguments;                                                  \
  }                                                                                                     \
  static void name##_baseline parameters { name##_body<::plica::simd::Vectors<16>> arguments; }         \
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
  static void name parameters { name##_body<::plica::simd::Vectors<16>> arguments; }
#endif
