#include "runtime/plan/compile.h"

#include "runtime/plan/fuse.h"
#include "runtime/plan/layout_policy.h"

namespace plica {

std::shared_ptr<const Plan> compile(const Graph& graph, const GraphFacts& facts, const BuildOptions& options,
                                    ConstantCache& constants) {
  LoweredGraph lowered = lower(graph, facts);
  fuse(lowered);
  BuildOptions chosen = options;
  if (chosen.layout == onednn::Layout::row_major) chosen.layout = choose_layout();
  return PlanBuilder(std::move(lowered), chosen, constants).build();
}

}  // namespace plica
