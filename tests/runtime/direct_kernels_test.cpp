// The kernels for convolutions of 1x1, depthwise ones and products by constants, against sums in double.
#include "runtime/kernels/conv1x1_kernel.h"
#include "runtime/kernels/depthwise_kernel.h"
#include "runtime/kernels/gemv_kernel.h"
#include "runtime/kernels/rows_product_kernel.h"
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
      seed, 1, [&](const Tensor& weights) { return conv1x1_weights(weights, s); },
      [&](std::vector<KernelLink> chain) {
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
      seed, 1, [&](const Tensor& weights) { return depthwise_weights(weights.data<float>(), s); },
      [&](std::vector<KernelLink> chain) {
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

struct RowsCase {
  int64_t rows = 1, terms = 1, columns = 1;
  bool transposed = false, bias = false;
  int threads = 1;
  TestChain chain = TestChain::none;

  using Make = std::function<std::unique_ptr<const Kernel>(std::vector<KernelLink> chain, int threads)>;

  // The kernel's results for x and `pack`ed constants, against sums in double; those of one thread bit by
  // bit.
  void check(uint32_t seed, const std::function<Tensor(const Tensor&)>& pack, const Make& make) const {
    SCOPED_TRACE(fmt::format("{} x {} x {}, transposed {}, bias {}, {} threads, chain {}", rows, terms,
                             columns, transposed, bias, threads, static_cast<int>(chain)));
    GraphMaker maker(seed);
    Tensor x = maker.random({rows, terms}), constants = maker.random({terms * columns}),
           shift = maker.random({columns}), factors = maker.random({columns}),
           residual = maker.random({rows, columns});
    const Tensor packed = pack(constants);
    const auto run = [&](int count) {
      Tensor y = Tensor::zeros(DataType::float32, {rows, columns});
      std::vector<void*> memory = {x.mutable_raw(), const_cast<void*>(packed.raw())};
      if (bias) memory.push_back(shift.mutable_raw());
      std::vector<KernelLink> links;
      if (chain == TestChain::by_channel) {  // sigmoid(factor * sum + residual)
        links.push_back({PointOp::of(Binary::mul, -1), static_cast<int>(memory.size()), true});
        memory.push_back(factors.mutable_raw());
      }
      if (chain == TestChain::by_channel || chain == TestChain::sum_relu) {
        links.push_back({PointOp::of(Binary::add, -1), static_cast<int>(memory.size()), false});
        memory.push_back(residual.mutable_raw());
      }
      if (chain == TestChain::by_channel) links.push_back({PointOp::of(Unary::sigmoid), -1, false});
      if (chain == TestChain::sum_relu) links.push_back({PointOp::of(Unary::relu), -1, false});
      if (chain == TestChain::clip) links.push_back({PointOp::of(Unary::clip, 0.5f, 1.f), -1, false});
      memory.push_back(y.mutable_raw());
      const auto kernel = make(links, count);
      Tensor scratch(DataType::uint8, {static_cast<int64_t>(kernel->scratch_bytes())});
      Arguments arguments;
      arguments.memory = memory;
      arguments.scratch = scratch.mutable_raw();
      const ThreadScope scope(count);
      kernel->run(arguments);
      return y;
    };
    const Tensor y = run(threads), alone = run(1);
    EXPECT_TRUE(std::ranges::equal(y.values<float>(), alone.values<float>()));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t n = 0; n < columns; ++n) {
        double v = bias ? double{shift.data<float>()[n]} : 0;
        for (int64_t k = 0; k < terms; ++k) {
          v += double{x.data<float>()[r * terms + k]} *
               double{constants.data<float>()[transposed ? n * terms + k : k * columns + n]};
        }
        const double other = residual.data<float>()[r * columns + n];
        if (chain == TestChain::by_channel)
          v = 1 / (1 + std::exp(-(double{factors.data<float>()[n]} * v + other)));
        if (chain == TestChain::sum_relu) v = std::max(v + other, 0.);
        if (chain == TestChain::clip) v = std::clamp(v, 0.5, 1.);
        // Terms, the bias and the residual are at most 1.
        EXPECT_NEAR(y.data<float>()[r * columns + n], v, tolerance(static_cast<double>(terms + 2), 1));
      }
    }
  }
};

TEST(Gemv, Random) {
  Picker pick(13);
  for (uint32_t seed = 0; seed < 120; ++seed) {
    GemvShape s;
    s.rows = pick(1, GemvShape::kMostRows);
    s.terms = pick(0, 70);
    s.columns = seed % 5 == 0 ? pick(60, 300) : pick(1, 40);
    s.transposed = pick(0, 1) == 1;
    const RowsCase c{.rows = s.rows,
                     .terms = s.terms,
                     .columns = s.columns,
                     .transposed = s.transposed,
                     .bias = pick(0, 1) == 1,
                     .threads = static_cast<int>(pick(1, 3))};
    c.check(
        seed, [](const Tensor& constants) { return constants; },
        [&](std::vector<KernelLink>, int threads) {
          return std::make_unique<GemvKernel>(s, c.bias, threads);
        });
  }
}

// Terms and columns that end in every part of a block and a unit, several blocks of rows.
TEST(RowsProduct, Random) {
  Picker pick(14);
  for (uint32_t seed = 0; seed < 150; ++seed) {
    RowsProductShape s;
    s.rows = seed % 10 == 0 ? pick(400, 1000) : pick(1, 60);
    s.terms = pick(1, 70);
    s.columns = seed % 5 == 0 ? pick(100, 300) : pick(1, 80);
    s.transposed = pick(0, 1) == 1;
    const RowsCase c{.rows = s.rows,
                     .terms = s.terms,
                     .columns = s.columns,
                     .transposed = s.transposed,
                     .bias = pick(0, 1) == 1,
                     .threads = static_cast<int>(pick(1, 3)),
                     .chain = static_cast<TestChain>(pick(0, 3))};
    c.check(
        seed, [&](const Tensor& constants) { return rows_product_weights(constants, s); },
        [&](std::vector<KernelLink> chain, int threads) {
          return std::make_unique<RowsProductKernel>(s, c.bias, std::move(chain), threads);
        });
  }
}

}  // namespace
}  // namespace plica::testing
