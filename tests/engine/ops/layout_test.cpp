// Operators that move elements: expectations by hand or by index arithmetic.
#include "engine/ops/strided_copy.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Ints = std::vector<int64_t>;

Facts elements(std::vector<Dim> list) {
  Facts f = typed(DataType::int64, Shape{static_cast<int64_t>(list.size())});
  f.elements = std::move(list);
  return f;
}

Tensor strings(Dims dims, std::vector<std::string> values) { return Tensor::of(values, std::move(dims)); }

// ---- Reshape, Flatten, Squeeze, Unsqueeze

TEST(Reshape, Values) {
  const Tensor x = iota(DataType::int32, {2, 3, 4});
  EXPECT_TENSOR(run("Reshape", 13, {x, ints({2}, {4, 6})}), iota(DataType::int32, {4, 6}));
  EXPECT_TENSOR(run("Reshape", 5, {x, ints({3}, {0, -1, 2})}), iota(DataType::int32, {2, 6, 2}));
  EXPECT_TENSOR(run("Reshape", 1, {iota(DataType::float32, {2, 3})}, {{"shape", Ints{3, -1}}}),
                iota(DataType::float32, {3, 2}));
  EXPECT_TENSOR(run("Reshape", 14, {ints({1}, {7}), ints({0}, {})}), ints({}, {7}));
  EXPECT_TENSOR(run("Reshape", 14, {strings({2}, {"a", "bc"}), ints({2}, {2, 1})}),
                strings({2, 1}, {"a", "bc"}));
  Tensor packed = Tensor::zeros(DataType::int4, {3, 3});
  static_cast<uint8_t*>(packed.mutable_raw())[0] = 0x21;
  EXPECT_TRUE(run("Reshape", 21, {packed, ints({1}, {9})}).identical_to(packed.reshaped({9})));
}

TEST(Reshape, ZeroSizes) {
  const Tensor empty(DataType::float32, {0, 3});
  EXPECT_EQ(run("Reshape", 13, {empty, ints({2}, {0, 5})}).dims(), (Dims{0, 5}));
  EXPECT_EQ(run("Reshape", 14, {empty, ints({2}, {3, 0})}, {{"allowzero", int64_t{1}}}).dims(), (Dims{3, 0}));
  EXPECT_EQ(run("Reshape", 14, {empty, ints({2}, {-1, 3})}).dims(), (Dims{0, 3}));
}

TEST(Reshape, Refuses) {
  const Tensor x = iota(DataType::float32, {2, 3});
  const auto refuse = [&](const Tensor& in, const Ints& shape, const char* part,
                          const NamedAttributes& attributes = {}) {
    expect_error(
        [&] {
          run("Reshape", 14, {in, ints({static_cast<int64_t>(shape.size())}, shape)}, attributes);
        },
        ErrorCode::invalid_model, part);
  };
  refuse(x, {4, 2}, "6 elements cannot become [4, 2]");
  refuse(x, {-1, 4}, "6 elements do not divide by the 4");
  refuse(x, {-1, -1}, "-1 more than once");
  refuse(x, {-2, 3}, "contains -2");
  refuse(x, {2, 3, 0}, "input of rank 2");
  refuse(x, {0, -1}, "both 0 and -1", {{"allowzero", int64_t{1}}});
  refuse(Tensor(DataType::float32, {0, 3}), {0, -1}, "ambiguous");
  expect_error([&] { run("Reshape", 13, {x, ints({1, 2}, {2, 3})}); }, ErrorCode::invalid_model, "rank 2");
}

TEST(Reshape, FollowsSymbols) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 256, 6, symbol("W")});
  EXPECT_EQ(to_string(infer("Reshape", 13, {x, elements({-1, 1536})}).type), "float32[?, 1536]");
  EXPECT_EQ(to_string(infer("Reshape", 13, {x, elements({0, 1536, -1})}).type), "float32[N, 1536, W]");
  EXPECT_EQ(to_string(infer("Reshape", 13, {x, elements({-1, 1536, symbol("W")})}).type),
            "float32[N, 1536, W]");
  EXPECT_EQ(to_string(infer("Reshape", 13, {x, elements({Dim(), -1})}).type), "float32[?, ?]");
  EXPECT_EQ(to_string(infer("Reshape", 13, {x, typed(DataType::int64, Shape{3})}).type), "float32[?, ?, ?]");
  EXPECT_EQ(to_string(infer("Reshape", 13, {x, typed(DataType::int64, Shape{symbol("R")})}).type),
            "float32[...]");
  const Facts y = infer("Reshape", 13, {elements({symbol("N")}), elements({})});
  ASSERT_TRUE(y.elements);
  EXPECT_EQ(to_string((*y.elements)[0]), "N");
}

