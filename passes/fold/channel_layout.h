// Where the channels of a weight are, and scaling it along them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace plica {

// A weight seen as [groups, outer, channels, inner]: element (g, o, c, i) belongs to channel g * channels +
// c. The output channels and the input channels of every linear operator are of this form:
//                          output channels                     input channels
//   Conv W (M, C/g, k...)         [1, 1, M, C/g*k]              [g, M/g, C/g, k]
//   ConvTranspose (C, M/g, k...)  [g, C/g, M/g, k]              [1, 1, C, M/g*k]
//   Gemm, MatMul B (..., K, N)    [1, K, N, 1], K with all before   [1, (before), K, N]
//   Gemm B, transB (N, K)         [1, 1, N, K]                  [1, N, K, 1]
struct ChannelLayout {
  int64_t groups = 1, outer = 1, channels = 1, inner = 1;

  int64_t total_channels() const { return groups * channels; }
};

// The nearest value of an element type; ties to even. Double rounding through float does not happen.
template <class T>
T round_once(double value);

// A product or sum, rounded once, and what the rounding did.
struct Rounded {
  Tensor tensor;
  std::vector<double> error;  // by channel: sum of |rounded - exact|
  std::vector<double> reach;  // by channel: sum of |exact|
  int64_t flushed = 0;        // elements that became zero because they would have been subnormal
  int64_t overflow = -1;  // the first channel with a result that is not finite; the tensor is then of no use
};

// weight * scale, channel by channel, in double.
//
// Results below the smallest normal number of float32, float64 and bfloat16 become zero: channels that
// training has switched off would otherwise leave subnormal weights, on which CPUs are many times slower.
// float16 keeps its subnormals: they are ordinary weights there (below 6e-5), and are normal numbers in
// float32, in which CPUs compute.
Rounded scale_channels(const Tensor& weight, const ChannelLayout& layout, std::span<const double> scale);

// Row-major [rows, channels] doubles rounded to the type, with the dims given.
Rounded round_rows(std::span<const double> values, int64_t channels, DataType type, Dims dims);

}  // namespace plica
