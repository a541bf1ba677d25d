// The operators with subgraphs, by file.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

class Tensor;
class Value;

// What a scan output of a body that never ran is: of its declared type, with size 0 along the new axis, and
// where the declaration leaves a size open.
Tensor nothing_scanned(const Value& output, int64_t axis);

std::vector<OpDef> loop_ops();          // If, Loop
std::vector<OpDef> scan_ops();          // Scan
std::vector<OpDef> sequence_map_ops();  // SequenceMap

}  // namespace plica
