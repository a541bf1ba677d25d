// The greatest and the least of a row of floating-point numbers, in vector code.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

namespace plica {

// The greatest of floating-point numbers, or (without kMax) the least; NaN where there is one. To be called
// by vectorized().
template <bool kMax, class T>
T extreme_of_row(const T* x, int64_t count) {
  typedef T Vec __attribute__((vector_size(32)));
  constexpr int64_t kWidth = 32 / sizeof(T), kVectors = 4, kStep = kWidth * kVectors;
  constexpr T kLeast = kMax ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::infinity();
  T result = kLeast, nan = 0;
  const auto take = [&](T v) {
    if (kMax ? v > result : v < result) result = v;
    if (v != v) nan = v;
  };
  int64_t i = 0;
  if (count >= kStep) {
    using Mask = decltype(Vec{} != Vec{});
    Vec best[kVectors];
    Mask nans[kVectors] = {};
    for (Vec& b : best) b = Vec{} + kLeast;
    for (; i + kStep <= count; i += kStep) {
      for (int64_t k = 0; k < kVectors; ++k) {
        Vec v;
        std::memcpy(&v, x + i + k * kWidth, sizeof v);
        if constexpr (kMax) best[k] = v > best[k] ? v : best[k];
        if constexpr (!kMax) best[k] = v < best[k] ? v : best[k];
        nans[k] |= v != v;
      }
    }
    for (int64_t k = 1; k < kVectors; ++k) {
      if constexpr (kMax) best[0] = best[k] > best[0] ? best[k] : best[0];
      if constexpr (!kMax) best[0] = best[k] < best[0] ? best[k] : best[0];
      nans[0] |= nans[k];
    }
    for (int64_t j = 0; j < kWidth; ++j) {
      take(best[0][j]);
      if (nans[0][j] != 0) nan = std::numeric_limits<T>::quiet_NaN();
    }
  }
  for (; i < count; ++i) take(x[i]);
  return nan != nan ? nan : result;
}

// The first position (or the last) of such an element: equal to `value`, or NaN where that is NaN. There is
// one.
template <class T>
int64_t find_extreme(const T* x, int64_t count, T value, bool last) {
  constexpr int64_t kBlock = 64;
  const auto found = [&](int64_t i) { return x[i] == value || (value != value && x[i] != x[i]); };
  const auto block_has = [&, nan = value != value](int64_t begin) {
    bool any = false;
    for (int64_t i = begin; i < begin + kBlock; ++i) any |= (x[i] == value) | (nan & (x[i] != x[i]));
    return any;
  };
  if (last) {
    int64_t end = count;
    while (end > kBlock && !block_has(end - kBlock)) end -= kBlock;
    while (end > 1 && !found(end - 1)) --end;
    return end - 1;
  }
  int64_t i = 0;
  while (i + kBlock < count && !block_has(i)) i += kBlock;
  while (i + 1 < count && !found(i)) ++i;
  return i;
}

}  // namespace plica
