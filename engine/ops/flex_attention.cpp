// FlexAttention: https://onnx.ai/onnx/operators/onnx_aionnxpreview_FlexAttention.html
#include <cmath>

#include "engine/core/fail.h"
#include "engine/ops/attention.h"
#include "engine/ops/attention_kernel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/input_shapes.h"
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
  Tensor y(data_type_of<T>, context.output().dims());
  task.sizes = {q.dim(0), query_heads, key_heads, q.dim(2), k.dim(2), q.dim(3), v.dim(3)};
  task.q = head_view(q.data<T>(), q.dims(), query_heads);
  task.k = head_view(std::as_const(k).data<T>(), k.dims(), key_heads);
  task.v = head_view(v.data<T>(), v.dims(), key_heads);
  task.y = head_view(y.mutable_data<T>(), y.dims(), query_heads);
  task.storage = storage;
  task.softmax_precision = precision;
  task.round_probabilities = false;  // the product with V is in the softmax's precision too
  compute_attention(task);
  cast_elements(y, context.output());
}

void evaluate_flex_attention(EvaluateContext& context) {
  for (const std::string_view name : {"score_mod", "prob_mod"}) {
    require(!context.attributes().has(name), ErrorCode::unsupported, "the subgraph {} is not supported",
            name);
  }
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
