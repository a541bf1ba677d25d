// MultiHeadAttention of com.microsoft: attention on projected queries, keys and values, which are separate,
// or packed into one or two tensors, with a past of keys and values before them.
#include <algorithm>
#include <limits>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/maybe_dims.h"
#include "engine/ops/microsoft/attention_inputs.h"
#include "engine/ops/microsoft/microsoft.h"

namespace plica {
namespace {

enum Input {
  kQuery,
  kKey,
  kValue,
  kBias,
  kMask,
  kScoreBias,
  kPastKey,
  kPastValue,
  kPastLength,
  kIndirection
};

struct Layout {
  int64_t batch, heads, queries, rows;  // rows: new keys
  int64_t size, value_size, past = 0;
  bool packed_qkv = false, packed_kv = false, kv_heads_first = false;

  int64_t keys() const { return past + rows; }
};

// Of inputs whose shapes are known; null for those left out.
Layout layout_of(const AttributeReader& attributes, const Dims& query, const Dims* key, const Dims* value,
                 const Dims* past) {
  Layout l{};
  l.heads = attributes.i("num_heads");
  require(l.heads >= 1, ErrorCode::invalid_model, "num_heads is {}", l.heads);
  const auto head_size = [&](const Dims& dims, std::string_view what) {
    require(dims.size() == 3 && dims[2] % l.heads == 0, ErrorCode::invalid_model,
            "{} has shape {}, which is no [batch, sequence, {} heads]", what, to_string(dims), l.heads);
    return dims[2] / l.heads;
  };
  require(query.size() == 3 || query.size() == 5, ErrorCode::invalid_model, "query has shape {}",
          to_string(query));
  l.batch = query[0];
  l.queries = query[1];
  const auto packed = [&](const Dims& dims, int64_t parts) {
    return dims.size() == 5 && dims[2] == l.heads && dims[3] == parts;
  };
  if (query.size() == 5) {
    require(packed(query, 3) && !key && !value, ErrorCode::invalid_model,
            "query has shape {}: packed, it is [batch, sequence, {}, 3, size] and the only one",
            to_string(query), l.heads);
    l.packed_qkv = true;
    l.rows = l.queries;
    l.size = l.value_size = query[4];
  } else {
    l.size = head_size(query, "query");
    require(key != nullptr, ErrorCode::invalid_model, "key is missing");
    if (!value) {
      require(packed(*key, 2) && (*key)[0] == l.batch && (*key)[4] == l.size, ErrorCode::invalid_model,
              "key has shape {}: packed with values, it is [{}, sequence, {}, 2, {}]", to_string(*key),
              l.batch, l.heads, l.size);
      l.packed_kv = true;
      l.rows = (*key)[1];
      l.value_size = l.size;
    } else if (key->size() == 4) {
      require(value->size() == 4 &&
                  Dims({(*key)[0], (*key)[1], (*key)[3]}) == Dims({l.batch, l.heads, l.size}) &&
                  std::equal(key->begin(), key->begin() + 3, value->begin()) && !past,
              ErrorCode::invalid_model, "key has shape {}, value {}, query {}", to_string(*key),
              to_string(*value), to_string(query));
      l.kv_heads_first = true;
      l.rows = (*key)[2];
      l.value_size = (*value)[3];
    } else {
      require(head_size(*key, "key") == l.size && (*key)[0] == l.batch, ErrorCode::invalid_model,
              "key has shape {}, query {}", to_string(*key), to_string(query));
      l.rows = (*key)[1];
      l.value_size = head_size(*value, "value");
      require((*value)[0] == l.batch && (*value)[1] == l.rows, ErrorCode::invalid_model,
              "value has shape {}, key {}", to_string(*value), to_string(*key));
    }
  }
  if (past) {
    require(
        past->size() == 4 && Dims({(*past)[0], (*past)[1], (*past)[3]}) == Dims({l.batch, l.heads, l.size}),
        ErrorCode::invalid_model, "past_key has shape {}, expected [{}, {}, past, {}]", to_string(*past),
        l.batch, l.heads, l.size);
    l.past = (*past)[2];
  }
  return l;
}

void infer_multi_head_attention(InferContext& context) {
  require(!context.has_input(kPastLength) && !context.has_input(kIndirection), ErrorCode::unsupported,
          "buffers that past and present share");
  require(context.has_input(kPastKey) == context.has_input(kPastValue), ErrorCode::invalid_model,
          "past_key and past_value go together");
  const DataType type = context.input_type(kQuery);
  for (int i : {kKey, kValue, kBias, kScoreBias, kPastKey, kPastValue}) {
    if (!context.has_input(i)) continue;
    const DataType own = context.input_type(i);
    require(own == type || own == DataType::undefined || type == DataType::undefined,
            ErrorCode::invalid_model, "input {} is of type {}, query {}", i, to_string(own), to_string(type));
  }
  for (int i = 0; i < context.num_outputs(); ++i) context.set_output(i, type, std::nullopt);
  const auto query = maybe_dims(context, kQuery), key = maybe_dims(context, kKey),
             value = maybe_dims(context, kValue), past = maybe_dims(context, kPastKey),
             bias = maybe_dims(context, kBias), mask = maybe_dims(context, kMask),
             past_value = maybe_dims(context, kPastValue);
  const bool known = query && (key || !context.has_input(kKey)) && (value || !context.has_input(kValue)) &&
                     (past || !context.has_input(kPastKey));
  if (!known) {
    const auto& q = context.input_shape(kQuery);
    if (!q || q->rank() != 3) return;
    Dim columns;  // as many as the values have
    if (context.has_input(kValue) && context.input_shape(kValue) && context.input_shape(kValue)->rank() == 3)
      columns = (*context.input_shape(kValue))[2];
    else if (!context.has_input(kValue))
      columns = (*q)[2];
    return context.set_output(0, type, Shape{(*q)[0], (*q)[1], columns});
  }
  const Layout l = layout_of(context.attributes(), *query, key ? &*key : nullptr, value ? &*value : nullptr,
                             past ? &*past : nullptr);
  require(!past_value || !past || *past_value == Dims({l.batch, l.heads, l.past, l.value_size}),
          ErrorCode::invalid_model, "past_value has shape {}, past_key {}",
          past_value ? to_string(*past_value) : "", past ? to_string(*past) : "");
  const int64_t columns = l.heads * l.value_size, projected = 2 * l.heads * l.size + columns;
  require(!bias || *bias == Dims{projected}, ErrorCode::invalid_model, "bias has shape {}, expected [{}]",
          bias ? to_string(*bias) : "", projected);
  if (mask) require_padding_mask(*mask, l.batch, l.queries, l.keys());
  require_attention_bias(context, kScoreBias, l.batch, l.heads, l.queries, l.keys());
  context.set_output(0, type, Shape{l.batch, l.queries, columns});
  context.set_output(1, type, Shape{l.batch, l.heads, l.keys(), l.size});
  context.set_output(2, type, Shape{l.batch, l.heads, l.keys(), l.value_size});
  context.set_output(3, type, Shape{l.batch, l.heads, l.queries, l.keys()});
}

// One part of the projections as [batch, rows, heads * size] plus its part of the bias.
Tensor add_bias(Heads<const float> x, const Layout& l, int64_t rows, int64_t size, const float* bias) {
  Tensor out(DataType::float32, {l.batch, rows, l.heads * size});
  float* to = out.mutable_data<float>();
  copy_heads(l.batch, l.heads, rows, size, x, rows_first(to, l.heads, rows, size));
  const Dims columns = {l.heads * size};
  apply_broadcast(to, out.dims(), bias, columns, to, out.dims(), [](float a, float b) { return a + b; });
  return out;
}

void evaluate_multi_head_attention(EvaluateContext& context) {
  const auto dims_of = [&](int i) { return context.has_input(i) ? &context.input(i).dims() : nullptr; };
  const Layout l = layout_of(context.attributes(), context.input(kQuery).dims(), dims_of(kKey),
                             dims_of(kValue), dims_of(kPastKey));
  const auto wide = [&](int i) {
    return context.has_input(i) ? cast_tensor(context.input(i), DataType::float32) : Tensor();
  };
  const Tensor query = wide(kQuery), key = wide(kKey), value = wide(kValue), bias = wide(kBias),
               score_bias = wide(kScoreBias), past_key = wide(kPastKey), past_value = wide(kPastValue);

  // Where each part's heads lie; packed ones are [batch, rows, heads, parts, size].
  const auto packed_part = [&](const Tensor& t, int64_t parts, int64_t part) {
    return Heads<const float>{t.data<float>() + part * l.size, l.rows * l.heads * parts * l.size,
                              parts * l.size, l.heads * parts * l.size};
  };
  Heads<const float> q =
      l.packed_qkv ? packed_part(query, 3, 0) : rows_first(query.data<float>(), l.heads, l.queries, l.size);
  Heads<const float> k, v;
  if (l.packed_qkv || l.packed_kv) {
    k = l.packed_qkv ? packed_part(query, 3, 1) : packed_part(key, 2, 0);
    v = l.packed_qkv ? packed_part(query, 3, 2) : packed_part(key, 2, 1);
  } else {
    const auto place = l.kv_heads_first ? heads_first<const float> : rows_first<const float>;
    k = place(key.data<float>(), l.heads, l.rows, l.size);
    v = place(value.data<float>(), l.heads, l.rows, l.value_size);
  }
  Tensor biased[3];
  if (bias.defined()) {
    const int64_t columns = l.heads * l.size;
    biased[0] = add_bias(q, l, l.queries, l.size, bias.data<float>());
    q = rows_first(biased[0].data<float>(), l.heads, l.queries, l.size);
    // Keys and values whose heads come first were projected before, with their bias.
    if (!l.kv_heads_first) {
      biased[1] = add_bias(k, l, l.rows, l.size, bias.data<float>() + columns);
      biased[2] = add_bias(v, l, l.rows, l.value_size, bias.data<float>() + 2 * columns);
      k = rows_first(biased[1].data<float>(), l.heads, l.rows, l.size);
      v = rows_first(biased[2].data<float>(), l.heads, l.rows, l.value_size);
    }
  }
  Tensor present_key, present_value;
  if (past_key.defined() || context.has_output(1) || context.has_output(2)) {
    present_key = extend_past(past_key.defined() ? &past_key : nullptr, l.batch, l.heads, l.rows, l.size, k);
    present_value =
        extend_past(past_value.defined() ? &past_value : nullptr, l.batch, l.heads, l.rows, l.value_size, v);
    if (context.has_output(1)) cast_elements(present_key, context.output(1));
    if (context.has_output(2)) cast_elements(present_value, context.output(2));
    k = heads_first(present_key.data<float>(), l.heads, l.keys(), l.size);
    v = heads_first(present_value.data<float>(), l.heads, l.keys(), l.value_size);
  }

  Tensor mask;
  if (const Tensor* given = context.maybe_input(kMask))
    mask = padding_mask(*given, l.batch, l.queries, l.keys(), context.attributes().f("mask_filter_value"));
  Tensor y(DataType::float32, context.output().dims()), scores;
  AttentionProblem problem{.batch = l.batch,
                           .heads = l.heads,
                           .kv_heads = l.heads,
                           .queries = l.queries,
                           .keys = l.keys(),
                           .size = l.size,
                           .value_size = l.value_size,
                           .q = q,
                           .k = k,
                           .v = v,
                           .out = rows_first(y.mutable_data<float>(), l.heads, l.queries, l.value_size),
                           .scale = attention_scale(context.attributes(), l.size),
                           .bias = score_bias.defined() ? &score_bias : nullptr,
                           .mask = mask.defined() ? &mask : nullptr};
  if (context.attributes().i("unidirectional") != 0)
    problem.visible = [&l](int64_t, int64_t s) { return Visible{0, l.past + s + 1}; };
  if (context.has_output(3)) {
    scores = Tensor(DataType::float32, context.output(3).dims());
    problem.scores_after = scores.mutable_data<float>();
  }
  attend(problem);
  cast_elements(y, context.output());
  if (scores.defined()) cast_elements(scores, context.output(3));
}

}  // namespace

std::vector<OpDef> multi_head_attention_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16},
                    kInt32 = {DataType::int32};
  return {
      {.name = "MultiHeadAttention",
       .domain = kMicrosoft,
       .max_inputs = 10,
       .max_outputs = 4,
       .input_types = {kFloats, kFloats, kFloats, kFloats, kInt32, kFloats, kFloats, kFloats, kInt32, kInt32},
       .attributes = {{"mask_filter_value", AttributeType::float_, -10000.0f},
                      {"num_heads", AttributeType::int_, Required{}},
                      {"scale", AttributeType::float_, 0.0f},
                      {"unidirectional", AttributeType::int_, int64_t{0}}},
       .infer = infer_multi_head_attention,
       .evaluate = evaluate_multi_head_attention}};
}

}  // namespace plica
