#include <algorithm>

#include "tests/passes/simplify.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

const Ints kToLast = {0, 2, 3, 1}, kToFirst = {0, 3, 1, 2};

Value* vector(Build& b, Ints values) {
  const auto n = static_cast<int64_t>(values.size());
  return b.constant("c", Tensor::of(values, {n}));
}

// What stays as it is: an operator whose channels are axis 1.
Value* pool(Build& b, const std::string& name, Value* x) {
  return b.op("MaxPool", name, {x}, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{0, 0, 1, 1}}});
}
Value* transpose(Build& b, const std::string& name, Value* x, const Ints& perm) {
  return b.op("Transpose", name, {x}, {{"perm", perm}});
}
Value* to_last(Build& b, const std::string& name, Value* x) { return transpose(b, name, x, kToLast); }
Value* to_first(Build& b, const std::string& name, Value* x) { return transpose(b, name, x, kToFirst); }
// A pool as converters write it for channels last.
Value* pool_last(Build& b, const std::string& name, Value* x) {
  return to_last(b, name + "_last", pool(b, name, to_first(b, name + "_first", x)));
}

// pool -> NHWC -> what `middle` adds -> NCHW -> pool
template <class Middle>
std::string between_pools(Build& b, Middle&& middle, Dims dims = {2, 3, 4, 5}) {
  std::vector<Dim> shape(dims.begin(), dims.end());
  Value* x = to_last(b, "first_last", pool(b, "first", b.input("x", shape)));
  b.output(pool(b, "second", to_first(b, "second_first", middle(x))), 4);
  optimize_and_check(b);
  return ops_of(*b.graph);
}

TEST(MoveTransposes, ThroughFunctionsOfOneTensor) {
  Build b;
  EXPECT_EQ(between_pools(b,
                          [&](Value* x) {
                            x = b.op("Clip", "clip",
                                     {x, b.constant("low", Tensor::scalar(-1.0f)),
                                      b.constant("high", Tensor::scalar(1.0f))});
                            return b.op("LeakyRelu", "leaky", {b.op("Sigmoid", "sigmoid", {x})});
                          }),
            "MaxPool Clip Sigmoid LeakyRelu MaxPool");
  EXPECT_NE(find_node(*b.graph, "clip"), nullptr);
}

TEST(MoveTransposes, ConstantsAreTransposedToo) {
  Build b;
  const std::string ops = between_pools(b, [&](Value* x) {
    x = b.op("Tanh", "t", {b.op("Add", "channels", {x, b.random("c", {3})})});
    x = b.op("Tanh", "t", {b.op("Mul", "scalar", {x, b.random("s", {})})});
    x = b.op("Tanh", "t", {b.op("Sub", "one", {x, b.random("o", {1, 1})})});
    x = b.op("Tanh", "t", {b.op("Min", "rows", {x, b.random("r", {4, 1, 1})})});
    x = b.op("Tanh", "t", {b.op("Max", "all", {x, b.random("a", {2, 4, 5, 3})})});
    return b.op("PRelu", "prelu", {x, b.random("p", {5, 3})});
  });
  EXPECT_EQ(ops.find("Transpose"), std::string::npos) << print(*b.graph);
}

TEST(MoveTransposes, ThroughConcatSplitPadSliceAndAlongOneAxis) {
  Build b;
  const std::string ops = between_pools(b, [&](Value* x) {
    x = b.op("Concat", "concat", {x, b.op("Tanh", "tanh", {x}), b.random("part", {2, 4, 5, 2})},
             {{"axis", int64_t{-1}}});
    x = b.op("Pad", "pad", {x, vector(b, {0, 1, 0, 1, 0, 0, 2, 0})});
    x = b.op("Slice", "slice", {x, vector(b, {0, 1}), vector(b, {8, 6}), vector(b, {3, -2})});
    Value* half = b.graph->add_value("half");
    Value* other = b.graph->add_value("other");
    Attributes axis;
    axis.set("axis", int64_t{3});
    b.graph->add_node("Split", "", {x, vector(b, {4, 4})}, {half, other}, axis)->name = "split";
    x = b.op("Softmax", "softmax", {b.op("Mul", "mul", {half, other})});
    return b.op("LogSoftmax", "log", {x}, {{"axis", int64_t{1}}});
  });
  EXPECT_EQ(ops.find("Transpose"), std::string::npos) << print(*b.graph);
}

