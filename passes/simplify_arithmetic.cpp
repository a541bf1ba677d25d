// Arithmetic that can be left out: neutral operands, functions applied twice, bounds within bounds.
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/ops/attribute_reader.h"
#include "engine/ops/table.h"
#include "passes/constants.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

// The other operand, broadcast, has not made the result larger than `x`.
bool keeps_shape(const Node& node, int x, const Tensor& other, const RuleContext& context) {
  if (same_type_and_shape(node.input(x), node.output(0), context)) return true;
  if (context.facts.of(node.input(x)).type.element != context.facts.of(node.output(0)).type.element)
    return false;
  return other.size() == 1 && (other.rank() == 0 || other.rank() <= context.facts.rank_of(node.input(x)));
}

// x op number = x, where `x` is that operand.
struct Neutral {
  std::string_view op;
  int x;
  double number;
};
// x + 0 and 0 + x make +0 out of -0, which is lost here: the only difference. x - 0 and x + -0 are exact, and
// 0 * x is not 0 for NaN and infinity.
constexpr std::array kNeutral = std::to_array<Neutral>({{"Mul", 0, 1},
                                                        {"Mul", 1, 1},
                                                        {"Div", 0, 1},
                                                        {"Pow", 0, 1},
                                                        {"Add", 0, 0.0},
                                                        {"Add", 1, 0.0},
                                                        {"Add", 0, -0.0},
                                                        {"Add", 1, -0.0},
                                                        {"Sub", 0, 0.0}});

// outer(inner(x)) = outer(x), or = inner(x).
struct Chain {
  std::string_view outer, inner;
};
constexpr std::array kOuterHasNoEffect = std::to_array<Chain>({{"Relu", "Relu"},
                                                               {"Relu", "Abs"},
                                                               {"Abs", "Abs"},
                                                               {"Sign", "Sign"},
                                                               {"Ceil", "Ceil"},
                                                               {"Ceil", "Floor"},
                                                               {"Ceil", "Round"},
                                                               {"Floor", "Ceil"},
                                                               {"Floor", "Floor"},
                                                               {"Floor", "Round"},
                                                               {"Round", "Ceil"},
                                                               {"Round", "Floor"},
                                                               {"Round", "Round"}});
constexpr std::array kInverse = std::to_array<Chain>({{"Neg", "Neg"}, {"Not", "Not"}});

struct Bounds {
  std::optional<double> low, high;
};

// nullopt: not known. Bounds are inputs where the operator takes some, and attributes before.
std::optional<Bounds> bounds_of(const Node& clip, const RuleContext& context) {
  Bounds b;
  if (op_of(clip).max_inputs == 1) {
    const AttributeReader attributes(clip);
    const bool optional = op_of(clip).until <= 5;
    const auto bound = [&](std::string_view name) {
      return optional ? attributes.maybe_f(name) : std::optional(attributes.f(name));
    };
    b = {bound("min"), bound("max")};
  } else {
    b = {scalar_input(clip, 1, context), scalar_input(clip, 2, context)};
    if (clip.has_input(1) != b.low.has_value() || clip.has_input(2) != b.high.has_value())
      return std::nullopt;
  }
  const bool ordered = !(b.low && std::isnan(*b.low)) && !(b.high && std::isnan(*b.high)) &&
                       !(b.low && b.high && *b.low > *b.high);
  return ordered ? std::optional(b) : std::nullopt;
}

// As the operator does: +0 and -0 are not told apart.
double clip(double x, const Bounds& b) {
  if (b.low && x < *b.low) x = *b.low;
  if (b.high && x > *b.high) x = *b.high;
  return x;
}

// The bound of the chain that comes from the inner one's.
std::optional<double> chained(std::optional<double> inner, std::optional<double> own, const Bounds& outer) {
  return inner ? clip(*inner, outer) : own;
}

