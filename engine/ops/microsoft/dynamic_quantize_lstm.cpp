// DynamicQuantizeLSTM: LSTM (ai.onnx opset 7) with 8-bit W and R, which lie transposed: [directions, input or
// hidden, 4 * hidden]. What they are multiplied with is quantized on the way, as DynamicQuantizeLinear does:
// X once, the state's rows of all sequences together at each step.
//
// (q - zero) * scale of both factors is exact enough in float to give ONNX Runtime's integer products times
// the scales up to the rounding of float sums; so the products here are of floats that were quantized.
#include <algorithm>
#include <array>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/dot_product.h"
#include "engine/ops/integer_product.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/quantized_tensor.h"
#include "engine/ops/recurrent.h"

namespace plica {
namespace {

enum Input { kX, kW, kR, kB, kLengths, kInitialH, kInitialC, kPeepholes, kScaleW, kZeroW, kScaleR, kZeroR };

const OpDef& lstm() { return base_op("LSTM", 7); }

// ---- infer

// W or R as LSTM has it.
Facts transposed_facts(const InferContext& context, int i) {
  const auto& shape = context.input_shape(i);
  if (!shape) return shape_facts(std::nullopt);
  require(shape->rank() == 3, ErrorCode::invalid_model, "{} has shape {}, it must have rank 3",
          i == kW ? "W" : "R", to_string(*shape));
  return shape_facts(Shape{(*shape)[0], (*shape)[2], (*shape)[1]});
}

// A scale or zero point: one for each direction, or one for each of its columns.
void require_parameter(const InferContext& context, int matrix, int i) {
  context.input(i);
  const DataType type = context.input_type(i), weights = context.input_type(matrix);
  require(context.def().input_types[static_cast<size_t>(i)].contains(DataType::float32) || type == weights ||
              type == DataType::undefined || weights == DataType::undefined,
          ErrorCode::invalid_model, "the zero point (input {}) is of type {}, its matrix {}", i,
          to_string(type), to_string(weights));
  const auto &own = context.input_shape(i), &whole = context.input_shape(matrix);
  if (!own || !whole || !own->known() || !whole->known()) return;
  const Dims is = *own->known(), of = *whole->known();
  require(is == Dims{of[0]} || is == Dims{of[0], of[2]}, ErrorCode::invalid_model,
          "input {} has shape {}, its matrix {}", i, to_string(is), to_string(of));
}

void infer_dynamic_lstm(InferContext& context) {
  const Facts w = transposed_facts(context, kW), r = transposed_facts(context, kR);
  std::vector<const Facts*> inputs;
  for (int i = kX; i <= kPeepholes; ++i) inputs.push_back(context.has_input(i) ? &context.input(i) : nullptr);
  inputs[kW] = &w;
  inputs[kR] = &r;
  InferContext inner(context.node(), lstm(), std::move(inputs));
  inner.def().infer(inner);
  for (int i : {kScaleW, kZeroW}) require_parameter(context, kW, i);
  for (int i : {kScaleR, kZeroR}) require_parameter(context, kR, i);
  for (int i = 0; i < context.num_outputs(); ++i)
    context.set_output(i, inner.outputs()[static_cast<size_t>(i)].type);
}

// ---- evaluate

// [directions, rows, columns] of 8 bits -> float32 [directions, columns, rows].
Tensor dequantize_transposed(const Tensor& q, const Tensor& scale, const Tensor& zero) {
  const int64_t rows = q.dim(1), columns = q.dim(2);
  Tensor out(DataType::float32, {q.dim(0), columns, rows});
  float* const to = out.mutable_data<float>();
  dispatch<TypeList<uint8_t, int8_t>>(q.type(), [&]<class T>(std::type_identity<T>) {
    const T *const from = q.data<T>(), *const zeros = zero.data<T>();
    const float* const scales = scale.data<float>();
    parallel_for(q.dim(0) * columns, 16384 / (rows + 1) + 1, [=, &scale, &zero](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t direction = i / columns, column = i % columns;
        const float factor = scales[scale.rank() == 1 ? direction : i];
        const int offset = zeros[zero.rank() == 1 ? direction : i];
        const T* const x = from + direction * rows * columns + column;
        for (int64_t k = 0; k < rows; ++k)
          to[i * rows + k] = static_cast<float>(x[k * columns] - offset) * factor;
      }
    });
  });
  return out;
}

Tensor quantized(const Tensor& x) {
  Tensor q(DataType::uint8, x.dims()), scale(DataType::float32, {}), zero(DataType::uint8, {});
  quantize_dynamically(x, q, scale, zero);
  return dequantize(q, scale, &zero);
}

struct Sizes {
  int64_t sequence, batch, input, hidden;
};

// What all directions share. x and the weights have been quantized and are float32 again.
struct Layer {
  RecurrentOptions options;
  Sizes sizes;
  Tensor x, w, r;
  std::vector<int64_t> lengths;  // of each sequence
  int64_t longest;
};

const float* part(const EvaluateContext& context, int i, int64_t direction, int64_t elements) {
  const Tensor* t = context.maybe_input(i);
  return t ? t->data<float>() + direction * elements : nullptr;
}

void activate(const RecurrentOptions& options, const RecurrentActivation& f, float* x, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] = std::clamp(x[i], -options.clip, options.clip);
  f.apply(x, count);
}

