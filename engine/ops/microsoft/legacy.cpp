// Operators that ai.onnx had as experimental ones before version 1.5 and that converters of that time (from
// Core ML above all) wrote into files; ONNX Runtime keeps them in the domain of ai.onnx.
//   Affine:              alpha * x + beta
//   Scale:               scale * x
//   ScaledTanh:          alpha * tanh(beta * x)
//   ParametricSoftplus:  alpha * ln(exp(beta * x) + 1)
//   ImageScaler:         scale * x + bias of the channel; x: [N, C, H, W]
//   Crop:                x without `border` (left, top, right, bottom), or the rows and columns of `scale`
//   from left
//                        and top on
//   DynamicSlice:        Slice, of later, without steps
//   ThresholdedRelu:     as ONNX took it up in opset 10
#include <algorithm>
#include <cmath>

#include "engine/core/checked.h"
#include "engine/ops/activation_functions.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/strided_copy.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

// ---- functions of an element with parameters alpha and beta

constexpr auto kAffine = []<class T>(T x, T alpha, T beta) { return alpha * x + beta; };
constexpr auto kScaledTanh = []<class T>(T x, T alpha, T beta) { return alpha * std::tanh(beta * x); };
constexpr auto kParametricSoftplus = []<class T>(T x, T alpha, T beta) {
  return alpha * kSoftplus(beta * x);
};

template <auto kOp>
void evaluate_parametric(EvaluateContext& context) {
  const float alpha = context.attributes().f("alpha"), beta = context.attributes().f("beta");
  map_elements<FloatTypes>(context.input(0), context.output(),
                           [=]<class T>(T x) { return kOp(x, static_cast<T>(alpha), static_cast<T>(beta)); });
}

void evaluate_scale(EvaluateContext& context) {
  const float scale = context.attributes().f("scale");
  map_elements<FloatTypes>(context.input(0), context.output(),
                           [scale]<class T>(T x) { return static_cast<T>(scale) * x; });
}

// ---- images

void require_image(const InferContext& context) {
  const auto& x = context.input_shape(0);
  require(!x || x->rank() == 4, ErrorCode::invalid_model, "the input is of rank {}, it must be 4",
          x ? x->rank() : 0);
}

void infer_image_scaler(InferContext& context) {
  require_image(context);
  const auto bias = context.attributes().floats("bias");
  const auto& x = context.input_shape(0);
  require(!x || !(*x)[1].is_known() || (*x)[1].value() == std::ssize(bias), ErrorCode::invalid_model,
          "there are {} biases for {} channels", bias.size(), x ? to_string((*x)[1]) : "");
  context.same_as_input();
}

void evaluate_image_scaler(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const float scale = context.attributes().f("scale");
  const auto bias = context.attributes().floats("bias");
  dispatch<FloatTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    const int64_t channels = in.dim(1), pixels = in.dim(2) * in.dim(3);
    const T* const x = in.data<T>();
    T* const y = context.output().mutable_data<T>();
    parallel_for(in.dim(0) * channels, 16384 / (pixels + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const C shift = static_cast<C>(bias[static_cast<size_t>(i % channels)]);
        for (int64_t j = i * pixels; j < (i + 1) * pixels; ++j)
          y[j] = static_cast<T>(static_cast<C>(scale) * static_cast<C>(x[j]) + shift);
      }
    });
  });
}

// What is left of an axis: [begin, begin + size).
struct Span {
  int64_t begin, size;
};

// Of H (side 1) or W (side 0) with `length` elements.
Span kept(const AttributeReader& attributes, size_t side, int64_t length) {
  const auto border = attributes.ints("border");
  const auto scale = attributes.maybe_ints("scale");
  const int64_t begin = border[side];
  const int64_t size = scale && !scale->empty() ? (*scale)[1 - side]
                                                : checked_sub(checked_sub(length, begin), border[2 + side]);
  require(size > 0 && size <= checked_sub(length, begin), ErrorCode::invalid_model,
          "{} elements from {} on are no part of an axis of {}", size, begin, length);
  return {begin, size};
}

void infer_crop(InferContext& context) {
  require_image(context);
  const AttributeReader& attributes = context.attributes();
  const auto border = attributes.ints("border");
  const auto scale = attributes.maybe_ints("scale");
  require(border.size() == 4 && border[0] >= 0 && border[1] >= 0, ErrorCode::invalid_model,
          "border has to be left, top, right and bottom, of at least 0");
  require(!scale || scale->empty() || scale->size() == 2, ErrorCode::invalid_model,
          "scale has {} elements, it must be height and width", scale ? scale->size() : 0);
  std::optional<Shape> out = context.input_shape(0);
  for (const int axis : {2, 3}) {
    if (!out) break;
    Dim& dim = (*out)[axis];
    dim = dim.is_known() ? Dim(kept(attributes, axis == 2 ? 1 : 0, dim.value()).size) : Dim();
  }
  context.set_output(0, context.input_type(0), std::move(out));
}

void evaluate_crop(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output();
  if (y.size() == 0) return;
  const int64_t top = kept(context.attributes(), 1, x.dim(2)).begin,
                left = kept(context.attributes(), 0, x.dim(3)).begin;
  copy_strided(x.type(), y.dims(), element_address(x, top * x.dim(3) + left), row_major_strides(x.dims()),
               y.mutable_raw(), row_major_strides(y.dims()));
}

// ---- the table

// The one of the family at opset 10, from opset 1 on. (By the family's table, for the table of all is being
// made.)
OpDef of_opset_10(std::span<const OpDef> family, std::string_view name) {
  OpDef op = *std::ranges::find_if(
      family, [&](const OpDef& def) { return def.name == name && def.since <= 10 && 10 <= def.until; });
  op.since = 1;
  return op;
}

}  // namespace

std::vector<OpDef> legacy_ops() {
  const AttributeDef alpha{"alpha", AttributeType::float_, Required{}},
      beta{"beta", AttributeType::float_, Required{}}, scale{"scale", AttributeType::float_, 1.0f};
  std::vector<OpDef> ops;
  const auto add = [&](std::string_view name, std::vector<AttributeDef> attributes,
                       void (*infer)(InferContext&), void (*evaluate)(EvaluateContext&)) {
    ops.push_back({.name = name,
                   .input_types = {types::kFloat},
                   .attributes = std::move(attributes),
                   .infer = infer,
                   .evaluate = evaluate});
  };
  add("Affine", {{"alpha", AttributeType::float_, 1.0f}, {"beta", AttributeType::float_, 0.0f}}, infer_same,
      evaluate_parametric<kAffine>);
  add("ScaledTanh", {alpha, beta}, infer_same, evaluate_parametric<kScaledTanh>);
  add("ParametricSoftplus", {alpha, beta}, infer_same, evaluate_parametric<kParametricSoftplus>);
  add("Scale", {scale}, infer_same, evaluate_scale);
  add("ImageScaler", {{"bias", AttributeType::floats, Required{}}, scale}, infer_image_scaler,
      evaluate_image_scaler);
  add("Crop", {{"border", AttributeType::ints, Required{}}, {"scale", AttributeType::ints, Optional{}}},
      infer_crop, evaluate_crop);
  ops.push_back(of_opset_10(activation_ops(), "ThresholdedRelu"));
  ops.back().until = 9;
  ops.push_back(of_opset_10(layout_ops(), "Slice"));
  ops.back().name = "DynamicSlice";
  ops.back().until = kLatestOpset;
  ops.back().max_inputs = 4;
  return ops;
}

}  // namespace plica
