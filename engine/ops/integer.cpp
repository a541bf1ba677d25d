// Operators on quantized tensors that sum products in int32:
//   ConvInteger, MatMulInteger:  (x - x_zero_point) op (w - w_zero_point)
//   QLinearConv, QLinearMatMul:  saturate(round((the same + bias) * x_scale * w_scale / y_scale) +
//   y_zero_point)
// and DynamicQuantizeLinear. https://onnx.ai/onnx/operators/onnx__QLinearConv.html and its neighbours.
// Rounding is to nearest, ties to even, before the zero point is added, as the specification of
// QuantizeLinear has it.
#include <algorithm>
#include <functional>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/integer_product.h"
#include "engine/ops/maybe_dims.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

const OpDef& conv() { return base_op("Conv", 11); }
const OpDef& matmul() { return base_op("MatMul", 13); }

void require_single(const InferContext& context, int i, std::string_view what) {
  const auto dims = maybe_dims(context, i);
  require(!dims || checked_elements(*dims) == 1, ErrorCode::invalid_model,
          "{} has shape {}, it must be a scalar", what, dims ? to_string(*dims) : "");
}

void require_same_type(const InferContext& context, int i, int j, std::string_view what) {
  if (!context.has_input(i) || !context.has_input(j)) return;
  const DataType a = context.input_type(i), b = context.input_type(j);
  require(a == b || a == DataType::undefined || b == DataType::undefined, ErrorCode::invalid_model,
          "{} is of type {}, its tensor {}", what, to_string(b), to_string(a));
}

// ---- convolution

// One for all output channels, or one for each.
void require_by_channel(const InferContext& context, int i, int weight, std::string_view what) {
  const auto dims = maybe_dims(context, i);
  if (!dims || checked_elements(*dims) == 1 || !context.input_shape(weight)) return;
  const Dim& maps = (*context.input_shape(weight))[0];
  require(dims->size() == 1 && (!maps.is_known() || (*dims)[0] == maps.value()), ErrorCode::invalid_model,
          "{} has shape {}, the weight {} output channels", what, to_string(*dims), to_string(maps));
}

// The dims by which such a parameter broadcasts to a tensor of `rank` axes whose axis `axis` is the
// channels'.
Dims channel_dims(const Tensor& parameter, size_t rank, size_t axis) {
  if (parameter.size() == 1) return {};
  Dims dims(rank - axis, 1);
  dims[0] = parameter.size();
  return dims;
}

// The exact sums; `x_zero` and `w_zero` may be null.
void convolve(const EvaluateContext& context, const Tensor& x, const Tensor* x_zero, const Tensor& w,
              const Tensor* w_zero, Tensor& sums) {
  Contraction contraction{
      .length = w.dim(1),
      .terms = std::accumulate(w.dims().begin() + 2, w.dims().end(), int64_t{1}, std::multiplies<>())};
  if (context.attributes().i("group") == 1) contraction.a_axis = contraction.b_axis = 1;
  const auto rank = static_cast<size_t>(w.rank());
  integer_product(conv(), context, centered(x, x_zero),
                  centered(w, w_zero, w_zero ? channel_dims(*w_zero, rank, 0) : Dims{}), contraction, sums);
}

void infer_conv_integer(InferContext& context) {
  std::optional<Shape> out = infer_shape_by(conv(), context, {0, 1});
  require_single(context, 2, "x_zero_point");
  require_by_channel(context, 3, 1, "w_zero_point");
  require_same_type(context, 0, 2, "x_zero_point");
  require_same_type(context, 1, 3, "w_zero_point");
  context.set_output(0, DataType::int32, std::move(out));
}

void evaluate_conv_integer(EvaluateContext& context) {
  Tensor& y = context.output();
  if (y.size() == 0) return;
  convolve(context, context.input(0), context.maybe_input(2), context.input(1), context.maybe_input(3), y);
}

void infer_qlinear_conv(InferContext& context) {
  std::optional<Shape> out = infer_shape_by(conv(), context, {0, 3, 8});
  for (const auto& [i, what] :
       {std::pair{1, "x_scale"}, {2, "x_zero_point"}, {6, "y_scale"}, {7, "y_zero_point"}})
    require_single(context, i, what);
  require_by_channel(context, 4, 3, "w_scale");
  require_by_channel(context, 5, 3, "w_zero_point");
  require_same_type(context, 0, 2, "x_zero_point");
  require_same_type(context, 3, 5, "w_zero_point");
  context.set_output(0, context.input_type(7), std::move(out));
}

