// Concat of Concats, and Concat of what a Split has taken apart.
#include "engine/ops/attribute_reader.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

std::optional<int> concat_axis(const Node& node, const RuleContext& context) {
  return axis_of(node, node.output(0), context);
}

// The Concat along the axis whose output only `reader` sees.
const Node* inner_concat(const Value* value, int axis, const RuleContext& context) {
  const Node* inner = sole_producer_of(value, "Concat");
  return inner && concat_axis(*inner, context) == axis ? inner : nullptr;
}

}  // namespace

// The outermost of a tree of Concats takes all of it at once, so that long chains stay linear.
RuleResult merge_concats(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Concat")) return NoMatch{};
  const auto axis = concat_axis(node, context);
  if (!axis) return NoMatch{};
  if (const Value* y = node.output(0); y->has_single_use()) {
    const Node& reader = *y->uses()[0].node;
    if (is_plain(reader, "Concat") && concat_axis(reader, context) == axis) return NoMatch{};
  }
  std::vector<Operand> inputs;
  bool found = false;
  struct Place {
    const Node* node;
    int next;
  };
  std::vector<Place> path = {{&node, 0}};
  while (!path.empty()) {
    Place& at = path.back();
    if (at.next == at.node->num_inputs()) {
      path.pop_back();
      continue;
    }
    Value* input = at.node->input(at.next++);
    if (!input) return NoMatch{};
    if (const Node* inner = inner_concat(input, *axis, context)) {
      found = true;
      path.push_back({inner, 0});
    } else {
      inputs.emplace_back(input);
    }
  }
  if (!found) return NoMatch{};
  Patch patch(node);
  Patch::NewNode made{.op_type = "Concat",
                      .output_base_name = node.output(0)->name(),
                      .inputs = std::move(inputs),
                      .before = &node,
                      .like = &node};
  made.attributes.set("axis", int64_t{*axis});
  patch.replace(node.output(0), patch.add_node(std::move(made)));
  return patch;
}

// All the parts in their order are the whole.
RuleResult cancel_split_concat(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Concat")) return NoMatch{};
  const Node* split = node.input(0)->producer();
  if (!split || !split->is("Split") || !split->has_input(0) || split->num_outputs() != node.num_inputs() ||
      split->graph() != node.graph()) {
    return NoMatch{};
  }
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (!node.has_input(i) || node.input(i) != split->output(i)) return NoMatch{};
  }
  if (!is_plain(*split, "Split")) return NoMatch{};
  const auto axis = axis_of(*split, split->input(0), context);
  if (!axis || concat_axis(node, context) != axis) return NoMatch{};
  return pass_through(node, split->input(0));
}

}  // namespace plica
