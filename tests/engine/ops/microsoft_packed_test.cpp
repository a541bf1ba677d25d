// com.microsoft: weights of a few bits that are gathered, and those of bitsandbytes; operators that ai.onnx
// has too.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const std::string kDomain = "com.microsoft";

Tensor ms(const std::string& op, const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {}) {
  return run(op, 1, inputs, attributes, kDomain);
}
Tensor bytes(Dims dims, const std::vector<double>& v) { return tensor(DataType::uint8, std::move(dims), v); }
// All bytes the same.
Tensor filled(Dims dims, int value) {
  Tensor t(DataType::uint8, std::move(dims));
  std::ranges::fill(t.mutable_values<uint8_t>(), static_cast<uint8_t>(value));
  return t;
}
NamedAttributes gather(int64_t bits, int64_t gather_axis = 0, int64_t quantize_axis = 1) {
  return {{"bits", bits},
          {"block_size", int64_t{16}},
          {"gather_axis", gather_axis},
          {"quantize_axis", quantize_axis}};
}

// What the elements from `begin` on are, `count` of them, once each in a new tensor.
std::vector<double> part(const Tensor& t, size_t begin, size_t count) {
  const auto all = doubles(t);
  return {all.begin() + static_cast<std::ptrdiff_t>(begin),
          all.begin() + static_cast<std::ptrdiff_t>(begin + count)};
}

TEST(GatherBlockQuantized, BytesOfTwoNumbers) {
  // Rows of 32 numbers in two blocks; row 1 is 1, 2, 1, 2, ... and then 3, 4, ...
  Tensor data = filled({2, 16}, 0);
  for (int i = 0; i < 16; ++i) data.mutable_data<uint8_t>()[16 + i] = i < 8 ? 0x21 : 0x43;
  const Tensor scales = floats({2, 2}, {1, 1, 0.5, 10});
  const Tensor y = ms("GatherBlockQuantized", {data, ints({1}, {-1}), scales}, gather(4));
  EXPECT_EQ(y.dims(), (Dims{1, 32}));
  EXPECT_EQ(part(y, 0, 3), (std::vector<double>{-3.5, -3, -3.5}));  // the zero point is 8
  EXPECT_EQ(part(y, 15, 3), (std::vector<double>{-3, -50, -40}));
  // Zero points are packed too: 1 and 2 for row 1.
  const Tensor z =
      ms("GatherBlockQuantized", {data, ints({}, {1}), scales, bytes({2, 1}, {0, 0x21})}, gather(4));
  EXPECT_EQ(z.dims(), (Dims{32}));
  EXPECT_EQ(part(z, 14, 4), (std::vector<double>{0, 0.5, 10, 20}));
}

TEST(GatherBlockQuantized, OtherWidthsAndAxes) {
  EXPECT_TENSOR(ms("GatherBlockQuantized",
                   {bytes({2, 1}, {0, 131}), ints({2}, {1, 0}), floats({2, 1}, {0.5, 2})}, gather(8)),
                floats({2, 1}, {6, -64}));
  // Two bits, the lowest first, around 2: 0, 1, 2, 3.
  EXPECT_TENSOR(
      ms("GatherBlockQuantized", {bytes({1, 1}, {0xE4}), ints({1}, {0}), floats({1, 1}, {1})}, gather(2)),
      floats({1, 4}, {-2, -1, 0, 1}));
  // int4 around 0, gathered along the last axis, blocks along the first: columns (-1, 2) and (7, -8).
  Tensor data(DataType::int4, {2, 2});
  static_cast<uint8_t*>(data.mutable_raw())[0] = 0x7F;
  static_cast<uint8_t*>(data.mutable_raw())[1] = 0x82;
  EXPECT_TENSOR(ms("GatherBlockQuantized", {data, ints({1}, {1}), tensor(DataType::float16, {1, 2}, {1, 3})},
                   gather(4, 1, 0)),
                tensor(DataType::float16, {2, 1}, {21, -24}));
  EXPECT_TENSOR(
      ms("GatherBlockQuantized", {filled({2, 1}, 0), ints({0}, {}), floats({2, 1}, {1, 1})}, gather(8)),
      floats({0, 1}, {}));
  EXPECT_EQ(inferred_type("GatherBlockQuantized", 1,
                          {typed(DataType::uint8, Shape{symbol("V"), 16}),
                           typed(DataType::int64, Shape{symbol("N"), symbol("T")}), typed(DataType::float32)},
                          gather(4), kDomain),
            "float32[N, T, 32]");
}

