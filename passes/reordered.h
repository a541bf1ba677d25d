// How a node computes the same from operands whose axes lie in another order: what to edit of it.
//
// An order says where the axes went: axis i of the operand as the node reads it now is axis order[i] of the
// operand as it would read it then (the `perm` of a Transpose from then to now).
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "passes/rule.h"

namespace plica {

using AxisOrder = std::vector<int>;

bool is_identity(const AxisOrder& order);
AxisOrder inverse(const AxisOrder& order);

struct Reordered {
  std::vector<int> data;                       // the inputs that would be in the order,
  std::vector<int> constants;                  // and constants to permute likewise (permuted_constant)
  std::vector<std::pair<int, Tensor>> inputs;  // parameters that change: axes, pads, sizes, ...
  std::vector<Attribute> attributes;           // the same as attributes
  AxisOrder output;                            // of all outputs; of fewer axes where some go
};

// nullopt: the operator moves or looks at axes in a way of its own, or a parameter is not known.
// `order` is of its operands of the highest rank. Throws what the operator's infer does.
std::optional<Reordered> reordered(const Node& node, const AxisOrder& order, const RuleContext& context);

// A constant that broadcasts to operands in the order now, as one that does then.
Tensor permuted_constant(const Tensor& constant, const AxisOrder& order);

}  // namespace plica
