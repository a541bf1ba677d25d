#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

// Log-probabilities [2, 3] and their targets.
const Tensor kScores = floats({2, 3}, {-1, -2, -3, -4, -5, -6});
const Tensor kTargets = ints({2}, {2, 0});

NamedAttributes reduction(const char* name) { return {{"reduction", std::string(name)}}; }

TEST(LossTest, Reductions) {
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {kScores, kTargets}, reduction("none")),
                floats({2}, {3, 4}));
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {kScores, kTargets}, reduction("sum")), floats({}, {7}));
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {kScores, kTargets}), floats({}, {3.5}));
}

TEST(LossTest, Weights) {
  const Tensor weights = floats({3}, {2, 10, 0.5});
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 12, {kScores, kTargets, weights}, reduction("none")),
                floats({2}, {1.5, 8}));
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 12, {kScores, kTargets, weights}), floats({}, {9.5 / 2.5}));
}

TEST(LossTest, IgnoredTargetsMayBeAnything) {
  const NamedAttributes attributes = {{"ignore_index", int64_t{-7}}};
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {kScores, ints({2}, {-7, 1})}, attributes),
                floats({}, {5}));
  EXPECT_TENSOR(
      run("NegativeLogLikelihoodLoss", 13, {kScores, Tensor::vector<int32_t>({-7, -7})}, attributes),
      floats({}, {kNan}));
}

TEST(LossTest, FurtherDims) {
  // [N = 1, C = 2, d = 3]
  const Tensor scores = floats({1, 2, 3}, {-1, -2, -3, -4, -5, -6});
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {scores, ints({1, 3}, {0, 1, 0})}, reduction("none")),
                floats({1, 3}, {1, 5, 3}));
}

TEST(LossTest, CrossEntropyIsLogSoftmaxFirst) {
  const Tensor scores = floats({2, 2}, {1000, 1000, 0, std::log(3.0)});
  const auto out = run_all("SoftmaxCrossEntropyLoss", 13, {scores, ints({2}, {0, 0})}, reduction("none"), 2);
  EXPECT_TENSOR(out[0], floats({2}, {std::log(2.0), std::log(4.0)}));
  EXPECT_TENSOR(out[1], floats({2, 2}, {-std::log(2.0), -std::log(2.0), -std::log(4.0), std::log(0.75)}),
                1e-5, 1e-4);
  const Tensor half = tensor(DataType::bfloat16, {1, 2}, {0, 0});
  EXPECT_TENSOR(run("SoftmaxCrossEntropyLoss", 13, {half, ints({1}, {1})}),
                tensor(DataType::bfloat16, {}, {std::log(2.0)}), 1e-2);
}

TEST(LossTest, NothingToSum) {
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {floats({0, 3}, {}), ints({0}, {})}, reduction("sum")),
                floats({}, {0}));
  EXPECT_EQ(
      run("SoftmaxCrossEntropyLoss", 13, {floats({2, 3, 0}, {}), ints({2, 0}, {})}, reduction("none")).dims(),
      (Dims{2, 0}));
  EXPECT_TENSOR(run("NegativeLogLikelihoodLoss", 13, {floats({0, 3}, {}), ints({0}, {})}),
                floats({}, {kNan}));
}

TEST(LossTest, InfersSymbols) {
  const Facts scores = typed(DataType::float16, Shape{symbol("N"), 10, symbol("d")}),
              targets = typed(DataType::int64);
  EXPECT_EQ(inferred_type("SoftmaxCrossEntropyLoss", 13, {scores, targets}, reduction("none")),
            "float16[N, d]");
  EXPECT_EQ(inferred_type("SoftmaxCrossEntropyLoss", 13, {scores, targets}), "float16[]");
  EXPECT_EQ(inferred_type("NegativeLogLikelihoodLoss", 13,
                          {typed(DataType::float32), typed(DataType::int64, Shape{4, symbol("d")})},
                          reduction("none")),
            "float32[4, d]");
}

TEST(LossTest, Refuses) {
  const auto refuse = [](const std::vector<Tensor>& inputs, const NamedAttributes& attributes,
                         const char* part, ErrorCode code = ErrorCode::invalid_model) {
    expect_error([&] { run("NegativeLogLikelihoodLoss", 13, inputs, attributes); }, code, part);
  };
  refuse({kScores, kTargets}, reduction("median"), "reduction");
  refuse({kScores, ints({2}, {3, 0})}, {}, "there are 3 classes", ErrorCode::invalid_argument);
  refuse({kScores, ints({2}, {-1, 0})}, {}, "there are 3 classes", ErrorCode::invalid_argument);
  refuse({kScores, ints({2, 1}, {0, 0})}, {}, "the targets");
  refuse({kScores, ints({3}, {0, 0, 0})}, {}, "the target has 3");
  refuse({kScores, kTargets, floats({2}, {1, 1})}, {}, "classes");
  refuse({floats({2}, {1, 1}), ints({}, {0})}, {}, "rank 2");
}

}  // namespace
}  // namespace plica::test
