// Activation functions of one element, of float or double; formulas from https://onnx.ai/onnx/operators/. NaN
// stays NaN in all of them.
#pragma once

#include <cmath>
#include <numbers>

#include "engine/ops/fast_math.h"

namespace plica {

// ---- functions without parameters

// Those of double have no call; those of float are what the runtime's kernels are compared with.
inline constexpr auto kExp = []<class T>(T x) {
  if constexpr (std::is_same_v<T, double>)
    return fast_exp(x);
  else
    return std::exp(x);
};
inline constexpr auto kTanh = []<class T>(T x) {
  if constexpr (std::is_same_v<T, double>)
    return fast_tanh(x);
  else
    return std::tanh(x);
};

inline constexpr auto kRelu = []<class T>(T x) { return x < 0 ? T(0) : x; };
// exp of a negative number only, so that nothing overflows.
inline constexpr auto kSigmoid = []<class T>(T x) {
  const T e = kExp(-std::abs(x));
  return (x < 0 ? e : T(1)) / (1 + e);
};
// log(1 + exp(x))
inline constexpr auto kSoftplus = []<class T>(T x) {
  return (x > 0 ? x : T(0)) + std::log1p(std::exp(-std::abs(x)));
};
inline constexpr auto kSoftsign = []<class T>(T x) { return x / (1 + std::abs(x)); };
// x * max(0, min(1, x / 6 + 0.5))
inline constexpr auto kHardSwish = []<class T>(T x) {
  const T gate = x / 6 + T(0.5);
  return x * (gate < 0 ? T(0) : gate > 1 ? T(1) : gate);
};
inline constexpr auto kMish = []<class T>(T x) { return x * kTanh(kSoftplus(x)); };
inline constexpr auto kGelu = []<class T>(T x) {
  return T(0.5) * x * (1 + std::erf(x * (std::numbers::sqrt2_v<T> / 2)));
};
// 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
inline constexpr auto kGeluTanh = []<class T>(T x) {
  constexpr T kScale = T(0.79788456080286535588);
  return T(0.5) * x * (1 + kTanh(kScale * (x + T(0.044715) * x * x * x)));
};

// ---- with a parameter of the type that they compute in

inline constexpr auto kLeakyRelu = []<class T>(T x, T alpha) { return x < 0 ? alpha * x : x; };
inline constexpr auto kElu = []<class T>(T x, T alpha) { return x < 0 ? alpha * std::expm1(x) : x; };
// max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
inline constexpr auto kCelu = []<class T>(T x, T alpha) {
  const T bent = alpha * std::expm1(x / alpha);
  return (x < 0 ? T(0) : x) + (bent < 0 ? bent : T(0));
};
inline constexpr auto kThresholdedRelu = []<class T>(T x, T alpha) { return x <= alpha ? T(0) : x; };
inline constexpr auto kSwish = []<class T>(T x, T alpha) { return x * kSigmoid(alpha * x); };

}  // namespace plica
