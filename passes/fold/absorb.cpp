// Affines into linear operators: the algebra is in linear_op.h.
#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/conv_geometry.h"
#include "engine/ops/evaluate.h"
#include "passes/constants.h"
#include "passes/fold/error_bound.h"
#include "passes/fold/folded_name.h"
#include "passes/fold/linear_op.h"

namespace plica {
namespace {

using Kind = LinearOp::Kind;

constexpr double kUnit = ErrorBound::kUnit;

Skip out_of_range(const Node& node, std::string_view what, int64_t channel, DataType type) {
  return {fmt::format("in channel {} the {} of {} would not be a finite {}", channel, what, describe(node),
                      to_string(type)),
          "keep this model in a type of larger range, or recalibrate the running statistics", &node};
}

Skip not_by_channel(const LinearOp& linear, const Affine& affine, int axis_from_last, int64_t channels) {
  const bool elsewhere = [&] {
    for (int i = 0; i < affine.rank(); ++i) {
      if (affine.dims[static_cast<size_t>(i)] != 1 && affine.rank() - 1 - i != axis_from_last) return true;
    }
    return false;
  }();
  if (elsewhere) {
    return {fmt::format("its factors, of shape {}, differ along other axes than the channels of {}",
                        to_string(affine.dims), describe(*linear.node)),
            "", linear.node};
  }
  return {fmt::format("it has {} channels, but {} has {}", affine.size(), describe(*linear.node), channels),
          "", linear.node};
}

// Whether new constants of this many bytes still fit the budget, when the old ones stay.
std::optional<Skip> grow(Patch& patch, int64_t bytes, const Node& node, const RuleContext& context) {
  if (checked_add(patch.growth_bytes, bytes) > context.growth_left) {
    return Skip{fmt::format("{} needs a new weight beside the one there is, which would pass the limit for "
                            "new constants",
                            describe(node)),
                "raise the limit for constants", &node};
  }
  patch.growth_bytes += bytes;
  return std::nullopt;
}

// The scaled weight, as a constant of the patch. Nothing where the scale is 1.
std::variant<Skip, std::optional<Operand>> scaled_weight(const LinearOp& linear,
                                                         std::span<const double> output,
                                                         std::span<const double> input,
                                                         const RuleContext& context, Patch& patch,
                                                         ErrorBound& bound) {
  const auto is_one = [](double s) { return s == 1; };
  if (std::ranges::all_of(output, is_one) && std::ranges::all_of(input, is_one)) return std::nullopt;
  const Value& root = *linear.weight_root;
  if (!linear.weight_is_stored || root.uses().size() > 1 || root.is_graph_output()) {
    if (auto skip = grow(patch, static_cast<int64_t>(linear.weight.bytes()), *linear.node, context))
      return *skip;
  }
  Rounded weight = scale_weight(linear.weight, linear.view, output, input, context.measure);
  if (weight.overflow >= 0) return out_of_range(*linear.node, "weight", weight.overflow, linear.type);
  patch.flushed += weight.flushed;
  bound.add(weight, 0);
  return patch.add_constant(folded_name(root.name()), std::move(weight.tensor), *linear.node);
}

// The bias, rounded, as a constant of the patch. `slack`: how far the values may be from exact.
std::variant<Skip, Operand> rounded_bias(const LinearOp& linear, std::span<const double> bias, int64_t rows,
                                         double slack, Patch& patch, ErrorBound& bound) {
  const int64_t channels = linear.view.outputs();
  const Dims dims = rows == 1 ? Dims{channels} : Dims{rows, channels};
  Rounded rounded = round_rows(bias, channels, linear.type, dims);
  if (rounded.overflow >= 0) return out_of_range(*linear.node, "bias", rounded.overflow, linear.type);
  patch.flushed += rounded.flushed;
  bound.add(rounded, slack);
  const std::string name = linear.bias_name.empty() ? label_of(*linear.node) + "_bias" : linear.bias_name;
  return patch.add_constant(folded_name(name), std::move(rounded.tensor), *linear.node);
}

void set_bias(const LinearOp& linear, Operand bias, int64_t rows, Patch& patch) {
  patch.set_input(linear.node, 2, bias);
  if (linear.kind != Kind::gemm) return;
  patch.remove_attribute(linear.node, "beta");  // 1 by default: it is in the bias now
  // Up to opset 6, C broadcasts only when asked to.
  if (linear.node->opset() < 7 && rows == 1) {
    Attribute broadcast;
    broadcast.name = "broadcast";
    broadcast.value = int64_t{1};
    patch.set_attribute(linear.node, std::move(broadcast));
  }
}

// scale * b + shift, and how far the values may be from exact.
struct ShiftedBias {
  std::vector<double> values;
  double slack = 0;
};
ShiftedBias shifted_bias(const LinearOp& linear, const Affine& factors) {
  const auto channels = factors.size();
  ShiftedBias bias{linear.bias};
  if (bias.values.empty()) bias.values.assign(channels, 0.0);
  for (size_t i = 0; i < bias.values.size(); ++i) {
    const size_t c = i % channels;
    const double scaled = factors.scale[c] * bias.values[i];
    bias.values[i] = scaled + factors.shift[c];
    bias.slack = std::max(bias.slack,
                          factors.shift_error[c] + kUnit * (5 * std::abs(scaled) + std::abs(bias.values[i])));
  }
  return bias;
}

// ---- quantized weights

std::variant<Skip, QuantizedWeight> quantized_weight(const LinearOp& linear, const Affine& factors,
                                                     const RuleContext& context, Patch& patch) {
  const QuantizedTensor& weight = *linear.quantized_weight;
  if (weight.node->input(0)->uses().size() > 1 || weight.node->output(0)->uses().size() > 1) {
    if (auto skip = grow(patch, static_cast<int64_t>(weight.values.bytes()), *linear.node, context))
      return *skip;
  }
  const int axis = linear.view.output_first ? 0 : linear.is_convolution() ? 1 : weight.values.rank() - 1;
  return scale_quantized(weight, linear.view, axis, factors.scale, patch);
}

// The one scale of a quantized tensor's value; nothing when it is not quantized as a whole.
std::optional<double> tensor_scale(const Value* value, const RuleContext& context) {
  const Node* node = value ? value->producer() : nullptr;
  if (!node || !node->is("DequantizeLinear")) return std::nullopt;
  auto scale = constant_input(*node, 1, "scale", context);
  const auto* constant = std::get_if<Constant>(&scale);
  if (!constant || constant->tensor.size() != 1 || !is_foldable_type(constant->tensor.type()))
    return std::nullopt;
  return to_doubles(constant->tensor)[0];
}

// The bias of a quantized operator: int32 with the scale of the products, input scale times weight scale,
// where the model has it so or can have it so; otherwise as it is.
std::variant<Skip, Operand> quantized_bias(const LinearOp& linear, const std::vector<double>& bias,
                                           double slack, const Affine& factors,
                                           const std::vector<double>& weight_scales,
                                           const RuleContext& context, Patch& patch, ErrorBound& bound) {
  const auto& old = linear.quantized_bias;
  const auto input_scale = tensor_scale(linear.node->input(0), context);
  const bool new_one = linear.bias.empty() && input_scale;
  if (!old && !new_one) return rounded_bias(linear, bias, linear.bias_rows, slack, patch, bound);
  std::vector<double> scales;
  for (size_t c = 0; c < bias.size(); ++c) {
    if (new_one) {
      scales.push_back(*input_scale * weight_scales[c]);
    } else {
      const double factor = std::abs(factors.scale[c]);
      scales.push_back(old->scales[old->per_axis() ? c : 0] * (factor == 0 ? 1 : factor));
    }
  }
  auto quantized = quantize_bias(bias, scales, linear.type, *linear.node, old ? old->node : nullptr, patch);
  if (auto* skip = std::get_if<Skip>(&quantized)) return *std::move(skip);
  bound.add(std::get<QuantizedWeight>(quantized).rounding, slack);
  return std::get<QuantizedWeight>(quantized).operand;
}

// ---- the border of convolutions

// Of the input or the output of a convolution.
std::optional<Dims> known_spatial_dims(const LinearOp& linear, const Value* value,
                                       const RuleContext& context) {
  const auto& shape = context.facts.of(value).type.shape;
  if (!shape || shape->rank() != linear.weight.rank()) return std::nullopt;
  return Shape(std::vector<Dim>(shape->begin() + 2, shape->end())).known();
}

// Whether every output element sees the whole kernel, so that a constant input gives a constant output.
bool sees_no_border(const LinearOp& linear, const RuleContext& context) {
  if (!linear.is_convolution()) return true;
  const AttributeReader attributes(*linear.node);
  const Dims kernel(linear.weight.dims().begin() + 2, linear.weight.dims().end());
  auto spatial = known_spatial_dims(linear, linear.node->input(0), context);
  if (!spatial) {
    // Explicit pads do not depend on the sizes.
    if (attributes.s("auto_pad").starts_with("SAME")) return false;
    constexpr int64_t kAnySize = 1 << 20;
    spatial = Dims(kernel.size(), kAnySize);
  }
  const auto all = [](const Dims& dims, int64_t value) {
    return std::ranges::all_of(dims, [value](int64_t d) { return d == value; });
  };
  if (linear.kind == Kind::conv) {
    const WindowGeometry g = conv_geometry(attributes, *spatial, kernel);
    return all(g.pads_begin, 0) && all(g.pads_end, 0);
  }
  // Elements of the output collect those kernel positions that meet an input element: all do only if there is
  // one position.
  const WindowGeometry g = conv_transpose_geometry(attributes, *spatial, kernel);
  return all(kernel, 1) && all(g.strides, 1) && all(g.pads_begin, 0) && all(g.pads_end, 0) &&
         g.output == *spatial;
}

// W shift, place by place: [1, M, spatial...] doubles. The convolution of an image of ones with a kernel for
// each output channel that has the shifts in it.
Tensor shift_map(const LinearOp& linear, const std::vector<double>& sums, const Dims& spatial) {
  const bool transposed = linear.kind == Kind::conv_transpose;
  const int64_t channels = linear.view.outputs();
  Dims ones_dims = {1, 1}, kernel_dims = {transposed ? 1 : channels, transposed ? channels : 1};
  ones_dims.insert(ones_dims.end(), spatial.begin(), spatial.end());
  kernel_dims.insert(kernel_dims.end(), linear.weight.dims().begin() + 2, linear.weight.dims().end());
  Tensor ones(DataType::float64, ones_dims);
  std::ranges::fill(ones.mutable_values<double>(), 1.0);
  const Tensor kernel = Tensor::of(sums, kernel_dims);

  Graph scratch(&linear.node->graph()->model());
  const std::vector<std::pair<std::string, int64_t>> opsets = {{"", linear.node->opset()}};
  scratch.set_opsets(&opsets);
  Attributes attributes = linear.node->attributes();
  attributes.remove("group");
  Value *x = scratch.add_input("x", Type::tensor(DataType::float64)),
        *w = scratch.add_input("w", Type::tensor(DataType::float64)), *y = scratch.add_value("y");
  const Node* node = scratch.add_node(linear.node->op_type(), "", {x, w}, {y}, std::move(attributes));
  const Tensor* inputs[] = {&ones, &kernel};
  return evaluate_node(*node, inputs)[0];
}

}  // namespace

std::optional<Skip> refuses_at_output(const LinearOp& linear, const Affine& affine) {
  const int64_t channels = linear.view.outputs();
  if (!by_channel(affine, linear.output_axis, channels))
    return not_by_channel(linear, affine, linear.output_axis, channels);
  if (linear.kind == Kind::matmul && affine.has_shift())
    return Skip{fmt::format("{} has no bias", describe(*linear.node)), "", linear.node};
  return std::nullopt;
}

std::optional<Skip> refuses_at_input(const LinearOp& linear, const Affine& affine,
                                     const RuleContext& context) {
  const int64_t channels = linear.view.inputs();
  if (!by_channel(affine, linear.input_axis, channels))
    return not_by_channel(linear, affine, linear.input_axis, channels);
  if (linear.quantized_weight) {
    return Skip{fmt::format("the weight of {} is quantized: factors of its inputs would need other integers",
                            describe(*linear.node)),
                "fold before the model is quantized", linear.node};
  }
  if (affine.has_shift() && !sees_no_border(linear, context)) {
    return Skip{fmt::format("{} pads with zeros, to which the offset does not apply", describe(*linear.node)),
                "", linear.node};
  }
  if (affine.has_shift() && !linear.view.grouped && linear.view.outer != 1)
    return Skip{fmt::format("the weight of {} is a stack of matrices", describe(*linear.node)), "",
                linear.node};
  return std::nullopt;
}

std::optional<Skip> absorb_at_output(const LinearOp& linear, const Affine& affine, const RuleContext& context,
                                     Patch& patch) {
  if (auto skip = refuses_at_output(linear, affine)) return skip;
  const auto factors = by_channel(affine, linear.output_axis, linear.view.outputs());
  ErrorBound bound;
  std::vector<double> weight_scales;  // of a quantized weight, afterwards
  if (linear.quantized_weight) {
    auto weight = quantized_weight(linear, *factors, context, patch);
    if (auto* skip = std::get_if<Skip>(&weight)) return *std::move(skip);
    auto& scaled = std::get<QuantizedWeight>(weight);
    bound.add(scaled.rounding, 0);
    patch.set_input(linear.node, 1, scaled.operand);
    weight_scales = std::move(scaled.scales);
  } else {
    auto weight = scaled_weight(linear, factors->scale, {}, context, patch, bound);
    if (auto* skip = std::get_if<Skip>(&weight)) return *std::move(skip);
    if (const auto& operand = std::get<1>(weight)) patch.set_input(linear.node, 1, *operand);
  }
  if (!linear.bias.empty() || factors->has_shift()) {
    const auto [bias, slack] = shifted_bias(linear, *factors);
    auto constant = linear.quantized_weight
                        ? quantized_bias(linear, bias, slack, *factors, weight_scales, context, patch, bound)
                        : rounded_bias(linear, bias, linear.bias_rows, slack, patch, bound);
    if (auto* skip = std::get_if<Skip>(&constant)) return *std::move(skip);
    set_bias(linear, std::get<Operand>(constant), linear.bias_rows, patch);
  }
  bound.commit(patch);
  return std::nullopt;
}

std::variant<Skip, Affine> absorb_at_input(const LinearOp& linear, const Affine& affine,
                                           const RuleContext& context, Patch& patch) {
  if (auto skip = refuses_at_input(linear, affine, context)) return *std::move(skip);
  const auto factors = by_channel(affine, linear.input_axis, linear.view.inputs());
  ErrorBound bound;
  auto weight = scaled_weight(linear, {}, factors->scale, context, patch, bound);
  if (auto* skip = std::get_if<Skip>(&weight)) return *std::move(skip);
  if (const auto& operand = std::get<1>(weight)) patch.set_input(linear.node, 1, *operand);
  if (!factors->has_shift()) {
    bound.commit(patch);
    return identity_affine();
  }

  const WeightedSums sums = weighted_sums(linear.weight, linear.view, factors->shift);
  const auto inner = static_cast<size_t>(linear.view.inner),
             outputs = static_cast<size_t>(linear.view.outputs());
  const double relative_error = [&] {
    double worst = 0;  // of a shift
    for (size_t c = 0; c < factors->size(); ++c) {
      if (factors->shift[c] != 0)
        worst = std::max(worst, factors->shift_error[c] / std::abs(factors->shift[c]));
    }
    return worst + kUnit * static_cast<double>(sums.terms * linear.view.inner + 2);
  }();
  Affine left;
  left.dims = {static_cast<int64_t>(outputs)};
  for (size_t o = 0; o < outputs; ++o) {
    double sum = 0, magnitude = 0;
    for (size_t k = 0; k < inner; ++k) {
      sum += sums.sum[o * inner + k];
      magnitude += sums.magnitude[o * inner + k];
    }
    left.scale.push_back(1);
    left.shift.push_back(linear.alpha * sum);
    left.shift_error.push_back(std::abs(linear.alpha) * magnitude * relative_error);
  }
  if (linear.kind == Kind::matmul) {
    bound.commit(patch);
    return left;
  }
  std::vector<double> bias = linear.bias;
  if (bias.empty()) bias.assign(outputs, 0.0);
  double slack = 0;
  for (size_t i = 0; i < bias.size(); ++i) {
    bias[i] += left.shift[i % outputs];
    slack = std::max(slack, left.shift_error[i % outputs] + kUnit * std::abs(bias[i]));
  }
  auto constant = rounded_bias(linear, bias, linear.bias_rows, slack, patch, bound);
  if (auto* skip = std::get_if<Skip>(&constant)) return *std::move(skip);
  set_bias(linear, std::get<Operand>(constant), linear.bias_rows, patch);
  bound.commit(patch);
  return identity_affine();
}

std::optional<Skip> absorb_with_map(const LinearOp& linear, const Affine& affine, const std::string& name,
                                    const RuleContext& context, Patch& patch) {
  const Node& node = *linear.node;
  const int64_t channels = linear.view.inputs();
  const auto factors = by_channel(affine, linear.input_axis, channels);
  if (!factors) return not_by_channel(linear, affine, linear.input_axis, channels);
  if (linear.quantized_weight || linear.quantized_bias)
    return Skip{fmt::format("{} is quantized", describe(node)), "fold before the model is quantized", &node};
  const auto spatial = known_spatial_dims(linear, node.input(0), context);
  const auto output_spatial = known_spatial_dims(linear, node.output(0), context);
  if (!spatial || !output_spatial) {
    return Skip{fmt::format("{} pads with zeros, to which the offset does not apply, and its sizes are not "
                            "static",
                            describe(node)),
                "give the input a fixed height and width", &node};
  }
  const int64_t elements = checked_mul(linear.view.outputs(), checked_elements(*output_spatial));
  const auto bytes = static_cast<int64_t>(bytes_of(linear.type, elements));
  const bool cheap = elements / 2 <= checked_mul(channels, checked_elements(*spatial)) &&
                     bytes <= std::max(kMapBytes, static_cast<int64_t>(linear.weight.bytes()));
  if (!cheap || !context.facts.of(node.output(0)).type.is_tensor() || node.opset() < 7) {
    return Skip{fmt::format("{} pads with zeros, to which the offset does not apply, and a map of its output "
                            "would cost more than the offset",
                            describe(node)),
                "", &node};
  }
  if (auto skip = grow(patch, bytes, node, context)) return skip;

  ErrorBound bound;
  auto weight = scaled_weight(linear, {}, factors->scale, context, patch, bound);
  if (auto* skip = std::get_if<Skip>(&weight)) return *std::move(skip);
  const WeightedSums sums = weighted_sums(linear.weight, linear.view, factors->shift);
  const Tensor map = shift_map(linear, sums.sum, *spatial);
  double magnitude = 0, relative_error = kUnit * static_cast<double>(sums.terms + linear.view.inner + 2);
  for (size_t o = 0; o < sums.magnitude.size(); o += static_cast<size_t>(linear.view.inner)) {
    double sum = 0;
    for (size_t k = 0; k < static_cast<size_t>(linear.view.inner); ++k) sum += sums.magnitude[o + k];
    magnitude = std::max(magnitude, sum);
  }
  for (size_t c = 0; c < factors->size(); ++c) {
    if (factors->shift[c] != 0)
      relative_error = std::max(relative_error, 2 * factors->shift_error[c] / std::abs(factors->shift[c]));
  }
  Rounded rounded = round_rows(map.values<double>(), elements, linear.type, map.dims());
  if (rounded.overflow >= 0) return out_of_range(node, "border", 0, linear.type);
  patch.flushed += rounded.flushed;
  bound.add(rounded, magnitude * relative_error);
  bound.commit(patch);

  std::vector<Operand> inputs = {node.input(0), node.input(1)};
  if (const auto& operand = std::get<1>(weight)) inputs[1] = *operand;
  if (node.has_input(2)) inputs.emplace_back(node.input(2));
  const Operand operation = patch.add_node({.op_type = node.op_type(),
                                            .output_base_name = folded_name(node.output(0)->name()),
                                            .inputs = std::move(inputs),
                                            .attributes = node.attributes(),
                                            .before = &node,
                                            .like = &node});
  const Operand constant = patch.add_constant(name + "_map", std::move(rounded.tensor), node);
  const Operand sum = patch.add_node({.op_type = "Add",
                                      .name = name,
                                      .output_base_name = node.output(0)->name(),
                                      .inputs = {operation, constant},
                                      .before = &node});
  patch.replace(node.output(0), sum);
  patch.made_absorbers.push_back(operation.made);
  return std::nullopt;
}

}  // namespace plica
