// ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul, DynamicQuantizeLinear, by hand.
#include "engine/ops/cast.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor u8(Dims dims, const std::vector<double>& v) { return tensor(DataType::uint8, std::move(dims), v); }
Tensor i8(Dims dims, const std::vector<double>& v) { return tensor(DataType::int8, std::move(dims), v); }
Tensor i32(Dims dims, const std::vector<double>& v) { return tensor(DataType::int32, std::move(dims), v); }
Tensor scalar(float v) { return Tensor::scalar(v); }

TEST(Integer, MatMulSubtractsZeroPoints) {
  const Tensor a = u8({2, 2}, {1, 2, 3, 4}), b = i8({2, 2}, {1, -1, 2, 0});
  EXPECT_TENSOR(run("MatMulInteger", 10, {a, b}), i32({2, 2}, {5, -1, 11, -3}));
  // (a - 2) * (b - 1)
  EXPECT_TENSOR(run("MatMulInteger", 10, {a, b, Tensor::scalar<uint8_t>(2), i8({1}, {1})}),
                i32({2, 2}, {0, 2, 2, -4}));
  // One a row of A, one a column of B: a - [1; 3], b - [1, -1].
  EXPECT_TENSOR(run("MatMulInteger", 10, {a, b, u8({2}, {1, 3}), i8({2}, {1, -1})}),
                i32({2, 2}, {1, 1, 1, 1}));
  EXPECT_TENSOR(run("MatMulInteger", 10, {a, b, u8({2, 1}, {1, 3}), i8({1, 2}, {1, -1})}),
                i32({2, 2}, {1, 1, 1, 1}));
  // Vectors and batches.
  EXPECT_TENSOR(run("MatMulInteger", 10, {u8({2}, {3, 4}), b}), i32({2}, {11, -3}));
  EXPECT_TENSOR(run("MatMulInteger", 10, {a.reshaped({2, 1, 2}), i8({2}, {1, 2})}), i32({2, 1}, {5, 11}));
}

TEST(Integer, LongSumsAreExactAndWrap) {
  // 255 * 255 * 1000 is beyond float32's integers; its lowest bit must survive.
  const int64_t depth = 1001;
  Tensor a(DataType::uint8, {1, depth}), b(DataType::uint8, {depth, 1});
  for (uint8_t& v : a.mutable_values<uint8_t>()) v = 255;
  for (uint8_t& v : b.mutable_values<uint8_t>()) v = 255;
  b.mutable_data<uint8_t>()[7] = 254;
  EXPECT_TENSOR(run("MatMulInteger", 10, {a, b}), i32({1, 1}, {1001.0 * 65025 - 255}));
  // 2^31 + ... wraps as int32 does.
  const int64_t longer = 33100;
  Tensor c = Tensor(DataType::uint8, {1, longer}), d(DataType::uint8, {longer, 1});
  std::fill_n(c.mutable_data<uint8_t>(), longer, uint8_t{255});
  std::fill_n(d.mutable_data<uint8_t>(), longer, uint8_t{255});
  EXPECT_TENSOR(run("MatMulInteger", 10, {c, d}), i32({1, 1}, {33100.0 * 65025 - 4294967296.0}));
}

TEST(Integer, ConvolutionPadsWithTheZeroPoint) {
  const Tensor x = u8({1, 1, 3}, {2, 3, 4}), w = i8({2, 1, 2}, {1, 2, 3, -1});
  const NamedAttributes pads = {{"pads", std::vector<int64_t>{1, 0}}};
  // x - 1 = 0 | 1 2 3
  EXPECT_TENSOR(run("ConvInteger", 10, {x, w, Tensor::scalar<uint8_t>(1)}, pads),
                i32({1, 2, 3}, {2, 5, 8, -1, 1, 3}));
  // w - [1, -1] by output channel: [0, 1], [4, 0]
  EXPECT_TENSOR(run("ConvInteger", 10, {x, w, u8({1}, {1}), i8({2}, {1, -1})}, pads),
                i32({1, 2, 3}, {1, 2, 3, 0, 4, 8}));
  EXPECT_TENSOR(
      run("ConvInteger", 10, {u8({1, 2, 2}, {1, 2, 3, 4}), i8({2, 1, 1}, {2, 3})}, {{"group", int64_t{2}}}),
      i32({1, 2, 2}, {2, 4, 9, 12}));
}

