// GridSample: https://onnx.ai/onnx/operators/onnx__GridSample.html
#include <algorithm>
#include <complex>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/grid_taps.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"
#include "engine/ops/spatial.h"

namespace plica {
namespace {

SampleRule rule_of(const AttributeReader& attributes, const OpDef& def) {
  const bool first = def.since == 16;  // modes are named for two axes
  const std::string mode = attributes.s("mode"), padding = attributes.s("padding_mode");
  SampleRule rule{SampleMode::nearest, SamplePadding::zeros, attributes.i("align_corners") != 0};
  if (mode == (first ? "bilinear" : "linear")) {
    rule.mode = SampleMode::linear;
  } else if (mode == (first ? "bicubic" : "cubic")) {
    rule.mode = SampleMode::cubic;
  } else {
    require(mode == "nearest", ErrorCode::invalid_model, "mode is {}, it must be nearest, {}", quoted(mode),
            first ? "bilinear or bicubic" : "linear or cubic");
  }
  if (padding == "border") {
    rule.padding = SamplePadding::border;
  } else if (padding == "reflection") {
    rule.padding = SamplePadding::reflection;
  } else {
    require(padding == "zeros", ErrorCode::invalid_model,
            "padding_mode is {}, it must be zeros, border or reflection", quoted(padding));
  }
  return rule;
}

constexpr int64_t kMostTaps = 4096;  // of one output position

// x [N, C, D1, ..., Dr], grid [N, O1, ..., Or, r] -> [N, C, O1, ..., Or]
void infer_grid_sample(InferContext& context) {
  const DataType type = context.input_type(0);
  const SampleRule rule = rule_of(context.attributes(), context.def());
  const bool interpolates = rule.mode != SampleMode::nearest;
  require(!interpolates || type != DataType::string, ErrorCode::unsupported, "interpolation of strings");
  const auto &x = context.input_shape(0), &grid = context.input_shape(1);
  for (const auto* shape : {&x, &grid}) {
    require(!*shape || (*shape)->rank() >= 3, ErrorCode::invalid_model,
            "an input is of rank {}, at least 3 is needed", *shape ? (*shape)->rank() : 0);
    require(!*shape || context.def().since != 16 || (*shape)->rank() == 4, ErrorCode::invalid_model,
            "an input is of rank {}, before opset 20 it must be 4", *shape ? (*shape)->rank() : 0);
  }
  if (!x && !grid) return context.set_output(0, type, std::nullopt);
  const int rank = x ? x->rank() : grid->rank();
  std::vector<Dim> out(static_cast<size_t>(rank));
  if (x) {
    out[0] = (*x)[0];
    out[1] = (*x)[1];
  }
  if (grid) {
    require(grid->rank() == rank, ErrorCode::invalid_model, "the input is of rank {}, the grid of rank {}",
            rank, grid->rank());
    const Dim& axes = (*grid)[rank - 1];
    require(!axes.is_known() || axes.value() == rank - 2, ErrorCode::invalid_model,
            "the grid has positions of {} coordinates for {} spatial axes", to_string(axes), rank - 2);
    out[0] = merge(out[0], (*grid)[0]);
    for (int d = 1; d + 1 < rank; ++d) out[static_cast<size_t>(d + 1)] = (*grid)[d];
  }
  int64_t taps = 1;
  for (int d = 2; d < rank && taps <= kMostTaps; ++d) taps *= rule.taps_per_axis();
  require(taps <= kMostTaps, ErrorCode::unsupported, "interpolation along {} axes", rank - 2);
  context.set_output(0, type, Shape(std::move(out)));
}

// Calls apply(taps, offset of the input's first element, offset of the output's, positions) for parts of the
// output positions of every channel.
template <class C, class Apply>
void for_each_part(const Tensor& x, const Tensor& grid, const Tensor& out, const SampleRule& rule,
                   const Apply& apply) {
  constexpr int64_t kPart = 256;
  const int64_t channels = x.dim(1), axes_count = x.rank() - 2;
  const int64_t plane = x.size() / (x.dim(0) * channels), positions = out.size() / (out.dim(0) * channels);
  const Dims strides = strides_of(x.dims());
  std::vector<SampleAxis<C>> axes;
  for (size_t d = 2; d < strides.size(); ++d) axes.emplace_back(x.dims()[d], strides[d], rule);
  const C* coordinates = grid.data<C>();
  const int64_t parts = (positions + kPart - 1) / kPart;
  parallel_for(x.dim(0) * parts, 1, [&](int64_t begin, int64_t end) {
    SampleTaps<C> taps{.taps_per_axis = rule.taps_per_axis()};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / parts, first = i % parts * kPart, count = std::min(kPart, positions - first);
      taps.clear();
      for (int64_t p = 0; p < count; ++p)
        taps.add(axes, coordinates + (n * positions + first + p) * axes_count);
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t map = n * channels + c;
        apply(taps, map * plane, map * positions + first, count);
      }
    }
  });
}

