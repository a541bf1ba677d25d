// Health of batch norms: each kind of finding, at its threshold and on the healthy side of it.
#include "passes/fold/health.h"

#include "engine/ops/evaluate.h"
#include "tests/passes/build.h"

namespace plica {
namespace {

using namespace plica::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Parameters {
  std::vector<double> scale{1, 1.5, -0.5, 2}, bias{0.5, -1, 0, 0.25}, mean{0.1, -0.3, 2, 0},
      variance{1, 0.5, 3, 0.2};
};

class Sick : public Build {
 public:
  explicit Sick(const Parameters& p, DataType type = DataType::float32, int64_t opset = 17,
                std::vector<NamedAttribute> attributes = {})
      : Build(type, opset) {
    const auto n = static_cast<int64_t>(p.scale.size());
    Value* x = input("x", {2, n, 3});
    output(op("BatchNormalization", "bn",
              {x, numbers("scale", p.scale, {n}), numbers("bias", p.bias, {n}), numbers("mean", p.mean, {n}),
               numbers("var", p.variance, {n})},
              std::move(attributes)));
  }
  BatchNormHealth examine() const {
    int64_t left = health::kMostChannels;
    return examine_batch_norm(*find_node(*graph, "bn"), left);
  }
};

std::vector<std::string> kinds(const BatchNormHealth& health) {
  std::vector<std::string> out;
  for (const BatchNormFinding& f : health.findings) out.emplace_back(f.kind);
  return out;
}

TEST(Health, GoodChannelsHaveNoFindings) {
  const BatchNormHealth h = Sick({}).examine();
  EXPECT_THAT(kinds(h), IsEmpty());
  EXPECT_EQ(h.type, DataType::float32);
  EXPECT_FLOAT_EQ(static_cast<float>(h.epsilon), 1e-5f);
  ASSERT_EQ(h.channels(), 4);
  // In double, from the float32 parameters.
  EXPECT_DOUBLE_EQ(h.gain[2], -0.5 / std::sqrt(3 + static_cast<double>(1e-5f)));
  EXPECT_DOUBLE_EQ(h.shift[2], 0 - 2 * h.gain[2]);
  EXPECT_THAT(h.mean, ElementsAre(0.1f, -0.3f, 2, 0));
  EXPECT_THAT(h.marks, ElementsAre(0, 0, 0, 0));
}

// gain * x + shift is what the operator's own kernel computes.
TEST(Health, GainAndShiftAreWhatIsComputed) {
  Sick b({}, DataType::float64);
  const BatchNormHealth h = b.examine();
  const NamedTensors inputs = random_inputs(*b.graph);
  const std::vector<double> x = to_doubles(inputs.at("x")),
                            y = to_doubles(evaluate_graph(*b.graph, inputs)[0]);
  for (size_t i = 0; i < x.size(); ++i) {
    const size_t c = i / 3 % 4;
    EXPECT_NEAR(y[i], h.gain[c] * x[i] + h.shift[c], 1e-14);
  }
}

struct Case {
  const char* name;
  std::vector<std::string> kinds;  // expected, the worst first
  HealthSeverity severity;         // of the first
  void (*change)(Parameters&);     // of channel 1
  void (*healthy)(Parameters&);    // barely none
  DataType type = DataType::float32;
};

class HealthCase : public ::testing::TestWithParam<Case> {};

TEST_P(HealthCase, IsFound) {
  const Case& c = GetParam();
  Parameters p;
  c.change(p);
  const BatchNormHealth h = Sick(p, c.type).examine();
  EXPECT_EQ(kinds(h), c.kinds);
  ASSERT_FALSE(h.findings.empty());
  EXPECT_EQ(h.findings[0].severity, c.severity);
  EXPECT_EQ(h.findings[0].channels, 1);
  EXPECT_THAT(h.findings[0].first, ElementsAre(1));
  EXPECT_THAT(h.findings[0].text, HasSubstr("1 of 4 channels"));
  EXPECT_FALSE(h.findings[0].fix.empty());
  EXPECT_THAT(h.marks, ElementsAre(0, 1 + static_cast<int>(c.severity), 0, 0));
}

TEST_P(HealthCase, HasAHealthySide) {
  const Case& c = GetParam();
  if (!c.healthy) return;
  Parameters p;
  c.healthy(p);
  EXPECT_THAT(kinds(Sick(p, c.type).examine()), IsEmpty());
}

constexpr double kInfinity = std::numeric_limits<double>::infinity();
using enum HealthSeverity;

INSTANTIATE_TEST_SUITE_P(
    All, HealthCase,
    ::testing::Values(
        Case{"nan", {"not_finite"}, error, [](Parameters& p) { p.bias[1] = std::nan(""); }, nullptr},
        Case{"infinite", {"not_finite"}, error, [](Parameters& p) { p.variance[1] = kInfinity; }, nullptr},
        Case{"no_root", {"no_square_root"}, error, [](Parameters& p) { p.variance[1] = -1; }, nullptr},
        Case{"negative",
             {"negative_variance"},
             warning,
             [](Parameters& p) {
               p.scale[1] = 0.3;
               p.variance[1] = -5e-6;
             },
             nullptr},
        Case{"zero",
             {"zero_variance"},
             warning,
             [](Parameters& p) {
               p.scale[1] = 0.3;
               p.variance[1] = 0;
             },
             [](Parameters& p) { p.variance[1] = 1.01e-5; }},
        Case{"tiny",
             {"tiny_variance"},
             note,
             [](Parameters& p) { p.variance[1] = 0.99e-5; },
             [](Parameters& p) { p.variance[1] = 1.01e-5; }},
        Case{"tiny_to_median",
             {"tiny_variance"},
             note,
             [](Parameters& p) {
               p.scale = {1e3, 1e3, 1e3, 1e3};
               p.variance = {1e6, 0.9, 1e6, 1e6};
               p.scale[1] = 1;
             },
             [](Parameters& p) {
               p.scale = {1e3, 1, 1e3, 1e3};
               p.variance = {1e6, 1.1, 1e6, 1e6};
             }},
        Case{"dead", {"dead"}, note, [](Parameters& p) { p.scale[1] = 0; }, nullptr},
        Case{"dead_without_variance",
             {"dead"},
             note,
             [](Parameters& p) { p.scale[1] = p.variance[1] = 0; },
             nullptr},
        // The median |scale| is 1.5: the third of four.
        Case{"nearly_dead",
             {"nearly_dead"},
             note,
             [](Parameters& p) { p.scale[1] = 0.9e-4; },
             [](Parameters& p) { p.scale[1] = 1.6e-4; }},
        Case{"gain",
             {"extreme_gain"},
             warning,
             [](Parameters& p) {
               p.scale = {500, 1001, 500, 500};
               p.variance = {1, 1, 1, 1};
             },
             [](Parameters& p) {
               p.scale = {500, 999, 500, 500};
               p.variance = {1, 1, 1, 1};
             }},
        Case{"gain_to_median",
             {"extreme_gain"},
             warning,
             [](Parameters& p) {
               p.scale = {1, 101, 1, 1};
               p.variance = {1, 1, 1, 1};
             },
             [](Parameters& p) {
               p.scale = {1, 99, 1, 1};
               p.variance = {1, 1, 1, 1};
             }},
        Case{"mean",
             {"far_mean"},
             warning,
             [](Parameters& p) { p.mean[1] = 4100 * std::sqrt(0.5); },
             [](Parameters& p) { p.mean[1] = 4090 * std::sqrt(0.5); }},
        Case{"half_mean",
             {"far_mean"},
             warning,
             [](Parameters& p) { p.mean[1] = 46 * std::sqrt(0.5); },
             [](Parameters& p) { p.mean[1] = 44 * std::sqrt(0.5); },
             DataType::float16},
        Case{"brain_mean",
             {"far_mean"},
             warning,
             [](Parameters& p) { p.mean[1] = 17 * std::sqrt(0.5); },
             [](Parameters& p) { p.mean[1] = 15 * std::sqrt(0.5); },
             DataType::bfloat16},
        Case{"double_mean",
             {"far_mean"},
             warning,
             [](Parameters& p) { p.mean[1] = 1e8; },
             [](Parameters& p) { p.mean[1] = 4e7; },
             DataType::float64},
        // A scale of 1e-38 is subnormal, and nearly dead besides.
        Case{"subnormal",
             {"subnormal", "nearly_dead"},
             warning,
             [](Parameters& p) {
               p.scale[1] = 1e-39;
               p.mean[1] = 0;
             },
             nullptr},
        Case{"half_subnormal",
             {"subnormal"},
             note,
             [](Parameters& p) {
               p.scale = {1e-3, 6e-5, 1e-3, 1e-3};
               p.variance = {1, 4, 1, 1};
               p.mean = {0, 0, 0, 0};
             },
             [](Parameters& p) {
               p.scale = {1e-3, 7e-5, 1e-3, 1e-3};
               p.variance = {1, 1, 1, 1.5};
               p.mean = {0, 0, 0, 0};
             },
             DataType::float16},
        // 3000 / sqrt(8e-6 + 1e-5) is beyond 65504, and the gain is extreme besides.
        Case{"half_overflow",
             {"overflow", "extreme_gain", "tiny_variance"},
             error,
             [](Parameters& p) {
               p.scale[1] = 3000;
               p.mean[1] = 0;
               p.variance[1] = 8e-6;
             },
             nullptr,
             DataType::float16}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Health, WhatConcernsTheWholeBatchNorm) {
  Parameters untouched;
  untouched.mean = {0, 0, 0, 0};
  untouched.variance = {1, 1, 1, 1};
  EXPECT_THAT(kinds(Sick(untouched).examine()), ElementsAre("never_updated"));
  untouched.mean[3] = 1e-3;
  EXPECT_THAT(kinds(Sick(untouched).examine()), IsEmpty());

  const BatchNormHealth training =
      Sick({}, DataType::float32, 17, {{"training_mode", AttributeValue(int64_t{1})}}).examine();
  EXPECT_THAT(kinds(training), ElementsAre("training_mode"));
  EXPECT_TRUE(training.training);
  EXPECT_EQ(training.findings[0].severity, error);
  EXPECT_THAT(training.findings[0].fix, HasSubstr("eval()"));
  EXPECT_EQ(training.channels(), 4);  // its parameters are examined all the same
  EXPECT_THAT(kinds(Sick({}, DataType::float32, 6).examine()), ElementsAre("training_mode"));
  EXPECT_THAT(kinds(Sick({}, DataType::float32, 6, {{"is_test", AttributeValue(int64_t{1})}}).examine()),
              IsEmpty());
}

TEST(Health, StatisticsForEachActivation) {
  Build b(DataType::float32, 8);
  Value* x = b.input("x", {1, 2, 3});
  const auto p = [&](const char* name) { return b.random(name, {2, 3}, 0.5, 1); };
  b.output(b.op("BatchNormalization", "bn", {x, p("s"), p("b"), p("m"), p("v")},
                {{"spatial", AttributeValue(int64_t{0})}}));
  int64_t left = 100;
  const BatchNormHealth h = examine_batch_norm(*find_node(*b.graph, "bn"), left);
  EXPECT_THAT(kinds(h), ElementsAre("spatial"));
  EXPECT_EQ(h.channels(), 0);
  EXPECT_EQ(left, 100);
}

TEST(Health, ParametersThatAreNotConstants) {
  Build b;
  Value* x = b.input("x", {1, 2, 3});
  Value* scale = b.input("scale", {2});
  b.output(b.op("BatchNormalization", "bn",
                {x, scale, b.random("b", {2}), b.random("m", {2}), b.random("v", {2}, 0.5, 1)}));
  int64_t left = 100;
  EXPECT_THAT(kinds(examine_batch_norm(*find_node(*b.graph, "bn"), left)), ElementsAre("not_constant"));
}

TEST(Health, IsReadThroughIdentityAndWithinABudget) {
  Build b;
  Value* x = b.input("x", {1, 2, 3});
  Value* scale = b.op("Identity", "copy", {b.numbers("s", {0, 1}, {2})});
  b.output(b.op("BatchNormalization", "bn",
                {x, scale, b.random("b", {2}), b.random("m", {2}), b.random("v", {2}, 0.5, 1)}));
  int64_t left = 3;
  EXPECT_THAT(kinds(examine_batch_norm(*find_node(*b.graph, "bn"), left)), ElementsAre("dead"));
  EXPECT_EQ(left, 1);
  EXPECT_THAT(kinds(examine_batch_norm(*find_node(*b.graph, "bn"), left)), ElementsAre("not_examined"));
}

TEST(Health, ManyChannelsAreCountedAndTheFirstListed) {
  Parameters p;
  p.scale.assign(20, 1);
  p.bias.assign(20, 0.1);
  p.mean.assign(20, 0.1);
  p.variance.assign(20, 1);
  for (size_t c = 1; c < 20; c += 2) p.variance[c] = -1;
  const BatchNormHealth h = Sick(p).examine();
  ASSERT_EQ(h.findings.size(), 1u);
  EXPECT_EQ(h.findings[0].channels, 10);
  EXPECT_THAT(h.findings[0].first, ElementsAre(1, 3, 5, 7, 9, 11, 13, 15));
}

// ---- in the report of an optimization

TEST(Verdicts, HaveTheHealthOfTheOriginalParameters) {
  Build b;
  Value* x = b.input("x", {1, 2, 4, 4});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {3, 2, 1, 1})});
  y = b.op("BatchNormalization", "bn",
           {y, b.numbers("s", {0, 1, 2}, {3}), b.numbers("b", {1, 2, 3}, {3}), b.numbers("m", {1, 1, 1}, {3}),
            b.numbers("v", {1, 2, 3}, {3})});
  b.output(y);
  const OptimizeReport report = optimize_and_check(b);
  ASSERT_EQ(report.batch_norms.size(), 1u);
  const BatchNormVerdict& v = report.batch_norms[0];
  EXPECT_TRUE(v.folded);
  EXPECT_THAT(kinds(v.health), ElementsAre("dead"));
  EXPECT_THAT(v.health.gain[0], 0);
  ASSERT_TRUE(report.last_rewrite.has_value());
}

