// Concat, Slice, Split and shuffles of channels between convolutions, whose layouts are blocked.
#include <algorithm>

#include "runtime/kernels/channel_gather_kernel.h"
#include "runtime/plan/layout_policy.h"
#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

bool has_blocks() {
  const onednn::Layout layout = choose_layout();
  return layout == onednn::Layout::blocked8 || layout == onednn::Layout::blocked16;
}

// 1x1, so that its results are exact enough whatever follows.
Value* conv(GraphMaker& g, Value* x, int64_t in, int64_t out) {
  return g.node("Conv", {x, g.weights({out, in, 1, 1})});
}
Value* shuffle(GraphMaker& g, Value* x, int64_t groups, int64_t channels, int64_t side) {
  Value* y = g.node("Reshape", {x, g.ints({0, groups, channels / groups, side, side})});
  y = g.node("Transpose", {y}, {{"perm", Ints{0, 2, 1, 3, 4}}});
  return g.node("Reshape", {y, g.ints({0, channels, side, side})});
}

TEST(Channels, ShuffleBetweenConcatAndSplit) {
  for (const int64_t images : {1, 2}) {
    for (const int64_t half : {4, 16, 24, 29, 58}) {
      SCOPED_TRACE(half);
      GraphMaker g;
      const int64_t side = 5;
      Value* x = g.input({images, 7, side, side});
      Value* y = g.node("Concat", {conv(g, x, 7, half), conv(g, x, 7, half)}, {{"axis", int64_t{1}}});
      const auto parts = g.nodes("Split", {shuffle(g, y, 2, 2 * half, side)}, 2, {{"axis", int64_t{1}}});
      g.output(g.node("Concat", {conv(g, parts[0], half, 16), conv(g, parts[1], half, 16)},
                      {{"axis", int64_t{1}}}));
      const PlanInfo info = check_against_reference(g, g.feed(), 7 * static_cast<double>(half));
      EXPECT_EQ(count_steps(info, "ChannelGather"), 2) << steps_of(info);
      if (!has_blocks()) continue;
      // At most of the model's input and output.
      EXPECT_LE(count_steps(info, "reorder"), 2) << steps_of(info);
    }
  }
}

TEST(Channels, ShuffleOfAWholeValue) {
  for (const int64_t groups : {2, 3, 5}) {
    GraphMaker g;
    const int64_t channels = groups * 6;
    Value* x = g.input({2, 3, 4, 4});
    Value* y = shuffle(g, conv(g, x, 3, channels), groups, channels, 4);
    g.output(conv(g, y, channels, 8));
    g.output(g.node("Sigmoid", {g.node("Slice", {y, g.ints({1}), g.ints({5}), g.ints({1})})}));
    g.output(y);
    const PlanInfo info = check_against_reference(g, g.feed(), 3.0 * static_cast<double>(channels));
    EXPECT_EQ(count_steps(info, "ChannelGather"), 1) << steps_of(info);
  }
}

TEST(Channels, ShuffleOfRowMajorValues) {
  GraphMaker g;
  Value* x = g.input({2, 6, 3, 3});
  g.output(shuffle(g, g.node("Concat", {x, g.node("Relu", {x})}, {{"axis", int64_t{1}}}), 4, 12, 3));
  const PlanInfo info = check_against_reference(g, g.feed());
  EXPECT_EQ(count_steps(info, "reorder"), 0) << steps_of(info);
}

TEST(Channels, WhatOnlyLooksLikeAShuffle) {
  const auto check = [](Ints split, Ints perm, Ints merged) {
    GraphMaker g;
    Value* y = g.node("Reshape", {conv(g, g.input({1, 3, 4, 4}), 3, 12), g.ints(split)});
    y = g.node("Transpose", {y}, {{"perm", perm}});
    g.output(g.node("Reshape", {y, g.ints(merged)}));
    const PlanInfo info = check_against_reference(g, g.feed(), 3);
    EXPECT_EQ(count_steps(info, "ChannelGather"), 0) << steps_of(info);
  };
  check({1, 2, 6, 4, 4}, {0, 2, 1, 4, 3}, {1, 12, 4, 4});
  check({1, 12, 2, 2, 4}, {0, 2, 1, 3, 4}, {1, 12, 4, 4});
  check({1, 2, 6, 4, 4}, {0, 2, 1, 3, 4}, {1, 6, 8, 4});
  check({2, 2, 3, 4, 4}, {0, 2, 1, 3, 4}, {1, 12, 4, 4});
}

// Blocks that come out even are named, not copied.
TEST(Channels, SplitAndConcatOfWholeBlocks) {
  GraphMaker g;
  Value* y = conv(g, g.input({1, 3, 6, 6}), 3, 64);
  const auto parts = g.nodes("Split", {y}, 2, {{"axis", int64_t{1}}});
  Value* sum = g.node("Add", {conv(g, parts[1], 32, 32), parts[1]});
  y = g.node("Concat", {parts[0], parts[1], sum}, {{"axis", int64_t{1}}});
  g.output(conv(g, y, 96, 16));
  const PlanInfo info = check_against_reference(g, g.feed(), 3 * 32 * 96);
  if (!has_blocks()) return;
  EXPECT_EQ(count_steps(info, "Concat") + count_steps(info, "Slice"), 0) << steps_of(info);
  EXPECT_LE(count_steps(info, "reorder"), 2) << steps_of(info);
}

