// The parts of the reduction family, each in a file of its own.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> reduce_ops();      // reduce.cpp: ReduceSum, ReduceMax, ...
std::vector<OpDef> arg_ops();         // reduce_arg.cpp: ArgMax, ArgMin
std::vector<OpDef> cumulative_ops();  // cumulative.cpp: CumSum, CumProd

}  // namespace plica
