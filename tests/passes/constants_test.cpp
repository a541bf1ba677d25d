// Constant folding, no-op removal and dead code.
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

TEST(FoldConstants, ShapeArithmeticOfAStaticShape) {
  Build b;
  Value* x = b.input("x", {2, 3, 4, 5});
  Value* shape = b.op("Shape", "shape", {x});
  Value* head = b.op("Slice", "head",
                     {shape, b.constant("zero", Tensor::vector<int64_t>({0})),
                      b.constant("two", Tensor::vector<int64_t>({2}))});
  Value* target = b.op("Concat", "target", {head, b.constant("rest", Tensor::vector<int64_t>({-1}))},
                       {{"axis", int64_t{0}}});
  b.output(b.op("Reshape", "reshape", {x, target}));
  optimize_and_check(b);
  EXPECT_EQ(b.graph->num_nodes(), 1u) << print(*b.graph);
  EXPECT_EQ(b.graph->find("target")->initializer()->values<int64_t>()[1], 3);
}

TEST(FoldConstants, DynamicShapesStay) {
  Build b;
  Value* x = b.input("x", {Dim::symbol("n"), 3});
  b.output(b.op("Expand", "expand", {b.random("c", {3}), b.op("Shape", "shape", {x})}));
  optimize_and_check(b);
  EXPECT_EQ(count_ops(*b.graph, "Shape"), 1);
}

TEST(FoldConstants, BombsStayAndCostNothing) {
  // 40 GB of zeros, 4 TB by Expand, and 64 doublings of a megabyte.
  Build b;
  Value* n = b.constant("n", Tensor::vector<int64_t>({10'000'000'000}));
  b.output(b.op("ConstantOfShape", "zeros", {n}));
  b.output(
      b.op("Expand", "expand",
           {b.numbers("one", {1}, {1}), b.constant("to", Tensor::vector<int64_t>({1'000'000'000'000}))}));
  Value* y = b.random("megabyte", {1 << 18});
  for (int i = 0; i < 64; ++i) y = b.op("Concat", fmt::format("double{}", i), {y, y}, {{"axis", int64_t{0}}});
  b.output(y);
  const OptimizeReport report = optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "ConstantOfShape"), 1);
  EXPECT_EQ(count_ops(*b.graph, "Expand"), 1);
  EXPECT_GT(count_ops(*b.graph, "Concat"), 50);
  int64_t bytes = 0;
  for (const Value* v : b.graph->initializers()) bytes += static_cast<int64_t>(v->initializer()->bytes());
  EXPECT_LT(bytes, int64_t{130} << 20);
}

TEST(FoldConstants, NoTensorBeyondTheLimit) {
  for (const int64_t elements : {1000, 1001}) {
    Build b;
    b.output(b.op("Add", "y", {b.input("x", {elements}), b.op("Neg", "neg", {b.random("c", {elements})})}));
    OptimizeOptions options;
    options.constant_bytes = 4000;
    optimize(*b.model, options);
    EXPECT_EQ(count_ops(*b.graph, "Neg"), elements == 1000 ? 0 : 1);
  }
}

TEST(FoldConstants, CopiesOfAConstantHaveABudget) {
  Build b;
  Value* c = b.random("c", {1000});
  Value* y = b.input("x", {1000});
  for (int i = 0; i < 6; ++i) {
    y = b.op("Add", fmt::format("y{}", i), {y, b.op(i % 2 ? "Neg" : "Abs", fmt::format("copy{}", i), {c})});
  }
  b.output(y);
  OptimizeOptions options;
  options.constant_bytes = 10'000;  // for two copies
  options.disable = {"merge_duplicates"};
  optimize(*b.model, options);
  EXPECT_EQ(count_ops(*b.graph, "Neg") + count_ops(*b.graph, "Abs"), 4);
}

TEST(FoldConstants, ManySmallZerosFromEightBytes) {
  // A megabyte of zeros is better said in eight bytes.
  Build b;
  Value* n = b.constant("n", Tensor::vector<int64_t>({1 << 18}));
  b.output(b.op("Neg", "neg", {b.op("ConstantOfShape", "zeros", {n})}));
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "ConstantOfShape"), 1);
}

TEST(FoldConstants, ALongChainOfLargeConstantsHasAnEnd) {
  Build b;
  Value* y = b.random("c", {1 << 14});
  for (int i = 0; i < 200; ++i) y = b.op("Tanh", fmt::format("tanh{}", i), {y});
  b.output(y);
  OptimizeOptions options;
  options.constant_bytes = 1 << 16;  // work for 32 of them
  optimize(*b.model, options);
  EXPECT_GT(count_ops(*b.graph, "Tanh"), 100);
  EXPECT_LT(count_ops(*b.graph, "Tanh"), 190);
}

