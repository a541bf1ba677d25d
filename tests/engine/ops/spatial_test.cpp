#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

NamedAttributes sampling(const std::string& mode, const std::string& padding, int64_t align = 1) {
  return {{"mode", mode}, {"padding_mode", padding}, {"align_corners", align}};
}

// 3 x 3 elements 0 to 8; positions (x, y) in [-1, 1].
Tensor sample(const NamedAttributes& attributes, const std::vector<double>& positions, int64_t opset = 20,
              DataType type = DataType::float32) {
  const auto count = static_cast<int64_t>(positions.size() / 2);
  return run("GridSample", opset, {iota(type, {1, 1, 3, 3}), floats({1, 1, count, 2}, positions)},
             attributes);
}

TEST(GridSample, Modes) {
  const std::vector<double> inside{-1, -1, 0, 0, 1, 0, 0.5, 0, 0, -0.5};
  EXPECT_TENSOR(sample(sampling("linear", "zeros"), inside), floats({1, 1, 1, 5}, {0, 4, 5, 4.5, 2.5}));
  // Halves go to the even position.
  EXPECT_TENSOR(sample(sampling("nearest", "zeros"), inside), floats({1, 1, 1, 5}, {0, 4, 5, 5, 1}));
  // Weights of the half: -0.09375, 0.59375, 0.59375, -0.09375; the fourth element is outside.
  EXPECT_TENSOR(sample(sampling("cubic", "zeros"), {0, 0, 0.5, 0}), floats({1, 1, 1, 2}, {4, 5.0625}));
  EXPECT_TENSOR(sample(sampling("cubic", "border"), {0, 0, 0.5, 0}), floats({1, 1, 1, 2}, {4, 4.59375}));
  EXPECT_TENSOR(sample(sampling("bilinear", "zeros"), {0.5, 0}, 16), floats({1, 1, 1, 1}, {4.5}));
  EXPECT_TENSOR(sample({}, {0, 0, 1, 0}), floats({1, 1, 1, 2}, {4, 2.5}));  // edges: halfway to nothing
}

TEST(GridSample, Padding) {
  const std::vector<double> outside{-2, 0, 3, 0, 0, -1.5};  // (-1, 1), (4, 1), (1, -0.5) in elements
  EXPECT_TENSOR(sample(sampling("linear", "zeros"), outside), floats({1, 1, 1, 3}, {0, 0, 0.5}));
  EXPECT_TENSOR(sample(sampling("linear", "border"), outside), floats({1, 1, 1, 3}, {3, 5, 1}));
  EXPECT_TENSOR(sample(sampling("linear", "reflection"), outside), floats({1, 1, 1, 3}, {4, 3, 2.5}));
  // Around the edges: -1 becomes 0, 3 becomes 2.
  EXPECT_TENSOR(sample(sampling("nearest", "reflection", 0), {-4.0 / 3, 0, 4.0 / 3, 0}),
                floats({1, 1, 1, 2}, {3, 5}));
  for (const char* padding : {"zeros", "border", "reflection"}) {
    for (const char* mode : {"nearest", "linear", "cubic"}) {
      const Tensor y = sample(sampling(mode, padding), {kNan, 0, kInfinity, 0, -kInfinity, 0, 1e30, -1e30});
      for (const double v : doubles(y)) EXPECT_TRUE(v >= 0 && v <= 8) << mode << padding << v;
    }
  }
}

