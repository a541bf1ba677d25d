#include <gmock/gmock.h>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using ::testing::ElementsAre;

TEST(Constant, EveryFormOfValue) {
  EXPECT_TENSOR(run("Constant", 1, {}, {{"value", floats({2}, {1, 2})}}), floats({2}, {1, 2}));
  EXPECT_TENSOR(run("Constant", 13, {}, {{"value_float", 1.5f}}), floats({}, {1.5}));
  EXPECT_TENSOR(run("Constant", 13, {}, {{"value_floats", std::vector<float>{1, 2}}}), floats({2}, {1, 2}));
  EXPECT_TENSOR(run("Constant", 13, {}, {{"value_int", int64_t{7}}}), ints({}, {7}));
  EXPECT_TENSOR(run("Constant", 13, {}, {{"value_ints", std::vector<int64_t>{}}}), ints({0}, {}));
  EXPECT_TENSOR(run("Constant", 13, {}, {{"value_string", std::string("a")}}),
                Tensor::scalar(std::string("a")));
  EXPECT_TENSOR(run("Constant", 13, {}, {{"value_strings", std::vector<std::string>{"a", "b"}}}),
                Tensor::vector({std::string("a"), std::string("b")}));
}

TEST(Constant, SparseValues) {
  const SparseTensor linear{floats({2}, {5, 7}), ints({2}, {1, 5}), {2, 3}, ""};
  EXPECT_TENSOR(run("Constant", 11, {}, {{"sparse_value", linear}}), floats({2, 3}, {0, 5, 0, 0, 0, 7}));
  const SparseTensor pairs{floats({2}, {5, 7}), ints({2, 2}, {0, 1, 1, 2}), {2, 3}, ""};
  EXPECT_TENSOR(run("Constant", 13, {}, {{"sparse_value", pairs}}), floats({2, 3}, {0, 5, 0, 0, 0, 7}));
  const SparseTensor beyond{floats({1}, {5}), ints({1, 2}, {0, 3}), {2, 3}, ""};
  expect_error(
      [&] {
        run("Constant", 13, {}, {{"sparse_value", beyond}});
      },
      ErrorCode::invalid_model, "sparse index 3 is out of range");
  const SparseTensor negative{floats({1}, {5}), ints({1}, {-1}), {2, 3}, ""};
  expect_error(
      [&] {
        run("Constant", 13, {}, {{"sparse_value", negative}});
      },
      ErrorCode::invalid_model, "out of range");
  const SparseTensor mismatched{floats({2}, {5, 6}), ints({1}, {0}), {2, 3}, ""};
  expect_error(
      [&] {
        run("Constant", 13, {}, {{"sparse_value", mismatched}});
      },
      ErrorCode::invalid_model, "indices of shape [1]");
  const SparseTensor huge{floats({1}, {5}), ints({1}, {0}), {int64_t{1} << 40}, ""};
  expect_error(
      [&] {
        run("Constant", 13, {}, {{"sparse_value", huge}});
      },
      ErrorCode::limit, "sparse constant");
}

TEST(Constant, Errors) {
  expect_error([] { run("Constant", 13, {}); }, ErrorCode::invalid_model, "needs one value");
  expect_error(
      [] {
        run("Constant", 13, {}, {{"value_int", int64_t{1}}, {"value_float", 1.0f}});
      },
      ErrorCode::invalid_model, "it has 2");
  expect_error(
      [] {
        run("Constant", 11, {}, {{"value_int", int64_t{1}}});
      },
      ErrorCode::invalid_model, "'value_int'");
  expect_error([] { run("Constant", 1, {}); }, ErrorCode::invalid_model, "'value' is missing");
}

TEST(Constant, InferenceKnowsTheValue) {
  const Facts f = infer("Constant", 13, {}, {{"value_ints", std::vector<int64_t>{1, -1}}});
  EXPECT_THAT(*f.elements, ElementsAre(Dim(1), Dim(-1)));
  EXPECT_TENSOR(f.constant, ints({2}, {1, -1}));
}