TEST(Channels, SlicesOfAnySize) {
  for (const int64_t images : {1, 3}) {
    GraphMaker g;
    Value* y = conv(g, g.input({images, 3, 5, 4}), 3, 44);
    const auto slice = [&](int64_t begin, int64_t end) {
      return g.node("Slice", {y, g.ints({begin}), g.ints({end}), g.ints({1})});
    };
    for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 16}, {16, 44}, {32, 44}, {3, 4}, {7, 41}})
      g.output(conv(g, slice(begin, end), end - begin, 8));
    g.output(g.node("Slice", {y, g.ints({0, 1}), g.ints({20, 3}), g.ints({1, 2})}));
    g.output(slice(9, 9));
    check_against_reference(g, g.feed(), 3 * 44);
  }
}

TEST(Channels, ConcatOfPartsThatFillNoBlocks) {
  for (const int64_t images : {1, 2}) {
    GraphMaker g;
    Value* x = g.input({images, 5, 7, 3});
    std::vector<Value*> parts;
    for (const int64_t channels : {3, 20, 58, 16}) parts.push_back(conv(g, x, 5, channels));
    parts.push_back(x);
    g.output(conv(g, g.node("Concat", parts, {{"axis", int64_t{1}}}), 102, 12));
    const PlanInfo info = check_against_reference(g, g.feed(), 5 * 102);
    if (has_blocks()) {
      EXPECT_EQ(count_steps(info, "Concat"), 1) << steps_of(info);
      EXPECT_LE(count_steps(info, "reorder"), 2) << steps_of(info);
    }
  }
}

// Any map of channels, against the sums of indices that the elements are; lanes beyond are zeros.
TEST(Channels, Kernels) {
  std::mt19937 random(1);
  const auto below = [&](int64_t n) { return std::uniform_int_distribution<int64_t>(0, n - 1)(random); };
  for (const int64_t block : {1, 8, 16}) {
    for (int round = 0; round < 40; ++round) {
      const int64_t images = 1 + below(2), positions = 1 + below(40), count = 1 + below(50);
      std::vector<int64_t> input_channels;
      for (int64_t i = 1 + below(3); i > 0; --i) input_channels.push_back(1 + below(60));
      std::vector<ChannelGatherParams::Source> channels;
      for (int64_t c = 0; c < count; ++c) {
        const int input = static_cast<int>(below(static_cast<int64_t>(input_channels.size())));
        channels.push_back({input, below(input_channels[static_cast<size_t>(input)])});
      }
      const auto blocks = [&](int64_t c) { return (c + block - 1) / block; };
      const auto place = [&](int64_t all, int64_t n, int64_t c, int64_t p) {
        return static_cast<size_t>(((n * blocks(all) + c / block) * positions + p) * block + c % block);
      };
      const auto element = [](size_t input, int64_t n, int64_t c, int64_t p) {
        return static_cast<float>(input * 100000 + static_cast<size_t>(n * 50000 + c * 100 + p));
      };
      std::vector<std::vector<float>> inputs;
      for (size_t i = 0; i < input_channels.size(); ++i) {
        const int64_t all = input_channels[i];
        inputs.emplace_back(static_cast<size_t>(images * blocks(all) * block * positions), 7.f);
        for (int64_t n = 0; n < images; ++n)
          for (int64_t c = 0; c < all; ++c)
            for (int64_t p = 0; p < positions; ++p) inputs[i][place(all, n, c, p)] = element(i, n, c, p);
      }
      std::vector<float> y(static_cast<size_t>(images * blocks(count) * block * positions), -1.f);
      std::vector<void*> memory;
      for (auto& input : inputs) memory.push_back(input.data());
      memory.push_back(y.data());
      std::unique_ptr<Kernel> kernel;
      if (block == 1) {
        kernel = std::make_unique<PlaneGatherKernel>(images, positions, channels, input_channels);
      } else {
        kernel = std::make_unique<BlockedChannelGatherKernel>(static_cast<int>(block), images, positions,
                                                              channels, input_channels);
      }
      kernel->run({.memory = memory});
      for (int64_t n = 0; n < images; ++n) {
        for (int64_t c = 0; c < blocks(count) * block; ++c) {
          for (int64_t p = 0; p < positions; ++p) {
            const auto* source = c < count ? &channels[static_cast<size_t>(c)] : nullptr;
            const float expected =
                source ? element(static_cast<size_t>(source->input), n, source->channel, p) : 0.f;
            ASSERT_EQ(y[place(count, n, c, p)], expected) << "block " << block << ", channel " << c;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace plica::testing