TEST(MoveTransposes, SliceAndPadWithoutAxesAndInOldVersions) {
  Build b(DataType::float32, 9);
  const std::string ops = between_pools(b, [&](Value* x) {
    x = b.op("Pad", "pad", {x}, {{"pads", Ints{0, 1, 0, 0, 0, 0, 2, 1}}, {"mode", std::string("edge")}});
    return b.op("Slice", "slice", {x}, {{"starts", Ints{0, 1}}, {"ends", Ints{2, 4}}});
  });
  EXPECT_EQ(ops, "MaxPool Pad Slice MaxPool") << print(*b.graph);
}

TEST(MoveTransposes, AxesOfASliceHaveTheTypeOfItsStarts) {
  Build b;
  const std::string ops = between_pools(b, [&](Value* x) {
    return b.op("Slice", "slice",
                {x, b.constant("s", Tensor::vector<int32_t>({0, 1})),
                 b.constant("e", Tensor::vector<int32_t>({2, 4}))});
  });
  EXPECT_EQ(ops, "MaxPool Slice MaxPool") << print(*b.graph);
  EXPECT_EQ(find_node(*b.graph, "slice")->input(3)->initializer()->type(), DataType::int32);
}

TEST(MoveTransposes, ThroughResizeByScalesAndSizes) {
  Build b;
  const std::string ops = between_pools(b, [&](Value* x) {
    x = b.op("Resize", "scales", {x, nullptr, b.constant("s", Tensor::vector<float>({1, 2, 1, 1}))},
             {{"mode", std::string("nearest")}});
    return b.op("Resize", "sizes", {x, nullptr, nullptr, vector(b, {2, 8, 7, 3})},
                {{"mode", std::string("linear")}});
  });
  EXPECT_EQ(ops, "MaxPool Resize Resize MaxPool") << print(*b.graph);
}

TEST(MoveTransposes, ResidualSumsOfBlocks) {
  Build b;
  Value* x = pool_last(b, "in", b.input("x", {Dim::symbol("n"), 4, 5, 3}));
  for (const std::string name : {"a", "b", "c"}) {
    Value* y = b.op("Relu", name + "_relu", {pool_last(b, name + "_one", x)});
    x = b.op("Add", name + "_sum", {pool_last(b, name + "_two", y), x});
  }
  b.output(x, 4);
  optimize_and_check(b);
  // The first and the last, whose sides are the model's.
  EXPECT_EQ(count_ops(*b.graph, "Transpose"), 2) << print(*b.graph);
}

TEST(MoveTransposes, AGateOfPooledChannels) {
  Build b;
  Value* x = pool_last(b, "in", b.input("x", {2, 4, 5, 3}));
  Value* gate = b.op("ReduceMean", "mean", {x}, {{"axes", Ints{1, 2}}, {"keepdims", int64_t{1}}});
  gate = pool_last(b, "gate", b.op("Relu", "relu", {gate}));
  gate = b.op("Sigmoid", "sigmoid", {gate});
  b.output(pool_last(b, "out", b.op("Mul", "scaled", {x, gate})), 4);
  optimize_and_check(b);
  EXPECT_EQ(count_ops(*b.graph, "Transpose"), 2) << print(*b.graph);
}

TEST(MoveTransposes, IntoTheMeanOverAllButChannels) {
  for (const int64_t opset : {13, 18}) {
    Build b(DataType::float32, opset);
    Value* x = to_last(b, "last", pool(b, "pool", b.input("x", {Dim::symbol("n"), 3, 4, 5})));
    x = b.op("Relu", "relu", {x});
    x = opset < 18 ? b.op("ReduceMean", "mean", {x}, {{"axes", Ints{1, 2}}, {"keepdims", int64_t{0}}})
                   : b.op("ReduceMean", "mean", {x, vector(b, {1, -2})}, {{"keepdims", int64_t{0}}});
    b.output(b.op("Gemm", "gemm", {x, b.random("w", {3, 6}), b.random("bias", {6})}), 2);
    optimize_and_check(b);
    EXPECT_EQ(ops_of(*b.graph), "MaxPool Relu ReduceMean Gemm") << print(*b.graph);
  }
}

TEST(MoveTransposes, AxesThatGoLeaveTheOthersInTheirOrder) {
  for (const bool squeeze : {false, true}) {
    Build b;
    // [2, 1, 4, 5] as [4, 1, 5, 2]; without axis 1 it is [4, 5, 2], which is [2, 4, 5] moved.
    Value* x = pool(b, "pool", b.input("x", {2, 1, 4, 5}));
    x = b.op("Relu", "relu", {transpose(b, "there", x, {2, 1, 3, 0})});
    x = squeeze ? b.op("Squeeze", "gone", {x, vector(b, {1})})
                : b.op("ReduceMax", "gone", {x}, {{"axes", Ints{1}}, {"keepdims", int64_t{0}}});
    b.output(b.op("Tanh", "tanh", {transpose(b, "back", x, {2, 0, 1})}), 3);
    simplify(b);
    EXPECT_EQ(count_ops(*b.graph, "Transpose"), 0) << print(*b.graph);
  }
}