TEST(ConstantOfShape, FillsEveryType) {
  EXPECT_TENSOR(run("ConstantOfShape", 9, {ints({2}, {2, 3})}), floats({2, 3}, {0, 0, 0, 0, 0, 0}));
  EXPECT_TENSOR(run("ConstantOfShape", 9, {ints({1}, {3})}, {{"value", ints({1}, {5})}}),
                ints({3}, {5, 5, 5}));
  EXPECT_TENSOR(run("ConstantOfShape", 9, {ints({0}, {})}, {{"value", ints({1}, {5})}}), ints({}, {5}));
  EXPECT_TENSOR(run("ConstantOfShape", 9, {ints({2}, {0, 3})}), floats({0, 3}, {}));
  Tensor nibble(DataType::int4, {1});
  *static_cast<uint8_t*>(nibble.mutable_raw()) = 0x0d;
  const Tensor filled = run("ConstantOfShape", 21, {ints({1}, {3})}, {{"value", nibble}});
  EXPECT_EQ(static_cast<const uint8_t*>(filled.raw())[0], 0xdd);
  EXPECT_EQ(static_cast<const uint8_t*>(filled.raw())[1], 0x0d);
  expect_error([] { run("ConstantOfShape", 9, {ints({1}, {-2})}); }, ErrorCode::invalid_model, "-2");
  expect_error(
      [] {
        run("ConstantOfShape", 9, {ints({1}, {2})}, {{"value", ints({2}, {1, 2})}});
      },
      ErrorCode::invalid_model, "2 elements");
  expect_error([] { run("ConstantOfShape", 9, {ints({2}, {INT64_MAX, INT64_MAX})}); }, ErrorCode::limit, "");
  Facts shape = typed(DataType::int64, Shape{2});
  EXPECT_EQ(to_string(infer("ConstantOfShape", 9, {shape}).type), "float32[?, ?]");
  shape.elements = {symbol("N"), Dim(4)};
  EXPECT_EQ(to_string(infer("ConstantOfShape", 9, {shape}).type), "float32[N, 4]");
}

TEST(Shape, SlicesByVersion) {
  const Tensor x(DataType::float32, {2, 3, 4});
  EXPECT_TENSOR(run("Shape", 1, {x}), ints({3}, {2, 3, 4}));
  EXPECT_TENSOR(run("Shape", 15, {x}, {{"start", int64_t{1}}}), ints({2}, {3, 4}));
  EXPECT_TENSOR(run("Shape", 15, {x}, {{"start", int64_t{-1}}}), ints({1}, {4}));
  EXPECT_TENSOR(run("Shape", 15, {x}, {{"end", int64_t{-1}}}), ints({2}, {2, 3}));
  EXPECT_TENSOR(run("Shape", 15, {x}, {{"start", int64_t{-9}}, {"end", int64_t{9}}}), ints({3}, {2, 3, 4}));
  EXPECT_TENSOR(run("Shape", 15, {x}, {{"start", int64_t{2}}, {"end", int64_t{1}}}), ints({0}, {}));
  EXPECT_TENSOR(run("Shape", 19, {Tensor::scalar(1.0f)}), ints({0}, {}));
  EXPECT_TENSOR(run("Size", 13, {x}), ints({}, {24}));
  EXPECT_TENSOR(run("Size", 1, {Tensor(DataType::string, {0, 5})}), ints({}, {0}));
  expect_error([&] { run("Shape", 13, {x}, {{"start", int64_t{1}}}); }, ErrorCode::invalid_model, "'start'");
}

TEST(Shape, SymbolsAreElements) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, Dim()});
  EXPECT_THAT(*infer("Shape", 15, {x}).elements, ElementsAre(symbol("N"), Dim(3), Dim()));
  EXPECT_THAT(*infer("Shape", 15, {x}, {{"end", int64_t{-1}}}).elements, ElementsAre(symbol("N"), Dim(3)));
  EXPECT_EQ(inferred_type("Shape", 15, {typed(DataType::float32)}), "int64[?]");
  EXPECT_THAT(*infer("Size", 13, {typed(DataType::float32, Shape{symbol("N"), 1})}).elements,
              ElementsAre(symbol("N")));
}

