#include "runtime/kernels/rows_kernel.h"

#include <algorithm>
#include <cmath>

#include "engine/core/parallel.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

constexpr int64_t kParallelGrain = 8192;

template <class S>
PLICA_INLINE float horizontal_sum(const typename S::Vec& v) {
  float lanes[S::kLanes];
  S::store(lanes, v);
  float sum = 0;
  for (float l : lanes) sum += l;
  return sum;
}

// Calls f(vector, first, count) for the row in vectors; the last may hold fewer elements, and then `fill`.
template <class S, class F>
PLICA_INLINE void for_each_vector(const float* x, int64_t count, float fill, F f) {
  int64_t i = 0;
  typename S::Vec v;
  for (; i + S::kLanes <= count; i += S::kLanes) {
    S::load(v, x + i);
    f(v, i, S::kLanes);
  }
  if (i == count) return;
  float lanes[S::kLanes];
  std::fill_n(lanes, S::kLanes, fill);
  std::copy_n(x + i, count - i, lanes);
  S::load(v, lanes);
  f(v, i, count - i);
}

template <class S>
PLICA_INLINE void store_first(float* y, const typename S::Vec& v, int64_t count) {
  if (count == S::kLanes) return S::store(y, v);
  float lanes[S::kLanes];
  S::store(lanes, v);
  std::copy_n(lanes, count, y);
}

// Sum of term(x[i]), in several vectors, so that additions don't wait for each other.
template <class S, class Term>
PLICA_INLINE float sum_of(const float* x, int64_t count, Term term) {
  constexpr int64_t kSums = 4, kStep = kSums * S::kLanes;
  typename S::Vec sums[kSums] = {};
  int64_t i = 0;
  for (; i + kStep <= count; i += kStep) {
    for (int64_t k = 0; k < kSums; ++k) {
      typename S::Vec v;
      S::load(v, x + i + k * S::kLanes);
      term(v);
      sums[k] += v;
    }
  }
  for (; i + S::kLanes <= count; i += S::kLanes) {
    typename S::Vec v;
    S::load(v, x + i);
    term(v);
    sums[0] += v;
  }
  float sum = horizontal_sum<S>(sums[0] + sums[1] + (sums[2] + sums[3]));
  if (i < count) {
    float lanes[S::kLanes] = {};
    std::copy_n(x + i, count - i, lanes);
    typename S::Vec v;
    S::load(v, lanes);
    term(v);
    S::store(lanes, v);
    for (int64_t k = 0; k < count - i; ++k) sum += lanes[k];
  }
  return sum;
}
template <class S>
PLICA_INLINE float sum_of(const float* x, int64_t count) {
  return sum_of<S>(x, count, [](typename S::Vec&) __attribute__((always_inline)){});
}

template <class S>
PLICA_INLINE void normalize_row_body(const LayerNormKernel::Options& o, const float* x, const float* scale,
                                     const float* shift, float* y) {
  const auto length = static_cast<float>(o.row);
  const float mean = o.centered ? sum_of<S>(x, o.row) / length : 0.f;
  const float variance = sum_of<S>(
                             x, o.row,
                             [mean](typename S::Vec & v) __attribute__((always_inline)) {
                               v -= mean;
                               v *= v;
                             }) /
                         length;
  const float inverse = 1.f / std::sqrt(variance + o.epsilon);
  for_each_vector<S>(
      x, o.row, 0.f, [=](typename S::Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
        v = (v - mean) * inverse;
        const auto operand = [&](const float* from, typename S::Vec& to) __attribute__((always_inline)) {
          if (count == S::kLanes) return S::load(to, from + i);
          float lanes[S::kLanes] = {};
          std::copy_n(from + i, count, lanes);
          S::load(to, lanes);
        };
        typename S::Vec other;
        if (scale) {
          operand(scale, other);
          v *= other;
        }
        if (shift) {
          operand(shift, other);
          v += other;
        }
        store_first<S>(y + i, v, count);
      });
}

template <class S>
PLICA_INLINE void softmax_row_body(const float* x, float* y, int64_t row, bool log) {
  // NaN is not seen here, but in the sum.
  typename S::Vec most;
  S::fill(most, -INFINITY);
  for_each_vector<S>(
      x, row, -INFINITY, [&](typename S::Vec & v, int64_t, int64_t) __attribute__((always_inline)) {
        S::select(most, v > most, v, most);
      });
  float lanes[S::kLanes];
  S::store(lanes, most);
  float largest = -INFINITY;
  for (float l : lanes) largest = l > largest ? l : largest;
  if (log) {
    const float sum = sum_of<S>(
        x, row, [largest](typename S::Vec & v) __attribute__((always_inline)) {
          v -= largest;
          S::exp(v);
        });
    const float logarithm = std::log(sum);
    for_each_vector<S>(
        x, row, 0.f, [=](typename S::Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
          v = v - largest - logarithm;
          store_first<S>(y + i, v, count);
        });
    return;
  }
  typename S::Vec sums{};
  for_each_vector<S>(
      x, row, -INFINITY, [&](typename S::Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
        v -= largest;
        S::exp(v);
        sums += v;
        store_first<S>(y + i, v, count);
      });
  const float factor = 1.f / horizontal_sum<S>(sums);
  for_each_vector<S>(
      y, row, 0.f, [=](typename S::Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
        v *= factor;
        store_first<S>(y + i, v, count);
      });
}

template <class S>
PLICA_INLINE void mean_row_body(const float* x, float* y, int64_t row) {
  *y = sum_of<S>(x, row) / static_cast<float>(row);
}

PLICA_FOR_EACH_ISA(normalize_row,
                   (const LayerNormKernel::Options& o, const float* x, const float* scale, const float* shift,
                    float* y),
                   (o, x, scale, shift, y))
PLICA_FOR_EACH_ISA(softmax_row, (const float* x, float* y, int64_t row, bool log), (x, y, row, log))
PLICA_FOR_EACH_ISA(mean_row, (const float* x, float* y, int64_t row), (x, y, row))

}  // namespace

void LayerNormKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  size_t next = 1;
  const auto* scale = options_.has_scale ? static_cast<const float*>(a.memory[next++]) : nullptr;
  const auto* shift = options_.has_shift ? static_cast<const float*>(a.memory[next++]) : nullptr;
  auto* y = static_cast<float*>(a.memory[next]);
  const int64_t row = options_.row;
  parallel_for(options_.rows, std::max<int64_t>(1, kParallelGrain / row), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) normalize_row(options_, x + r * row, scale, shift, y + r * row);
  });
}

void SoftmaxKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  auto* y = static_cast<float*>(a.memory[1]);
  parallel_for(rows_, std::max<int64_t>(1, kParallelGrain / row_), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) softmax_row(x + r * row_, y + r * row_, row_, log_);
  });
}

void RowMeanKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  auto* y = static_cast<float*>(a.memory[1]);
  parallel_for(rows_, std::max<int64_t>(1, kParallelGrain / row_), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) mean_row(x + r * row_, y + r, row_);
  });
}

}  // namespace plica
