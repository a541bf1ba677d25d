// Layer normalization as ONNX Runtime fuses it:
//   SimplifiedLayerNormalization:      x / sqrt(mean(x^2) + epsilon) * scale, the RMSNormalization of before
//   opset 23;
//                                      files have it in the domain of ai.onnx too
//   SkipLayerNormalization:            LayerNormalization(input + skip + bias) * gamma + beta
//   SkipSimplifiedLayerNormalization:  the same without means and beta
//   EmbedLayerNormalization:           LayerNormalization(word + position + segment embedding) * gamma + beta
// All compute in float, and statistics in double.
#include <algorithm>

#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/delegate.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/row_statistics.h"

namespace plica {
namespace {

// Input i is a vector as long as the last axis of `x`.
void require_row(const InferContext& context, int i, const std::optional<Shape>& x, std::string_view what) {
  if (!context.has_input(i) || !context.input_shape(i)) return;
  const Shape& s = *context.input_shape(i);
  const Dim last = x ? (*x)[x->rank() - 1] : Dim();
  require(s.rank() == 1 && (!s[0].is_known() || !last.is_known() || s[0].value() == last.value()),
          ErrorCode::invalid_model, "{} has shape {}, the input {}", what, to_string(s),
          x ? to_string(*x) : "");
}

Tensor as_float(const Tensor& x) { return cast_tensor(x, DataType::float32); }

// The rows of `sum` normalized, times gamma, plus beta (which may be null), to output 0; and the statistics
// to outputs 1 and 2, where the node has them.
template <bool kCenter>
void normalize_sum(EvaluateContext& context, const Tensor& sum, const Tensor& gamma, const Tensor* beta,
                   Tensor* mean, Tensor* inverse) {
  const int64_t length = sum.dim(-1), rows = length == 0 ? 0 : sum.size() / length;
  Tensor means(DataType::float64, {rows}), inverses(DataType::float64, {rows}),
      y(DataType::float32, sum.dims());
  float* to = y.mutable_data<float>();
  normalize_rows<kCenter>(sum.data<float>(), to, rows, length, context.attributes().f("epsilon"),
                          means.mutable_data<double>(), inverses.mutable_data<double>());
  const Tensor wide_gamma = as_float(gamma), wide_beta = beta ? as_float(*beta) : Tensor();
  const float *factor = wide_gamma.data<float>(), *shift = beta ? wide_beta.data<float>() : nullptr;
  for_each_row(rows, length, [&](int64_t row) {
    float* out = to + row * length;
    for (int64_t i = 0; i < length; ++i) out[i] *= factor[i];
    for (int64_t i = 0; shift && i < length; ++i) out[i] += shift[i];
  });
  cast_elements(y, context.output());
  if (mean && mean->size() == rows) cast_elements(means, *mean);
  if (inverse && inverse->size() == rows) cast_elements(inverses, *inverse);
}

// ---- SimplifiedLayerNormalization

const OpDef& rms_normalization() { return base_op("RMSNormalization", 23); }

void infer_simplified(InferContext& context) {
  const Facts inputs[] = {shape_facts(context, 0), shape_facts(context, 1)};
  context.set_output(0, context.input_type(1), infer_shape_by(rms_normalization(), context, inputs));
  std::optional<Shape> statistics = context.input_shape(0);
  if (statistics) {
    const int axis = normalize_axis(context.attributes().i("axis"), statistics->rank());
    for (int d = axis; d < statistics->rank(); ++d) (*statistics)[d] = 1;
  }
  context.set_output(1, DataType::float32, std::move(statistics));
}

void evaluate_simplified(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  evaluate_by(rms_normalization(), context, {&x, &context.input(1)}, context.output());
  if (!context.has_output(1)) return;
  Tensor& inverse = context.output(1);
  const int64_t rows = inverse.size(), length = rows == 0 ? 0 : x.size() / rows;
  Tensor means(DataType::float64, {rows}), inverses(DataType::float64, {rows}),
      y(DataType::float32, x.dims());
  const Tensor wide = as_float(x);
  normalize_rows<false>(wide.data<float>(), y.mutable_data<float>(), rows, length,
                        context.attributes().f("epsilon"), means.mutable_data<double>(),
                        inverses.mutable_data<double>());
  cast_elements(inverses, inverse);
}

// ---- SkipLayerNormalization, SkipSimplifiedLayerNormalization

// The inputs' order: input, skip, gamma, then (centered only) beta, then bias.
template <bool kCenter>
constexpr int kBias = kCenter ? 4 : 3;

template <bool kCenter>
void infer_skip(InferContext& context) {
  const auto &x = context.input_shape(0), &skip = context.input_shape(1);
  require(!x || x->rank() == 2 || x->rank() == 3, ErrorCode::invalid_model,
          "the input has rank {}, not 2 or 3", x ? x->rank() : 0);
  if (x && skip) {
    const auto sum = broadcast_shapes(x, skip)->known();
    const auto own = x->known();
    require(skip->rank() <= x->rank() && (!sum || !own || sum == own), ErrorCode::invalid_model,
            "skip has shape {}, the input {}", to_string(*skip), to_string(*x));
  }
  require_row(context, 2, x, "gamma");
  if (kCenter) require_row(context, 3, x, "beta");
  require_row(context, kBias<kCenter>, x, "bias");
  const DataType type = common_type(context, 0, 5);
  context.set_output(0, type, x);
  std::optional<Shape> statistics = x;
  if (statistics) (*statistics)[statistics->rank() - 1] = 1;
  context.set_output(1, DataType::float32, statistics);
  context.set_output(2, DataType::float32, statistics);
  context.set_output(3, type, x);
}

template <bool kCenter>
void evaluate_skip(EvaluateContext& context) {
  const Tensor input = as_float(context.input(0)), skip = as_float(context.input(1));
  const Dims& dims = input.dims();
  Tensor sum(DataType::float32, dims);
  float* to = sum.mutable_data<float>();
  const auto add = [](float a, float b) { return a + b; };
  apply_broadcast(input.data<float>(), dims, skip.data<float>(), skip.dims(), to, dims, add);
  if (const Tensor* given = context.maybe_input(kBias<kCenter>)) {
    const Tensor bias = as_float(*given);
    apply_broadcast(to, dims, bias.data<float>(), bias.dims(), to, dims, add);
  }
  if (context.has_output(3)) cast_elements(sum, context.output(3));
  normalize_sum<kCenter>(context, sum, context.input(2), kCenter ? context.maybe_input(3) : nullptr,
                         context.has_output(1) ? &context.output(1) : nullptr,
                         context.has_output(2) ? &context.output(2) : nullptr);
}

// ---- EmbedLayerNormalization

enum EmbedInput { kIds, kSegmentIds, kWords, kPositions, kSegments, kGamma, kBeta, kMask, kPositionIds };

void infer_embed(InferContext& context) {
  for (int i : {kWords, kPositions, kGamma, kBeta}) context.input(i);  // the ones between may be left out
  const auto& ids = context.input_shape(kIds);
  require(!ids || ids->rank() == 2, ErrorCode::invalid_model, "input_ids has rank {}, not 2",
          ids ? ids->rank() : 0);
  require(context.has_input(kSegmentIds) == context.has_input(kSegments), ErrorCode::invalid_model,
          "segment_ids and segment_embedding go together");
  Dim hidden;
  for (int i : {kWords, kPositions, kSegments}) {
    if (!context.has_input(i) || !context.input_shape(i)) continue;
    const Shape& table = *context.input_shape(i);
    require(table.rank() == 2, ErrorCode::invalid_model, "embedding (input {}) has rank {}, not 2", i,
            table.rank());
    hidden = merge(hidden, table[1]);
  }
  for (int i : {kSegmentIds, kMask, kPositionIds}) {
    if (!ids || !context.has_input(i) || !context.input_shape(i)) continue;
    const auto a = ids->known(), b = context.input_shape(i)->known();
    if (!a || !b) continue;
    const bool shared_positions = i == kPositionIds && *b == Dims{1, (*a)[1]};
    require(a == b || shared_positions, ErrorCode::invalid_model, "input {} has shape {}, input_ids {}", i,
            to_string(*b), to_string(*a));
  }
  std::optional<Shape> out;
  if (ids) out = Shape{(*ids)[0], (*ids)[1], hidden};
  require_row(context, kGamma, Shape{hidden}, "gamma");
  require_row(context, kBeta, Shape{hidden}, "beta");
  const DataType type = context.input_type(kWords);
  context.set_output(0, type, out);
  context.set_output(1, DataType::int32, ids ? std::optional(Shape{(*ids)[0]}) : std::nullopt);
  context.set_output(2, type, out);
}

// Adds rows of a table to the rows of `to`; ids are checked.
void add_rows(const Tensor& table, std::string_view what, int64_t rows, const auto& id_of, float* to) {
  const int64_t count = table.dim(0), hidden = table.dim(1);
  const float* from = table.data<float>();
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t id = id_of(r);
    require(id >= 0 && id < count, ErrorCode::invalid_argument,
            "{} {} is out of range, the embedding has {} rows", what, id, count);
    for (int64_t i = 0; i < hidden; ++i) to[r * hidden + i] += from[id * hidden + i];
  }
}

void evaluate_embed(EvaluateContext& context) {
  const Tensor& ids = context.input(kIds);
  const int64_t batch = ids.dim(0), length = ids.dim(1), rows = batch * length;
  const auto by_row = [](const Tensor& t) {
    return [values = t.values<int32_t>()](int64_t r) -> int64_t {
      return values[static_cast<size_t>(r) % std::max<size_t>(values.size(), 1)];
    };
  };
  Tensor sum = Tensor::zeros(DataType::float32, context.output().dims());
  float* to = sum.mutable_data<float>();
  add_rows(as_float(context.input(kWords)), "input id", rows, by_row(ids), to);
  if (const Tensor* positions = context.maybe_input(kPositionIds))
    add_rows(as_float(context.input(kPositions)), "position", rows, by_row(*positions), to);
  else
    add_rows(
        as_float(context.input(kPositions)), "position", rows, [=](int64_t r) { return r % length; }, to);
  if (context.has_input(kSegments))
    add_rows(as_float(context.input(kSegments)), "segment id", rows, by_row(context.input(kSegmentIds)), to);
  if (context.has_output(2)) cast_elements(sum, context.output(2));
  normalize_sum<true>(context, sum, context.input(kGamma), &context.input(kBeta), nullptr, nullptr);
  if (!context.has_output(1)) return;
  // The number of words that the mask leaves; 0 without a mask.
  const auto counts = context.output(1).mutable_values<int32_t>();
  std::ranges::fill(counts, 0);
  const Tensor* mask = context.maybe_input(kMask);
  for (int64_t r = 0; mask && r < rows; ++r)
    counts[static_cast<size_t>(r / length)] += mask->values<int32_t>()[static_cast<size_t>(r)] == 1;
}

}  // namespace

