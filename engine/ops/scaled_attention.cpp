// Attention: https://onnx.ai/onnx/operators/onnx__Attention.html
#include <cmath>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/ops/attention.h"
#include "engine/ops/attention_kernel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/strided_copy.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

// Inputs; outputs are Y, present_key, present_value, qk_matmul_output.
enum { kQuery, kKey, kValue, kMask, kPastKey, kPastValue, kValidKeys };

int64_t positive_heads(const AttributeReader& attributes, std::string_view name) {
  const auto heads = attributes.maybe_i(name);
  require(heads.has_value(), ErrorCode::invalid_model, "inputs of rank 3 need the attribute {}", name);
  require(*heads > 0, ErrorCode::invalid_model, "{} is {}", name, *heads);
  return *heads;
}

Dim divide(const Dim& hidden, int64_t heads, std::string_view input) {
  if (!hidden.is_known()) return heads == 1 ? hidden : Dim();
  require(hidden.value() % heads == 0, ErrorCode::invalid_model, "{} of {} heads has {} elements to a row",
          input, heads, hidden.value());
  return hidden.value() / heads;
}

void check_attributes(const InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  const int64_t mode = attributes.i("qk_matmul_output_mode");
  require(mode >= 0 && mode <= 3, ErrorCode::invalid_model, "qk_matmul_output_mode is {}, it must be 0 to 3",
          mode);
  if (const auto precision = attributes.maybe_i("softmax_precision")) {
    require(*precision == 1 || *precision == 10 || *precision == 11 || *precision == 16,
            ErrorCode::invalid_model, "softmax_precision is {}, it must be 1, 10, 11 or 16", *precision);
  }
  require(attributes.f("softcap") >= 0, ErrorCode::invalid_model, "softcap is {}", attributes.f("softcap"));
  if (const auto scale = attributes.maybe_f("scale"))
    require(*scale >= 0, ErrorCode::invalid_model, "scale is {}, it must not be negative", *scale);
  for (const std::string_view name : {"left_window_size", "right_window_size"}) {
    if (attributes.defines(name))
      require(attributes.i(name) >= -1, ErrorCode::invalid_model, "{} is {}, it must be -1 or more", name,
              attributes.i(name));
  }
  require(context.has_input(kPastKey) == context.has_input(kPastValue), ErrorCode::invalid_model,
          "past_key and past_value must be given together");
  require(!context.has_input(kValidKeys) || !context.has_input(kPastKey), ErrorCode::invalid_model,
          "nonpad_kv_seqlen cannot be combined with past_key and past_value");
}

// The mask broadcasts to [batch, heads, queries, keys], but its last dim is padded rather than stretched.
void check_mask(const InferContext& context, const Shape& scores) {
  if (!context.has_input(kMask) || !context.input_shape(kMask)) return;
  const Shape& mask = *context.input_shape(kMask);
  require(mask.rank() >= 1 && mask.rank() <= 4, ErrorCode::invalid_model, "attn_mask has rank {}",
          mask.rank());
  for (int d = 1; d <= mask.rank(); ++d) {
    const Dim &own = mask[mask.rank() - d], &all = scores[4 - d];
    if (!own.is_known() || !all.is_known()) continue;
    const bool fits = d == 1 ? own.value() <= all.value() : own.value() == 1 || own.value() == all.value();
    require(fits, ErrorCode::invalid_model, "attn_mask has shape {}, the scores {}", to_string(mask),
            to_string(scores));
  }
}

