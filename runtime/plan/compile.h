// compile(region, shapes): lower, fuse, choose layouts, build steps, plan memory.
#pragma once

#include <memory>

#include "engine/ops/infer.h"
#include "runtime/plan/builder.h"
#include "runtime/plan/region.h"

namespace plica {

class Programs;
struct Continuation;

// `facts` are those of infer_region; shapes that they leave open are of values that only outputs and
// operators on containers read. The current number of threads (ThreadScope) is that of the plan's runs.
std::shared_ptr<const Plan> compile(const Region& region, const GraphFacts& facts, const Programs& programs,
                                    std::shared_ptr<const Continuation> rest = nullptr);

}  // namespace plica
