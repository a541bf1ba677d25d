// TransposeRegion: nodes that compute the same from operands whose axes lie as before the Transposes in front
// of them (reordered.h), so that those could go; found around one Transpose.
//
// A value is transposed once or not at all, as the graph is and with the region rewritten:
//   by a Transpose, which computes it:   unless all that reads it is in the region
//   computed in the region:              when something outside reads it, Transposes that undo its order
//   aside computed elsewhere:                  when something in the region reads it
// What is transposed costs its elements, none if only axes of 1 move, and then itself as a node. Nodes whose
// leaving the region does not cost more leave it, one after the other; what is left is to be rewritten if
// that costs less than leaving all as it is. So each rewrite lowers the cost of the graph, and it ends.
#pragma once

#include <unordered_map>
#include <vector>

#include "passes/reordered.h"

namespace plica {

// Of a Transpose; nullopt when it is not known.
std::optional<AxisOrder> permutation_of(const Node& transpose, const RuleContext& context);

class TransposeRegion {
 public:
  TransposeRegion(const Graph& graph, const RuleContext& context) : graph_(graph), context_(context) {}

  // Around a value of the graph with the order. Whether there is something to gain.
  bool find(const Value* value, const AxisOrder& order);

  // ---- what was found
  // Each after those that compute what it reads.
  std::vector<Node*> in_order() const;
  const Reordered& reordered_of(const Node& node) const { return nodes_.at(&node); }
  // Of the operands of a node, of a value.
  const AxisOrder& order_of(const Node& node) const {
    return orders_.at(node.input(nodes_.at(&node).data[0]));
  }
  bool has_order(const Value* value) const { return orders_.contains(value); }
  // The Transpose that computes the value from what the region would read.
  const Node* source_of(const Value* value) const;
  // The Transposes that undo the order of a value that the region computes.
  std::vector<const Node*> undoing(const Value* value) const;
  // By those that need it as it is now.
  bool is_read_outside(const Value* value) const;
  // The reader in the region that is the first in the list of the graph's nodes.
  const Node* first_reader(const Value* value) const;

 private:
  struct Cost {
    double elements = 0;  // an unknown dim counts as 1
    int transposes = 0;
    Cost& operator+=(const Cost& c) {
      elements += c.elements;
      transposes += c.transposes;
      return *this;
    }
    auto operator<=>(const Cost&) const = default;
  };

  void reach(const Value* value, const AxisOrder& order);
  void grow_from(const Value* value);
  void take(Node* node, const AxisOrder& order);
  std::optional<Reordered> fitting(const Node& node, const AxisOrder& order) const;
  void shrink();
  bool undoes(const Use& use, const AxisOrder& order) const;
  bool is_computed_inside(const Value* value) const;
  bool is_read_inside(const Value* value) const;
  Cost cost_of(const Value* value) const;
  Cost undone_cost(const Value* value) const;
  Cost cost_now(const Value* value) const;

  const Graph& graph_;
  const RuleContext& context_;
  // The values that nodes of the region read or compute, with the order of each, as they were found.
  std::vector<const Value*> values_;
  std::unordered_map<const Value*, AxisOrder> orders_;
  std::vector<Node*> members_;
  std::unordered_map<const Node*, Reordered> nodes_;
};

}  // namespace plica
