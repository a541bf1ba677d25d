// Operators on float32 that the runtime computes by kernels of its own, against the interpreter.
#include <cmath>
#include <limits>

#include "runtime/kernels/rows_kernel.h"
#include "runtime_test.h"

namespace plica::testing {
namespace {

TEST(Pointwise, FunctionsOfOneElement) {
  const std::vector<std::string> names = {"Selu",  "Celu", "ThresholdedRelu", "Softsign", "Mish", "Sign",
                                          "Floor", "Ceil", "Round",           "Sin",      "Cos",  "Erf",
                                          "Tanh",  "Elu",  "Softplus",        "Log",      "Sqrt"};
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    GraphMaker g(3, 18);
    g.output(g.node(name, {g.node("Abs", {g.input({3, 7, 19})})}));
    g.output(g.node(name, {g.node("Neg", {g.node("Abs", {g.input({3, 7, 19})})})}));
    if (name == "Log" || name == "Sqrt") {
      GraphMaker positive(3, 18);
      positive.output(positive.node(name, {positive.node("Abs", {positive.input({3, 7, 19})})}));
      check_against_reference(positive, positive.feed());
      continue;
    }
    const PlanInfo info = check_against_reference(g, g.feed());
    EXPECT_EQ(count_steps(info, "Pointwise"), 2) << steps_of(info);
  }
  for (const char* form : {"none", "tanh"}) {
    GraphMaker g(3, 20);
    g.output(g.node("Gelu", {g.input({3, 7, 19})}, {{"approximate", std::string(form)}}));
    check_against_reference(g, g.feed());
  }
}

TEST(Pointwise, AfterAConvolution) {
  for (const char* op : {"Mish", "Floor", "Max"}) {
    SCOPED_TRACE(op);
    GraphMaker g(5, 18);
    Value* y = g.node("Conv", {g.input({1, 5, 9, 9}), g.weights({20, 5, 3, 3})});
    std::vector<Value*> inputs = {y};
    if (op == std::string("Max")) inputs.push_back(g.constant(g.random({20, 1, 1})));
    g.output(g.node(op, inputs));
    check_against_reference(g, g.feed(), 45);
  }
}

TEST(Pointwise, ManyOperands) {
  for (const char* op : {"Max", "Min", "Sum"}) {
    for (const int count : {1, 2, 5, 20}) {
      SCOPED_TRACE(op + std::to_string(count));
      GraphMaker g(7);
      std::vector<Value*> inputs;
      for (int i = 0; i < count; ++i) inputs.push_back(g.input(i % 2 ? Dims{17} : Dims{3, 17}));
      g.output(g.node(op, inputs));
      check_against_reference(g, g.feed(), count);
    }
  }
}

TEST(Pointwise, PReluByChannelElementAndComputedSlope) {
  for (const Dims& slope : {Dims{6, 1, 1}, Dims{2, 6, 3, 5}, Dims{5}, Dims{1}}) {
    for (const bool constant : {false, true}) {
      SCOPED_TRACE(to_string(slope));
      GraphMaker g(11);
      Value* x = g.node("Conv", {g.input({2, 4, 5, 7}), g.constant(g.random({6, 4, 3, 3}))});
      g.output(g.node("PRelu", {x, constant ? g.constant(g.random(slope)) : g.input(slope)}));
      check_against_reference(g, g.feed(), 36);
    }
  }
  GraphMaker old(11, 6);  // the slopes are by channel
  old.output(old.node("PRelu", {old.input({2, 6, 3}), old.constant(old.random({6}))}));
  check_against_reference(old, old.feed());
}

// What is no number spoils its own slice, and large numbers don't lose digits.
TEST(Rows, SoftmaxOfSpecialNumbers) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const int64_t inner : {1, 6}) {
    for (const bool log : {false, true}) {
      // Slices of two: (1e6, 1e6), (NaN, 0), (0, inf), (-inf, -inf), (-inf, 3), (0, 0).
      const std::vector<float> pairs = {1e6, 1e6, nan, 0, 0, inf, -inf, -inf, -inf, 3, 0, 0};
      std::vector<float> x(12), y(12);
      const auto at = [&](size_t slice, size_t k) { return inner == 1 ? slice * 2 + k : k * 6 + slice; };
      for (size_t i = 0; i < 12; ++i) x[at(i / 2, i % 2)] = pairs[i];
      std::vector<void*> memory = {x.data(), y.data()};
      SoftmaxKernel(inner == 1 ? 6 : 1, 2, inner, log).run({.memory = memory});
      const float half = log ? -std::log(2.f) : 0.5f;
      for (const size_t slice : {0, 5}) {
        EXPECT_FLOAT_EQ(y[at(slice, 0)], half);
        EXPECT_FLOAT_EQ(y[at(slice, 1)], half);
      }
      for (size_t i = 2; i < 8; ++i) EXPECT_TRUE(std::isnan(y[at(i / 2, i % 2)])) << i;
      EXPECT_EQ(y[at(4, 0)], log ? -inf : 0.f);
      EXPECT_EQ(y[at(4, 1)], log ? 0.f : 1.f);
    }
  }
}

