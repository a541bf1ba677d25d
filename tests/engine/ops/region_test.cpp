// RoiAlign, MaxRoiPool, NonMaxSuppression and DeformConv.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

NamedAttributes pooled(int64_t height, int64_t width, const std::string& mode = "avg", int64_t ratio = 2) {
  return {{"output_height", height}, {"output_width", width}, {"mode", mode}, {"sampling_ratio", ratio}};
}

TEST(RoiAlign, AveragesSamples) {
  // Element (y, x) is 4 y + x, which interpolation keeps.
  const Tensor x = iota(DataType::float32, {1, 1, 4, 4}), first = ints({1}, {0});
  // Samples of the bins at y 0.5, 1.5 (for each row) and x 0.25, 0.75, 1.25, 1.75.
  EXPECT_TENSOR(run("RoiAlign", 10, {x, floats({1, 4}, {0, 0, 2, 2}), first}, pooled(1, 2)),
                floats({1, 1, 1, 2}, {4.5, 5.5}));
  // A pixel's shift takes half an element from both coordinates.
  EXPECT_TENSOR(run("RoiAlign", 16, {x, floats({1, 4}, {0.5, 0.5, 2.5, 2.5}), first}, pooled(1, 2)),
                floats({1, 1, 1, 2}, {4.5, 5.5}));
  // As many samples as elements: 2 x 2, at 0.5 and 1.5.
  EXPECT_TENSOR(run("RoiAlign", 10, {x, floats({1, 4}, {0, 0, 2, 2}), first}, pooled(1, 1, "avg", 0)),
                floats({1, 1, 1, 1}, {5}));
  // The largest weighted element of the samples: 0.25 * 0.25 ... of elements 0, 1, 4, 5: at (0.5, 0.5) all
  // weigh a quarter.
  EXPECT_TENSOR(run("RoiAlign", 10, {x, floats({1, 4}, {0, 0, 1, 1}), first}, pooled(1, 1, "max", 1)),
                floats({1, 1, 1, 1}, {1.25}));
  // Half of the samples are outside and count as zero.
  EXPECT_TENSOR(run("RoiAlign", 10, {x, floats({1, 4}, {-6, 0, 2, 1}), first}, pooled(1, 1)),
                floats({1, 1, 1, 1}, {1}));
}

TEST(RoiAlign, AnyRegion) {
  const Tensor x = iota(DataType::float64, {2, 1, 3, 3});
  const Tensor rois = tensor(
      DataType::float64, {5, 4},
      {0, 0, 1e300, 1e300, kNan, 0, 1, 1, 2, 2, 1, 1, -kInfinity, 0, kInfinity, 1, 1e9, 1e9, 2e9, 2e9});
  const Tensor y = run("RoiAlign", 16, {x, rois, ints({5}, {0, 1, 1, 0, 1})}, pooled(2, 2, "avg", 0));
  EXPECT_EQ(y.dims(), (Dims{5, 1, 2, 2}));
  EXPECT_EQ(doubles(y).back(), 0);
  EXPECT_EQ(run("RoiAlign", 16, {x, Tensor(DataType::float64, {0, 4}), ints({0}, {})}).dims(),
            (Dims{0, 1, 1, 1}));
}

TEST(RoiAlign, InferenceAndErrors) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 8, symbol("H"), symbol("W")});
  EXPECT_EQ(inferred_type("RoiAlign", 22,
                          {x, typed(DataType::float32, Shape{symbol("R"), 4}), typed(DataType::int64)},
                          pooled(7, 5)),
            "float32[R, 8, 7, 5]");
  const Tensor image = iota(DataType::float32, {1, 1, 4, 4}), roi = floats({1, 4}, {0, 0, 2, 2});
  expect_error(
      [&] {
        run("RoiAlign", 16, {image, roi, ints({1}, {1})});
      },
      ErrorCode::invalid_argument, "batch index 1");
  expect_error(
      [&] {
        run("RoiAlign", 16, {image, roi, ints({1}, {-1})});
      },
      ErrorCode::invalid_argument, "batch index -1");
  expect_error(
      [&] {
        run("RoiAlign", 16, {image, roi, ints({2}, {0, 0})});
      },
      ErrorCode::invalid_model, "differ");
  expect_error(
      [&] {
        run("RoiAlign", 16, {image, roi, ints({1}, {0})}, pooled(0, 1));
      },
      ErrorCode::invalid_model, "0 x 1");
  expect_error(
      [&] {
        run("RoiAlign", 16, {image, roi, ints({1}, {0})}, pooled(1, 1, "avg", int64_t{1} << 40));
      },
      ErrorCode::limit, "sampling_ratio");
  expect_error(
      [&] {
        run("RoiAlign", 10, {image, roi, ints({1}, {0})},
            {{"coordinate_transformation_mode", std::string("half_pixel")}});
      },
      ErrorCode::invalid_model, "coordinate_transformation_mode");
}