TEST(GridSample, TypesAndRanks) {
  for (const DataType type : {DataType::float16, DataType::bfloat16, DataType::float64, DataType::int32})
    EXPECT_TENSOR(sample(sampling("linear", "border"), {1, 0, -1, 1}, 20, type),
                  tensor(type, {1, 1, 1, 2}, {5, 6}));
  EXPECT_TENSOR(sample(sampling("linear", "border"), {0.5, 0}, 20, DataType::uint8),
                tensor(DataType::uint8, {1, 1, 1, 1}, {4}));
  const Tensor words = Tensor::of<std::string>({"a", "b"}, {1, 1, 2});
  EXPECT_TENSOR(run("GridSample", 20, {words, floats({1, 3, 1}, {1, -1, 9})}, sampling("nearest", "zeros")),
                Tensor::of<std::string>({"b", "a", ""}, {1, 1, 3}));
  const Tensor numbers = Tensor::of<std::complex<float>>({{1, 2}, {3, -2}}, {1, 1, 2});
  EXPECT_TENSOR(run("GridSample", 20, {numbers, floats({1, 1, 1}, {0})}, sampling("linear", "zeros")),
                Tensor::of<std::complex<float>>({{2, 0}}, {1, 1, 1}));
  const Tensor cube = iota(DataType::float64, {1, 1, 2, 2, 2});
  EXPECT_TENSOR(run("GridSample", 22, {cube, tensor(DataType::float64, {1, 1, 1, 2, 3}, {0, 0, 0, 1, -1, 1})},
                    sampling("linear", "zeros")),
                tensor(DataType::float64, {1, 1, 1, 1, 2}, {3.5, 5}));
  EXPECT_EQ(run("GridSample", 20,
                {Tensor(DataType::float32, {0, 2, 3, 3}), Tensor(DataType::float32, {0, 4, 5, 2})})
                .dims(),
            (Dims{0, 2, 4, 5}));
}

TEST(GridSample, InferenceAndErrors) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), symbol("W")});
  EXPECT_EQ(
      inferred_type("GridSample", 20, {x, typed(DataType::float32, Shape{symbol("N"), symbol("h"), 7, 2})}),
      "float32[N, 3, h, 7]");
  EXPECT_EQ(inferred_type("GridSample", 20, {x, typed(DataType::float32)}), "float32[N, 3, ?, ?]");
  expect_error(
      [&] {
        infer("GridSample", 20, {x, typed(DataType::float32, Shape{1, 2, 2, 3})});
      },
      ErrorCode::invalid_model, "3 coordinates for 2 spatial axes");
  expect_error(
      [&] {
        sample({{"mode", std::string("bilinear")}}, {0, 0});
      },
      ErrorCode::invalid_model, "mode is");
  expect_error(
      [&] {
        sample({{"mode", std::string("linear")}}, {0, 0}, 16);
      },
      ErrorCode::invalid_model, "mode is");
  expect_error(
      [&] {
        run("GridSample", 20, {Tensor(DataType::float32, {1, 1, 0}), floats({1, 1, 1}, {0})});
      },
      ErrorCode::invalid_argument, "nothing to sample");
  expect_error(
      [&] {
        run("GridSample", 20, {Tensor(DataType::string, {1, 1, 1}), floats({1, 1, 1}, {0})});
      },
      ErrorCode::unsupported, "strings");
}

TEST(AffineGrid, Positions) {
  const Tensor identity = floats({1, 2, 3}, {1, 0, 0, 0, 1, 0}), size = ints({4}, {1, 1, 2, 3});
  EXPECT_TENSOR(run("AffineGrid", 20, {identity, size}, {{"align_corners", int64_t{1}}}),
                floats({1, 2, 3, 2}, {-1, -1, 0, -1, 1, -1, -1, 1, 0, 1, 1, 1}));
  const double third = 2.0 / 3;
  EXPECT_TENSOR(run("AffineGrid", 20, {identity, size}),
                floats({1, 2, 3, 2}, {-third, -.5, 0, -.5, third, -.5, -third, .5, 0, .5, third, .5}));
  // x' = 2 z + 1, y' = 3 x, z' = y - 1
  const Tensor theta = tensor(DataType::float16, {1, 3, 4}, {0, 0, 2, 1, 3, 0, 0, 0, 0, 1, 0, -1});
  EXPECT_TENSOR(run("AffineGrid", 20, {theta, ints({5}, {1, 1, 2, 1, 2})}, {{"align_corners", int64_t{1}}}),
                tensor(DataType::float16, {1, 2, 1, 2, 3}, {-1, -3, -1, -1, 3, -1, 3, -3, -1, 3, 3, -1}));
  EXPECT_EQ(run("AffineGrid", 20, {identity, ints({4}, {1, 1, 0, 3})}).dims(), (Dims{1, 0, 3, 2}));
}

