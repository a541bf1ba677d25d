// An affine node that takes in another affine: its constants change.
#pragma once

#include <optional>

#include "passes/fold/affine_node.h"

namespace plica {

// Adds to the patch what makes the node compute `whole` of its operand: a BatchNormalization any map along
// its channels, Mul and Div a pure scale, Add and Sub a pure shift. The Skip says why it can't.
std::optional<Skip> absorb_into_affine(const AffineNode& affine_node, const Affine& whole,
                                       const RuleContext& context, Patch& patch);

// Up to opset 6, the second input of Add, Sub, Mul and Div broadcasts only when asked to, and is a run of the
// first one's axes that begins at `axis`. Turns dims aligned with the last axes of an operand of this rank
// into such dims and sets the attributes; false when they are no such run. Does nothing in later opsets.
bool broadcast_as_before_opset_7(int64_t opset, int rank, Dims& dims, Attributes& attributes);

}  // namespace plica