TEST(MaxRoiPool, TakesTheLargest) {
  const Tensor x = iota(DataType::float32, {1, 2, 4, 4});
  const NamedAttributes two{{"pooled_shape", std::vector<int64_t>{2, 2}}};
  EXPECT_TENSOR(run("MaxRoiPool", 1, {x, floats({1, 5}, {0, 0, 0, 3, 3})}, two),
                floats({1, 2, 2, 2}, {5, 7, 13, 15, 21, 23, 29, 31}));
  // Half the scale rounds to elements 1 to 2; beyond the input there is nothing.
  const NamedAttributes half{{"pooled_shape", std::vector<int64_t>{1, 1}}, {"spatial_scale", 0.5f}};
  EXPECT_TENSOR(run("MaxRoiPool", 22, {x, floats({2, 5}, {0, 2, 2, 4, 4, 0, 100, 100, 1e30, 1e30})}, half),
                floats({2, 2, 1, 1}, {10, 26, 0, 0}));
  expect_error(
      [&] {
        run("MaxRoiPool", 1, {x, floats({1, 5}, {1, 0, 0, 3, 3})}, two);
      },
      ErrorCode::invalid_argument, "batch index 1");
  expect_error(
      [&] {
        run("MaxRoiPool", 1, {x, floats({1, 4}, {0, 0, 3, 3})}, two);
      },
      ErrorCode::invalid_model, "5 elements");
}

// Boxes (y, x, y, x): 0 and 1 overlap by a half, 2 lies apart, 3 is 0 with its corners exchanged.
Tensor boxes() { return floats({1, 4, 4}, {0, 0, 2, 2, 0, 0, 1, 2, 5, 5, 6, 6, 2, 2, 0, 0}); }

Tensor suppress(int64_t most, float overlap, const std::vector<double>& scores, Tensor least = {}) {
  return run(
      "NonMaxSuppression", 11,
      {boxes(), floats({1, 1, 4}, scores), ints({1}, {most}), Tensor::vector({overlap}), std::move(least)});
}

TEST(NonMaxSuppression, KeepsTheBestApart) {
  EXPECT_TENSOR(suppress(9, 0.4f, {.5, .9, .1, .2}), ints({2, 3}, {0, 0, 1, 0, 0, 2}));
  EXPECT_TENSOR(suppress(9, 0.5f, {.5, .9, .1, .2}),
                ints({3, 3}, {0, 0, 1, 0, 0, 0, 0, 0, 2}));  // exactly a half stays
  EXPECT_TENSOR(suppress(1, 0.5f, {.5, .9, .1, .2}), ints({1, 3}, {0, 0, 1}));
  EXPECT_TENSOR(suppress(9, 0.5f, {.5, .5, .5, .5}, Tensor::scalar(0.5f)), ints({0, 3}, {}));
  EXPECT_TENSOR(suppress(9, 0.4f, {.5, .5, .5, kNan}),
                ints({2, 3}, {0, 0, 0, 0, 0, 2}));  // equal scores: by position
  EXPECT_TENSOR(run("NonMaxSuppression", 11, {boxes(), floats({1, 1, 4}, {1, 1, 1, 1})}),
                ints({0, 3}, {}));                                      // none are asked for
  const Tensor centers = floats({1, 2, 4}, {1, 1, 2, 2, 1, .5, 2, 1});  // the first two boxes
  EXPECT_TENSOR(run("NonMaxSuppression", 11,
                    {centers, floats({1, 2, 2}, {1, 2, 2, 1}), ints({}, {5}), Tensor::scalar(.4f)},
                    {{"center_point_box", int64_t{1}}}),
                ints({2, 3}, {0, 0, 1, 0, 1, 0}));
  EXPECT_EQ(run("NonMaxSuppression", 11,
                {Tensor(DataType::float32, {int64_t{1} << 40, 0, 4}),
                 Tensor(DataType::float32, {int64_t{1} << 40, 3, 0}), ints({1}, {5})})
                .dims(),
            (Dims{0, 3}));
}

