// Statistics of rows of elements, computed in double, and rows normalized by them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"

namespace plica {

// Sums of term(x[i]), in parts that vectorize.
template <class T, class Term>
double sum_row(const T* x, int64_t count, const Term& term) {
  constexpr int64_t kParts = 16;
  double parts[kParts] = {};
  vectorized([&, x, count] {
    int64_t i = 0;
    double sums[kParts] = {};
    for (; i + kParts <= count; i += kParts) {
      for (int64_t j = 0; j < kParts; ++j) sums[j] += term(static_cast<double>(x[i + j]));
    }
    for (; i < count; ++i) sums[i % kParts] += term(static_cast<double>(x[i]));
    std::copy_n(sums, kParts, parts);
  });
  return std::accumulate(parts, parts + kParts, 0.0);
}

struct Moments {
  double mean, variance;
};

template <class T>
Moments moments_of(const T* x, int64_t count) {
  const double mean = sum_row(x, count, [](double v) { return v; }) / static_cast<double>(count);
  return {mean, sum_row(x, count, [mean](double v) { return (v - mean) * (v - mean); }) /
                    static_cast<double>(count)};
}

// Calls body(row) for rows of `length` elements, in parallel where there is much to do.
template <class Body>
void for_each_row(int64_t rows, int64_t length, const Body& body) {
  parallel_for(rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(length, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) body(row);
               });
}

// y = (x - mean) * inverse for each row; kCenter: with the row's mean, else (RMS) without.
template <bool kCenter, class T>
void normalize_rows(const T* x, T* y, int64_t rows, int64_t length, double epsilon, double* means,
                    double* inverses) {
  for_each_row(rows, length, [&](int64_t row) {
    const T* in = x + row * length;
    Moments m;
    if constexpr (kCenter)
      m = moments_of(in, length);
    else
      m = {0, sum_row(in, length, [](double v) { return v * v; }) / static_cast<double>(length)};
    const double inverse = 1 / std::sqrt(m.variance + epsilon);
    const T mean = static_cast<T>(m.mean), factor = static_cast<T>(inverse);
    T* out = y + row * length;
    vectorized([=] {
      for (int64_t i = 0; i < length; ++i) out[i] = (in[i] - mean) * factor;
    });
    means[row] = m.mean;
    inverses[row] = inverse;
  });
}

}  // namespace plica
