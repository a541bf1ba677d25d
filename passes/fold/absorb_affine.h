// An affine node that takes in another affine: its constants change.
#pragma once

#include <optional>

#include "passes/fold/affine_node.h"

namespace plica {

// Adds to the patch what makes the node compute `whole` of its operand: a BatchNormalization any map along
// its channels, Mul and Div a pure scale, Add and Sub a pure shift. The Skip says why it can't.
std::optional<Skip> absorb_into_affine(const AffineNode& affine_node, const Affine& whole,
                                       const RuleContext& context, Patch& patch);

}  // namespace plica