void evaluate_qlinear_conv(EvaluateContext& context) {
  Tensor& y = context.output();
  if (y.size() == 0) return;
  const auto rank = static_cast<size_t>(y.rank());
  Tensor sums(DataType::int32, y.dims());
  convolve(context, context.input(0), &context.input(2), context.input(3), &context.input(5), sums);
  if (const Tensor* bias = context.maybe_input(8)) {
    int32_t* to = sums.mutable_data<int32_t>();
    apply_broadcast(to, y.dims(), bias->data<int32_t>(), channel_dims(*bias, rank, 1), to, y.dims(),
                    [](int32_t a, int32_t b) {
                      return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
                    });
  }
  const float x_scale = *context.input(1).data<float>(), y_scale = *context.input(6).data<float>();
  Tensor factors = context.input(4).clone();
  for (float& f : factors.mutable_values<float>()) f = x_scale * f / y_scale;
  requantize(sums, y.dims(), factors, channel_dims(factors, rank, 1), &context.input(7), y);
}

// ---- matrix product

void require_matrix_parameters(const InferContext& context, int matrix, std::initializer_list<int> parameters,
                               bool rows) {
  const auto dims = maybe_dims(context, matrix);
  for (int i : parameters) {
    const auto own = maybe_dims(context, i);
    if (!own || !dims) continue;
    const std::string what = fmt::format("input {}", i);
    rows ? row_parameter_dims(*own, *dims, what) : column_parameter_dims(*own, *dims, what);
  }
}

Tensor by_row(const Tensor& a, const Tensor* zero) {
  return centered(a, zero, zero ? row_parameter_dims(zero->dims(), a.dims(), "zero point") : Dims{});
}
Tensor by_column(const Tensor& b, const Tensor* zero) {
  return centered(b, zero, zero ? column_parameter_dims(zero->dims(), b.dims(), "zero point") : Dims{});
}

void infer_matmul_integer(InferContext& context) {
  std::optional<Shape> out = infer_shape_by(matmul(), context, {0, 1});
  require_matrix_parameters(context, 0, {2}, true);
  require_matrix_parameters(context, 1, {3}, false);
  require_same_type(context, 0, 2, "a_zero_point");
  require_same_type(context, 1, 3, "b_zero_point");
  context.set_output(0, DataType::int32, std::move(out));
}

void evaluate_matmul_integer(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  integer_product(matmul(), context, by_row(a, context.maybe_input(2)), by_column(b, context.maybe_input(3)),
                  Contraction::of_matmul(a, b), context.output());
}

void infer_qlinear_matmul(InferContext& context) {
  std::optional<Shape> out = infer_shape_by(matmul(), context, {0, 3});
  require_matrix_parameters(context, 0, {1, 2}, true);
  require_matrix_parameters(context, 3, {4, 5}, false);
  require_single(context, 6, "y_scale");
  require_single(context, 7, "y_zero_point");
  require_same_type(context, 0, 2, "a_zero_point");
  require_same_type(context, 3, 5, "b_zero_point");
  context.set_output(0, context.input_type(7), std::move(out));
}

void evaluate_qlinear_matmul(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(3);
  Tensor& y = context.output();
  if (y.size() == 0) return;
  Tensor wide_a = by_row(a, &context.input(2)), wide_b = by_column(b, &context.input(5));
  Tensor sums;
  if (is_integer(a.type()) && is_integer(b.type())) {
    sums = Tensor(DataType::int32, y.dims());
    integer_product(matmul(), context, wide_a, wide_b, Contraction::of_matmul(a, b), sums);
  } else {
    wide_a = cast_tensor(wide_a, DataType::float64);
    wide_b = cast_tensor(wide_b, DataType::float64);
    sums = Tensor(DataType::float64, y.dims());
    evaluate_by(matmul(), context, {&wide_a, &wide_b}, sums);
  }
  // a_scale * b_scale / y_scale
  const Tensor a_scale = cast_tensor(context.input(1), DataType::float32),
               b_scale = cast_tensor(context.input(4), DataType::float32);
  const float y_scale = *cast_tensor(context.input(6), DataType::float32).data<float>();
  const Dims a_dims = row_parameter_dims(a_scale.dims(), a.dims(), "a_scale"),
             b_dims = column_parameter_dims(b_scale.dims(), b.dims(), "b_scale");
  Tensor factors(DataType::float32, broadcast_dims(a_dims, b_dims));
  apply_broadcast(a_scale.data<float>(), a_dims, b_scale.data<float>(), b_dims, factors.mutable_data<float>(),
                  factors.dims(), [y_scale](float p, float q) { return p * q / y_scale; });
  requantize(sums, promoted_product_dims(a.dims(), b.dims()), factors, factors.dims(), &context.input(7), y);
}

