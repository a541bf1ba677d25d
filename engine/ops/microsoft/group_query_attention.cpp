// GroupQueryAttention of com.microsoft: causal attention whose query heads share key and value heads in
// groups, on a cache of keys and values to which the new ones are appended. Each batch has a past of its own
// length:
//   total = seqlens_k + 1, past = total - rows (0 for a first prompt, in which all rows are new and the last
//   may be padding)
#include <algorithm>
#include <limits>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/maybe_dims.h"
#include "engine/ops/microsoft/attention_inputs.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/rotary.h"

namespace plica {
namespace {

enum Input {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kLengths,
  kTotal,
  kCosines,
  kSines,
  kPositions,
  kScoreBias,
  kSink,
  kLast = kSink
};

struct Layout {
  int64_t batch, rows, heads, kv_heads, size;
  int64_t past_rows = 0;  // of the cache given
  bool packed;            // keys and values stand behind the queries in each row of `query`
};

Layout layout_of(const AttributeReader& attributes, const Dims& query, const Dims* key, const Dims* past) {
  Layout l{};
  l.heads = attributes.i("num_heads");
  l.kv_heads = attributes.i("kv_num_heads");
  require(l.heads >= 1 && l.kv_heads >= 1 && l.heads <= INT32_MAX && l.heads % l.kv_heads == 0,
          ErrorCode::invalid_model, "num_heads is {}, kv_num_heads {}", l.heads, l.kv_heads);
  require(query.size() == 3, ErrorCode::invalid_model, "query has shape {}", to_string(query));
  l.batch = query[0];
  l.rows = query[1];
  l.packed = key == nullptr;
  const int64_t heads = l.packed ? l.heads + 2 * l.kv_heads : l.heads;
  require(query[2] % heads == 0, ErrorCode::invalid_model, "query has {} columns for {} heads", query[2],
          heads);
  l.size = query[2] / heads;
  if (key) {
    require(*key == Dims({l.batch, l.rows, l.kv_heads * l.size}), ErrorCode::invalid_model,
            "key has shape {}, query {}, with {} and {} heads", to_string(*key), to_string(query), l.kv_heads,
            l.heads);
  }
  if (past) {
    require(past->size() == 4 &&
                Dims({(*past)[0], (*past)[1], (*past)[3]}) == Dims({l.batch, l.kv_heads, l.size}),
            ErrorCode::invalid_model, "past_key has shape {}, expected [{}, {}, past, {}]", to_string(*past),
            l.batch, l.kv_heads, l.size);
    l.past_rows = (*past)[2];
  }
  return l;
}

// The cache that comes out is no larger than what is given.
void require_total(const Layout& l, int64_t total) {
  require(total >= 1 && total >= l.rows && total <= checked_add(l.past_rows, l.rows),
          ErrorCode::invalid_model, "total_sequence_length is {}, after {} past rows and {} new ones", total,
          l.past_rows, l.rows);
}

void require_supported(const InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  const int64_t causal = attributes.i("causal"), window = attributes.i("local_window_size"),
                scores = attributes.i("qk_output");
  require(causal == 0 || causal == 1, ErrorCode::invalid_model, "causal is {}, it must be 0 or 1", causal);
  require(window == -1 || (window > 0 && causal == 1), ErrorCode::invalid_model,
          "local_window_size is {}, causal {}", window, causal);
  require(scores >= 0 && scores <= 2, ErrorCode::invalid_model, "qk_output is {}", scores);
  require(attributes.i("sliding_window_cache") == 0, ErrorCode::unsupported, "a cache of a window's size");
  require(attributes.s("k_quant_type") == "NONE" && attributes.s("v_quant_type") == "NONE",
          ErrorCode::unsupported, "a quantized cache");
  for (int i = kLast + 1; i < context.num_inputs(); ++i)
    require(!context.has_input(i), ErrorCode::unsupported, "input {}", i);
}

void infer_group_query_attention(InferContext& context) {
  require_supported(context);
  for (int i : {kLengths, kTotal}) context.input(i);  // the ones between may be left out
  require(context.has_input(kKey) == context.has_input(kValue) &&
              context.has_input(kPastKey) == context.has_input(kPastValue),
          ErrorCode::invalid_model, "keys and values go together");
  require(
      context.attributes().i("do_rotary") == 0 || (context.has_input(kCosines) && context.has_input(kSines)),
      ErrorCode::invalid_model, "do_rotary needs cos_cache and sin_cache");
  const DataType type = context.input_type(kQuery);
  for (int i : {kKey, kValue, kPastKey, kPastValue, kCosines, kSines, kScoreBias, kSink}) {
    if (!context.has_input(i)) continue;
    const DataType own = context.input_type(i);
    require(own == type || own == DataType::undefined || type == DataType::undefined,
            ErrorCode::invalid_model, "input {} is of type {}, query {}", i, to_string(own), to_string(type));
  }
  for (int i = 0; i < context.num_outputs(); ++i) context.set_output(i, type, std::nullopt);
  const auto query = maybe_dims(context, kQuery), key = maybe_dims(context, kKey),
             past = maybe_dims(context, kPastKey);
  if (!query || (context.has_input(kKey) && !key) || (context.has_input(kPastKey) && !past)) {
    const auto& q = context.input_shape(kQuery);
    if (q && q->rank() == 3)
      context.set_output(0, type, Shape{(*q)[0], (*q)[1], context.has_input(kKey) ? (*q)[2] : Dim()});
    return;
  }
  const Layout l = layout_of(context.attributes(), *query, key ? &*key : nullptr, past ? &*past : nullptr);
  const auto require_dims = [&](int i, std::string_view what, const Dims& expected) {
    const auto own = maybe_dims(context, i);
    require(!own || *own == expected, ErrorCode::invalid_model, "{} has shape {}, expected {}", what,
            own ? to_string(*own) : "", to_string(expected));
  };
  if (key) require_dims(kValue, "value", *key);
  if (past) require_dims(kPastValue, "past_value", *past);
  require_dims(kSink, "head_sink", {l.heads});
  require_dims(kPositions, "position_ids", {l.batch, l.rows});
  const auto lengths = maybe_dims(context, kLengths), total = maybe_dims(context, kTotal);
  require((!lengths || checked_elements(*lengths) == l.batch) && (!total || checked_elements(*total) == 1),
          ErrorCode::invalid_model, "seqlens_k has shape {}, total_sequence_length {}, for {} batches",
          lengths ? to_string(*lengths) : "", total ? to_string(*total) : "", l.batch);
  if (context.attributes().i("do_rotary") != 0) {
    const auto cosines = maybe_dims(context, kCosines), sines = maybe_dims(context, kSines);
    require((!cosines || (cosines->size() == 2 && 2 * (*cosines)[1] <= l.size)) &&
                (!cosines || !sines || cosines == sines),
            ErrorCode::invalid_model, "cos_cache has shape {}, sin_cache {}, heads have {} elements",
            cosines ? to_string(*cosines) : "", sines ? to_string(*sines) : "", l.size);
  }
  context.set_output(0, type, Shape{l.batch, l.rows, l.heads * l.size});
  // The cache grows to the total length, which is a value.
  if (const auto length = context.input_ints(kTotal); length && length->size() == 1) {
    require_total(l, (*length)[0]);
    const int64_t rows = std::max(l.past_rows, (*length)[0]);
    for (int i : {1, 2}) context.set_output(i, type, Shape{l.batch, l.kv_heads, rows, l.size});
    context.set_output(3, type, Shape{l.batch, l.heads, l.rows, (*length)[0]});
  } else {
    for (int i : {1, 2}) context.set_output(i, type, Shape{l.batch, l.kv_heads, Dim(), l.size});
    context.set_output(3, type, Shape{l.batch, l.heads, l.rows, Dim()});
  }
}

// Where the new rows of each batch go.
struct Cache {
  int64_t total, rows;        // the longest batch's keys; rows of the cache that comes out
  std::vector<int64_t> past;  // of each batch, before the new rows
  std::vector<int64_t> end;   // of each batch, after them

