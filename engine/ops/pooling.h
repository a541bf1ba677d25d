// The parts of the pooling family's table, which pooling.cpp joins.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> window_pool_ops();  // window_pool.cpp: MaxPool, AveragePool, LpPool
std::vector<OpDef> global_pool_ops();  // global_pool.cpp: GlobalMaxPool, GlobalAveragePool, GlobalLpPool

}  // namespace plica
