// The operators on sequences and optionals, by file.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef>
sequence_element_ops();  // SequenceEmpty, SequenceConstruct, SequenceInsert, SequenceErase, ...
std::vector<OpDef> sequence_tensor_ops();  // SplitToSequence, ConcatFromSequence
std::vector<OpDef> optional_ops();         // Optional, OptionalGetElement, OptionalHasElement

}  // namespace plica