  Cache(const EvaluateContext& context, const Layout& l) {
    total = *context.input(kTotal).data<int32_t>();
    require_total(l, total);
    rows = std::max(l.past_rows, total);
    const bool first_prompt = total == l.rows;
    for (int64_t b = 0; b < l.batch; ++b) {
      const int64_t length = int64_t{context.input(kLengths).data<int32_t>()[b]} + 1;
      require(length >= 1 && length <= total, ErrorCode::invalid_argument,
              "seqlens_k is {}, total_sequence_length {}", length - 1, total);
      const int64_t before = first_prompt ? 0 : length - l.rows;
      require(before >= 0 && before <= l.past_rows, ErrorCode::invalid_argument,
              "seqlens_k is {} after {} new rows, and the past has {}", length - 1, l.rows, l.past_rows);
      past.push_back(before);
      end.push_back(length);
    }
  }
};

// The cache with each batch's new rows behind its past; zeros behind those.
Tensor append(const Tensor& past, const Layout& l, const Cache& cache, Heads<const float> more) {
  Tensor out = Tensor::zeros(DataType::float32, {l.batch, l.kv_heads, cache.rows, l.size});
  const Heads<float> to = heads_first(out.mutable_data<float>(), l.kv_heads, cache.rows, l.size);
  for (int64_t b = 0; b < l.batch; ++b) {
    const int64_t before = cache.past[static_cast<size_t>(b)];
    for (int64_t n = 0; n < l.kv_heads; ++n) {
      float* head = to.of(b, n);
      if (past.defined())
        std::copy_n(past.data<float>() + (b * l.kv_heads + n) * l.past_rows * l.size, before * l.size, head);
      for (int64_t s = 0; s < l.rows; ++s)
        std::copy_n(more.of(b, n) + s * more.row, l.size, head + (before + s) * l.size);
    }
  }
  return out;
}

// Turns the new rows of some heads by their positions, in place.
void rotate_rows(EvaluateContext& context, const Layout& l, const Cache& cache, int64_t heads,
                 Heads<float> x) {
  const Tensor cosines = cast_tensor(context.input(kCosines), DataType::float32),
               sines = cast_tensor(context.input(kSines), DataType::float32);
  const Tensor* positions = context.maybe_input(kPositions);
  const bool interleaved = context.attributes().i("rotary_interleaved") != 0;
  const int64_t pairs = cosines.dim(1);
  for (int64_t b = 0; b < l.batch; ++b) {
    for (int64_t s = 0; s < l.rows; ++s) {
      // Padding behind a first prompt may lie beyond the caches; it has no position.
      const bool padding = s >= cache.end[static_cast<size_t>(b)] - cache.past[static_cast<size_t>(b)];
      const int64_t position =
          positions ? positions->data<int64_t>()[b * l.rows + s] : cache.past[static_cast<size_t>(b)] + s;
      if (padding && !(position >= 0 && position < cosines.dim(0))) continue;
      require(position >= 0 && position < cosines.dim(0), ErrorCode::invalid_argument,
              "position {} is out of range, the caches have {}", position, cosines.dim(0));
      for (int64_t n = 0; n < heads; ++n) {
        float* head = x.of(b, n) + s * x.row;
        rotate(head, head, cosines.data<float>() + position * pairs, sines.data<float>() + position * pairs,
               pairs, interleaved);
      }
    }
  }
}

void evaluate_group_query_attention(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  const auto dims_of = [&](int i) { return context.has_input(i) ? &context.input(i).dims() : nullptr; };
  const Layout l = layout_of(attributes, context.input(kQuery).dims(), dims_of(kKey), dims_of(kPastKey));
  const Cache cache(context, l);
  const auto own = [&](int i) {
    return context.has_input(i) ? cast_tensor(context.input(i), DataType::float32).clone() : Tensor();
  };
  Tensor query = own(kQuery), key = own(kKey), value = own(kValue);
  const int64_t columns = query.dim(2);
  Heads<float> q{query.mutable_data<float>(), l.rows * columns, l.size, columns}, k = q, v = q;
  if (l.packed) {
    k.data += l.heads * l.size;
    v.data += (l.heads + l.kv_heads) * l.size;
  } else {
    k = rows_first(key.mutable_data<float>(), l.kv_heads, l.rows, l.size);
    v = rows_first(value.mutable_data<float>(), l.kv_heads, l.rows, l.size);
  }
  if (attributes.i("do_rotary") != 0) {
    rotate_rows(context, l, cache, l.heads, q);
    rotate_rows(context, l, cache, l.kv_heads, k);
  }
  const auto constant = [](const Heads<float>& h) {
    return Heads<const float>{h.data, h.batch, h.head, h.row};
  };
  const Tensor keys = append(own(kPastKey), l, cache, constant(k)),
               values = append(own(kPastValue), l, cache, constant(v));
  const DataType type = context.input(kQuery).type();
  if (context.has_output(1)) cast_elements(keys, context.allocate(1, type, keys.dims()));
  if (context.has_output(2)) cast_elements(values, context.allocate(2, type, values.dims()));

  const Tensor score_bias = own(kScoreBias), sink = own(kSink);
  if (score_bias.defined()) {
    const auto fits = [&](int axis, int64_t size) {
      return score_bias.dim(axis) == size || score_bias.dim(axis) == 1;
    };
    require(score_bias.rank() == 4 && fits(0, l.batch) && fits(1, l.heads) && score_bias.dim(2) == l.rows &&
                score_bias.dim(3) >= cache.total,
            ErrorCode::invalid_argument, "attention_bias has shape {}, the scores [{}, {}, {}, {}]",
            to_string(score_bias.dims()), l.batch, l.heads, l.rows, cache.total);
  }
  // A smooth softmax has a score of 0 besides the keys'.
  std::vector<float> sinks;
  if (sink.defined())
    sinks.assign(sink.values<float>().begin(), sink.values<float>().end());
  else if (attributes.i("smooth_softmax") == 1)
    sinks.assign(static_cast<size_t>(l.heads), 0.0f);
  Tensor y(DataType::float32, {l.batch, l.rows, l.heads * l.size}), scores;
  AttentionProblem problem{.batch = l.batch,
                           .heads = l.heads,
                           .kv_heads = l.kv_heads,
                           .queries = l.rows,
                           .keys = cache.total,
                           .size = l.size,
                           .value_size = l.size,
                           .q = constant(q),
                           .k = heads_first(keys.data<float>(), l.kv_heads, cache.rows, l.size),
                           .v = heads_first(values.data<float>(), l.kv_heads, cache.rows, l.size),
                           .out = rows_first(y.mutable_data<float>(), l.heads, l.rows, l.size),
                           .scale = attention_scale(attributes, l.size),
                           .softcap = attributes.f("softcap"),
                           .bias = score_bias.defined() ? &score_bias : nullptr,
                           .sinks = sinks.empty() ? nullptr : sinks.data()};
  const bool causal = attributes.i("causal") != 0;
  const int64_t window = attributes.i("local_window_size");
  problem.visible = [&](int64_t b, int64_t s) {
    const int64_t end = cache.end[static_cast<size_t>(b)], here = cache.past[static_cast<size_t>(b)] + s + 1;
    return Visible{window > 0 ? here - window : 0, causal ? std::min(here, end) : end};
  };
  const int64_t asked = attributes.i("qk_output");
  if (asked != 0 && context.has_output(3)) {
    scores = Tensor(DataType::float32, {l.batch, l.heads, l.rows, cache.total});
    (asked == 1 ? problem.scores_before : problem.scores_after) = scores.mutable_data<float>();
  }
  attend(problem);
  cast_elements(y, context.allocate(0, type, y.dims()));
  if (!context.has_output(3)) return;
  require(scores.defined(), ErrorCode::invalid_model, "output 3 is asked for, but qk_output is 0");
  cast_elements(scores, context.allocate(3, type, scores.dims()));
}

}  // namespace

std::vector<OpDef> group_query_attention_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16},
                    kInt32 = {DataType::int32};
  const auto integer = [](std::string_view name, int64_t value) {
    return AttributeDef{name, AttributeType::int_, value};
  };
  const auto number = [](std::string_view name, float value) {
    return AttributeDef{name, AttributeType::float_, value};
  };
  const std::string_view none = "NONE";
  return {{.name = "GroupQueryAttention",
           .domain = kMicrosoft,
           .min_inputs = 1,
           .max_inputs = 17,
           .max_outputs = 4,
           .input_types = {kFloats, kFloats, kFloats, kFloats, kFloats, kInt32, kInt32, kFloats, kFloats,
                           types::kInt64, kFloats, kFloats, types::kAll},
           .attributes = {integer("causal", 1),
                          integer("do_rotary", 0),
                          {"k_norm_epsilon", AttributeType::float_, Optional{}},
                          {"k_quant_type", AttributeType::string, none},
                          {"kv_cache_bit_width", AttributeType::int_, Optional{}},
                          {"kv_num_heads", AttributeType::int_, Required{}},
                          integer("local_window_size", -1),
                          {"num_heads", AttributeType::int_, Required{}},
                          {"q_norm_epsilon", AttributeType::float_, Optional{}},
                          number("qk_norm_epsilon", 1e-6f),
                          integer("qk_output", 0),
                          integer("rotary_interleaved", 0),
                          number("scale", 0),
                          integer("sliding_window_cache", 0),
                          integer("smooth_softmax", -1),
                          number("softcap", 0),
                          {"v_quant_type", AttributeType::string, none}},
           .infer = infer_group_query_attention,
           .evaluate = evaluate_group_query_attention}};
}

}  // namespace plica
