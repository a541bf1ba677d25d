// Resize and Upsample: values worked out from the formulas of the specification, and ONNX Runtime's and the
// reference's published examples.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Ints = std::vector<int64_t>;

Tensor vector(const std::vector<float>& v) { return Tensor::of(v, {static_cast<int64_t>(v.size())}); }
Tensor sizes_of(const Ints& v) { return ints({static_cast<int64_t>(v.size())}, v); }

Tensor by_scales(const Tensor& x, const std::vector<float>& scales, const NamedAttributes& attributes = {},
                 int64_t opset = 19) {
  return run("Resize", opset, {x, Tensor(), vector(scales)}, attributes);
}
Tensor by_sizes(const Tensor& x, const Ints& sizes, const NamedAttributes& attributes = {},
                int64_t opset = 19) {
  return run("Resize", opset, {x, Tensor(), Tensor(), sizes_of(sizes)}, attributes);
}
NamedAttributes mode(const char* name, NamedAttributes more = {}) {
  more.emplace_back("mode", std::string(name));
  return more;
}
std::pair<std::string, AttributeValue> coordinates(const char* name) {
  return {"coordinate_transformation_mode", std::string(name)};
}
std::pair<std::string, AttributeValue> nearest(const char* name) {
  return {"nearest_mode", std::string(name)};
}

TEST(Upsample, AllVersions) {
  const Tensor x = floats({1, 1, 2, 2}, {1, 2, 3, 4});
  const Tensor expected =
      floats({1, 1, 4, 6}, {1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 3, 3, 3, 4, 4, 4});
  EXPECT_TENSOR(run("Upsample", 1, {x}, {{"height_scale", 2.0f}, {"width_scale", 3.0f}}), expected);
  EXPECT_TENSOR(run("Upsample", 7, {x}, {{"scales", std::vector<float>{1, 1, 2, 3}}}), expected);
  EXPECT_TENSOR(run("Upsample", 9, {x, vector({1, 1, 2, 3})}), expected);
  EXPECT_TENSOR(run("Upsample", 9, {x, vector({1, 1, 1, 2})}, mode("linear")),
                floats({1, 1, 2, 4}, {1, 1.5, 2, 2, 3, 3.5, 4, 4}));
  expect_error(
      [&] {
        run("Upsample", 9, {x, vector({1, 1, 0.5f, 2})});
      },
      ErrorCode::invalid_model, "at least 1");
  expect_error([&] { run("Upsample", 10, {x, vector({1, 1, 2, 2})}); }, ErrorCode::unsupported, "Upsample");
}

TEST(Resize, NearestByIntegersInEveryType) {
  const std::vector<float> twice = {1, 2};
  for (DataType type : {DataType::float32, DataType::int8, DataType::uint16, DataType::int64,
                        DataType::float16, DataType::boolean}) {
    EXPECT_TENSOR(
        by_scales(tensor(type, {2, 2}, {0, 1, 1, 0}), twice, {coordinates("asymmetric"), nearest("floor")}),
        tensor(type, {2, 4}, {0, 0, 1, 1, 1, 1, 0, 0}));
  }
  EXPECT_TENSOR(by_scales(Tensor::vector<std::string>({"a", "b"}), {3}),
                Tensor::vector<std::string>({"a", "a", "a", "b", "b", "b"}));
  EXPECT_TENSOR(run("Resize", 10, {floats({1, 3}, {1, 2, 3}), vector({2, 2})}),
                floats({2, 6}, {1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3}));
  EXPECT_TENSOR(run("Resize", 10, {floats({4}, {1, 2, 3, 4}), vector({0.5f})}), floats({2}, {1, 3}));
}

TEST(Resize, NearestModes) {
  // Positions 0, 1, 2, 3 of five fall on 0, 1.25, 2.5, 3.75 (asymmetric, scale 0.8).
  const Tensor x = floats({5}, {0, 1, 2, 3, 4});
  const auto run_mode = [&](const char* name) {
    return by_sizes(x, {4}, {coordinates("asymmetric"), nearest(name)});
  };
  EXPECT_TENSOR(run_mode("floor"), floats({4}, {0, 1, 2, 3}));
  EXPECT_TENSOR(run_mode("ceil"), floats({4}, {0, 2, 3, 4}));
  EXPECT_TENSOR(run_mode("round_prefer_floor"), floats({4}, {0, 1, 2, 4}));
  EXPECT_TENSOR(run_mode("round_prefer_ceil"), floats({4}, {0, 1, 3, 4}));
}

