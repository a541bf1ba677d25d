// The parts of the normalization family's table, which normalization.cpp joins.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> batch_normalization_ops();  // batch_normalization.cpp
std::vector<OpDef>
row_normalization_ops();       // row_normalization.cpp: Instance-, Group-, Layer-, RMS-, Lp-, MeanVariance-
std::vector<OpDef> lrn_ops();  // lrn.cpp

}  // namespace plica
