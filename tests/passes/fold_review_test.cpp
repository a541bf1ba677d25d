// What a review of folding found, each as the smallest model that showed it.

#include "tests/passes/simplify.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

// Optimizes and compares, with the free dimension as each of these sizes.
void expect_kept(Build& b, const std::vector<int64_t>& sizes = {2}) {
  const auto before = b.model->clone();
  optimize(*b.model);
  b.model->graph.verify();
  for (const int64_t size : sizes) {
    NamedTensors inputs;
    for (const Value* v : before->graph.inputs()) {
      if (v->initializer()) continue;
      Dims dims;
      for (const Dim& d : *v->type().shape) dims.push_back(d.is_known() ? d.value() : size);
      inputs[v->name()] = random_tensor(v->type().element, dims, 7, -2, 2);
    }
    const auto x = evaluate_graph(before->graph, inputs), y = evaluate_graph(b.model->graph, inputs);
    ASSERT_EQ(x.size(), y.size());
    for (size_t i = 0; i < x.size(); ++i) expect_close(x[i], y[i], tolerance_of(b.type));
  }
}

TEST(FoldReview, ASubTakesAnOffsetIntoItsSecondOperandWithTheOtherSign) {
  Build b;
  Value* x = b.input("x", {1, 3, 4, 4});
  Value* one = b.op("Conv", "one", {x, b.random("v", {1, 3, 1, 1})});
  Value* four = b.op("Conv", "four", {x, b.random("w", {4, 3, 1, 1})});
  b.output(b.op("Add", "add", {b.op("Sub", "sub", {one, four}), b.random("t", {4, 1, 1})}));
  expect_kept(b);
}

TEST(FoldReview, AConstantThatMayBroadcastStays) {
  {
    Build b;
    Value* y = b.op("Gemm", "gemm", {b.input("x", {Dim::symbol("n"), 3}), b.random("w", {3, 4})});
    b.output(b.op("Add", "add", {y, b.numbers("c", std::vector<double>(24, 1.5), {6, 4})}));
    expect_kept(b, {1, 6});
  }
  {
    Build b;
    Value* x = b.input("x", {Dim::symbol("n")});
    b.output(b.op("Mul", "expand", {x, b.numbers("ones", {1, 1, 1, 1, 1}, {5})}));
    expect_kept(b, {1, 5});
  }
  {
    Build b;
    Value* x = b.op("Add", "first", {b.input("x", {Dim::symbol("n")}), b.numbers("a", {2}, {})});
    b.output(b.op("Add", "second", {x, b.numbers("c", {1, 1, 1}, {3})}));
    expect_kept(b, {1, 3});
  }
  {
    Build b;  // the product of the two is 1
    Value* x = b.op("Mul", "first", {b.input("x", {Dim::symbol("n")}), b.numbers("a", {2, 4}, {2})});
    b.output(b.op("Mul", "second", {x, b.numbers("c", {0.5, 0.25}, {2})}));
    expect_kept(b, {1, 2});
  }
}

TEST(FoldReview, OffsetsThatRoundStay) {
  for (const char* between : {"", "Identity", "Transpose"}) {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 2, 3, 3}), b.random("w", {2, 2, 1, 1})});
    y = b.op("Add", "up", {y, b.numbers("m", {12582912}, {})});
    if (*between) y = b.op(between, "between", {y});
    b.output(b.op("Sub", "down", {y, b.numbers("n", {12582912}, {})}));
    expect_kept(b);
  }
  Build b;
  Value* y = b.op(
      "Conv", "conv",
      {b.input("x", {1, 2, 3, 3}), b.random("w", {2, 2, 1, 1}), b.numbers("m", {12582912, 12582912}, {2})});
  b.output(b.op("Sub", "down", {y, b.numbers("n", {12582912}, {})}));
  expect_kept(b);
}

TEST(FoldReview, NothingPassesOffsetsThatRound) {
  const auto round = [](Build& b, Value* v) {
    Value* up = b.op("Add", "up", {v, b.numbers("m", {12582912}, {})});
    return b.op("Sub", "down", {up, b.numbers("n", {12582912}, {})});
  };
  {
    Build b;  // to a grid of 1/7
    Value* y =
        b.op("Mul", "mul", {b.op("Sigmoid", "sigmoid", {b.input("x", {4, 5})}), b.numbers("s", {7}, {})});
    b.output(b.op("Div", "div", {round(b, y), b.numbers("d", {7}, {})}));
    expect_kept(b);
  }
  {
    Build b;
    Value* y =
        b.op("Add", "add",
             {b.op("Relu", "relu", {b.input("x", {1, 2, 4, 4})}), b.numbers("t", {0.3, 0.6}, {2, 1, 1})});
    b.output(b.op("Conv", "conv", {round(b, y), b.random("w", {3, 2, 1, 1})}));
    expect_kept(b);
  }
  {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 2, 4, 4}), b.random("w", {3, 2, 1, 1}, -4, 4)});
    b.output(b.op("Add", "add", {round(b, y), b.numbers("t", {0.3, 0.6, 0.2}, {3, 1, 1})}));
    expect_kept(b);
  }
  {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 2, 4, 4}), b.random("w", {3, 2, 1, 1}, -4, 4)});
    b.output(b.batch_norm("bn", round(b, y), 3));
    expect_kept(b);
  }
}

