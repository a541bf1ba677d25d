// Travel: moves an affine through the graph until constants have taken it in, as a patch.
//
// Backward, a value is to hold affine(value): what computes it, and it alone reads, takes the affine in (a
// linear operator, another affine node, a constant) or carries it to its own inputs (carry.h). Forward, a
// value is to hold u instead of affine(u): all that reads it takes the affine in or carries it to its
// outputs. All of the affine arrives or none of it: after a Skip the patch is of no use.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/constants.h"
#include "passes/fold/affine_node.h"
#include "passes/fold/linear_op.h"
#include "passes/rule.h"

namespace plica {

class Travel {
 public:
  // `chain`: the nodes whose affine travels; `at`: the one that the rule was asked about.
  Travel(const AffineChain& chain, const Node& at, const RuleContext& context);

  // The chain's input is to hold affine(input), read by the chain alone.
  std::optional<Skip> backward(const Affine& affine);
  // The chain's output is to hold u instead of affine(u). `may_map`: padded convolutions may get a map.
  std::optional<Skip> forward(const Affine& affine, bool may_map);

  Patch& patch() { return patch_; }
  // Notes in the metadata of those that took the affine in which batch norms are in them.
  Patch take() &&;

 private:
  struct Request {
    Affine affine;
    size_t reads = 0;  // how many reads of the value ask for it
  };

  // ---- backward
  std::optional<Skip> request(Value* value, const Affine& affine, size_t reads);
  std::optional<Skip> serve(Value& value, const Affine& affine);
  std::optional<Skip> carry_to_inputs(Value& value, const Affine& affine);
  std::optional<Skip> change_constant(Node& node, int input, const Constant& constant, const Affine& affine);

  // ---- forward
  std::optional<Skip> hand_over(const Value& value, const Affine& affine);
  std::optional<Skip> hand_over_to(Node& node, int input, const Affine& affine);
  std::optional<Skip> hand_over_to_linear(const LinearOp& op, const Affine& affine);

  std::optional<Skip> set_pad_value(Node& node, double value);
  // Linear operators take in what they were asked to only once everything else has found its place: scaling
  // weights is the work.
  std::optional<Skip> settle();
  std::optional<Skip> visit(const Node& node);

  const AffineChain& chain_;
  const RuleContext& context_;
  Patch patch_;
  bool may_map_ = false;
  std::unordered_set<const Node*> visited_;
  std::unordered_map<Value*, Request> requests_;
  std::deque<Value*> waiting_;  // values with requests, in the order of the first
  std::deque<std::pair<const Value*, Affine>> to_hand_over_;
  std::vector<std::function<std::optional<Skip>()>> to_settle_;
};

}  // namespace plica