TEST(AffineGrid, InferenceAndErrors) {
  const Facts theta = typed(DataType::float32, Shape{symbol("N"), 2, 3});
  Facts size = typed(DataType::int64, Shape{4});
  EXPECT_EQ(inferred_type("AffineGrid", 20, {theta, size}), "float32[N, ?, ?, 2]");
  size.elements = {symbol("N"), Dim(3), symbol("H"), Dim(5)};
  EXPECT_EQ(inferred_type("AffineGrid", 20, {theta, size}), "float32[N, H, 5, 2]");
  expect_error(
      [&] {
        infer("AffineGrid", 20, {theta, typed(DataType::int64, Shape{5})});
      },
      ErrorCode::invalid_model, "5 elements");
  expect_error(
      [&] {
        infer("AffineGrid", 20, {typed(DataType::float32, Shape{1, 0, 4}), size});
      },
      ErrorCode::invalid_model, "theta");
}

TEST(Col2Im, AddsWhatOverlaps) {
  const Tensor ones = tensor(DataType::int32, {1, 4, 4}, std::vector<double>(16, 1));
  EXPECT_TENSOR(run("Col2Im", 18, {ones, ints({2}, {3, 3}), ints({2}, {2, 2})}),
                tensor(DataType::int32, {1, 1, 3, 3}, {1, 2, 1, 2, 4, 2, 1, 2, 1}));
  // One axis: windows of 2 with a step of 2 begin at -1, 1, 3.
  const NamedAttributes steps{{"strides", std::vector<int64_t>{2}}, {"pads", std::vector<int64_t>{1, 1}}};
  EXPECT_TENSOR(
      run("Col2Im", 18, {iota(DataType::float32, {1, 2, 3}), ints({1}, {4}), ints({1}, {2})}, steps),
      floats({1, 1, 4}, {3, 1, 4, 2}));
  const NamedAttributes apart{{"dilations", std::vector<int64_t>{2}}};
  EXPECT_TENSOR(
      run("Col2Im", 18, {iota(DataType::float16, {1, 4, 2}), ints({1}, {4}), ints({1}, {2})}, apart),
      tensor(DataType::float16, {1, 2, 4}, {0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(
      run("Col2Im", 18, {Tensor(DataType::float32, {0, 4, 4}), ints({2}, {3, 3}), ints({2}, {2, 2})}).dims(),
      (Dims{0, 1, 3, 3}));
}

TEST(Col2Im, InferenceAndErrors) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 8, symbol("L")});
  Facts image = typed(DataType::int64, Shape{2}), block = Facts::of(ints({2}, {2, 2}));
  image.elements = {symbol("H"), Dim(5)};
  EXPECT_EQ(inferred_type("Col2Im", 18, {x, image, block}), "float32[N, 2, H, 5]");
  EXPECT_EQ(inferred_type("Col2Im", 18, {x, typed(DataType::int64), block}), "float32[N, 2, ?, ?]");
  const auto fold = [](Dims dims, std::vector<int64_t> shape, std::vector<int64_t> kernel) {
    run("Col2Im", 18, {Tensor::zeros(DataType::float32, dims), ints({2}, shape), ints({2}, kernel)});
  };
  expect_error([&] { fold({1, 5, 4}, {3, 3}, {2, 2}); }, ErrorCode::invalid_model, "5 rows");
  expect_error([&] { fold({1, 4, 5}, {3, 3}, {2, 2}); }, ErrorCode::invalid_model, "5 blocks, the image 4");
  expect_error([&] { fold({1, 4, 4}, {3, 3}, {4, 1}); }, ErrorCode::invalid_model, "does not fit");
  expect_error([&] { fold({1, 4, 4}, {3, 3}, {0, 2}); }, ErrorCode::invalid_model, "block shape");
}

