// Resize and Upsample: https://onnx.ai/onnx/operators/onnx__Resize.html. Here is what the node says; how to
// interpolate is in interpolation.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/interpolation.h"
#include "engine/ops/layout.h"
#include "engine/ops/table.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

bool is_upsample(const OpDef& def) { return def.name == "Upsample"; }
// Resize since opset 11: coordinate modes, roi, sizes.
bool is_modern(const OpDef& def) { return !is_upsample(def) && def.since >= 11; }

// ---- attributes

Coordinates coordinates_of(const std::string& name, const OpDef& def) {
  if (name == "half_pixel") return Coordinates::half_pixel;
  if (name == "pytorch_half_pixel") return Coordinates::pytorch_half_pixel;
  if (name == "align_corners") return Coordinates::align_corners;
  if (name == "asymmetric") return Coordinates::asymmetric;
  if (name == "tf_crop_and_resize") return Coordinates::tf_crop_and_resize;
  if (name == "tf_half_pixel_for_nn" && def.until < 13) return Coordinates::tf_half_pixel_for_nn;
  if (name == "half_pixel_symmetric" && def.since >= 18) return Coordinates::half_pixel_symmetric;
  fail(ErrorCode::invalid_model, "coordinate_transformation_mode {} is not known", quoted(name));
}

Nearest nearest_of(const std::string& name) {
  if (name == "round_prefer_floor") return Nearest::round_prefer_floor;
  if (name == "round_prefer_ceil") return Nearest::round_prefer_ceil;
  if (name == "floor") return Nearest::floor;
  if (name == "ceil") return Nearest::ceil;
  fail(ErrorCode::invalid_model, "nearest_mode {} is not known", quoted(name));
}

InterpolationRule rule_of(const AttributeReader& attributes, const OpDef& def) {
  using Mode = InterpolationRule::Mode;
  InterpolationRule rule;
  const std::string mode = attributes.s("mode");
  if (mode == "nearest")
    rule.mode = Mode::nearest;
  else if (mode == "linear" || (is_upsample(def) && mode == "bilinear"))
    rule.mode = Mode::linear;
  else if (mode == "cubic" && is_modern(def))
    rule.mode = Mode::cubic;
  else
    fail(ErrorCode::invalid_model, "mode {} is not known", quoted(mode));
  if (!is_modern(def)) {
    rule.coordinates = Coordinates::asymmetric;
    rule.nearest = Nearest::simple;
    return rule;
  }
  rule.coordinates = coordinates_of(attributes.s("coordinate_transformation_mode"), def);
  rule.nearest = nearest_of(attributes.s("nearest_mode"));
  rule.cubic_coefficient = attributes.f("cubic_coeff_a");
  rule.exclude_outside = attributes.i("exclude_outside") != 0;
  rule.antialias = def.since >= 18 && attributes.i("antialias") != 0;
  return rule;
}

// ---- scales and sizes

// Of the axes that are resized, in their order. Exactly one of them is present, though its values may not be
// known yet.
struct Target {
  bool has_scales = false, has_sizes = false;
  std::optional<std::vector<float>> scales;
  std::optional<std::vector<Dim>> sizes;
};

// The tensor of an input: null when it is left out, empty (as opset 11 has it) or not known.
const Tensor* tensor_of(const InferContext& context, int i) { return context.input_constant(i); }
const Tensor* tensor_of(const EvaluateContext& context, int i) { return context.maybe_input(i); }

bool is_given(const InferContext& context, int i) {
  if (!context.has_input(i)) return false;
  const auto& shape = context.input_shape(i);
  return !(shape && shape->rank() == 1 && (*shape)[0].is_known() && (*shape)[0].value() == 0);
}
bool is_given(const EvaluateContext& context, int i) {
  return context.has_input(i) && context.input(i).size() != 0;
}

std::optional<std::vector<Dim>> elements_of(const InferContext& context, int i) {
  const auto* elements = context.input_elements(i);
  return elements ? std::optional(*elements) : std::nullopt;
}
std::optional<std::vector<Dim>> elements_of(const EvaluateContext& context, int i) {
  const Dims values = *ints_of_input(context, i);
  return std::vector<Dim>(values.begin(), values.end());
}

