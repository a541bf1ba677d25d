// Transposes move through what lies between them, where that leaves less to transpose (transpose_region.h):
//
//     a ─ T ─ Clip ─┬─ T' ─ Conv          a ─ Clip ─┬─ Conv
//                   └─ Add ─ T' ─ ..  ⇒             └─ Add ─ ..         T' undoes T
//     b ─ T ────────┘                     b ─────────┘
#include <algorithm>

#include "engine/core/checked.h"
#include "passes/constants.h"
#include "passes/match.h"
#include "passes/rules.h"
#include "passes/transpose_region.h"

namespace plica {
namespace {

// What undid the order of the value goes.
void pass_on(Patch& patch, const TransposeRegion& region, const Value* value, Operand by) {
  std::vector<const Node*> all = region.undoing(value);
  // The name of a graph output is the last that `by` takes over.
  std::ranges::stable_partition(all, [](const Node* n) { return !n->output(0)->is_graph_output(); });
  for (const Node* undone : all) patch.replace(undone->output(0), by);
}

RuleResult patch_of(const TransposeRegion& region, const Node& seed, const RuleContext& context) {
  Patch patch(seed);
  patch.redefined_suffix = "_transposed";
  std::unordered_map<const Value*, Operand> native;  // what the region reads in place of a value
  const auto transposed = [&](Operand from, const AxisOrder& perm, const std::string& name,
                              const Node& before) {
    Patch::NewNode made{
        .op_type = "Transpose", .output_base_name = name, .inputs = {from}, .before = &before};
    made.attributes.set("perm", Dims(perm.begin(), perm.end()));
    return patch.add_node(std::move(made));
  };
  for (Node* node : region.in_order()) {
    const Reordered& r = region.reordered_of(*node);
    const AxisOrder& order = region.order_of(*node);
    std::vector<std::pair<int, Operand>> inputs;
    for (int i : r.data) {
      Value* value = node->input(i);
      auto it = native.find(value);
      if (it == native.end()) {
        const Node* source = region.source_of(value);
        it = native
                 .emplace(value, source ? Operand(source->input(0))
                                        : transposed(value, inverse(order), value->name() + "_transposed",
                                                     *region.first_reader(value)))
                 .first;
      }
      inputs.emplace_back(i, it->second);
    }
    for (int i : r.constants) {
      const auto constant = constant_input(*node, i, "operand", context);
      const Tensor& tensor = std::get<Constant>(constant).tensor;
      patch.growth_bytes = checked_add(patch.growth_bytes, static_cast<int64_t>(tensor.bytes()));
      if (patch.growth_bytes > context.growth_left) return NoMatch{};
      inputs.emplace_back(i, patch.add_constant(node->input(i)->name() + "_transposed",
                                                permuted_constant(tensor, order), *node));
    }
    for (const auto& [i, tensor] : r.inputs)
      inputs.emplace_back(i, patch.add_constant(node->output(0)->name() + "_parameter", tensor, *node));

    Value* y = node->output(0);
    if (region.is_read_outside(y)) {
      // Others go on reading the value, from a Transpose of what a copy of the node computes.
      Patch::NewNode copy{.op_type = node->op_type(),
                          .output_base_name = y->name() + "_transposed",
                          .inputs = {},
                          .attributes = node->attributes(),
                          .before = node,
                          .like = node};
      for (int i = 0; i < node->num_inputs(); ++i) copy.inputs.emplace_back(node->input(i));
      for (const auto& [i, operand] : inputs) {
        if (copy.inputs.size() <= static_cast<size_t>(i)) copy.inputs.resize(static_cast<size_t>(i) + 1);
        copy.inputs[static_cast<size_t>(i)] = operand;
      }
      for (const Attribute& a : r.attributes) copy.attributes.set(a);
      const Operand result = patch.add_node(std::move(copy));
      native.emplace(y, result);
      patch.replace(y, transposed(result, r.output, y->name(), *node));
      pass_on(patch, region, y, result);
      continue;
    }
    for (const auto& [i, operand] : inputs) patch.set_input(node, i, operand);
    for (const Attribute& a : r.attributes) patch.set_attribute(node, a);
    for (int i = 0; i < node->num_outputs(); ++i) {
      if (!node->has_output(i)) continue;
      if (!region.has_order(node->output(i))) {
        patch.keep_output(node->output(i));
        continue;
      }
      native.emplace(node->output(i), node->output(i));
      pass_on(patch, region, node->output(i), node->output(i));
    }
  }
  return patch;
}

}  // namespace

RuleResult move_transposes(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Transpose") || context.kept.contains(&node)) return NoMatch{};
  const auto order = permutation_of(node, context);
  if (!order || is_identity(*order)) return NoMatch{};
  // What reads its output could read its input; or what computes its input could compute its output.
  TransposeRegion behind(*node.graph(), context), before(*node.graph(), context);
  if (behind.find(node.output(0), *order)) return patch_of(behind, node, context);
  if (before.find(node.input(0), inverse(*order))) return patch_of(before, node, context);
  return NoMatch{};
}

}  // namespace plica
