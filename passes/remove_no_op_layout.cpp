// Operators that move elements, where they move none: y = x, bit for bit.
#include <algorithm>
#include <array>
#include <numeric>

#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

bool is_any_of(const Node& node, std::initializer_list<std::string_view> ops) {
  return std::ranges::any_of(ops, [&](std::string_view op) { return is_plain(node, op); });
}

bool is_identity_transpose(const Node& node, const RuleContext& context) {
  const auto perm = AttributeReader(node).maybe_ints("perm");
  if (!perm) {
    const int rank = context.facts.rank_of(node.input(0));
    return rank == 0 || rank == 1;
  }
  for (size_t i = 0; i < perm->size(); ++i) {
    if ((*perm)[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

bool pads_nothing(const Node& node, const RuleContext& context) {
  const auto pads = ints_of(node, node.attributes().has("paddings") ? "paddings" : "pads", 1, context);
  return pads.values && std::ranges::all_of(*pads.values, [](int64_t p) { return p == 0; });
}

// Every axis whole and forwards: [0, beyond any size) in steps of 1, or as many elements as the axis has.
bool takes_all(const Node& node, const RuleContext& context) {
  const Ints starts = ints_of(node, "starts", 1, context), ends = ints_of(node, "ends", 2, context),
             steps = ints_of(node, "steps", 4, context);
  if (steps.given &&
      (!steps.values || !std::ranges::all_of(*steps.values, [](int64_t s) { return s == 1; }))) {
    return false;
  }
  if (same_type_and_shape(node.input(0), node.output(0), context)) return true;
  return starts.values && ends.values &&
         std::ranges::all_of(*starts.values, [](int64_t s) { return s == 0; }) &&
         std::ranges::all_of(*ends.values, [](int64_t e) { return e >= INT32_MAX; });
}

// A window of one element, moved by one, without padding.
bool pools_single_elements(const Node& node) {
  const AttributeReader attributes(node);
  const auto all = [&](std::string_view name, int64_t number) {
    if (!attributes.has(name)) return true;
    return std::ranges::all_of(attributes.ints(name), [number](int64_t v) { return v == number; });
  };
  return attributes.has("kernel_shape") && all("kernel_shape", 1) && all("strides", 1) && all("pads", 0) &&
         (node.num_outputs() == 1 || !node.output(1) || !node.output(1)->has_uses());
}

// Coordinates that give i for i at scale 1. (align_corners divides and multiplies by the size, which may
// round; tf_crop_and_resize looks at a region.)
bool keeps_coordinates(const AttributeReader& attributes) {
  constexpr std::string_view kName = "coordinate_transformation_mode";
  if (!attributes.has(kName)) return true;
  const std::string mode = attributes.s(kName);
  return mode == "half_pixel" || mode == "pytorch_half_pixel" || mode == "asymmetric" ||
         mode == "half_pixel_symmetric";
}

// Upsample and Resize by scales of exactly 1, or to the size there is. An interpolation would add 0 times a
// neighbor: the same for finite elements.
bool resizes_nothing(const Node& node, const RuleContext& context) {
  const AttributeReader attributes(node);
  if (!keeps_coordinates(attributes)) return false;
  if (attributes.has("scales")) {
    return std::ranges::all_of(attributes.floats("scales"), [](float s) { return s == 1; });
  }
  if (attributes.has("height_scale"))
    return attributes.f("height_scale") == 1 && attributes.f("width_scale") == 1;
  const bool has_roi = node.num_inputs() > 2;  // Resize since opset 11: x, roi, scales, sizes
  if (node.has_input(3)) return same_type_and_shape(node.input(0), node.output(0), context);
  const int scales = has_roi ? 2 : 1;
  if (!node.has_input(scales)) return false;
  const auto input = constant_input(node, scales, "scales", context);
  const Constant* constant = std::get_if<Constant>(&input);
  return constant && is_foldable_type(constant->tensor.type()) && is_filled_with(constant->tensor, 1);
}

}  // namespace

// Reshape, Flatten, Squeeze, Unsqueeze, Expand and Tile keep the order of the elements, so the shape tells
// all.
RuleResult remove_no_op_layout(const Node& node, const RuleContext& context) {
  const bool none = (is_any_of(node, {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile"}) &&
                     same_type_and_shape(node.input(0), node.output(0), context)) ||
                    (is_plain(node, "Transpose") && is_identity_transpose(node, context)) ||
                    (is_plain(node, "Pad") && pads_nothing(node, context)) ||
                    (is_plain(node, "Slice") && takes_all(node, context)) ||
                    (is_plain(node, "Concat") && node.num_inputs() == 1) ||
                    (is_plain(node, "Split") && node.num_outputs() == 1);
  return none ? pass_through(node, node.input(0)) : NoMatch{};
}

RuleResult remove_no_op_pool(const Node& node, const RuleContext&) {
  if (!is_any_of(node, {"AveragePool", "MaxPool"}) || !pools_single_elements(node)) return NoMatch{};
  return pass_through(node, node.input(0));
}

RuleResult remove_no_op_resize(const Node& node, const RuleContext& context) {
  if (!is_any_of(node, {"Resize", "Upsample"}) || !resizes_nothing(node, context)) return NoMatch{};
  return pass_through(node, node.input(0));
}

}  // namespace plica
