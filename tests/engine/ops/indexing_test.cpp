#include <gmock/gmock.h>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using ::testing::ElementsAre;

NamedAttributes axis(int64_t a) { return {{"axis", a}}; }

TEST(Gather, AlongAnAxis) {
  const Tensor x = iota(DataType::float32, {2, 3, 2});
  EXPECT_TENSOR(run("Gather", 13, {x, ints({2}, {2, 0})}, axis(1)),
                floats({2, 2, 2}, {4, 5, 0, 1, 10, 11, 6, 7}));
  EXPECT_TENSOR(run("Gather", 1, {x, ints({}, {-1})}), floats({3, 2}, {6, 7, 8, 9, 10, 11}));
  EXPECT_TENSOR(run("Gather", 11, {x, Tensor::of<int32_t>({0, 1}, {1, 2})}, axis(-1)).reshaped({12}),
                iota(DataType::float32, {12}));
  EXPECT_TENSOR(run("Gather", 13, {x, ints({0}, {})}, axis(1)), floats({2, 0, 2}, {}));
  EXPECT_TENSOR(run("Gather", 13, {Tensor(DataType::float32, {3, 0}), ints({2}, {1, 2})}),
                floats({2, 0}, {}));
  EXPECT_TENSOR(run("Gather", 13, {Tensor::vector({std::string("a"), std::string("b")}), ints({}, {1})}),
                Tensor::scalar(std::string("b")));
  const Tensor big = iota(DataType::float64, {300, 200});  // in parallel
  EXPECT_TENSOR(run("Gather", 13, {big, iota(DataType::int64, {300}, -300)}), big);
}

TEST(Gather, Errors) {
  const Tensor x = iota(DataType::float32, {2, 3});
  expect_error(
      [&] {
        run("Gather", 13, {x, ints({1}, {2})});
      },
      ErrorCode::invalid_argument, "index 2 is out of range for an axis of size 2");
  expect_error([&] { run("Gather", 13, {x, ints({1}, {-3})}); }, ErrorCode::invalid_argument, "index -3");
  expect_error(
      [&] {
        run("Gather", 13, {Tensor(DataType::float32, {0}), ints({1}, {0})});
      },
      ErrorCode::invalid_argument, "out of range");
  expect_error(
      [&] {
        run("Gather", 13, {x, ints({1}, {0})}, axis(2));
      },
      ErrorCode::invalid_model, "out of range");
  expect_error([&] { run("Gather", 13, {x, floats({1}, {0})}); }, ErrorCode::invalid_model, "input 1");
  expect_error(
      [&] {
        run("Gather", 13, {Tensor::scalar(1.0f), ints({1}, {0})});
      },
      ErrorCode::invalid_model, "scalar");
}

TEST(Gather, Inference) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3});
  EXPECT_EQ(inferred_type("Gather", 13, {x, typed(DataType::int64, Shape{symbol("M"), 4})}, axis(1)),
            "float32[N, M, 4]");
  EXPECT_EQ(inferred_type("Gather", 13, {x, typed(DataType::int64)}), "float32[...]");
  Facts shape = typed(DataType::int64, Shape{3});
  shape.elements = {symbol("N"), Dim(3), Dim()};
  EXPECT_THAT(*infer("Gather", 13, {shape, Facts::of(ints({}, {0}))}).elements, ElementsAre(symbol("N")));
  EXPECT_THAT(*infer("Gather", 13, {shape, Facts::of(ints({2}, {-2, 0}))}).elements,
              ElementsAre(Dim(3), symbol("N")));
  EXPECT_FALSE(infer("Gather", 13, {shape, Facts::of(ints({1, 1}, {0}))}).elements.has_value());
  expect_error(
      [&] {
        infer("Gather", 13, {shape, Facts::of(ints({}, {3}))});
      },
      ErrorCode::invalid_argument, "out of range");
}

