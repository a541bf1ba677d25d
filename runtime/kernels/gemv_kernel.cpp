#include "runtime/kernels/gemv_kernel.h"

#include <algorithm>

#include "engine/core/parallel.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

struct Product {
  GemvShape shape;
  const float *a, *b, *bias;  // bias: or null
  float* y;
};

template <class S>
PLICA_INLINE float sum_of(const typename S::Vec& v) {
  float lanes[S::kLanes], sum = 0;
  S::store(lanes, v);
  for (const float x : lanes) sum += x;
  return sum;
}

// kCount columns of y, whose rows of the matrix are read side by side.
template <class S, int kRows, int kCount>
PLICA_INLINE void dot(const Product& p, int64_t column) {
  using Vec = typename S::Vec;
  const int64_t terms = p.shape.terms, whole = terms / S::kLanes * S::kLanes;
  const float* const b = p.b + column * terms;
  Vec sums[kRows][kCount];
#pragma GCC unroll 16
  for (int i = 0; i < kRows * kCount; ++i) sums[i / kCount][i % kCount] = Vec{};
  for (int64_t k = 0; k < whole; k += S::kLanes) {
    Vec w[kCount];
#pragma GCC unroll 4
    for (int j = 0; j < kCount; ++j) S::load(w[j], b + j * terms + k);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      Vec v;
      S::load(v, p.a + r * terms + k);
#pragma GCC unroll 4
      for (int j = 0; j < kCount; ++j) sums[r][j] += v * w[j];
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int j = 0; j < kCount; ++j) {
      float sum = sum_of<S>(sums[r][j]);
      for (int64_t k = whole; k < terms; ++k) sum += p.a[r * terms + k] * b[j * terms + k];
      p.y[r * p.shape.columns + column + j] = sum + (p.bias ? p.bias[column + j] : 0);
    }
  }
}

template <class S, int kRows>
PLICA_INLINE void dots(const Product& p, int64_t begin, int64_t end) {
  int64_t column = begin;
  for (; column + 4 <= end; column += 4) dot<S, kRows, 4>(p, column);
  for (; column < end; ++column) dot<S, kRows, 1>(p, column);
}

// y[begin...end) += sums of kCount terms: as many rows of the matrix are read side by side.
template <class S, int kRows, int kCount>
PLICA_INLINE void add_terms(const Product& p, int64_t term, int64_t begin, int64_t end) {
  using Vec = typename S::Vec;
  const int64_t columns = p.shape.columns;
  const float* const b = p.b + term * columns;
  int64_t n = begin;
  for (; n + S::kLanes <= end; n += S::kLanes) {
    Vec w[kCount];
#pragma GCC unroll 4
    for (int j = 0; j < kCount; ++j) S::load(w[j], b + j * columns + n);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      Vec sum;
      S::load(sum, p.y + r * columns + n);
#pragma GCC unroll 4
      for (int j = 0; j < kCount; ++j) sum += w[j] * p.a[r * p.shape.terms + term + j];
      S::store(p.y + r * columns + n, sum);
    }
  }
  for (; n < end; ++n) {
    for (int r = 0; r < kRows; ++r) {
      for (int j = 0; j < kCount; ++j)
        p.y[r * columns + n] += b[j * columns + n] * p.a[r * p.shape.terms + term + j];
    }
  }
}

template <class S, int kRows>
PLICA_INLINE void sums(const Product& p, int64_t begin, int64_t end) {
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t n = begin; n < end; ++n) p.y[r * p.shape.columns + n] = p.bias ? p.bias[n] : 0;
  }
  int64_t term = 0;
  for (; term + 4 <= p.shape.terms; term += 4) add_terms<S, kRows, 4>(p, term, begin, end);
  for (; term < p.shape.terms; ++term) add_terms<S, kRows, 1>(p, term, begin, end);
}

template <class S, int kRows>
PLICA_INLINE void multiply_rows(const Product& p, int64_t begin, int64_t end) {
  if (p.shape.transposed) return dots<S, kRows>(p, begin, end);
  sums<S, kRows>(p, begin, end);
}

template <class S>
PLICA_INLINE void multiply_body(const Product& p, int64_t begin, int64_t end) {
  static_assert(GemvShape::kMostRows == 4);
  switch (p.shape.rows) {
    case 1:
      return multiply_rows<S, 1>(p, begin, end);
    case 2:
      return multiply_rows<S, 2>(p, begin, end);
    case 3:
      return multiply_rows<S, 3>(p, begin, end);
    case 4:
      return multiply_rows<S, 4>(p, begin, end);
  }
}

PLICA_FOR_EACH_ISA(multiply, (const Product& p, int64_t begin, int64_t end), (p, begin, end))

}  // namespace

void GemvKernel::run(const Arguments& arguments) const {
  const auto memory = [&](size_t operand) { return static_cast<float*>(arguments.memory[operand]); };
  const Product p{shape_, memory(0), memory(1), has_bias_ ? memory(2) : nullptr,
                  static_cast<float*>(arguments.memory.back())};
  // Whole vectors each, so that results don't depend on the number of threads.
  constexpr int64_t kStep = 64;
  const int64_t steps = (shape_.columns + kStep - 1) / kStep;
  parallel_for(threads_, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      multiply(p, std::min(steps * t / threads_ * kStep, shape_.columns),
               std::min(steps * (t + 1) / threads_ * kStep, shape_.columns));
    }
  });
}

}  // namespace plica
