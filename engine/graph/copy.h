#pragma once

#include <functional>

#include "engine/graph/model_graph.h"

namespace plica {

// As `from`, with subgraphs of their own, in which values of enclosing graphs are mapped by `outer`.
Attributes copy_attributes(const Attributes& from, const ModelGraph* model,
                           const std::function<Value*(Value*)>& outer);

}  // namespace plica