TEST(Flatten, Axes) {
  const Tensor x = iota(DataType::float32, {2, 3, 4});
  EXPECT_TENSOR(run("Flatten", 1, {x}), iota(DataType::float32, {2, 12}));
  EXPECT_TENSOR(run("Flatten", 13, {x}, {{"axis", int64_t{0}}}), iota(DataType::float32, {1, 24}));
  EXPECT_TENSOR(run("Flatten", 13, {x}, {{"axis", int64_t{3}}}), iota(DataType::float32, {24, 1}));
  EXPECT_TENSOR(run("Flatten", 13, {x}, {{"axis", int64_t{-1}}}), iota(DataType::float32, {6, 4}));
  EXPECT_TENSOR(run("Flatten", 13, {floats({}, {5})}, {{"axis", int64_t{0}}}), floats({1, 1}, {5}));
  expect_error([&] { run("Flatten", 13, {x}, {{"axis", int64_t{4}}}); }, ErrorCode::invalid_model, "axis 4");
  EXPECT_EQ(inferred_type("Flatten", 13, {typed(DataType::float32, Shape{symbol("N"), 8, 2})}),
            "float32[N, 16]");
}

TEST(Squeeze, AttributeAndInput) {
  const Tensor x = iota(DataType::float32, {1, 2, 1, 3});
  EXPECT_TENSOR(run("Squeeze", 1, {x}, {{"axes", Ints{0}}}), iota(DataType::float32, {2, 1, 3}));
  EXPECT_TENSOR(run("Squeeze", 13, {x, ints({2}, {-2, 0})}), iota(DataType::float32, {2, 3}));
  EXPECT_TENSOR(run("Squeeze", 13, {x}), iota(DataType::float32, {2, 3}));
  expect_error([&] { run("Squeeze", 11, {x}, {{"axes", Ints{1}}}); }, ErrorCode::invalid_model, "axis 1");
  expect_error([&] { run("Squeeze", 13, {x, ints({2}, {0, -4})}); }, ErrorCode::invalid_model, "given twice");
  EXPECT_EQ(
      inferred_type("Squeeze", 11, {typed(DataType::float32, Shape{1, symbol("N")})}, {{"axes", Ints{0}}}),
      "float32[N]");
  EXPECT_EQ(inferred_type("Squeeze", 11, {typed(DataType::float32, Shape{1, symbol("N")})}), "float32[...]");
}

TEST(Unsqueeze, AttributeAndInput) {
  const Tensor x = iota(DataType::float32, {2, 3});
  EXPECT_TENSOR(run("Unsqueeze", 1, {x}, {{"axes", Ints{3, 0}}}), iota(DataType::float32, {1, 2, 3, 1}));
  EXPECT_TENSOR(run("Unsqueeze", 13, {x, ints({2}, {-1, 1})}), iota(DataType::float32, {2, 1, 3, 1}));
  expect_error([&] { run("Unsqueeze", 11, {x}, {{"axes", Ints{3}}}); }, ErrorCode::invalid_model, "axis 3");
  Facts scalar = typed(DataType::int64, Shape{});
  scalar.elements = std::vector<Dim>{symbol("H")};
  const Facts y = infer("Unsqueeze", 11, {scalar}, {{"axes", Ints{0}}});
  ASSERT_TRUE(y.elements);
  EXPECT_EQ(to_string((*y.elements)[0]), "H");
}

// ---- Transpose and its relatives

TEST(Transpose, EveryPermutationOfThreeAxes) {
  const Tensor x = iota(DataType::int16, {5, 18, 21});
  Ints perm = {0, 1, 2};
  do {
    const Tensor y = run("Transpose", 13, {x}, {{"perm", perm}});
    const Dims strides = {18 * 21, 21, 1};
    const size_t p0 = static_cast<size_t>(perm[0]), p1 = static_cast<size_t>(perm[1]),
                 p2 = static_cast<size_t>(perm[2]);
    ASSERT_EQ(y.dims(), (Dims{x.dims()[p0], x.dims()[p1], x.dims()[p2]}));
    const int16_t* v = y.data<int16_t>();
    for (int64_t i = 0; i < y.dim(0); ++i) {
      for (int64_t j = 0; j < y.dim(1); ++j) {
        for (int64_t k = 0; k < y.dim(2); ++k)
          ASSERT_EQ(*v++, i * strides[p0] + j * strides[p1] + k * strides[p2]);
      }
    }
  } while (std::ranges::next_permutation(perm).found);
}

