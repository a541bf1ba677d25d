// QuantizeLinear and DequantizeLinear, by hand.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

TEST(Quantization, RoundsHalfToEvenAndSaturates) {
  const Tensor x = Tensor::vector<float>({0, 1, 3, -3, 5, 1000, -1000}), scale = Tensor::scalar(2.0f);
  EXPECT_TENSOR(run("QuantizeLinear", 13, {x, scale, Tensor::scalar<uint8_t>(128)}),
                Tensor::vector<uint8_t>({128, 128, 130, 126, 130, 255, 0}));
  EXPECT_TENSOR(run("QuantizeLinear", 13, {x, scale, Tensor::scalar<int8_t>(-1)}),
                Tensor::vector<int8_t>({-1, -1, 1, -3, 1, 127, -128}));
  // Without a zero point: uint8, from 0.
  EXPECT_TENSOR(run("QuantizeLinear", 10, {x, scale}), Tensor::vector<uint8_t>({0, 0, 2, 0, 2, 255, 0}));
}

TEST(Quantization, OneScaleForEachPositionOfTheAxis) {
  const Tensor q = Tensor::of<int8_t>({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor by_column = Tensor::vector<float>({1, 10, 100}), by_row = Tensor::vector<float>({1, 10});
  EXPECT_TENSOR(run("DequantizeLinear", 13, {q, by_column}),
                Tensor::of<float>({1, 20, 300, 4, 50, 600}, {2, 3}));
  EXPECT_TENSOR(
      run("DequantizeLinear", 13, {q, by_row, Tensor::vector<int8_t>({1, 4})}, {{"axis", int64_t{-2}}}),
      Tensor::of<float>({0, 1, 2, 0, 10, 20}, {2, 3}));
}

TEST(Quantization, OneScaleForEachBlock) {
  const Tensor q = Tensor::of<int8_t>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {2, 5});
  const Tensor scale = Tensor::of<float>({1, 10, 100, 2, 20, 200}, {2, 3});
  EXPECT_TENSOR(run("DequantizeLinear", 21, {q, scale}, {{"block_size", int64_t{2}}}),
                Tensor::of<float>({1, 2, 30, 40, 500, 12, 14, 160, 180, 2000}, {2, 5}));
}

TEST(Quantization, TypesOfResults) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3}),
              scale = typed(DataType::float32, Shape(Dims{}));
  EXPECT_EQ(to_string(infer("QuantizeLinear", 13, {x, scale}).type), "uint8[N, 3]");
  EXPECT_EQ(to_string(infer("QuantizeLinear", 21, {x, scale},
                            {{"output_dtype", static_cast<int64_t>(DataType::int4)}})
                          .type),
            "int4[N, 3]");
  EXPECT_EQ(to_string(infer("DequantizeLinear", 23, {typed(DataType::int8, Shape{2}), scale},
                            {{"output_dtype", static_cast<int64_t>(DataType::float16)}})
                          .type),
            "float16[2]");
  // A scalar as a vector of one.
  EXPECT_TENSOR(run("DequantizeLinear", 21,
                    {Tensor::vector<int8_t>({3}), Tensor::scalar(2.0f), Tensor::vector<int8_t>({1})}),
                Tensor::vector<float>({4}));
}

TEST(Quantization, RefusesWhatDoesNotFit) {
  const Tensor q = Tensor::of<int8_t>({1, 2, 3, 4, 5, 6}, {2, 3});
  expect_error(
      [&] {
        run("DequantizeLinear", 13, {q, Tensor::vector<float>({1, 2})});
      },
      ErrorCode::invalid_model, "2 scales for an axis of 3 elements");
  expect_error(
      [&] {
        run("DequantizeLinear", 10, {q, Tensor::vector<float>({1, 2, 3})});
      },
      ErrorCode::invalid_model, "it must be a scalar");
  expect_error(
      [&] {
        run("DequantizeLinear", 13, {q, Tensor::scalar(1.0f), Tensor::scalar<uint8_t>(1)});
      },
      ErrorCode::invalid_model, "the zero point is of type uint8");
  expect_error(
      [&] {
        run("DequantizeLinear", 21, {q, Tensor::of<float>({1, 1, 1, 1}, {2, 2})},
            {{"block_size", int64_t{3}}});
      },
      ErrorCode::invalid_model, "with blocks of 3");
  expect_error(
      [&] {
        run("DequantizeLinear", 13, {q, Tensor::vector<float>({1, 2, 3})}, {{"axis", int64_t{7}}});
      },
      ErrorCode::invalid_model, "7");
}

}  // namespace
}  // namespace plica::test
