// Reshape, Flatten, Squeeze and Unsqueeze: views of the same elements in the same order. Of a chain of them
// only the last shape matters; and a shape that is computed at run time is often known but for one number.
#include <algorithm>
#include <array>

#include "engine/ops/attribute_reader.h"
#include "engine/ops/node_parameters.h"
#include "passes/fold/carry.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

// Reshape took its shape from an attribute before.
constexpr int64_t kReshapeWithInput = 5;

const Node* view_of(const Value* value) {
  for (const std::string_view op : {"Reshape", "Flatten", "Squeeze", "Unsqueeze"}) {
    if (const Node* node = producer_of(value, op)) return node;
  }
  return nullptr;
}

// The constant that makes Reshape turn `in` into `out`, for all sizes of what is not known: 0 copies a dim of
// the same position, and one dim may be -1, what is left. nullopt when there is none. (-1 is refused when the
// dims beside it are 0: for tensors without elements this may fail where the original did not.)
std::optional<Dims> target_for(const Shape& out, const std::optional<Shape>& in) {
  Dims target;
  bool rest = false;
  for (int i = 0; i < out.rank(); ++i) {
    if (out[i].is_known()) {
      if (out[i].value() <= 0) return std::nullopt;
      target.push_back(out[i].value());
    } else if (in && i < in->rank() && out[i].same_as((*in)[i])) {
      target.push_back(0);
    } else {
      if (rest) return std::nullopt;
      rest = true;
      target.push_back(-1);
    }
  }
  return target;
}

Tensor vector_of(const Dims& values) { return Tensor::of(values, {static_cast<int64_t>(values.size())}); }

bool zero_copies(const Node& reshape) {
  const AttributeReader attributes(reshape);
  return !attributes.has("allowzero") || attributes.i("allowzero") == 0;
}

// Instead of the node, a Reshape of `from`.
Patch reshaped(const Node& node, Value* from, const Dims& target) {
  Patch patch(node);
  const Operand shape = patch.add_constant(node.output(0)->name() + "_shape", vector_of(target), node);
  Patch::NewNode made{.op_type = "Reshape",
                      .output_base_name = node.output(0)->name(),
                      .inputs = {from, shape},
                      .before = &node,
                      .like = &node};
  patch.replace(node.output(0), patch.add_node(std::move(made)));
  return patch;
}

}  // namespace

RuleResult merge_reshapes(const Node& node, const RuleContext& context) {
  if (!node.has_output(0) || view_of(node.output(0)) != &node || node.opset() < kReshapeWithInput)
    return NoMatch{};
  const Node* inner = view_of(node.input(0));
  if (!inner) return NoMatch{};
  Value* from = inner->input(0);
  if (same_type_and_shape(from, node.output(0), context)) return pass_through(node, from);
  const auto& out = context.facts.of(node.output(0)).type.shape;
  if (!node.input(0)->has_single_use() || !out) return NoMatch{};
  const auto target = target_for(*out, context.facts.of(from).type.shape);
  if (!target) return NoMatch{};
  return reshaped(node, from, *target);
}

// Exporters compute shapes from the shape of an input with a free batch: Shape, Gather, Concat, Reshape.
RuleResult resolve_reshape(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Reshape") || !node.has_input(1) || !zero_copies(node)) return NoMatch{};
  const Value* shape = node.input(1);
  if (!shape->producer() || shape->producer()->is("Constant") || context.facts.of(shape).constant.defined())
    return NoMatch{};
  const auto& out = context.facts.of(node.output(0)).type.shape;
  if (!out) return NoMatch{};
  const auto target = target_for(*out, context.facts.of(node.input(0)).type.shape);
  if (!target) return NoMatch{};
  Patch patch(node);
  patch.set_input(node.output(0)->producer(), 1, patch.add_constant(shape->name(), vector_of(*target), node));
  patch.keep_output(node.output(0));
  return patch;
}

// Elements stay where they are when the axes that are not 1 stay in their order.
RuleResult reshape_for_transpose(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Transpose") || node.opset() < kReshapeWithInput) return NoMatch{};
  const auto& in = context.facts.of(node.input(0)).type.shape;
  const auto& out = context.facts.of(node.output(0)).type.shape;
  const auto permutation = transpose_permutation(infer_context(node, context));
  if (!in || !out || !permutation) return NoMatch{};
  if (std::ranges::is_sorted(*permutation)) return NoMatch{};  // remove_no_op_layout's
  int last = -1;
  for (int axis : *permutation) {
    if ((*in)[axis].is_known() && (*in)[axis].value() == 1) continue;
    if (axis < last) return NoMatch{};
    last = axis;
  }
  const auto target = target_for(*out, in);
  if (!target) return NoMatch{};
  return reshaped(node, node.input(0), *target);
}

}  // namespace plica
