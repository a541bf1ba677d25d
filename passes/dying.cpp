#include "passes/dying.h"

namespace plica {

DyingNodes::DyingNodes(const Patch& patch, const std::unordered_set<const Node*>& kept) : kept_(kept) {
  for (const auto& edit : patch.input_edits()) {
    edited_.insert(edit.node);
    const bool is_new = edited_inputs_[edit.node].insert(edit.index).second;
    if (Value* old = edit.node->input(edit.index); old && is_new) drop_read(*old);
    if (edit.to.value) referenced_.insert(edit.to.value);
  }
  for (const auto& edit : patch.attribute_edits()) edited_.insert(edit.node);
  for (const Node* node : patch.carried()) edited_.insert(node);
  for (const auto& made : patch.made()) {
    if (const auto* node = std::get_if<Patch::NewNode>(&made)) {
      for (const Operand& input : node->inputs) {
        if (input.value) referenced_.insert(input.value);
      }
    }
  }
  for (const auto& r : patch.replacements()) {
    replaced_.insert(r.from);
    if (r.by.value) referenced_.insert(r.by.value);
  }

  for (const auto& r : patch.replacements()) pending_.push_back(r.from->producer());
  // A patch names nodes as its rule saw them, const; only what applies it edits.
  for (const Node* node : patch.removed_nodes()) pending_.push_back(const_cast<Node*>(node));
  while (!pending_.empty()) {
    Node* node = pending_.back();
    pending_.pop_back();
    if (node) consider(node);
  }
}

bool DyingNodes::drops(const Use& use) const {
  if (auto it = edited_inputs_.find(use.node); it != edited_inputs_.end() && it->second.contains(use.index))
    return true;
  for (const Node* n = use.node; n; n = n->graph()->parent_node()) {
    if (dying_.contains(n)) return true;
  }
  return false;
}

bool DyingNodes::stays_in_use(const Value& value) const {
  if (replaced_.contains(&value)) return false;  // new nodes that read it will read what replaces it
  if (referenced_.contains(&value)) return true;
  if (value.is_graph_output()) return true;
  const auto dropped = dropped_.find(&value);
  return (dropped == dropped_.end() ? 0 : dropped->second) < value.uses().size();
}

void DyingNodes::drop_read(Value& value) {
  if (++dropped_[&value] == value.uses().size()) pending_.push_back(value.producer());
}

// Those of its subgraphs too.
void DyingNodes::drop_reads(const Node& node) {
  const auto edited = edited_inputs_.find(&node);
  for (int i = 0; i < node.num_inputs(); ++i) {
    const bool is_edited = edited != edited_inputs_.end() && edited->second.contains(i);
    if (node.has_input(i) && !is_edited) drop_read(*node.input(i));
  }
  for_each_subgraph(node.attributes(), [&](Graph& sub) {
    for (const Node* inner : sub.nodes()) {
      if (!dying_.contains(inner)) drop_reads(*inner);
    }
  });
}

void DyingNodes::consider(Node* node) {
  if (edited_.contains(node) || kept_.contains(node) || dying_.contains(node)) return;
  for (const Node* owner = node->graph()->parent_node(); owner; owner = owner->graph()->parent_node()) {
    if (dying_.contains(owner)) return;  // goes with it
  }
  for (int& i = unread_outputs_[node]; i < node->num_outputs(); ++i) {
    if (node->has_output(i) && stays_in_use(*node->output(i))) return;
  }
  dying_.insert(node);
  nodes_.push_back(node);
  drop_reads(*node);
}

}  // namespace plica
