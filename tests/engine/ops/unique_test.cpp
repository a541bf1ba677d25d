// Unique, TensorScatter and Det.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

void expect_unique(const Tensor& x, const NamedAttributes& attributes, const Tensor& values,
                   std::vector<int64_t> first, std::vector<int64_t> inverse, std::vector<int64_t> counts) {
  const auto y = run_all("Unique", 11, {x}, attributes, 4);
  EXPECT_TENSOR(y[0], values);
  EXPECT_TENSOR(y[1], ints({static_cast<int64_t>(first.size())}, first));
  EXPECT_TENSOR(y[2], ints({static_cast<int64_t>(inverse.size())}, inverse));
  EXPECT_TENSOR(y[3], ints({static_cast<int64_t>(counts.size())}, counts));
  EXPECT_TENSOR(run("Unique", 11, {x}, attributes), values);  // without the other outputs
}

const NamedAttributes kUnsorted{{"sorted", int64_t{0}}};

TEST(Unique, Elements) {
  const Tensor x = floats({2, 3}, {5, -1, 5, 2, -1, 5});
  expect_unique(x, {}, floats({3}, {-1, 2, 5}), {1, 3, 0}, {2, 0, 2, 1, 0, 2}, {2, 1, 3});
  expect_unique(x, kUnsorted, floats({3}, {5, -1, 2}), {0, 1, 3}, {0, 1, 0, 2, 1, 0}, {3, 2, 1});
  // NaN is one element, after all others; zeros are equal.
  expect_unique(floats({5}, {kNan, 0, kInfinity, kNan, -0.0}), {}, floats({3}, {0, kInfinity, kNan}),
                {1, 2, 0}, {2, 0, 1, 2, 0}, {2, 1, 2});
  expect_unique(Tensor::scalar<int8_t>(3), {}, tensor(DataType::int8, {1}, {3}), {0}, {0}, {1});
  expect_unique(Tensor(DataType::float32, {0, 2}), {}, floats({0}, {}), {}, {}, {});
}

TEST(Unique, Types) {
  using Complex = std::complex<float>;
  for (const DataType type :
       {DataType::float16, DataType::bfloat16, DataType::float64, DataType::uint64, DataType::int16})
    expect_unique(tensor(type, {3}, {2, 1, 2}), {}, tensor(type, {2}, {1, 2}), {1, 0}, {1, 0, 1}, {1, 2});
  expect_unique(tensor(DataType::boolean, {3}, {1, 1, 0}), {}, tensor(DataType::boolean, {2}, {0, 1}), {2, 0},
                {1, 1, 0}, {1, 2});
  expect_unique(Tensor::vector<std::string>({"b", "a", "b"}), {}, Tensor::vector<std::string>({"a", "b"}),
                {1, 0}, {1, 0, 1}, {1, 2});
  const auto y = run_all("Unique", 11, {Tensor::vector<Complex>({{1, 2}, {1, -2}, {0, 9}, {1, 2}})}, {}, 2);
  EXPECT_TRUE(y[0].identical_to(Tensor::vector<Complex>({{0, 9}, {1, -2}, {1, 2}})));
  EXPECT_TENSOR(y[1], ints({3}, {2, 1, 0}));
}

TEST(Unique, Slices) {
  const Tensor rows = ints({3, 2}, {1, 2, 0, 9, 1, 2});
  expect_unique(rows, {{"axis", int64_t{0}}}, ints({2, 2}, {0, 9, 1, 2}), {1, 0}, {1, 0, 1}, {1, 2});
  // Columns of each of two matrices together.
  const Tensor x = ints({2, 1, 3}, {3, 1, 3, 4, 0, 4});
  expect_unique(x, {{"axis", int64_t{-1}}}, ints({2, 1, 2}, {1, 3, 0, 4}), {1, 0}, {1, 0, 1}, {1, 2});
  expect_unique(x, {{"axis", int64_t{2}}, {"sorted", int64_t{0}}}, ints({2, 1, 2}, {3, 1, 4, 0}), {0, 1},
                {0, 1, 0}, {2, 1});
  expect_unique(Tensor(DataType::int64, {2, 0}), {{"axis", int64_t{0}}}, Tensor(DataType::int64, {1, 0}), {0},
                {0, 0}, {2});
  expect_unique(Tensor(DataType::int64, {2, 0}), {{"axis", int64_t{1}}}, Tensor(DataType::int64, {2, 0}), {},
                {}, {});
}

TEST(Unique, InferenceAndErrors) {
  const Facts x = typed(DataType::int8, Shape{symbol("N"), 3});
  const auto types = infer_all("Unique", 11, {x}, {{"axis", int64_t{0}}}, 4);
  EXPECT_EQ(to_string(types[0].type), "int8[?, 3]");
  EXPECT_EQ(to_string(types[2].type), "int64[N]");
  EXPECT_EQ(inferred_type("Unique", 11, {x}), "int8[?]");
  expect_error(
      [&] {
        infer("Unique", 11, {x}, {{"axis", int64_t{2}}});
      },
      ErrorCode::invalid_model, "out of range");
  expect_error(
      [&] {
        infer("Unique", 11, {x}, {{"sorted", int64_t{2}}});
      },
      ErrorCode::invalid_model, "sorted is 2");
}

