// exp, sigmoid and tanh without branches or calls, so that loops over them vectorize. Errors, in units in the
// last place: a few; of double, exp 2 and tanh 4.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace plica {

// e^x = 2^n * e^r with |r| <= ln(2) / 2, and the polynomial of Cephes' expf. Results below the smallest
// normal number are 0.
[[gnu::always_inline]] inline float fast_exp(float x) {
  constexpr float kLowest = -87.33654f, kHighest = 88.72283f;
  constexpr float kMagic = 12582912.f;  // adding 1.5 * 2^23 rounds to an integer, in the low bits
  float y = x > kHighest ? kHighest : x;
  y = y < kLowest ? kLowest : y;
  const float shifted = y * 1.44269504f + kMagic;
  const float n = shifted - kMagic;
  const float r = y - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  // 2^n in two factors, since n may be 128.
  const auto exponent =
      static_cast<int32_t>(std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kMagic));
  const int32_t half = exponent >> 1;
  const auto power = [](int32_t e) __attribute__((always_inline)) {
    return std::bit_cast<float>((static_cast<uint32_t>(e) + 127u) << 23);
  };
  const float result = p * power(half) * power(exponent - half);
  const float bounded = x < kLowest ? 0.f : result;
  return x > kHighest ? INFINITY : bounded;
}

namespace detail {

// x = n * log(2) + r, |r| <= log(2) / 2, for |x| < 2^20. n * the first part of log(2), of 16 bits, is exact.
struct Reduced {
  double r, q;  // q = (e^r - 1) / r
  uint64_t n;   // two's complement
};
[[gnu::always_inline]] inline Reduced reduce_exp(double x) {
  constexpr double kMagic = 6755399441055744.;  // 1.5 * 2^52: rounds as above
  const double shifted = x * 1.4426950408889634 + kMagic;
  const double n = shifted - kMagic;
  const double r = x - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6;
  // Taylor's series: what is left out, r^13 / 14!, is below 2^-56.
  double q = 1. / 6227020800;
  q = q * r + 1. / 479001600;
  q = q * r + 1. / 39916800;
  q = q * r + 1. / 3628800;
  q = q * r + 1. / 362880;
  q = q * r + 1. / 40320;
  q = q * r + 1. / 5040;
  q = q * r + 1. / 720;
  q = q * r + 1. / 120;
  q = q * r + 1. / 24;
  q = q * r + 1. / 6;
  q = q * r + 0.5;
  q = q * r + 1.;
  return {r, q, std::bit_cast<uint64_t>(shifted) - std::bit_cast<uint64_t>(kMagic)};
}
[[gnu::always_inline]] inline double power_of_two(uint64_t n) {
  return std::bit_cast<double>((n + 1023) << 52);
}

}  // namespace detail

[[gnu::always_inline]] inline double fast_exp(double x) {
  double y = x > 710. ? 710. : x;  // beyond the largest number
  y = y < -746. ? -746. : y;       // below half of the smallest
  const detail::Reduced e = detail::reduce_exp(y);
  // In two factors, since n is in [-1077, 1025].
  const uint64_t half = ((e.n + 2048) >> 1) - 1024;
  return (e.q * e.r + 1.) * detail::power_of_two(half) * detail::power_of_two(e.n - half);
}

template <class T>
[[gnu::always_inline]] inline T fast_sigmoid(T x) {
  return T(1) / (T(1) + fast_exp(-x));
}

// Near 0 Cephes' tanhf polynomial, elsewhere 1 - 2 / (e^2x + 1).
[[gnu::always_inline]] inline float fast_tanh(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  p = p * z * x + x;
  const float e = 1.f - 2.f / (fast_exp(x + x) + 1.f);
  return z < 0.390625f ? p : e;
}
// e / (e + 2), where e = e^2|x| - 1 = 2^n * (e^r - 1) + (2^n - 1).
[[gnu::always_inline]] inline double fast_tanh(double x) {
  constexpr uint64_t kSign = uint64_t{1} << 63;
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  double t = 2 * std::bit_cast<double>(bits & ~kSign);
  t = t > 80. ? 80. : t;  // where the result is 1
  const detail::Reduced reduced = detail::reduce_exp(t);
  const double power = detail::power_of_two(reduced.n);
  const double e = reduced.q * reduced.r * power + (power - 1.);
  return std::bit_cast<double>(std::bit_cast<uint64_t>(e / (e + 2.)) | (bits & kSign));
}

}  // namespace plica
