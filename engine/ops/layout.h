// What the layout family shares, and the parts of its table, which layout.cpp joins. These operators move
// elements and never look at them, so they take every element type.
#pragma once

#include <optional>
#include <vector>

#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> reshape_ops();    // reshape.cpp: Reshape, Flatten, Squeeze, Unsqueeze
std::vector<OpDef> transpose_ops();  // transpose.cpp: Transpose, DepthToSpace, SpaceToDepth
std::vector<OpDef> concat_ops();     // concat.cpp: Concat, Split
std::vector<OpDef> slice_ops();      // slice.cpp: Slice, ReverseSequence
std::vector<OpDef> pad_ops();        // pad.cpp: Pad
std::vector<OpDef> expand_ops();     // expand.cpp: Expand, Tile, Trilu

// The numbers of an integer input (axes, starts, ...), in both contexts: nullopt when they are not known yet,
// which in evaluation never happens, or when the input is left out. Throws invalid_model when the input is
// not a vector.
std::optional<Dims> ints_of_input(const InferContext& context, int i);
std::optional<Dims> ints_of_input(const EvaluateContext& context, int i);

// Dims from a shape that is known, for sharing code between both contexts.
inline std::optional<Dims> known_dims(const InferContext& context, int i) {
  return context.input_shape(i) ? context.input_shape(i)->known() : std::nullopt;
}

// Axes in [0, rank), sorted. Throws invalid_model when one is out of range or comes twice.
std::vector<int> normalize_axes(const Dims& axes, int rank);

}  // namespace plica
