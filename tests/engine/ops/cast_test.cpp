#include "engine/ops/cast.h"

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor cast(const Tensor& x, DataType to, int64_t opset = 25) {
  return run("Cast", opset, {x}, {{"to", static_cast<int64_t>(to)}});
}

// 8-bit or packed elements from their bytes.
Tensor coded(DataType type, Dims dims, const std::vector<uint8_t>& bytes) {
  Tensor t(type, std::move(dims));
  EXPECT_EQ(t.bytes(), bytes.size());
  std::copy(bytes.begin(), bytes.end(), static_cast<uint8_t*>(t.mutable_raw()));
  return t;
}

const DataType kNumbers[] = {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16,
                             DataType::int8,    DataType::int16,   DataType::int32,   DataType::int64,
                             DataType::uint8,   DataType::uint16,  DataType::uint32,  DataType::uint64};

TEST(Cast, SmallNumbersBetweenAllTypes) {
  const std::vector<double> values = {0, 1, 2, 3, 7, 100, 127};
  for (DataType from : kNumbers) {
    for (DataType to : kNumbers) {
      EXPECT_TENSOR(cast(tensor(from, {7}, values), to), tensor(to, {7}, values))
          << to_string(from) << " to " << to_string(to);
    }
    EXPECT_TENSOR(cast(tensor(from, {7}, values), DataType::boolean),
                  tensor(DataType::boolean, {7}, {0, 1, 1, 1, 1, 1, 1}));
    EXPECT_TENSOR(cast(tensor(DataType::boolean, {2}, {0, 1}), from), tensor(from, {2}, {0, 1}));
    for (DataType small :
         {DataType::float8e4m3fn, DataType::float8e4m3fnuz, DataType::float8e5m2, DataType::float8e5m2fnuz}) {
      EXPECT_TENSOR(cast(cast(tensor(from, {5}, {0, 1, 2, 3, 7}), small), from),
                    tensor(from, {5}, {0, 1, 2, 3, 7}));
    }
    for (DataType small : {DataType::int4, DataType::uint4, DataType::float4e2m1}) {
      EXPECT_TENSOR(cast(cast(tensor(from, {5}, {0, 1, 2, 3, 4}), small), from),
                    tensor(from, {5}, {0, 1, 2, 3, 4}));
    }
    EXPECT_TENSOR(cast(cast(tensor(from, {5}, {0, 1, 2, 3, 1}), DataType::uint2), from),
                  tensor(from, {5}, {0, 1, 2, 3, 1}));
  }
}

TEST(Cast, LongTensorsAndPackedBlocks) {
  const Tensor x = iota(DataType::float32, {5001}, -2500);
  EXPECT_TENSOR(cast(cast(x, DataType::int32), DataType::float32), x, 0, 0);
  std::vector<double> nibbles(5001);
  for (size_t i = 0; i < nibbles.size(); ++i) nibbles[i] = static_cast<double>(i * 7 % 16) - 8;
  const Tensor small = tensor(DataType::int64, {5001}, nibbles);
  EXPECT_TENSOR(cast(cast(small, DataType::int4), DataType::int64), small);
}

