// What joins the kernels for blocked layouts: squeeze and excitation, affines by channel, activations as
// exporters write them.
#include <algorithm>

#include "runtime/plan/layout_policy.h"
#include "tests/runtime/runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

bool has_blocks() {
  const onednn::Layout layout = choose_layout();
  return layout == onednn::Layout::blocked8 || layout == onednn::Layout::blocked16;
}
int with_implementation(const PlanInfo& info, const std::string& name) {
  return static_cast<int>(std::ranges::count(info.steps, name, &StepInfo::implementation));
}
Value* conv(GraphMaker& g, Value* x, int64_t in, int64_t out) {
  return g.node("Conv", {x, g.weights({out, in, 1, 1}), g.constant(g.random({out}))});
}

TEST(BlockedFusions, SqueezeAndExcitation) {
  for (const int64_t images : {1, 3}) {
    for (const int64_t channels : {8, 24, 45}) {
      SCOPED_TRACE(channels);
      GraphMaker g;
      Value* x = conv(g, g.input({images, 5, 9, 7}), 5, channels);
      Value* gate = g.node("Relu", {conv(g, g.node("GlobalAveragePool", {x}), channels, 4)});
      gate = g.node("Sigmoid", {conv(g, gate, 4, channels)});
      Value* y = conv(g, g.node("Mul", {gate, x}), channels, 20);
      g.output(g.node("Add", {y, conv(g, x, channels, 20)}));
      const PlanInfo info = check_against_reference(g, g.feed(), static_cast<double>(channels) * 20);
      if (has_blocks()) {
        EXPECT_EQ(with_implementation(info, "1x1 of scaled"), 1) << steps_of(info);
      }
      EXPECT_EQ(count_steps(info, "Pointwise"), 0) << steps_of(info);
    }
  }
}

// Where others read the product, or it has another shape, it is computed.
TEST(BlockedFusions, ProductsThatStay) {
  GraphMaker g;
  Value* x = conv(g, g.input({1, 5, 6, 6}), 5, 16);
  Value* product = g.node("Mul", {x, g.node("GlobalAveragePool", {x})});
  g.output(conv(g, product, 16, 8));
  g.output(g.node("Relu", {product}));
  Value* plane = g.node("ReduceMean", {x}, {{"axes", Ints{1}}});
  g.output(conv(g, g.node("Mul", {x, plane}), 16, 8));
  const PlanInfo info = check_against_reference(g, g.feed(), 200);
  EXPECT_EQ(with_implementation(info, "1x1 of scaled"), 0) << steps_of(info);
}

// DenseNet: features that several normalizations read.
TEST(BlockedFusions, AffinesByChannel) {
  for (const int64_t side : {3, 40}) {
    GraphMaker g;
    const int64_t channels = 21;
    Value* x = conv(g, g.input({2, 4, side, side}), 4, channels);
    for (int i = 0; i < 2; ++i) {
      Value* y = g.node("Mul", {x, g.constant(g.random({channels, 1, 1}))});
      y = g.node("Relu", {g.node("Add", {y, g.constant(g.random({1, channels, 1, 1}))})});
      g.output(conv(g, y, channels, 16));
    }
    g.output(conv(g, g.node("Mul", {x, g.constant(g.random({channels, 1, 1}))}), channels, 16));
    const PlanInfo info = check_against_reference(g, g.feed(), static_cast<double>(channels) * 8);
    if (has_blocks()) {
      EXPECT_EQ(with_implementation(info, "affine"), 3) << steps_of(info);
    }
  }
}

// A depthwise convolution of 1x1 joins what computes its input.
TEST(BlockedFusions, DepthwiseOfOneElementIsAnAffine) {
  GraphMaker g;
  Value* x = g.node("HardSwish", {conv(g, g.input({1, 6, 8, 8}), 6, 24)});
  x = g.node("Conv", {x, g.weights({24, 1, 1, 1}), g.constant(g.random({24}))}, {{"group", int64_t{24}}});
  g.output(conv(g, x, 24, 8));
  const PlanInfo info = check_against_reference(g, g.feed(), 144);
  if (has_blocks()) {
    EXPECT_EQ(count_steps(info, "Conv"), 2) << steps_of(info);
  }
}

// x * clip(x + 3, 0, 6), whose sixth the optimizer may have moved into weights.
TEST(BlockedFusions, HardSwishWithoutItsSixth) {
  GraphMaker g;
  Value* x = conv(g, g.input({1, 6, 8, 8}, DataType::float32), 6, 24);
  Value* y = g.node("Clip", {g.node("Add", {x, g.scalar(3)}), g.scalar(0), g.scalar(6)});
  g.output(g.node("Mul", {x, y}));
  const PlanInfo info = check_against_reference(g, g.feed(), 36);
  EXPECT_EQ(count_steps(info, "Pointwise"), 0) << steps_of(info);
}

TEST(BlockedFusions, GeluOutOfItsParts) {
  for (const bool half : {true, false}) {
    GraphMaker g;
    Value* x = g.node("MatMul", {g.input({12, 8}), g.weights({8, 40})});
    Value* y = g.node("Erf", {g.node("Div", {x, g.scalar(std::sqrt(2.f))})});
    y = g.node("Mul", {x, g.node("Add", {y, g.scalar(1)})});
    g.output(half ? g.node("Mul", {y, g.scalar(0.5f)}) : y);
    const PlanInfo info = check_against_reference(g, g.feed(), 8);
    EXPECT_EQ(count_steps(info, "MatMul"), 1);
    EXPECT_LE(count_steps(info, "Pointwise"), 1) << steps_of(info);
  }
}

}  // namespace
}  // namespace plica::testing
