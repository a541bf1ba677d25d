#include "runtime/kernels/rows_kernel.h"

#include <cmath>

#include "engine/core/parallel.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

constexpr int64_t kParallelGrain = 8192;

PLICA_INLINE float horizontal_sum(const simd::Vec& v) {
  float lanes[simd::kLanes];
  simd::store(lanes, v);
  float sum = 0;
  for (float l : lanes) sum += l;
  return sum;
}

PLICA_INLINE float sum_of(const float* x, int64_t count) {
  simd::Vec sums{};
  int64_t i = 0;
  for (; i + simd::kLanes <= count; i += simd::kLanes) {
    simd::Vec v;
    simd::load(v, x + i);
    sums += v;
  }
  float sum = horizontal_sum(sums);
  for (; i < count; ++i) sum += x[i];
  return sum;
}

PLICA_INLINE float sum_of_squares(const float* x, int64_t count, float mean) {
  simd::Vec sums{};
  int64_t i = 0;
  for (; i + simd::kLanes <= count; i += simd::kLanes) {
    simd::Vec v;
    simd::load(v, x + i);
    v -= mean;
    sums += v * v;
  }
  float sum = horizontal_sum(sums);
  for (; i < count; ++i) sum += (x[i] - mean) * (x[i] - mean);
  return sum;
}

PLICA_INLINE void normalize_row_body(const float* x, const float* scale, const float* shift, float* y,
                                     int64_t row, float epsilon) {
  const float mean = sum_of(x, row) / static_cast<float>(row);
  const float variance = sum_of_squares(x, row, mean) / static_cast<float>(row);
  const float inverse = 1.f / std::sqrt(variance + epsilon);
  for (int64_t i = 0; i < row; ++i) {
    float v = (x[i] - mean) * inverse;
    if (scale) v *= scale[i];
    if (shift) v += shift[i];
    y[i] = v;
  }
}

PLICA_INLINE void mean_row_body(const float* x, float* y, int64_t row) {
  *y = sum_of(x, row) / static_cast<float>(row);
}

PLICA_FOR_EACH_ISA(normalize_row,
                   (const float* x, const float* scale, const float* shift, float* y, int64_t row,
                    float epsilon),
                   (x, scale, shift, y, row, epsilon))
PLICA_FOR_EACH_ISA(mean_row, (const float* x, float* y, int64_t row), (x, y, row))

}  // namespace

void LayerNormKernel::run(const Arguments& a) const {
  const auto* x = static_cast<const float*>(a.memory[0]);
  size_t next = 1;
  const auto* scale = has_scale_ ? static_cast<const float*>(a.memory[next++]) : nullptr;
  const auto* shift = has_shift_ ? static_cast<const float*>(a.memory[next++]) : nullptr;
  auto* y = static_cast<float*>(a.memory[next]);
  parallel_for(rows_, std::max<int64_t>(1, kParallelGrain / row_), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      normalize_row(x + r * row_, scale, shift, y + r * row_, row_, epsilon_);
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
