// How operators carry an affine between their outputs and inputs: ReLU, pools, Concat, Transpose, Reshape,
// ...
//
// Backward: op(..., x, ...) is to become affine(op(..., x, ...)); which affines on its inputs do that?
// Forward: input x is affine(u); which affines on its outputs does the operator, computed from u, leave?
// The formulas stand beside each family in carry.cpp and carry_layout.cpp.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "passes/fold/affine.h"
#include "passes/rule.h"

namespace plica {

struct Carried {
  struct To {
    int index;  // of the input (backward) or output (forward)
    Affine affine;
  };
  std::vector<To> to;               // others are as before
  std::optional<double> pad_value;  // of a Pad: what it must pad with from now on
};

// NoMatch: the operator carries nothing. Skip: not this affine, and why.
using CarryResult = std::variant<NoMatch, Skip, Carried>;

CarryResult carry_backward(const Node& node, int output, const Affine& affine, const RuleContext& context);
CarryResult carry_forward(const Node& node, int input, const Affine& affine, const RuleContext& context);

// The node as inference sees it, for what engine/ops/node_parameters.h tells.
InferContext infer_context(const Node& node, const RuleContext& context);

// The parts of the two by file: carry_layout.cpp has the operators that move elements.
CarryResult carry_layout_backward(const Node& node, int output, const Affine& affine,
                                  const RuleContext& context);
CarryResult carry_layout_forward(const Node& node, int input, const Affine& affine,
                                 const RuleContext& context);

// The affine over the elements of a tensor of shape `from`, as one over the same elements in shape `to`
// (Reshape, Flatten, Squeeze, ...). Nothing when the shapes don't say how their axes correspond.
std::optional<Affine> through_reshape(const Affine& affine, const Shape& from, const Shape& to);

}  // namespace plica
