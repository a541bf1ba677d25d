// com.microsoft: operators on 8-bit tensors, and weights of a few bits.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const std::string kDomain = "com.microsoft";

Tensor ms(const std::string& op, const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {}) {
  return run(op, 1, inputs, attributes, kDomain);
}
Tensor u8(Dims dims, const std::vector<double>& v) { return tensor(DataType::uint8, std::move(dims), v); }
Tensor i8(Dims dims, const std::vector<double>& v) { return tensor(DataType::int8, std::move(dims), v); }
Tensor scale(float v) { return Tensor::scalar(v); }
Tensor zero(int v) { return Tensor::scalar(static_cast<uint8_t>(v)); }

TEST(QLinear, AddAndMulBroadcast) {
  const Tensor a = u8({2, 2}, {10, 12, 14, 255}), b = u8({2}, {1, 3});
  // A = 0, 1, 2, 122.5; B = 0, 4
  EXPECT_TENSOR(ms("QLinearAdd", {a, scale(0.5f), zero(10), b, scale(2), zero(1), scale(1), zero(100)}),
                u8({2, 2}, {100, 105, 102, 226}));
  EXPECT_TENSOR(ms("QLinearMul", {a, scale(0.5f), zero(10), b, scale(2), zero(1), scale(1), zero(100)}),
                u8({2, 2}, {100, 104, 100, 255}));
  // Without zero points, in the middle too.
  EXPECT_TENSOR(ms("QLinearAdd", {i8({1}, {-3}), scale(1), {}, i8({1}, {5}), scale(1), {}, scale(2)}),
                i8({1}, {1}));
  expect_error(
      [&] {
        ms("QLinearAdd", {a, scale(1), zero(1), i8({1}, {5}), scale(1), {}, scale(2)});
      },
      ErrorCode::invalid_model, "types uint8 and int8");
  expect_error(
      [&] {
        ms("QLinearAdd", {a, floats({2}, {1, 1}), zero(1), b, scale(1), {}, scale(2)});
      },
      ErrorCode::invalid_model, "must be a scalar");
  expect_error(
      [&] {
        ms("QLinearAdd", {a, scale(1), zero(1), b, scale(1), {}});
      },
      ErrorCode::invalid_model, "input 6 is missing");
}

TEST(QLinear, Activations) {
  const Tensor x = u8({3}, {126, 128, 130});
  // -1, 0, 1
  EXPECT_TENSOR(
      ms("QLinearLeakyRelu", {x, scale(0.5f), zero(128), scale(0.25f), zero(10)}, {{"alpha", 0.5f}}),
      u8({3}, {8, 10, 14}));
  // 0.2689, 0.5, 0.7311 in steps of 1 / 256
  EXPECT_TENSOR(ms("QLinearSigmoid", {x, scale(0.5f), zero(128), scale(1.0f / 256), {}}),
                u8({3}, {69, 128, 187}));
  EXPECT_TENSOR(ms("QLinearSoftmax", {i8({1, 2}, {3, 3}), scale(1), {}, scale(1.0f / 256), i8({}, {-128})},
                   {{"opset", int64_t{13}}}),
                i8({1, 2}, {0, 0}));
}

TEST(QLinear, ConcatAndWhereRequantize) {
  const Tensor a = u8({1, 2}, {10, 20}), b = u8({1, 1}, {7});
  EXPECT_TENSOR(ms("QLinearConcat", {scale(1), zero(5), a, scale(0.5f), zero(10), b, scale(2), zero(0)},
                   {{"axis", int64_t{1}}}),
                u8({1, 3}, {5, 10, 19}));
  expect_error(
      [&] {
        ms("QLinearConcat", {scale(1), zero(5), a, scale(1), zero(1), b}, {{"axis", int64_t{1}}});
      },
      ErrorCode::invalid_model, "6 inputs");
  Tensor condition(DataType::boolean, {2});
  condition.mutable_data<bool>()[0] = true;
  condition.mutable_data<bool>()[1] = false;
  EXPECT_TENSOR(ms("QLinearWhere", {condition, u8({2}, {10, 20}), scale(0.5f), zero(0), u8({1}, {3}),
                                    scale(2), zero(1), scale(1), zero(100)}),
                u8({2}, {105, 104}));
}