void infer_attention(InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  check_attributes(context);
  const DataType type = common_type(context, kQuery, kKey + 1);
  const auto require_type = [&](int i, int like) {
    if (!context.has_input(i)) return;
    const DataType a = context.input_type(i), b = context.input_type(like);
    require(a == b || a == DataType::undefined || b == DataType::undefined, ErrorCode::invalid_model,
            "a past tensor is of type {}, the present one {}", to_string(a), to_string(b));
  };
  require_type(kPastKey, kKey);
  require_type(kPastValue, kValue);
  int rank = 0;
  for (const int i : {kQuery, kKey, kValue}) {
    if (!context.input_shape(i)) continue;
    const int own = context.input_shape(i)->rank();
    require(own == 3 || own == 4, ErrorCode::invalid_model, "Q, K or V has rank {}, it must be 3 or 4", own);
    require(rank == 0 || rank == own, ErrorCode::invalid_model, "Q, K and V must have the same rank");
    rank = own;
  }
  SharedDim batch{"batch_size"}, query_heads{"q_num_heads"}, key_heads{"kv_num_heads"},
      queries{"q_sequence_length"}, keys{"kv_sequence_length"}, head_size{"head_size"},
      value_size{"v_head_size"}, past{"past_sequence_length"};
  if (rank == 3) {
    query_heads.dim = positive_heads(attributes, "q_num_heads");
    key_heads.dim = positive_heads(attributes, "kv_num_heads");
    const int64_t q = query_heads.dim.value(), kv = key_heads.dim.value();
    SharedDim q_hidden{"q_hidden_size"}, k_hidden{"k_hidden_size"}, v_hidden{"v_hidden_size"};
    match_shape(context, kQuery, "Q", {&batch, &queries, &q_hidden});
    match_shape(context, kKey, "K", {&batch, &keys, &k_hidden});
    match_shape(context, kValue, "V", {&batch, &keys, &v_hidden});
    head_size.refine(divide(q_hidden.dim, q, "Q"), "Q");
    head_size.refine(divide(k_hidden.dim, kv, "K"), "K");
    value_size.refine(divide(v_hidden.dim, kv, "V"), "V");
  } else if (rank == 4) {
    require(context.def().since < 25 || (!attributes.has("q_num_heads") && !attributes.has("kv_num_heads")),
            ErrorCode::invalid_model, "q_num_heads and kv_num_heads are for inputs of rank 3");
    match_shape(context, kQuery, "Q", {&batch, &query_heads, &queries, &head_size});
    match_shape(context, kKey, "K", {&batch, &key_heads, &keys, &head_size});
    match_shape(context, kValue, "V", {&batch, &key_heads, &keys, &value_size});
  }
  match_shape(context, kPastKey, "past_key", {&batch, &key_heads, &past, &head_size});
  match_shape(context, kPastValue, "past_value", {&batch, &key_heads, &past, &value_size});
  match_shape(context, kValidKeys, "nonpad_kv_seqlen", {&batch});
  if (query_heads.dim.is_known() && key_heads.dim.is_known()) {
    const int64_t q = query_heads.dim.value(), kv = key_heads.dim.value();
    require(kv > 0 ? q % kv == 0 : q == 0, ErrorCode::invalid_model,
            "{} heads of Q cannot share {} heads of K and V", q, kv);
  }
  const Dim total = context.has_input(kPastKey) ? add(past.dim, keys.dim) : keys.dim;
  const Shape scores{batch.dim, query_heads.dim, queries.dim, total};
  check_mask(context, scores);

  std::optional<Shape> y;
  if (rank == 3) y = Shape{batch.dim, queries.dim, multiply(query_heads.dim, value_size.dim)};
  if (rank == 4) y = Shape{batch.dim, query_heads.dim, queries.dim, value_size.dim};
  context.set_output(0, type, y);
  if (context.num_outputs() > 1)
    context.set_output(1, type, Shape{batch.dim, key_heads.dim, total, head_size.dim});
  if (context.num_outputs() > 2)
    context.set_output(2, context.input_type(kValue), Shape{batch.dim, key_heads.dim, total, value_size.dim});
  if (context.num_outputs() > 3) context.set_output(3, type, scores);
}

// [batch, heads, past + keys, size]: the past and the new rows of K or V. `output`, when defined, is filled
// with it.
Tensor join_past(const Tensor& rows, const Tensor* past, int64_t heads, Tensor output) {
  const HeadView<const void*> view = head_view<const void*>(nullptr, rows.dims(), heads);
  const int64_t batch = rows.dim(0), count = rows.dim(-2),
                size = rows.rank() == 4 ? rows.dim(3) : rows.dim(2) / heads;
  const int64_t before = past ? past->dim(2) : 0, total = checked_add(before, count);
  if (!output.defined()) output = Tensor(rows.type(), {batch, heads, total, size});
  const Dims to = {heads * total * size, total * size, size, 1};
  if (past && past->size() > 0) {
    copy_strided(rows.type(), past->dims(), past->raw(), row_major_strides(past->dims()),
                 output.mutable_raw(), to);
  }
  if (rows.size() > 0) {
    copy_strided(rows.type(), {batch, heads, count, size}, rows.raw(),
                 {view.batch_stride, view.head_stride, view.row_stride, 1},
                 element_address(output, before * size), to);
  }
  return output;
}

// In the type that is computed in: zero where a boolean mask is true, -infinity where it is false.
template <class T>
Tensor additive_mask(const Tensor& mask, DataType storage) {
  if (mask.type() != DataType::boolean) return cast_tensor(cast_tensor(mask, storage), data_type_of<T>);
  Tensor result(data_type_of<T>, mask.dims());
  std::ranges::transform(mask.values<bool>(), result.mutable_data<T>(),
                         [](bool seen) { return seen ? T(0) : -std::numeric_limits<T>::infinity(); });
  return result;
}

template <class T>
void set_mask(AttentionBias<T>& bias, const Tensor& mask) {
  const Dims strides = row_major_strides(mask.dims());
  const auto stride = [&](int from_last) {
    const int d = mask.rank() - from_last;
    return d < 0 || mask.dim(d) == 1 ? 0 : strides[static_cast<size_t>(d)];
  };
  bias.mask = mask.data<T>();
  bias.mask_keys = mask.dim(-1);
  bias.mask_row_stride = stride(2);
  bias.mask_head_stride = stride(3);
  bias.mask_batch_stride = stride(4);
}

