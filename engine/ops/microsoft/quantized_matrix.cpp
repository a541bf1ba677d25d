// Matrix products with quantized operands:
//   MatMulIntegerToFloat:   MatMulInteger(A, B) * a_scale * b_scale + bias
//   DynamicQuantizeMatMul:  the same with A quantized by DynamicQuantizeLinear first
//   QGemm:                  alpha * a_scale * b_scale * (A' * B' + C), quantized when there is a y_scale
#include <algorithm>
#include <array>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/integer_product.h"
#include "engine/ops/maybe_dims.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

const OpDef& matmul() { return base_op("MatMul", 13); }

void require_same_type(const InferContext& context, int tensor, int zero_point) {
  if (!context.has_input(zero_point)) return;
  const DataType a = context.input_type(tensor), b = context.input_type(zero_point);
  require(a == b || a == DataType::undefined || b == DataType::undefined, ErrorCode::invalid_model,
          "the zero point (input {}) is of type {}, its matrix {}", zero_point, to_string(b), to_string(a));
}

void require_single(const InferContext& context, int i) {
  const auto dims = maybe_dims(context, i);
  require(!dims || checked_elements(*dims) == 1, ErrorCode::invalid_model,
          "input {} has shape {}, it must be a scalar", i, dims ? to_string(*dims) : "");
}

// A bias is a vector as long as the last axis of the result.
void require_bias(const InferContext& context, int i, const Dim& columns) {
  if (!context.has_input(i) || !context.input_shape(i)) return;
  const Shape& s = *context.input_shape(i);
  require(s.rank() == 1 && (!s[0].is_known() || !columns.is_known() || s[0].value() == columns.value()),
          ErrorCode::invalid_model, "the bias has shape {}, the result {} columns", to_string(s),
          to_string(columns));
}

Dim last_dim(const std::optional<Shape>& shape) {
  return shape && shape->rank() > 0 ? (*shape)[shape->rank() - 1] : Dim();
}

void add_bias(Tensor& y, const Tensor* bias) {
  if (!bias) return;
  const Tensor wide = cast_tensor(*bias, DataType::float32);
  float* to = y.mutable_data<float>();
  apply_broadcast(to, y.dims(), wide.data<float>(), wide.dims(), to, y.dims(),
                  [](float a, float b) { return a + b; });
}

// ---- MatMulIntegerToFloat, DynamicQuantizeMatMul

// The second operand's inputs: its scale, zero point (may be left out) and bias of the result.
struct WeightInputs {
  int scale, zero_point, bias;
};
constexpr WeightInputs kToFloat = {3, 5, 6}, kDynamic = {2, 3, 4};

void infer_to_float(InferContext& context, const WeightInputs& inputs) {
  std::optional<Shape> out = infer_shape_by(matmul(), context, {0, 1});
  const auto b = maybe_dims(context, 1);
  for (int i : {inputs.scale, inputs.zero_point}) {
    if (const auto own = maybe_dims(context, i); own && b)
      column_parameter_dims(*own, *b, fmt::format("input {}", i));
  }
  require_same_type(context, 1, inputs.zero_point);
  require_bias(context, inputs.bias, last_dim(out));
  context.set_output(0, context.input_type(inputs.scale), std::move(out));
}

void infer_integer_to_float(InferContext& context) {
  for (int i : {2, 4}) require_single(context, i);
  require_same_type(context, 0, 4);
  infer_to_float(context, kToFloat);
}

void infer_dynamic_matmul(InferContext& context) { infer_to_float(context, kDynamic); }

void multiply_to_float(EvaluateContext& context, const WeightInputs& inputs, const Tensor& a, float a_scale,
                       const Tensor* a_zero) {
  const Tensor &b = context.input(1), *zero = context.maybe_input(inputs.zero_point);
  Tensor& y = context.output();
  if (y.size() == 0) return;
  const Dims zero_dims = zero ? column_parameter_dims(zero->dims(), b.dims(), "b_zero_point") : Dims{};
  Tensor sums(DataType::int32, y.dims()), result(DataType::float32, y.dims());
  integer_product(matmul(), context, centered(a, a_zero), centered(b, zero, zero_dims),
                  Contraction::of_matmul(a, b), sums);
  Tensor factors = cast_tensor(context.input(inputs.scale), DataType::float32).clone();
  for (float& f : factors.mutable_values<float>()) f *= a_scale;
  const Dims dims = promoted_product_dims(a.dims(), b.dims());
  apply_broadcast(sums.data<int32_t>(), dims, factors.data<float>(),
                  column_parameter_dims(factors.dims(), b.dims(), "b_scale"), result.mutable_data<float>(),
                  dims, [](int32_t sum, float factor) { return static_cast<float>(sum) * factor; });
  add_bias(result, context.maybe_input(inputs.bias));
  cast_elements(result, y);
}

void evaluate_integer_to_float(EvaluateContext& context) {
  const float a_scale = *cast_tensor(context.input(2), DataType::float32).data<float>();
  multiply_to_float(context, kToFloat, context.input(0), a_scale, context.maybe_input(4));
}

