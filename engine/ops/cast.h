// Conversion between element types, by ONNX's Cast. What the specification leaves undefined is defined here:
// floating-point numbers beyond an integer type's range become its nearest end (of the 4- and 2-bit ones:
// keep their lowest bits), and NaN becomes 0.
#pragma once

#include <limits>
#include <type_traits>

#include "engine/core/minifloat.h"
#include "engine/core/tensor.h"

namespace plica {

struct CastOptions {
  bool saturate = true;                      // for the 8-bit floats
  E8M0Rounding rounding = E8M0Rounding::up;  // for float8e8m0
};

// Converts all elements; the tensors have the same number of them. All types but the complex ones. Throws
// invalid_argument for a string that is no number.
void cast_elements(const Tensor& in, Tensor& out, const CastOptions& options = {});

// The tensor in another type; itself when it is of that type.
Tensor cast_tensor(const Tensor& in, DataType type, const CastOptions& options = {});

// A floating-point number as an integer: truncated, kept in range, 0 for NaN.
template <class T, class F>
[[gnu::always_inline]] inline T to_integer(F x) {
  static_assert(std::is_integral_v<T> && std::is_floating_point_v<F>);
  using Limits = std::numeric_limits<T>;
  // 2^digits: the first number beyond the range, exact in every floating-point type.
  constexpr F kBeyond = static_cast<F>(uint64_t{1} << (Limits::digits - 1)) * 2;
  // Without branches, for loops of vector code.
  constexpr F kLeast = std::is_signed_v<T> ? -kBeyond : F(0);
  const bool beyond = x >= kBeyond;
  F inside = x > kLeast ? x : kLeast;
  inside = (beyond | (x != x)) ? F(0) : inside;
  const T converted = static_cast<T>(inside);
  return beyond ? Limits::max() : converted;
}

}  // namespace plica