template <class T>
void evaluate_as(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  const Tensor& q_in = context.input(kQuery);
  const DataType storage = q_in.type();
  const bool narrow = storage != data_type_of<T>;
  const int64_t query_heads = q_in.rank() == 4 ? q_in.dim(1) : attributes.i("q_num_heads");
  const int64_t key_heads = q_in.rank() == 4 ? context.input(kKey).dim(1) : attributes.i("kv_num_heads");

  const auto present = [&](int input, int past, int output) {
    const Tensor& rows = context.input(input);
    if (!context.has_input(past) && !context.has_output(output)) return rows;
    return join_past(rows, context.maybe_input(past), key_heads,
                     context.has_output(output) ? context.output(output) : Tensor());
  };
  const Tensor q = cast_tensor(q_in, data_type_of<T>), k_in = present(kKey, kPastKey, 1),
               v = cast_tensor(present(kValue, kPastValue, 2), data_type_of<T>);
  Tensor k = cast_tensor(k_in, data_type_of<T>);
  const int64_t head_size = q.rank() == 4 ? q.dim(3) : q.dim(2) / query_heads;
  const auto given_scale = attributes.maybe_f("scale");

  AttentionTask<T> task;
  task.scale =
      given_scale ? static_cast<double>(*given_scale) : 1 / std::sqrt(static_cast<double>(head_size));
  if (narrow) {
    T root = static_cast<T>(std::sqrt(task.scale));
    round_elements(&root, 1, storage);
    for (T& x : k.mutable_values<T>()) x *= root;
    round_elements(k.mutable_data<T>(), k.size(), storage);
  }
  WidenedOutput y(context.output());
  task.sizes = {q.dim(0),
                query_heads,
                key_heads,
                q.dim(-2),
                k.dim(-2),
                head_size,
                v.rank() == 4 ? v.dim(3) : v.dim(2) / key_heads};
  task.q = head_view(q.data<T>(), q.dims(), query_heads);
  task.k = head_view(std::as_const(k).data<T>(), k.dims(), key_heads);
  task.v = head_view(v.data<T>(), v.dims(), key_heads);
  task.y = head_view(y.values().template mutable_data<T>(), y.values().dims(), query_heads);
  task.softcap = static_cast<double>(attributes.f("softcap"));
  task.storage = storage;
  task.softmax_precision =
      static_cast<DataType>(attributes.maybe_i("softmax_precision").value_or(static_cast<int64_t>(storage)));
  task.bias.is_causal = attributes.i("is_causal") != 0;
  if (attributes.defines("left_window_size")) {
    task.bias.left_window = attributes.i("left_window_size");
    task.bias.right_window = attributes.i("right_window_size");
  }
  if (context.has_input(kPastKey)) task.bias.past = context.input(kPastKey).dim(2);
  if (const Tensor* valid = context.maybe_input(kValidKeys)) {
    task.bias.valid_keys = valid->data<int64_t>();
    for (const int64_t count : valid->values<int64_t>()) {
      require(count >= 0 && count <= task.sizes.keys, ErrorCode::invalid_argument,
              "nonpad_kv_seqlen has {}, there are {} keys", count, task.sizes.keys);
    }
  }
  Tensor mask;
  if (const Tensor* given = context.maybe_input(kMask)) {
    mask = additive_mask<T>(*given, storage);
    set_mask(task.bias, mask);
  }
  std::optional<WidenedOutput> scores;
  if (context.has_output(3)) {
    scores.emplace(context.output(3));
    task.scores = scores->values().template mutable_data<T>();
    task.stage = static_cast<ScoreStage>(attributes.i("qk_matmul_output_mode"));
  }
  compute_attention(task);
  y.finish();
  if (scores) scores->finish();
}

void evaluate_attention(EvaluateContext& context) {
  if (context.input(kQuery).type() == DataType::float64) return evaluate_as<double>(context);
  evaluate_as<float>(context);
}

}  // namespace

void add_attention_ops(std::vector<OpDef>& ops) {
  const TypeSet mask = types::kNumeric | types::kBool;
  OpDef def{.name = "Attention",
            .since = 23,
            .until = 23,
            .min_inputs = 3,
            .max_inputs = 6,
            .max_outputs = 4,
            .input_types = {types::kFloat, types::kFloat, types::kFloat, mask, types::kFloat, types::kFloat,
                            types::kInt64},
            .attributes = {{"is_causal", AttributeType::int_, int64_t{0}},
                           {"kv_num_heads", AttributeType::int_, Optional{}},
                           {"q_num_heads", AttributeType::int_, Optional{}},
                           {"qk_matmul_output_mode", AttributeType::int_, int64_t{0}},
                           {"scale", AttributeType::float_, Optional{}},
                           {"softcap", AttributeType::float_, 0.0f},
                           {"softmax_precision", AttributeType::int_, Optional{}}},
            .infer = infer_attention,
            .evaluate = evaluate_attention};
  ops.push_back(def);
  def.since = def.until = 24;
  def.max_inputs = 7;
  ops.push_back(def);
  def.since = 25;
  def.until = kLatestOpset;
  def.attributes.push_back({"left_window_size", AttributeType::int_, int64_t{-1}});
  def.attributes.push_back({"right_window_size", AttributeType::int_, int64_t{-1}});
  ops.push_back(std::move(def));
}

}  // namespace plica
