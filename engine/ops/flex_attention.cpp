// FlexAttention: https://onnx.ai/onnx/operators/onnx_aionnxpreview_FlexAttention.html
#include <cmath>

#include "engine/core/fail.h"
#include "engine/ops/attention.h"
#include "engine/ops/attention_kernel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

void infer_flex_attention(InferContext& context) {
  const DataType type = common_type(context, 0, 3);
  if (const auto precision = context.attributes().maybe_i("softmax_precision")) {
    require(*precision == 1 || *precision == 10 || *precision == 11 || *precision == 16,
            ErrorCode::invalid_model, "softmax_precision is {}, it must be 1, 10, 11 or 16", *precision);
  }
  if (const auto scale = context.attributes().maybe_f("scale"))
    require(*scale >= 0, ErrorCode::invalid_model, "scale is {}, it must not be negative", *scale);
  SharedDim batch{"batch_size"}, query_heads{"q_num_heads"}, key_heads{"kv_num_heads"},
      queries{"q_sequence_length"}, keys{"kv_sequence_length"}, head_size{"head_size"},
      value_size{"v_head_size"};
  match_shape(context, 0, "Q", {&batch, &query_heads, &queries, &head_size});
  match_shape(context, 1, "K", {&batch, &key_heads, &keys, &head_size});
  match_shape(context, 2, "V", {&batch, &key_heads, &keys, &value_size});
  if (query_heads.dim.is_known() && key_heads.dim.is_known()) {
    const int64_t q = query_heads.dim.value(), kv = key_heads.dim.value();
    require(kv > 0 ? q % kv == 0 : q == 0, ErrorCode::invalid_model,
            "{} heads of Q cannot share {} heads of K and V", q, kv);
  }
  context.set_output(0, type, Shape{batch.dim, query_heads.dim, queries.dim, value_size.dim});
}

// What a modifier makes of the scores or probabilities, which it sees in the softmax's precision.
template <class T>
void modify(const EvaluateContext& context, std::string_view name, DataType precision, Tensor& values) {
  if (!context.attributes().has(name)) return;
  const Tensor in = cast_tensor(values, precision);
  std::vector<Tensor> out = context.run_body(context.attributes().graph(name), {in});
  require(out.size() == 1 && out[0].type() == in.type() && out[0].dims() == in.dims(),
          ErrorCode::invalid_argument, "{} makes {} of {}", name, out.empty() ? "nothing" : to_string(out[0]),
          to_string(in));
  values = cast_tensor(out[0], data_type_of<T>).clone();
}

// With subgraphs between them, the steps are done one after the other on whole tensors.
template <class T>
void attend_in_steps(const EvaluateContext& context, AttentionTask<T> task, DataType precision) {
  const AttentionSizes& s = task.sizes;
  Tensor values(data_type_of<T>, {s.batch, s.query_heads, s.queries, s.keys});
  task.scores = values.mutable_data<T>();
  task.stage = ScoreStage::raw;
  compute_attention(task);
  modify<T>(context, "score_mod", precision, values);
  for (int64_t i = 0; i < s.batch * s.query_heads * s.queries; ++i)
    softmax_row(values.mutable_data<T>() + i * s.keys, s.keys, precision);
  modify<T>(context, "prob_mod", precision, values);
  for (int64_t i = 0; i < s.batch * s.query_heads; ++i) {
    const int64_t b = i / s.query_heads, h = i % s.query_heads;
    for (int64_t q = 0; q < s.queries; ++q) std::fill_n(task.y.row(b, h, q), s.value_size, T(0));
    add_product<T>(s.queries, s.value_size, s.keys, {values.data<T>() + i * s.queries * s.keys, s.keys, 1},
                   {task.v.row(b, h / (s.query_heads / s.key_heads), 0), task.v.row_stride, 1},
                   task.y.row(b, h, 0), task.y.row_stride);
  }
}

template <class T>
void evaluate_as(EvaluateContext& context, DataType precision) {
  const DataType storage = context.input(0).type();
  const Tensor q = cast_tensor(context.input(0), data_type_of<T>),
               v = cast_tensor(context.input(2), data_type_of<T>);
  Tensor k = cast_tensor(context.input(1), data_type_of<T>);
  const int64_t query_heads = q.dim(1), key_heads = k.dim(1);
  const auto given_scale = context.attributes().maybe_f("scale");
  AttentionTask<T> task;
  task.scale = given_scale ? static_cast<double>(*given_scale) : 1 / std::sqrt(static_cast<double>(q.dim(3)));
  if (widened_type(storage) != storage) {
    T root = static_cast<T>(std::sqrt(task.scale));
    round_elements(&root, 1, storage);
    for (T& x : k.mutable_values<T>()) x *= root;
    round_elements(k.mutable_data<T>(), k.size(), storage);
  }
  Tensor y(data_type_of<T>, {q.dim(0), query_heads, q.dim(2), v.dim(3)});
  task.sizes = {q.dim(0), query_heads, key_heads, q.dim(2), k.dim(2), q.dim(3), v.dim(3)};
  task.q = head_view(q.data<T>(), q.dims(), query_heads);
  task.k = head_view(std::as_const(k).data<T>(), k.dims(), key_heads);
  task.v = head_view(v.data<T>(), v.dims(), key_heads);
  task.y = head_view(y.mutable_data<T>(), y.dims(), query_heads);
  task.storage = storage;
  task.softmax_precision = precision;
  task.round_probabilities = false;  // the product with V is in the softmax's precision too
  if (context.attributes().has("score_mod") || context.attributes().has("prob_mod")) {
    attend_in_steps(context, task, precision);
  } else {
    compute_attention(task);
  }
  cast_elements(y, context.allocate(0, storage, y.dims()));
}

void evaluate_flex_attention(EvaluateContext& context) {
  // Nodes with subgraphs are evaluated without having been inferred.
  std::vector<Facts> facts;
  for (int i = 0; i < 3; ++i) facts.push_back(Facts::of(context.input(i)));
  InferContext check(context.node(), context.def(), {&facts[0], &facts[1], &facts[2]});
  infer_flex_attention(check);
  const DataType type = context.input(0).type();
  const DataType precision = static_cast<DataType>(
      context.attributes().maybe_i("softmax_precision").value_or(static_cast<int64_t>(widened_type(type))));
  if (type == DataType::float64 || precision == DataType::float64)
    return evaluate_as<double>(context, precision);
  evaluate_as<float>(context, precision);
}

}  // namespace

void add_flex_attention_ops(std::vector<OpDef>& ops) {
  ops.push_back({.name = "FlexAttention",
                 .domain = "ai.onnx.preview",
                 .min_inputs = 3,
                 .max_inputs = 3,
                 .input_types = {types::kFloat},
                 .attributes = {{"prob_mod", AttributeType::graph, Optional{}},
                                {"scale", AttributeType::float_, Optional{}},
                                {"score_mod", AttributeType::graph, Optional{}},
                                {"softmax_precision", AttributeType::int_, Optional{}}},
                 .infer = infer_flex_attention,
                 .evaluate = evaluate_flex_attention});
}

}  // namespace plica
