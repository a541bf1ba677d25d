// Elementwise functions on vectors of floats, written once with the compiler's vector types: compiled for
// AVX-512, AVX2 or the baseline by whom they are inlined into (PLICA_FOR_EACH_ISA below). Errors, in units in
// the last place of the exact result (tests/runtime/vector_math_test.cpp holds them to it): exp, expm1, log,
// log1p, tanh, erf 4; of sin and cos, 4 of the larger of the result and 2^-12; sums and products with these
// have theirs; of gelu, 2 of the larger of the result and 1. The polynomials were fitted for this file
// (minimax by Lawson's iteration).
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

namespace plica::simd {

#define PLICA_INLINE [[gnu::always_inline]] inline

// clang has no operands of vectors that the function's own target lacks, and gets the plain code.
#if defined(__x86_64__) && !defined(__clang__)
#define PLICA_VECTOR_ASM
#endif

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

  // The first `count` lanes, at most all; no other memory is touched. The rest of v stays as it is.
  PLICA_INLINE static void load_first(Vec& v, const float* p, int64_t count) {
#if defined(PLICA_VECTOR_ASM)
    if constexpr (kBytes == 64) {
      const auto mask = static_cast<uint16_t>((1u << count) - 1);
      asm("vmovups (%2), %0%{%1%}" : "+v"(v) : "Yk"(mask), "r"(p) : "memory");
      return;
    }
#endif
    float lanes[kLanes];
    store(lanes, v);
    for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
    load(v, lanes);
  }
  PLICA_INLINE static void store_first(float* p, const Vec& v, int64_t count) {
#if defined(PLICA_VECTOR_ASM)
    if constexpr (kBytes == 64) {
      const auto mask = static_cast<uint16_t>((1u << count) - 1);
      asm volatile("vmovups %0, (%2)%{%1%}" : : "v"(v), "Yk"(mask), "r"(p) : "memory");
      return;
    }
#endif
    float lanes[kLanes];
    store(lanes, v);
    for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
  }

  PLICA_INLINE static void clear_from(Vec& v, int64_t lane) {
    IntVec lanes;
    number_lanes(lanes, std::make_integer_sequence<int, kLanes>{});
    select(v, lanes < static_cast<int32_t>(lane), v, Vec{});
  }
  template <int... kLane>
  PLICA_INLINE static void number_lanes(IntVec& v, std::integer_sequence<int, kLane...>) {
    v = IntVec{kLane...};
  }

