// Nodes that compute nothing: y = x.
#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"
#include "passes/rules.h"

namespace plica {
namespace {

// Readers of the node's output 0 read its input 0 instead. NoMatch when the output's name must stay and
// cannot move.
RuleResult pass_through(const Node& node) {
  Value *from = node.output(0), *by = node.input(0);
  if (!from || !by || !can_replace(*from, *by)) return NoMatch{};
  Patch patch(node);
  patch.replace(from, by);
  return patch;
}

}  // namespace

RuleResult remove_identity(const Node& node, const RuleContext&) {
  if (!node.is("Identity")) return NoMatch{};
  return pass_through(node);
}

// Dropout at inference is the identity: is_test up to opset 6, always in 7 to 11, without training_mode
// (input 2) from 12 on.
RuleResult remove_dropout(const Node& node, const RuleContext& context) {
  if (!node.is("Dropout") || has_attribute_references(node)) return NoMatch{};
  if (node.has_output(1) && node.output(1)->has_uses()) {
    return Skip{"its mask is used", "", &node};
  }
  if (node.opset() < 7) {
    if (AttributeReader(node).i("is_test") == 0) return Skip{"its is_test is 0: training mode", "", &node};
  } else if (node.opset() >= 12 && node.has_input(2)) {
    auto mode = constant_input(node, 2, "training_mode", context);
    const Constant* constant = std::get_if<Constant>(&mode);
    if (!constant || constant->tensor.type() != DataType::boolean || constant->tensor.size() != 1 ||
        *constant->tensor.data<bool>()) {
      return Skip{"its training_mode may be true", "", &node};
    }
  }
  return pass_through(node);
}

// A Cast to the type that its input has already.
RuleResult remove_cast(const Node& node, const RuleContext& context) {
  if (!(node.is("Cast") || node.is("CastLike")) || has_attribute_references(node) || !node.has_input(0) ||
      !node.has_output(0)) {
    return NoMatch{};
  }
  const DataType from = context.facts.of(node.input(0)).type.element,
                 to = context.facts.of(node.output(0)).type.element;
  if (from == DataType::undefined || from != to) return NoMatch{};
  return pass_through(node);
}

}  // namespace plica
