#include "passes/dying.h"

namespace plica {
namespace {

// Calls f(Value*) for all that the node reads, by captures of its subgraphs too.
template <class F>
void for_each_read(const Node& node, F&& f) {
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (node.has_input(i)) f(node.input(i));
  }
  for_each_subgraph(node.attributes(), [&](Graph& sub) {
    for (Value* v : sub.outputs()) f(v);
    for (const Node* inner : sub.nodes()) for_each_read(*inner, f);
  });
}

}  // namespace

DyingNodes::DyingNodes(const Patch& patch, const std::unordered_set<const Node*>& kept) : kept_(kept) {
  for (const auto& edit : patch.input_edits()) {
    edited_.insert(edit.node);
    edited_inputs_[edit.node].insert(edit.index);
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
  for (const auto& edit : patch.input_edits()) {
    if (const Value* old = edit.node->input(edit.index)) pending_.push_back(old->producer());
  }
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
  for (const Use& use : value.uses()) {
    if (!drops(use)) return true;
  }
  return false;
}

void DyingNodes::consider(Node* node) {
  if (edited_.contains(node) || kept_.contains(node) || dying_.contains(node)) return;
  for (const Node* owner = node->graph()->parent_node(); owner; owner = owner->graph()->parent_node()) {
    if (dying_.contains(owner)) return;  // goes with it
  }
  for (int i = 0; i < node->num_outputs(); ++i) {
    if (node->has_output(i) && stays_in_use(*node->output(i))) return;
  }
  dying_.insert(node);
  nodes_.push_back(node);
  for_each_read(*node, [&](Value* v) { pending_.push_back(v->producer()); });
}

}  // namespace plica
