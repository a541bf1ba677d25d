// Runs a kernel of a convolution in a layout blocked by channels against sums in double.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <span>
#include <vector>

#include "engine/core/parallel.h"
#include "runtime/kernels/kernel_chain.h"
#include "tests/runtime/runtime_test.h"

namespace plica::testing {

// [N, C, H, W] in blocks of channels, the last filled up with zeros.
class Blocked {
 public:
  Blocked(int64_t n, int64_t c, int64_t h, int64_t w, int64_t block)
      : n_(n),
        c_(c),
        h_(h),
        w_(w),
        block_(block),
        blocks_((c + block - 1) / block),
        values(Tensor::zeros(DataType::float32, {n * blocks_ * block * h * w})) {}
  float& at(int64_t n, int64_t c, int64_t y, int64_t x) {
    return values.mutable_values<float>()[static_cast<size_t>(
        (((n * blocks_ + c / block_) * h_ + y) * w_ + x) * block_ + c % block_)];
  }
  void fill(std::mt19937& random) {
    std::normal_distribution<float> normal;
    for (int64_t n = 0; n < n_; ++n)
      for (int64_t c = 0; c < c_; ++c)
        for (int64_t y = 0; y < h_; ++y)
          for (int64_t x = 0; x < w_; ++x) at(n, c, y, x) = normal(random);
  }
  int64_t padded() const { return blocks_ * block_; }

 private:
  int64_t n_, c_, h_, w_, block_, blocks_;

 public:
  Tensor values;
};

enum class TestChain { none, by_channel, sum_relu, clip, swish_sum };

struct BlockedConvolution {
  int64_t batch = 1, in_channels = 1, out_channels = 1;
  bool depthwise = false;  // out_channels is in_channels
  int64_t in_height = 1, in_width = 1, out_height = 1, out_width = 1;
  int64_t window = 1, stride_down = 1, stride_along = 1, pad_top = 0, pad_left = 0, block = 16;
  int threads = 1;
  bool bias = true;
  TestChain chain = TestChain::none;

  std::string describe() const {
    return fmt::format(
        "{} x {} -> {}{} of {} x {} -> {} x {}, window {}, strides {} {}, pads {} {}, blocks of {}, {} "
        "threads, bias {}, chain {}",
        batch, in_channels, out_channels, depthwise ? " depthwise" : "", in_height, in_width, out_height,
        out_width, window, stride_down, stride_along, pad_top, pad_left, block, threads, bias,
        static_cast<int>(chain));
  }
  int64_t terms() const { return (depthwise ? 1 : in_channels) * window * window; }

  using Pack = std::function<Tensor(const Tensor& weights)>;
  using Make = std::function<std::unique_ptr<const Kernel>(std::vector<KernelLink> chain)>;

  // The largest error must be within that of sums of factor * terms() products.
  void check(uint32_t seed, double factor, const Pack& pack, const Make& make) const {
    SCOPED_TRACE(describe() + ", seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Blocked x(batch, in_channels, in_height, in_width, block),
        y(batch, out_channels, out_height, out_width, block),
        residual = y, shift(1, out_channels, 1, 1, block), factors(1, out_channels, 1, 1, block);
    residual.values = Tensor::zeros(DataType::float32, residual.values.dims());
    for (Blocked* b : {&x, &residual, &shift, &factors}) b->fill(random);
    std::vector<float> weights(static_cast<size_t>(out_channels * terms()));
    std::normal_distribution<float> normal(0, 1 / std::sqrt(static_cast<float>(terms())));
    for (float& w : weights) w = normal(random);

    const Tensor packed = pack(Tensor::of(weights, {static_cast<int64_t>(weights.size())}));
    std::vector<void*> memory = {x.values.mutable_raw(), const_cast<void*>(packed.raw())};
    if (bias) memory.push_back(shift.values.mutable_raw());
    std::vector<KernelLink> links;
    const auto with = [&](Binary f, Blocked& operand, bool by_channel) {
      links.push_back({PointOp::of(f, -1), static_cast<int>(memory.size()), by_channel});
      memory.push_back(operand.values.mutable_raw());
    };
    switch (chain) {
      case TestChain::none:
        break;
      case TestChain::by_channel:  // sigmoid(factor * sum + residual)
        with(Binary::mul, factors, true);
        with(Binary::add, residual, false);
        links.push_back({PointOp::of(Unary::sigmoid), -1, false});
        break;
      case TestChain::sum_relu:
        with(Binary::add, residual, false);
        links.push_back({PointOp::of(Unary::relu), -1, false});
        break;
      case TestChain::clip:  // lanes that are no channels stay zero
        links.push_back({PointOp::of(Unary::clip, 0.5f, 1.f), -1, false});
        break;
      case TestChain::swish_sum:
        links.push_back({PointOp::of(Unary::swish, 1.f), -1, false});
        with(Binary::add, residual, false);
        break;
    }
    memory.push_back(y.values.mutable_raw());
    const auto kernel = make(links);
    Tensor scratch(DataType::uint8, {static_cast<int64_t>(kernel->scratch_bytes())});
    Arguments arguments;
    arguments.memory = memory;
    arguments.scratch = scratch.mutable_raw();
    const ThreadScope scope(threads);
    kernel->run(arguments);

    double error = 0, largest = 0;
    for (int64_t n = 0; n < batch; ++n) {
      for (int64_t o = 0; o < y.padded(); ++o) {
        for (int64_t row = 0; row < out_height; ++row) {
          for (int64_t column = 0; column < out_width; ++column) {
            const double actual = y.at(n, o, row, column);
            if (o >= out_channels) {
              ASSERT_EQ(actual, 0) << "channel " << o << " is none";
              continue;
            }
            double v = sum(x, weights, n, o, row, column) + (bias ? double{shift.at(0, o, 0, 0)} : 0);
            const double other = residual.at(n, o, row, column);
            if (chain == TestChain::by_channel)
              v = 1 / (1 + std::exp(-(double{factors.at(0, o, 0, 0)} * v + other)));
            if (chain == TestChain::sum_relu) v = std::max(v + other, 0.);
            if (chain == TestChain::clip) v = std::clamp(v, 0.5, 1.);
            if (chain == TestChain::swish_sum) v = v / (1 + std::exp(-v)) + other;
            error = std::max(error, std::abs(actual - v));
            largest = std::max(largest, std::abs(v));
          }
        }
      }
    }
    EXPECT_LE(error, tolerance(static_cast<double>(terms()) * factor, largest));
  }

 private:
  double sum(Blocked& x, std::span<const float> weights, int64_t n, int64_t o, int64_t row,
             int64_t column) const {
    double total = 0;
    const int64_t channels = depthwise ? 1 : in_channels;
    for (int64_t i = 0; i < channels; ++i) {
      for (int64_t k = 0; k < window * window; ++k) {
        const int64_t from_row = row * stride_down + k / window - pad_top,
                      from_column = column * stride_along + k % window - pad_left;
        if (from_row < 0 || from_row >= in_height || from_column < 0 || from_column >= in_width) continue;
        total += double{weights[static_cast<size_t>((o * channels + i) * window * window + k)]} *
                 double{x.at(n, depthwise ? o : i, from_row, from_column)};
      }
    }
    return total;
  }
};

}  // namespace plica::testing