TEST(Integer, QuantizedConvolutionRequantizesByChannel) {
  const Tensor x = u8({1, 1, 2}, {3, 5}), w = i8({2, 1, 1}, {2, -4});
  // sums with bias: 4 + 1, 8 + 1; -8, -16; factors 0.5 * 1 / 0.25 = 2 and 0.5 * 0.5 / 0.25 = 1.
  EXPECT_TENSOR(run("QLinearConv", 10,
                    {x, scalar(0.5f), Tensor::scalar<uint8_t>(1), w, Tensor::vector({1.0f, 0.5f}),
                     i8({2}, {0, 0}), scalar(0.25f), Tensor::scalar<uint8_t>(10), i32({2}, {1, 0})}),
                u8({1, 2, 2}, {20, 28, 2, 0}));
}

TEST(Integer, QuantizedProductRoundsTiesToEvenBeforeTheZeroPoint) {
  const Tensor a = u8({1, 1}, {1}), b = i8({1, 4}, {1, 3, 5, -3});
  const auto product = [&](int opset, const Tensor& y_zero) {
    return run("QLinearMatMul", opset,
               {a, scalar(1), Tensor::scalar<uint8_t>(0), b, scalar(1), Tensor::scalar<int8_t>(0), scalar(2),
                y_zero});
  };
  // 0.5, 1.5, 2.5, -1.5
  EXPECT_TENSOR(product(10, Tensor::scalar<int8_t>(1)), i8({1, 4}, {1, 3, 3, -1}));
  EXPECT_TENSOR(product(21, Tensor::scalar<uint8_t>(0)), u8({1, 4}, {0, 2, 2, 0}));
}

TEST(Integer, QuantizedProductTakesScalesByRowAndColumn) {
  const Tensor a = u8({2, 1}, {1, 2}), b = u8({1, 2}, {3, 4});
  EXPECT_TENSOR(run("QLinearMatMul", 10,
                    {a, Tensor::vector({1.0f, 10.0f}), u8({2}, {0, 1}), b, Tensor::vector({1.0f, 2.0f}),
                     u8({2}, {0, 0}), scalar(1), Tensor::scalar<uint8_t>(0)}),
                u8({2, 2}, {3, 8, 30, 80}));
}

TEST(Integer, QuantizedProductOfSmallFloats) {
  const auto f8 = [](const std::vector<float>& v, Dims dims) {
    return cast_tensor(Tensor::of(v, std::move(dims)), DataType::float8e4m3fn);
  };
  const Tensor half = cast_tensor(scalar(0.5f), DataType::float16),
               one = cast_tensor(scalar(1), DataType::float16);
  const Tensor y =
      run("QLinearMatMul", 21,
          {f8({1.5f, 2}, {1, 2}), half, f8({0}, {}), f8({2, 3}, {2, 1}), one, f8({1}, {}), one, f8({0}, {})});
  EXPECT_EQ(y.type(), DataType::float8e4m3fn);
  // (1.5 * 1 + 2 * 2) * 0.5
  EXPECT_TENSOR(cast_tensor(y, DataType::float32), floats({1, 1}, {2.75}));
}

