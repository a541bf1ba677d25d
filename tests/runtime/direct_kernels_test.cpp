// The kernels for convolutions of 1x1, depthwise ones and products of a few rows, against sums in double.
#include "runtime/kernels/conv1x1_kernel.h"
#include "runtime/kernels/depthwise_kernel.h"
#include "runtime/kernels/gemv_kernel.h"
#include "tests/runtime/blocked_convolution.h"

namespace plica::testing {
namespace {

class Picker {
 public:
  explicit Picker(uint32_t seed) : random_(seed) {}
  int64_t operator()(int64_t from, int64_t to) {
    return std::uniform_int_distribution<int64_t>(from, to)(random_);
  }

 private:
  std::mt19937 random_;
};

void check_1x1(BlockedConvolution c, uint32_t seed) {
  c.out_height = c.in_height;
  c.out_width = c.in_width;
  Conv1x1Shape s;
  s.batch = c.batch;
  s.in_channels = c.in_channels;
  s.out_channels = c.out_channels;
  s.pixels = c.in_height * c.in_width;
  s.block = c.block;
  c.check(
      seed, 1, [&](const float* weights) { return conv1x1_weights(weights, s); },
      [&](std::vector<BlockedLink> chain) {
        return std::make_unique<Conv1x1Kernel>(s, c.bias, std::move(chain), c.threads);
      });
}

// Channels that end in every part of a block, pixels that end in every piece, several blocks of pixels.
TEST(Conv1x1, Random) {
  Picker pick(11);
  for (uint32_t seed = 0; seed < 150; ++seed) {
    BlockedConvolution c;
    c.batch = pick(1, 2);
    c.in_channels = pick(1, 70);
    c.out_channels = pick(1, 80);
    c.in_height = seed % 10 == 0 ? 40 : pick(1, 9);
    c.in_width = pick(1, 30);
    c.block = pick(0, 1) ? 8 : 16;
    c.threads = static_cast<int>(pick(1, 3));
    c.bias = pick(0, 2) != 0;
    c.chain = static_cast<TestChain>(pick(0, 4));
    check_1x1(c, seed);
  }
}

void check_depthwise(BlockedConvolution c, uint32_t seed) {
  c.depthwise = true;
  c.out_channels = c.in_channels;
  DepthwiseShape s;
  s.batch = c.batch;
  s.channels = c.in_channels;
  s.in_height = c.in_height;
  s.in_width = c.in_width;
  s.out_height = c.out_height;
  s.out_width = c.out_width;
  s.pad_top = c.pad_top;
  s.pad_left = c.pad_left;
  s.block = c.block;
  s.window = static_cast<int>(c.window);
  s.stride_down = c.stride_down;
  s.stride_along = c.stride_along;
  ASSERT_TRUE(has_depthwise_kernel(c.window, c.stride_along));
  c.check(
      seed, 1, [&](const float* weights) { return depthwise_weights(weights, s); },
      [&](std::vector<BlockedLink> chain) {
        return std::make_unique<DepthwiseKernel>(s, c.bias, std::move(chain), c.threads);
      });
}

TEST(Depthwise, Random) {
  Picker pick(12);
  for (uint32_t seed = 0; seed < 200; ++seed) {
    BlockedConvolution c;
    c.batch = pick(1, 2);
    c.in_channels = pick(1, 40);
    c.in_height = pick(1, 12);
    c.in_width = pick(1, 40);
    c.window = 1 + 2 * pick(0, 3);
    c.stride_down = pick(1, 3);
    c.stride_along = c.window == 1 ? 1 : pick(1, 2);
    // Windows that lie in the padding altogether too.
    c.pad_top = pick(0, c.window);
    c.pad_left = pick(0, c.window);
    c.out_height = (c.in_height + c.pad_top + pick(0, c.window)) / c.stride_down + 1;
    c.out_width = (c.in_width + c.pad_left + pick(0, c.window)) / c.stride_along + 1;
    c.block = pick(0, 1) ? 8 : 16;
    c.threads = static_cast<int>(pick(1, 3));
    c.bias = pick(0, 2) != 0;
    c.chain = static_cast<TestChain>(pick(0, 4));
    check_depthwise(c, seed);
  }
}

TEST(Depthwise, OtherWindowsAreNone) {
  EXPECT_FALSE(has_depthwise_kernel(4, 1));
  EXPECT_FALSE(has_depthwise_kernel(3, 3));
  EXPECT_FALSE(has_depthwise_kernel(9, 1));
}

TEST(Gemv, Random) {
  Picker pick(13);
  for (uint32_t seed = 0; seed < 120; ++seed) {
    GemvShape s;
    s.rows = pick(1, GemvShape::kMostRows);
    s.terms = pick(0, 70);
    s.columns = seed % 5 == 0 ? pick(60, 300) : pick(1, 40);
    s.transposed = pick(0, 1) == 1;
    const bool has_bias = pick(0, 1) == 1;
    const int threads = static_cast<int>(pick(1, 3));
    SCOPED_TRACE(fmt::format("{} x {} x {}, transposed {}, bias {}, {} threads", s.rows, s.terms, s.columns,
                             s.transposed, has_bias, threads));
    GraphMaker maker(seed);
    Tensor a = maker.random({s.rows, s.terms}), b = maker.random({s.terms * s.columns}),
           bias = maker.random({s.columns});
    const auto run = [&](int count) {
      Tensor y = Tensor::zeros(DataType::float32, {s.rows, s.columns});
      std::vector<void*> memory = {a.mutable_raw(), b.mutable_raw()};
      if (has_bias) memory.push_back(bias.mutable_raw());
      memory.push_back(y.mutable_raw());
      Arguments arguments;
      arguments.memory = memory;
      const ThreadScope scope(count);
      GemvKernel(s, has_bias, count).run(arguments);
      return y;
    };
    const Tensor y = run(threads), alone = run(1);
    EXPECT_TRUE(std::ranges::equal(y.values<float>(), alone.values<float>()));
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t n = 0; n < s.columns; ++n) {
        double sum = has_bias ? double{bias.data<float>()[n]} : 0;
        for (int64_t k = 0; k < s.terms; ++k) {
          sum += double{a.data<float>()[r * s.terms + k]} *
                 double{b.data<float>()[s.transposed ? n * s.terms + k : k * s.columns + n]};
        }
        // Terms and the bias are at most 1.
        const auto largest = static_cast<double>(s.terms + 1);
        EXPECT_NEAR(y.data<float>()[r * s.columns + n], sum, tolerance(largest, 1));
      }
    }
  }
}

}  // namespace
}  // namespace plica::testing
