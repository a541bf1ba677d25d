// Common subexpressions, equal initializers, and MatMul + Add.
#include "tests/passes/simplify.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

TEST(MergeDuplicates, WhatFollowsFromEqualInputsIsEqual) {
  Build b;
  Value* x = b.input("x", {2, 3});
  std::vector<Value*> ends;
  for (const char* side : {"a", "b"}) {
    const std::string s = side;
    Value* y = b.op("Softmax", s + "1", {x}, {{"axis", int64_t{-1}}});
    y = b.op("Max", s + "2", {y, b.numbers(s + "c", {0.25}, {})});  // equal constants of different names
    ends.push_back(b.op("Tanh", s + "3", {y}));
  }
  b.output(b.op("MatMul", "out", {ends[0], b.op("Transpose", "t", {ends[1]})}), 2);
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Softmax Max Tanh Transpose MatMul") << print(*b.graph);
  EXPECT_EQ(b.graph->initializers().size(), 1u);
}

TEST(MergeDuplicates, DifferentNodesStay) {
  Build b;
  Value *x = b.input("x", {2, 3}), *y = b.input("y", {2, 3});
  b.output(b.op("Softmax", "axis0", {x}, {{"axis", int64_t{0}}}));
  b.output(b.op("Softmax", "axis1", {x}, {{"axis", int64_t{1}}}));
  b.output(b.op("Sub", "xy", {x, y}));
  b.output(b.op("Sub", "yx", {y, x}));
  b.output(b.op("LeakyRelu", "zero", {x}, {{"alpha", 0.0f}}));
  b.output(b.op("LeakyRelu", "minus_zero", {x}, {{"alpha", -0.0f}}));
  simplify(b);
  EXPECT_EQ(b.graph->num_nodes(), 6u);
}

TEST(MergeDuplicates, RandomNodesStay) {
  Build b;
  const std::vector<NamedAttribute> attributes = {{"shape", Ints{2}}};
  b.output(b.op("Sub", "d",
                {b.op("RandomNormal", "r1", {}, attributes), b.op("RandomNormal", "r2", {}, attributes)}),
           1);
  optimize(*b.model);
  EXPECT_EQ(b.graph->num_nodes(), 3u);
}

TEST(MergeDuplicates, GraphOutputsKeepTheirNames) {
  Build b;
  Value* x = b.input("x", {2, 3});
  b.output(b.op("Tanh", "first", {x}));
  b.output(b.op("Tanh", "second", {x}));
  b.output(b.op("Sigmoid", "s", {b.op("Tanh", "inner", {x})}));
  Value* y = b.op("Exp", "e1", {x});
  b.output(b.op("Exp", "e2", {x}));
  b.output(b.op("Exp", "e3", {x}));
  b.output(b.op("Sqrt", "sqrt", {y}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Tanh Tanh Sigmoid Exp Exp Sqrt") << print(*b.graph);
}

TEST(MergeDuplicates, KeptNodesStayAndOthersMerge) {
  Build b;
  Value* x = b.input("x", {2, 3});
  for (const char* name : {"a", "b", "c", "d"}) {
    Value* y = b.op(name[0] < 'c' ? "Tanh" : "Exp", name, {x});
    b.output(b.op("Max", std::string("out") + name, {y, b.numbers("p", {name[0] * 1.0}, {})}));
  }
  OptimizeOptions options;
  options.keep = {"b"};
  simplify(b, options);
  EXPECT_EQ(count_ops(*b.graph, "Tanh"), 2);
  EXPECT_EQ(count_ops(*b.graph, "Exp"), 1);
}

TEST(MergeDuplicates, InitializersThatCallersMayOverrideStay) {
  Build b;
  Value* x = b.input("x", {3});
  const Tensor t = random_tensor(DataType::float32, {3}, 5);
  Value* given = b.graph->add_input("given", Type::tensor(DataType::float32, Shape{3}));
  b.graph->set_initializer(given, t);
  Value *a = b.constant("a", t), *c = b.constant("c", t);
  b.output(b.op("Max", "out",
                {b.op("Min", "m1", {x, a}), b.op("Mod", "m2", {x, c}, {{"fmod", int64_t{1}}}), given}),
           1);
  simplify(b);
  EXPECT_EQ(b.graph->initializers().size(), 2u);
  EXPECT_NE(b.graph->find("given"), nullptr);
}

TEST(MergeDuplicates, ReadersInSubgraphsFollow) {
  Build b;
  Value* x = b.input("x", {3});
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape{}));
  const Tensor t = random_tensor(DataType::float32, {3}, 5);
  Value *a = b.constant("a", t), *c = b.constant("c", t);
  Value* first = b.op("Max", "first", {x, a});
  Value* second = b.op("Max", "second", {x, c});
  Value* y = b.graph->add_value("y");
  Node* node = b.graph->add_node("If", "", {condition}, {y});
  for (const char* name : {"then_branch", "else_branch"}) {
    Build in = b.in(*b.graph->add_subgraph(node, name));
    Value* z = in.op(name[0] == 't' ? "Min" : "Pow", name, {second, c});
    in.output(z, 1);
  }
  b.output(y, 1);
  b.output(b.op("Tanh", "tanh", {first}));
  optimize(*b.model);
  b.graph->verify();
  EXPECT_EQ(count_ops(*b.graph, "Max"), 1) << print(*b.graph);
  EXPECT_EQ(b.graph->initializers().size(), 1u);
}