TEST(Rows, SoftmaxAndItsLogarithm) {
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    for (const int64_t length : {1, 5, 16, 33, 200}) {
      for (const int64_t axis : {-1, 1}) {
        SCOPED_TRACE(op + std::to_string(length));
        GraphMaker g(9);
        g.output(g.node(op, {g.input({2, 3, length})}, {{"axis", axis}}));
        check_against_reference(g, g.feed());
      }
      GraphMaker old(9, 11);  // the axes from 1 on are one
      old.output(old.node(op, {old.input({2, 3, length})}));
      check_against_reference(old, old.feed());
    }
    for (const Dims& dims : {Dims{2, 300, 70}, Dims{1, 3, 2000}, Dims{400, 10}}) {
      GraphMaker many(9);
      many.output(many.node(op, {many.input(dims)}, {{"axis", int64_t{1}}}));
      check_against_reference(many, many.feed(), 8);
    }
    GraphMaker g(9);
    Value* x = g.input({1, 20});
    g.output(g.node("Relu", {g.node(op, {x})}));
    NamedTensors feed = g.feed();
    float* v = feed.begin()->second.mutable_data<float>();
    v[3] = -std::numeric_limits<float>::infinity();
    v[18] = 90;
    check_against_reference(g, feed);
  }
}

TEST(Rows, Normalizations) {
  for (const int64_t length : {1, 7, 16, 64, 100}) {
    SCOPED_TRACE(length);
    GraphMaker g(11, 23);
    Value *x = g.input({4, 3, length}), *scale = g.constant(g.random({length}));
    g.output(g.node("RMSNormalization", {x, scale}));
    g.output(g.node("LayerNormalization", {x, scale, g.constant(g.random({length}))}));
    g.output(g.node("RMSNormalization", {x, g.constant(g.random({3, length}))}, {{"axis", int64_t{1}}}));
    g.output(g.node("RMSNormalization", {x, g.constant(g.random({1}))}));  // broadcasts
    const PlanInfo info = check_against_reference(g, g.feed(), static_cast<double>(length));
    EXPECT_GE(count_steps(info, "RMSNormalization"), 2) << steps_of(info);
  }
}

TEST(Rows, MeansOfPlanes) {
  for (const Dims& dims : {Dims{2, 3, 5, 7}, Dims{1, 16, 33, 20}, Dims{1, 2, 1, 1}, Dims{1, 3, 4, 5, 6}}) {
    SCOPED_TRACE(to_string(dims));
    GraphMaker g(13, 17);
    Value* x = g.input(dims);
    g.output(g.node("GlobalAveragePool", {x}));
    g.output(g.node("Relu", {g.node("GlobalAveragePool", {x})}));
    g.output(g.node("AveragePool", {x}, {{"kernel_shape", Dims(dims.begin() + 2, dims.end())}}));
    const PlanInfo info = check_against_reference(g, g.feed(), 660);
    for (const StepInfo& s : info.steps) {
      EXPECT_TRUE(s.kind != "Pool" || s.implementation == "rows") << steps_of(info);
    }
    // A padded or smaller window is none.
    GraphMaker padded(13, 17);
    Value* p = padded.input({1, 3, 4, 4});
    padded.output(
        padded.node("AveragePool", {p}, {{"kernel_shape", Dims{4, 4}}, {"pads", Dims{1, 1, 1, 1}}}));
    padded.output(padded.node("AveragePool", {p}, {{"kernel_shape", Dims{4, 3}}}));
    check_against_reference(padded, padded.feed(), 16);
  }
}

// Both sides sum `size` squares and take a power of a number near `bias`: a few units in the last place.
TEST(Lrn, RandomShapes) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    GraphMaker g(seed);
    const int64_t size = 2 * g.pick(0, 4) + 1 + seed % 4 / 3;  // every fourth even
    Value* x = g.input({g.pick(1, 2), g.pick(1, 40), g.pick(1, 9), g.pick(1, 9)});
    if (seed % 3 == 0) {  // in the layout of a convolution's result
      const int64_t channels = g.pick(1, 40);
      x = g.node("Conv", {x, g.weights({channels, x->type().shape->dims()[1].value(), 1, 1})});
    }
    g.output(g.node("LRN", {x},
                    {{"size", size},
                     {"alpha", seed % 2 == 0 ? 1e-4f : 0.7f},
                     {"beta", seed % 5 == 0 ? 0.6f : 0.75f},
                     {"bias", 1.5f}}));
    check_against_reference(g, g.feed(), static_cast<double>(size + 40));
  }
  GraphMaker empty(1);
  empty.output(empty.node("LRN", {empty.input({0, 3, 4, 4})}, {{"size", int64_t{3}}}));
  check_against_reference(empty, empty.feed());
  GraphMaker plain(1);
  plain.output(plain.node("LRN", {plain.input({1, 32, 8, 8})}, {{"size", int64_t{5}}}));
  const PlanInfo info = check_against_reference(plain, plain.feed(), 5);
  EXPECT_EQ(info.steps[0].implementation.find("evaluate"), std::string::npos) << steps_of(info);
}

}  // namespace
}  // namespace plica::testing
