// Normalizations by statistics of the input's own rows: InstanceNormalization, GroupNormalization,
// LayerNormalization, RMSNormalization, LpNormalization, MeanVarianceNormalization. Statistics are computed
// in double.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/layout.h"
#include "engine/ops/normalization.h"
#include "engine/ops/row_statistics.h"
#include "engine/ops/strided_copy.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

using WideTypes = TypeList<float, double>;

int64_t product(Dims::const_iterator begin, Dims::const_iterator end) {
  return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
}

// ---- InstanceNormalization, GroupNormalization: y = scale * (x - mean) / sqrt(variance + epsilon) + bias,
// with the statistics of each group of channels of each sample; an instance's group is a single channel.

void infer_channel_groups(InferContext& context, int64_t groups, bool per_group, int least_rank) {
  const DataType type = common_type(context, 0, 3);
  std::optional<Shape> x = context.input_shape(0);
  Dim channels;
  if (x) {
    require(x->rank() >= least_rank, ErrorCode::invalid_model, "the input has rank {}, at least {} is needed",
            x->rank(), least_rank);
    channels = (*x)[1];
    require(groups == 0 || !channels.is_known() || channels.value() % groups == 0, ErrorCode::invalid_model,
            "{} channels do not divide into {} groups", to_string(channels), groups);
  }
  const Dim expected = per_group ? Dim(groups) : channels;
  for (int i = 1; i < 3; ++i) {
    const auto& shape = context.input_shape(i);
    if (!shape) continue;
    require(shape->rank() == 1 &&
                (!(*shape)[0].is_known() || !expected.is_known() || (*shape)[0].value() == expected.value()),
            ErrorCode::invalid_model, "{} has shape {}, expected [{}]", i == 1 ? "scale" : "bias",
            to_string(*shape), to_string(expected));
  }
  context.set_output(0, type, std::move(x));
}

void infer_instance_normalization(InferContext& context) { infer_channel_groups(context, 0, false, 3); }

void infer_group_normalization(InferContext& context) {
  const int64_t groups = context.attributes().i("num_groups");
  require(groups >= 1, ErrorCode::invalid_model, "num_groups is {}", groups);
  infer_channel_groups(context, groups, context.def().until < 21, 2);
}

// `groups` of channels; scale and bias by channel, or by group when they are as many.
void normalize_groups(EvaluateContext& context, int64_t groups, bool per_group) {
  const Tensor& x = context.input(0);
  if (x.size() == 0) return;
  const int64_t channels = x.dim(1), spatial = product(x.dims().begin() + 2, x.dims().end());
  const int64_t group_channels = channels / groups, length = group_channels * spatial;
  const double epsilon = context.attributes().f("epsilon");
  compute_widened(
      {&x, &context.input(1), &context.input(2)}, context.output(), [&](const auto& in, Tensor& y) {
        dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
          const T *from = in[0]->template data<T>(), *scale = in[1]->template data<T>(),
                  *bias = in[2]->template data<T>();
          T* to = y.mutable_data<T>();
          for_each_row(x.dim(0) * groups, length, [&](int64_t row) {
            const Moments m = moments_of(from + row * length, length);
            const double inverse = 1 / std::sqrt(m.variance + epsilon);
            for (int64_t i = 0; i < group_channels; ++i) {
              const int64_t group = row % groups, channel = per_group ? group : group * group_channels + i;
              const T mean = static_cast<T>(m.mean),
                      factor = static_cast<T>(inverse * static_cast<double>(scale[channel]));
              const T shift = bias[channel];
              const int64_t offset = row * length + i * spatial;
              vectorized([=] {
                for (int64_t j = offset; j < offset + spatial; ++j) to[j] = (from[j] - mean) * factor + shift;
              });
            }
          });
        });
      });
}

void evaluate_instance_normalization(EvaluateContext& context) {
  if (context.input(0).size() != 0) normalize_groups(context, context.input(0).dim(1), false);
}

void evaluate_group_normalization(EvaluateContext& context) {
  normalize_groups(context, context.attributes().i("num_groups"), context.def().until < 21);
}

// ---- LayerNormalization, RMSNormalization: over all axes from `axis` on; scale and bias broadcast to the
// input.

DataType stash_type(const AttributeReader& attributes) {
  const int64_t type = attributes.i("stash_type");
  require(type == 1 || type == 16, ErrorCode::invalid_model,
          "stash_type is {}, it must be 1 (float) or 16 (bfloat16)", type);
  return type == 1 ? DataType::float32 : DataType::bfloat16;
}

