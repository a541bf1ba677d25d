// How single nodes are lowered: the table from ONNX operators to lowered operations.
#pragma once

#include "runtime/plan/lowered.h"

namespace plica {

// `op` holds the node's inputs and outputs, all of known types and shapes, and EvaluateParams. Turns it into
// the lowered operation that computes the same, when there is one; otherwise leaves it. May add values and
// operations that come before it.
void lower_known_node(LoweredGraph& graph, const Node& node, LoweredOp& op);

}  // namespace plica
