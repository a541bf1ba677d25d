// Replaces calls of model functions by their bodies.
#pragma once

#include <cstdint>

#include "engine/graph/model_graph.h"

namespace plica {

// All calls in the main graph and its subgraphs, those that bodies make too. Values that calls produce keep
// their names. A node whose function imports another opset than the model gets Node::imported_opset: such a
// graph can be run, but not saved. Functions don't call themselves (import checks that). Throws limit when
// more than `most_nodes` come to be.
void inline_functions(ModelGraph& model, int64_t most_nodes = int64_t{1} << 20);
// A copy of the model with that done; null when it has no functions.
std::unique_ptr<ModelGraph> with_functions_inlined(const ModelGraph& model);

}  // namespace plica