TEST(QLinear, Pools) {
  const Tensor x = u8({1, 2, 1, 2}, {10, 20, 30, 50});
  const std::vector<Tensor> rest = {scale(0.5f), zero(10), scale(1), zero(0)};
  const auto with = [&](const Tensor& first) {
    std::vector<Tensor> inputs = {first};
    inputs.insert(inputs.end(), rest.begin(), rest.end());
    return inputs;
  };
  // Means of 0, 5 and of 10, 20, ties to even.
  EXPECT_TENSOR(ms("QLinearGlobalAveragePool", with(x)), u8({1, 2, 1, 1}, {2, 15}));
  const Tensor last = u8({1, 1, 2, 2}, {10, 30, 20, 50});
  EXPECT_TENSOR(ms("QLinearGlobalAveragePool", with(last), {{"channels_last", int64_t{1}}}),
                u8({1, 1, 1, 2}, {2, 15}));
  const NamedAttributes window = {{"kernel_shape", std::vector<int64_t>{1, 2}},
                                  {"pads", std::vector<int64_t>{0, 1, 0, 0}}};
  EXPECT_TENSOR(ms("QLinearAveragePool", with(x), window), u8({1, 2, 1, 2}, {0, 2, 10, 15}));
  NamedAttributes last_window = window;
  last_window.emplace_back("channels_last", int64_t{1});
  EXPECT_TENSOR(ms("QLinearAveragePool", with(last), last_window), u8({1, 1, 2, 2}, {0, 10, 2, 15}));
}

TEST(QLinear, ChannelsLast) {
  const Tensor x = u8({1, 1, 2, 2}, {1, 10, 2, 20}), w = i8({1, 2, 1, 1}, {1, 2});
  const std::vector<Tensor> inputs = {x, scale(1), zero(0), w, scale(1), i8({}, {0}), scale(1), zero(5)};
  // One position after the other: 1 + 20, 2 + 40.
  EXPECT_TENSOR(ms("QLinearConv", inputs, {{"channels_last", int64_t{1}}}), u8({1, 1, 2, 1}, {26, 47}));
  EXPECT_TENSOR(ms("NhwcMaxPool", {x}, {{"kernel_shape", std::vector<int64_t>{1, 2}}}),
                u8({1, 1, 1, 2}, {2, 20}));
  EXPECT_EQ(inferred_type("NhwcMaxPool", 1, {typed(DataType::int8, Shape{symbol("N"), 8, 9, symbol("C")})},
                          {{"kernel_shape", std::vector<int64_t>{2, 2}}}, kDomain),
            "int8[N, 7, 8, C]");
}

TEST(QLinear, ProductsToFloat) {
  const Tensor a = u8({1, 2}, {3, 5}), b = i8({2, 2}, {1, 2, 3, 4});
  // (2, 4) * b = 14, 20
  EXPECT_TENSOR(
      ms("MatMulIntegerToFloat", {a, b, scale(0.5f), floats({2}, {1, 10}), zero(1), {}, floats({2}, {1, 2})}),
      floats({1, 2}, {8, 102}));
  // A of 0 and 255 is its own quantization.
  EXPECT_TENSOR(
      ms("DynamicQuantizeMatMul", {floats({1, 2}, {0, 255}), b, scale(2), Tensor::scalar<int8_t>(1)}),
      floats({1, 2}, {1020, 1530}));
}

TEST(QLinear, Gemm) {
  const Tensor a = u8({2, 1}, {3, 5}), b = i8({2, 2}, {1, 3, 2, 4}),
               c = tensor(DataType::int32, {2}, {1, -1});
  const NamedAttributes both = {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 2.0f}};
  const Tensor b_zero = Tensor::scalar<int8_t>(0);
  // Sums 15, 19.
  EXPECT_TENSOR(ms("QGemm", {a, scale(0.5f), zero(1), b, floats({2}, {1, 10}), b_zero, c}, both),
                floats({1, 2}, {15, 190}));
  EXPECT_TENSOR(ms("QGemm", {a, scale(0.5f), zero(1), b, scale(1), b_zero, c, scale(2), zero(100)}, both),
                u8({1, 2}, {108, 110}));
  expect_error(
      [&] {
        ms("QGemm", {a, scale(1), zero(1), b, scale(1), b_zero, c, scale(2)}, both);
      },
      ErrorCode::invalid_model, "go together");
}