// Parameters behind a Reshape are constants only once that is folded.
TEST(Verdicts, ExamineParametersThatBecomeConstants) {
  Build b;
  Value* x = b.input("x", {1, 2, 4, 4});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {2, 2, 1, 1})});
  Value* scale = b.op("Neg", "neg", {b.numbers("s", {-1, -2}, {2})});
  y = b.op("BatchNormalization", "bn",
           {y, scale, b.random("b", {2}), b.random("m", {2}), b.numbers("v", {0, 1}, {2})});
  b.output(y);
  const OptimizeReport report = optimize_and_check(b);
  EXPECT_THAT(kinds(report.batch_norms[0].health), ElementsAre("zero_variance"));
}

TEST(Verdicts, NameTheLastRewrite) {
  const auto model = [] {
    Build b;
    Value* x = b.input("x", {1, 2, 4, 4});
    Value* y = b.op("Identity", "id", {x});
    for (const char* name : {"first", "second"}) {
      y = b.op("Conv", std::string(name) + ".conv", {y, b.random("w", {2, 2, 1, 1})});
      y = b.batch_norm(std::string(name) + ".bn", y, 2);
    }
    b.output(y);
    return b;
  };
  const auto last = [&](int64_t n) {
    Build b = model();
    OptimizeOptions options;
    options.max_rewrites = n;
    return optimize(*b.model, options).last_rewrite;
  };
  EXPECT_FALSE(last(0).has_value());
  EXPECT_EQ(last(1)->node, "id");
  EXPECT_EQ(last(2)->node, "first.bn");
  EXPECT_THAT(last(2)->into, ElementsAre("first.conv"));
  EXPECT_EQ(last(3)->node, "second.bn");
  EXPECT_EQ(last(3)->rule, "fold_affine_backward");
}

}  // namespace
}  // namespace plica