TEST(Transpose, TypesAndSpecialCases) {
  EXPECT_TENSOR(run("Transpose", 1, {floats({2, 2}, {1, 2, 3, 4})}), floats({2, 2}, {1, 3, 2, 4}));
  EXPECT_TENSOR(run("Transpose", 1, {strings({2, 2}, {"a", "b", "c", "d"})}),
                strings({2, 2}, {"a", "c", "b", "d"}));
  EXPECT_TENSOR(run("Transpose", 1, {floats({}, {3})}), floats({}, {3}));
  EXPECT_EQ(run("Transpose", 1, {Tensor(DataType::float32, {0, 3})}).dims(), (Dims{3, 0}));
  Tensor packed = Tensor::zeros(DataType::uint4, {2, 3}), expected = Tensor::zeros(DataType::uint4, {3, 2});
  const std::vector<uint8_t> in = {0x21, 0x43, 0x65}, out = {0x41, 0x52, 0x63};
  std::ranges::copy(in, static_cast<uint8_t*>(packed.mutable_raw()));
  std::ranges::copy(out, static_cast<uint8_t*>(expected.mutable_raw()));
  EXPECT_TRUE(run("Transpose", 21, {packed}).identical_to(expected));
  expect_error(
      [] {
        run("Transpose", 13, {floats({1, 1}, {1})}, {{"perm", Ints{0}}});
      },
      ErrorCode::invalid_model, "perm has 1 axes");
  expect_error(
      [] {
        run("Transpose", 13, {floats({1, 1}, {1})}, {{"perm", Ints{0, 0}}});
      },
      ErrorCode::invalid_model, "given twice");
  EXPECT_EQ(inferred_type("Transpose", 13, {typed(DataType::float32, Shape{symbol("N"), 2, Dim()})},
                          {{"perm", Ints{2, 0, 1}}}),
            "float32[?, N, 2]");
}

TEST(DepthToSpace, BothOrdersAndBack) {
  const Tensor x = iota(DataType::float32, {1, 8, 1, 1});
  EXPECT_TENSOR(run("DepthToSpace", 1, {x}, {{"blocksize", int64_t{2}}}),
                floats({1, 2, 2, 2}, {0, 2, 4, 6, 1, 3, 5, 7}));
  EXPECT_TENSOR(run("DepthToSpace", 13, {x}, {{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}}),
                iota(DataType::float32, {1, 2, 2, 2}));
  const Tensor big = random(DataType::float32, {2, 12, 3, 5});
  for (const char* mode : {"DCR", "CRD"}) {
    const NamedAttributes attributes = {{"blocksize", int64_t{2}}, {"mode", std::string(mode)}};
    EXPECT_TENSOR(run("SpaceToDepth", 28, {run("DepthToSpace", 11, {big}, attributes)}, attributes), big);
  }
  EXPECT_TENSOR(run("SpaceToDepth", 1, {run("DepthToSpace", 1, {big}, {{"blocksize", int64_t{2}}})},
                    {{"blocksize", int64_t{2}}}),
                big);
  const auto refuse = [&](const Tensor& in, NamedAttributes attributes, const char* part) {
    expect_error([&] { run("DepthToSpace", 11, {in}, attributes); }, ErrorCode::invalid_model, part);
  };
  refuse(big, {{"blocksize", int64_t{0}}}, "blocksize is 0");
  refuse(big, {{"blocksize", int64_t{5}}}, "depth 12 does not divide by 25");
  refuse(big, {{"blocksize", int64_t{2}}, {"mode", std::string("X")}}, "mode is 'X'");
  refuse(Tensor(DataType::float32, {4, 1, 1}), {{"blocksize", int64_t{2}}}, "rank 3");
  EXPECT_EQ(inferred_type("SpaceToDepth", 13, {typed(DataType::float32, Shape{symbol("N"), 3, 4, Dim()})},
                          {{"blocksize", int64_t{2}}}),
            "float32[N, 12, 2, ?]");
}

// ---- Concat, Split

