// Fusion: rewrites lowered operations so that fewer steps do the same. The phases, in this order:
//   1. layer normalization out of the operators that exporters write it with (before chains hide them);
//   2. pointwise operations that follow each other become one chain;
//   3. chains are simplified: hard-swish and swish out of their parts, linear after linear;
//   4. chains join the operation whose result they work on, where nothing else reads it;
//   5. an addition by channel at the beginning of a convolution's or product's chain becomes its bias.
#pragma once

#include "runtime/onednn/onednn.h"
#include "runtime/plan/lowered.h"

namespace plica {

void fuse(LoweredGraph& graph);

// After that (fuse_channels.cpp): shuffles of channels with the Concat before and the Slices behind them
// become copies of channels, and Slices that a Concat puts together again what they are slices of.
void fuse_channels(LoweredGraph& graph);

// After that (fuse_transposes.cpp): batches of products take in the Transposes around them.
void fuse_transposes(LoweredGraph& graph);

// After that (fuse_quantized.cpp): operators between DequantizeLinear and QuantizeLinear compute on the 8-bit
// integers.
void fuse_quantized(LoweredGraph& graph);

// After that (fuse_scales.cpp): a factor for each channel of what a 1x1 convolution reads, as squeeze and
// excitation computes it, multiplies the weights, of which there are fewer.
void fuse_scales(LoweredGraph& graph, onednn::Layout layout);

// Phase 3 alone: `root` is the value that the chain begins with.
void simplify_chain(PointChain& chain, int root);

}  // namespace plica