// i, o, f, c = rows of `hidden` gates.
//   C = f(f + Pf * C) * C + f(i + Pi * C) * g(c);  H = f(o + Po * C) * h(C)
void advance(const RecurrentOptions& options, const RecurrentActivation* functions, const float* peepholes,
             int64_t hidden, float* gates, float* h, float* c) {
  float *const i = gates, *const o = gates + hidden, *const f = o + hidden, *const g = f + hidden;
  for (int64_t j = 0; peepholes && j < hidden; ++j) {
    i[j] += peepholes[j] * c[j];
    f[j] += peepholes[2 * hidden + j] * c[j];
  }
  activate(options, functions[0], i, hidden);
  activate(options, functions[1], g, hidden);
  if (!options.input_forget) activate(options, functions[0], f, hidden);
  for (int64_t j = 0; j < hidden; ++j) c[j] = (options.input_forget ? 1 - i[j] : f[j]) * c[j] + i[j] * g[j];
  for (int64_t j = 0; peepholes && j < hidden; ++j) o[j] += peepholes[hidden + j] * c[j];
  activate(options, functions[0], o, hidden);
  std::copy_n(c, hidden, h);
  functions[2].apply(h, hidden);
  for (int64_t j = 0; j < hidden; ++j) h[j] *= o[j];
}

void run_direction(EvaluateContext& context, const Layer& layer, int64_t direction) {
  const auto [sequence, batch, input, hidden] = layer.sizes;
  const int64_t rows = 4 * hidden, directions = layer.options.directions;
  const bool reverse = direction == 1 || layer.options.first_is_reverse;
  const auto state = [&](int i) {
    Tensor t = Tensor::zeros(DataType::float32, {batch, hidden});
    if (const float* given = part(context, i, direction, t.size()))
      std::copy_n(given, t.size(), t.mutable_data<float>());
    return t;
  };
  Tensor h = state(kInitialH), c = state(kInitialC), bias = Tensor::zeros(DataType::float32, {rows});
  if (const float* given = part(context, kB, direction, 2 * rows)) {
    for (int64_t j = 0; j < rows; ++j) bias.mutable_data<float>()[j] = given[j] + given[rows + j];
  }
  Tensor projected = Tensor::zeros(DataType::float32, {layer.longest, batch, rows});
  add_dot_products(layer.longest * batch, rows, input, layer.x.data<float>(), input,
                   layer.w.data<float>() + direction * rows * input, input, projected.mutable_data<float>(),
                   rows);
  const float* const peepholes = part(context, kPeepholes, direction, 3 * hidden);
  const auto* const functions = layer.options.activations.data() + direction * layer.options.functions;
  float* const y = context.has_output(0) ? context.output(0).mutable_data<float>() : nullptr;
  Tensor gates(DataType::float32, {batch, rows});
  for (int64_t step = 0; step < layer.longest; ++step) {
    for (int64_t b = 0; b < batch; ++b)
      std::copy_n(bias.data<float>(), rows, gates.mutable_data<float>() + b * rows);
    add_dot_products(batch, rows, hidden, quantized(h).data<float>(), hidden,
                     layer.r.data<float>() + direction * rows * hidden, hidden, gates.mutable_data<float>(),
                     rows);
    for (int64_t b = 0; b < batch; ++b) {
      const int64_t length = layer.lengths[static_cast<size_t>(b)];
      if (step >= length) continue;  // It has ended, and keeps its state.
      const int64_t t = reverse ? length - 1 - step : step;
      float *const row = gates.mutable_data<float>() + b * rows, *const own =
                                                                     h.mutable_data<float>() + b * hidden;
      const float* const from = projected.data<float>() + (t * batch + b) * rows;
      for (int64_t j = 0; j < rows; ++j) row[j] += from[j];
      advance(layer.options, functions, peepholes, hidden, row, own, c.mutable_data<float>() + b * hidden);
      if (y) std::copy_n(own, hidden, y + ((t * directions + direction) * batch + b) * hidden);
    }
  }
  for (int i : {1, 2}) {
    if (!context.has_output(i)) continue;
    std::copy_n((i == 1 ? h : c).data<float>(), h.size(),
                context.output(i).mutable_data<float>() + direction * h.size());
  }
}