template <class Context>
Target target_of(const Context& context) {
  const OpDef& def = context.def();
  const AttributeReader& attributes = context.attributes();
  Target t;
  if (is_upsample(def) && def.until < 9) {
    t.has_scales = true;
    if (def.since >= 7)
      t.scales = attributes.floats("scales");
    else
      t.scales = {1, 1, attributes.f("height_scale"), attributes.f("width_scale")};
  } else {
    const int input = is_modern(def) ? 2 : 1;
    t.has_scales = is_given(context, input);
    t.has_sizes = is_modern(def) && is_given(context, 3);
    require(t.has_scales || t.has_sizes, ErrorCode::invalid_model, "neither scales nor sizes are given");
    require(!t.has_scales || !t.has_sizes, ErrorCode::invalid_model, "both scales and sizes are given");
    if (const Tensor* values = t.has_scales ? tensor_of(context, input) : nullptr) {
      require(values->rank() == 1, ErrorCode::invalid_model, "scales has rank {}, it must be a vector",
              values->rank());
      const auto v = values->template values<float>();
      t.scales.emplace(v.begin(), v.end());
    }
    if (t.has_sizes) t.sizes = elements_of(context, 3);
  }
  if (t.scales) {
    for (float s : *t.scales) {
      require(std::isfinite(s) && s > 0, ErrorCode::invalid_model, "a scale is {}, it must be positive", s);
      require(s >= 1 || !is_upsample(def), ErrorCode::invalid_model, "a scale is {}, at least 1 is needed",
              s);
    }
  }
  if (t.sizes) {
    for (const Dim& s : *t.sizes) {
      require(!s.is_known() || s.value() >= 0, ErrorCode::invalid_model, "sizes contains {}", to_string(s));
    }
  }
  return t;
}

// The axes that scales and sizes stand for, in their order.
std::vector<int> resized_axes(const AttributeReader& attributes, const OpDef& def, int rank) {
  std::vector<int> axes;
  const auto given = def.since >= 18 ? attributes.maybe_ints("axes") : std::nullopt;
  if (given) {
    normalize_axes(*given, rank);  // each at most once
    for (int64_t axis : *given) axes.push_back(normalize_axis(axis, rank));
  } else {
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  }
  return axes;
}

void require_count(size_t count, size_t axes, std::string_view what) {
  require(count == axes, ErrorCode::invalid_model, "{} has {} values for {} axes", what, count, axes);
}

// floor(input * scale), in float as exporters and other runtimes compute it.
int64_t scaled_size(int64_t input, float scale) {
  const float size = std::floor(static_cast<float>(input) * scale);
  require(size < 0x1p62f, ErrorCode::limit, "an axis of {} scaled by {} is too large", input, scale);
  return static_cast<int64_t>(size);
}

// With keep_aspect_ratio_policy, one scale for all resized axes; nullopt: each has its own.
std::optional<double> common_scale(const AttributeReader& attributes, const OpDef& def, const Dims& input,
                                   const std::vector<int>& axes, const Dims& sizes) {
  if (def.since < 18) return std::nullopt;
  const std::string policy = attributes.s("keep_aspect_ratio_policy");
  if (policy == "stretch") return std::nullopt;
  const bool smaller = policy == "not_larger";
  require(smaller || policy == "not_smaller", ErrorCode::invalid_model,
          "keep_aspect_ratio_policy {} is not known", quoted(policy));
  double scale = smaller ? std::numeric_limits<double>::infinity() : 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t size = input[static_cast<size_t>(axes[i])];
    require(size > 0, ErrorCode::invalid_model, "an empty axis has no aspect ratio to keep");
    const double own = static_cast<double>(sizes[i]) / static_cast<double>(size);
    scale = smaller ? std::min(scale, own) : std::max(scale, own);
  }
  return scale;
}

int64_t round_size(double size) {
  require(size < 0x1p62, ErrorCode::limit, "an axis is to be resized to {} elements", size);
  return static_cast<int64_t>(std::floor(size + 0.5));
}

