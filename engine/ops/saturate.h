// Rounding to 8-bit integers, in loops that vectorize.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace plica {

// saturate(round(x) + zero), to nearest, ties to even; NaN becomes the least. T: int8_t or uint8_t, `zero`
// one of them.
template <class T>
T saturate_rounded(float x, float zero) {
  static_assert(std::is_integral_v<T> && sizeof(T) == 1);
  using Limits = std::numeric_limits<T>;
  const float low = Limits::min() - zero, high = Limits::max() - zero;
  float bounded = x > low ? x : low;
  bounded = bounded < high ? bounded : high;
  // Adding 1.5 * 2^23 leaves no bits for the fraction: the last eight are those of the integer.
  constexpr float kShift = 12582912;
  return static_cast<T>(std::bit_cast<int32_t>(bounded + kShift) + static_cast<int32_t>(zero));
}

// to[i] = saturate(round(from[i] / divisor) + zero). (Arguments are this function's own; what a loop over
// bytes reads through a closure would be read again after every store.)
template <class T>
void quantize_elements(const float* from, float divisor, float zero, T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = saturate_rounded<T>(from[i] / divisor, zero);
}

}  // namespace plica
