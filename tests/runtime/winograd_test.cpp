// Winograd's convolutions against sums in double.
#include "runtime/kernels/winograd_kernel.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/core/parallel.h"
#include "tests/runtime/runtime_test.h"

namespace plica::testing {
namespace {

struct Case {
  WinogradShape shape;
  int threads = 1;
  bool bias = true;
  bool chain = false;
};

std::vector<float> random_floats(std::mt19937& random, size_t count, float scale = 1) {
  std::vector<float> out(count);
  for (float& v : out) v = scale * std::normal_distribution<float>()(random);
  return out;
}

// [N, C, H, W] in blocks of channels, the last filled up with zeros.
class Blocked {
 public:
  Blocked(int64_t n, int64_t c, int64_t h, int64_t w, int64_t block)
      : c_(c),
        h_(h),
        w_(w),
        block_(block),
        blocks_((c + block - 1) / block),
        values(Tensor::zeros(DataType::float32, {n * blocks_ * block * h * w})) {}
  float& at(int64_t n, int64_t c, int64_t y, int64_t x) {
    return values.mutable_values<float>()[static_cast<size_t>(
        (((n * blocks_ + c / block_) * h_ + y) * w_ + x) * block_ + c % block_)];
  }
  int64_t padded() const { return blocks_ * block_; }
  int64_t channels() const { return c_; }

 private:
  int64_t c_, h_, w_, block_, blocks_;

 public:
  Tensor values;
};

// Largest error, and the largest result.
std::pair<double, double> run(const Case& c, uint32_t seed) {
  const WinogradShape& s = c.shape;
  std::mt19937 random(seed);
  Blocked x(s.batch, s.in_channels, s.in_height, s.in_width, s.block),
      y(s.batch, s.out_channels, s.out_height, s.out_width, s.block),
      residual(s.batch, s.out_channels, s.out_height, s.out_width, s.block),
      bias(1, s.out_channels, 1, 1, s.block), factors = bias;
  const auto weights = random_floats(random, static_cast<size_t>(s.out_channels * s.in_channels * 9),
                                     1 / std::sqrt(9.f * static_cast<float>(s.in_channels)));
  const auto fill = [&](Blocked& t, int64_t n, int64_t h, int64_t w) {
    std::normal_distribution<float> normal;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t k = 0; k < t.channels(); ++k)
        for (int64_t row = 0; row < h; ++row)
          for (int64_t column = 0; column < w; ++column) t.at(i, k, row, column) = normal(random);
  };
  fill(x, s.batch, s.in_height, s.in_width);
  fill(residual, s.batch, s.out_height, s.out_width);
  fill(bias, 1, 1, 1);
  factors.values = Tensor::zeros(DataType::float32, {factors.padded()});
  fill(factors, 1, 1, 1);

  // y = sigmoid(factor * (conv + bias) + residual)
  std::vector<BlockedLink> chain;
  const Tensor packed = winograd_weights(weights.data(), s);
  std::vector<void*> memory = {x.values.mutable_raw(), const_cast<void*>(packed.raw())};
  if (c.bias) memory.push_back(bias.values.mutable_raw());
  if (c.chain) {
    chain.push_back({PointOp::of(Binary::mul, -1), static_cast<int>(memory.size()), true});
    memory.push_back(factors.values.mutable_raw());
    chain.push_back({PointOp::of(Binary::add, -1), static_cast<int>(memory.size()), false});
    memory.push_back(residual.values.mutable_raw());
    chain.push_back({PointOp::of(Unary::sigmoid), -1, false});
  }
  memory.push_back(y.values.mutable_raw());
  const WinogradKernel kernel(s, c.bias, chain, c.threads);
  Tensor scratch(DataType::uint8, {static_cast<int64_t>(kernel.scratch_bytes())});
  Arguments arguments;
  arguments.memory = memory;
  arguments.scratch = scratch.mutable_raw();
  const ThreadScope threads(c.threads);
  kernel.run(arguments);

