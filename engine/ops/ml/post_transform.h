// What classifiers and regressors do with their scores in the end: the attribute `post_transform`.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>
#include <string_view>

#include "engine/ops/op_def.h"

namespace plica::ml {

// Numbered as the specification of TreeEnsemble (opset 5) does. ONNX Runtime 1.32 takes 1 for LOGISTIC there,
// and 2 for SOFTMAX.
enum class PostTransform { none, softmax, logistic, softmax_zero, probit };

// Throws invalid_model for another name or number.
PostTransform post_transform(std::string_view name);
PostTransform post_transform(int64_t number);

inline const AttributeDef kPostTransform{"post_transform", AttributeType::string, std::string_view("NONE")};

// 1 / (1 + e^-x), without overflow.
template <class T>
T logistic(T x) {
  const T y = 1 / (1 + std::exp(-std::abs(x)));
  return x < 0 ? 1 - y : y;
}

// The inverse of the normal distribution: sqrt(2) erfinv(2 p - 1), with the approximation of erfinv that the
// other implementations of ONNX use (S. Winitzki, "A handy approximation for the error function and its
// inverse", 2008, with a = 0.147).
template <class T>
T probit(T p) {
  constexpr T kA = static_cast<T>(0.147);
  const T x = 2 * p - 1;
  const T log = std::log((1 - x) * (1 + x));
  const T half = 2 / (std::numbers::pi_v<T> * kA) + log / 2;
  const T root = std::sqrt(std::sqrt(half * half - log / kA) - half);
  return std::numbers::sqrt2_v<T> * (x < 0 ? -root : root);
}

// softmax_zero leaves scores of zero out of the sum's exponentials.
template <class T>
void softmax(std::span<T> scores, bool keep_zeros) {
  if (scores.empty()) return;
  const T most = *std::ranges::max_element(scores);
  const T of_zero = std::exp(-most);
  T sum = 0;
  for (T& s : scores) {
    if (keep_zeros && std::abs(s) <= static_cast<T>(1e-7)) {
      s *= of_zero;
    } else {
      s = std::exp(s - most);
      sum += s;
    }
  }
  for (T& s : scores) s /= sum;
}

// Of a row of two scores or more. A row of one is no distribution: only probit changes it, as in ONNX
// Runtime.
template <class T>
void transform_scores(PostTransform transform, std::span<T> scores) {
  if (transform == PostTransform::probit) {
    for (T& s : scores) s = probit(s);
    return;
  }
  if (scores.size() < 2) return;
  switch (transform) {
    case PostTransform::softmax:
    case PostTransform::softmax_zero:
      softmax(scores, transform == PostTransform::softmax_zero);
      break;
    case PostTransform::logistic:
      for (T& s : scores) s = logistic(s);
      break;
    default:
      break;
  }
}

// What the one score of a binary classifier is.
enum class BinaryScore { probability, decision };

// The scores {negative class, positive class} from the one of the positive class.
template <class T>
void transform_binary(PostTransform transform, BinaryScore kind, T score, T* out) {
  if (transform == PostTransform::logistic) {
    out[0] = logistic(-score);
    out[1] = logistic(score);
  } else if (transform == PostTransform::probit) {
    out[1] = probit(score);
    out[0] = -out[1];  // probit(1 - p) = -probit(p)
  } else {
    out[0] = kind == BinaryScore::decision ? -score : 1 - score;
    out[1] = score;
  }
}

}  // namespace plica::ml
