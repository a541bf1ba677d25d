// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss:
// https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html, onnx__SoftmaxCrossEntropyLoss.html
#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/table.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

enum class Reduction { none, sum, mean };

Reduction reduction_of(const AttributeReader& attributes) {
  const std::string name = attributes.s("reduction");
  if (name == "none") return Reduction::none;
  if (name == "sum") return Reduction::sum;
  if (name == "mean") return Reduction::mean;
  fail(ErrorCode::invalid_model, "reduction is {}, it must be none, sum or mean", quoted(name));
}

// scores [N, C, d1, ...], targets [N, d1, ...], weights [C]
void infer_loss(InferContext& context) {
  const bool reduces = reduction_of(context.attributes()) != Reduction::none;
  const DataType type = context.input_type(0);
  if (context.has_input(2)) {
    const DataType weight = context.input_type(2);
    require(type == weight || type == DataType::undefined || weight == DataType::undefined,
            ErrorCode::invalid_model, "the scores are of type {}, the weights {}", to_string(type),
            to_string(weight));
  }
  std::optional<Shape> loss;
  const auto &scores = context.input_shape(0), &targets = context.input_shape(1);
  SharedDim classes{"classes"};
  if (scores) {
    require(scores->rank() >= 2, ErrorCode::invalid_model,
            "the scores have shape {}, they must have rank 2 or more", to_string(*scores));
    classes.dim = (*scores)[1];
    loss = Shape(std::vector<Dim>(scores->begin(), scores->begin() + 1));
    for (int i = 2; i < scores->rank(); ++i) loss->push_back((*scores)[i]);
  }
  if (scores && targets) {
    require(targets->rank() + 1 == scores->rank(), ErrorCode::invalid_model,
            "the scores have shape {}, the targets {}", to_string(*scores), to_string(*targets));
    for (int i = 0; i < targets->rank(); ++i) {
      SharedDim dim{"a dimension of the scores", (*loss)[i]};
      dim.refine((*targets)[i], "the target");
      (*loss)[i] = dim.dim;
    }
  } else if (targets) {
    loss = *targets;
  }
  match_shape(context, 2, "the weight", {&classes});
  context.set_output(0, type, reduces ? std::optional<Shape>(Shape{}) : loss);
  if (context.num_outputs() > 1) context.set_output(1, type, scores);
}

// The loss of log-probabilities [N, C, D] at targets [N, D]; D may stand for several dims.
template <class T>
void compute_loss(EvaluateContext& context, const T* log_prob, const AxisSplit& split, T* loss) {
  const Reduction reduction = reduction_of(context.attributes());
  const std::optional<int64_t> ignored = context.attributes().maybe_i("ignore_index");
  const Tensor targets = cast_tensor(context.input(1), DataType::int64),
               weights = widened_input(context.maybe_input(2));
  const int64_t* target = targets.data<int64_t>();
  const T* weight = weights.defined() ? weights.data<T>() : nullptr;
  double sum = 0, weight_sum = 0;
  for (int64_t n = 0; n < split.outer; ++n) {
    for (int64_t d = 0; d < split.inner; ++d) {
      const int64_t at = n * split.inner + d, c = target[at];
      const bool counts = c != ignored;
      require(!counts || (c >= 0 && c < split.length), ErrorCode::invalid_argument,
              "a target is {}, there are {} classes", c, split.length);
      const T factor = !counts ? T(0) : weight ? weight[c] : T(1);
      const T value = counts ? -log_prob[(n * split.length + c) * split.inner + d] * factor : T(0);
      if (reduction == Reduction::none) loss[at] = value;
      sum += static_cast<double>(value);
      weight_sum += static_cast<double>(factor);
    }
  }
  if (reduction == Reduction::sum) loss[0] = static_cast<T>(sum);
  if (reduction == Reduction::mean) loss[0] = static_cast<T>(sum / weight_sum);
}

