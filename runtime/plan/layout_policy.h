// Which layout the activations of a plan have, and which convolutions run by Winograd's method. See
// layout_policy.cpp for the measurements behind.
#pragma once

#include <optional>

#include "runtime/onednn/onednn.h"
#include "runtime/plan/lowered.h"
#include "runtime/plan/tuning.h"

namespace plica {

// The layout of activations on this CPU; `measured`: what was measured to be best, if anything.
onednn::Layout choose_layout(std::optional<TunedLayout> measured = std::nullopt);

// How a convolution is done fastest by so many threads: 4 for F(4x4, 3x3), 2 for F(2x2, 3x3), 0 for directly. `measured` is
// followed where Winograd's method can do it.
int winograd_tile(const ConvolutionParams& params, const Dims& x, const Dims& y, int threads,
                  std::optional<int> measured = std::nullopt);

// Whether a convolution by constants runs by the kernel for windows of 1x1.
bool runs_as_1x1(const ConvolutionParams& params, const Dims& x, const Dims& y, onednn::Layout layout);

}  // namespace plica
