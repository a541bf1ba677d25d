// Which layout the activations of a plan have, and which convolutions run by Winograd's method. See
// layout_policy.cpp for the measurements behind.
#pragma once

#include "runtime/onednn/onednn.h"
#include "runtime/plan/lowered.h"

namespace plica {

// The layout of activations on this CPU.
onednn::Layout choose_layout();

// How a convolution is done fastest by so many threads: 4 for F(4x4, 3x3), 2 for F(2x2, 3x3), 0 for directly.
int winograd_tile(const ConvolutionParams& params, const Dims& x, const Dims& y, int threads);

// Whether a convolution by constants runs by the kernel for windows of 1x1.
bool runs_as_1x1(const ConvolutionParams& params, const Dims& x, const Dims& y, onednn::Layout layout);

}  // namespace plica