TEST(MoveTransposes, ThePositionOfTheLargest) {
  Build b;
  Value* x = b.op("Relu", "relu", {to_last(b, "last", pool(b, "pool", b.input("x", {2, 3, 4, 5})))});
  Value* y = b.op("ArgMax", "arg", {x}, {{"axis", int64_t{3}}, {"keepdims", int64_t{0}}});
  b.graph->set_type(y, Type::tensor(DataType::int64));
  b.graph->add_output(y);
  const auto before = b.model->clone();
  optimize(*b.model);
  EXPECT_EQ(ops_of(*b.graph), "MaxPool Relu ArgMax");
  const NamedTensors inputs = random_inputs(before->graph);
  EXPECT_TRUE(evaluate_graph(before->graph, inputs)[0].identical_to(evaluate_graph(*b.graph, inputs)[0]));
}

TEST(MoveTransposes, ThroughQuantization) {
  Build b;
  const std::string ops = between_pools(b, [&](Value* x) {
    Value* scale = b.constant("scale", Tensor::vector<float>({0.1f, 0.2f, 0.3f}));
    Value* zero = b.constant("zero", Tensor::vector<int8_t>({0, 1, 2}));
    x = b.op("QuantizeLinear", "q", {x, scale, zero}, {{"axis", int64_t{-1}}});
    return b.op("DequantizeLinear", "dq", {x, scale, zero}, {{"axis", int64_t{3}}});
  });
  EXPECT_EQ(ops, "MaxPool QuantizeLinear DequantizeLinear MaxPool") << print(*b.graph);
}

// One Transpose is left for those that read the value as it was, under the name that it had.
TEST(MoveTransposes, WhatOthersReadIsTransposedForThem) {
  Build b;
  Value* x = to_last(b, "last", pool(b, "pool", b.input("x", {2, 3, 4, 5})));
  Value* y = b.op("Relu", "relu", {x});
  b.output(pool(b, "again", to_first(b, "first", y)), 4);
  b.output(b.op("Reshape", "flat", {y, vector(b, {2, -1})}), 2);
  b.output(y, 4);
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "MaxPool Relu Transpose MaxPool Reshape") << print(*b.graph);
  EXPECT_EQ(b.graph->outputs()[2]->producer()->op_type(), "Transpose");
  EXPECT_EQ(b.graph->outputs()[2]->name(), "relu");
}

TEST(MoveTransposes, NothingToGainNothingDone) {
  const auto unchanged = [](auto&& make) {
    Build b;
    make(b, b.input("x", {2, 3, 4, 5}));
    const std::string before = print(*b.graph);
    EXPECT_EQ(optimize(*b.model).rules.count("move_transposes"), 0u);
    EXPECT_EQ(print(*b.graph), before);
  };
  unchanged([](Build& b, Value* x) { b.output(b.op("Relu", "r", {to_last(b, "t", x)}), 4); });
  unchanged([](Build& b, Value* x) { b.output(to_first(b, "t", b.op("Relu", "r", {x})), 4); });
  // Operands that are not alike, and one that would have to be transposed.
  unchanged([](Build& b, Value* x) {
    b.output(
        b.op("Add", "a", {to_last(b, "t", x), transpose(b, "u", b.input("y", {2, 5, 4, 3}), {0, 2, 1, 3})}),
        4);
  });
  unchanged([](Build& b, Value* x) {
    b.output(b.op("Concat", "c", {to_last(b, "t", x), b.input("y", {2, 4, 5, 1})}, {{"axis", int64_t{3}}}),
             4);
  });
  // Many readers of the result, and a Transpose that all of them share.
  unchanged([](Build& b, Value* x) {
    Value* t = to_last(b, "t", x);
    for (const std::string name : {"Relu", "Tanh", "Sigmoid"})
      b.output(b.op("Flatten", "f" + name, {b.op(name, name, {t})}), 2);
  });
}

// Only the part of a region that pays.
TEST(MoveTransposes, WhatCostsMoreStays) {
  Build b;
  Value* x = to_last(b, "last", pool(b, "pool", b.input("x", {2, 3, 4, 5})));
  Value* y = b.op("Relu", "relu", {x});
  b.output(pool(b, "again", to_first(b, "first", y)), 4);
  for (const std::string name : {"Exp", "Tanh", "Sigmoid"})
    b.output(b.op("Flatten", "f" + name, {b.op(name, name, {y})}), 2);
  simplify(b);
  EXPECT_EQ(count_ops(*b.graph, "Transpose"), 1) << print(*b.graph);
}

