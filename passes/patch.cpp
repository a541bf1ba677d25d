#include "passes/patch.h"

#include <utility>

namespace plica {

Operand Patch::add_constant(std::string base_name, Tensor tensor, const Node& before) {
  made_.emplace_back(NewConstant{std::move(base_name), std::move(tensor), &before});
  Operand operand;
  operand.made = static_cast<int>(made_.size()) - 1;
  return operand;
}

Operand Patch::add_node(NewNode node) {
  made_.emplace_back(std::move(node));
  Operand operand;
  operand.made = static_cast<int>(made_.size()) - 1;
  return operand;
}

void Patch::remove_attribute(Node* node, std::string name) {
  Attribute nothing;
  nothing.name = std::move(name);
  attribute_edits_.push_back({node, std::move(nothing)});
}

bool can_replace(const Value& from, const Value& by) {
  if (from.is_graph_output()) {
    if (by.graph() != from.graph() || !by.producer() || by.is_graph_output()) return false;
    for (const Use& use : by.uses()) {
      if (use.node->graph() != by.graph() && use.node->graph()->lookup(from.name()) != &from) return false;
    }
    return true;
  }
  for (const Use& use : from.uses()) {
    if (use.node->graph() != by.graph() && use.node->graph()->lookup(by.name()) != &by) return false;
  }
  return true;
}

std::string label_of(const Node& node) {
  if (!node.name.empty()) return node.name;
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i)) return node.output(i)->name();
  }
  return {};
}

}  // namespace plica
