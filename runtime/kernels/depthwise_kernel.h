// Depthwise convolutions of 3x3, 5x5 and 7x7 windows, each channel by a filter of its own, with stride 1 or 2
// along rows and any down them; and of 1x1 with stride 1 along rows, which are affines by channel.
// The layout is blocked by channels, [N, C / block, H, W, block], block 8 or 16. A row of results is computed
// in registers some columns at a time, and its chain while it is in the first-level cache.
#pragma once

#include <vector>

#include "engine/core/tensor.h"
#include "runtime/kernels/kernel_chain.h"

namespace plica {

struct DepthwiseShape {
  int64_t batch = 1, channels = 0;
  int64_t in_height = 0, in_width = 0, out_height = 0, out_width = 0;
  int64_t pad_top = 0, pad_left = 0;
  int64_t block = 16;
  int window = 3;
  int64_t stride_down = 1, stride_along = 1;

  int64_t blocks() const { return (channels + block - 1) / block; }
};

// Whether there is a kernel for this window and stride along rows.
bool has_depthwise_kernel(int64_t window, int64_t stride_along);

// `weights` are [C, 1, window, window]; [C / block, window, window, block].
size_t depthwise_weights_bytes(const DepthwiseShape& shape);
Tensor depthwise_weights(const float* weights, const DepthwiseShape& shape);

class DepthwiseKernel : public Kernel {
 public:
  // Operands: x, the packed weights, [bias, padded to whole blocks], those of the links, y.
  DepthwiseKernel(const DepthwiseShape& shape, bool has_bias, std::vector<KernelLink> chain, int threads);

  void run(const Arguments& arguments) const override;

 private:
  DepthwiseShape shape_;
  bool has_bias_;
  KernelChain chain_;
  int threads_;
};

}  // namespace plica
