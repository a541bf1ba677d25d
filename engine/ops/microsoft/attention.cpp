// Attention and QAttention of com.microsoft: self-attention that projects its queries, keys and values from
// one input, with the three weights side by side; QAttention's input and weights are quantized.
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/integer_product.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/maybe_dims.h"
#include "engine/ops/microsoft/attention_inputs.h"
#include "engine/ops/microsoft/microsoft.h"

namespace plica {
namespace {

// Which input is what; -1: the operator has none such.
struct Inputs {
  int bias, mask, past, score_bias;
};
constexpr Inputs kPlain = {2, 3, 4, 5}, kQuantized = {2, 5, 8, -1};

struct Layout {
  int64_t batch, rows, columns;  // of the input
  int64_t heads, size, value_size, past = 0;

  int64_t keys() const { return past + rows; }
  int64_t projected() const { return heads * (2 * size + value_size); }
};

Layout layout_of(const AttributeReader& attributes, const Dims& x, const Dims& weights, const Dims* past) {
  Layout l{};
  l.heads = attributes.i("num_heads");
  require(l.heads >= 1, ErrorCode::invalid_model, "num_heads is {}", l.heads);
  require(x.size() == 3 && weights.size() == 2 && x[2] == weights[0], ErrorCode::invalid_model,
          "the input has shape {}, the weights {}", to_string(x), to_string(weights));
  l.batch = x[0];
  l.rows = x[1];
  l.columns = x[2];
  std::vector<int64_t> sizes(3, weights[1] / 3);
  if (attributes.defines("qkv_hidden_sizes"))
    sizes = attributes.maybe_ints("qkv_hidden_sizes").value_or(sizes);
  const bool fits =
      sizes.size() == 3 && sizes[0] == sizes[1] &&
      std::ranges::all_of(sizes, [&](int64_t n) { return n > 0 && n <= weights[1] && n % l.heads == 0; }) &&
      std::accumulate(sizes.begin(), sizes.end(), int64_t{0}) == weights[1];
  require(fits, ErrorCode::invalid_model,
          "{} columns of weights make no queries, keys and values of {} heads", weights[1], l.heads);
  l.size = sizes[0] / l.heads;
  l.value_size = sizes[2] / l.heads;
  if (past) {
    require(
        past->size() == 5 &&
            Dims({(*past)[0], (*past)[1], (*past)[2], (*past)[4]}) == Dims({2, l.batch, l.heads, l.size}) &&
            l.size == l.value_size,
        ErrorCode::invalid_model, "past has shape {}, expected [2, {}, {}, past, {}]", to_string(*past),
        l.batch, l.heads, l.size);
    l.past = (*past)[3];
  }
  return l;
}

void infer_attention(InferContext& context, const Inputs& inputs, DataType type) {
  require(context.attributes().i("do_rotary") == 0, ErrorCode::unsupported,
          "rotary embedding inside Attention");
  require(context.attributes().i("past_present_share_buffer") == 0, ErrorCode::unsupported,
          "a buffer that past and present share");
  const auto x = maybe_dims(context, 0), weights = maybe_dims(context, 1),
             past = maybe_dims(context, inputs.past), bias = maybe_dims(context, inputs.bias),
             mask = maybe_dims(context, inputs.mask);
  context.set_output(0, type, std::nullopt);
  context.set_output(1, type, std::nullopt);
  if (!x || !weights || (context.has_input(inputs.past) && !past)) {
    const auto& shape = context.input_shape(0);
    if (shape && shape->rank() == 3) context.set_output(0, type, Shape{(*shape)[0], (*shape)[1], Dim()});
    return;
  }
  const Layout l = layout_of(context.attributes(), *x, *weights, past ? &*past : nullptr);
  require(!bias || *bias == Dims{l.projected()}, ErrorCode::invalid_model,
          "bias has shape {}, the weights {}", bias ? to_string(*bias) : "", to_string(*weights));
  if (mask) require_padding_mask(*mask, l.batch, l.rows, l.keys());
  if (inputs.score_bias >= 0)
    require_attention_bias(context, inputs.score_bias, l.batch, l.heads, l.rows, l.keys());
  require(!context.has_output(1) || l.size == l.value_size, ErrorCode::invalid_model,
          "present holds keys of {} and values of {} elements", l.size, l.value_size);
  context.set_output(0, type, Shape{l.batch, l.rows, l.heads * l.value_size});
  context.set_output(1, type, Shape{2, l.batch, l.heads, l.keys(), l.size});
}

// From projections [batch * rows, projected()].
void attend_projected(EvaluateContext& context, const Inputs& inputs, const Layout& l,
                      const Tensor& projections) {
  const float* data = projections.data<float>();
  const int64_t stride = l.projected();
  const auto part = [&](int64_t first, int64_t size) {
    return Heads<const float>{data + first * l.heads, l.rows * stride, size, stride};
  };
  const Heads<const float> q = part(0, l.size);
  Heads<const float> k = part(l.size, l.size), v = part(2 * l.size, l.value_size);
  Tensor keys, values, mask, score_bias;
  if (context.has_input(inputs.past) || context.has_output(1)) {
    Tensor past, past_keys, past_values;
    if (const Tensor* given = context.maybe_input(inputs.past)) {
      past = cast_tensor(*given, DataType::float32);
      const Dims half(past.dims().begin() + 1, past.dims().end());
      past_keys = Tensor::view(past.data<float>(), half);
      past_values = Tensor::view(past.data<float>() + past.size() / 2, half);
    }
    keys = extend_past(past_keys.defined() ? &past_keys : nullptr, l.batch, l.heads, l.rows, l.size, k);
    values = extend_past(past_values.defined() ? &past_values : nullptr, l.batch, l.heads, l.rows,
                         l.value_size, v);
    k = heads_first(keys.data<float>(), l.heads, l.keys(), l.size);
    v = heads_first(values.data<float>(), l.heads, l.keys(), l.value_size);
    if (context.has_output(1)) {
      Tensor present(DataType::float32, context.output(1).dims());
      std::ranges::copy(values.values<float>(),
                        std::ranges::copy(keys.values<float>(), present.mutable_data<float>()).out);
      cast_elements(present, context.output(1));
    }
  }
  if (const Tensor* given = context.maybe_input(inputs.mask))
    mask = padding_mask(*given, l.batch, l.rows, l.keys(), context.attributes().f("mask_filter_value"));
  if (inputs.score_bias >= 0 && context.has_input(inputs.score_bias))
    score_bias = cast_tensor(context.input(inputs.score_bias), DataType::float32);
  Tensor y(DataType::float32, context.output().dims());
  AttentionProblem problem{.batch = l.batch,
                           .heads = l.heads,
                           .kv_heads = l.heads,
                           .queries = l.rows,
                           .keys = l.keys(),
                           .size = l.size,
                           .value_size = l.value_size,
                           .q = q,
                           .k = k,
                           .v = v,
                           .out = rows_first(y.mutable_data<float>(), l.heads, l.rows, l.value_size),
                           .scale = attention_scale(context.attributes(), l.size),
                           .bias = score_bias.defined() ? &score_bias : nullptr,
                           .mask = mask.defined() ? &mask : nullptr};
  if (context.attributes().i("unidirectional") != 0)
    problem.visible = [&l](int64_t, int64_t s) { return Visible{0, l.past + s + 1}; };
  attend(problem);
  cast_elements(y, context.output());
}

Layout layout_of(const EvaluateContext& context, const Inputs& inputs) {
  return layout_of(context.attributes(), context.input(0).dims(), context.input(1).dims(),
                   context.has_input(inputs.past) ? &context.input(inputs.past).dims() : nullptr);
}

void add_bias(Tensor& y, const Tensor& bias) {
  const Tensor wide = cast_tensor(bias, DataType::float32);
  float* to = y.mutable_data<float>();
  apply_broadcast(to, y.dims(), wide.data<float>(), wide.dims(), to, y.dims(),
                  [](float a, float b) { return a + b; });
}

// ---- Attention

void infer_plain(InferContext& context) {
  require(!context.has_input(6), ErrorCode::unsupported, "a buffer that past and present share");
  const DataType type = context.input_type(0);
  for (int i : {1, kPlain.bias, kPlain.past, kPlain.score_bias}) {
    if (!context.has_input(i)) continue;
    const DataType own = context.input_type(i);
    require(own == type || own == DataType::undefined || type == DataType::undefined,
            ErrorCode::invalid_model, "input {} is of type {}, the first {}", i, to_string(own),
            to_string(type));
  }
  infer_attention(context, kPlain, type);
}

void evaluate_plain(EvaluateContext& context) {
  const Layout l = layout_of(context, kPlain);
  const Tensor x = cast_tensor(context.input(0), DataType::float32),
               weights = cast_tensor(context.input(1), DataType::float32);
  Tensor projections = Tensor::zeros(DataType::float32, {l.batch * l.rows, l.projected()});
  add_product<float>(l.batch * l.rows, l.projected(), l.columns, {x.data<float>(), l.columns, 1},
                     MatrixView<float>{weights.data<float>(), l.projected(), 1},
                     projections.mutable_data<float>(), l.projected());
  if (const Tensor* bias = context.maybe_input(kPlain.bias)) add_bias(projections, *bias);
  attend_projected(context, kPlain, l, projections);
}

// ---- QAttention: input, weights, bias, their scales, mask, their zero points, past

void infer_quantized(InferContext& context) {
  const auto weights = maybe_dims(context, 1);
  for (int i : {3, 6}) {
    const auto own = maybe_dims(context, i);
    require(!own || checked_elements(*own) == 1, ErrorCode::invalid_model,
            "input {} has shape {}, it must be a scalar", i, own ? to_string(*own) : "");
  }
  for (int i : {4, 7}) {
    if (const auto own = maybe_dims(context, i); own && weights)
      column_parameter_dims(*own, *weights, fmt::format("input {}", i));
  }
  infer_attention(context, kQuantized, context.input_type(3));
}

void evaluate_quantized(EvaluateContext& context) {
  const Layout l = layout_of(context, kQuantized);
  const Tensor &weights = context.input(1), *zeros = context.maybe_input(7);
  const Dims dims = {l.batch * l.rows, l.projected()};
  const Tensor x = centered(context.input(0), context.maybe_input(6)).reshaped({l.batch * l.rows, l.columns}),
               w = centered(weights, zeros,
                            zeros ? column_parameter_dims(zeros->dims(), weights.dims(), "") : Dims{});
  Tensor sums(DataType::int32, dims), projections(DataType::float32, dims);
  integer_product(base_op("MatMul", 13), context, x, w, Contraction::of_matmul(x, w), sums);
  const float x_scale = *cast_tensor(context.input(3), DataType::float32).data<float>();
  const Tensor w_scale = cast_tensor(context.input(4), DataType::float32);
  apply_broadcast(
      sums.data<int32_t>(), dims, w_scale.data<float>(),
      column_parameter_dims(w_scale.dims(), weights.dims(), ""), projections.mutable_data<float>(), dims,
      [x_scale](int32_t sum, float scale) { return static_cast<float>(sum) * (x_scale * scale); });
  add_bias(projections, context.input(kQuantized.bias));
  attend_projected(context, kQuantized, l, projections);
}

}  // namespace

std::vector<OpDef> attention_projection_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16},
                    kInt32 = {DataType::int32}, kInt8 = {DataType::int8, DataType::uint8};
  const auto integer = [](std::string_view name) {
    return AttributeDef{name, AttributeType::int_, int64_t{0}};
  };
  std::vector<AttributeDef> attributes = {integer("do_rotary"),
                                          {"mask_filter_value", AttributeType::float_, -10000.0f},
                                          {"num_heads", AttributeType::int_, Required{}},
                                          integer("past_present_share_buffer"),
                                          {"scale", AttributeType::float_, 0.0f},
                                          integer("unidirectional")};
  std::vector<OpDef> ops;
  ops.push_back({.name = "QAttention",
                 .domain = kMicrosoft,
                 .min_inputs = 5,
                 .max_inputs = 9,
                 .max_outputs = 2,
                 .input_types = {kInt8, kInt8, kFloats, kFloats, kFloats, kInt32, kInt8, kInt8, kFloats},
                 .attributes = attributes,
                 .infer = infer_quantized,
                 .evaluate = evaluate_quantized});
  attributes.push_back({"qkv_hidden_sizes", AttributeType::ints, Optional{}});
  attributes.push_back(integer("rotary_embedding_dim"));  // says something only with do_rotary
  ops.push_back({.name = "Attention",
                 .domain = kMicrosoft,
                 .min_inputs = 2,
                 .max_inputs = 7,
                 .max_outputs = 2,
                 .input_types = {kFloats, kFloats, kFloats, kInt32, kFloats, kFloats, kInt32},
                 .attributes = std::move(attributes),
                 .infer = infer_plain,
                 .evaluate = evaluate_plain});
  return ops;
}

}  // namespace plica
