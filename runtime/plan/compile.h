// compile(graph, shapes): infer, lower, fuse, choose layouts, build steps, plan memory.
#pragma once

#include <memory>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/ops/infer.h"
#include "runtime/plan/builder.h"

namespace plica {

// `facts` have concrete types for all inputs. The current number of threads (ThreadScope) is that of the
// plan's runs.
std::shared_ptr<const Plan> compile(const Graph& graph, const GraphFacts& facts, const BuildOptions& options,
                                    ConstantCache& constants);

}  // namespace plica