void evaluate_dynamic_matmul(EvaluateContext& context) {
  const Tensor& a = context.input(0);
  std::array<Tensor, 3> quantized = {Tensor(DataType::uint8, a.dims()), Tensor(DataType::float32, {}),
                                     Tensor(DataType::uint8, {})};
  quantize_dynamically(a, quantized[0], quantized[1], quantized[2]);
  multiply_to_float(context, kDynamic, quantized[0], *quantized[1].data<float>(), &quantized[2]);
}

// ---- QGemm: A, a_scale, a_zero_point, B, b_scale, b_zero_point, C, y_scale, y_zero_point

Tensor transposed(const Tensor& x) {
  Tensor out(x.type(), {x.dim(1), x.dim(0)});
  copy_strided(x.type(), out.dims(), x.raw(), {1, x.dim(1)}, out.mutable_raw(),
               row_major_strides(out.dims()));
  return out;
}

void infer_qgemm(InferContext& context) {
  std::optional<Shape> out = infer_shape_by(base_op("Gemm", 13), context, {0, 3, 6});
  for (int i : {1, 2, 7, 8}) require_single(context, i);
  for (int i : {4, 5}) {
    const auto own = maybe_dims(context, i);
    const Dim columns = last_dim(out);
    if (!own || checked_elements(*own) == 1) continue;
    require(own->size() == 1 && (!columns.is_known() || (*own)[0] == columns.value()),
            ErrorCode::invalid_model, "input {} has shape {}, the result {} columns", i, to_string(*own),
            to_string(columns));
  }
  require_same_type(context, 0, 2);
  require_same_type(context, 3, 5);
  const bool quantized = context.has_input(7);
  require(quantized == context.has_input(8), ErrorCode::invalid_model,
          "y_scale and y_zero_point go together");
  context.set_output(0, quantized ? context.input_type(8) : DataType::float32, std::move(out));
}

void evaluate_qgemm(EvaluateContext& context) {
  Tensor& y = context.output();
  if (y.size() == 0) return;
  const AttributeReader& attributes = context.attributes();
  const Tensor a = attributes.i("transA") != 0 ? transposed(context.input(0)) : context.input(0),
               b = attributes.i("transB") != 0 ? transposed(context.input(3)) : context.input(3);
  const Tensor &b_zero = context.input(5), &b_scale = context.input(4);
  const auto by_column = [](const Tensor& t) { return t.size() == 1 ? Dims{} : t.dims(); };
  Tensor sums(DataType::int32, y.dims());
  integer_product(matmul(), context, centered(a, &context.input(2)), centered(b, &b_zero, by_column(b_zero)),
                  Contraction::of_matmul(a, b), sums);
  if (const Tensor* c = context.maybe_input(6)) {
    int32_t* to = sums.mutable_data<int32_t>();
    apply_broadcast(to, y.dims(), c->data<int32_t>(), c->dims(), to, y.dims(), [](int32_t p, int32_t q) {
      return static_cast<int32_t>(static_cast<uint32_t>(p) + static_cast<uint32_t>(q));
    });
  }
  const float scale = attributes.f("alpha") * *context.input(1).data<float>();
  const float divisor = context.has_input(7) ? *context.input(7).data<float>() : 1;
  Tensor factors = b_scale.clone();
  for (float& f : factors.mutable_values<float>()) f = scale * f / divisor;
  if (context.has_input(7))
    return requantize(sums, y.dims(), factors, by_column(factors), &context.input(8), y);
  apply_broadcast(sums.data<int32_t>(), y.dims(), factors.data<float>(), by_column(factors),
                  y.mutable_data<float>(), y.dims(),
                  [](int32_t sum, float factor) { return static_cast<float>(sum) * factor; });
}

}  // namespace

std::vector<OpDef> quantized_matrix_ops() {
  constexpr TypeSet kInt8 = {DataType::int8, DataType::uint8}, kFloat32 = {DataType::float32},
                    kFloats = {DataType::float32, DataType::float16}, kInt32 = {DataType::int32};
  std::vector<OpDef> ops;
  ops.push_back({.name = "MatMulIntegerToFloat",
                 .domain = kMicrosoft,
                 .min_inputs = 4,
                 .max_inputs = 7,
                 .input_types = {kInt8, kInt8, kFloats, kFloats, kInt8, kInt8, kFloats},
                 .infer = infer_integer_to_float,
                 .evaluate = evaluate_integer_to_float});
  ops.push_back({.name = "DynamicQuantizeMatMul",
                 .domain = kMicrosoft,
                 .min_inputs = 3,
                 .max_inputs = 5,
                 .input_types = {kFloat32, kInt8, kFloat32, kInt8, kFloat32},
                 .infer = infer_dynamic_matmul,
                 .evaluate = evaluate_dynamic_matmul});
  ops.push_back({.name = "QGemm",
                 .domain = kMicrosoft,
                 .min_inputs = 6,
                 .max_inputs = 9,
                 .input_types = {kInt8, kFloat32, kInt8, kInt8, kFloat32, kInt8, kInt32, kFloat32, kInt8},
                 .attributes = {{"alpha", AttributeType::float_, 1.0f},
                                {"transA", AttributeType::int_, int64_t{0}},
                                {"transB", AttributeType::int_, int64_t{0}}},
                 .infer = infer_qgemm,
                 .evaluate = evaluate_qgemm});
  return ops;
}

}  // namespace plica
