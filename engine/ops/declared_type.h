// What a file declares of a value, against what inference says of it.
#pragma once

#include "engine/graph/graph.h"

namespace plica {

// Throws invalid_model when the node computes another kind of value, or elements of another type, than the
// file declares `output` to be. Shapes are not compared: exporters write down those of one example, and the
// inferred ones count.
void check_declared_type(const Node& node, const Value& output, const Type& inferred);

}  // namespace plica