void require_broadcast(const InferContext& context, int i, const Shape& x) {
  if (!context.has_input(i) || !context.input_shape(i)) return;
  const Shape& s = *context.input_shape(i);
  const auto refuse = [&] {
    fail(ErrorCode::invalid_model, "{} of shape {} does not broadcast to the input's {}",
         i == 1 ? "scale" : "bias", to_string(s), to_string(x));
  };
  if (s.rank() > x.rank()) refuse();
  for (int d = 0; d < s.rank(); ++d) {
    const Dim &own = s[d], &other = x[x.rank() - s.rank() + d];
    if (own.is_known() && own.value() != 1 && other.is_known() && own.value() != other.value()) refuse();
  }
}

void infer_layer_normalization(InferContext& context) {
  const bool rms = context.def().name == "RMSNormalization";
  const DataType stash = stash_type(context.attributes());
  const DataType type = rms ? context.input_type(1) : common_type(context, 0, 3);
  const auto& x = context.input_shape(0);
  context.set_output(0, type, x);
  std::optional<Shape> statistics;
  if (x) {
    const int axis = normalize_axis(context.attributes().i("axis"), x->rank());
    require_broadcast(context, 1, *x);
    if (!rms) require_broadcast(context, 2, *x);
    statistics = x;
    for (int d = axis; d < x->rank(); ++d) (*statistics)[d] = 1;
  }
  for (int i = 1; i < context.num_outputs(); ++i) context.set_output(i, stash, statistics);
}

template <bool kCenter>
void evaluate_layer_normalization(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const int axis = normalize_axis(context.attributes().i("axis"), x.rank());
  const int64_t rows = product(x.dims().begin(), x.dims().begin() + axis);
  const int64_t length = product(x.dims().begin() + axis, x.dims().end());
  const double epsilon = context.attributes().f("epsilon");
  Tensor means(DataType::float64, {rows}), inverses(DataType::float64, {rows});
  compute_widened({&x, &context.input(1), kCenter ? context.maybe_input(2) : nullptr}, context.output(),
                  [&](const auto& in, Tensor& y) {
                    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
                      const Tensor data = cast_tensor(
                          *in[0], y.type());  // RMSNormalization's scale, and so Y, may be of another type
                      T* to = y.mutable_data<T>();
                      normalize_rows<kCenter>(data.data<T>(), to, rows, length, epsilon,
                                              means.mutable_data<double>(), inverses.mutable_data<double>());
                      const auto combine = [&](const Tensor& other, const auto& op) {
                        apply_broadcast(to, y.dims(), other.data<T>(), other.dims(), to, y.dims(), op);
                      };
                      combine(*in[1], [](T a, T b) { return a * b; });
                      if (in[2]) combine(*in[2], [](T a, T b) { return a + b; });
                    });
                  });
  if (context.has_output(1)) cast_elements(means, context.output(1));
  if (context.has_output(2)) cast_elements(inverses, context.output(2));
}

// ---- LpNormalization, MeanVarianceNormalization: along any axes, which are brought to the end and back.

// Calls normalize(rows, length, data) on the elements of the reduced axes as rows, in place.
template <class Normalize>
void normalize_axes_of(EvaluateContext& context, const std::vector<int>& axes, const Normalize& normalize) {
  const Tensor& x = context.input(0);
  if (x.size() == 0) return;
  Dims dims, strides, reduced_dims, reduced_strides;
  const Dims all = row_major_strides(x.dims());
  for (int d = 0; d < x.rank(); ++d) {
    const bool reduced = std::ranges::binary_search(axes, d);
    (reduced ? reduced_dims : dims).push_back(x.dim(d));
    (reduced ? reduced_strides : strides).push_back(all[static_cast<size_t>(d)]);
  }
  const int64_t rows = product(dims.begin(), dims.end()),
                length = product(reduced_dims.begin(), reduced_dims.end());
  dims.insert(dims.end(), reduced_dims.begin(), reduced_dims.end());
  strides.insert(strides.end(), reduced_strides.begin(), reduced_strides.end());
  const Dims rows_strides = row_major_strides(dims);
  compute_widened({&x}, context.output(), [&](const auto& in, Tensor& y) {
    Tensor data(y.type(), dims);
    copy_strided(y.type(), dims, in[0]->raw(), strides, data.mutable_raw(), rows_strides);
    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
      T* values = data.mutable_data<T>();
      for_each_row(rows, length, [&](int64_t row) { normalize(values + row * length, length); });
    });
    copy_strided(y.type(), dims, data.raw(), rows_strides, y.mutable_raw(), strides);
  });
}