std::vector<AxisGeometry> geometry_of(const AttributeReader& attributes, const OpDef& def, const Dims& input,
                                      const Target& target) {
  std::vector<AxisGeometry> geometry;
  for (int64_t size : input) geometry.push_back({size, size, 1, static_cast<double>(size)});
  const std::vector<int> axes = resized_axes(attributes, def, static_cast<int>(input.size()));
  if (target.scales) {
    require_count(target.scales->size(), axes.size(), "scales");
    for (size_t i = 0; i < axes.size(); ++i) {
      AxisGeometry& axis = geometry[static_cast<size_t>(axes[i])];
      const float scale = (*target.scales)[i];
      axis.output = scaled_size(axis.input, scale);
      axis.scale = scale;
      axis.length = axis.scale * static_cast<double>(axis.input);
    }
  } else {
    const Dims sizes = *Shape(*target.sizes).known();
    require_count(sizes.size(), axes.size(), "sizes");
    const auto common = common_scale(attributes, def, input, axes, sizes);
    for (size_t i = 0; i < axes.size(); ++i) {
      AxisGeometry& axis = geometry[static_cast<size_t>(axes[i])];
      const double size = static_cast<double>(axis.input);
      axis.output = common ? round_size(*common * size) : sizes[i];
      axis.scale = common.value_or(static_cast<double>(sizes[i]) / size);
      axis.length = common ? *common * size : static_cast<double>(sizes[i]);
    }
  }
  for (const AxisGeometry& axis : geometry) {
    require(axis.input > 0 || axis.output == 0, ErrorCode::invalid_model,
            "an empty axis cannot be resized to {} elements", axis.output);
  }
  return geometry;
}

// ---- inference

void infer_resize(InferContext& context) {
  const OpDef& def = context.def();
  const AttributeReader& attributes = context.attributes();
  const InterpolationRule rule = rule_of(attributes, def);
  require(rule.coordinates != Coordinates::tf_crop_and_resize || is_given(context, 1),
          ErrorCode::invalid_model, "tf_crop_and_resize needs a roi");
  const DataType type = context.input_type(0);
  require(rule.mode == InterpolationRule::Mode::nearest || type == DataType::undefined ||
              types::kNumeric.contains(type),
          ErrorCode::unsupported, "element type {} cannot be interpolated", to_string(type));
  const auto& in = context.input_shape(0);
  const Target target = target_of(context);
  if (!in) return context.set_output(0, type, std::nullopt);
  require(!is_upsample(def) || def.since >= 7 || in->rank() == 4, ErrorCode::invalid_model,
          "the input has rank {}, it must be 4", in->rank());
  const auto dims = in->known();
  Shape out = *in;
  if (dims && (target.scales || (target.sizes && Shape(*target.sizes).is_known()))) {
    const auto geometry = geometry_of(attributes, def, *dims, target);
    for (int i = 0; i < in->rank(); ++i) out[i] = geometry[static_cast<size_t>(i)].output;
    return context.set_output(0, type, std::move(out));
  }
  const std::vector<int> axes = resized_axes(attributes, def, in->rank());
  if (target.scales) require_count(target.scales->size(), axes.size(), "scales");
  if (target.sizes) require_count(target.sizes->size(), axes.size(), "sizes");
  const bool stretched = def.since < 18 || attributes.s("keep_aspect_ratio_policy") == "stretch";
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = out[axes[i]];
    if (target.scales) {
      const float scale = (*target.scales)[i];
      if (dim.is_known())
        dim = scaled_size(dim.value(), scale);
      else if (scale != 1)
        dim = Dim();
    } else {
      dim = target.sizes && stretched ? (*target.sizes)[i] : Dim();
    }
  }
  context.set_output(0, type, std::move(out));
}

// ---- evaluation

void read_roi(const EvaluateContext& context, std::vector<AxisGeometry>& geometry) {
  const Tensor roi = cast_tensor(context.input(1), DataType::float64);
  const std::vector<int> axes =
      resized_axes(context.attributes(), context.def(), static_cast<int>(geometry.size()));
  require(roi.rank() == 1 && roi.size() == static_cast<int64_t>(2 * axes.size()), ErrorCode::invalid_model,
          "roi is {}, {} values are needed", to_string(roi), 2 * axes.size());
  const auto values = roi.values<double>();
  for (size_t i = 0; i < axes.size(); ++i) {
    require(std::isfinite(values[i]) && std::isfinite(values[axes.size() + i]), ErrorCode::invalid_argument,
            "roi is not finite");
    geometry[static_cast<size_t>(axes[i])].start = values[i];
    geometry[static_cast<size_t>(axes[i])].end = values[axes.size() + i];
  }
}

// Integers are interpolated in double and rounded to nearest.
void interpolate_integers(const Tensor& in, const std::vector<AxisTable>& axes, double extrapolation,
                          Tensor& out) {
  Tensor result(DataType::float64, out.dims());
  interpolate(cast_tensor(in, DataType::float64), axes, extrapolation, result);
  for (double& v : result.mutable_values<double>()) v = std::nearbyint(v);
  cast_elements(result, out);
}