TEST(FoldConstants, RandomNumbersAndUnknownOperatorsStay) {
  Build b;
  Value* r = b.op("RandomNormal", "random", {}, {{"shape", Ints{2}}});
  b.output(b.op("Relu", "relu", {r}));
  Value* custom = b.graph->add_value("custom");
  b.graph->add_node("Mystery", "example", {b.random("c", {2})}, {custom});
  b.output(custom);
  b.model->opset_imports.emplace_back("example", 1);
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "RandomNormal"), 1);
  EXPECT_EQ(b.graph->num_nodes(), 3u);
}

TEST(FoldConstants, WhatCannotBeComputedStays) {
  // Shapes that do not broadcast: an invalid model, which is not the optimizer's to refuse.
  Build b;
  b.output(b.op("Add", "add", {b.random("a", {2}), b.random("c", {3})}));
  EXPECT_NO_THROW(optimize(*b.model));
  EXPECT_EQ(b.graph->num_nodes(), 1u);
}

TEST(FoldConstants, GraphOutputsStayNodes) {
  Build b;
  Value* c = b.random("c", {3});
  b.output(b.op("Add", "sum", {c, c}));
  optimize_and_check(b);
  ASSERT_EQ(b.graph->num_nodes(), 1u);
  EXPECT_TRUE(b.graph->nodes()[0]->is("Constant"));
  EXPECT_EQ(b.graph->outputs()[0]->name(), "sum");
}

TEST(FoldConstants, OneNodeDoesNotBecomeThree) {
  Build b;
  Value *one = b.graph->add_value("one"), *two = b.graph->add_value("two"),
        *three = b.graph->add_value("three");
  b.graph->add_node("Split", "",
                    {b.random("c", {6}), b.constant("sizes", Tensor::vector<int64_t>({1, 2, 3}))},
                    {one, two, three});
  for (Value* v : {one, two, three}) b.output(v);
  optimize_and_check(b);
  EXPECT_EQ(b.graph->num_nodes(), 1u);
}

TEST(FoldConstants, OverridableInitializersAreNotConstants) {
  Build b;
  Value* c = b.graph->add_input("c", Type::tensor(DataType::float32, Shape{2}));
  b.graph->set_initializer(c, Tensor::vector<float>({1, 2}));
  b.output(b.op("Neg", "neg", {c}));
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "Neg"), 1);
  EXPECT_EQ(b.graph->inputs().size(), 1u);
}

TEST(FoldConstants, QuantizedConstantsStayQuantized) {
  Build b;
  Value* q = b.constant("q", Tensor::vector<int8_t>({1, 2, 3}));
  b.output(b.op("Neg", "neg",
                {b.op("DequantizeLinear", "dq",
                      {q, b.numbers("scale", {0.5}, {}), b.constant("zp", Tensor::scalar<int8_t>(0))})}));
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "DequantizeLinear"), 1);
}

TEST(RemoveNoOps, IdentityChainsEndToEnd) {
  Build b;
  Value* x = b.input("x", {2, 3});
  Value* y = b.op("Identity", "i2", {b.op("Identity", "i1", {x})});
  b.output(b.op("Identity", "out", {b.op("Relu", "relu", {y})}));
  optimize_and_check(b);
  EXPECT_EQ(print(*b.graph),
            "graph test(x: float32[2, 3]) -> (out: float32[...]) {\n"
            "  out = Relu(x)\n"
            "}\n");
}

TEST(RemoveNoOps, IdentityFromInputToOutputStays) {
  Build b;
  b.output(b.op("Identity", "out", {b.input("x", {2, 3})}));
  optimize_and_check(b);
  EXPECT_EQ(b.graph->num_nodes(), 1u);
}

TEST(RemoveNoOps, OneValueUnderTwoOutputNamesStays) {
  Build b;
  Value* y = b.op("Relu", "relu", {b.input("x", {2, 3})});
  b.output(y);
  b.output(b.op("Identity", "again", {y}));
  optimize_and_check(b);
  EXPECT_EQ(b.graph->num_nodes(), 2u);
}

TEST(RemoveNoOps, DropoutOfEveryAge) {
  const auto left = [](int64_t opset, std::vector<NamedAttribute> attributes, int mode) {
    Build b(DataType::float32, opset);
    std::vector<Value*> inputs = {b.op("Relu", "relu", {b.input("x", {2, 3})})};
    if (mode >= 0) {
      inputs.push_back(nullptr);
      inputs.push_back(b.constant("mode", Tensor::scalar<bool>(mode != 0)));
    }
    b.output(b.op("Sigmoid", "y", {b.op("Dropout", "drop", inputs, std::move(attributes))}));
    optimize(*b.model);
    return count_ops(*b.graph, "Dropout");
  };
  EXPECT_EQ(left(6, {}, -1), 1);
  EXPECT_EQ(left(6, {{"is_test", int64_t{1}}}, -1), 0);
  EXPECT_EQ(left(7, {}, -1), 0);
  EXPECT_EQ(left(10, {{"ratio", 0.3f}}, -1), 0);
  EXPECT_EQ(left(13, {}, -1), 0);
  EXPECT_EQ(left(13, {}, 0), 0);
  EXPECT_EQ(left(13, {}, 1), 1);
}

