#include "runtime/kernels/rows_kernel.h"

#include <algorithm>
#include <cmath>

#include "engine/core/parallel.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

constexpr int64_t kParallelGrain = 8192;

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
  S::fill(v, fill);
  S::load_first(v, x + i, count - i);
  f(v, i, count - i);
}

template <class S>
PLICA_INLINE void store_first(float* y, const typename S::Vec& v, int64_t count) {
  if (count == S::kLanes) return S::store(y, v);
  S::store_first(y, v, count);
}

// In each lane the sum of term(x[i]), in several vectors, so that additions don't wait for each other.
// term(0) is taken from the sum where the last vector is not full.
template <class S, class Term>
PLICA_INLINE void sum_of(typename S::Vec& sum, const float* x, int64_t count, Term term) {
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
  for_each_vector<S>(
      x + i, count - i, 0.f, [&](typename S::Vec & v, int64_t, int64_t lanes) __attribute__((always_inline)) {
        term(v);
        if (lanes < S::kLanes) S::clear_from(v, lanes);
        sums[0] += v;
      });
  sum = sums[0] + sums[1] + (sums[2] + sums[3]);
  S::sum_lanes(sum);
}

template <class S>
PLICA_INLINE void normalize_rows_body(const LayerNormKernel::Options& o, const float* x, const float* scale,
                                      const float* shift, float* y, int64_t rows) {
  using Vec = typename S::Vec;
  const auto length = static_cast<float>(o.row);
  for (int64_t r = 0; r < rows; ++r, x += o.row, y += o.row) {
    Vec mean{}, variance;
    if (o.centered) {
      sum_of<S>(mean, x, o.row, [](Vec&) __attribute__((always_inline)){});
      mean /= length;
    }
    sum_of<S>(
        variance, x, o.row, [&mean](Vec & v) __attribute__((always_inline)) {
          v -= mean;
          v *= v;
        });
    const float inverse = 1.f / std::sqrt(variance[0] / length + o.epsilon);
    for_each_vector<S>(
        x, o.row, 0.f, [&](Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
          v = (v - mean) * inverse;
          const auto operand = [&](const float* from, Vec& to) __attribute__((always_inline)) {
            if (count == S::kLanes) return S::load(to, from + i);
            to = Vec{};
            S::load_first(to, from + i, count);
          };
          Vec other;
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
}

template <class S>
PLICA_INLINE void softmax_rows_body(const float* x, float* y, int64_t rows, int64_t row, bool log) {
  using Vec = typename S::Vec;
  const auto join_max = [](Vec & most, const Vec& v) __attribute__((always_inline)) { S::max(most, v); };
  constexpr int64_t kStep = 4 * S::kLanes;
  for (int64_t r = 0; r < rows; ++r, x += row, y += row) {
    // NaN is not seen here, but in the sum.
    Vec most[4];
    for (Vec& m : most) S::fill(m, -INFINITY);
    int64_t first = 0;
    for (; first + kStep <= row; first += kStep) {
      for (int64_t k = 0; k < 4; ++k) {
        Vec v;
        S::load(v, x + first + k * S::kLanes);
        S::max(most[k], v);
      }
    }
    for_each_vector<S>(
        x + first, row - first,
        -INFINITY, [&](Vec & v, int64_t, int64_t) __attribute__((always_inline)) { S::max(most[0], v); });
    S::max(most[0], most[1]);
    S::max(most[2], most[3]);
    S::max(most[0], most[2]);
    Vec largest = most[0], sum{};
    S::join_lanes(largest, join_max);
    for_each_vector<S>(
        x, row, -INFINITY, [&](Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
          v -= largest;
          S::exp(v);
          sum += v;
          if (!log) store_first<S>(y + i, v, count);
        });
    S::sum_lanes(sum);
    if (log) {
      S::log(sum);
      for_each_vector<S>(
          x, row, 0.f, [&](Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
            v = v - largest - sum;
            store_first<S>(y + i, v, count);
          });
      continue;
    }
    const Vec factor = 1.f / sum;
    for_each_vector<S>(
        y, row, 0.f, [&](Vec & v, int64_t i, int64_t count) __attribute__((always_inline)) {
          v *= factor;
          store_first<S>(y + i, v, count);
        });
  }
}

// The same of `columns` neighbouring columns whose rows are `stride` apart.
template <class S>
PLICA_INLINE void softmax_columns_body(const float* x, float* y, int64_t length, int64_t stride,
                                       int64_t columns, bool log) {
  using Vec = typename S::Vec;
  for (int64_t c = 0; c < columns; c += S::kLanes) {
    const int64_t count = std::min(S::kLanes, columns - c);
    const auto load = [&](Vec & v, const float* from) __attribute__((always_inline)) {
      if (count == S::kLanes) return S::load(v, from);
      v = Vec{};
      S::load_first(v, from, count);
    };
    const float* in = x + c;
    float* out = y + c;
    Vec largest, sum{}, v;
    S::fill(largest, -INFINITY);
    for (int64_t k = 0; k < length; ++k) {
      load(v, in + k * stride);
      S::max(largest, v);
    }
    for (int64_t k = 0; k < length; ++k) {
      load(v, in + k * stride);
      v -= largest;
      S::exp(v);
      sum += v;
      if (!log) store_first<S>(out + k * stride, v, count);
    }
    if (log) {
      S::log(sum);
      for (int64_t k = 0; k < length; ++k) {
        load(v, in + k * stride);
        v = v - largest - sum;
        store_first<S>(out + k * stride, v, count);
      }
      continue;
    }
    const Vec factor = 1.f / sum;
    for (int64_t k = 0; k < length; ++k) {
      load(v, out + k * stride);
      v *= factor;
      store_first<S>(out + k * stride, v, count);
    }
  }
}

template <class S>
PLICA_INLINE void mean_rows_body(const float* x, float* y, int64_t rows, int64_t row) {
  for (int64_t r = 0; r < rows; ++r) {
    typename S::Vec sum;
    sum_of<S>(sum, x + r * row, row, [](typename S::Vec&) __attribute__((always_inline)){});
    y[r] = sum[0] / static_cast<float>(row);
  }
}

PLICA_FOR_EACH_ISA(normalize_rows,
                   (const LayerNormKernel::Options& o, const float* x, const float* scale, const float* shift,
                    float* y, int64_t rows),
                   (o, x, scale, shift, y, rows))
PLICA_FOR_EACH_ISA(softmax_rows, (const float* x, float* y, int64_t rows, int64_t row, bool log),
                   (x, y, rows, row, log))
PLICA_FOR_EACH_ISA(softmax_columns,
                   (const float* x, float* y, int64_t length, int64_t stride, int64_t columns, bool log),
                   (x, y, length, stride, columns, log))
PLICA_FOR_EACH_ISA(mean_rows, (const float* x, float* y, int64_t rows, int64_t row), (x, y, rows, row))

}  // namespace

void LayerNormKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  size_t next = 1;
  const auto* scale = options_.has_scale ? static_cast<const float*>(a.memory[next++]) : nullptr;
  const auto* shift = options_.has_shift ? static_cast<const float*>(a.memory[next++]) : nullptr;
  auto* y = static_cast<float*>(a.memory[next]);
  const int64_t row = options_.row;
  parallel_for(options_.rows, std::max<int64_t>(1, kParallelGrain / row), [&](int64_t begin, int64_t end) {
    normalize_rows(options_, x + begin * row, scale, shift, y + begin * row, end - begin);
  });
}

void SoftmaxKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  auto* y = static_cast<float*>(a.memory[1]);
  if (inner_ == 1) {
    parallel_for(outer_, std::max<int64_t>(1, kParallelGrain / length_), [&](int64_t begin, int64_t end) {
      softmax_rows(x + begin * length_, y + begin * length_, end - begin, length_, log_);
    });
    return;
  }
  // Of so many columns at once that what is read again stays in the first-level cache.
  const int64_t columns = std::min(inner_, std::clamp<int64_t>(4096 / length_ / 16 * 16, 16, 512));
  const int64_t parts = (inner_ + columns - 1) / columns;
  parallel_for(outer_ * parts, std::max<int64_t>(1, kParallelGrain / (length_ * columns)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t column = i % parts * columns;
                   const int64_t offset = i / parts * length_ * inner_ + column;
                   softmax_columns(x + offset, y + offset, length_, inner_,
                                   std::min(columns, inner_ - column), log_);
                 }
               });
}

void RowMeanKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  auto* y = static_cast<float*>(a.memory[1]);
  parallel_for(rows_, std::max<int64_t>(1, kParallelGrain / row_), [&](int64_t begin, int64_t end) {
    mean_rows(x + begin * row_, y + begin, end - begin, row_);
  });
}

}  // namespace plica