// Shape -> Gather -> Mul: what exporters write for "N * 6".
TEST(Shape, FollowedThroughAGraph) {
  ModelGraph model;
  model.opset_imports = {{"", 17}};
  Graph& g = model.graph;
  Value* x = g.add_input("x", Type::tensor(DataType::float32, Shape{symbol("N"), 3, 2}));
  Value* shape = g.add_value("shape");
  g.add_node("Shape", "", {x}, {shape});
  Value* picked = g.add_value("picked");
  g.add_node("Gather", "", {shape, g.add_initializer("i", ints({2}, {0, -2}))}, {picked});
  Value* filled = g.add_value("filled");
  g.add_node("ConstantOfShape", "", {picked}, {filled});
  Value* scaled = g.add_value("scaled");
  g.add_node("Mul", "", {picked, g.add_initializer("two", ints({1}, {2}))}, {scaled});
  g.add_output(filled);
  g.add_output(scaled);
  const GraphFacts symbolic = infer_graph(g);
  EXPECT_EQ(to_string(symbolic.at(filled).type), "float32[N, 3]");
  EXPECT_THAT(*symbolic.at(scaled).elements, ElementsAre(Dim(), Dim(6)));
  InferOptions concrete;
  concrete.inputs[x] = Type::tensor(DataType::float32, Shape{5, 3, 2});
  const GraphFacts known = infer_graph(g, concrete);
  EXPECT_EQ(to_string(known.at(filled).type), "float32[5, 3]");
  EXPECT_TENSOR(known.at(scaled).constant, ints({2}, {10, 6}));
}

TEST(Identity, PassesAnythingOn) {
  const Tensor x = Tensor::vector({std::string("a")});
  EXPECT_TENSOR(run("Identity", 13, {x}), x);
  Facts sequence;
  sequence.type = Type::sequence(Type::tensor(DataType::float32));
  EXPECT_EQ(infer("Identity", 16, {sequence}).type, sequence.type);
  Facts shape = Facts::of(ints({1}, {4}));
  EXPECT_THAT(*infer("Identity", 13, {shape}).elements, ElementsAre(Dim(4)));
}

TEST(Dropout, InferenceIsTheIdentity) {
  const Tensor x = random(DataType::float32, {4, 5});
  const Tensor all = tensor(DataType::boolean, {4, 5}, std::vector<double>(20, 1));
  EXPECT_TENSOR(run("Dropout", 1, {x}, {{"is_test", int64_t{1}}, {"ratio", 0.3f}}), x);
  EXPECT_TENSOR(run_all("Dropout", 7, {x}, {}, 2)[1], floats({4, 5}, std::vector<double>(20, 1)));
  EXPECT_TENSOR(run_all("Dropout", 10, {x}, {}, 2)[1], all);
  const auto results = run_all("Dropout", 13, {x, floats({}, {0.5})}, {}, 2);
  EXPECT_TENSOR(results[0], x);
  EXPECT_TENSOR(results[1], all);
  EXPECT_TENSOR(run("Dropout", 13, {x, floats({}, {0.5}), tensor(DataType::boolean, {}, {0})}), x);
  EXPECT_TENSOR(run("Dropout", 13, {x, floats({}, {0}), tensor(DataType::boolean, {}, {1})}), x);
  expect_error([&] { run("Dropout", 13, {x}, {{"ratio", 0.5f}}); }, ErrorCode::invalid_model, "'ratio'");
}

TEST(Dropout, TrainingDropsAndScales) {
  const Tensor x = tensor(DataType::float32, {1000}, std::vector<double>(1000, 2));
  const std::vector<Tensor> inputs = {x, floats({}, {0.75}), tensor(DataType::boolean, {}, {1})};
  const auto results = run_all("Dropout", 13, inputs, {{"seed", int64_t{3}}}, 2);
  int kept = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    kept += results[1].data<bool>()[i];
    EXPECT_EQ(results[0].data<float>()[i], results[1].data<bool>()[i] ? 8 : 0);
  }
  EXPECT_NEAR(kept, 250, 60);
  EXPECT_TENSOR(run("Dropout", 13, inputs, {{"seed", int64_t{3}}}), results[0], 0, 0);
  // numpy.random.seed(0); numpy.random.uniform(size=4) is 0.5488, 0.7152, 0.6028, 0.5449.
  EXPECT_TENSOR(
      run("Dropout", 13, {floats({4}, {1, 1, 1, 1}), floats({}, {0.6}), tensor(DataType::boolean, {}, {1})},
          {{"seed", int64_t{0}}}),
      floats({4}, {0, 2.5, 2.5, 0}));
  expect_error(
      [&] {
        run("Dropout", 13, {x, floats({}, {1}), tensor(DataType::boolean, {}, {1})});
      },
      ErrorCode::invalid_argument, "ratio");
}

