// What attributes and inputs say about how a node moves elements, with the version rules and defaults of its
// operator: for those who reason about nodes without computing them.
//
// Each takes the context of a node of that operator. nullopt: not known, since an input is not constant or
// the rank is not known. Throws invalid_model as the operator's infer does.
#pragma once

#include <optional>
#include <vector>

#include "engine/ops/infer.h"

namespace plica {

// Transpose: output axis i is input axis [i].
std::optional<std::vector<int>> transpose_permutation(const InferContext& context);

// ReduceX: by axis of the input, whether it is reduced.
std::optional<std::vector<bool>> reduced_axes(const InferContext& context);

// Slice: by axis of the input; output element i is input element start + i * step. nullopt for an axis whose
// size is not known, unless all of it is kept as it is.
struct AxisSlice {
  int64_t start = 0, step = 1;
  bool whole = true;  // start 0, step 1, up to the end
};
std::optional<std::vector<std::optional<AxisSlice>>> axis_slices(const InferContext& context);

// Pad: elements before and after, by axis of the input; negative ones crop.
struct PadParameters {
  Dims begin, end;
  bool constant = true;         // mode constant: other modes repeat elements of the input
  bool value_is_input = true;   // input 2, not the attribute `value`
  std::optional<double> value;  // of mode constant, when it is known
};
std::optional<PadParameters> pad_parameters(const InferContext& context);

// DepthToSpace: input channel i holds elements of output channel [i], of this many input channels.
std::vector<int64_t> depth_to_space_channels(const InferContext& context, int64_t channels);

}  // namespace plica