TEST(GatherBlockQuantized, RefusesWhatDoesNotFit) {
  const auto refuses = [](const std::vector<Tensor>& inputs, const NamedAttributes& attributes,
                          ErrorCode code, const std::string& part) {
    expect_error([&] { ms("GatherBlockQuantized", inputs, attributes); }, code, part);
  };
  const Tensor data = filled({2, 16}, 0), index = ints({1}, {0}), scales = floats({2, 2}, {1, 1, 1, 1});
  refuses({data, ints({1}, {2}), scales}, gather(4), ErrorCode::invalid_argument, "2");
  refuses({data, index, floats({2, 1}, {1, 1})}, gather(4), ErrorCode::invalid_model,
          "scales has shape [2, 1]");
  refuses({data, index, scales, filled({2, 2}, 0)}, gather(4), ErrorCode::invalid_model,
          "zero_points has shape");
  refuses({data, index, scales, Tensor(DataType::int4, {2, 2})}, gather(4), ErrorCode::invalid_model, "int4");
  refuses({data, index, scales}, gather(3), ErrorCode::invalid_model, "bits is 3");
  refuses({data, index, scales}, gather(4, 1, 0), ErrorCode::invalid_model, "along its last axis");
  refuses({data, index, scales}, gather(4, 2), ErrorCode::invalid_model, "gather_axis");
  refuses({data, index, scales}, {{"block_size", int64_t{24}}}, ErrorCode::invalid_model, "block_size is 24");
}

TEST(MatMulBnb4, BothTables) {
  // W = [[a, b, c], [d, e, f]]: the first of two in the high bits; one block for all, of magnitude 2.
  const auto product = [](int64_t kind, const Tensor& a) {
    return ms("MatMulBnb4", {a, bytes({3}, {0x3B, 0x70, 0xF2}), floats({1}, {2})},
              {{"N", int64_t{2}}, {"K", int64_t{3}}, {"block_size", int64_t{16}}, {"quant_type", kind}});
  };
  const Tensor one = floats({3, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  // FP4: 3 -> 1, 11 -> -1, 7 -> 1/4, 0 -> 0, 15 -> -1/4, 2 -> 2/3.
  EXPECT_TENSOR(product(0, one), floats({3, 2}, {2, 0, -2, -0.5, 0.5, 4.0 / 3}));
  // NF4: quantiles; 7 -> 0, 0 -> -1, 15 -> 1.
  EXPECT_TENSOR(product(1, one), floats({3, 2}, {2 * -0.39491748809814453, -2, 2 * 0.33791524171829224, 2, 0,
                                                 2 * -0.5250730514526367}));
  EXPECT_TENSOR(product(0, floats({0, 3}, {})), floats({0, 2}, {}));
  expect_error([&] { product(2, one); }, ErrorCode::invalid_model, "quant_type is 2");
  expect_error(
      [&] {
        product(0, floats({1, 2}, {1, 2}));
      },
      ErrorCode::invalid_model, "A has 2 columns, K is 3");
}

TEST(MatMulBnb4, BlocksRunThroughRows) {
  // Rows of 12 ones times the magnitude of their block of 16: 1, 10 and 100.
  const int64_t rows = 3, columns = 12;
  const Tensor y =
      ms("MatMulBnb4",
         {floats({1, columns}, std::vector<double>(12, 1)), filled({18}, 0x33), floats({3}, {1, 10, 100})},
         {{"N", rows}, {"K", columns}, {"block_size", int64_t{16}}, {"quant_type", int64_t{0}}});
  EXPECT_TENSOR(y, floats({1, 3}, {12, 4 * 1 + 8 * 10, 8 * 10 + 4 * 100}));
  expect_error(
      [&] {
        ms("MatMulBnb4", {floats({1, 2}, {1, 1}), filled({2}, 0), floats({1}, {1})},
           {{"N", int64_t{1}}, {"K", int64_t{2}}, {"block_size", int64_t{16}}, {"quant_type", int64_t{0}}});
      },
      ErrorCode::invalid_model, "B has shape [2], 1 elements are needed");
}

TEST(Adopted, PadGatherNdAndGridSample) {
  EXPECT_TENSOR(ms("Pad", {floats({2}, {1, 2}), ints({2}, {1, 2}), floats({1}, {7})}),
                floats({5}, {7, 1, 2, 7, 7}));
  EXPECT_TENSOR(ms("GatherND", {floats({2, 2}, {1, 2, 3, 4}), ints({2, 2}, {0, 1, -1, 0})}),
                floats({2}, {2, 3}));
  // The centre of the four pixels, and a corner.
  const Tensor x = floats({1, 1, 2, 2}, {1, 2, 3, 4}), grid = floats({1, 1, 2, 2}, {0, 0, -1, 1});
  EXPECT_TENSOR(
      ms("GridSample", {x, grid}, {{"mode", std::string("bilinear")}, {"align_corners", int64_t{1}}}),
      floats({1, 1, 1, 2}, {2.5, 3}));
  expect_error(
      [&] {
        ms("GridSample", {x, grid}, {{"mode", std::string("linear")}});
      },
      ErrorCode::invalid_model, "bilinear");
}

}  // namespace
}  // namespace plica::test
