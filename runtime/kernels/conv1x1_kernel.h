// Convolutions of 1x1 windows with stride 1: a matrix product of the channels at each pixel. The layout is
// blocked by channels, [N, C / block, H * W, block], block 8 or 16.
//
// Results of some pixels by a group of channels are summed in registers. Pixels are done in blocks whose
// inputs stay in the second-level cache while all groups of output channels pass over them. Of the last block
// of channels only what there is is computed.
#pragma once

#include <vector>

#include "engine/core/tensor.h"
#include "runtime/kernels/kernel_chain.h"

namespace plica {

struct Conv1x1Shape {
  int64_t batch = 1, in_channels = 0, out_channels = 0, pixels = 0;  // pixels of an image
  int64_t block = 16;
  bool scaled = false;  // x is multiplied by a factor for each channel and image
};

// `weights` are [O, I]; [group][input channel][output channel of the group].
size_t conv1x1_weights_bytes(const Conv1x1Shape& shape);
Tensor conv1x1_weights(const Tensor& weights, const Conv1x1Shape& shape);

class Conv1x1Kernel : public Kernel {
 public:
  // Operands: x, the packed weights, [factors, by image, padded to whole blocks], [bias, padded to whole
  // blocks], those of the links, y.
  Conv1x1Kernel(const Conv1x1Shape& shape, bool has_bias, std::vector<KernelLink> chain, int threads);

  size_t scratch_bytes() const override;
  void run(const Arguments& arguments) const override;

 private:
  int64_t thread_floats() const;  // of scratch

  Conv1x1Shape shape_;
  bool has_bias_;
  KernelChain chain_;
  int threads_;
  int64_t pixel_block_;
};

}  // namespace plica