TEST(TensorScatter, WritesIntoTheCache) {
  const Tensor cache = Tensor::zeros(DataType::float32, {2, 3, 2}),
               update = iota(DataType::float32, {2, 2, 2}, 1);
  EXPECT_TENSOR(run("TensorScatter", 24, {cache, update}),
                floats({2, 3, 2}, {1, 2, 3, 4, 0, 0, 5, 6, 7, 8, 0, 0}));
  EXPECT_TENSOR(run("TensorScatter", 24, {cache, update, ints({2}, {1, 0})}),
                floats({2, 3, 2}, {0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0}));
  const NamedAttributes circular{{"mode", std::string("circular")}};
  EXPECT_TENSOR(run("TensorScatter", 24, {cache, update, ints({2}, {2, INT64_MAX})}, circular),
                floats({2, 3, 2}, {3, 4, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8}));  // 2^63 - 1 = 1 modulo 3
  // Along the last of three axes: both rows of a sample.
  EXPECT_TENSOR(run("TensorScatter", 24,
                    {Tensor::zeros(DataType::int8, {1, 2, 3}), tensor(DataType::int8, {1, 2, 1}, {7, 8}),
                     ints({1}, {2})},
                    {{"axis", int64_t{2}}}),
                tensor(DataType::int8, {1, 2, 3}, {0, 0, 7, 0, 0, 8}));
  Tensor nibbles = Tensor::zeros(DataType::uint4, {1, 3, 1}), one(DataType::uint4, {1, 1, 1});
  *static_cast<uint8_t*>(one.mutable_raw()) = 5;
  EXPECT_EQ(*static_cast<const uint8_t*>(run("TensorScatter", 24, {nibbles, one, ints({1}, {1})}).raw()),
            0x50);
  EXPECT_EQ(
      run("TensorScatter", 24, {Tensor(DataType::float32, {0, 3, 2}), Tensor(DataType::float32, {0, 2, 2})})
          .dims(),
      (Dims{0, 3, 2}));
}

TEST(TensorScatter, InferenceAndErrors) {
  const Facts cache = typed(DataType::float32, Shape{symbol("B"), symbol("S"), 8});
  EXPECT_EQ(inferred_type("TensorScatter", 24, {cache, typed(DataType::float32, Shape{symbol("B"), 1, 8})}),
            "float32[B, S, 8]");
  const Tensor x = Tensor::zeros(DataType::float32, {1, 3, 2}),
               two = Tensor::zeros(DataType::float32, {1, 2, 2});
  expect_error(
      [&] {
        run("TensorScatter", 24, {x, two, ints({1}, {2})});
      },
      ErrorCode::invalid_argument, "length 2 at 2 for a cache of 3");
  expect_error(
      [&] {
        run("TensorScatter", 24, {x, two, ints({1}, {-1})});
      },
      ErrorCode::invalid_argument, "at -1");
  expect_error(
      [&] {
        run("TensorScatter", 24, {two, x});
      },
      ErrorCode::invalid_model, "length 3 for a cache of 2");
  expect_error(
      [&] {
        run("TensorScatter", 24, {x, two}, {{"axis", int64_t{0}}});
      },
      ErrorCode::invalid_model, "axis is 0");
  expect_error(
      [&] {
        run("TensorScatter", 24, {x, two}, {{"mode", std::string("loop")}});
      },
      ErrorCode::invalid_model, "mode is");
  expect_error(
      [&] {
        run("TensorScatter", 24, {x, two, ints({2}, {0, 0})});
      },
      ErrorCode::invalid_model, "differ");
}

TEST(Det, Determinants) {
  EXPECT_TENSOR(run("Det", 11, {floats({2, 2}, {1, 2, 3, 4})}), Tensor::scalar(-2.0f));
  // A row exchange, a triangle, a singular matrix.
  const Tensor x = tensor(DataType::float64, {3, 3, 3},
                          {0, 1, 0, 1, 0, 0, 0, 0, 1, 2, 5, 7, 0, 3, 9, 0, 0, 4, 1, 2, 3, 2, 4, 6, 0, 1, 5});
  EXPECT_TENSOR(run("Det", 22, {x}), tensor(DataType::float64, {3}, {-1, 24, 0}), 1e-14, 1e-14);
  EXPECT_TENSOR(run("Det", 22, {tensor(DataType::bfloat16, {1, 1, 1}, {3})}),
                tensor(DataType::bfloat16, {1}, {3}));
  EXPECT_TENSOR(run("Det", 22, {Tensor(DataType::float32, {2, 0, 0})}), floats({2}, {1, 1}));
  EXPECT_EQ(run("Det", 22, {Tensor(DataType::float32, {0, int64_t{1} << 30, int64_t{1} << 30})}).dims(),
            (Dims{0}));
  EXPECT_TRUE(std::isnan(doubles(run("Det", 22, {floats({2, 2}, {kNan, 1, 1, 1})}))[0]));
  EXPECT_EQ(inferred_type("Det", 22, {typed(DataType::float32, Shape{symbol("N"), 4, 4})}), "float32[N]");
  expect_error([&] { run("Det", 22, {floats({1, 2}, {1, 2})}); }, ErrorCode::invalid_model, "not square");
  expect_error([&] { run("Det", 22, {floats({2}, {1, 2})}); }, ErrorCode::invalid_model, "rank 1");
}

}  // namespace
}  // namespace plica::test