TEST(GatherElements, ByPosition) {
  const Tensor x = floats({2, 2}, {1, 2, 3, 4});
  EXPECT_TENSOR(run("GatherElements", 13, {x, ints({2, 2}, {0, 0, 1, 0})}, axis(1)),
                floats({2, 2}, {1, 1, 4, 3}));
  EXPECT_TENSOR(
      run("GatherElements", 11, {iota(DataType::float32, {3, 3}, 1), ints({2, 3}, {-2, -1, 0, -2, 0, 0})}),
      floats({2, 3}, {4, 8, 3, 4, 2, 3}));
  EXPECT_TENSOR(run("GatherElements", 13, {x, ints({0, 2}, {})}), floats({0, 2}, {}));
  expect_error(
      [&] {
        run("GatherElements", 13, {x, ints({1, 1}, {2})});
      },
      ErrorCode::invalid_argument, "index 2");
  expect_error([&] { run("GatherElements", 13, {x, ints({1}, {0})}); }, ErrorCode::invalid_model, "rank");
  expect_error(
      [&] {
        run("GatherElements", 13, {x, ints({1, 3}, {0, 0, 0})});
      },
      ErrorCode::invalid_model, "exceed");
}

// The examples of https://onnx.ai/onnx/operators/onnx__GatherND.html
TEST(GatherND, Examples) {
  const Tensor square = ints({2, 2}, {0, 1, 2, 3}), cube = ints({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_TENSOR(run("GatherND", 11, {square, ints({2, 2}, {0, 0, 1, 1})}), ints({2}, {0, 3}));
  EXPECT_TENSOR(run("GatherND", 12, {square, ints({2, 1}, {1, 0})}), ints({2, 2}, {2, 3, 0, 1}));
  EXPECT_TENSOR(run("GatherND", 13, {cube, ints({2, 1, 2}, {0, 1, 1, 0})}), ints({2, 1, 2}, {2, 3, 4, 5}));
  EXPECT_TENSOR(run("GatherND", 13, {cube, ints({2, 1}, {1, -2})}, {{"batch_dims", int64_t{1}}}),
                ints({2, 2}, {2, 3, 4, 5}));
  EXPECT_TENSOR(run("GatherND", 13, {square, ints({0, 2}, {})}), ints({0}, {}));
  expect_error(
      [&] {
        run("GatherND", 13, {square, ints({1, 2}, {0, 2})});
      },
      ErrorCode::invalid_argument, "index 2");
  expect_error(
      [&] {
        run("GatherND", 13, {square, ints({1, 3}, {0, 0, 0})});
      },
      ErrorCode::invalid_model, "tuples of 3");
  expect_error(
      [&] {
        run("GatherND", 13, {cube, ints({3, 1}, {1, 0, 1})}, {{"batch_dims", int64_t{1}}});
      },
      ErrorCode::invalid_model, "differ");
  expect_error(
      [&] {
        run("GatherND", 13, {square, ints({2, 1}, {1, 0})}, {{"batch_dims", int64_t{2}}});
      },
      ErrorCode::invalid_model, "batch_dims");
  EXPECT_EQ(inferred_type("GatherND", 13,
                          {typed(DataType::float32, Shape{symbol("A"), 4, symbol("C")}),
                           typed(DataType::int64, Shape{symbol("N"), 2})}),
            "float32[N, C]");
}

TEST(Scatter, ElementsWithReductions) {
  const Tensor x = floats({1, 5}, {1, 2, 3, 4, 5}), i = ints({1, 2}, {1, -2}), u = floats({1, 2}, {1.5, 2.5});
  EXPECT_TENSOR(run("ScatterElements", 18, {x, i, u}, axis(1)), floats({1, 5}, {1, 1.5, 3, 2.5, 5}));
  EXPECT_TENSOR(run("Scatter", 9, {x, i, u}, axis(1)), floats({1, 5}, {1, 1.5, 3, 2.5, 5}));
  const auto reduce = [&](const char* how) {
    return run("ScatterElements", 18, {x, ints({1, 3}, {1, 1, 3}), floats({1, 3}, {2, 3, 1})},
               {{"axis", int64_t{1}}, {"reduction", std::string(how)}});
  };
  EXPECT_TENSOR(reduce("add"), floats({1, 5}, {1, 7, 3, 5, 5}));
  EXPECT_TENSOR(reduce("mul"), floats({1, 5}, {1, 12, 3, 4, 5}));
  EXPECT_TENSOR(reduce("max"), floats({1, 5}, {1, 3, 3, 4, 5}));
  EXPECT_TENSOR(reduce("min"), floats({1, 5}, {1, 2, 3, 1, 5}));
  expect_error([&] { reduce("mean"); }, ErrorCode::invalid_model, "reduction");
  expect_error(
      [&] {
        run("ScatterElements", 18, {x, ints({1, 1}, {5}), floats({1, 1}, {0})}, axis(1));
      },
      ErrorCode::invalid_argument, "index 5");
  expect_error(
      [&] {
        run("ScatterElements", 18, {x, i, floats({1, 1}, {0})}, axis(1));
      },
      ErrorCode::invalid_model, "differ");
  expect_error(
      [&] {
        run("ScatterElements", 18, {x, i, ints({1, 2}, {0, 0})}, axis(1));
      },
      ErrorCode::invalid_model, "updates are of type int64");
  expect_error([&] { run("Scatter", 11, {x, i, u}, axis(1)); }, ErrorCode::unsupported, "Scatter");
  EXPECT_TENSOR(x, floats({1, 5}, {1, 2, 3, 4, 5}), 0, 0) << "the data is not written";
}

TEST(Scatter, NDimensional) {
  const Tensor x = iota(DataType::float32, {8}, 1);
  EXPECT_TENSOR(run("ScatterND", 11, {x, ints({4, 1}, {4, 3, 1, 7}), floats({4}, {9, 10, 11, 12})}),
                floats({8}, {1, 11, 3, 10, 9, 6, 7, 12}));
  EXPECT_TENSOR(
      run("ScatterND", 18, {floats({2, 2}, {1, 2, 3, 4}), ints({2, 1}, {1, 1}), floats({2, 2}, {1, 1, 2, 2})},
          {{"reduction", std::string("add")}}),
      floats({2, 2}, {1, 2, 6, 7}));
  expect_error(
      [&] {
        run("ScatterND", 18, {x, ints({1, 1}, {8}), floats({1}, {0})});
      },
      ErrorCode::invalid_argument, "index 8");
  expect_error(
      [&] {
        run("ScatterND", 18, {x, ints({1, 2}, {0, 0}), floats({1}, {0})});
      },
      ErrorCode::invalid_model, "tuples of 2");
  expect_error(
      [&] {
        run("ScatterND", 18, {x, ints({1, 1}, {0}), floats({1, 1}, {0})});
      },
      ErrorCode::invalid_model, "updates");
}

TEST(TopK, OrdersAndVersions) {
  const Tensor x = floats({2, 4}, {1, 3, 3, 2, 7, kNan, 5, 6});
  auto r = run_all("TopK", 11, {x, ints({1}, {2})}, {}, 2);
  EXPECT_TENSOR(r[0], floats({2, 2}, {3, 3, kNan, 7}));
  EXPECT_TENSOR(r[1], ints({2, 2}, {1, 2, 1, 0}));
  r = run_all("TopK", 24, {x, ints({1}, {3})}, {{"largest", int64_t{0}}, {"axis", int64_t{1}}}, 2);
  EXPECT_TENSOR(r[0], floats({2, 3}, {1, 2, 3, 5, 6, 7}));
  EXPECT_TENSOR(r[1], ints({2, 3}, {0, 3, 1, 2, 3, 0}));
  r = run_all("TopK", 1, {x}, {{"k", int64_t{1}}, {"axis", int64_t{0}}}, 2);
  EXPECT_TENSOR(r[0], floats({1, 4}, {7, kNan, 5, 6}));
  EXPECT_TENSOR(run("TopK", 10, {Tensor::vector<int64_t>({5, 9, 1}), ints({1}, {3})}), ints({3}, {9, 5, 1}));
  EXPECT_TENSOR(run("TopK", 11, {x, ints({1}, {0})}), floats({2, 0}, {}));
  expect_error(
      [&] {
        run("TopK", 11, {x, ints({1}, {5})});
      },
      ErrorCode::invalid_model, "k is 5, the axis has 4");
  expect_error([&] { run("TopK", 11, {x, ints({1}, {-1})}); }, ErrorCode::invalid_model, "k is -1");
  expect_error(
      [&] {
        run("TopK", 11, {Tensor::scalar(1.0f), ints({1}, {1})});
      },
      ErrorCode::invalid_model, "scalar");
  EXPECT_EQ(
      inferred_type("TopK", 11, {typed(DataType::float32, Shape{symbol("N"), 9}), Facts::of(ints({1}, {4}))}),
      "float32[N, 4]");
  EXPECT_EQ(
      inferred_type("TopK", 11,
                    {typed(DataType::float32, Shape{symbol("N"), 9}), typed(DataType::int64, Shape{1})}),
      "float32[N, ?]");
}

TEST(OneHot, AxesAndRanges) {
  const Tensor values = floats({2}, {2, 5});
  EXPECT_TENSOR(run("OneHot", 11, {ints({3}, {0, -1, 3}), ints({}, {3}), values}),
                floats({3, 3}, {5, 2, 2, 2, 2, 5, 2, 2, 2}));
  EXPECT_TENSOR(run("OneHot", 9, {floats({2}, {1, 0}), floats({1}, {2}), values}, axis(0)),
                floats({2, 2}, {2, 5, 5, 2}));
  expect_error(
      [&] {
        run("OneHot", 11, {ints({1}, {0}), ints({}, {0}), values});
      },
      ErrorCode::invalid_argument, "depth");
  expect_error(
      [&] {
        run("OneHot", 11, {ints({1}, {0}), ints({}, {2}), floats({1}, {0})});
      },
      ErrorCode::invalid_model, "[off, on]");
  expect_error(
      [&] {
        run("OneHot", 11, {ints({1}, {0}), ints({}, {2}), values}, axis(2));
      },
      ErrorCode::invalid_model, "out of range");
  EXPECT_EQ(inferred_type("OneHot", 11,
                          {typed(DataType::int64, Shape{symbol("N"), 4}), Facts::of(ints({}, {7})),
                           typed(DataType::float32, Shape{2})},
                          axis(1)),
            "float32[N, 7, 4]");
}

TEST(NonZero, Positions) {
  EXPECT_TENSOR(run("NonZero", 13, {floats({2, 2}, {1, 0, 1, kNan})}), ints({2, 3}, {0, 1, 1, 0, 0, 1}));
  EXPECT_TENSOR(run("NonZero", 9, {tensor(DataType::boolean, {3}, {0, 0, 0})}), ints({1, 0}, {}));
  EXPECT_TENSOR(run("NonZero", 13, {Tensor::scalar(5.0f)}), ints({0, 1}, {}));
  EXPECT_TENSOR(run("NonZero", 13, {Tensor(DataType::int32, {2, 0})}), ints({2, 0}, {}));
}

TEST(Compress, SelectsSlices) {
  const Tensor x = floats({3, 2}, {1, 2, 3, 4, 5, 6});
  EXPECT_TENSOR(run("Compress", 11, {x, tensor(DataType::boolean, {3}, {0, 1, 1})}, axis(0)),
                floats({2, 2}, {3, 4, 5, 6}));
  EXPECT_TENSOR(run("Compress", 9, {x, tensor(DataType::boolean, {2}, {0, 1})}, axis(-1)),
                floats({3, 1}, {2, 4, 6}));
  EXPECT_TENSOR(run("Compress", 11, {x, tensor(DataType::boolean, {5}, {0, 1, 0, 0, 1})}),
                floats({2}, {2, 5}));
  expect_error(
      [&] {
        run("Compress", 11, {x, tensor(DataType::boolean, {4}, {0, 0, 0, 1})}, axis(0));
      },
      ErrorCode::invalid_argument, "beyond");
  expect_error(
      [&] {
        run("Compress", 11, {x, tensor(DataType::boolean, {1, 1}, {1})});
      },
      ErrorCode::invalid_model, "rank 2");
}

}  // namespace
}  // namespace plica::test
