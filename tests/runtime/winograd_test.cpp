// Winograd's convolutions against sums in double.
#include "runtime/kernels/winograd_kernel.h"

#include "tests/runtime/blocked_convolution.h"

namespace plica::testing {
namespace {

BlockedConvolution convolution(int64_t batch, int64_t in, int64_t out, int64_t height, int64_t width,
                               int64_t pad, int64_t block) {
  BlockedConvolution c;
  c.batch = batch;
  c.in_channels = in;
  c.out_channels = out;
  c.in_height = height;
  c.in_width = width;
  c.out_height = height + 2 * pad - 2;
  c.out_width = width + 2 * pad - 2;
  c.window = 3;
  c.pad_top = c.pad_left = pad;
  c.block = block;
  return c;
}

// kWinogradFactor is argued in runtime_test.h.
void check(const BlockedConvolution& c, int tile, uint32_t seed) {
  SCOPED_TRACE(fmt::format("F({})", tile));
  WinogradShape s;
  s.batch = c.batch;
  s.in_channels = c.in_channels;
  s.out_channels = c.out_channels;
  s.in_height = c.in_height;
  s.in_width = c.in_width;
  s.out_height = c.out_height;
  s.out_width = c.out_width;
  s.pad_top = c.pad_top;
  s.pad_left = c.pad_left;
  s.block = c.block;
  s.tile = tile;
  c.check(
      seed, kWinogradFactor, [&](const Tensor& weights) { return winograd_weights(weights, s); },
      [&](std::vector<KernelLink> chain) {
        return std::make_unique<WinogradKernel>(s, c.bias, std::move(chain), c.threads);
      });
}

TEST(Winograd, Shapes) {
  uint32_t seed = 1;
  for (const int64_t block : {8, 16}) {
    for (const int tile : {2, 4}) {
      for (const int threads : {1, 2}) {
        for (BlockedConvolution c :
             {convolution(1, 16, 32, 12, 12, 1, block), convolution(2, 24, 40, 7, 9, 1, block),
              convolution(1, 19, 21, 5, 30, 0, block), convolution(1, 3, 5, 3, 3, 0, block),
              convolution(1, 8, 64, 1, 1, 2, block),
              // Several blocks of tiles.
              convolution(1, 16, 16, 65, 50, 1, block)}) {
          c.threads = threads;
          c.bias = seed % 3 != 0;
          c.chain = seed % 2 != 0 ? TestChain::by_channel : TestChain::none;
          check(c, tile, ++seed);
        }
      }
    }
  }
}

TEST(Winograd, Random) {
  std::mt19937 random(7);
  const auto pick = [&](int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random);
  };
  for (uint32_t seed = 0; seed < 40; ++seed) {
    BlockedConvolution c =
        convolution(pick(1, 3), pick(1, 50), pick(1, 70), pick(3, 24), pick(3, 24), 1, pick(0, 1) ? 8 : 16);
    // Asymmetric padding, and cut-off ends.
    c.pad_top = pick(0, 2);
    c.pad_left = pick(0, 2);
    c.out_height = pick(1, c.in_height + c.pad_top);
    c.out_width = pick(1, c.in_width + c.pad_left);
    c.threads = static_cast<int>(pick(1, 3));
    c.bias = pick(0, 1) == 1;
    c.chain = static_cast<TestChain>(pick(0, 4));
    check(c, pick(0, 1) ? 2 : 4, seed);
  }
}

}  // namespace
}  // namespace plica::testing