// Types as wide as double are summed as double, others as float.
template <class T>
using SumType = std::conditional_t<
    std::is_same_v<T, std::complex<double>> || std::is_same_v<T, std::complex<float>>, T,
    std::conditional_t<std::is_same_v<T, double> || (std::is_integral_v<T> && sizeof(T) >= 4), double,
                       float>>;

template <class T, class Sum>
T from_sum(Sum sum) {
  if constexpr (std::is_same_v<T, bool>) {
    return sum != 0;
  } else if constexpr (std::is_integral_v<T>) {
    return to_integer<T>(sum);
  } else {
    return static_cast<T>(sum);
  }
}

void evaluate_grid_sample(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  Tensor& out = context.output();
  const SampleRule rule = rule_of(context.attributes(), context.def());
  if (out.size() == 0) return;
  require(x.size() > 0, ErrorCode::invalid_argument, "an input of shape {} has nothing to sample",
          to_string(x.dims()));
  const bool wide = context.input(1).type() == DataType::float64;
  const Tensor grid = cast_tensor(context.input(1), wide ? DataType::float64 : DataType::float32);
  const auto sample = [&]<class C>(std::type_identity<C>) {
    if (rule.mode == SampleMode::nearest) {
      return dispatch_by_size(x.type(), [&]<class T>(std::type_identity<T>) {
        const T* from = static_cast<const T*>(x.raw());
        T* to = static_cast<T*>(out.mutable_raw());
        for_each_part<C>(
            x, grid, out, rule,
            [&](const SampleTaps<C>& taps, int64_t in_offset, int64_t out_offset, int64_t count) {
              int64_t i = 0;
              for (int64_t p = 0; p < count; ++p) {
                const int64_t end = taps.ends[static_cast<size_t>(p)];
                to[out_offset + p] = i < end ? from[in_offset + taps.offsets[static_cast<size_t>(i)]] : T();
                i = end;
              }
            });
      });
    }
    using Types = JoinLists<NumericAndBoolTypes, TypeList<std::complex<float>, std::complex<double>>>;
    dispatch<Types>(x.type(), [&]<class T>(std::type_identity<T>) {
      using Sum = SumType<T>;
      const T* from = x.data<T>();
      T* to = out.mutable_data<T>();
      for_each_part<C>(x, grid, out, rule,
                       [&](const SampleTaps<C>& taps, int64_t in_offset, int64_t out_offset, int64_t count) {
                         const T* plane = from + in_offset;
                         const int64_t* offsets = taps.offsets.data();
                         const C* weights = taps.weights.data();
                         int64_t i = 0;
                         for (int64_t p = 0; p < count; ++p) {
                           Sum sum{};
                           for (const int64_t end = taps.ends[static_cast<size_t>(p)]; i < end; ++i) {
                             // Of real numbers and weights, in the wider type.
                             if constexpr (std::is_arithmetic_v<Sum>) {
                               sum += static_cast<Sum>(plane[offsets[i]]) * static_cast<Sum>(weights[i]);
                             } else {
                               sum += plane[offsets[i]] * static_cast<typename Sum::value_type>(weights[i]);
                             }
                           }
                           to[out_offset + p] = from_sum<T>(sum);
                         }
                       });
    });
  };
  if (wide) {
    sample(std::type_identity<double>{});
  } else {
    sample(std::type_identity<float>{});
  }
}

}  // namespace

std::vector<OpDef> grid_sample_ops() {
  const OpDef def{
      .name = "GridSample",
      .min_inputs = 2,
      .max_inputs = 2,
      .input_types = {types::kNumeric | types::kBool | types::kString | types::kComplex, types::kFloat},
      .infer = infer_grid_sample,
      .evaluate = evaluate_grid_sample};
  const auto attributes = [](std::string_view mode) {
    return std::vector<AttributeDef>{{"align_corners", AttributeType::int_, int64_t{0}},
                                     {"mode", AttributeType::string, mode},
                                     {"padding_mode", AttributeType::string, std::string_view("zeros")}};
  };
  return {for_versions(def, 16, 19, attributes("bilinear")),
          for_versions(def, 20, kLatestOpset, attributes("linear"))};
}

}  // namespace plica
