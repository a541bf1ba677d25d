// Every family but convolutions against the reference interpreter.
#include <numeric>

#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

TEST(Pooling, Shapes) {
  struct Case {
    std::string op;
    Dims x;
    Ints kernel, strides, pads;
    int64_t ceil_mode = 0, include_pad = 0;
    Ints dilations = {};
  };
  const std::vector<Case> cases = {
      {"MaxPool", {1, 20, 13, 13}, {3, 3}, {2, 2}, {1, 1, 1, 1}},
      {"MaxPool", {2, 16, 12, 11}, {2, 2}, {2, 2}, {}, 1},
      {"MaxPool", {1, 5, 9, 9}, {2, 3}, {1, 2}, {0, 1, 1, 0}, 0, 0, {2, 2}},
      {"MaxPool", {1, 6, 15}, {3}, {2}, {1, 0}},
      {"MaxPool", {1, 3, 6, 6, 6}, {2, 2, 2}, {2, 2, 2}, {}},
      {"AveragePool", {1, 24, 9, 9}, {3, 3}, {2, 2}, {1, 1, 1, 1}, 0, 0},
      {"AveragePool", {1, 24, 9, 9}, {3, 3}, {2, 2}, {1, 1, 1, 1}, 0, 1},
      {"AveragePool", {1, 7, 10, 10}, {3, 3}, {2, 2}, {0, 0, 1, 1}, 1, 0},
      {"AveragePool", {1, 7, 10, 10}, {3, 3}, {2, 2}, {1, 1, 1, 1}, 1, 1},
      {"AveragePool", {3, 40, 3, 8}, {3, 2}, {3, 2}, {}},
  };
  uint32_t seed = 1;
  for (const Case& c : cases) {
    for (const bool blocked : {false, true}) {
      SCOPED_TRACE(c.op + " " + to_string(c.x));
      GraphMaker g(seed++);
      std::vector<std::pair<std::string, AttributeValue>> a = {
          {"kernel_shape", c.kernel}, {"strides", c.strides}, {"ceil_mode", c.ceil_mode}};
      if (!c.pads.empty()) a.push_back({"pads", c.pads});
      if (c.op == "AveragePool") a.push_back({"count_include_pad", c.include_pad});
      if (!c.dilations.empty()) a.push_back({"dilations", c.dilations});
      Value* x = g.input(c.x);
      if (blocked) {
        Dims w(c.x.size(), 1);
        w[0] = w[1] = c.x[1];
        x = g.node("Conv", {x, g.weights(w)});
      }
      g.output(g.node(c.op, {x}, a));
      check_against_reference(g, g.feed(), static_cast<double>(c.x[1]));
    }
  }
}

TEST(Pooling, Global) {
  for (const char* op : {"GlobalAveragePool", "GlobalMaxPool"}) {
    GraphMaker g;
    Value* x = g.node("Conv", {g.input({2, 12, 9, 7}), g.weights({20, 12, 1, 1})});
    g.output(g.node("Flatten", {g.node(op, {x})}));
    check_against_reference(g, g.feed(), 63);
  }
  for (const int64_t keep : {0, 1}) {
    GraphMaker g;
    Value* x = g.node("Conv", {g.input({2, 12, 9, 7}), g.weights({20, 12, 1, 1})});
    g.output(g.node("ReduceMean", {x}, {{"axes", Ints{2, 3}}, {"keepdims", keep}}));
    const PlanInfo info = check_against_reference(g, g.feed(), 63);
    EXPECT_EQ(count_steps(info, "Pool"), 1);
  }
}

TEST(MatMul, Shapes) {
  const std::vector<std::pair<Dims, Dims>> cases = {
      {{7, 12}, {12, 9}},
      {{2, 3, 5, 8}, {8, 6}},
      {{2, 3, 5, 8}, {2, 3, 8, 4}},
      {{2, 3, 5, 8}, {3, 8, 4}},
      {{5, 8}, {4, 8, 3}},
      {{8}, {8, 3}},
      {{5, 8}, {8}},
      {{8}, {8}},
      {{1, 1}, {1, 1}},
      {{4, 1, 6, 5}, {1, 3, 5, 2}},
      {{0, 8}, {8, 3}},
      {{3, 0}, {0, 4}},
  };
  uint32_t seed = 1;
  for (const auto& [a, b] : cases) {
    for (const bool constant : {false, true}) {
      SCOPED_TRACE(to_string(a) + " by " + to_string(b));
      GraphMaker g(seed++);
      Value* right = constant ? g.constant(g.random(b)) : g.input(b);
      g.output(g.node("Relu", {g.node("MatMul", {g.input(a), right})}));
      check_against_reference(g, g.feed(), 16);
    }
  }
}

