// com.microsoft: functions of matrices; and what ai.onnx had as experimental operators.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor ms(const std::string& op, const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {}) {
  return run(op, 1, inputs, attributes, "com.microsoft");
}

TEST(Inverse, OfEachMatrix) {
  // The second needs another pivot than its first element.
  EXPECT_TENSOR(ms("Inverse", {floats({2, 2, 2}, {4, 7, 2, 6, 0, 2, 4, 0})}),
                floats({2, 2, 2}, {0.6, -0.7, -0.2, 0.4, 0, 0.25, 0.5, 0}));
  EXPECT_TENSOR(ms("Inverse", {tensor(DataType::float16, {1, 1}, {4})}),
                tensor(DataType::float16, {1, 1}, {0.25}));
  EXPECT_TENSOR(ms("Inverse", {floats({3, 0, 0}, {})}), floats({3, 0, 0}, {}));
  // A * inverse(A) = 1
  const int64_t n = 17;
  const Tensor a = random(DataType::float64, {n, n}, -1, 1, 3), b = ms("Inverse", {a});
  std::vector<double> one(static_cast<size_t>(n * n));
  for (size_t i = 0; i < one.size(); i += n + 1) one[i] = 1;
  EXPECT_TENSOR(run("MatMul", 13, {a, b}), tensor(DataType::float64, {n, n}, one), 0, 1e-12);
  expect_error(
      [] {
        ms("Inverse", {floats({2, 2}, {1, 2, 2, 4})});
      },
      ErrorCode::invalid_argument, "singular");
  expect_error([] { ms("Inverse", {floats({1, 2}, {1, 2})}); }, ErrorCode::invalid_model, "not square");
  expect_error([] { ms("Inverse", {floats({2}, {1, 2})}); }, ErrorCode::invalid_model, "rank 1");
}

TEST(CDist, OfRows) {
  const Tensor a = floats({2, 2}, {0, 0, 3, 4}), b = floats({3, 2}, {0, 0, 3, 0, 3, 4});
  EXPECT_TENSOR(ms("CDist", {a, b}), floats({2, 3}, {0, 9, 25, 25, 16, 0}));
  EXPECT_TENSOR(ms("CDist", {a, b}, {{"metric", std::string("euclidean")}}),
                floats({2, 3}, {0, 3, 5, 5, 4, 0}));
  EXPECT_TENSOR(ms("CDist", {floats({2, 0}, {}), floats({1, 0}, {})}), floats({2, 1}, {0, 0}));
  EXPECT_TENSOR(ms("CDist", {floats({0, 3}, {}), floats({1, 3}, {1, 2, 3})}), floats({0, 1}, {}));
  expect_error([&] { ms("CDist", {a, floats({1, 3}, {1, 2, 3})}); }, ErrorCode::invalid_model, "");
  expect_error(
      [&] {
        ms("CDist", {a, b}, {{"metric", std::string("cosine")}});
      },
      ErrorCode::invalid_model, "the metric is 'cosine'");
  EXPECT_EQ(
      inferred_type("CDist", 1, {typed(DataType::float32, Shape{symbol("N"), 3}), typed(DataType::float32)},
                    {}, "com.microsoft"),
      "float32[N, ?]");
}

// ---- of ai.onnx

NamedAttributes parameters(float alpha, float beta) { return {{"alpha", alpha}, {"beta", beta}}; }

