// Where the channels of a weight are, and scaling it along them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/float_types.h"
#include "engine/core/tensor.h"

namespace plica {

// A weight seen as [outer, first, second, inner], where one of `first` and `second` counts output channels
// and the other input channels; in a grouped operator, `outer` counts the groups of both. Every linear
// operator's weight is of this form:
//                                   [outer, first, second, inner]    output channels    groups
//   Conv W (M, C/g, k...)           [g, M/g, C/g, k]                 first              g
//   ConvTranspose W (C, M/g, k...)  [g, C/g, M/g, k]                 second             g
//   Gemm B (K, N)                   [1, K, N, 1]                     second
//   Gemm B, transB (N, K)           [1, N, K, 1]                     first
//   MatMul B (..., K, N)            [..., K, N, 1]                   second
struct WeightView {
  int64_t outer = 1, first = 1, second = 1, inner = 1;
  bool output_first = true;
  bool grouped = false;

  int64_t outputs() const { return (grouped ? outer : 1) * (output_first ? first : second); }
  int64_t inputs() const { return (grouped ? outer : 1) * (output_first ? second : first); }
};

// The nearest value of an element type; ties to even. Double rounding through float does not happen.
template <class T>
T round_once(double value);
template <>
inline double round_once<double>(double value) {
  return value;
}
template <>
inline float round_once<float>(double value) {
  return static_cast<float>(value);
}
template <>
Float16 round_once<Float16>(double value);
template <>
BFloat16 round_once<BFloat16>(double value);

// A product or sum, rounded once, and what the rounding did.
struct Rounded {
  Tensor tensor;
  std::vector<double> error;  // by output channel: sum of |rounded - exact|; empty: not measured
  std::vector<double> reach;  // by output channel: sum of |exact|
  int64_t flushed = 0;        // elements that became zero because they would have been subnormal
  int64_t overflow = -1;  // the first channel with a result that is not finite; the tensor is then of no use
};

// weight * output_scale[output channel] * input_scale[input channel], in double; an empty scale is 1.
//
// Results below the smallest normal number of float32, float64 and bfloat16 become zero: channels that
// training has switched off would otherwise leave subnormal weights, on which CPUs are many times slower.
// float16 keeps its subnormals: they are ordinary weights there (below 6e-5), and are normal numbers in
// float32, in which CPUs compute.
// Large weights are scaled when they are read. Without `measure` there are no errors and reaches, and the count
// of flushed elements is 0.
Rounded scale_weight(const Tensor& weight, const WeightView& view, std::span<const double> output_scale,
                     std::span<const double> input_scale, bool measure = true);

// What the weights make of a constant t for each input channel, and the sum of magnitudes behind each:
// row-major [output channels, inner], for output channel o and position k of the kernel
//   sum[o][k] = sum over input channels i of w[o][i][k] * t[i].
// `outer` must be 1 or count groups.
struct WeightedSums {
  std::vector<double> sum, magnitude;
  int64_t terms = 0;  // in each
};
WeightedSums weighted_sums(const Tensor& weight, const WeightView& view, std::span<const double> t);

// Row-major [rows, channels] doubles rounded to the type, with the dims given. Of a channel's errors and
// reaches the largest counts: rows add to different outputs.
Rounded round_rows(std::span<const double> values, int64_t channels, DataType type, Dims dims);

}  // namespace plica