TEST(Integer, DynamicQuantization) {
  const auto y =
      run_all("DynamicQuantizeLinear", 11, {Tensor::vector<float>({0, 2, -3, -2.5f, 1.34f, 0.5f})}, {}, 3);
  EXPECT_TENSOR(y[0], u8({6}, {153, 255, 0, 26, 221, 179}));
  EXPECT_TENSOR(y[1], scalar(5.0f / 255));
  EXPECT_TENSOR(y[2], Tensor::scalar<uint8_t>(153));
  const auto zeros = run_all("DynamicQuantizeLinear", 11, {Tensor::vector<float>({0, 0})}, {}, 3);
  EXPECT_TENSOR(zeros[0], u8({2}, {0, 0}));
  EXPECT_TENSOR(zeros[1], scalar(1));
  // What has no range is no reason to crash.
  run_all("DynamicQuantizeLinear", 11, {Tensor::vector<float>({kNan, kInfinity, -kInfinity})}, {}, 3);
  run_all("DynamicQuantizeLinear", 11, {floats({0}, {})}, {}, 3);
}

TEST(Integer, EmptyTensors) {
  EXPECT_TENSOR(run("MatMulInteger", 10, {u8({2, 0}, {}), i8({0, 3}, {})}), i32({2, 3}, {0, 0, 0, 0, 0, 0}));
  EXPECT_TENSOR(run("MatMulInteger", 10, {u8({0, 2}, {}), i8({2, 3}, {1, 2, 3, 4, 5, 6})}), i32({0, 3}, {}));
  EXPECT_TENSOR(run("ConvInteger", 10, {u8({0, 1, 3}, {}), i8({2, 1, 2}, {1, 2, 3, 4})}), i32({0, 2, 2}, {}));
}

TEST(Integer, InfersSymbols) {
  const Facts x = typed(DataType::uint8, Shape{symbol("N"), 3, symbol("H"), symbol("H")}),
              w = typed(DataType::int8, Shape{8, 3, 3, 3});
  const NamedAttributes same = {{"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  EXPECT_EQ(inferred_type("ConvInteger", 10, {x, w}, same), "int32[N, 8, H, H]");
  const Facts a = typed(DataType::uint8, Shape{symbol("N"), symbol("S"), 4}),
              b = typed(DataType::int8, Shape{4, 5});
  EXPECT_EQ(inferred_type("MatMulInteger", 10, {a, b}), "int32[N, S, 5]");
  const Facts s = typed(DataType::float32, Shape{}), z = typed(DataType::uint8, Shape{}),
              zb = typed(DataType::int8, Shape{});
  EXPECT_EQ(inferred_type("QLinearMatMul", 10, {a, s, z, b, s, zb, s, zb}), "int8[N, S, 5]");
}

TEST(Integer, Refuses) {
  const Tensor a = u8({2, 2}, {1, 2, 3, 4}), b = i8({2, 2}, {1, -1, 2, 0});
  expect_error(
      [&] {
        run("MatMulInteger", 10, {a, b, i8({}, {0})});
      },
      ErrorCode::invalid_model, "a_zero_point");
  expect_error(
      [&] {
        run("MatMulInteger", 10, {a, b, u8({3}, {0, 0, 0})});
      },
      ErrorCode::invalid_model, "shape [3]");
  expect_error(
      [&] {
        run("MatMulInteger", 10, {a, b, {}, i8({2, 1}, {0, 0})});
      },
      ErrorCode::invalid_model, "[2, 1]");
  expect_error(
      [&] {
        run("MatMulInteger", 10, {a, i8({3, 1}, {1, 2, 3})});
      },
      ErrorCode::invalid_model, "columns");
  const Tensor x = u8({1, 1, 3}, {2, 3, 4}), w = i8({2, 1, 2}, {1, 2, 3, -1});
  expect_error(
      [&] {
        run("ConvInteger", 10, {x, w, u8({2}, {1, 1})});
      },
      ErrorCode::invalid_model, "must be a scalar");
  expect_error(
      [&] {
        run("ConvInteger", 10, {x, w, {}, i8({3}, {1, 1, 1})});
      },
      ErrorCode::invalid_model, "2 output channels");
}

}  // namespace
}  // namespace plica::test
