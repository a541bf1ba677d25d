#include "runtime/plan/compile.h"

#include "runtime/plan/fuse.h"
#include "runtime/plan/runner.h"

namespace plica {

std::shared_ptr<const Plan> compile(const Region& region, const GraphFacts& facts, const Programs& programs,
                                    std::shared_ptr<const Continuation> rest) {
  LoweredGraph lowered = lower(region, facts);
  fuse(lowered);
  fuse_quantized(lowered);
  std::shared_ptr<Plan> plan = PlanBuilder(std::move(lowered), programs).build();
  plan->rest = std::move(rest);
  return plan;
}

}  // namespace plica
