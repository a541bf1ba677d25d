#include "passes/fold/quantized_weight.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/fail.h"
#include "engine/ops/cast.h"
#include "engine/ops/quantization.h"
#include "passes/constants.h"
#include "passes/fold/folded_name.h"

namespace plica {
namespace {

std::vector<int64_t> to_integers(const Tensor& tensor) {
  const Tensor wide = cast_tensor(tensor, DataType::int64);
  const auto values = wide.values<int64_t>();
  return {values.begin(), values.end()};
}

bool is_supported(DataType type) {
  return type == DataType::int8 || type == DataType::uint8 || type == DataType::int32;
}

Skip unknown_kind(const Node& node, std::string_view what) {
  return {fmt::format("its weight is quantized by {}, {}", describe(node), what),
          "fold before the model is quantized", &node};
}

// A DequantizeLinear of new constants, with a scale for each position of the axis.
Operand add_dequantize(const QuantizedTensor& old, Tensor values, std::vector<double> scales,
                       std::optional<Tensor> zero_points, int axis, const std::string& name,
                       const Node& before, Patch& patch) {
  const auto count = static_cast<int64_t>(scales.size());
  Rounded rounded = round_rows(scales, count, old.scale.type(), {count});
  std::vector<Operand> inputs = {
      patch.add_constant(folded_name(name), std::move(values), before),
      patch.add_constant(folded_name(name + "_scale"), std::move(rounded.tensor), before)};
  if (zero_points)
    inputs.push_back(patch.add_constant(folded_name(name + "_zero_point"), *std::move(zero_points), before));
  Attributes attributes = old.node ? old.node->attributes() : Attributes();
  attributes.set("axis", static_cast<int64_t>(axis));
  const bool alone = old.node && old.node->output(0)->has_single_use();
  return patch.add_node({.op_type = "DequantizeLinear",
                         .output_base_name = folded_name(name + "_dequantized"),
                         .inputs = std::move(inputs),
                         .attributes = std::move(attributes),
                         .before = &before,
                         .like = alone ? old.node : nullptr});
}

// The scales as they will be stored.
std::vector<double> stored(const std::vector<double>& scales, DataType type) {
  const auto count = static_cast<int64_t>(scales.size());
  return to_doubles(round_rows(scales, count, type, {count}).tensor);
}

}  // namespace

std::vector<double> QuantizedTensor::dequantized() const {
  const std::vector<int64_t> integers = to_integers(values);
  int64_t inner = 1;
  for (int i = axis + 1; i < values.rank(); ++i) inner *= values.dim(i);
  const int64_t length = values.rank() > axis ? values.dim(axis) : 1;
  std::vector<double> out;
  out.reserve(integers.size());
  for (size_t i = 0; i < integers.size(); ++i) {
    const auto at = per_axis() ? static_cast<size_t>(static_cast<int64_t>(i) / inner % length) : 0;
    out.push_back(static_cast<double>(integers[i] - zero_points[at]) * scales[at]);
  }
  return out;
}

std::variant<NoMatch, Skip, QuantizedTensor> read_quantized(const Value* value, const RuleContext& context) {
  const Node* node = value ? value->producer() : nullptr;
  if (!node || !node->is("DequantizeLinear") || has_attribute_references(*node)) return NoMatch{};
  QuantizedTensor q;
  q.node = node;
  auto values = constant_input(*node, 0, "quantized weight", context);
  auto scale = constant_input(*node, 1, "scale", context);
  for (auto* part : {&values, &scale}) {
    if (auto* skip = std::get_if<Skip>(part)) return *std::move(skip);
  }
  q.values = std::get<Constant>(values).tensor;
  q.scale = std::get<Constant>(scale).tensor;
  if (!is_supported(q.values.type()))
    return unknown_kind(*node, fmt::format("from {}", to_string(q.values.type())));
  if (!is_foldable_type(q.scale.type())) return unknown_kind(*node, "with scales that are no floats");
  if (context.facts.of(value).type.element != q.scale.type())
    return unknown_kind(*node, "to another type than its scale");
  const QuantizationLayout layout =
      quantization_layout(AttributeReader(*node), q.values.dims(), q.scale.dims());
  if (layout.granularity == QuantizationLayout::Granularity::block) return unknown_kind(*node, "in blocks");
  q.axis = layout.axis;
  q.scales = to_doubles(q.scale);
  q.zero_points.assign(q.scales.size(), 0);
  if (node->has_input(2)) {
    auto zero_point = constant_input(*node, 2, "zero point", context);
    if (auto* skip = std::get_if<Skip>(&zero_point)) return *std::move(skip);
    q.zero_points = to_integers(std::get<Constant>(zero_point).tensor);
    if (q.zero_points.size() != q.scales.size()) return unknown_kind(*node, "with odd zero points");
  }
  return q;
}

std::variant<Skip, QuantizedWeight> scale_quantized(const QuantizedTensor& weight, const WeightView& view,
                                                    int output_axis, std::span<const double> factors,
                                                    Patch& patch) {
  const Node& node = *weight.node;
  if (weight.per_axis() && weight.axis != output_axis)
    return unknown_kind(node, "with scales along another axis than that of the output channels");
  if (!view.output_first && view.outer != 1) return unknown_kind(node, "and its groups share scales");
  if (node.opset() < 13)
    return unknown_kind(node, "whose opset has no scale for each channel (13 and later have)");
  const auto channels = static_cast<size_t>(view.outputs());
  const int64_t lowest = weight.values.type() == DataType::int8 ? -128 : 0,
                highest = weight.values.type() == DataType::int8 ? 127 : 255;
  if (weight.values.type() == DataType::int32) return unknown_kind(node, "from int32");

  QuantizedWeight result;
  result.rounding.error.assign(channels, 0);
  result.rounding.reach.assign(channels, 0);
  std::vector<double> exact(channels);
  std::vector<int64_t> zero_points(channels);
  for (size_t c = 0; c < channels; ++c) {
    const size_t at = weight.per_axis() ? c : 0;
    zero_points[c] = weight.zero_points[at];
    exact[c] = factors[c] == 0 ? weight.scales[at] : weight.scales[at] * std::abs(factors[c]);
  }
  result.scales = stored(exact, weight.scale.type());
  for (size_t c = 0; c < channels; ++c) {
    if (!(result.scales[c] > 0) || !std::isfinite(result.scales[c])) {
      return Skip{fmt::format("in channel {} the scale of {} would be {:g}", c, describe(node), exact[c]),
                  "fold before the model is quantized", &node};
    }
  }
  std::vector<int64_t> integers = to_integers(weight.values);
  const auto output_stride = static_cast<size_t>(view.output_first ? view.second * view.inner : view.inner);
  for (size_t i = 0; i < integers.size(); ++i) {
    const size_t c = i / output_stride % channels;
    int64_t& v = integers[i];
    if (factors[c] == 0) v = zero_points[c];
    if (factors[c] < 0) v = 2 * zero_points[c] - v;
    if (v < lowest || v > highest) {
      return Skip{
          fmt::format("the factor of channel {} is negative, and a weight of {} has no opposite in {}", c,
                      describe(node), to_string(weight.values.type())),
          "fold before the model is quantized", &node};
    }
    const double magnitude = std::abs(static_cast<double>(v - zero_points[c]));
    result.rounding.error[c] += magnitude * std::abs(result.scales[c] - exact[c]);
    result.rounding.reach[c] += magnitude * exact[c];
  }
  const Tensor values = cast_tensor(Tensor::of(integers, weight.values.dims()), weight.values.type());
  std::optional<Tensor> zero_point;
  if (node.has_input(2)) {
    zero_point = cast_tensor(Tensor::of(zero_points, {static_cast<int64_t>(channels)}), weight.values.type());
  }
  result.operand = add_dequantize(weight, values, exact, std::move(zero_point), output_axis,
                                  node.input(0)->name(), node, patch);
  return result;
}

std::variant<Skip, QuantizedWeight> quantize_bias(std::span<const double> bias,
                                                  std::span<const double> scales, DataType scale_type,
                                                  const Node& linear, const Node* like, Patch& patch) {
  QuantizedTensor old;
  old.node = like;
  old.scale = Tensor(scale_type, {});
  QuantizedWeight result;
  result.scales = stored({scales.begin(), scales.end()}, scale_type);
  std::vector<int32_t> integers;
  for (size_t c = 0; c < bias.size(); ++c) {
    const double q = std::nearbyint(bias[c] / result.scales[c]);
    if (!(std::abs(q) <= std::numeric_limits<int32_t>::max())) {
      return Skip{fmt::format("in channel {} the bias of {} would be {:g}, beyond an int32 of scale {:g}", c,
                              describe(linear), bias[c], result.scales[c]),
                  "fold before the model is quantized", &linear};
    }
    integers.push_back(static_cast<int32_t>(q));
    result.rounding.error.push_back(std::abs(q * result.scales[c] - bias[c]));
    result.rounding.reach.push_back(std::abs(bias[c]));
  }
  const std::string name = like ? like->input(0)->name() : label_of(linear) + "_bias";
  result.operand = add_dequantize(old, Tensor::of(integers, {static_cast<int64_t>(integers.size())}),
                                  {scales.begin(), scales.end()}, std::nullopt, 0, name, linear, patch);
  return result;
}

}  // namespace plica
