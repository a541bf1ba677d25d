// BatchNormalization: https://onnx.ai/onnx/operators/onnx__BatchNormalization.html.
//   Y = (X - mean) / sqrt(var + epsilon) * scale + B
// with the given statistics, or since opset 14 with training_mode those of X. Before opset 14 only inference
// is supported: opsets 1 to 6 say so by is_test, opsets 7 to 13 by having a single output.
#include <cmath>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/normalization.h"

namespace plica {
namespace {

bool is_training(const AttributeReader& attributes, const OpDef& def) {
  return def.since >= 14 && attributes.i("training_mode") != 0;
}

// Opsets 1 to 8 could have statistics for each element of a sample rather than for each channel.
bool is_spatial(const AttributeReader& attributes, const OpDef& def) {
  return def.until >= 9 || attributes.i("spatial") != 0;
}

void check_mode(const InferContext& context) {
  const OpDef& def = context.def();
  bool more_outputs = false;
  for (int i = 1; i < context.num_outputs(); ++i) more_outputs |= context.has_output(i);
  if (def.until < 7) {
    require(context.attributes().i("is_test") != 0, ErrorCode::unsupported,
            "training (is_test = 0) is not supported");
  } else if (def.since >= 14) {
    require(is_training(context.attributes(), def) || !more_outputs, ErrorCode::invalid_model,
            "more than one output, but training_mode is 0");
    return;
  }
  require(!more_outputs, ErrorCode::unsupported,
          "training (more than one output) is not supported before opset 14");
}

// How many statistics there are: the channels, or all elements of a sample. X of rank 1 has one channel.
Dim count_statistics(const Shape& x, bool spatial) {
  if (x.rank() == 1) return 1;
  if (spatial) return x[1];
  Dim count = 1;
  for (int i = 1; i < x.rank(); ++i) count = multiply(count, x[i]);
  return count;
}

void infer_batch_normalization(InferContext& context) {
  check_mode(context);
  const DataType type = context.input_type(0);
  const bool spatial = is_spatial(context.attributes(), context.def());
  // Scale and B, and mean and var, may be of other types than X since opset 15; mean and var since opset 14.
  if (context.def().since < 14) common_type(context, 0, 5);
  common_type(context, 1, 3);
  const DataType statistics = common_type(context, 3, 5);
  std::optional<Shape> x = context.input_shape(0);
  require(!x || x->rank() >= 1, ErrorCode::invalid_model, "the input is a scalar");
  Dim count = x ? count_statistics(*x, spatial) : Dim();
  constexpr std::string_view kNames[] = {"scale", "B", "mean", "var"};
  for (int i = 1; i < 5; ++i) {
    const auto& shape = context.input_shape(i);
    if (!shape) continue;
    const std::string_view name = kNames[i - 1];
    require(shape->rank() == 1 || !spatial, ErrorCode::invalid_model, "{} has rank {}, it must be a vector",
            name, shape->rank());
    Dim own = 1;
    for (const Dim& d : *shape) own = multiply(own, d);
    require(!own.is_known() || !count.is_known() || own.value() == count.value(), ErrorCode::invalid_model,
            "{} has {} elements for {} channels", name, to_string(own), to_string(count));
    count = merge(count, own);
  }
  if (x && spatial && x->rank() >= 2) (*x)[1] = count;
  context.set_output(0, type, std::move(x));
  for (int i = 1; i < context.num_outputs(); ++i) context.set_output(i, statistics, Shape{count});
}

std::vector<double> as_doubles(const Tensor& t) {
  const Tensor wide = cast_tensor(t, DataType::float64);
  const auto values = wide.values<double>();
  return {values.begin(), values.end()};
}

// X as [outer, channels, inner].
struct Layout {
  int64_t outer, channels, inner;
};

Layout layout_of(const Dims& dims, bool spatial) {
  const auto product = [](auto begin, auto end) {
    return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
  };
  if (dims.size() == 1) return {dims[0], 1, 1};
  if (!spatial) return {dims[0], product(dims.begin() + 1, dims.end()), 1};
  return {dims[0], dims[1], product(dims.begin() + 2, dims.end())};
}

// The mean and population variance of each channel.
template <class T>
void measure(const Layout& l, const T* x, std::vector<double>& means, std::vector<double>& variances) {
  const double count = static_cast<double>(l.outer * l.inner);
  parallel_for(l.channels, std::max<int64_t>(1, 16384 / std::max<int64_t>(l.outer * l.inner, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t c = begin; c < end; ++c) {
                   const auto sum = [&](const auto& term) {
                     double total = 0;
                     for (int64_t n = 0; n < l.outer; ++n) {
                       const T* row = x + (n * l.channels + c) * l.inner;
                       for (int64_t i = 0; i < l.inner; ++i)
                         total += term(static_cast<double>(static_cast<ComputeType<T>>(row[i])));
                     }
                     return total;
                   };
                   const double mean = sum([](double v) { return v; }) / count;
                   means[static_cast<size_t>(c)] = mean;
                   variances[static_cast<size_t>(c)] =
                       sum([mean](double v) { return (v - mean) * (v - mean); }) / count;
                 }
               });
}

template <class T>
void apply(const Layout& l, const T* x, T* y, const std::vector<double>& means,
           const std::vector<double>& factors, const std::vector<double>& shifts) {
  using C = ComputeType<T>;
  if (l.inner == 1) {
    const std::vector<C> mean(means.begin(), means.end()), factor(factors.begin(), factors.end()),
        shift(shifts.begin(), shifts.end());
    parallel_for(l.outer, std::max<int64_t>(1, 32768 / std::max<int64_t>(l.channels, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t n = begin; n < end; ++n) {
                     const T* in = x + n * l.channels;
                     T* out = y + n * l.channels;
                     for (size_t c = 0; c < mean.size(); ++c)
                       out[c] = static_cast<T>((static_cast<C>(in[c]) - mean[c]) * factor[c] + shift[c]);
                   }
                 });
    return;
  }
  parallel_for(l.outer * l.channels, std::max<int64_t>(1, 32768 / std::max<int64_t>(l.inner, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   const size_t c = static_cast<size_t>(row % l.channels);
                   const C mean = static_cast<C>(means[c]), factor = static_cast<C>(factors[c]),
                           shift = static_cast<C>(shifts[c]);
                   const T* in = x + row * l.inner;
                   T* out = y + row * l.inner;
                   for (int64_t i = 0; i < l.inner; ++i)
                     out[i] = static_cast<T>((static_cast<C>(in[i]) - mean) * factor + shift);
                 }
               });
}

void evaluate_batch_normalization(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  const Tensor& x = context.input(0);
  const Layout l = layout_of(x.dims(), is_spatial(attributes, context.def()));
  std::vector<double> factors = as_doubles(context.input(1)), shifts = as_doubles(context.input(2));
  std::vector<double> means = as_doubles(context.input(3)), variances = as_doubles(context.input(4));
  if (is_training(attributes, context.def())) {
    const std::vector<double> input_means = means, input_variances = variances;
    dispatch<FloatTypes>(x.type(),
                         [&]<class T>(std::type_identity<T>) { measure(l, x.data<T>(), means, variances); });
    // running = input * momentum + current * (1 - momentum)
    const double momentum = attributes.f("momentum");
    const auto set_running = [&](int i, const std::vector<double>& input,
                                 const std::vector<double>& current) {
      if (!context.has_output(i)) return;
      std::vector<double> running(input.size());
      for (size_t c = 0; c < running.size(); ++c)
        running[c] = input[c] * momentum + current[c] * (1 - momentum);
      cast_elements(Tensor::of(running, {static_cast<int64_t>(running.size())}), context.output(i));
    };
    set_running(1, input_means, means);
    set_running(2, input_variances, variances);
  }
  const double epsilon = attributes.f("epsilon");
  for (size_t c = 0; c < factors.size(); ++c) factors[c] /= std::sqrt(variances[c] + epsilon);
  dispatch<FloatTypes>(x.type(), [&]<class T>(std::type_identity<T>) {
    apply(l, x.data<T>(), context.output().mutable_data<T>(), means, factors, shifts);
  });
}

}  // namespace

std::vector<OpDef> batch_normalization_ops() {
  const AttributeDef epsilon{"epsilon", AttributeType::float_, 1e-5f},
      momentum{"momentum", AttributeType::float_, 0.9f};
  const AttributeDef spatial{"spatial", AttributeType::int_, int64_t{1}},
      is_test{"is_test", AttributeType::int_, int64_t{0}};
  OpDef op{.name = "BatchNormalization",
           .min_inputs = 5,
           .max_inputs = 5,
           .max_outputs = 5,
           .input_types = {types::kFloat},
           .infer = infer_batch_normalization,
           .evaluate = evaluate_batch_normalization};
  std::vector<OpDef> ops;
  const auto add = [&](int since, int until, std::vector<AttributeDef> attributes) {
    op.since = since;
    op.until = until;
    op.attributes = std::move(attributes);
    ops.push_back(op);
  };
  add(1, 5, {epsilon, momentum, spatial, is_test, {"consumed_inputs", AttributeType::ints, Optional{}}});
  add(6, 6, {epsilon, momentum, spatial, is_test});
  add(7, 8, {epsilon, momentum, spatial});
  add(9, 13, {epsilon, momentum});
  op.max_outputs = 3;
  add(14, kLatestOpset, {epsilon, momentum, {"training_mode", AttributeType::int_, int64_t{0}}});
  return ops;
}

}  // namespace plica