TEST(FoldReview, DropoutInTrainingIsRandom) {
  Build b;
  Value* x = b.input("x", {4});
  const auto dropout = [&](const char* name, Value* v) {
    return b.op("Dropout", name,
                {v, b.constant("ratio", Tensor::scalar(0.5f)), b.constant("training", Tensor::scalar(true))});
  };
  b.output(dropout("a", x));
  b.output(dropout("b", x));
  b.output(dropout("c", b.random("k", {8})));
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "Dropout"), 3);
}

TEST(FoldReview, ViewsOfNoElements) {
  {
    Build b;
    Value* y = b.batch_norm("bn", b.input("x", {0, 4}), 4);
    y = b.op("Reshape", "reshape", {y, b.constant("s", Tensor::vector<int64_t>({0, 100000}))},
             {{"allowzero", int64_t{1}}});
    b.output(b.op("MatMul", "matmul", {y, b.random("w", {100000, 1})}));
    EXPECT_NO_THROW(optimize(*b.model));
  }
  {
    Build b;
    Value* y = b.batch_norm("bn", b.input("x", {2, 4, 0}), 4);
    y = b.op("Reshape", "reshape", {y, b.constant("s", Tensor::vector<int64_t>({2, 0}))},
             {{"allowzero", int64_t{1}}});
    b.output(b.op("Add", "add", {y, b.numbers("c", {1}, {})}));
    EXPECT_NO_THROW(optimize(*b.model));
  }
  {
    Build b;
    Value* y = b.batch_norm("bn", b.input("x", {Dim::symbol("n"), 4}), 4);
    y = b.op("Reshape", "reshape", {y, b.constant("s", Tensor::vector<int64_t>({0, 100000}))});
    b.output(b.op("MatMul", "matmul", {y, b.random("w", {100000, 1})}));
    EXPECT_NO_THROW(optimize(*b.model));
  }
}

TEST(FoldReview, ParametersThatDoNotFitTheChannels) {
  Build b;
  Value* y = b.op("DepthToSpace", "d2s", {b.input("x", {1, 4096, 1, 1})}, {{"blocksize", int64_t{2}}});
  b.output(b.batch_norm("bn", y, 4));
  const OptimizeReport report = optimize(*b.model);
  ASSERT_EQ(report.batch_norms.size(), 1u);
  EXPECT_FALSE(report.batch_norms[0].folded);
  EXPECT_NE(report.batch_norms[0].reason.find("its parameters have shape"), std::string::npos);
}

TEST(FoldReview, ConvolutionsOfTooFewAxes) {
  for (const std::vector<Dim>& dims : {std::vector<Dim>{5}, std::vector<Dim>{}}) {
    Build b;
    Value* y =
        b.op("Add", "add",
             {b.op("Mul", "mul", {b.input("x", dims), b.numbers("s", {2}, {})}), b.numbers("t", {1}, {})});
    b.output(b.op("Conv", "conv", {y, b.random("w", {2, 1, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}}));
    EXPECT_NO_THROW(optimize(*b.model));
  }
}

TEST(FoldReview, NoBatchNormWhereItsVersionLacksTheType) {
  Build b(DataType::bfloat16, 13);
  Value* y = b.op("Mul", "mul", {b.input("x", {1, 3, 2, 2}), b.random("s", {3, 1, 1}, 0.5, 2)});
  b.output(b.op("Add", "add", {y, b.random("t", {3, 1, 1})}));
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "BatchNormalization"), 0);
}

TEST(FoldReview, AResizeOfTheChannelsThatKeepsTheirNumber) {
  Build b;
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 2, 3, 3}), b.random("w", {4, 2, 1, 1})});
  y = b.op("Resize", "resize", {y, nullptr, b.constant("scales", Tensor::vector({1.f, 1.2f, 1.f, 1.f}))},
           {{"mode", std::string("linear")}});
  b.output(b.batch_norm("bn", y, 4));
  expect_kept(b);
}

TEST(FoldReview, AClipWithItsBoundsSwapped) {
  Build b;
  Value* y = b.op("Clip", "clip",
                  {b.input("x", {1, 1, 3, 3}), b.numbers("low", {0}, {}), b.numbers("high", {-5}, {})});
  y = b.op("Pad", "pad", {y, b.constant("p", Tensor::vector<int64_t>({0, 0, 1, 1, 0, 0, 1, 1}))});
  b.output(b.op("MaxPool", "pool", {y}, {{"kernel_shape", Ints{2, 2}}}));
  expect_kept(b);
}

TEST(FoldReview, WideConcats) {
  Build b;
  std::vector<Value*> parts;
  for (int i = 0; i < 5000; ++i)
    parts.push_back(b.op("Mul", "mul" + std::to_string(i),
                         {b.input("x" + std::to_string(i), {1, 2}), b.numbers("c", {2, 3}, {2})}));
  b.output(b.op("Sigmoid", "sigmoid", {b.op("Concat", "concat", parts, {{"axis", int64_t{1}}})}));
  EXPECT_EQ(optimize(*b.model).nodes_after, 5002);
}

}  // namespace
}  // namespace plica::testing
