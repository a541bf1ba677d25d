// Which layout the activations of a plan have, and which convolutions run by Winograd's method. See
// layout_policy.cpp for the measurements behind.
#pragma once

#include "runtime/onednn/onednn.h"
#include "runtime/plan/lowered.h"

namespace plica {

// The layout of activations on this CPU.
onednn::Layout choose_layout();

// A 3x3 convolution for which Winograd's method is faster than the direct one, where the CPU has it
// (AVX-512).
bool winograd_pays(const ConvolutionParams& params, const Dims& x, const Dims& y);
// 4 for F(4x4, 3x3), 2 for F(2x2, 3x3).
int winograd_tile(const Dims& x, const Dims& y);

}  // namespace plica