TEST(Concat, Axes) {
  const Tensor a = floats({2, 1}, {1, 2}), b = floats({2, 2}, {3, 4, 5, 6});
  EXPECT_TENSOR(run("Concat", 1, {a, b}), floats({2, 3}, {1, 3, 4, 2, 5, 6}));
  EXPECT_TENSOR(run("Concat", 13, {a, b, Tensor(DataType::float32, {2, 0})}, {{"axis", int64_t{-1}}}),
                floats({2, 3}, {1, 3, 4, 2, 5, 6}));
  EXPECT_TENSOR(run("Concat", 4, {b, b}, {{"axis", int64_t{0}}}), floats({4, 2}, {3, 4, 5, 6, 3, 4, 5, 6}));
  EXPECT_TENSOR(run("Concat", 4, {strings({1}, {"x"}), strings({2}, {"y", "z"})}, {{"axis", int64_t{0}}}),
                strings({3}, {"x", "y", "z"}));
  const auto refuse = [](const std::vector<Tensor>& in, NamedAttributes attributes, const char* part) {
    expect_error([&] { run("Concat", 13, in, attributes); }, ErrorCode::invalid_model, part);
  };
  refuse({a, b}, {}, "'axis' is missing");
  refuse({a, b}, {{"axis", int64_t{0}}}, "size 2 on axis 1");
  refuse({a, b}, {{"axis", int64_t{2}}}, "axis 2");
  refuse({a, floats({2}, {1, 2})}, {{"axis", int64_t{0}}}, "rank");
  refuse({a, Tensor(DataType::int32, {2, 1})}, {{"axis", int64_t{0}}}, "element types");
  refuse({floats({}, {1})}, {{"axis", int64_t{0}}}, "scalar");
}

TEST(Concat, FollowsSymbols) {
  const Facts a = typed(DataType::float32, Shape{symbol("N"), 3}),
              b = typed(DataType::float32, Shape{Dim(), 4});
  EXPECT_EQ(inferred_type("Concat", 13, {a, b}, {{"axis", int64_t{1}}}), "float32[N, 7]");
  EXPECT_EQ(inferred_type("Concat", 13, {a, a}, {{"axis", int64_t{0}}}), "float32[?, 3]");
  const Facts shape =
      infer("Concat", 13, {elements({symbol("N")}), typed(DataType::int64, Shape{1}), elements({7, -1})},
            {{"axis", int64_t{0}}});
  ASSERT_TRUE(shape.elements);
  EXPECT_EQ(to_string(Shape(*shape.elements)), "[N, ?, 7, -1]");
}

TEST(Split, Versions) {
  const Tensor x = iota(DataType::float32, {2, 5});
  auto y = run_all("Split", 2, {x}, {{"axis", int64_t{1}}, {"split", Ints{2, 3}}}, 2);
  EXPECT_TENSOR(y[0], floats({2, 2}, {0, 1, 5, 6}));
  EXPECT_TENSOR(y[1], floats({2, 3}, {2, 3, 4, 7, 8, 9}));
  y = run_all("Split", 13, {x, ints({2}, {0, 5})}, {{"axis", int64_t{-1}}}, 2);
  EXPECT_EQ(y[0].dims(), (Dims{2, 0}));
  EXPECT_TENSOR(y[1], x);
  y = run_all("Split", 18, {x}, {{"axis", int64_t{1}}, {"num_outputs", int64_t{2}}}, 2);
  EXPECT_EQ(y[0].dims(), (Dims{2, 3}));
  EXPECT_TENSOR(y[1], floats({2, 2}, {3, 4, 8, 9}));
  EXPECT_TENSOR(run_all("Split", 1, {x}, {}, 2)[1], floats({1, 5}, {5, 6, 7, 8, 9}));
  y = run_all("Split", 1, {x, floats({2}, {1, 4})}, {{"axis", int64_t{1}}}, 2);
  EXPECT_TENSOR(y[0], floats({2, 1}, {0, 5}));
  EXPECT_EQ(y[1].dims(), (Dims{2, 4}));
}

