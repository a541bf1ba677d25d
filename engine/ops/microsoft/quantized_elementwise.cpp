// Elementwise and layout operators on 8-bit tensors with scales and zero points: each is the ai.onnx operator
// on the dequantized inputs, quantized again.
#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/core/vectorized.h"
#include "engine/ops/activation_functions.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/delegate.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/quantized_tensor.h"
#include "engine/ops/saturate.h"

namespace plica {
namespace {

// ---- of one tensor: X, X_scale, X_zero_point, Y_scale, Y_zero_point

void infer_unary(InferContext& context) {
  require_quantization(context, 0, 1, 2);
  require_quantization(context, 0, 3, 4);
  context.same_as_input();
}

template <class Op>
void map_unary(EvaluateContext& context, const Op& op) {
  map_quantized(context.input(0), {context.input(1), context.maybe_input(2)},
                {context.input(3), context.maybe_input(4)}, context.output(), op);
}

void evaluate_sigmoid(EvaluateContext& context) { map_unary(context, kSigmoid); }

void evaluate_leaky_relu(EvaluateContext& context) {
  map_unary(context, [alpha = context.attributes().f("alpha")](float x) { return kLeakyRelu(x, alpha); });
}

// Along the axis as Softmax of the opset that the attribute `opset` says.
const OpDef& softmax(const AttributeReader& attributes) {
  const int64_t opset = attributes.i("opset");
  require(opset >= 1, ErrorCode::invalid_model, "opset is {}", opset);
  return base_op("Softmax", std::min<int64_t>(opset, 13));
}

void infer_softmax(InferContext& context) {
  infer_unary(context);
  infer_shape_by(softmax(context.attributes()), context, {0});
}

void evaluate_softmax(EvaluateContext& context) {
  const Tensor x = dequantize(context.input(0), context.input(1), context.maybe_input(2));
  Tensor y(DataType::float32, x.dims());
  evaluate_by(softmax(context.attributes()), context, {&x}, y);
  quantize(y, context.input(3), context.maybe_input(4), context.output());
}

// ---- of two: A, A_scale, A_zero_point, B, B_scale, B_zero_point, C_scale, C_zero_point

void infer_binary(InferContext& context) {
  require_quantization(context, 0, 1, 2);
  require_quantization(context, 3, 4, 5);
  require_quantization(context, 0, 6, 7);
  const DataType a = context.input_type(0), b = context.input_type(3);
  require(a == b || a == DataType::undefined || b == DataType::undefined, ErrorCode::invalid_model,
          "the operands are of types {} and {}", to_string(a), to_string(b));
  context.set_output(0, a, broadcast_shapes(context.input_shape(0), context.input_shape(3)));
}

// saturate(round(op(A - A_zero_point, B - B_zero_point) + C_zero_point)): the operators' formulas add the
// zero point before they round.
template <class Op>
void combine(EvaluateContext& context, const Op& op) {
  const Tensor &a = context.input(0), &b = context.input(3);
  Tensor& y = context.output();
  dispatch<TypeList<uint8_t, int8_t>>(y.type(), [&]<class T>(std::type_identity<T>) {
    const auto zero_of = [&](int i) {
      return context.has_input(i) ? static_cast<float>(*context.input(i).data<T>()) : 0.0f;
    };
    const float a_zero = zero_of(2), b_zero = zero_of(5), zero = zero_of(7);
    const auto f = [=](T p, T q) {
      const float value = op(static_cast<float>(p) - a_zero, static_cast<float>(q) - b_zero);
      return saturate_rounded<T>(value + zero, 0);
    };
    const T *from_a = a.data<T>(), *from_b = b.data<T>();
    T* to = y.mutable_data<T>();
    const Broadcast plan(y.dims(), {a.dims(), b.dims()});
    plan.parallel_runs([&](int64_t at, const Broadcast::Offsets& offsets, int64_t count) {
      const int64_t step_a = count == 1 ? 1 : plan.step(0), step_b = count == 1 ? 1 : plan.step(1);
      vectorized([=] {
        // A copy, which the bytes that are written cannot change.
        const auto own = f;
        apply_run(from_a + offsets[0], step_a, from_b + offsets[1], step_b, to + at, count, own);
      });
    });
  });
}

float scale_of(const EvaluateContext& context, int i) { return *context.input(i).data<float>(); }

void evaluate_add(EvaluateContext& context) {
  const float a = scale_of(context, 1) / scale_of(context, 6),
              b = scale_of(context, 4) / scale_of(context, 6);
  combine(context, [a, b](float x, float y) { return a * x + b * y; });
}

void evaluate_mul(EvaluateContext& context) {
  const float factor = scale_of(context, 1) * scale_of(context, 4) / scale_of(context, 6);
  combine(context, [factor](float x, float y) { return x * y * factor; });
}

// ---- QLinearWhere: condition, X, x_scale, x_zero_point, Y, y_scale, y_zero_point, z_scale, z_zero_point

void infer_where(InferContext& context) {
  require_quantization(context, 1, 2, 3);
  require_quantization(context, 4, 5, 6);
  require_quantization(context, 1, 7, 8);
  const DataType x = context.input_type(1), y = context.input_type(4);
  require(x == y || x == DataType::undefined || y == DataType::undefined, ErrorCode::invalid_model,
          "the choices are of types {} and {}", to_string(x), to_string(y));
  const std::optional<Shape>* shapes[] = {&context.input_shape(0), &context.input_shape(1),
                                          &context.input_shape(4)};
  context.set_output(0, context.input_type(1), broadcast_shapes(shapes));
}

Tensor requantized(const Tensor& x, const ElementQuantization& from, const ElementQuantization& to) {
  Tensor out(x.type(), x.dims());
  map_quantized(x, from, to, out, [](float v) { return v; });
  return out;
}

void evaluate_where(EvaluateContext& context) {
  const ElementQuantization to{context.input(7), context.maybe_input(8)};
  const Tensor x = requantized(context.input(1), {context.input(2), context.maybe_input(3)}, to),
               y = requantized(context.input(4), {context.input(5), context.maybe_input(6)}, to);
  evaluate_by(base_op("Where", 16), context, {&context.input(0), &x, &y}, context.output());
}

// ---- QLinearConcat: Y_scale, Y_zero_point, then a tensor, its scale and its zero point for each input

const OpDef& concat() { return base_op("Concat", 13); }

void infer_concat(InferContext& context) {
  require((context.num_inputs() - 2) % 3 == 0, ErrorCode::invalid_model,
          "{} inputs: after the output's scale and zero point come three for each tensor",
          context.num_inputs());
  const DataType type = context.input_type(1);
  std::vector<Facts> tensors;
  for (int i = 2; i < context.num_inputs(); i += 3) {
    require_quantization(context, i, i + 1, i + 2);
    const DataType own = context.input_type(i), scale = context.input_type(i + 1);
    require((own == type || own == DataType::undefined || type == DataType::undefined) &&
                (scale == DataType::float32 || scale == DataType::undefined),
            ErrorCode::invalid_model, "tensor {} is of type {}, its scale {}; the output is of type {}", i,
            to_string(own), to_string(scale), to_string(type));
    tensors.push_back(shape_facts(context, i));
  }
  context.set_output(0, type, infer_shape_by(concat(), context, tensors));
}

void evaluate_concat(EvaluateContext& context) {
  const ElementQuantization to{context.input(0), context.maybe_input(1)};
  std::vector<Tensor> tensors;
  std::vector<const Tensor*> pointers;
  for (int i = 2; i < context.num_inputs(); i += 3)
    tensors.push_back(requantized(context.input(i), {context.input(i + 1), context.maybe_input(i + 2)}, to));
  for (const Tensor& t : tensors) pointers.push_back(&t);
  evaluate_by(concat(), context, pointers, context.output());
}

}  // namespace

std::vector<OpDef> quantized_elementwise_ops() {
  constexpr TypeSet kInt8 = {DataType::int8, DataType::uint8}, kFloat32 = {DataType::float32};
  std::vector<OpDef> ops;
  const auto add = [&](OpDef def) {
    def.domain = kMicrosoft;
    ops.push_back(std::move(def));
  };
  const OpDef unary{.min_inputs = 2,
                    .max_inputs = 5,
                    .input_types = {kInt8, kFloat32, kInt8, kFloat32, kInt8},
                    .infer = infer_unary};
  OpDef op = unary;
  op.name = "QLinearSigmoid";
  op.evaluate = evaluate_sigmoid;
  add(op);
  op.name = "QLinearLeakyRelu";
  op.evaluate = evaluate_leaky_relu;
  op.attributes = {{"alpha", AttributeType::float_, 0.01f}};
  add(op);
  op.name = "QLinearSoftmax";
  op.infer = infer_softmax;
  op.evaluate = evaluate_softmax;
  op.attributes = {{"axis", AttributeType::int_, int64_t{-1}}, {"opset", AttributeType::int_, Required{}}};
  add(op);
  op = {.name = "QLinearAdd",
        .min_inputs = 2,
        .max_inputs = 8,
        .input_types = {kInt8, kFloat32, kInt8, kInt8, kFloat32, kInt8, kFloat32, kInt8},
        .infer = infer_binary,
        .evaluate = evaluate_add};
  add(op);
  op.name = "QLinearMul";
  op.evaluate = evaluate_mul;
  add(op);
  add({.name = "QLinearWhere",
       .min_inputs = 9,
       .max_inputs = 9,
       .input_types = {types::kBool, kInt8, kFloat32, kInt8, kInt8, kFloat32, kInt8, kFloat32, kInt8},
       .infer = infer_where,
       .evaluate = evaluate_where});
  add({.name = "QLinearConcat",
       .min_inputs = 3,
       .max_inputs = kUnlimited,
       .input_types = {kFloat32, kInt8, kInt8 | kFloat32},
       .attributes = {{"axis", AttributeType::int_, Required{}}},
       .infer = infer_concat,
       .evaluate = evaluate_concat});
  return ops;
}

}  // namespace plica