// A Clip of `x` that stands for the node, by attributes or inputs as the node has them.
Patch make_clip(const Node& node, Value* x, const Bounds& bounds, DataType type) {
  Patch patch(node);
  Patch::NewNode made{.op_type = "Clip",
                      .output_base_name = node.output(0)->name(),
                      .inputs = {x},
                      .before = &node,
                      .like = &node};
  if (op_of(node).max_inputs == 1) {
    if (bounds.low) made.attributes.set("min", static_cast<float>(*bounds.low));
    if (bounds.high) made.attributes.set("max", static_cast<float>(*bounds.high));
  } else {
    for (const auto& bound : {bounds.low, bounds.high}) {
      made.inputs.push_back(
          bound ? patch.add_constant(node.output(0)->name() + "_bound", scalar_of(type, *bound), node)
                : Operand());
    }
    while (!made.inputs.back().value && made.inputs.back().made < 0) made.inputs.pop_back();
  }
  patch.replace(node.output(0), patch.add_node(std::move(made)));
  return patch;
}

}  // namespace

RuleResult remove_neutral_arithmetic(const Node& node, const RuleContext& context) {
  for (const Neutral& n : kNeutral) {
    if (!is_plain(node, n.op) || !node.has_input(1)) continue;
    const auto input = constant_input(node, 1 - n.x, "operand", context);
    const Constant* constant = std::get_if<Constant>(&input);
    if (constant && is_filled_with(constant->tensor, n.number) &&
        keeps_shape(node, n.x, constant->tensor, context)) {
      return pass_through(node, node.input(n.x));
    }
  }
  const bool variadic =
      is_plain(node, "Sum") || is_plain(node, "Mean") || is_plain(node, "Max") || is_plain(node, "Min");
  return variadic && node.num_inputs() == 1 ? pass_through(node, node.input(0)) : NoMatch{};
}

RuleResult remove_repeated_function(const Node& node, const RuleContext&) {
  const auto matches = [&](const Chain& c) {
    return is_plain(node, c.outer) && producer_of(node.input(0), c.inner);
  };
  if (std::ranges::any_of(kOuterHasNoEffect, matches)) return pass_through(node, node.input(0));
  if (std::ranges::any_of(kInverse, matches)) return pass_through(node, node.input(0)->producer()->input(0));
  return NoMatch{};
}

// With a <= b and c <= d, clip(clip(x, a, b), c, d) = clip(x, clip(a, c, d), clip(b, c, d)), and Relu is
// clip(x, 0, ∞).
RuleResult merge_clips(const Node& node, const RuleContext& context) {
  if (is_plain(node, "Relu")) {
    const Node* inner = producer_of(node.input(0), "Clip");
    const auto bounds = inner ? bounds_of(*inner, context) : std::nullopt;
    return bounds && bounds->low && *bounds->low >= 0 ? pass_through(node, node.input(0)) : NoMatch{};
  }
  if (!is_plain(node, "Clip")) return NoMatch{};
  const auto outer = bounds_of(node, context);
  if (!outer) return NoMatch{};
  if (!outer->low && !outer->high) return pass_through(node, node.input(0));
  const DataType type = context.facts.of(node.input(0)).type.element;
  if (const Node* relu = sole_producer_of(node.input(0), "Relu");
      relu && outer->low == 0.0 && !std::signbit(*outer->low)) {
    Patch patch(node);
    patch.set_input(node.output(0)->producer(), 0, relu->input(0));
    patch.keep_output(node.output(0));
    return patch;
  }
  const Node* inner = sole_producer_of(node.input(0), "Clip");
  const auto bounds = inner && is_foldable_type(type) ? bounds_of(*inner, context) : std::nullopt;
  if (!bounds) return NoMatch{};
  return make_clip(node, inner->input(0),
                   {chained(bounds->low, outer->low, *outer), chained(bounds->high, outer->high, *outer)},
                   type);
}

}  // namespace plica
