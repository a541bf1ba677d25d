// Copies channels of several tensors into one, each from anywhere: what is left of Concat, Slice and channel
// shuffles in blocked layouts, where channels lie in lanes of vectors, and in row-major order.
#pragma once

#include <array>
#include <vector>

#include "runtime/kernels/kernel.h"
#include "runtime/plan/lowered.h"

namespace plica {

// Tensors [images, channels in blocks, positions, block]; lanes beyond the channels are written as zeros.
class BlockedChannelGatherKernel : public Kernel {  // operands: inputs, output
 public:
  // `channels`: of the output. `input_channels`: of each input.
  BlockedChannelGatherKernel(int block, int64_t images, int64_t positions,
                             const std::vector<ChannelGatherParams::Source>& channels,
                             const std::vector<int64_t>& input_channels);
  void run(const Arguments& arguments) const override;

 private:
  static constexpr int kMostLanes = 16;
  // Lanes of one block of an input. Lane l of the output's is lane index[l] - block of it, or if index[l] = l
  // what it was before.
  struct Piece {
    int input;
    int64_t block;
    std::array<int32_t, kMostLanes> index;
  };

  int block_;
  int64_t images_, positions_;
  std::vector<int64_t> input_blocks_;       // of each input
  std::vector<std::vector<Piece>> blocks_;  // of the output
};

// Tensors [images, channels, positions].
class PlaneGatherKernel : public Kernel {  // operands: inputs, output
 public:
  PlaneGatherKernel(int64_t images, int64_t positions, std::vector<ChannelGatherParams::Source> channels,
                    std::vector<int64_t> input_channels);
  void run(const Arguments& arguments) const override;

 private:
  int64_t images_, positions_;
  std::vector<ChannelGatherParams::Source> channels_;
  std::vector<int64_t> input_channels_;
};

}  // namespace plica
