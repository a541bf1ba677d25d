// What the simplifying rules ask of the graph around a node. Versions of operators are not told apart here by
// number, but by what the node has: an attribute, or an input in its place.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "passes/rule.h"

namespace plica {

// Readers of the node's output 0 read `by` instead. NoMatch when the output's name must stay and cannot move.
RuleResult pass_through(const Node& node, Value* by);

// The node is the operator, has input 0 and output 0, and its attributes are its own.
bool is_plain(const Node& node, std::string_view op_type);

// The producer of the value when it is this operator (is_plain); null otherwise. `sole`: and nothing else
// reads the value, so that the producer goes when its reader does.
Node* producer_of(const Value* value, std::string_view op_type);
Node* sole_producer_of(const Value* value, std::string_view op_type);

// Both are tensors of the same element type and provably the same shape: equal numbers or equal symbols.
bool same_type_and_shape(const Value* a, const Value* b, const RuleContext& context);

// The integers that the attribute holds, or in newer versions input `index`. nullopt: left out, or not
// constant; `given` tells which.
struct Ints {
  bool given = false;
  std::optional<Dims> values;
};
Ints ints_of(const Node& node, std::string_view attribute, int index, const RuleContext& context);

// The axis that an axis attribute means, in [0, rank). nullopt when the rank of the value is not known or the
// axis is out of range.
std::optional<int> axis_of(const Node& node, const Value* value, const RuleContext& context);

// Every element of the constant is this number. (-0.0 is not 0.0; a large tensor is not looked at.)
bool is_filled_with(const Tensor& constant, double number);

// A scalar that is known: input `index` of the node.
std::optional<double> scalar_input(const Node& node, int index, const RuleContext& context);

// A tensor of rank 0 with the number, which the type holds exactly. The type must be foldable.
Tensor scalar_of(DataType type, double number);

}  // namespace plica