  double error = 0, largest = 0;
  for (int64_t n = 0; n < s.batch; ++n) {
    for (int64_t o = 0; o < y.padded(); ++o) {
      for (int64_t row = 0; row < s.out_height; ++row) {
        for (int64_t column = 0; column < s.out_width; ++column) {
          const double actual = y.at(n, o, row, column);
          if (o >= s.out_channels) {
            EXPECT_EQ(actual, 0) << "channel " << o << " is none";
            continue;
          }
          double sum = c.bias ? double{bias.at(0, o, 0, 0)} : 0;
          for (int64_t i = 0; i < s.in_channels; ++i) {
            for (int64_t k = 0; k < 9; ++k) {
              const int64_t from_row = row + k / 3 - s.pad_top, from_column = column + k % 3 - s.pad_left;
              if (from_row < 0 || from_row >= s.in_height || from_column < 0 || from_column >= s.in_width)
                continue;
              sum += double{weights[static_cast<size_t>((o * s.in_channels + i) * 9 + k)]} *
                     double{x.at(n, i, from_row, from_column)};
            }
          }
          if (c.chain) {
            sum = double{factors.at(0, o, 0, 0)} * sum + double{residual.at(n, o, row, column)};
            sum = 1 / (1 + std::exp(-sum));
          }
          error = std::max(error, std::abs(actual - sum));
          largest = std::max(largest, std::abs(sum));
        }
      }
    }
  }
  return {error, largest};
}

WinogradShape shape_of(int64_t batch, int64_t in, int64_t out, int64_t height, int64_t width, int64_t pad,
                       int64_t block, int tile) {
  WinogradShape s;
  s.batch = batch;
  s.in_channels = in;
  s.out_channels = out;
  s.in_height = height;
  s.in_width = width;
  s.out_height = height + 2 * pad - 2;
  s.out_width = width + 2 * pad - 2;
  s.pad_top = s.pad_left = pad;
  s.block = block;
  s.tile = tile;
  return s;
}

// kWinogradFactor is argued in runtime_test.h.
void check(const Case& c, uint32_t seed) {
  const WinogradShape& s = c.shape;
  SCOPED_TRACE(
      fmt::format("{} x {} -> {} at {} x {}, pad {}, blocks of {}, F({}), {} threads, chain {}, seed {}",
                  s.batch, s.in_channels, s.out_channels, s.in_height, s.in_width, s.pad_top, s.block, s.tile,
                  c.threads, c.chain, seed));
  const auto [error, largest] = run(c, seed);
  EXPECT_LE(error, tolerance(static_cast<double>(9 * s.in_channels) * kWinogradFactor, largest));
}

TEST(Winograd, Shapes) {
  uint32_t seed = 1;
  for (const int64_t block : {8, 16}) {
    for (const int tile : {2, 4}) {
      for (const int threads : {1, 2}) {
        check({shape_of(1, 16, 32, 12, 12, 1, block, tile), threads}, ++seed);
        check({shape_of(2, 24, 40, 7, 9, 1, block, tile), threads, false, true}, ++seed);
        check({shape_of(1, 19, 21, 5, 30, 0, block, tile), threads, true, true}, ++seed);
        check({shape_of(1, 3, 5, 3, 3, 0, block, tile), threads}, ++seed);
        check({shape_of(1, 8, 64, 1, 1, 2, block, tile), threads}, ++seed);
        // Several blocks of tiles.
        check({shape_of(1, 16, 16, 65, 50, 1, block, tile), threads, true, true}, ++seed);
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
    WinogradShape s = shape_of(pick(1, 3), pick(1, 50), pick(1, 70), pick(3, 24), pick(3, 24), 1,
                               pick(0, 1) ? 8 : 16, pick(0, 1) ? 2 : 4);
    // Asymmetric padding, and cut-off ends.
    s.pad_top = pick(0, 2);
    s.pad_left = pick(0, 2);
    s.out_height = pick(1, s.in_height + s.pad_top);
    s.out_width = pick(1, s.in_width + s.pad_left);
    check({s, static_cast<int>(pick(1, 3)), pick(0, 1) == 1, pick(0, 1) == 1}, seed);
  }
}

}  // namespace
}  // namespace plica::testing
