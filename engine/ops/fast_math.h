// exp, sigmoid and tanh without branches or calls, so that loops over them vectorize. For float the errors
// are a few units in the last place; double goes to the standard library.
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
[[gnu::always_inline]] inline double fast_exp(double x) { return std::exp(x); }

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
[[gnu::always_inline]] inline double fast_tanh(double x) { return std::tanh(x); }

}  // namespace plica
