// Convolutions of 3x3 windows with stride 1 by Winograd's minimal filtering, F(m x m, 3 x 3) with m = 2 or 4
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): tiles of (m + 2)^2 inputs are
// transformed to as many points, products of matrices over the channels are made at each point, and their
// results transformed to m^2 outputs.
//
// The layout is blocked by channels, [N, C / block, H, W, block], block 8 or 16. Groups of output channels
// are done one after the other, for a block of tiles whose transformed inputs stay in the second-level cache.
#pragma once

#include <vector>

#include "engine/core/tensor.h"
#include "runtime/kernels/kernel_chain.h"
#include "runtime/kernels/kernel.h"

namespace plica {

struct WinogradShape {
  int64_t batch = 1, in_channels = 0, out_channels = 0;
  int64_t in_height = 0, in_width = 0, out_height = 0, out_width = 0;
  int64_t pad_top = 0, pad_left = 0;
  int64_t block = 16;
  int tile = 4;  // m

  int64_t tile_rows() const { return (out_height + tile - 1) / tile; }
  int64_t tile_columns() const { return (out_width + tile - 1) / tile; }
  int64_t tiles() const { return tile_rows() * tile_columns(); }  // of one image
  int64_t in_blocks() const { return (in_channels + block - 1) / block; }
  int64_t out_blocks() const { return (out_channels + block - 1) / block; }
  int64_t points() const { return (tile + 2) * (tile + 2); }
};

// The transformed weights of a kernel for this shape on this CPU; `weights` are [O, I, 3, 3].
Tensor winograd_weights(const Tensor& weights, const WinogradShape& shape);
size_t winograd_weights_bytes(const WinogradShape& shape);

class WinogradKernel : public Kernel {
 public:
  // Operands of the kernel: x, the transformed weights, [bias, padded to whole blocks], those of the links,
  // y.
  WinogradKernel(const WinogradShape& shape, bool has_bias, std::vector<KernelLink> chain, int threads);

  size_t scratch_bytes() const override;
  void run(const Arguments& arguments) const override;

 private:
  WinogradShape shape_;
  bool has_bias_;
  std::vector<KernelLink> chain_;
  int threads_;
  int64_t tile_block_;  // tiles whose inputs are transformed before products are made
  bool shares_tiles_;   // the threads share the transformed inputs and divide the output channels
};

}  // namespace plica