  // Makes each lane f of all: f(a, b) joins b to a.
  template <int kDistance = static_cast<int>(kLanes) / 2, class F>
  PLICA_INLINE static void join_lanes(Vec& v, F f) {
    Vec other;
    swap_lanes<kDistance>(other, v, std::make_integer_sequence<int, kLanes>{});
    f(v, other);
    if constexpr (kDistance > 1) join_lanes<kDistance / 2>(v, f);
  }
  template <int kDistance, int... kLane>
  PLICA_INLINE static void swap_lanes(Vec& to, const Vec& v, std::integer_sequence<int, kLane...>) {
    to = __builtin_shufflevector(v, v, (kLane ^ kDistance)...);
  }
  PLICA_INLINE static void sum_lanes(Vec& v) {
    join_lanes(
        v, [](Vec & a, const Vec& b) __attribute__((always_inline)) { a += b; });
  }

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
#if defined(PLICA_VECTOR_ASM)
    if constexpr (kBytes > 16) {
      asm("vmaxps %1, %2, %0" : "=v"(v) : "v"(v), "v"(bound));
      return;
    }
#endif
    select(v, v < bound, bound, v);
  }
  PLICA_INLINE static void min(Vec& v, const Vec& bound) {
#if defined(PLICA_VECTOR_ASM)
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

  // v * 2^n for round_small's two results, |n| <= 150.
  PLICA_INLINE static void scale(Vec& v, [[maybe_unused]] const Vec& rounded, const IntVec& n) {
#if defined(PLICA_VECTOR_ASM)
    if constexpr (kBytes == 64) {
      asm("vscalefps %2, %1, %0" : "=v"(v) : "v"(v), "v"(rounded));
      return;
    }
#endif
    // In two factors, since one may be beyond the normal numbers.
    const IntVec half = n >> 1;
    v = v * (Vec)((half + 127) << 23) * (Vec)((n - half + 127) << 23);
  }

  // x = n * log(2) + r, |r| <= log(2) / 2, and n as a float; |x| < 2^20. The products are exact: log(2) is in
  // two parts, and the first has few bits.
  PLICA_INLINE static void reduce(const Vec& x, Vec& r, Vec& rounded, IntVec& n) {
    rounded = x * 1.44269504f;
    round_small(rounded, n);
    r = x - rounded * 0.693359375f;
    r = r - rounded * -2.12194440e-4f;
  }

  // p = (exp(r) - 1) / r for |r| <= log(2) / 2.
  PLICA_INLINE static void expm1_quotient(const Vec& r, Vec& p) {
    p = Vec{} + 1.388251643e-3f;
    p = p * r + 8.36654713e-3f;
    p = p * r + 4.1667200712e-2f;
    p = p * r + 1.66665434243e-1f;
    p = p * r + 4.99999981496e-1f;
    p = p * r + 1.f;
  }

  PLICA_INLINE static void exp(Vec& x) {
    at_most(x, 89.f);     // beyond the largest number
    at_least(x, -104.f);  // below half of the smallest number
    IntVec n;
    Vec rounded, r, p;
    reduce(x, r, rounded, n);
    expm1_quotient(r, p);
    x = p * r + 1.f;
    scale(x, rounded, n);
  }

  // 2^n * exp(r) - 1 as 2^n * (exp(r) - 1) + (2^n - 1), accurate near 0 too; |n| <= 126.
  PLICA_INLINE static void expm1_of_reduced(Vec& r, const IntVec& n) {
    Vec p;
    expm1_quotient(r, p);
    const Vec power = (Vec)((n + 127) << 23);
    r = p * r * power + (power - 1.f);
  }

  // exp(x) - 1 for x <= 0.
  PLICA_INLINE static void expm1_negative(Vec& x) {
    at_least(x, -18.f);  // where the result rounds to -1
    IntVec n;
    Vec rounded, r;
    reduce(x, r, rounded, n);
    expm1_of_reduced(r, n);
    x = r;
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

  // 1 / (1 + exp(-x)) is 2^n / (2^n + exp(-r)): nothing overflows, and small results keep their digits.
  PLICA_INLINE static void sigmoid(Vec& x) {
    at_most(x, 80.f);     // where the result is 1
    at_least(x, -104.f);  // where it is 0
    IntVec n;
    Vec rounded, r, p;
    reduce(x, r, rounded, n);
    r = -r;
    expm1_quotient(r, p);
    p = p * r + 1.f;
    x = Vec{} + 1.f;
    scale(x, rounded, n);
    x = x / (x + p);
  }

  // e / (e + 2), where e = exp(2x) - 1, of the magnitude.
  PLICA_INLINE static void tanh(Vec& x) {
    Vec t = x + x;
    magnitude(t);
    at_most(t, 40.f);  // where the result is 1
    IntVec n;
    Vec rounded, r;
    reduce(t, r, rounded, n);
    expm1_of_reduced(r, n);
    r = r / (r + 2.f);
    x = (Vec)((IntVec)r | ((IntVec)x & kSignBit));
  }

  template <class F>
  PLICA_INLINE static void by_lane(Vec& x, F f) {
    float lanes[kLanes];
    store(lanes, x);
    for (float& v : lanes) v = f(v);
    load(x, lanes);
  }

  // 1 - 2^q of the magnitude t, where q = log2(1 - erf(t)) = t * p(t).
  PLICA_INLINE static void erf(Vec& x) {
    Vec t = x;
    magnitude(t);
    at_most(t, 4.f);  // where the result rounds to 1
    Vec q = Vec{} + 1.267412095914e-05f;
    q = q * t + -1.643215190495e-04f;
    q = q * t + 8.960593445885e-04f;
    q = q * t + -2.378177640272e-03f;
    q = q * t + 2.085650297855e-04f;
    q = q * t + 2.764225497637e-02f;
    q = q * t + -1.482792492254e-01f;
    q = q * t + -9.184474502652e-01f;
    q = q * t + -1.62790704e+00f;
    q = q * t;
    IntVec n;
    Vec rounded = q;
    round_small(rounded, n);
    q = (q - rounded) * 0.693147181f;
    expm1_of_reduced(q, n);
    copy_sign(q, x);
    x = q;
  }

  // x * (1 + erf(x / sqrt(2))) / 2: half of 1 - erf of the magnitude is 2^q, q = t * p(t) - 1.
  PLICA_INLINE static void gelu(Vec& x) {
    Vec t = x;
    magnitude(t);
    Vec q = Vec{} + -1.677619479369e-06f;
    q = q * t + 2.565335702132e-05f;
    q = q * t + -1.220824861479e-04f;
    q = q * t + -2.875861392770e-04f;
    q = q * t + 7.252124416356e-03f;
    q = q * t + -5.261864933335e-02f;
    q = q * t + -4.591717042302e-01f;
    q = q * t + -1.151108769358e+00f;
    q = q * t - 1.f;
    at_least(q, -150.f);  // where the result rounds to 0
    IntVec n;
    Vec rounded = q, p;
    round_small(rounded, n);
    q = (q - rounded) * 0.693147181f;
    expm1_quotient(q, p);
    q = p * q + 1.f;
    scale(q, rounded, n);
    select(q, x > 0.f, 1.f - q, q);
    x = x * q;
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

// The best instruction set of this CPU that code here is compiled for, within ONEDNN_MAX_CPU_ISA.
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