TEST(Split, Refuses) {
  const Tensor x = iota(DataType::float32, {2, 5});
  const auto refuse = [&](int64_t opset, const std::vector<Tensor>& in, NamedAttributes attributes,
                          const char* part) {
    attributes.emplace_back("axis", int64_t{1});
    expect_error([&] { run_all("Split", opset, in, attributes, 2); }, ErrorCode::invalid_model, part);
  };
  refuse(13, {x}, {}, "size 5 does not divide into 2 equal parts");
  refuse(13, {x, ints({2}, {2, 2})}, {}, "adds up to 4");
  refuse(13, {x, ints({2}, {-1, 6})}, {}, "contains -1");
  refuse(2, {x}, {{"split", Ints{5}}}, "1 sizes for 2 outputs");
  refuse(18, {x, ints({2}, {2, 3})}, {{"num_outputs", int64_t{2}}}, "both");
  refuse(18, {x}, {{"num_outputs", int64_t{3}}}, "num_outputs is 3");
  expect_error(
      [] {
        run_all("Split", 18, {iota(DataType::float32, {4})}, {{"num_outputs", int64_t{4}}}, 3);
      },
      ErrorCode::invalid_model, "num_outputs");
}

TEST(Split, FollowsElements) {
  const auto y = infer_all("Split", 13, {elements({symbol("N"), 3, symbol("H")}), elements({1, 2})}, {}, 2);
  ASSERT_TRUE(y[0].elements && y[1].elements);
  EXPECT_EQ(to_string(Shape(*y[0].elements)), "[N]");
  EXPECT_EQ(to_string(Shape(*y[1].elements)), "[3, H]");
}

// ---- Slice

Tensor slice(const Tensor& x, const Ints& starts, const Ints& ends, const Ints& axes = {},
             const Ints& steps = {}) {
  const auto vector = [](const Ints& v) { return ints({static_cast<int64_t>(v.size())}, v); };
  return run("Slice", 13,
             {x, vector(starts), vector(ends), axes.empty() ? Tensor() : vector(axes),
              steps.empty() ? Tensor() : vector(steps)});
}

TEST(Slice, EveryRangeOfAShortAxis) {
  const int64_t n = 4;
  const Tensor x = iota(DataType::int64, {n});
  for (int64_t start = -6; start <= 6; ++start) {
    for (int64_t end = -6; end <= 6; ++end) {
      for (int64_t step : {int64_t{-5}, int64_t{-2}, int64_t{-1}, int64_t{1}, int64_t{2}, int64_t{5}}) {
        // ONNX: negative positions count from the end; then [0, n] forwards, start [0, n-1] and end [-1, n-1]
        // backwards.
        const int64_t a = std::clamp<int64_t>(start < 0 ? start + n : start, 0, step > 0 ? n : n - 1);
        const int64_t b =
            std::clamp<int64_t>(end < 0 ? end + n : end, step > 0 ? 0 : -1, step > 0 ? n : n - 1);
        std::vector<int64_t> expected;
        for (int64_t i = a; step > 0 ? i < b : i > b; i += step) expected.push_back(i);
        EXPECT_TENSOR(slice(x, {start}, {end}, {0}, {step}),
                      Tensor::of(expected, {static_cast<int64_t>(expected.size())}));
      }
    }
  }
}

TEST(Slice, AxesStepsAndExtremes) {
  const Tensor x = iota(DataType::float32, {3, 4, 5});
  EXPECT_TENSOR(slice(x, {1, 3}, {3, INT64_MIN}, {0, -1}, {1, -2}),
                floats({2, 4, 2}, {23, 21, 28, 26, 33, 31, 38, 36, 43, 41, 48, 46, 53, 51, 58, 56}));
  EXPECT_TENSOR(slice(x, {INT64_MIN}, {INT64_MAX}), x);
  EXPECT_TENSOR(slice(x, {INT64_MAX}, {INT64_MIN}, {0}, {INT64_MIN}), iota(DataType::float32, {1, 4, 5}, 40));
  EXPECT_EQ(slice(x, {2, 0}, {1, 4}).dims(), (Dims{0, 4, 5}));
  EXPECT_TENSOR(run("Slice", 1, {x}, {{"starts", Ints{1}}, {"ends", Ints{1000}}, {"axes", Ints{0}}}),
                iota(DataType::float32, {2, 4, 5}, 20));
  EXPECT_TENSOR(run("Slice", 10,
                    {strings({3}, {"a", "b", "c"}), Tensor::of<int32_t>({-1}, {1}),
                     Tensor::of<int32_t>({INT32_MIN}, {1}), Tensor::of<int32_t>({0}, {1}),
                     Tensor::of<int32_t>({-1}, {1})}),
                strings({3}, {"c", "b", "a"}));
  EXPECT_EQ(slice(Tensor(DataType::float32, {0, 2}), {0}, {5}, {0}, {-1}).dims(), (Dims{0, 2}));
}