TEST(NonMaxSuppression, InferenceAndErrors) {
  EXPECT_EQ(inferred_type("NonMaxSuppression", 10, {typed(DataType::float32), typed(DataType::float32)}),
            "int64[?, 3]");
  expect_error([&] { suppress(1, 1.5f, {1, 1, 1, 1}); }, ErrorCode::invalid_argument, "IOU threshold");
  expect_error([&] { suppress(1, kNan, {1, 1, 1, 1}); }, ErrorCode::invalid_argument, "IOU threshold");
  expect_error(
      [&] {
        run("NonMaxSuppression", 11, {boxes(), floats({1, 1, 3}, {1, 1, 1})});
      },
      ErrorCode::invalid_model, "differ");
  expect_error(
      [&] {
        run("NonMaxSuppression", 11, {boxes(), floats({1, 1, 4}, {1, 1, 1, 1}), ints({2}, {1, 1})});
      },
      ErrorCode::invalid_model, "must have one");
}

TEST(DeformConv, WithoutOffsetsIsConv) {
  const Tensor x = random(DataType::float32, {2, 4, 5, 6}),
               w = random(DataType::float32, {6, 2, 3, 2}, -1, 1, 2),
               b = random(DataType::float32, {6}, -1, 1, 3);
  const NamedAttributes attributes{{"group", int64_t{2}},
                                   {"strides", std::vector<int64_t>{1, 2}},
                                   {"pads", std::vector<int64_t>{1, 0, 2, 1}},
                                   {"dilations", std::vector<int64_t>{2, 1}}};
  const Tensor conv = run("Conv", 11, {x, w, b}, attributes);
  const Tensor offset = Tensor::zeros(DataType::float32, {2, 12, conv.dim(2), conv.dim(3)});
  EXPECT_TENSOR(run("DeformConv", 19, {x, w, offset, b}, attributes), conv, 1e-4, 1e-5);
}

TEST(DeformConv, MovesAndMasks) {
  // One tap, at (y + 0.5, x - 1): between two rows, one column to the left, times the mask.
  const Tensor x = iota(DataType::float64, {1, 1, 2, 2}, 1), w = tensor(DataType::float64, {1, 1, 1, 1}, {2});
  const Tensor offset = tensor(DataType::float64, {1, 2, 2, 2}, {.5, .5, .5, .5, -1, -1, -1, -1});
  const Tensor mask = tensor(DataType::float64, {1, 1, 2, 2}, {1, 1, 1, 3});
  EXPECT_TENSOR(run("DeformConv", 22, {x, w, offset, {}, mask}),
                tensor(DataType::float64, {1, 1, 2, 2}, {0, 4, 0, 9}));
  const Tensor wild = tensor(DataType::float64, {1, 2, 2, 2}, {kNan, kInfinity, -1e300, 0, 0, 0, 0, 1e300});
  EXPECT_TENSOR(run("DeformConv", 22, {x, w, wild}), tensor(DataType::float64, {1, 1, 2, 2}, {0, 0, 0, 0}));
  // One axis, in bfloat16.
  EXPECT_TENSOR(
      run("DeformConv", 22,
          {tensor(DataType::bfloat16, {1, 1, 3}, {1, 2, 4}), tensor(DataType::bfloat16, {1, 1, 1}, {1}),
           tensor(DataType::bfloat16, {1, 1, 3}, {.5, .5, .5})}),
      tensor(DataType::bfloat16, {1, 1, 3}, {1.5, 3, 2}));
}

TEST(DeformConv, InferenceAndErrors) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 4, 8, symbol("W")}),
              w = typed(DataType::float32, Shape{6, 4, 3, 3});
  EXPECT_EQ(inferred_type("DeformConv", 19, {x, w, typed(DataType::float32)}), "float32[N, 6, 6, ?]");
  EXPECT_EQ(inferred_type("DeformConv", 19, {x, w, typed(DataType::float32, Shape{2, 18, 6, 9})}),
            "float32[2, 6, 6, 9]");
  expect_error(
      [&] {
        infer("DeformConv", 19, {x, w, typed(DataType::float32, Shape{2, 9, 6, 9})});
      },
      ErrorCode::invalid_model, "offset has 9 channels");
  expect_error(
      [&] {
        infer("DeformConv", 19, {x, w, typed(DataType::float32, Shape{2, 18, 5, 9})});
      },
      ErrorCode::invalid_model, "differ");
  expect_error(
      [&] {
        infer("DeformConv", 19, {x, w, typed(DataType::float32)}, {{"offset_group", int64_t{3}}});
      },
      ErrorCode::invalid_model, "offset groups");
  expect_error(
      [&] {
        infer("DeformConv", 19, {x, w, typed(DataType::float32)}, {{"group", int64_t{0}}});
      },
      ErrorCode::invalid_model, "group is 0");
}

}  // namespace
}  // namespace plica::test
