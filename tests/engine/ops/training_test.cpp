#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const char* const kDomain = "ai.onnx.preview.training";

Tensor rate(float r) { return Tensor::scalar(r); }
Tensor updates(int64_t t) { return Tensor::scalar(t); }
Tensor one(double x) { return floats({1}, {x}); }

TEST(Training, Adagrad) {
  const NamedAttributes attributes = {{"norm_coefficient", .5f}, {"epsilon", 1.0f}, {"decay_factor", .25f}};
  // r = .1 / 2; g = .5 * 2 + 3 = 4; h = 9 + 16
  const auto y =
      run_all("Adagrad", 1, {rate(.1f), updates(4), one(2), one(3), one(9)}, attributes, 2, kDomain);
  EXPECT_TENSOR(y[0], one(2 - .05 * 4 / (5 + 1)));
  EXPECT_TENSOR(y[1], one(25));
}

TEST(Training, AdamOfTwoTensors) {
  const NamedAttributes attributes = {
      {"alpha", .5f}, {"beta", .75f}, {"epsilon", 0.0f}, {"norm_coefficient_post", .5f}};
  const std::vector<Tensor> inputs = {rate(1), updates(2),          one(1), floats({2}, {1, 2}),
                                      one(2),  floats({2}, {4, 0}), one(4), floats({2}, {0, 0}),
                                      one(4),  floats({2}, {0, 0})};
  const auto y = run_all("Adam", 1, inputs, attributes, 6, kDomain);
  const double r = std::sqrt(1 - .75 * .75) / (1 - .25);
  EXPECT_TENSOR(y[0], one(.5 * (1 - r * 3 / 2)));  // v = 2 + 1; h = 3 + 1
  EXPECT_TENSOR(y[2], one(3));
  EXPECT_TENSOR(y[4], one(4));
  EXPECT_TENSOR(y[3], floats({2}, {2, 0}));
  EXPECT_TENSOR(y[5], floats({2}, {4, 0}));
  // 0 / 0: epsilon is there for that.
  EXPECT_TENSOR(y[1], floats({2}, {.5 * (1 - r), kNan}));
}

TEST(Training, Momentum) {
  const auto step = [](const char* mode, int64_t t) {
    const NamedAttributes attributes = {
        {"alpha", .5f}, {"beta", .25f}, {"mode", std::string(mode)}, {"norm_coefficient", 0.0f}};
    return run_all("Momentum", 1, {rate(.1f), updates(t), one(1), one(4), one(2)}, attributes, 2, kDomain);
  };
  EXPECT_TENSOR(step("standard", 1)[1], one(2));  // 1 + 1
  EXPECT_TENSOR(step("standard", 1)[0], one(.8));
  EXPECT_TENSOR(step("standard", 0)[1], one(5));  // 1 + 4: the first update
  EXPECT_TENSOR(step("nesterov", 1)[0], one(1 - .1 * (4 + .5 * 2)));
  expect_error([&] { step("other", 1); }, ErrorCode::invalid_model, "standard or nesterov");
}

TEST(Training, RefusesWhatDoesNotFit) {
  const std::vector<Tensor> six = {rate(1), updates(0), one(1), one(1), one(1), one(1)};
  expect_error([&] { run_all("Adagrad", 1, six, {}, 2, kDomain); }, ErrorCode::invalid_model, "groups of 3");
  expect_error([&] { run_all("Adam", 1, six, {}, 2, kDomain); }, ErrorCode::invalid_model, "2 outputs for 1");
  const Tensor x = floats({2}, {1, 2});
  expect_error(
      [&] {
        run_all("Adagrad", 1, {rate(1), updates(0), x, one(1), x}, {}, 2, kDomain);
      },
      ErrorCode::invalid_model, "dimensions 2 and 1 differ");
  expect_error(
      [&] {
        run_all("Adagrad", 1, {x, updates(0), x, x, x}, {}, 2, kDomain);
      },
      ErrorCode::invalid_model, "R has shape [2]");
  const Facts n = typed(DataType::float64, Shape{symbol("N"), 3});
  const auto facts =
      infer_all("Adagrad", 1, {typed(DataType::float32), typed(DataType::int64), n, n, n}, {}, 2, kDomain);
  EXPECT_EQ(to_string(facts[1].type), "float64[N, 3]");
}

}  // namespace
}  // namespace plica::test
