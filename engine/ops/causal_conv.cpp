// CausalConvWithState: https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html
#include <algorithm>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/attention.h"
#include "engine/ops/attention_kernel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/fast_math.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/instruction_set.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

enum { kInput, kWeight, kBias, kPastState };

bool has_silu(const AttributeReader& attributes) {
  const std::string name = attributes.s("activation");
  require(name == "none" || name == "silu" || name == "swish", ErrorCode::invalid_model,
          "activation is {}, it must be none, silu or swish", quoted(name));
  return name != "none";
}

void infer_causal_conv(InferContext& context) {
  has_silu(context.attributes());
  const DataType type = common_type(context, 0, context.num_inputs());
  SharedDim batch{"batch_size"}, channels{"channels"}, length{"length"}, one{"channels / group", 1},
      taps{"k"};
  match_shape(context, kInput, "input", {&batch, &channels, &length});
  match_shape(context, kWeight, "weight", {&channels, &one, &taps});
  match_shape(context, kBias, "bias", {&channels});
  SharedDim carried{"k - 1"};
  if (taps.dim.is_known()) {
    require(taps.dim.value() >= 1, ErrorCode::invalid_model, "the kernel has no elements");
    carried.dim = taps.dim.value() - 1;
  }
  match_shape(context, kPastState, "past_state", {&batch, &channels, &carried});
  context.set_output(0, type, Shape{batch.dim, channels.dim, length.dim});
  context.set_output(1, type, Shape{batch.dim, channels.dim, carried.dim});
}

// Each channel is convolved with its own kernel, after the past state or zeros.
void evaluate_causal_conv(EvaluateContext& context) {
  const Tensor x = widened_input(&context.input(kInput)), w = widened_input(&context.input(kWeight)),
               bias = widened_input(context.maybe_input(kBias)),
               past = widened_input(context.maybe_input(kPastState));
  const bool silu = has_silu(context.attributes());
  const DataType type = context.output(0).type();
  const int64_t batch = x.dim(0), channels = x.dim(1), length = x.dim(2), taps = w.dim(2), carried = taps - 1;
  checked_add(length, carried);
  WidenedOutput output(context.output(0)), state(context.output(1));
  float *const y = output.values().mutable_data<float>(), *const s = state.values().mutable_data<float>();
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(length * taps, 1));
  parallel_for(batch * channels, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> padded(static_cast<size_t>(carried + length));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t channel = i % channels;
      if (past.defined()) {
        std::copy_n(past.data<float>() + i * carried, carried, padded.data());
      }
      std::copy_n(x.data<float>() + i * length, length, padded.data() + carried);
      std::copy_n(padded.data() + length, carried, s + i * carried);
      float* const row = y + i * length;
      const float* const kernel = w.data<float>() + channel * taps;
      std::fill_n(row, length, bias.defined() ? bias.data<float>()[channel] : 0.f);
      for_best_instruction_set([&]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
        for (int64_t k = 0; k < taps; ++k) {
          const float factor = kernel[k];
          const float* const from = padded.data() + k;
          for (int64_t t = 0; t < length; ++t) row[t] += factor * from[t];
        }
      });
      if (!silu) continue;
      round_elements(row, length, type);
      for (int64_t t = 0; t < length; ++t) row[t] *= fast_sigmoid(row[t]);
    }
  });
  output.finish();
  state.finish();
}

}  // namespace

void add_causal_conv_ops(std::vector<OpDef>& ops) {
  ops.push_back({.name = "CausalConvWithState",
                 .since = 27,
                 .min_inputs = 2,
                 .max_inputs = 4,
                 .min_outputs = 2,
                 .max_outputs = 2,
                 .input_types = {{DataType::float32, DataType::float16, DataType::bfloat16}},
                 .attributes = {{"activation", AttributeType::string, std::string_view("none")}},
                 .infer = infer_causal_conv,
                 .evaluate = evaluate_causal_conv});
}

}  // namespace plica
