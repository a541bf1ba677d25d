// Products of 8-bit integers by the floating-point kernels, exactly: a sum whose partial sums are integers of
// at most 2^24 is exact in float32 in any order. Longer sums are split into such parts, or computed in
// float64. So MatMul's and Conv's blocking, parallel loops and geometry serve the quantized operators too.
#pragma once

#include <algorithm>

#include "engine/core/tensor.h"
#include "engine/ops/delegate.h"

namespace plica {

// x - zero_point in float32; `dims`: those by which the zero points broadcast to x. Without one, x itself.
Tensor centered(const Tensor& x, const Tensor* zero_point, const Dims& dims = {});

// What a bilinear operator sums over: an axis of each operand, of `length`, with `terms` products at each
// position. The operands may be split there, unless the axes are -1.
struct Contraction {
  int64_t length, terms = 1;
  int a_axis = -1, b_axis = -1;

  static Contraction of_matmul(const Tensor& a, const Tensor& b) {
    return {.length = a.dim(-1), .a_axis = a.rank() - 1, .b_axis = std::max(b.rank() - 2, 0)};
  }
};

// out = base(a, b), wrapped to int32, for float32 tensors of integers.
void integer_product(const OpDef& base, const EvaluateContext& context, const Tensor& a, const Tensor& b,
                     const Contraction& contraction, Tensor& out);

// out = saturate(round(x * factor) + zero_point) with ties to even, for int8 and uint8; of the small floats:
// saturate(x * factor + zero_point). x: int32 or floating-point, seen as of `dims`, to which the factors of
// `factor_dims` broadcast. A zero point of null is 0, of a tensor its first element.
void requantize(const Tensor& x, const Dims& dims, const Tensor& factors, const Dims& factor_dims,
                const Tensor* zero_point, Tensor& out);

// DynamicQuantizeLinear: y (uint8) = saturate(round(x / scale) + zero_point), the scale (float32) and zero
// point (uint8) from the range of x (float32) widened to include 0.
void quantize_dynamically(const Tensor& x, Tensor& y, Tensor& scale, Tensor& zero_point);

// ---- parameters (scales, zero points) of a matrix product: one, one a row of A, or one a column of B

// The dims by which a parameter of shape `parameter` broadcasts to the matrices of shape `matrix`: {} for one
// of a single element. Throws invalid_model for other shapes; `what` names it.
Dims row_parameter_dims(const Dims& parameter, const Dims& matrix, std::string_view what);
Dims column_parameter_dims(const Dims& parameter, const Dims& matrix, std::string_view what);

// `dims` of MatMul's result for operands of these dims, with the rows and columns that MatMul drops for
// vectors.
Dims promoted_product_dims(const Dims& a, const Dims& b);

}  // namespace plica