int64_t lp_order(const AttributeReader& attributes) {
  const int64_t p = attributes.i("p");
  require(p == 1 || p == 2, ErrorCode::invalid_model, "p is {}, it must be 1 or 2", p);
  return p;
}

void infer_lp_normalization(InferContext& context) {
  lp_order(context.attributes());
  if (const auto& x = context.input_shape(0)) normalize_axis(context.attributes().i("axis"), x->rank());
  context.same_as_input();
}

// x / (sum |x|^p)^(1/p); zero where all are zero.
void evaluate_lp_normalization(EvaluateContext& context) {
  const bool squares = lp_order(context.attributes()) == 2;
  const int axis = normalize_axis(context.attributes().i("axis"), context.input(0).rank());
  normalize_axes_of(context, {axis}, [squares]<class T>(T* row, int64_t length) {
    const double norm = squares ? std::sqrt(sum_row(row, length, [](double v) { return v * v; }))
                                : sum_row(row, length, [](double v) { return std::abs(v); });
    for (int64_t i = 0; i < length; ++i)
      row[i] = norm == 0 ? T(0) : static_cast<T>(static_cast<double>(row[i]) / norm);
  });
}

void infer_mean_variance_normalization(InferContext& context) {
  if (const auto& x = context.input_shape(0)) normalize_axes(context.attributes().ints("axes"), x->rank());
  context.same_as_input();
}

// (x - mean) / (standard deviation + 1e-9), as the operator's function body in the specification has it.
void evaluate_mean_variance_normalization(EvaluateContext& context) {
  const auto axes = normalize_axes(context.attributes().ints("axes"), context.input(0).rank());
  normalize_axes_of(context, axes, []<class T>(T* row, int64_t length) {
    const Moments m = moments_of(row, length);
    const double factor = 1 / (std::sqrt(m.variance) + 1e-9);
    for (int64_t i = 0; i < length; ++i)
      row[i] = static_cast<T>((static_cast<double>(row[i]) - m.mean) * factor);
  });
}

}  // namespace

std::vector<OpDef> row_normalization_ops() {
  const AttributeDef epsilon{"epsilon", AttributeType::float_, 1e-5f},
      stash{"stash_type", AttributeType::int_, int64_t{1}};
  const AttributeDef axis{"axis", AttributeType::int_, int64_t{-1}},
      groups{"num_groups", AttributeType::int_, Required{}};
  std::vector<OpDef> ops;
  OpDef op{.name = "InstanceNormalization",
           .until = 5,
           .min_inputs = 3,
           .max_inputs = 3,
           .input_types = {types::kFloat},
           .attributes = {epsilon, {"consumed_inputs", AttributeType::ints, Optional{}}},
           .infer = infer_instance_normalization,
           .evaluate = evaluate_instance_normalization};
  ops.push_back(op);
  op.since = 6;
  op.until = kLatestOpset;
  op.attributes.pop_back();
  ops.push_back(op);
  op = {.name = "GroupNormalization",
        .since = 18,
        .until = 20,
        .min_inputs = 3,
        .max_inputs = 3,
        .input_types = {types::kFloat},
        .attributes = {epsilon, groups},
        .infer = infer_group_normalization,
        .evaluate = evaluate_group_normalization};
  ops.push_back(op);
  op.since = 21;
  op.until = kLatestOpset;
  op.attributes.push_back(stash);
  ops.push_back(op);
  ops.push_back({.name = "LayerNormalization",
                 .since = 17,
                 .min_inputs = 2,
                 .max_inputs = 3,
                 .max_outputs = 3,
                 .input_types = {types::kFloat},
                 .attributes = {axis, epsilon, stash},
                 .infer = infer_layer_normalization,
                 .evaluate = evaluate_layer_normalization<true>});
  ops.push_back({.name = "RMSNormalization",
                 .since = 23,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kFloat},
                 .attributes = {axis, epsilon, stash},
                 .infer = infer_layer_normalization,
                 .evaluate = evaluate_layer_normalization<false>});
  ops.push_back({.name = "LpNormalization",
                 .input_types = {types::kFloat},
                 .attributes = {axis, {"p", AttributeType::int_, int64_t{2}}},
                 .infer = infer_lp_normalization,
                 .evaluate = evaluate_lp_normalization});
  ops.push_back({.name = "MeanVarianceNormalization",
                 .since = 9,
                 .input_types = {types::kFloat},
                 .attributes = {{"axes", AttributeType::ints, std::vector<int64_t>{0, 2, 3}}},
                 .infer = infer_mean_variance_normalization,
                 .evaluate = evaluate_mean_variance_normalization});
  return ops;
}

}  // namespace plica