TEST(MatMul, GemmsAndChains) {
  uint32_t seed = 1;
  for (int64_t ta : {0, 1}) {
    for (int64_t tb : {0, 1}) {
      for (const Dims& c : {Dims{9}, Dims{1, 9}, Dims{7, 1}, Dims{7, 9}, Dims{}}) {
        GraphMaker g(seed++);
        Value* b = g.constant(g.random(tb ? Dims{9, 12} : Dims{12, 9}));
        Value* y = g.node("Gemm", {g.input(ta ? Dims{12, 7} : Dims{7, 12}), b, g.constant(g.random(c))},
                          {{"transA", ta}, {"transB", tb}, {"alpha", 0.5f}, {"beta", 2.f}});
        g.output(g.node("Sigmoid", {y}));
        check_against_reference(g, g.feed(), 12);
      }
    }
  }
  // Whatever the function is, the product's step computes it.
  for (const std::string function : {"HardSwish", "Sigmoid"}) {
    GraphMaker g(99);
    Value* x = g.input({2, 5, 16});
    Value* h =
        g.node("Add", {g.node("MatMul", {x, g.constant(g.random({16, 24}))}), g.constant(g.random({24}))});
    Value* s = g.node(function, {h});
    Value* y = g.node("Add", {x, g.node("Add", {g.node("MatMul", {s, g.constant(g.random({24, 16}))}),
                                                g.constant(g.random({16}))})});
    g.output(y);
    const PlanInfo info = check_against_reference(g, g.feed(), 24 * 16);
    EXPECT_EQ(info.steps.size(), 2u) << steps_of(info);
  }
}

TEST(Rows, SoftmaxLayerNormMeans) {
  for (int64_t axis : {-1, 1, 0}) {
    GraphMaker g;
    g.output(g.node("Softmax", {g.input({3, 5, 33})}, {{"axis", axis}}));
    check_against_reference(g, g.feed(), 4);
  }
  {
    GraphMaker g(1, 11);
    g.output(g.node("Softmax", {g.input({3, 5, 7})}, {{"axis", int64_t{1}}}));
    check_against_reference(g, g.feed(), 4);
  }
  for (int64_t row : {1, 7, 16, 120}) {
    GraphMaker g;
    Value* x = g.input({2, 9, row});
    Value* d = g.node("Sub", {x, g.node("ReduceMean", {x}, {{"axes", Ints{-1}}})});
    Value* v = g.node("ReduceMean", {g.node("Pow", {d, g.scalar(2)})}, {{"axes", Ints{-1}}});
    Value* n = g.node("Div", {d, g.node("Sqrt", {g.node("Add", {v, g.scalar(1e-3f)})})});
    g.output(g.node("Add", {g.node("Mul", {n, g.constant(g.random({row}))}), g.constant(g.random({row}))}));
    const PlanInfo info = check_against_reference(g, g.feed(), 64);
    if (row > 1) {
      EXPECT_EQ(info.steps.size(), 1u) << steps_of(info);
    }
  }
  {
    GraphMaker g;
    g.output(g.node("LayerNormalization",
                    {g.input({3, 4, 10}), g.constant(g.random({4, 10})), g.constant(g.random({4, 10}))},
                    {{"axis", int64_t{1}}}));
    check_against_reference(g, g.feed(), 64);
  }
  {
    GraphMaker g;
    g.output(g.node("ReduceMean", {g.input({3, 4, 10})}, {{"axes", Ints{1, 2}}, {"keepdims", int64_t{0}}}));
    check_against_reference(g, g.feed(), 40);
  }
}

TEST(Layout, ConcatsSlicesTransposes) {
  uint32_t seed = 1;
  for (int64_t batch : {1, 3}) {
    for (const Ints& channels : {Ints{16, 32}, Ints{16, 8, 24}, Ints{5, 7}, Ints{16, 16, 16}}) {
      for (int64_t axis : {1, 2}) {
        GraphMaker g(seed++);
        Value* x = g.input({batch, 6, 8, 8});
        std::vector<Value*> parts;
        for (int64_t c : channels)
          parts.push_back(g.node("Relu", {g.node("Conv", {x, g.weights({axis == 1 ? c : 16, 6, 1, 1})})}));
        Value* all = g.node("Concat", parts, {{"axis", axis}});
        // The parts are read again, and the whole by two.
        g.output(g.node(
            "Relu",
            {g.node(
                "Conv",
                {all,
                 g.weights({8, axis == 1 ? std::accumulate(channels.begin(), channels.end(), int64_t{0}) : 16,
                            1, 1})})}));
        g.output(all);
        g.output(g.node("Neg", {parts[0]}));
        check_against_reference(g, g.feed(), 64);
      }
    }
  }
}