TEST(Slice, Refuses) {
  const Tensor x = iota(DataType::float32, {3, 4});
  const auto refuse = [&](const Tensor& in, const Ints& starts, const Ints& ends, const Ints& axes,
                          const Ints& steps, const char* part) {
    expect_error([&] { slice(in, starts, ends, axes, steps); }, ErrorCode::invalid_model, part);
  };
  refuse(x, {0}, {1}, {0}, {0}, "step is 0");
  refuse(x, {0}, {1}, {2}, {}, "axis 2");
  refuse(x, {0, 0}, {1, 1}, {0, -2}, {}, "given twice");
  refuse(x, {0, 0}, {1}, {}, {}, "2 starts, but 1 ends");
  refuse(x, {0, 0, 0}, {1, 1, 1}, {}, {}, "3 starts for an input of rank 2");
  refuse(floats({}, {1}), {0}, {1}, {}, {}, "scalar");
}

TEST(Slice, FollowsSymbolsAndElements) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 8, symbol("H")});
  EXPECT_EQ(to_string(infer("Slice", 13, {x, elements({2}), elements({6}), elements({1})}).type),
            "float32[N, 4, H]");
  EXPECT_EQ(
      to_string(infer("Slice", 13, {x, elements({0, 1}), elements({INT64_MAX, 3}), elements({0, 2})}).type),
      "float32[N, 8, ?]");
  EXPECT_EQ(
      to_string(infer("Slice", 13, {x, typed(DataType::int64, Shape{1}), elements({6}), elements({1})}).type),
      "float32[N, ?, H]");
  EXPECT_EQ(
      to_string(infer("Slice", 13, {x, elements({2}), elements({6}), typed(DataType::int64, Shape{1})}).type),
      "float32[?, ?, ?]");
  const Facts part =
      infer("Slice", 13,
            {elements({symbol("N"), 3, symbol("H"), symbol("W")}), elements({-2}), elements({INT64_MAX})});
  ASSERT_TRUE(part.elements);
  EXPECT_EQ(to_string(Shape(*part.elements)), "[H, W]");
}

TEST(ReverseSequence, BothAxes) {
  const Tensor x = iota(DataType::float32, {4, 2});
  EXPECT_TENSOR(run("ReverseSequence", 10, {x, ints({2}, {3, 4})}), floats({4, 2}, {4, 7, 2, 5, 0, 3, 6, 1}));
  EXPECT_TENSOR(run("ReverseSequence", 10, {iota(DataType::float32, {2, 4}), ints({2}, {1, 3})},
                    {{"batch_axis", int64_t{0}}, {"time_axis", int64_t{1}}}),
                floats({2, 4}, {0, 1, 2, 3, 6, 5, 4, 7}));
  expect_error(
      [&] {
        run("ReverseSequence", 10, {x, ints({2}, {5, 1})});
      },
      ErrorCode::invalid_argument, "5 is out of range");
  expect_error(
      [&] {
        run("ReverseSequence", 10, {x, ints({3}, {1, 1, 1})});
      },
      ErrorCode::invalid_model, "3 sequence_lens");
  expect_error(
      [&] {
        run("ReverseSequence", 10, {x, ints({2}, {1, 1})}, {{"time_axis", int64_t{1}}});
      },
      ErrorCode::invalid_model, "both 1");
}

// ---- Pad

TEST(Pad, Modes) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor pads = ints({4}, {1, 2, 0, 1});
  EXPECT_TENSOR(run("Pad", 13, {x, pads, floats({}, {9})}),
                floats({3, 6}, {9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 9, 9, 9, 4, 5, 6, 9}));
  EXPECT_TENSOR(run("Pad", 11, {x, pads}, {{"mode", std::string("reflect")}}),
                floats({3, 6}, {6, 5, 4, 5, 6, 5, 3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5}));
  EXPECT_TENSOR(run("Pad", 11, {x, pads}, {{"mode", std::string("edge")}}),
                floats({3, 6}, {1, 1, 1, 2, 3, 3, 1, 1, 1, 2, 3, 3, 4, 4, 4, 5, 6, 6}));
  EXPECT_TENSOR(run("Pad", 19, {x, pads}, {{"mode", std::string("wrap")}}),
                floats({3, 6}, {5, 6, 4, 5, 6, 4, 2, 3, 1, 2, 3, 1, 5, 6, 4, 5, 6, 4}));
  EXPECT_TENSOR(run("Pad", 11, {floats({2}, {1, 2}), ints({2}, {3, 2})}, {{"mode", std::string("reflect")}}),
                floats({7}, {2, 1, 2, 1, 2, 1, 2}));
  EXPECT_TENSOR(run("Pad", 2, {x}, {{"pads", Ints{0, 1, 0, 0}}, {"value", 7.0f}}),
                floats({2, 4}, {7, 1, 2, 3, 7, 4, 5, 6}));
  EXPECT_TENSOR(run("Pad", 1, {x}, {{"paddings", Ints{0, 1, 0, 0}}}),
                floats({2, 4}, {0, 1, 2, 3, 0, 4, 5, 6}));
  EXPECT_TENSOR(run("Pad", 18, {x, ints({2}, {1, 0}), Tensor(), ints({1}, {-1})}),
                floats({2, 4}, {0, 1, 2, 3, 0, 4, 5, 6}));
  EXPECT_TENSOR(run("Pad", 13, {strings({1}, {"a"}), ints({2}, {1, 0})}), strings({2}, {"", "a"}));
}

