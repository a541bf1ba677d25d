// LinearAttention: https://onnx.ai/onnx/operators/onnx__LinearAttention.html
#include <cmath>
#include <vector>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/attention.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/fast_math.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/instruction_set.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

enum { kQuery, kKey, kValue, kPastState, kDecay, kBeta };

struct Rule {
  bool decays = false, corrects = false;
};

Rule rule_of(const AttributeReader& attributes) {
  const std::string name = attributes.s("update_rule");
  if (name == "linear") return {};
  if (name == "gated") return {.decays = true};
  if (name == "delta") return {.corrects = true};
  if (name == "gated_delta") return {.decays = true, .corrects = true};
  fail(ErrorCode::invalid_model, "update_rule is {}, it must be linear, gated, delta or gated_delta",
       quoted(name));
}

Dim divide(const SharedDim& hidden, int64_t heads) {
  if (!hidden.dim.is_known()) return heads == 1 ? hidden.dim : Dim();
  require(hidden.dim.value() % heads == 0, ErrorCode::invalid_model, "{} is {}, no multiple of {} heads",
          hidden.name, hidden.dim.value(), heads);
  return hidden.dim.value() / heads;
}

void infer_linear_attention(InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  const Rule rule = rule_of(attributes);
  require(context.has_input(kDecay) == rule.decays, ErrorCode::invalid_model,
          "update_rule {} {} the input decay", quoted(attributes.s("update_rule")),
          rule.decays ? "needs" : "does not take");
  require(context.has_input(kBeta) == rule.corrects, ErrorCode::invalid_model,
          "update_rule {} {} the input beta", quoted(attributes.s("update_rule")),
          rule.corrects ? "needs" : "does not take");
  const int64_t q_heads = attributes.i("q_num_heads"), kv_heads = attributes.i("kv_num_heads");
  require(q_heads > 0 && kv_heads > 0 && q_heads % kv_heads == 0, ErrorCode::invalid_model,
          "q_num_heads is {}, it must be a positive multiple of kv_num_heads, {}", q_heads, kv_heads);
  const DataType type = common_type(context, kQuery, kValue + 1),
                 gates = common_type(context, kDecay, kBeta + 1);
  require(type == gates || type == DataType::undefined || gates == DataType::undefined,
          ErrorCode::invalid_model, "the query is of type {}, decay or beta {}", to_string(type),
          to_string(gates));

  SharedDim batch{"batch_size"}, steps{"sequence_length"}, q_hidden{"the query's hidden size"},
      k_hidden{"the key's hidden size"}, v_hidden{"the value's hidden size"}, heads{"kv_num_heads", kv_heads},
      key_size{"d_k"}, value_size{"d_v"};
  match_shape(context, kQuery, "query", {&batch, &steps, &q_hidden});
  match_shape(context, kKey, "key", {&batch, &steps, &k_hidden});
  match_shape(context, kValue, "value", {&batch, &steps, &v_hidden});
  key_size.refine(divide(q_hidden, q_heads), "query");
  key_size.refine(divide(k_hidden, kv_heads), "key");
  value_size.refine(divide(v_hidden, kv_heads), "value");
  match_shape(context, kPastState, "past_state", {&batch, &heads, &key_size, &value_size});
  SharedDim decay_size{"decay's last dimension"}, beta_size{"beta's last dimension"};
  match_shape(context, kDecay, "decay", {&batch, &steps, &decay_size});
  match_shape(context, kBeta, "beta", {&batch, &steps, &beta_size});
  if (decay_size.dim.is_known() && key_size.dim.is_known()) {
    const Dim all = multiply(heads.dim, key_size.dim);
    require(decay_size.dim.value() == kv_heads || decay_size.dim.same_as(all), ErrorCode::invalid_model,
            "decay has {} elements to a step, it must be {} or {}", decay_size.dim.value(), kv_heads,
            to_string(all));
  }
  if (beta_size.dim.is_known()) {
    const int64_t size = beta_size.dim.value();
    require(size == kv_heads || size == 1, ErrorCode::invalid_model,
            "beta has {} elements to a step, it must be {} or 1", size, kv_heads);
  }
  context.set_output(0, type, Shape{batch.dim, steps.dim, multiply(Dim(q_heads), value_size.dim)});
  context.set_output(1, context.has_input(kPastState) ? context.input_type(kPastState) : type,
                     Shape{batch.dim, heads.dim, key_size.dim, value_size.dim});
}

// One head of keys and values through the sequence, and the heads of queries that read its state.
struct Head {
  int64_t steps, key_size, value_size, readers;
  const float *q, *k, *v;
  int64_t q_stride, k_stride, v_stride;  // from step to step
  const float* decay;                    // null: none
  int64_t decay_stride, decay_size;      // 1 or key_size
  const float* beta;                     // null: none
  int64_t beta_stride;
  float scale;
  float* state;  // [key_size, value_size]
  float* y;
  int64_t y_stride;
};