TEST(MergeDuplicates, MetadataOfFoldsIsKept) {
  Build b;
  Value* x = b.input("x", {1, 2, 4, 4});
  Value* w = b.random("w", {3, 2, 1, 1});
  const Build::Statistics s = b.statistics("bn", 3);
  for (const char* name : {"1", "2"}) {
    Value* y = b.op("Conv", std::string("conv") + name, {x, w});
    y = b.op("BatchNormalization", std::string("bn") + name, {y, s.scale, s.bias, s.mean, s.variance});
    b.output(b.op(name[0] == '1' ? "Tanh" : "Exp", std::string("out") + name, {y}), 4);
  }
  optimize_and_check(b);
  EXPECT_EQ(ops_of(*b.graph), "Conv Tanh Exp");
  EXPECT_EQ(find_node(*b.graph, "conv1")->metadata, (Metadata{{"plica.folded", "bn1, bn2"}}));
}

TEST(FuseGemm, MatMulOfMatricesAndABias) {
  for (const Dims& dims : {Dims{5}, Dims{1, 5}, Dims{1}, Dims{}, Dims{4, 5}, Dims{4, 1}}) {
    for (const bool bias_first : {false, true}) {
      Build b;
      Value* c = b.random("c", dims);
      Value* y = b.op("MatMul", "fc", {b.input("x", {4, 3}), b.input("w", {3, 5})});
      b.output(b.op("Add", "add", bias_first ? std::vector<Value*>{c, y} : std::vector<Value*>{y, c}), 2);
      optimize_and_check(b);
      EXPECT_EQ(ops_of(*b.graph), "Gemm") << to_string(dims);
      EXPECT_EQ(b.graph->nodes()[0]->name, "fc");
    }
  }
}

TEST(FuseGemm, OthersStay) {
  const auto left = [](DataType type, int64_t opset, std::vector<Dim> x, Dims w, Dims c,
                       bool constant = true) {
    Build b(type, opset);
    Value* y = b.op("MatMul", "fc", {b.input("x", x), b.random("w", w)});
    Value* bias = constant ? b.random("c", c) : b.input("c", std::vector<Dim>(c.begin(), c.end()));
    b.output(b.op("Add", "add", {y, bias}), static_cast<int>(std::max(x.size(), c.size())));
    optimize_and_check(b);
    return ops_of(*b.graph);
  };
  EXPECT_EQ(left(DataType::float32, 17, {2, 4, 3}, {3, 5}, {5}), "MatMul Add");
  EXPECT_EQ(left(DataType::float32, 17, {1, 3}, {3, 5}, {4, 5}), "MatMul Add") << "the bias is larger";
  EXPECT_EQ(left(DataType::float32, 17, {4, 3}, {3, 5}, {1, 1, 5}), "MatMul Add") << "one more axis";
  EXPECT_EQ(left(DataType::float32, 17, {4, 3}, {3, 5}, {5}, false), "MatMul Add");
  EXPECT_EQ(left(DataType::bfloat16, 17, {4, 3}, {3, 5}, {5}), "MatMul Add");
  EXPECT_EQ(left(DataType::float32, 17, {Dim::symbol("n"), 3}, {3, 5}, {5}), "Gemm");
}

// Chains and fans of 20,000 nodes: quadratic work would show as minutes.
TEST(Simplify, LongChain) {
  Build b;
  Value* y = b.input("x", {2, 3, 4});
  for (int i = 0; i < 20'000; i += 4) {
    const auto name = [i](const char* base) { return base + std::to_string(i); };
    y = b.op("Transpose", name("t"), {y}, {{"perm", Ints{1, 2, 0}}});
    y = b.op("Neg", name("neg"), {y});
    y = b.op("Concat", name("concat"), {y, y}, {{"axis", int64_t{0}}});
    y = b.op("Slice", name("slice"),
             {y, b.constant(name("start"), Tensor::vector<int64_t>({0})),
              b.constant(name("end"), Tensor::vector<int64_t>({2 + (i / 4) % 3}))});
  }
  b.output(y, 3);
  optimize(*b.model);
  EXPECT_GT(b.graph->num_nodes(), 19'000u);
  // One Slice has axes, since the last Transpose of some is before it.
  EXPECT_EQ(b.graph->initializers().size(), 5u);
}

TEST(Simplify, WideGraph) {
  constexpr int kNodes = 20'000;
  Build b;
  Value* x = b.input("x", {2, 3});
  Value* all = x;
  for (int i = 0; i < kNodes / 4; ++i) {
    const auto name = [i](const char* base) { return base + std::to_string(i); };
    Value* y =
        b.op("Reshape", name("reshape"), {x, b.constant(name("shape"), Tensor::vector<int64_t>({3, 2}))});
    y = b.op("Tanh", name("tanh"), {y});
    y = b.op("Clip", name("clip"),
             {b.op("Clip", name("first"), {y, b.numbers(name("low"), {i * 1e-5}, {})}),
              b.numbers(name("low2"), {0.01}, {})});
    all = i == 0 ? y : b.op("Concat", name("concat"), {all, y}, {{"axis", int64_t{0}}});
  }
  b.output(all, 2);
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "Reshape"), 1);
  EXPECT_EQ(count_ops(*b.graph, "Tanh"), 1);
  EXPECT_EQ(count_ops(*b.graph, "Concat"), 1);
  EXPECT_EQ(count_ops(*b.graph, "Clip"), kNodes / 4 - 1000);  // those by less than 0.01 are the same
}

}  // namespace
}  // namespace plica::testing