TEST(RemoveNoOps, DropoutWithAReadMaskStays) {
  Build b;
  Value *y = b.graph->add_value("y"), *mask = b.graph->add_value("mask", Type::tensor(DataType::boolean));
  b.graph->add_node("Dropout", "", {b.op("Relu", "relu", {b.input("x", {2})})}, {y, mask});
  b.output(y);
  b.output(mask);
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "Dropout"), 1);
}

TEST(RemoveNoOps, CastToTheSameTypeOnly) {
  Build b;
  Value* x = b.input("x", {2, 3});
  Value* same = b.op("Cast", "same", {b.op("Relu", "relu", {x})}, {{"to", int64_t{1}}});
  Value* half = b.op("Cast", "half", {same}, {{"to", int64_t{10}}});
  Value* back = b.op("Cast", "back", {half}, {{"to", int64_t{1}}});
  b.output(b.op("Neg", "y", {back}));
  optimize_and_check(b);
  EXPECT_EQ(count_ops(*b.graph, "Cast"), 2);
  EXPECT_FALSE(find_node(*b.graph, "same"));
}

TEST(RemoveNoOps, NamesInSubgraphsAreNotMixedUp) {
  // Inside the branch, "x" is another value: the outer x cannot take the identity's place there.
  Build b;
  Value* x = b.op("Relu", "x_inner", {b.input("x", {2})});
  Value* id = b.op("Identity", "id", {x});
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
  Node* branch = b.graph->add_node("If", "", {condition}, {out});
  for (const std::string side : {"then_branch", "else_branch"}) {
    Build inner = b.in(*b.graph->add_subgraph(branch, side));
    Value* shadow = inner.graph->add_value("x_inner");
    inner.graph->add_node("Neg", "", {id}, {shadow});
    inner.output(inner.op("Add", side + "_y", {shadow, id}));
  }
  b.output(out);
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "Identity"), 1);
  b.graph->verify();
}

TEST(RemoveDead, ChainsAndInitializersGoInputsStay) {
  Build b;
  Value* x = b.input("x", {2});
  b.input("unused_input", {2});
  b.random("unused_initializer", {4});
  Value* overridable = b.graph->add_input("default", Type::tensor(DataType::float32, Shape{1}));
  b.graph->set_initializer(overridable, Tensor::vector<float>({1}));
  b.op("Sigmoid", "dead2", {b.op("Add", "dead1", {x, b.random("only_for_dead", {2})})});
  b.output(b.op("Relu", "y", {x}));
  const OptimizeReport report = optimize(*b.model);
  EXPECT_EQ(
      print(*b.graph),
      "graph test(x: float32[2], unused_input: float32[2], default: float32[1]) -> (y: float32[...]) {\n"
      "  default = float32[1]\n"
      "  y = Relu(x)\n"
      "}\n");
  EXPECT_EQ(report.rules.at("remove_dead_node"), 1) << "one patch takes the chain";
}

TEST(RemoveDead, WhatIsAnOutputTooStays) {
  Build b;
  Value* y = b.op("Relu", "y", {b.input("x", {2})});
  b.output(y);
  b.op("Neg", "dead", {y});
  optimize_and_check(b);
  EXPECT_EQ(b.graph->num_nodes(), 1u);
}

TEST(RemoveDead, AChainOfAHundredThousandNodes) {
  Build b;
  Value* x = b.input("x", {2});
  Value* y = x;
  for (int i = 0; i < 100'000; ++i) y = b.op("Relu", fmt::format("r{}", i), {y});
  b.output(b.op("Neg", "out", {x}));
  optimize(*b.model);
  EXPECT_EQ(b.graph->num_nodes(), 1u);
}

TEST(RemoveDead, UsesInSubgraphsCount) {
  Build b;
  Value* x = b.input("x", {2});
  Value* y = b.op("Relu", "captured", {x});
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
  Node* branch = b.graph->add_node("If", "", {condition}, {out});
  for (const std::string side : {"then_branch", "else_branch"}) {
    Build inner = b.in(*b.graph->add_subgraph(branch, side));
    inner.output(inner.op("Neg", side + "_y", {y}));
  }
  b.output(out);
  optimize(*b.model);
  EXPECT_TRUE(find_node(*b.graph, "captured"));
}

}  // namespace
}  // namespace plica::testing