// S = e^g * S;  v = beta * (v - S' k);  S = S + k v';  o = scale * S' q
[[gnu::always_inline]] inline void run_head(const Head& h, float* value) {
  const int64_t rows = h.key_size, columns = h.value_size;
  for (int64_t t = 0; t < h.steps; ++t) {
    const float *q = h.q + t * h.q_stride, *k = h.k + t * h.k_stride, *v = h.v + t * h.v_stride;
    if (h.decay) {
      const float* g = h.decay + t * h.decay_stride;
      for (int64_t d = 0; d < rows; ++d) {
        const float factor = fast_exp(g[h.decay_size == 1 ? 0 : d]);
        for (int64_t m = 0; m < columns; ++m) h.state[d * columns + m] *= factor;
      }
    }
    for (int64_t m = 0; m < columns; ++m) value[m] = v[m];
    if (h.beta) {
      for (int64_t d = 0; d < rows; ++d) {
        for (int64_t m = 0; m < columns; ++m) value[m] -= h.state[d * columns + m] * k[d];
      }
      for (int64_t m = 0; m < columns; ++m) value[m] *= h.beta[t * h.beta_stride];
    }
    for (int64_t d = 0; d < rows; ++d) {
      for (int64_t m = 0; m < columns; ++m) h.state[d * columns + m] += k[d] * value[m];
    }
    for (int64_t r = 0; r < h.readers; ++r) {
      float* y = h.y + t * h.y_stride + r * columns;
      for (int64_t m = 0; m < columns; ++m) y[m] = 0;
      for (int64_t d = 0; d < rows; ++d) {
        const float factor = q[r * rows + d] * h.scale;
        for (int64_t m = 0; m < columns; ++m) y[m] += h.state[d * columns + m] * factor;
      }
    }
  }
}

void evaluate_linear_attention(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  const int64_t q_heads = attributes.i("q_num_heads"), kv_heads = attributes.i("kv_num_heads");
  const Tensor q = widened_input(&context.input(kQuery)), k = widened_input(&context.input(kKey)),
               v = widened_input(&context.input(kValue)),
               past = widened_input(context.maybe_input(kPastState)),
               decay = widened_input(context.maybe_input(kDecay)),
               beta = widened_input(context.maybe_input(kBeta));
  WidenedOutput output(context.output(0)), state(context.output(1));
  float *const y = output.values().mutable_data<float>(), *const s = state.values().mutable_data<float>();
  const int64_t elements = state.values().size();
  if (past.defined()) {
    std::copy_n(past.data<float>(), elements, s);
  } else {
    std::fill_n(s, elements, 0.f);
  }
  const int64_t batch = q.dim(0), steps = q.dim(1), key_size = q.dim(2) / q_heads,
                value_size = v.dim(2) / kv_heads;
  const float given_scale = attributes.f("scale");
  const int64_t readers = q_heads / kv_heads;
  parallel_for(batch * kv_heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(value_size));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i / kv_heads, n = i % kv_heads, first = b * steps;
      Head head{.steps = steps, .key_size = key_size, .value_size = value_size, .readers = readers};
      head.q_stride = q.dim(2);
      head.k_stride = k.dim(2);
      head.v_stride = v.dim(2);
      head.y_stride = q_heads * value_size;
      head.q = q.data<float>() + first * head.q_stride + n * readers * key_size;
      head.k = k.data<float>() + first * head.k_stride + n * key_size;
      head.v = v.data<float>() + first * head.v_stride + n * value_size;
      head.y = y + first * head.y_stride + n * readers * value_size;
      head.state = s + i * key_size * value_size;
      if (decay.defined()) {
        head.decay_stride = decay.dim(2);
        head.decay_size = decay.dim(2) / kv_heads;
        head.decay = decay.data<float>() + first * head.decay_stride + n * head.decay_size;
      }
      if (beta.defined()) {
        head.beta_stride = beta.dim(2);
        head.beta = beta.data<float>() + first * head.beta_stride + (head.beta_stride == 1 ? 0 : n);
      }
      head.scale = given_scale != 0 ? given_scale : 1 / std::sqrt(static_cast<float>(key_size));
      for_best_instruction_set([&]<int kBytes>(VectorBytes<kBytes>)
                                   __attribute__((always_inline)) { run_head(head, scratch.data()); });
    }
  });
  output.finish();
  state.finish();
}

}  // namespace

void add_linear_attention_ops(std::vector<OpDef>& ops) {
  constexpr TypeSet kTypes = {DataType::float32, DataType::float16, DataType::bfloat16};
  ops.push_back({.name = "LinearAttention",
                 .since = 27,
                 .min_inputs = 3,
                 .max_inputs = 6,
                 .min_outputs = 2,
                 .max_outputs = 2,
                 .input_types = {kTypes},
                 .attributes = {{"chunk_size", AttributeType::int_, int64_t{64}},
                                {"kv_num_heads", AttributeType::int_, Required{}},
                                {"q_num_heads", AttributeType::int_, Required{}},
                                {"scale", AttributeType::float_, 0.0f},
                                {"update_rule", AttributeType::string, std::string_view("gated_delta")}},
                 .infer = infer_linear_attention,
                 .evaluate = evaluate_linear_attention});
}

}  // namespace plica