TEST(Layout, NestedConcatsCopyNothing) {
  GraphMaker g(2);
  Value* x = g.node("Relu", {g.node("Conv", {g.input({1, 8, 6, 6}), g.weights({32, 8, 1, 1})})});
  std::vector<Value*> features = {x};
  Value* all = x;
  for (int i = 0; i < 3; ++i) {
    const int64_t c = 32 + 16 * i;
    Value* bn =
        g.node("BatchNormalization", {all, g.constant(g.random({c}, 0.5, 2)), g.constant(g.random({c})),
                                      g.constant(g.random({c})), g.constant(g.random({c}, 0.5, 2))});
    features.push_back(
        g.node("Conv", {g.node("Relu", {bn}), g.weights({16, c, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}}));
    all = g.node("Concat", features, {{"axis", int64_t{1}}});
  }
  g.output(g.node("GlobalAveragePool", {all}));
  const PlanInfo info = check_against_reference(g, g.feed(), 600 * kWinogradFactor);
  EXPECT_EQ(count_steps(info, "Concat"), 0) << steps_of(info);
  EXPECT_EQ(count_steps(info, "reorder"), 1) << steps_of(info);  // of the input of 8 channels, at most
}

TEST(Layout, ViewsAndSlices) {
  GraphMaker g;
  Value* x = g.input({3, 4, 5});
  Value* q = g.node("Squeeze", {g.node("Slice", {x, g.ints({1}), g.ints({2}), g.ints({0})}), g.ints({0})});
  Value* s = g.node("Slice", {x, g.ints({-3, 1}), g.ints({100, 3}), g.ints({1, 2})});
  g.output(g.node("MatMul", {g.node("Transpose", {q}), q}));
  g.output(s);
  g.output(g.node("Transpose", {x}, {{"perm", Ints{2, 0, 1}}}));
  g.output(g.node("Reshape", {x, g.ints({-1, 6})}));
  g.output(x);
  for (Value* v : g.nodes("Split", {x, g.ints({1, 3})}, 2, {{"axis", int64_t{1}}}))
    g.output(g.node("Relu", {v}));
  check_against_reference(g, g.feed(), 8);
}

TEST(Layout, Resizes) {
  uint32_t seed = 1;
  for (const char* mode : {"nearest", "linear"}) {
    for (const char* coordinates : {"asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"}) {
      for (const std::vector<float>& scales :
           {std::vector<float>{1, 1, 2, 2}, {1, 1, 4, 4}, {1, 1, 0.5f, 1.5f}}) {
        for (int64_t channels : {3, 24}) {
          SCOPED_TRACE(std::string(mode) + " " + coordinates);
          GraphMaker g(seed++);
          Value* x = g.node("Conv", {g.input({2, 4, 6, 10}), g.weights({channels, 4, 1, 1})});
          Value* y = g.node("Resize", {x, nullptr, g.constant(Tensor::of(scales, {4}))},
                            {{"mode", std::string(mode)},
                             {"coordinate_transformation_mode", std::string(coordinates)},
                             {"nearest_mode", std::string("floor")}});
          g.output(y);
          check_against_reference(g, g.feed(), 16);
        }
      }
    }
  }
}

TEST(Pointwise, EveryFunction) {
  for (const char* op : {"Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish",
                         "Softplus", "Exp", "Abs", "Neg", "Reciprocal", "Erf", "Sqrt", "Log"}) {
    for (const Dims& dims : {Dims{}, Dims{3}, Dims{2, 5, 7, 9}, Dims{1, 3000}}) {
      SCOPED_TRACE(op);
      GraphMaker g;
      g.output(g.node(op, {g.input(dims)}));
      NamedTensors in;
      in[g.graph().inputs()[0]->name()] =
          std::string(op) == "Sqrt" || std::string(op) == "Log" || std::string(op) == "Reciprocal"
              ? g.random(dims, 0.25, 8)
              : g.random(dims, -8, 8);
      // A few units in the last place of functions that exceed 1 only by their argument's magnitude.
      check_against_reference(g, in, 4);
    }
  }
}

TEST(Pointwise, Extremes) {
  GraphMaker g;
  Value* x = g.input({8});
  for (const char* op : {"Exp", "Sigmoid", "Tanh", "Relu", "HardSwish"}) g.output(g.node(op, {x}));
  const float inf = std::numeric_limits<float>::infinity();
  NamedTensors in = {{x->name(), Tensor::vector<float>({-200, 200, -inf, inf, 0, -90, 88.5f, 1e-20f})}};
  Executor e(g.model());
  const NamedTensors out = e.run(in);
  const auto expected = evaluate_graph(g.graph(), in);
  for (size_t i = 0; i < expected.size(); ++i) {
    for (int64_t k = 0; k < 8; ++k) {
      const float want = expected[i].data<float>()[k],
                  got = out.at(g.graph().outputs()[i]->name()).data<float>()[k];
      if (std::isnan(want)) {
        EXPECT_TRUE(std::isnan(got)) << i << " " << k;
      } else if (std::isinf(want)) {
        EXPECT_EQ(got, want) << i << " " << k;
      } else {
        EXPECT_NEAR(got, want, 1e-6f * std::abs(want) + 1e-30f) << i << " " << k;
      }
    }
  }
}

TEST(Pointwise, Broadcasts) {
  const std::vector<std::pair<Dims, Dims>> cases = {
      {{2, 5, 6, 7}, {1, 5, 1, 1}}, {{2, 5, 6, 7}, {5, 1, 1}}, {{2, 5, 6, 7}, {2, 5, 1, 1}},
      {{2, 5, 6, 7}, {1, 1, 6, 7}}, {{2, 5, 6, 7}, {7}},       {{2, 5, 6, 7}, {6, 1}},
      {{2, 5, 6, 7}, {1}},          {{2, 5, 6, 7}, {}},        {{2, 5, 6, 7}, {2, 1, 1, 7}},
      {{2, 5, 6, 7}, {2, 5, 6, 7}}, {{5, 1, 7}, {1, 6, 1}},    {{1, 1}, {4, 3}},
      {{2, 3000}, {3000}},          {{300, 20}, {300, 1}},     {{0, 4}, {1, 4}},
  };
  uint32_t seed = 1;
  for (const auto& [a, b] : cases) {
    for (const char* op : {"Add", "Sub", "Mul", "Div"}) {
      for (const int kind : {0, 1, 2}) {  // the second from the graph, constant; the operands swapped
        SCOPED_TRACE(std::string(op) + to_string(a) + to_string(b));
        GraphMaker g(seed++);
        Value* x = g.input(a);
        // Blocked where there are channels: then an operand must follow.
        if (a.size() == 4 && seed % 2) x = g.node("Conv", {x, g.weights({a[1], a[1], 1, 1})});
        Value* y = kind == 1 ? g.constant(g.random(b, 0.5, 2)) : g.input(b);
        if (kind != 1) y = g.node("Add", {g.node("Abs", {y}), g.scalar(0.5f)});
        if (kind == 2) x = g.node("Add", {g.node("Abs", {x}), g.scalar(0.5f)});
        g.output(g.node("Tanh", {kind == 2 ? g.node(op, {y, x}) : g.node(op, {x, y})}));
        check_against_reference(g, g.feed(), 16);
      }
    }
  }
}

TEST(Pointwise, PaddedBlocksStayZero) {
  // exp(0) = 1 in the padding would reach the next convolution's sums.
  GraphMaker g(5);
  Value* x = g.node("Conv", {g.input({2, 6, 5, 5}), g.weights({20, 6, 1, 1})});
  Value* y = g.node("Div", {g.node("Exp", {x}), g.node("Add", {g.node("Exp", {g.node("Neg", {x})}),
                                                               g.constant(g.random({1, 20, 1, 1}, 1, 2))})});
  g.output(g.node("Conv", {y, g.weights({12, 20, 1, 1})}));
  check_against_reference(g, g.feed(), 64);
}

TEST(Fallback, OtherTypesAndOperators) {
  GraphMaker g;
  Value* x = g.input({4, 6}, DataType::int64);
  Value* f = g.input({4, 6});
  g.output(g.node("Add", {x, x}));
  g.output(g.node("Reshape", {x, g.ints({3, 8})}));
  g.output(g.node("Where", {g.node("Greater", {f, g.scalar(0)}), f, g.scalar(-1)}));
  g.output(g.node("Cast", {f}, {{"to", int64_t{7}}}));
  NamedTensors in = {{f->name(), g.random({4, 6}, -3, 3)}, {x->name(), Tensor(DataType::int64, {4, 6})}};
  for (int64_t i = 0; i < 24; ++i) in[x->name()].mutable_data<int64_t>()[i] = i * i;
  check_against_reference(g, in);
}

TEST(Fallback, ShapesThatDependOnData) {
  GraphMaker g;
  Value* x = g.input({3, 4});
  Value* where = g.node("NonZero", {g.node("Relu", {x})});
  Value* picked = g.node("GatherND", {x, g.node("Transpose", {where})});
  g.output(picked);
  g.output(g.node("ReduceSum", {picked}, {{"keepdims", int64_t{0}}}));
  g.output(g.node("Relu", {x}));
  for (uint32_t seed = 0; seed < 3; ++seed) check_against_reference(g, g.feed(), 12);
}

}  // namespace
}  // namespace plica::testing
