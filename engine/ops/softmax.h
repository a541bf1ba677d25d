// Softmax, LogSoftmax and Hardmax: part of the activation family.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

void add_softmax_ops(std::vector<OpDef>& ops);

}  // namespace plica