TEST(QLinear, QuantizeAndDequantize) {
  EXPECT_TENSOR(ms("QuantizeLinear", {floats({2}, {1, 1000}), scale(0.5f), Tensor::scalar<uint16_t>(7)}),
                tensor(DataType::uint16, {2}, {9, 2007}));
  EXPECT_TENSOR(ms("DequantizeLinear", {i8({1, 2}, {1, 2}), floats({2}, {1, 10})}, {{"axis", int64_t{1}}}),
                floats({1, 2}, {1, 20}));
  EXPECT_TENSOR(ms("Trilu", {floats({2, 2}, {1, 2, 3, 4})}), floats({2, 2}, {1, 2, 0, 4}));
}

TEST(MatMulNBits, DecodesBlocks) {
  // K = 20 in blocks of 16: the second has four numbers. Row 0: all 9, row 1: number k is k % 16.
  Tensor b = Tensor::zeros(DataType::uint8, {2, 2, 8});
  for (int i = 0; i < 16; ++i) b.mutable_data<uint8_t>()[i] = 0x99;
  for (int i = 0; i < 16; ++i)
    b.mutable_data<uint8_t>()[16 + i] = static_cast<uint8_t>(2 * i % 16 | (2 * i + 1) % 16 << 4);
  const Tensor scales = floats({2, 2}, {1, 10, 1, 2}),
               a = tensor(DataType::float32, {1, 20}, std::vector<double>(20, 1));
  const NamedAttributes shape = {{"K", int64_t{20}}, {"N", int64_t{2}}, {"block_size", int64_t{16}}};
  // Zero point 8: 16 * 1 + 4 * 10; sum(k) - 128 = -8, 2 * (6 - 32) = -52.
  EXPECT_TENSOR(ms("MatMulNBits", {a, b, scales}, shape), floats({1, 2}, {56, -60}));
  // Packed zero points 9, 8; 0, 1.
  EXPECT_TENSOR(ms("MatMulNBits", {a, b, scales, u8({2, 1}, {0x89, 0x10})}, shape),
                floats({1, 2}, {40, 124}));
  EXPECT_TENSOR(
      ms("MatMulNBits", {a, b, scales, floats({2, 2}, {9, 8.5, 0, 1}), {}, floats({2}, {1, 2})}, shape),
      floats({1, 2}, {21, 126}));
  // All numbers by the scales of the second block.
  EXPECT_TENSOR(
      ms("MatMulNBits", {a, b, scales, {}, tensor(DataType::int32, {20}, std::vector<double>(20, 1))}, shape),
      floats({1, 2}, {200, -68}));
  // Weights left out.
  EXPECT_TENSOR(
      ms("MatMulNBits", {a, u8({0, 2, 8}, {}), floats({0}, {}), {}, {}, floats({2}, {1, 2})}, shape),
      floats({1, 2}, {1, 2}));
  expect_error(
      [&] {
        ms("MatMulNBits", {a, b, floats({2}, {1, 1})}, shape);
      },
      ErrorCode::invalid_model, "scales");
  expect_error(
      [&] {
        ms("MatMulNBits", {floats({1, 2}, {1, 1}), b, scales}, shape);
      },
      ErrorCode::invalid_model, "K is 20");
  expect_error(
      [&] {
        ms("MatMulNBits", {a, b, scales, {}, tensor(DataType::int32, {20}, std::vector<double>(20, 2))},
           shape);
      },
      ErrorCode::invalid_argument, "g_idx has 2");
  NamedAttributes wrong = shape;
  wrong.back().second = int64_t{24};
  expect_error([&] { ms("MatMulNBits", {a, b, scales}, wrong); }, ErrorCode::invalid_model, "power of two");
}

}  // namespace
}  // namespace plica::test
