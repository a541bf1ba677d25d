// The comparison itself: it accepts folds that are right, made here by hand, and sees those that are a little
// wrong.
#include "tests/passes/compare_models.h"

#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

// What a batch norm of the built statistics does, in double.
struct Affine {
  std::vector<double> s, t;
};
Affine affine_of(const Build& b, const std::string& name) {
  const auto of = [&](const char* part) { return to_doubles(*b.graph->find(name + part)->initializer()); };
  const auto scale = of(".scale"), bias = of(".bias"), mean = of(".mean"), variance = of(".var");
  Affine a;
  for (size_t c = 0; c < scale.size(); ++c) {
    a.s.push_back(scale[c] / std::sqrt(variance[c] + static_cast<double>(1e-5f)));
    a.t.push_back(bias[c] - mean[c] * a.s[c]);
  }
  return a;
}

OptimizeReport report_of(double bound) {
  OptimizeReport r;
  r.rules = {{"by_hand", 1}};
  BatchNormVerdict v;
  v.node = "bn", v.folded = true, v.into = {"conv"}, v.error_bound = bound;
  r.batch_norms = {v};
  return r;
}

constexpr int64_t kIn = 3, kOut = 5;

struct Models {
  Build before, after;
};
// With a factor for each input channel.
std::vector<double> scaled_weights(const std::vector<double>& w, const std::vector<double>& s) {
  std::vector<double> out = w;
  for (size_t i = 0; i < w.size(); ++i) out[i] *= s[i / 9 % kIn];
  return out;
}

Seen compared(const Models& m, double bound) {
  const NamedTensors inputs = {{"x", random_tensor(DataType::float32, {2, kIn, 5, 4}, 7)}};
  return compare(*m.before.model, *m.after.model, report_of(bound), inputs, DataType::float32, true);
}

// The shift as a map of what the convolution makes of an image that is t everywhere but in the padding.
Models with_border_map(double error) {
  Models m;
  Value* x = m.before.input("x", {2, kIn, 5, 4});
  Value* w = m.before.random("w", {kOut, kIn, 3, 3});
  const std::vector<NamedAttribute> attributes = {{"pads", Ints{1, 1, 1, 1}}};
  m.before.output(m.before.op("Conv", "conv", {m.before.batch_norm("bn", x, kIn), w}, attributes));
  const Affine a = affine_of(m.before, "bn");
  const std::vector<double> weights = to_doubles(*w->initializer());

  Tensor image(DataType::float64, {1, kIn, 5, 4});
  for (int64_t i = 0; i < image.size(); ++i)
    image.mutable_data<double>()[i] = a.t[static_cast<size_t>(i / 20)];
  Build constant(DataType::float64);
  constant.output(constant.op(
      "Conv", "conv",
      {constant.input("x", {1, kIn, 5, 4}), constant.numbers("w", weights, {kOut, kIn, 3, 3})}, attributes));
  std::vector<double> map = to_doubles(evaluate_graph(*constant.graph, {{"x", image}})[0]);
  map[7] *= 1 + error;

  Value* y = m.after.op("Conv", "conv",
                        {m.after.input("x", {2, kIn, 5, 4}),
                         m.after.numbers("w_folded", scaled_weights(weights, a.s), {kOut, kIn, 3, 3})},
                        attributes);
  m.after.output(m.after.op("Add", "bn", {y, m.after.numbers("map", map, {1, kOut, 5, 4})}));
  return m;
}

TEST(CompareModels, AcceptsABorderMap) {
  const Seen seen = compared(with_border_map(0), 0x1p-24);
  EXPECT_EQ(seen.failure, "");
  EXPECT_TRUE(seen.reported);
  EXPECT_GT(seen.worst, 0.001);
}

TEST(CompareModels, SeesAWrongElementOfTheMap) {
  EXPECT_NE(compared(with_border_map(1e-4), 0x1p-24).failure, "");
}

// A bound far below what rounding does.
TEST(CompareModels, SeesABoundThatDoesNotHold) {
  EXPECT_THAT(compared(with_border_map(0), 1e-12).failure, ::testing::HasSubstr("reported bounds"));
}

// bn -> relu -> conv becomes add(t/s) -> relu -> conv where every factor is positive.
TEST(CompareModels, AcceptsAShiftThatStays) {
  Models m;
  Value* x = m.before.input("x", {2, kIn, 5, 4});
  Value* w = m.before.random("w", {kOut, kIn, 3, 3});
  const std::vector<NamedAttribute> attributes = {{"pads", Ints{1, 1, 1, 1}}};
  Value* y = m.before.batch_norm("bn", x, kIn);
  std::vector<double> positive = to_doubles(*m.before.graph->find("bn.scale")->initializer());
  for (double& v : positive) v = std::abs(v) + 0.1;
  m.before.graph->set_initializer(m.before.graph->find("bn.scale"),
                                  tensor_of(DataType::float32, positive, {kIn}));
  m.before.output(m.before.op("Conv", "conv", {m.before.op("Relu", "relu", {y}), w}, attributes));
  const Affine a = affine_of(m.before, "bn");

  std::vector<double> left;
  for (size_t c = 0; c < kIn; ++c) left.push_back(a.t[c] / a.s[c]);
  Value* z =
      m.after.op("Add", "bn", {m.after.input("x", {2, kIn, 5, 4}), m.after.numbers("t", left, {kIn, 1, 1})});
  m.after.output(m.after.op(
      "Conv", "conv",
      {m.after.op("Relu", "relu", {z}),
       m.after.numbers("w_folded", scaled_weights(to_doubles(*w->initializer()), a.s), {kOut, kIn, 3, 3})},
      attributes));
  const Seen seen = compared(m, 0x1p-24);
  EXPECT_EQ(seen.failure, "");
  EXPECT_TRUE(seen.reported);
}

}  // namespace
}  // namespace plica::testing
