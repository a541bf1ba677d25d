// The parts of the linear family's table, which linear.cpp joins.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> matrix_ops();          // matrix_ops.cpp: MatMul, Gemm
std::vector<OpDef> determinant_ops();     // determinant.cpp: Det
std::vector<OpDef> conv_ops();            // conv.cpp
std::vector<OpDef> conv_transpose_ops();  // conv_transpose.cpp

}  // namespace plica