TEST(Resize, CoordinateModes) {
  const Tensor x = floats({4}, {1, 2, 3, 4});
  EXPECT_TENSOR(by_scales(x, {2}, mode("linear")), floats({8}, {1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4}));
  EXPECT_TENSOR(by_scales(x, {2}, mode("linear", {coordinates("asymmetric")})),
                floats({8}, {1, 1.5, 2, 2.5, 3, 3.5, 4, 4}));
  EXPECT_TENSOR(by_sizes(x, {7}, mode("linear", {coordinates("align_corners")})),
                floats({7}, {1, 1.5, 2, 2.5, 3, 3.5, 4}));
  // A fractional length: 2.4 outputs, so the second is at 1 * 3 / 1.4.
  EXPECT_TENSOR(by_scales(x, {0.6f}, mode("linear", {coordinates("align_corners")})),
                floats({2}, {1, 1 + 3 / 1.4}), 1e-5);
  EXPECT_TENSOR(by_scales(x, {0.6f}, mode("linear")), floats({2}, {1 + 1.0 / 3, 3}), 1e-5);
  // half_pixel_symmetric centres the 2 of 2.4 outputs.
  EXPECT_TENSOR(by_scales(x, {0.6f}, mode("linear", {coordinates("half_pixel_symmetric")})),
                floats({2}, {1 + 2.0 / 3, 3 + 1.0 / 3}), 1e-5);
  EXPECT_TENSOR(by_sizes(x, {1}, mode("linear", {coordinates("pytorch_half_pixel")})), floats({1}, {1}));
  EXPECT_TENSOR(by_sizes(x, {1}, mode("linear")), floats({1}, {2.5}));
  EXPECT_TENSOR(by_sizes(x, {2}, {coordinates("tf_half_pixel_for_nn"), nearest("floor")}, 11),
                floats({2}, {2, 4}));
}

TEST(Resize, CropAndResize) {
  const Tensor x = iota(DataType::float32, {1, 5}, 1);
  const auto crop = [&](const std::vector<float>& roi, const char* how) {
    return run("Resize", 13, {x, vector(roi), Tensor(), sizes_of({1, 3})},
               mode(how, {coordinates("tf_crop_and_resize"), {"extrapolation_value", 9.0f}}));
  };
  EXPECT_TENSOR(crop({0, 0.25f, 1, 0.75f}, "linear"), floats({1, 3}, {2, 3, 4}));
  EXPECT_TENSOR(crop({0, 0.5f, 1, 1.5f}, "linear"), floats({1, 3}, {3, 5, 9}));
  EXPECT_TENSOR(crop({0, 0.5f, 1, 1.5f}, "nearest"), floats({1, 3}, {3, 5, 9}));
  expect_error(
      [&] {
        by_sizes(x, {1, 3}, {coordinates("tf_crop_and_resize")});
      },
      ErrorCode::invalid_model, "needs a roi");
}

TEST(Resize, Bilinear) {
  EXPECT_TENSOR(
      by_scales(floats({1, 1, 2, 2}, {1, 2, 3, 4}), {1, 1, 2, 2}, mode("linear")),
      floats({1, 1, 4, 4}, {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4}));
}

TEST(Resize, Cubic) {
  // Weights at offset 1/4 with a = -0.75: -0.10546875, 0.87890625, 0.26171875, -0.03515625.
  const Tensor x = floats({4}, {1, 2, 4, 8});
  const double a = -0.10546875, b = 0.87890625, c = 0.26171875, d = -0.03515625;
  const Tensor y = by_scales(x, {2}, mode("cubic"));
  EXPECT_NEAR(y.data<float>()[3], a * 1 + b * 2 + c * 4 + d * 8, 1e-5);  // at 1.25
  EXPECT_NEAR(y.data<float>()[2], d * 1 + c * 1 + b * 2 + a * 4, 1e-5);  // at 0.75, the left edge repeated
  // Excluded: the same without what is outside, with weights that add up to 1 again.
  const Tensor z = by_scales(x, {2}, mode("cubic", {{"exclude_outside", int64_t{1}}}));
  EXPECT_NEAR(z.data<float>()[2], (c * 1 + b * 2 + a * 4) / (c + b + a), 1e-5);
}

TEST(Resize, Antialias) {
  // Halving: the triangle has radius 2, and weights 1/8, 3/8, 3/8, 1/8 around each output.
  const Tensor x = floats({6}, {1, 2, 3, 4, 5, 12});
  EXPECT_TENSOR(by_scales(x, {0.5f}, mode("linear", {{"antialias", int64_t{1}}})),
                floats({3}, {(1 + 3 * 1 + 3 * 2 + 3) / 8.0, (2 + 3 * 3 + 3 * 4 + 5) / 8.0,
                             (4 + 3 * 5 + 3 * 12 + 12) / 8.0}));
  const Tensor up = floats({3}, {1, 5, 2});
  EXPECT_TENSOR(by_scales(up, {2}, mode("linear", {{"antialias", int64_t{1}}})),
                by_scales(up, {2}, mode("linear")));
}

