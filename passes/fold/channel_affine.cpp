#include "passes/fold/channel_affine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"

namespace plica {
namespace {

constexpr double kUnit = std::numeric_limits<double>::epsilon() / 2;  // of rounding in double

// Why the batch norm normalizes by its own input's statistics; nothing when it uses the running ones.
std::optional<Skip> training_mode(const Node& node, const AttributeReader& attributes) {
  const std::string remedy = "call eval() before export";
  if (node.opset() >= 14) {
    if (attributes.i("training_mode") != 0) {
      return Skip{"it is in training mode: it normalizes by the statistics of each batch",
                  "exported in training mode: " + remedy, &node};
    }
  } else if (node.opset() <= 6 && attributes.i("is_test") == 0) {
    return Skip{"its is_test is 0, which is training mode: it normalizes by the statistics of each batch",
                "exported in training mode: " + remedy + ", or set is_test to 1", &node};
  }
  for (int i = 1; i < node.num_outputs(); ++i) {
    if (!node.has_output(i)) continue;
    // Up to opset 13, listing these outputs is what puts the operator into training mode.
    if (node.opset() < 14 || node.output(i)->has_uses()) {
      return Skip{fmt::format("it computes statistics too (output {})", quoted(node.output(i)->name())),
                  "exported in training mode: " + remedy, &node};
    }
  }
  return std::nullopt;
}

// The constant's value for each channel, when broadcasting gives it no other meaning.
std::optional<std::vector<double>> per_channel(const Tensor& constant, const ChannelAxis& axis,
                                               std::optional<int64_t> legacy_axis) {
  if (!is_foldable_type(constant.type()) || constant.size() == 0) return std::nullopt;
  const bool last = axis.axis < 0;
  if (axis.rank < 0 ? constant.rank() > 1 : constant.rank() > axis.rank) return std::nullopt;
  // Counted from the back, as broadcasting aligns.
  const int channel_from_back = last ? 0 : axis.rank - 1 - axis.axis;
  int offset = 0;  // dimensions of the operand after the constant's last
  if (legacy_axis) {
    if (axis.rank < 0) return std::nullopt;
    const int64_t first = *legacy_axis < 0 ? *legacy_axis + axis.rank : *legacy_axis;
    if (first < 0 || first + constant.rank() > axis.rank) return std::nullopt;
    offset = axis.rank - constant.rank() - static_cast<int>(first);
  }
  int64_t channels = 1;
  for (int i = 0; i < constant.rank(); ++i) {
    const int from_back = constant.rank() - 1 - i + offset;
    if (from_back == channel_from_back) {
      channels = constant.dim(i);
    } else if (constant.dim(i) != 1) {
      return std::nullopt;
    }
  }
  if (channels != 1 && channels != axis.channels) return std::nullopt;
  std::vector<double> values = to_doubles(constant);
  if (channels == 1) values.assign(static_cast<size_t>(axis.channels), values[0]);
  return values;
}

}  // namespace

// BN(x) = (x - mean) / sqrt(var + epsilon) * scale + bias                       (ONNX, BatchNormalization)
//       = s * x + t,   s = scale / sqrt(var + epsilon),   t = bias - mean * s
std::variant<ChannelAffine, Skip> batch_norm_affine(const Node& node, const RuleContext& context) {
  if (has_attribute_references(node)) {
    return Skip{"its attributes are parameters of the model function",
                "inline the function before optimizing", &node};
  }
  const AttributeReader attributes(node);
  if (auto skip = training_mode(node, attributes)) return *skip;

  constexpr std::array<std::string_view, 4> kRoles = {"scale", "bias", "mean", "variance"};
  std::array<std::vector<double>, 4> parameters;
  for (size_t i = 0; i < kRoles.size(); ++i) {
    auto constant = constant_input(node, static_cast<int>(i) + 1, kRoles[i], context);
    if (auto* skip = std::get_if<Skip>(&constant)) return *std::move(skip);
    const Tensor& tensor = std::get<Constant>(constant).tensor;
    if (!is_foldable_type(tensor.type())) {
      return Skip{fmt::format("its {} is of type {}", kRoles[i], to_string(tensor.type())), "", &node};
    }
    if (tensor.rank() != 1) {
      // spatial = 0: one value for each activation. With parameters of rank 1 there are no other axes, and
      // both mean the same.
      return Skip{fmt::format("its {} has one value for each activation (spatial = 0), not for each channel",
                              kRoles[i]),
                  "export it with spatial = 1, or to opset 9 or later", &node};
    }
    parameters[i] = to_doubles(tensor);
    if (parameters[i].size() != parameters[0].size() || parameters[i].empty()) {
      return Skip{fmt::format("its {} and its scale have {} and {} values", kRoles[i], parameters[i].size(),
                              parameters[0].size()),
                  "", &node};
    }
  }
  const auto& [scale, bias, mean, variance] = parameters;

  const double epsilon = static_cast<double>(attributes.f("epsilon"));
  ChannelAffine affine;
  for (size_t c = 0; c < scale.size(); ++c) {
    const double sum = variance[c] + epsilon;
    if (!(sum > 0) || !std::isfinite(sum)) {
      return Skip{fmt::format("variance + epsilon is {:g} in channel {} (variance {:g}, epsilon {:g}), which "
                              "has no square root to divide by",
                              sum, c, variance[c], epsilon),
                  "the running statistics are wrong: train or recalibrate the model", &node};
    }
    const double s = scale[c] / std::sqrt(sum);
    const double t = bias[c] - mean[c] * s;
    if (!std::isfinite(s) || !std::isfinite(t)) {
      return Skip{fmt::format("its factor or offset is not finite in channel {} (scale {:g}, bias {:g}, mean "
                              "{:g}, variance {:g})",
                              c, scale[c], bias[c], mean[c], variance[c]),
                  "the parameters are wrong: train or recalibrate the model", &node};
    }
    affine.scale.push_back(s);
    affine.shift.push_back(t);
    // s is right to 3 roundings, mean * s to 4, the difference adds one of its own.
    affine.shift_error.push_back(kUnit * (4 * std::abs(mean[c] * s) + std::abs(t)));
  }
  return affine;
}

std::variant<NoMatch, ChannelAffine> arithmetic_affine(const Node& node, int operand, const ChannelAxis& axis,
                                                       const RuleContext& context) {
  const bool add = node.is("Add"), sub = node.is("Sub"), mul = node.is("Mul"), div = node.is("Div");
  if (!(add || sub || mul || div) || node.num_inputs() != 2 || has_attribute_references(node))
    return NoMatch{};
  if (div && operand != 0) return NoMatch{};
  auto constant = constant_input(node, 1 - operand, "constant", context);
  if (std::holds_alternative<Skip>(constant)) return NoMatch{};

  // Before opset 7, only the second input is broadcast, and only when asked to; `axis` says where it starts.
  std::optional<int64_t> legacy_axis;
  if (node.opset() < 7) {
    const AttributeReader attributes(node);
    if (operand != 0 || attributes.i("broadcast") == 0) return NoMatch{};
    legacy_axis = attributes.maybe_i("axis");
  }
  auto values = per_channel(std::get<Constant>(constant).tensor, axis, legacy_axis);
  if (!values) return NoMatch{};

  ChannelAffine affine;
  affine.shift_error.assign(values->size(), 0.0);
  for (double v : *values) {
    // operand + v, operand - v or v - operand, operand * v, operand / v
    affine.scale.push_back(mul ? v : div ? 1 / v : sub && operand == 1 ? -1.0 : 1.0);
    affine.shift.push_back(add ? v : sub ? (operand == 1 ? v : -v) : 0.0);
    if (!std::isfinite(affine.scale.back()) || !std::isfinite(affine.shift.back())) return NoMatch{};
  }
  return affine;
}

}  // namespace plica