TEST(Range, CountsAndErrors) {
  const auto range = [](const Tensor& a, const Tensor& b, const Tensor& c) {
    return run("Range", 11, {a, b, c});
  };
  EXPECT_TENSOR(range(ints({}, {3}), ints({}, {9}), ints({}, {3})), ints({2}, {3, 6}));
  EXPECT_TENSOR(range(ints({}, {10}), ints({}, {4}), ints({}, {-2})), ints({3}, {10, 8, 6}));
  EXPECT_TENSOR(range(ints({}, {4}), ints({}, {10}), ints({}, {-2})), ints({0}, {}));
  EXPECT_TENSOR(range(ints({}, {0}), ints({}, {7}), ints({}, {3})), ints({3}, {0, 3, 6}));
  EXPECT_TENSOR(range(floats({}, {1}), floats({}, {2}), floats({}, {0.3})), floats({4}, {1, 1.3, 1.6, 1.9}));
  EXPECT_TENSOR(
      range(Tensor::scalar(INT64_MAX - 1), Tensor::scalar<int64_t>(INT64_MAX), Tensor::scalar<int64_t>(5)),
      ints({1}, {INT64_MAX - 1}));
  EXPECT_TENSOR(run("Range", 27,
                    {tensor(DataType::float16, {}, {0}), tensor(DataType::float16, {}, {3}),
                     tensor(DataType::float16, {}, {1})}),
                tensor(DataType::float16, {3}, {0, 1, 2}));
  expect_error([&] { range(ints({}, {0}), ints({}, {1}), ints({}, {0})); }, ErrorCode::invalid_argument,
               "delta");
  expect_error([&] { range(floats({}, {0}), floats({}, {kInfinity}), floats({}, {1})); },
               ErrorCode::invalid_argument, "no length");
  expect_error([&] { range(floats({}, {kNan}), floats({}, {1}), floats({}, {1})); },
               ErrorCode::invalid_argument, "no length");
  expect_error(
      [&] { range(Tensor::scalar<int64_t>(INT64_MIN), Tensor::scalar<int64_t>(INT64_MAX), ints({}, {1})); },
      ErrorCode::limit, "too long");
  expect_error(
      [&] {
        range(ints({2}, {0, 1}), ints({}, {1}), ints({}, {1}));
      },
      ErrorCode::invalid_model, "must be a scalar");
  Facts n = typed(DataType::int64, Shape{});
  n.elements = {symbol("N")};
  EXPECT_EQ(inferred_type("Range", 11, {Facts::of(ints({}, {0})), n, Facts::of(ints({}, {1}))}), "int64[N]");
  EXPECT_EQ(inferred_type("Range", 11, {Facts::of(ints({}, {1})), n, Facts::of(ints({}, {1}))}), "int64[?]");
}

TEST(EyeLike, Diagonals) {
  const Tensor x(DataType::float32, {2, 3});
  EXPECT_TENSOR(run("EyeLike", 9, {x}), floats({2, 3}, {1, 0, 0, 0, 1, 0}));
  EXPECT_TENSOR(run("EyeLike", 9, {x}, {{"k", int64_t{1}}, {"dtype", int64_t{7}}}),
                ints({2, 3}, {0, 1, 0, 0, 0, 1}));
  EXPECT_TENSOR(run("EyeLike", 22, {x}, {{"k", int64_t{-1}}, {"dtype", int64_t{9}}}),
                tensor(DataType::boolean, {2, 3}, {0, 0, 0, 1, 0, 0}));
  for (int64_t k : {int64_t{3}, int64_t{-2}, INT64_MAX, INT64_MIN}) {
    EXPECT_TENSOR(run("EyeLike", 9, {x}, {{"k", k}}), floats({2, 3}, {0, 0, 0, 0, 0, 0}));
  }
  expect_error([] { run("EyeLike", 9, {floats({1}, {0})}); }, ErrorCode::invalid_model, "rank 1");
  expect_error([&] { run("EyeLike", 9, {x}, {{"dtype", int64_t{8}}}); }, ErrorCode::invalid_model, "'dtype'");
}

}  // namespace
}  // namespace plica::test