TEST(Cast, FloatsBeyondAnIntegerTypeSaturate) {
  const Tensor x = floats({6}, {kNan, kInfinity, -kInfinity, 1e30, -1e30, -1.9});
  EXPECT_TENSOR(cast(x, DataType::int32),
                Tensor::vector<int32_t>({0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, -1}));
  EXPECT_TENSOR(cast(x, DataType::int64),
                Tensor::vector<int64_t>({0, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, -1}));
  EXPECT_TENSOR(cast(x, DataType::int8), Tensor::vector<int8_t>({0, 127, -128, 127, -128, -1}));
  EXPECT_TENSOR(cast(x, DataType::uint64), Tensor::vector<uint64_t>({0, UINT64_MAX, 0, UINT64_MAX, 0, 0}));
  EXPECT_TENSOR(cast(x, DataType::boolean), tensor(DataType::boolean, {6}, {1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(to_integer<int64_t>(0x1p63), INT64_MAX);
  EXPECT_EQ(to_integer<int64_t>(-0x1p63), INT64_MIN);
  EXPECT_EQ(to_integer<int64_t>(0x1p62f), int64_t{1} << 62);
  EXPECT_EQ(to_integer<uint32_t>(4294967295.0), UINT32_MAX);
}

TEST(Cast, IntegersKeepTheirLowestBits) {
  EXPECT_TENSOR(cast(Tensor::vector<int16_t>({200, -200, 256}), DataType::int8),
                Tensor::vector<int8_t>({-56, 56, 0}));
  EXPECT_TENSOR(cast(Tensor::vector<int64_t>({-1}), DataType::uint64),
                Tensor::vector<uint64_t>({UINT64_MAX}));
  EXPECT_TENSOR(cast(Tensor::vector<uint64_t>({UINT64_MAX}), DataType::float64),
                Tensor::vector<double>({18446744073709551615.0}));
  EXPECT_TENSOR(cast(Tensor::vector<int64_t>({(int64_t{1} << 53) + 1}), DataType::int64),
                Tensor::vector<int64_t>({(int64_t{1} << 53) + 1}));
  EXPECT_TENSOR(cast(Tensor::vector<int32_t>({0x17, -1}), DataType::int4),
                coded(DataType::int4, {2}, {0xf7}));
}

TEST(Cast, HalfFloatsRoundToEven) {
  EXPECT_TENSOR(cast(floats({3}, {1 + 0x1p-11, 1 + 3 * 0x1p-11, 70000}), DataType::float16),
                tensor(DataType::float16, {3}, {1, 1 + 0x1p-9, kInfinity}), 0, 0);
  EXPECT_TENSOR(cast(floats({2}, {1 + 0x1p-8, 1 + 3 * 0x1p-8}), DataType::bfloat16),
                tensor(DataType::bfloat16, {2}, {1, 1 + 0x1p-6}), 0, 0);
}

// The codes of https://onnx.ai/onnx/technical/float8.html
TEST(Cast, Float8) {
  const Tensor x = floats({8}, {0, -1, 448, 464, 1e6, -kInfinity, 0x1p-9, 0x1p-10});
  EXPECT_TENSOR(cast(x, DataType::float8e4m3fn),
                coded(DataType::float8e4m3fn, {8}, {0, 0xb8, 0x7e, 0x7e, 0x7e, 0xfe, 0x01, 0x00}));
  EXPECT_TENSOR(run("Cast", 19, {x}, {{"to", int64_t{17}}, {"saturate", int64_t{0}}}),
                coded(DataType::float8e4m3fn, {8}, {0, 0xb8, 0x7e, 0x7e, 0x7f, 0xff, 0x01, 0x00}));
  EXPECT_TENSOR(
      run("Cast", 19, {floats({4}, {-0.0, 240, 256, 1e-9})}, {{"to", int64_t{18}}, {"saturate", int64_t{0}}}),
      coded(DataType::float8e4m3fnuz, {4}, {0, 0x7f, 0x80, 0}));
  EXPECT_TENSOR(run("Cast", 19, {floats({4}, {57344, 65536, -kInfinity, 1})},
                    {{"to", int64_t{19}}, {"saturate", int64_t{0}}}),
                coded(DataType::float8e5m2, {4}, {0x7b, 0x7c, 0xfc, 0x3c}));
  for (DataType type :
       {DataType::float8e4m3fn, DataType::float8e4m3fnuz, DataType::float8e5m2, DataType::float8e5m2fnuz}) {
    EXPECT_TRUE(std::isnan(doubles(cast(cast(floats({1}, {kNan}), type), DataType::float32))[0]));
    // Every code that is a number survives.
    for (int code = 0; code < 256; ++code) {
      const Tensor one = coded(type, {}, {static_cast<uint8_t>(code)});
      const Tensor number = cast(one, DataType::float32);
      if (!std::isfinite(*number.data<float>())) continue;
      EXPECT_TENSOR(cast(number, type), one) << code;
    }
  }
}

TEST(Cast, Float4AndE8M0) {
  EXPECT_TENSOR(cast(floats({5}, {0.5, 1.5, 5, -100, 0.25}), DataType::float4e2m1),
                coded(DataType::float4e2m1, {5}, {0x31, 0xf6, 0x00}));
  // There is no NaN: it becomes -0.
  EXPECT_TENSOR(cast(floats({3}, {kNan, -kNan, kInfinity}), DataType::float4e2m1),
                coded(DataType::float4e2m1, {3}, {0x88, 0x07}));
  const Tensor x = floats({4}, {1, 1.25, 1.5, 3});
  const auto by = [&](const char* mode) {
    return run("Cast", 24, {x}, {{"to", int64_t{24}}, {"round_mode", std::string(mode)}});
  };
  EXPECT_TENSOR(by("up"), coded(DataType::float8e8m0, {4}, {127, 128, 128, 129}));
  EXPECT_TENSOR(by("down"), coded(DataType::float8e8m0, {4}, {127, 127, 127, 128}));
  EXPECT_TENSOR(by("nearest"), coded(DataType::float8e8m0, {4}, {127, 127, 128, 129}));
  expect_error([&] { by("sideways"); }, ErrorCode::invalid_model, "round_mode");
  EXPECT_TENSOR(cast(coded(DataType::float8e8m0, {3}, {127, 128, 0}), DataType::float64),
                Tensor::vector<double>({1, 2, 0x1p-127}));
}

TEST(Cast, Strings) {
  const auto words = [](std::vector<std::string> v) {
    return Tensor::of(v, {static_cast<int64_t>(v.size())});
  };
  EXPECT_TENSOR(cast(words({"3.14", "1e-5", "1E8", " +7", "-INF", "+inf", "1e99"}), DataType::float32),
                floats({7}, {3.14, 1e-5, 1e8, 7, -kInfinity, kInfinity, kInfinity}));
  EXPECT_TRUE(std::isnan(doubles(cast(words({"NaN"}), DataType::float64))[0]));
  EXPECT_TENSOR(cast(words({"100.5", "-3", "9223372036854775807"}), DataType::int64),
                ints({3}, {100, -3, INT64_MAX}));
  EXPECT_TENSOR(cast(words({"18446744073709551615"}), DataType::uint64),
                Tensor::vector<uint64_t>({UINT64_MAX}));
  EXPECT_TENSOR(cast(words({"0", "1"}), DataType::boolean), tensor(DataType::boolean, {2}, {0, 1}));
  EXPECT_TENSOR(cast(floats({3}, {0.1, 1, -kInfinity}), DataType::string), words({"0.1", "1.0", "-INF"}));
  EXPECT_TENSOR(cast(Tensor::vector({314.15926, 1e20}), DataType::string), words({"314.15926", "1e+20"}));
  EXPECT_TENSOR(cast(ints({2}, {-5, 7}), DataType::string), words({"-5", "7"}));
  EXPECT_TENSOR(cast(words({"a"}), DataType::string), words({"a"}));
  for (const char* junk : {"", "Hello", "1.5x", "--1", "+-1", "0x", "1e"}) {
    expect_error([&] { cast(words({junk}), DataType::float32); }, ErrorCode::invalid_argument,
                 "is not a number");
    expect_error([&] { cast(words({junk}), DataType::int64); }, ErrorCode::invalid_argument,
                 "is not a number");
  }
}

TEST(Cast, Versions) {
  const Tensor x = floats({2}, {1.5, -2.5});
  EXPECT_TENSOR(run("Cast", 1, {x}, {{"to", std::string("INT32")}}), Tensor::vector<int32_t>({1, -2}));
  EXPECT_TENSOR(run("Cast", 6, {x}, {{"to", int64_t{6}}}), Tensor::vector<int32_t>({1, -2}));
  expect_error(
      [&] {
        run("Cast", 1, {x}, {{"to", std::string("INT5")}});
      },
      ErrorCode::invalid_model, "no element type");
  expect_error(
      [&] {
        run("Cast", 6, {x}, {{"to", std::string("INT32")}});
      },
      ErrorCode::invalid_model, "type");
  expect_error(
      [&] {
        run("Cast", 13, {x}, {{"to", int64_t{99}}});
      },
      ErrorCode::invalid_model, "no element type");
  expect_error([&] { run("Cast", 13, {x}, {{"to", int64_t{14}}}); }, ErrorCode::invalid_model, "complex64");
  expect_error([&] { run("Cast", 13, {x}); }, ErrorCode::invalid_model, "'to' is missing");
  EXPECT_TENSOR(run("CastLike", 15, {x, ints({0}, {})}), ints({2}, {1, -2}));
  EXPECT_TENSOR(run("Cast", 13, {x}, {{"to", int64_t{1}}}), x);
}

TEST(Cast, InferenceFollowsShapes) {
  Facts shape = typed(DataType::int64, Shape{2});
  shape.elements = {symbol("N"), Dim(int64_t{1} << 40)};
  EXPECT_EQ(infer("Cast", 13, {shape}, {{"to", int64_t{7}}}).elements, shape.elements);
  EXPECT_EQ(infer("Cast", 13, {shape}, {{"to", int64_t{6}}}).elements,
            std::vector<Dim>({symbol("N"), Dim()}));
  EXPECT_FALSE(infer("Cast", 13, {shape}, {{"to", int64_t{1}}}).elements.has_value());
}

TEST(BitCast, KeepsBits) {
  EXPECT_TENSOR(run("BitCast", 26, {floats({2}, {1, -2})}, {{"to", int64_t{6}}}),
                Tensor::vector<int32_t>({0x3f800000, static_cast<int32_t>(0xc0000000)}));
  expect_error(
      [] {
        run("BitCast", 26, {floats({1}, {1})}, {{"to", int64_t{7}}});
      },
      ErrorCode::invalid_model, "sizes differ");
}

TEST(SpecialValues, IsNanAndIsInf) {
  for (DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16}) {
    const Tensor x = tensor(type, {4}, {kNan, kInfinity, -kInfinity, 1});
    EXPECT_TENSOR(run("IsNaN", 20, {x}), tensor(DataType::boolean, {4}, {1, 0, 0, 0}));
    EXPECT_TENSOR(run("IsInf", 20, {x}), tensor(DataType::boolean, {4}, {0, 1, 1, 0}));
    EXPECT_TENSOR(run("IsInf", 20, {x}, {{"detect_negative", int64_t{0}}}),
                  tensor(DataType::boolean, {4}, {0, 1, 0, 0}));
    EXPECT_TENSOR(run("IsInf", 20, {x}, {{"detect_positive", int64_t{0}}}),
                  tensor(DataType::boolean, {4}, {0, 0, 1, 0}));
  }
  EXPECT_TENSOR(run("IsInf", 20, {coded(DataType::float8e5m2, {2}, {0x7c, 0x7b})}),
                tensor(DataType::boolean, {2}, {1, 0}));
}

}  // namespace
}  // namespace plica::test