TEST(CenterCropPad, CropsAndPads) {
  const Tensor x = iota(DataType::int32, {2, 5}, 1);
  EXPECT_TENSOR(run("CenterCropPad", 18, {x, ints({2}, {2, 2})}),
                tensor(DataType::int32, {2, 2}, {2, 3, 7, 8}));
  EXPECT_TENSOR(run("CenterCropPad", 18, {x, ints({2}, {3, 3})}),
                tensor(DataType::int32, {3, 3}, {2, 3, 4, 7, 8, 9, 0, 0, 0}));
  EXPECT_TENSOR(
      run("CenterCropPad", 18, {x, Tensor::vector<int32_t>({8})}, {{"axes", std::vector<int64_t>{-1}}}),
      tensor(DataType::int32, {2, 8}, {0, 1, 2, 3, 4, 5, 0, 0, 0, 6, 7, 8, 9, 10, 0, 0}));
  EXPECT_TENSOR(run("CenterCropPad", 18, {Tensor::vector<std::string>({"a", "b"}), ints({1}, {3})}),
                Tensor::vector<std::string>({"a", "b", ""}));
  EXPECT_TENSOR(run("CenterCropPad", 18, {Tensor(DataType::float32, {0}), ints({1}, {2})}),
                floats({2}, {0, 0}));
  EXPECT_EQ(run("CenterCropPad", 18, {x, ints({2}, {0, 3})}).dims(), (Dims{0, 3}));
}

TEST(CenterCropPad, InferenceAndErrors) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H")});
  Facts shape = typed(DataType::int64, Shape{1});
  EXPECT_EQ(inferred_type("CenterCropPad", 18, {x, shape}, {{"axes", std::vector<int64_t>{2}}}),
            "float32[N, 3, ?]");
  shape.elements = {symbol("W")};
  EXPECT_EQ(inferred_type("CenterCropPad", 18, {x, shape}, {{"axes", std::vector<int64_t>{1}}}),
            "float32[N, W, H]");
  expect_error(
      [&] {
        infer("CenterCropPad", 18, {x, shape});
      },
      ErrorCode::invalid_model, "1 elements for 3 axes");
  expect_error(
      [&] {
        infer("CenterCropPad", 18, {x, shape}, {{"axes", std::vector<int64_t>{1, -2}}});
      },
      ErrorCode::invalid_model, "given twice");
  expect_error(
      [&] {
        run("CenterCropPad", 18, {floats({1}, {0}), ints({1}, {-1})});
      },
      ErrorCode::invalid_model, "is -1");
}

TEST(MaxUnpool, PutsElementsBack) {
  const NamedAttributes twos{{"kernel_shape", std::vector<int64_t>{2, 2}},
                             {"strides", std::vector<int64_t>{2, 2}}};
  const Tensor x = floats({1, 1, 1, 2}, {7, 8}), at = ints({1, 1, 1, 2}, {1, 6});
  EXPECT_TENSOR(run("MaxUnpool", 11, {x, at}, twos), floats({1, 1, 2, 4}, {0, 7, 0, 0, 0, 0, 8, 0}));
  EXPECT_TENSOR(run("MaxUnpool", 9, {x, at, ints({4}, {1, 1, 3, 5})}, twos),
                floats({1, 1, 3, 5}, {0, 7, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0}));
  expect_error(
      [&] {
        run("MaxUnpool", 11, {x, ints({1, 1, 1, 2}, {1, 8})}, twos);
      },
      ErrorCode::invalid_argument, "index 8");
  expect_error(
      [&] {
        run("MaxUnpool", 11, {x, ints({1, 1, 1, 2}, {-1, 0})}, twos);
      },
      ErrorCode::invalid_argument, "index -1");
  expect_error(
      [&] {
        run("MaxUnpool", 11, {x, at, ints({4}, {1, 1, 1, 4})}, twos);
      },
      ErrorCode::invalid_model, "less than the unpooled");
  for (const Tensor& shape : {ints({2, 2}, {1, 1, 3, 5}), ints({3}, {1, 3, 5})})
    expect_error(
        [&] {
          run("MaxUnpool", 11, {x, at, shape}, twos);
        },
        ErrorCode::invalid_model, "it must be [4]");
  expect_error(
      [&] {
        run("MaxUnpool", 11, {x, ints({1, 1, 2, 2}, {0, 0, 0, 0})}, twos);
      },
      ErrorCode::invalid_model, "differ");
  EXPECT_EQ(
      inferred_type("MaxUnpool", 22,
                    {typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), 4}), typed(DataType::int64)},
                    twos),
      "float32[N, 3, ?, 8]");
}

}  // namespace
}  // namespace plica::test
