// Rounding to 8-bit integers, in loops that vectorize.
#pragma once

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
  const float bounded = x > low ? (x < high ? x : high) : low;
  // Adding 1.5 * 2^23 leaves no bits for the fraction.
  constexpr float kShift = 12582912;
  return static_cast<T>(static_cast<int32_t>((bounded + kShift) - kShift + zero));
}

}  // namespace plica