TEST(Legacy, FunctionsOfAnElement) {
  const Tensor x = floats({3}, {-1, 0, 2});
  EXPECT_TENSOR(run("Affine", 7, {x}, parameters(3, 0.5f)), floats({3}, {-2.5, 0.5, 6.5}));
  EXPECT_TENSOR(run("Affine", 7, {x}), x);
  EXPECT_TENSOR(run("Scale", 7, {x}, {{"scale", 2.0f}}), floats({3}, {-2, 0, 4}));
  EXPECT_TENSOR(run("ScaledTanh", 7, {x}, parameters(2, 0.5f)),
                floats({3}, {2 * std::tanh(-0.5), 0, 2 * std::tanh(1.0)}));
  EXPECT_TENSOR(run("ParametricSoftplus", 7, {x}, parameters(2, 3)),
                floats({3}, {2 * std::log1p(std::exp(-3)), 2 * std::log(2), 2 * std::log1p(std::exp(6))}));
  EXPECT_TENSOR(run("ThresholdedRelu", 7, {x}, {{"alpha", 1.5f}}), floats({3}, {0, 0, 2}));
  expect_error([&] { run("ScaledTanh", 7, {x}); }, ErrorCode::invalid_model, "alpha");
}

TEST(Legacy, ImageScaler) {
  const Tensor x = floats({2, 2, 1, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const NamedAttributes attributes = {{"scale", 2.0f}, {"bias", std::vector<float>{10, 20}}};
  EXPECT_TENSOR(run("ImageScaler", 7, {x}, attributes),
                floats({2, 2, 1, 2}, {12, 14, 26, 28, 20, 22, 34, 36}));
  expect_error(
      [&] {
        run("ImageScaler", 7, {x}, {{"bias", std::vector<float>{1}}});
      },
      ErrorCode::invalid_model, "1 biases for 2 channels");
  expect_error(
      [&] {
        run("ImageScaler", 7, {floats({2}, {1, 2})}, attributes);
      },
      ErrorCode::invalid_model, "rank 1");
}

TEST(Legacy, Crop) {
  using Ints = std::vector<int64_t>;
  const Tensor x = iota(DataType::float32, {1, 2, 3, 4});
  // Left 1, top 0, right 2, bottom 1.
  EXPECT_TENSOR(run("Crop", 7, {x}, {{"border", Ints{1, 0, 2, 1}}}), floats({1, 2, 2, 1}, {1, 5, 13, 17}));
  // One row and two columns from there on.
  EXPECT_TENSOR(run("Crop", 7, {x}, {{"border", Ints{1, 1, 0, 0}}, {"scale", Ints{1, 2}}}),
                floats({1, 2, 1, 2}, {5, 6, 17, 18}));
  const auto refuses = [&](const NamedAttributes& attributes, const std::string& part) {
    expect_error([&] { run("Crop", 7, {x}, attributes); }, ErrorCode::invalid_model, part);
  };
  refuses({{"border", Ints{1, 0, 2}}}, "left, top, right and bottom");
  refuses({{"border", Ints{-1, 0, 2, 0}}}, "of at least 0");
  refuses({{"border", Ints{2, 0, 2, 0}}}, "0 elements from 2 on");
  expect_error(
      [&] {
        run("Crop", 7, {x}, {{"border", Ints{0, 0, INT64_MIN, 0}}});
      },
      ErrorCode::limit, "too large");
  refuses({{"border", Ints{0, 0, -1, 0}}}, "5 elements from 0 on");
  refuses({{"border", Ints{0, INT64_MAX, 0, 0}}, {"scale", Ints{1, 2}}}, "no part of an axis of 3");
  refuses({{"border", Ints{0, 0, 0, 0}}, {"scale", Ints{1}}}, "height and width");
  EXPECT_EQ(inferred_type("Crop", 7, {typed(DataType::float32, Shape{symbol("N"), 2, symbol("H"), 4})},
                          {{"border", Ints{1, 1, 1, 1}}}),
            "float32[N, 2, ?, 2]");
}

TEST(Legacy, DynamicSlice) {
  const Tensor x = iota(DataType::float32, {3, 4}), from = ints({1}, {1}), to = ints({1}, {3});
  EXPECT_TENSOR(run("DynamicSlice", 7, {x, from, to}), floats({2, 4}, {4, 5, 6, 7, 8, 9, 10, 11}));
  EXPECT_TENSOR(run("DynamicSlice", 7, {x, from, to, ints({1}, {1})}), floats({3, 2}, {1, 2, 5, 6, 9, 10}));
}

}  // namespace
}  // namespace plica::test