TEST(Pad, NegativePadsCropFirst) {
  const Tensor x = floats({5}, {1, 2, 3, 4, 5});
  EXPECT_TENSOR(run("Pad", 13, {x, ints({2}, {-1, 2})}), floats({6}, {2, 3, 4, 5, 0, 0}));
  EXPECT_TENSOR(run("Pad", 13, {x, ints({2}, {1, -2})}, {{"mode", std::string("reflect")}}),
                floats({4}, {2, 1, 2, 3}));
  EXPECT_TENSOR(run("Pad", 13, {x, ints({2}, {-2, -3})}), Tensor(DataType::float32, {0}));
}

TEST(Pad, EmptyAndPacked) {
  EXPECT_TENSOR(run("Pad", 13, {Tensor(DataType::float32, {0}), ints({2}, {1, 1}), floats({1}, {3})}),
                floats({2}, {3, 3}));
  Tensor packed = Tensor::zeros(DataType::uint4, {3}), value = Tensor::zeros(DataType::uint4, {});
  static_cast<uint8_t*>(packed.mutable_raw())[0] = 0x21;
  static_cast<uint8_t*>(packed.mutable_raw())[1] = 0x03;
  static_cast<uint8_t*>(value.mutable_raw())[0] = 0x09;
  const Tensor y = run("Pad", 21, {packed, ints({2}, {1, 1}), value});
  const auto* bytes = static_cast<const uint8_t*>(y.raw());
  EXPECT_EQ(y.dims(), Dims{5});
  EXPECT_EQ((std::vector<int>{bytes[0], bytes[1], bytes[2]}), (std::vector<int>{0x19, 0x32, 0x09}));
}

TEST(Pad, Refuses) {
  const Tensor x = floats({2}, {1, 2});
  const auto refuse = [&](const std::vector<Tensor>& in, NamedAttributes attributes, const char* part,
                          ErrorCode code = ErrorCode::invalid_model) {
    expect_error([&] { run("Pad", 18, in, attributes); }, code, part);
  };
  refuse({x, ints({3}, {1, 1, 1})}, {}, "3 pads for 1 axes");
  refuse({x, ints({2}, {-2, -1})}, {}, "crop more than");
  refuse({x, ints({2}, {1, 1}), ints({}, {1})}, {}, "element type int64");
  refuse({x, ints({2}, {1, 1}), x}, {}, "constant_value has shape");
  refuse({x, ints({2}, {1, 1})}, {{"mode", std::string("mirror")}}, "mode is 'mirror'");
  refuse({Tensor(DataType::float32, {0}), ints({2}, {1, 0})}, {{"mode", std::string("edge")}}, "empty axis");
  refuse({x, ints({2}, {INT64_MAX, INT64_MAX})}, {}, "", ErrorCode::limit);
  refuse({x, ints({2}, {INT64_MIN, 0})}, {}, "", ErrorCode::limit);
  EXPECT_EQ(
      to_string(
          infer("Pad", 13, {typed(DataType::float32, Shape{symbol("N"), 3}), elements({0, 1, 0, 1})}).type),
      "float32[N, 5]");
}

// ---- Expand, Tile, Trilu