template <class F>
void with_loss_output(EvaluateContext& context, const Tensor& scores, const F& f) {
  WidenedOutput loss(context.output());
  dispatch<TypeList<float, double>>(scores.type(), [&]<class T>(std::type_identity<T>) {
    f(scores.data<T>(), loss.values().mutable_data<T>());
  });
  loss.finish();
}

void evaluate_nll_loss(EvaluateContext& context) {
  const Tensor scores = widened_input(&context.input(0));
  const AxisSplit split = split_at(scores.dims(), 1);
  with_loss_output(context, scores,
                   [&]<class T>(const T* x, T* loss) { compute_loss(context, x, split, loss); });
}

// y = x - max - log(sum of e^(x - max)) along the classes
template <class T>
void log_softmax(const T* x, T* y, const AxisSplit& split) {
  const int64_t inner = split.inner, size = split.length * inner;
  parallel_for(split.outer, std::max<int64_t>(1, 8192 / std::max<int64_t>(size, 1)),
               [&](int64_t begin, int64_t end) {
                 std::vector<T> largest(static_cast<size_t>(inner));
                 std::vector<double> sum(largest.size());
                 for (int64_t n = begin; n < end && split.length > 0; ++n) {
                   const T* from = x + n * size;
                   T* to = y + n * size;
                   std::copy_n(from, inner, largest.begin());
                   std::fill(sum.begin(), sum.end(), 0);
                   for (int64_t i = inner; i < size; ++i) {
                     T& l = largest[static_cast<size_t>(i % inner)];
                     l = std::max(l, from[i]);
                   }
                   for (int64_t c = 0; c < split.length; ++c) {
                     for (int64_t d = 0; d < inner; ++d) {
                       const auto at = static_cast<size_t>(d);
                       to[c * inner + d] = from[c * inner + d] - largest[at];
                       sum[at] += static_cast<double>(std::exp(to[c * inner + d]));
                     }
                   }
                   for (double& s : sum) s = std::log(s);
                   for (int64_t c = 0; c < split.length; ++c) {
                     for (int64_t d = 0; d < inner; ++d)
                       to[c * inner + d] -= static_cast<T>(sum[static_cast<size_t>(d)]);
                   }
                 }
               });
}

void evaluate_cross_entropy_loss(EvaluateContext& context) {
  const Tensor scores = widened_input(&context.input(0));
  const AxisSplit split = split_at(scores.dims(), 1);
  Tensor log_prob(scores.type(), scores.dims());
  with_loss_output(context, scores, [&]<class T>(const T* x, T* loss) {
    log_softmax(x, log_prob.mutable_data<T>(), split);
    compute_loss(context, log_prob.data<T>(), split, loss);
  });
  if (context.has_output(1)) cast_elements(log_prob, context.output(1));
}

std::vector<OpDef> make_table() {
  constexpr TypeSet kWithoutBfloat16 = {DataType::float32, DataType::float64, DataType::float16};
  std::vector<OpDef> ops;
  const auto add = [&](OpDef def, int since, int until, TypeSet types) {
    def.input_types = {types, types::kIndex, types};
    ops.push_back(for_versions(std::move(def), since, until,
                               {{"ignore_index", AttributeType::int_, Optional{}},
                                {"reduction", AttributeType::string, std::string_view("mean")}}));
  };
  const OpDef nll{.name = "NegativeLogLikelihoodLoss",
                  .min_inputs = 2,
                  .max_inputs = 3,
                  .infer = infer_loss,
                  .evaluate = evaluate_nll_loss};
  add(nll, 12, 21, kWithoutBfloat16);
  add(nll, 22, kLatestOpset, types::kFloat);
  OpDef cross_entropy = nll;
  cross_entropy.name = "SoftmaxCrossEntropyLoss";
  cross_entropy.max_outputs = 2;
  cross_entropy.evaluate = evaluate_cross_entropy_loss;
  add(cross_entropy, 12, 12, kWithoutBfloat16);
  add(cross_entropy, 13, kLatestOpset, types::kFloat);
  return ops;
}

}  // namespace

std::span<const OpDef> loss_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