void evaluate_dynamic_lstm(EvaluateContext& context) {
  const Tensor &x = context.input(kX), &r = context.input(kR);
  Layer layer{.options = recurrent_options(context.attributes(), lstm()),
              .sizes = {x.dim(0), x.dim(1), x.dim(2), r.dim(1)},
              .x = quantized(x),
              .w = dequantize_transposed(context.input(kW), context.input(kScaleW), context.input(kZeroW)),
              .r = dequantize_transposed(r, context.input(kScaleR), context.input(kZeroR)),
              .lengths = std::vector(static_cast<size_t>(x.dim(1)), x.dim(0)),
              .longest = x.dim(0)};
  if (const Tensor* given = context.maybe_input(kLengths)) {
    layer.lengths.assign(given->values<int32_t>().begin(), given->values<int32_t>().end());
    layer.longest = 0;
    for (const int64_t length : layer.lengths) {
      require(length >= 0 && length <= x.dim(0), ErrorCode::invalid_argument,
              "a sequence length is {}, the input has {} steps", length, x.dim(0));
      layer.longest = std::max(layer.longest, length);
    }
    // Steps after a sequence's end give zeros.
    if (context.has_output(0)) std::ranges::fill(context.output(0).mutable_values<float>(), 0.0f);
  }
  parallel_for(layer.options.directions, 1, [&](int64_t begin, int64_t end) {
    for (int64_t d = begin; d < end; ++d) run_direction(context, layer, d);
  });
}

}  // namespace

std::vector<OpDef> dynamic_quantize_lstm_ops() {
  constexpr TypeSet kFloat32 = {DataType::float32}, kInt8 = {DataType::int8, DataType::uint8},
                    kInt32 = {DataType::int32};
  return {{.name = "DynamicQuantizeLSTM",
           .domain = kMicrosoft,
           .min_inputs = 3,
           .max_inputs = 12,
           .min_outputs = 0,
           .max_outputs = 3,
           .input_types = {kFloat32, kInt8, kInt8, kFloat32, kInt32, kFloat32, kFloat32, kFloat32, kFloat32,
                           kInt8, kFloat32, kInt8},
           .attributes = {{"activation_alpha", AttributeType::floats, Optional{}},
                          {"activation_beta", AttributeType::floats, Optional{}},
                          {"activations", AttributeType::strings, Optional{}},
                          {"clip", AttributeType::float_, Optional{}},
                          {"direction", AttributeType::string, std::string_view("forward")},
                          {"hidden_size", AttributeType::int_, Optional{}},
                          {"input_forget", AttributeType::int_, int64_t{0}}},
           .infer = infer_dynamic_lstm,
           .evaluate = evaluate_dynamic_lstm}};
}

}  // namespace plica