TEST(MoveTransposes, SmallOperandsAreTransposedInsteadOfLargeOnes) {
  Build b;
  Value* x = to_last(b, "last", pool(b, "pool", b.input("x", {2, 3, 4, 5})));
  Value* y = b.op("Mul", "scaled", {x, b.op("Sigmoid", "s", {b.input("gate", {2, 4, 1, 3})})});
  b.output(pool(b, "again", to_first(b, "first", y)), 4);
  simplify(b);
  EXPECT_EQ(count_ops(*b.graph, "Transpose"), 1) << print(*b.graph);
  EXPECT_EQ(find_node(*b.graph, "scaled")->input(0)->producer()->op_type(), "MaxPool");
}

TEST(MoveTransposes, ReadBySubgraphs) {
  Build b;
  Value* cond = b.graph->add_input("cond", Type::tensor(DataType::boolean, Shape{}));
  Value* y = b.op("Relu", "relu", {to_last(b, "last", pool(b, "pool", b.input("x", {2, 3, 4, 5})))});
  Value* result = b.graph->add_value("result");
  Node* node = b.graph->add_node("If", "", {cond}, {result});
  for (const char* branch : {"then_branch", "else_branch"}) {
    Build inside = b.in(*b.graph->add_subgraph(node, branch));
    inside.output(inside.op(branch[0] == 't' ? "Exp" : "Tanh", branch, {y}), 4);
  }
  b.output(result, 4);
  b.output(pool(b, "again", to_first(b, "first", y)), 4);
  simplify(b);
  EXPECT_EQ(count_ops(*b.graph, "Transpose"), 1) << print(*b.graph);
}

TEST(MoveTransposes, WhatIsToBeKeptStays) {
  for (const char* kept : {"relu", "last", "first"}) {
    Build b;
    Value* y = b.op("Relu", "relu", {to_last(b, "last", pool(b, "pool", b.input("x", {2, 3, 4, 5})))});
    b.output(pool(b, "again", to_first(b, "first", y)), 4);
    OptimizeOptions options;
    options.keep = {kept};
    simplify(b, options);
    EXPECT_NE(find_node(*b.graph, kept), nullptr);
  }
}

TEST(MoveTransposes, OnlyAxesOfOneMove) {
  Build b;
  Value* x = b.op("Relu", "relu", {b.input("x", {Dim::symbol("n"), 3, 1, 1})});
  b.output(b.op("Tanh", "out", {b.op("Flatten", "flat", {to_last(b, "last", x)})}), 2);
  // 3 and n change places.
  b.output(b.op("Exp", "moved", {transpose(b, "t", x, {1, 0, 2, 3})}), 4);
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Relu Reshape Tanh Transpose Exp") << print(*b.graph);
}

// Random graphs of what the rule knows, between random Transposes: optimize_and_check compares results and
// asks that a second run finds nothing.
TEST(MoveTransposes, RandomGraphs) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    Build b;
    // Every axis is 2, so that all operands fit.
    std::vector<Value*> values = {b.input("x", {2, 2, 2, 2}), b.input("y", {2, 2, 2, 2})};
    const size_t count = 4 + below(16);
    for (size_t i = 0; i < count; ++i) {
      const std::string name = "n" + std::to_string(i);
      Value* x = values[values.size() - 1 - below(std::min<size_t>(values.size(), 3))];
      Value* y = values[below(values.size())];
      switch (below(9)) {
        case 0:
        case 1:
        case 2:
          values.push_back(transpose(b, name, x, below(2) ? kToLast : kToFirst));
          break;
        case 3:
          values.push_back(pool(b, name, x));
          break;
        case 4:
          values.push_back(b.op("Tanh", name, {x}));
          break;
        case 5:
          values.push_back(b.op("Max", name, {x, y}));
          break;
        case 6:
          values.push_back(b.op("Min", name, {b.random("c", {2, 1, 2}), x}));
          break;
        case 7:
          values.push_back(b.op("Softmax", name, {x}, {{"axis", static_cast<int64_t>(below(4))}}));
          break;
        default:
          x = b.op("Concat", name + "c", {x, y}, {{"axis", int64_t{3}}});
          values.push_back(b.op("Slice", name, {x, vector(b, {1}), vector(b, {3}), vector(b, {3})}));
      }
      if (below(6) == 0) b.output(b.op("Sigmoid", "out" + name, {values.back()}), 4);
    }
    b.output(b.op("Exp", "out", {values.back()}), 4);
    const auto before = count_ops(*b.graph, "Transpose");
    optimize_and_check(b);
    EXPECT_LE(count_ops(*b.graph, "Transpose"), before);
  }
}

}  // namespace
}  // namespace plica::testing