void evaluate_resize(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const InterpolationRule rule = rule_of(context.attributes(), context.def());
  std::vector<AxisGeometry> geometry =
      geometry_of(context.attributes(), context.def(), in.dims(), target_of(context));
  Dims dims;
  for (const AxisGeometry& axis : geometry) dims.push_back(axis.output);
  Tensor& out = context.allocate(0, in.type(), std::move(dims));
  if (out.size() == 0) return;
  if (rule.coordinates == Coordinates::tf_crop_and_resize) read_roi(context, geometry);
  std::vector<AxisTable> axes;
  const std::vector<int> resized = resized_axes(context.attributes(), context.def(), in.rank());
  for (size_t i = 0; i < geometry.size(); ++i) {
    const bool is_resized = std::ranges::find(resized, static_cast<int>(i)) != resized.end();
    // Other axes stay as they are, whatever the coordinates.
    axes.push_back(make_axis_table(geometry[i], is_resized ? rule : InterpolationRule{}));
  }
  const float extrapolation = is_modern(context.def()) ? context.attributes().f("extrapolation_value") : 0;
  if (rule.mode == InterpolationRule::Mode::nearest) {
    const bool numeric = types::kNumeric.contains(in.type()) || in.type() == DataType::boolean;
    gather_nearest(
        in, axes,
        numeric ? cast_tensor(Tensor::scalar(extrapolation), in.type()) : Tensor::zeros(in.type(), {}), out);
  } else if (is_integer(in.type())) {
    interpolate_integers(in, axes, extrapolation, out);
  } else {
    compute_widened({&in}, out,
                    [&](const auto& wide, Tensor& y) { interpolate(*wide[0], axes, extrapolation, y); });
  }
}

std::vector<OpDef> make_table() {
  // Nearest moves elements of any type of at least a byte.
  const TypeSet movable = types::kNumeric | types::kBool | types::kString | types::kComplex;
  const TypeSet floats = {DataType::float32};
  const AttributeDef mode{"mode", AttributeType::string, std::string_view("nearest")};
  std::vector<OpDef> ops;
  ops.push_back({.name = "Upsample",
                 .until = 6,
                 .input_types = {movable},
                 .attributes = {mode,
                                {"height_scale", AttributeType::float_, Required{}},
                                {"width_scale", AttributeType::float_, Required{}}},
                 .infer = infer_resize,
                 .evaluate = evaluate_resize});
  ops.push_back({.name = "Upsample",
                 .since = 7,
                 .until = 8,
                 .input_types = {movable},
                 .attributes = {mode, {"scales", AttributeType::floats, Required{}}},
                 .infer = infer_resize,
                 .evaluate = evaluate_resize});
  ops.push_back({.name = "Upsample",
                 .since = 9,
                 .until = 9,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {movable, floats},
                 .attributes = {mode},
                 .infer = infer_resize,
                 .evaluate = evaluate_resize});
  OpDef resize{.name = "Resize",
               .since = 10,
               .until = 10,
               .min_inputs = 2,
               .max_inputs = 2,
               .input_types = {movable, floats},
               .attributes = {mode},
               .infer = infer_resize,
               .evaluate = evaluate_resize};
  ops.push_back(resize);
  resize.since = 11;
  resize.until = 12;
  resize.min_inputs = 1;  // (roi and scales may be left out since opset 13 only, but exporters did before)
  resize.max_inputs = 4;
  resize.input_types = {movable, types::kFloat, floats, types::kInt64};
  resize.attributes = {
      mode,
      {"coordinate_transformation_mode", AttributeType::string, std::string_view("half_pixel")},
      {"cubic_coeff_a", AttributeType::float_, -0.75f},
      {"exclude_outside", AttributeType::int_, int64_t{0}},
      {"extrapolation_value", AttributeType::float_, 0.0f},
      {"nearest_mode", AttributeType::string, std::string_view("round_prefer_floor")}};
  ops.push_back(resize);
  resize.since = 13;
  resize.until = 17;
  ops.push_back(resize);
  resize.since = 18;
  resize.until = kLatestOpset;
  resize.attributes.push_back({"antialias", AttributeType::int_, int64_t{0}});
  resize.attributes.push_back({"axes", AttributeType::ints, Optional{}});
  resize.attributes.push_back(
      {"keep_aspect_ratio_policy", AttributeType::string, std::string_view("stretch")});
  ops.push_back(resize);
  return ops;
}

}  // namespace

std::span<const OpDef> resize_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