TEST(Resize, AxesAndAspectRatio) {
  const Tensor x = iota(DataType::float32, {2, 3, 1});
  EXPECT_TENSOR(by_scales(x, {2}, {{"axes", Ints{-1}}}),
                floats({2, 3, 2}, {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}));
  const auto dims = [&](const char* policy) {
    return by_sizes(Tensor(DataType::float32, {1, 10, 20}), {15, 50},
                    {{"axes", Ints{1, 2}}, {"keep_aspect_ratio_policy", std::string(policy)}})
        .dims();
  };
  EXPECT_EQ(dims("stretch"), (Dims{1, 15, 50}));
  EXPECT_EQ(dims("not_larger"), (Dims{1, 15, 30}));
  EXPECT_EQ(dims("not_smaller"), (Dims{1, 25, 50}));
}

TEST(Resize, Types) {
  EXPECT_TENSOR(
      by_scales(Tensor::of<uint8_t>({0, 255, 1}, {3}), {2}, mode("linear", {coordinates("asymmetric")})),
      Tensor::of<uint8_t>({0, 128, 255, 128, 1, 1}, {6}));
  for (DataType type : {DataType::float64, DataType::float16, DataType::bfloat16}) {
    EXPECT_TENSOR(by_scales(tensor(type, {2}, {1, 2}), {2}, mode("linear")),
                  tensor(type, {4}, {1, 1.25, 1.75, 2}));
  }
  expect_error([] { by_scales(Tensor::vector<std::string>({"a"}), {2}, mode("linear")); },
               ErrorCode::unsupported, "string");
}

TEST(Resize, SizesOfScalesAreComputedInFloat) {
  EXPECT_EQ(by_scales(Tensor::zeros(DataType::float32, {10}), {0.7f}).dims(), Dims{7});
  EXPECT_EQ(by_scales(Tensor::zeros(DataType::float32, {0, 3}), {1, 2}).dims(), (Dims{0, 6}));
}

TEST(Resize, Refuses) {
  const Tensor x = iota(DataType::float32, {2, 3});
  const auto refuse = [](const std::function<void()>& body, const char* part,
                         ErrorCode code = ErrorCode::invalid_model) { expect_error(body, code, part); };
  refuse([&] { run("Resize", 13, {x}); }, "neither scales nor sizes");
  refuse(
      [&] {
        run("Resize", 13, {x, Tensor(), vector({1, 1}), sizes_of({2, 3})});
      },
      "both scales and sizes");
  refuse([&] { by_scales(x, {1}); }, "scales has 1 values for 2 axes");
  refuse([&] { by_sizes(x, {1, 2, 3}); }, "sizes has 3 values for 2 axes");
  refuse([&] { by_sizes(x, {1, -2}); }, "contains -2");
  refuse([&] { by_scales(x, {1, 0}); }, "a scale is 0");
  refuse([&] { by_scales(x, {1, kNan}); }, "a scale is nan");
  refuse([&] { by_scales(x, {1, 1e30f}); }, "too large", ErrorCode::limit);
  refuse([&] { by_scales(x, {1, 2}, mode("quintic")); }, "mode 'quintic'");
  refuse([&] { by_scales(x, {1, 2}, {nearest("up")}); }, "nearest_mode 'up'");
  refuse([&] { by_scales(x, {1, 2}, {coordinates("tf_half_pixel_for_nn")}, 13); }, "tf_half_pixel_for_nn");
  refuse([&] { by_sizes(Tensor(DataType::float32, {0, 3}), {2, 3}); }, "empty axis");
  refuse([&] { by_scales(x, {2}, {{"axes", Ints{2}}}); }, "axis 2");
}

TEST(Resize, KeepsSymbols) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), 10});
  Facts none;
  Facts scales = Facts::of(vector({1, 1, 2, 2}));
  EXPECT_EQ(to_string(infer("Resize", 13, {x, none, scales}).type), "float32[N, 3, ?, 20]");
  Facts sizes = typed(DataType::int64, Shape{4});
  sizes.elements = std::vector<Dim>{symbol("N"), 3, symbol("A"), Dim()};
  EXPECT_EQ(to_string(infer("Resize", 13, {x, none, none, sizes}).type), "float32[N, 3, A, ?]");
  EXPECT_EQ(to_string(infer("Resize", 13, {x, none, none, typed(DataType::int64, Shape{4})}).type),
            "float32[?, ?, ?, ?]");
}

}  // namespace
}  // namespace plica::test
