// Nodes that compute nothing: y = x.
#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
RuleResult remove_identity(const Node& node, const RuleContext&) {
  if (!node.is("Identity")) return NoMatch{};
  return pass_through(node, node.input(0));
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
  return pass_through(node, node.input(0));
}

namespace {

// Every value of `from` is one of `to`, and back again the same.
bool holds_all_of(DataType to, DataType from) {
  if (from == DataType::boolean) return types::kNumeric.contains(to);
  if (is_integer(from)) {
    const int bits = bits_of(from) - is_signed_integer(from);  // without the sign
    if (to == DataType::float64) return bits <= 53;
    if (to == DataType::float32) return bits <= 24;
    if (!is_integer(to)) return false;
    return is_signed_integer(to) ? bits < bits_of(to) : !is_signed_integer(from) && bits <= bits_of(to);
  }
  if (from == DataType::float16 || from == DataType::bfloat16)
    return to == DataType::float32 || to == DataType::float64;
  return from == DataType::float32 && to == DataType::float64;
}

}  // namespace

// Cast(Cast(x)) = Cast(x) when the inner one loses nothing. (Strings show the type that they were made from.)
RuleResult merge_casts(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Cast")) return NoMatch{};
  const Node* inner = producer_of(node.input(0), "Cast");
  if (!inner) return NoMatch{};
  const auto type_of_value = [&](const Value* v) { return context.facts.of(v).type.element; };
  constexpr TypeSet kCast = types::kNumeric | types::kBool;
  const DataType first = type_of_value(inner->input(0)), between = type_of_value(node.input(0)),
                 last = type_of_value(node.output(0));
  if (!kCast.contains(first) || !kCast.contains(between) || !kCast.contains(last)) return NoMatch{};
  if (!holds_all_of(between, first)) return NoMatch{};
  if (first == last) return pass_through(node, inner->input(0));
  if (first == between) return NoMatch{};  // remove_cast's
  Patch patch(node);
  patch.set_input(node.output(0)->producer(), 0, inner->input(0));
  patch.keep_output(node.output(0));
  return patch;
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
  return pass_through(node, node.input(0));
}

}  // namespace plica
