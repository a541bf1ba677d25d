#include "runtime/plan/compile.h"

#include "engine/core/parallel.h"
#include "runtime/plan/fuse.h"
#include "runtime/plan/layout_policy.h"
#include "runtime/plan/runner.h"

namespace plica {

std::shared_ptr<const Plan> compile(const Region& region, const GraphFacts& facts, const Programs& programs,
                                    std::shared_ptr<const Continuation> rest) {
  LoweredGraph lowered = lower(region, facts);
  fuse(lowered);
  fuse_channels(lowered);
  fuse_transposes(lowered);
  fuse_quantized(lowered);
  PlanTuning tuned = tuning_of(lowered, programs.tuning(), current_threads());
  const onednn::Layout layout = choose_layout(tuned.choice.layout);
  fuse_scales(lowered, layout);
  std::shared_ptr<Plan> plan = PlanBuilder(std::move(lowered), layout, std::move(tuned), programs).build();
  plan->rest = std::move(rest);
  return plan;
}

}  // namespace plica
