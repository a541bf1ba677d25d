// The functions of pointwise chains on vectors: S is a Vectors<...> of vector_math.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "runtime/kernels/vector_math.h"
#include "runtime/plan/lowered.h"

namespace plica::simd {

template <class S, Unary kFunction>
PLICA_INLINE void apply(typename S::Vec& x, float a, float b) {
  using Vec = typename S::Vec;
  using IntVec = typename S::IntVec;
  if constexpr (kFunction == Unary::linear) x = x * a + b;
  if constexpr (kFunction == Unary::relu) S::at_least(x, 0.f);
  if constexpr (kFunction == Unary::leaky_relu) S::select(x, x < 0.f, x * a, x);
  if constexpr (kFunction == Unary::elu) {
    Vec e = x;
    S::expm1_negative(e);
    S::select(x, x < 0.f, e * a, x);
  }
  if constexpr (kFunction == Unary::celu) {
    Vec e = x / a;
    S::expm1_negative(e);
    S::select(x, x < 0.f, e * a, x);
  }
  if constexpr (kFunction == Unary::thresholded_relu) S::select(x, x <= a, Vec{}, x);
  if constexpr (kFunction == Unary::clip) {
    S::at_least(x, a);
    S::at_most(x, b);
  }
  if constexpr (kFunction == Unary::sigmoid) S::sigmoid(x);
  if constexpr (kFunction == Unary::tanh) S::tanh(x);
  if constexpr (kFunction == Unary::hard_sigmoid) {
    x = x * a + b;
    S::at_least(x, 0.f);
    S::at_most(x, 1.f);
  }
  if constexpr (kFunction == Unary::hard_swish) {
    const Vec original = x;
    x = x * (a * (1.f / 6)) + a * 0.5f;
    S::at_least(x, 0.f);
    S::at_most(x, a);
    x = x * original;
  }
  if constexpr (kFunction == Unary::swish) {
    Vec s = x * a;
    S::sigmoid(s);
    x = x * s;
  }
  if constexpr (kFunction == Unary::exp) S::exp(x);
  if constexpr (kFunction == Unary::log) S::log(x);
  if constexpr (kFunction == Unary::sqrt) S::by_lane(x, [](float v) { return std::sqrt(v); });
  if constexpr (kFunction == Unary::abs) S::magnitude(x);
  if constexpr (kFunction == Unary::sign) {
    const Vec one = Vec{} + 1.f;
    Vec y{};
    S::select(y, x > 0.f, one, y);
    S::select(y, x < 0.f, -one, y);
    S::select(x, x == x, y, x);
  }
  if constexpr (kFunction == Unary::floor) S::by_lane(x, [](float v) { return std::floor(v); });
  if constexpr (kFunction == Unary::ceil) S::by_lane(x, [](float v) { return std::ceil(v); });
  if constexpr (kFunction == Unary::round) S::by_lane(x, [](float v) { return std::nearbyint(v); });
  if constexpr (kFunction == Unary::square) x = x * x;
  if constexpr (kFunction == Unary::reciprocal) x = 1.f / x;
  if constexpr (kFunction == Unary::sin) S::template sine<0>(x);
  if constexpr (kFunction == Unary::cos) S::template sine<1>(x);
  if constexpr (kFunction == Unary::erf) S::erf(x);
  if constexpr (kFunction == Unary::gelu) S::gelu(x);
  if constexpr (kFunction == Unary::gelu_tanh) {  // (1 + tanh(t)) / 2 is the sigmoid of 2t
    Vec s = (0.0713548163f * x * x + 1.59576912f) * x;
    S::sigmoid(s);
    x = x * s;
  }
  if constexpr (kFunction == Unary::soft_plus) {
    Vec e = (Vec)((IntVec)x | S::kSignBit);
    S::exp(e);
    S::log1p_of_fraction(e);
    S::at_least(x, 0.f);
    x = x + e;
  }
  if constexpr (kFunction == Unary::mish) {
    // tanh(log(1 + exp(x))) = n / (n + 2), n = exp(x) * (exp(x) + 2).
    Vec e = x;
    S::at_most(e, 40.f);  // where n is far from overflow, and the quotient 1
    S::exp(e);
    e = e * (e + 2.f);
    x = x * (e / (e + 2.f));
  }
  if constexpr (kFunction == Unary::soft_sign) {
    Vec t = x;
    S::magnitude(t);
    x = x / (1.f + t);
  }
}

template <class S, Binary kFunction>
PLICA_INLINE void apply(typename S::Vec& x, const typename S::Vec& y) {
  using Vec = typename S::Vec;
  if constexpr (kFunction == Binary::add) x = x + y;
  if constexpr (kFunction == Binary::sub) x = x - y;
  if constexpr (kFunction == Binary::mul) x = x * y;
  if constexpr (kFunction == Binary::div) x = x / y;
  if constexpr (kFunction == Binary::prelu) S::select(x, x < 0.f, x * y, x);
  // NaN wins: one in x takes the place of y too.
  if constexpr (kFunction == Binary::min || kFunction == Binary::max) {
    Vec other;
    S::select(other, x == x, y, x);
    if constexpr (kFunction == Binary::min) S::select(x, x < other, x, other);
    if constexpr (kFunction == Binary::max) S::select(x, x > other, x, other);
  }
}

}  // namespace plica::simd
