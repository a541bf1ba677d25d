// Models of IR version 3 and older, as IR version 4.
#pragma once

#include "engine/graph/model_graph.h"

namespace plica {

// Before IR version 4 the format had no place for constants but among the inputs of the graph, where they were
// constants all the same. IR version 4 (2019) has one, so they leave the inputs: what is listed there
// afterwards is what callers give. Returns whether the model was older.
bool upgrade_ir_version(ModelGraph& model);

}  // namespace plica