TEST(Expand, Broadcasts) {
  const Tensor x = floats({3, 1}, {1, 2, 3});
  EXPECT_TENSOR(run("Expand", 8, {x, ints({2}, {1, 2})}), floats({3, 2}, {1, 1, 2, 2, 3, 3}));
  EXPECT_TENSOR(run("Expand", 13, {x, ints({3}, {2, 1, 2})}),
                floats({2, 3, 2}, {1, 1, 2, 2, 3, 3, 1, 1, 2, 2, 3, 3}));
  EXPECT_TENSOR(run("Expand", 13, {strings({}, {"s"}), ints({1}, {3})}), strings({3}, {"s", "s", "s"}));
  EXPECT_EQ(run("Expand", 13, {x, ints({2}, {3, 0})}).dims(), (Dims{3, 0}));
  expect_error(
      [&] {
        run("Expand", 13, {x, ints({2}, {2, 2})});
      },
      ErrorCode::invalid_model, "cannot be broadcast");
  expect_error([&] { run("Expand", 13, {x, ints({2}, {3, -1})}); }, ErrorCode::invalid_model, "contains -1");
  expect_error(
      [&] {
        run("Expand", 13, {floats({1}, {1}), ints({3}, {int64_t{1} << 40, int64_t{1} << 40, 1})});
      },
      ErrorCode::limit, "");
  EXPECT_EQ(
      to_string(
          infer("Expand", 13, {typed(DataType::float32, Shape{1, 4}), elements({symbol("N"), 1})}).type),
      "float32[N, 4]");
}

TEST(Tile, Versions) {
  const Tensor x = floats({2, 2}, {1, 2, 3, 4});
  EXPECT_TENSOR(run("Tile", 6, {x, ints({2}, {2, 3})}),
                floats({4, 6}, {1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4, 1, 2, 1, 2, 1, 2, 3, 4, 3, 4, 3, 4}));
  EXPECT_TENSOR(run("Tile", 1, {x, floats({}, {2}), floats({}, {1})}),
                floats({2, 4}, {1, 2, 1, 2, 3, 4, 3, 4}));
  EXPECT_EQ(run("Tile", 13, {x, ints({2}, {0, 1})}).dims(), (Dims{0, 2}));
  expect_error(
      [&] {
        run("Tile", 13, {x, ints({1}, {2})});
      },
      ErrorCode::invalid_model, "1 repeats for an input of rank 2");
  expect_error([&] { run("Tile", 13, {x, ints({2}, {-1, 1})}); }, ErrorCode::invalid_model, "-1 times");
  expect_error([&] { run("Tile", 13, {x, ints({2}, {INT64_MAX, 1})}); }, ErrorCode::limit, "");
  EXPECT_EQ(
      to_string(infer("Tile", 13, {typed(DataType::float32, Shape{symbol("N"), 4}), elements({1, 2})}).type),
      "float32[N, 8]");
}

TEST(Trilu, Diagonals) {
  const Tensor x = iota(DataType::int64, {3, 4}, 1);
  EXPECT_TENSOR(run("Trilu", 14, {x}), ints({3, 4}, {1, 2, 3, 4, 0, 6, 7, 8, 0, 0, 11, 12}));
  EXPECT_TENSOR(run("Trilu", 14, {x, ints({}, {1})}), ints({3, 4}, {0, 2, 3, 4, 0, 0, 7, 8, 0, 0, 0, 12}));
  EXPECT_TENSOR(run("Trilu", 14, {x, ints({}, {-1})}, {{"upper", int64_t{0}}}),
                ints({3, 4}, {0, 0, 0, 0, 5, 0, 0, 0, 9, 10, 0, 0}));
  EXPECT_TENSOR(run("Trilu", 14, {x, ints({}, {INT64_MIN})}), x);
  EXPECT_TENSOR(run("Trilu", 14, {x, ints({}, {INT64_MAX})}, {{"upper", int64_t{0}}}), x);
  expect_error([] { run("Trilu", 14, {ints({2}, {1, 2})}); }, ErrorCode::invalid_model, "rank 1");
}

// ---- the copy beneath them

TEST(StridedCopy, BigTensorsInParallel) {
  const Tensor x = iota(DataType::int32, {300, 700});
  const Tensor y = run("Transpose", 13, {x});
  for (int64_t i = 0; i < 700; ++i) {
    for (int64_t j = 0; j < 300; ++j) ASSERT_EQ(y.data<int32_t>()[i * 300 + j], j * 700 + i);
  }
  const Tensor z = slice(x, {-1}, {INT64_MIN}, {0}, {-1});
  for (int64_t i = 0; i < 300; ++i) ASSERT_EQ(z.data<int32_t>()[i * 700 + 5], (299 - i) * 700 + 5);
}

}  // namespace
}  // namespace plica::test