// ---- DynamicQuantizeLinear

void infer_dynamic_quantize(InferContext& context) {
  context.set_output(0, DataType::uint8, context.input_shape(0));
  context.set_output(1, DataType::float32, Shape{});
  context.set_output(2, DataType::uint8, Shape{});
}

void evaluate_dynamic_quantize(EvaluateContext& context) {
  Tensor scale(DataType::float32, {}), zero_point(DataType::uint8, {});
  quantize_dynamically(context.input(0), context.output(), scale, zero_point);
  if (context.has_output(1)) context.share(1, scale);
  if (context.has_output(2)) context.share(2, zero_point);
}

std::vector<OpDef> make_table() {
  constexpr TypeSet kInt8 = {DataType::int8, DataType::uint8}, kFloat32 = {DataType::float32},
                    kInt32 = {DataType::int32};
  const std::vector<AttributeDef> window = {{"auto_pad", AttributeType::string, std::string_view("NOTSET")},
                                            {"dilations", AttributeType::ints, Optional{}},
                                            {"group", AttributeType::int_, int64_t{1}},
                                            {"kernel_shape", AttributeType::ints, Optional{}},
                                            {"pads", AttributeType::ints, Optional{}},
                                            {"strides", AttributeType::ints, Optional{}}};
  std::vector<OpDef> ops;
  ops.push_back({.name = "ConvInteger",
                 .since = 10,
                 .min_inputs = 2,
                 .max_inputs = 4,
                 .input_types = {kInt8},
                 .attributes = window,
                 .infer = infer_conv_integer,
                 .evaluate = evaluate_conv_integer});
  ops.push_back({.name = "MatMulInteger",
                 .since = 10,
                 .min_inputs = 2,
                 .max_inputs = 4,
                 .input_types = {kInt8},
                 .infer = infer_matmul_integer,
                 .evaluate = evaluate_matmul_integer});
  ops.push_back({.name = "QLinearConv",
                 .since = 10,
                 .min_inputs = 8,
                 .max_inputs = 9,
                 .input_types = {kInt8, kFloat32, kInt8, kInt8, kFloat32, kInt8, kFloat32, kInt8, kInt32},
                 .attributes = window,
                 .infer = infer_qlinear_conv,
                 .evaluate = evaluate_qlinear_conv});
  OpDef product{.name = "QLinearMatMul",
                .since = 10,
                .until = 20,
                .min_inputs = 8,
                .max_inputs = 8,
                .input_types = {kInt8, kFloat32, kInt8, kInt8, kFloat32, kInt8, kFloat32, kInt8},
                .infer = infer_qlinear_matmul,
                .evaluate = evaluate_qlinear_matmul};
  ops.push_back(product);
  product.since = 21;
  product.until = kLatestOpset;
  const TypeSet low = kInt8 | TypeSet{DataType::float8e4m3fn, DataType::float8e4m3fnuz, DataType::float8e5m2,
                                      DataType::float8e5m2fnuz},
                scale = {DataType::float32, DataType::float16, DataType::bfloat16};
  product.input_types = {low, scale, low, low, scale, low, scale, low};
  ops.push_back(std::move(product));
  ops.push_back({.name = "DynamicQuantizeLinear",
                 .since = 11,
                 .min_outputs = 3,
                 .max_outputs = 3,
                 .input_types = {kFloat32},
                 .infer = infer_dynamic_quantize,
                 .evaluate = evaluate_dynamic_quantize});
  return ops;
}

}  // namespace

std::span<const OpDef> integer_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