std::vector<OpDef> fused_layer_normalization_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16},
                    kInt32 = {DataType::int32};
  const AttributeDef epsilon{"epsilon", AttributeType::float_, 1e-12f};
  std::vector<OpDef> ops;
  OpDef simplified{.name = "SimplifiedLayerNormalization",
                   .min_inputs = 2,
                   .max_inputs = 2,
                   .max_outputs = 2,
                   .input_types = {types::kFloat},
                   .attributes = {{"axis", AttributeType::int_, int64_t{-1}},
                                  {"epsilon", AttributeType::float_, 1e-5f},
                                  {"stash_type", AttributeType::int_, int64_t{1}}},
                   .infer = infer_simplified,
                   .evaluate = evaluate_simplified};
  ops.push_back(simplified);
  simplified.domain = kMicrosoft;
  ops.push_back(std::move(simplified));
  ops.push_back({.name = "SkipLayerNormalization",
                 .domain = kMicrosoft,
                 .min_inputs = 3,
                 .max_inputs = 5,
                 .max_outputs = 4,
                 .input_types = {kFloats},
                 .attributes = {epsilon},
                 .infer = infer_skip<true>,
                 .evaluate = evaluate_skip<true>});
  ops.push_back({.name = "SkipSimplifiedLayerNormalization",
                 .domain = kMicrosoft,
                 .min_inputs = 3,
                 .max_inputs = 4,
                 .max_outputs = 4,
                 .input_types = {kFloats},
                 .attributes = {epsilon},
                 .infer = infer_skip<false>,
                 .evaluate = evaluate_skip<false>});
  ops.push_back({.name = "EmbedLayerNormalization",
                 .domain = kMicrosoft,
                 .min_inputs = 1,
                 .max_inputs = 9,
                 .max_outputs = 3,
                 .input_types = {kInt32, kInt32, kFloats, kFloats, kFloats, kFloats, kFloats, kInt32, kInt32},
                 .attributes = {epsilon, {"mask_index_type", AttributeType::int_, Optional{}}},
                 .infer = infer_embed,
                 .evaluate = evaluate_embed});
  return ops;
}

}  // namespace plica
