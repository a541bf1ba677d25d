// 8-bit tensors with one scale and one zero point each, as the QLinear operators take them.
#pragma once

#include <string_view>

#include "engine/core/tensor.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica {

// Inputs scale and zero point (which may be left out) of a tensor are single elements, the zero point of its
// type.
void require_quantization(const InferContext& context, int tensor, int scale, int zero_point);

// (x - zero_point) * scale, in float32.
Tensor dequantize(const Tensor& x, const Tensor& scale, const Tensor* zero_point);

// saturate(round(x / scale) + zero_point); x: float32.
void quantize(const Tensor& x, const Tensor& scale, const Tensor* zero_point, Tensor& out);

// All 256 values of an 8-bit type, by byte.
Tensor all_values(DataType type);

// out[i] = table[x[i]]; the table is of out's type, by x's bytes.
void look_up(const Tensor& x, const Tensor& table, Tensor& out);

struct ElementQuantization {
  const Tensor& scale;
  const Tensor* zero_point;
};

// out = quantize(op(dequantize(x))), by a table of all values.
template <class Op>
void map_quantized(const Tensor& x, const ElementQuantization& from, const ElementQuantization& to,
                   Tensor& out, const Op& op) {
  Tensor values = dequantize(all_values(x.type()), from.scale, from.zero_point);
  for (float& v : values.mutable_values<float>()) v = op(v);
  Tensor table(out.type(), values.dims());
  quantize(values, to.scale, to.zero_point, table);
  look_up(x, table, out);
}

}  // namespace plica
