// The parts of the constant family, each in a file of its own.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> generator_ops();    // generator.cpp: Constant, ConstantOfShape, Range, EyeLike
std::vector<OpDef> description_ops();  // description.cpp: Shape, Size, Identity, Dropout

}  // namespace plica
