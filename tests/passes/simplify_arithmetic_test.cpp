// Arithmetic and casts that go. Results are compared bit for bit unless a test says otherwise.
#include <bit>
#include <limits>

#include "engine/ops/table.h"
#include "tests/passes/simplify.h"

namespace plica::testing {
namespace {

TEST(Simplify, NeutralOperandsGo) {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16, DataType::float64}) {
    Build b(type);
    Value* x = b.input("x", {Dim::symbol("n"), 3, 4});
    Value* y = b.op("Relu", "relu", {x});
    y = b.op("Mul", "mul", {y, b.numbers("one", {1}, {})});
    y = b.op("Mul", "ones", {b.numbers("ones", {1, 1, 1}, {3, 1}), y});
    y = b.op("Div", "div", {y, b.numbers("one2", {1}, {1})});
    y = b.op("Add", "add", {y, b.numbers("zero", {-0.0}, {})});
    y = b.op("Sub", "sub", {y, b.numbers("zero2", {0}, {1, 1, 1})});
    y = b.op("Pow", "pow", {y, b.numbers("one3", {1}, {})});
    for (const char* op : {"Sum", "Mean", "Max", "Min"}) y = b.op(op, op, {y});
    b.output(b.op("Sigmoid", "out", {y}), 3);
    simplify(b);
    EXPECT_EQ(ops_of(*b.graph), "Relu Sigmoid");
  }
}

TEST(Simplify, WhatIsNotNeutralStays) {
  const auto stays = [](const char* op, bool constant_first, double number, Dims dims,
                        std::vector<Dim> shape) {
    Build b;
    Value* c = b.constant(
        "c", tensor_of(b.type, std::vector<double>(static_cast<size_t>(dims.empty() ? 1 : dims[0]), number),
                       dims));
    Value* x = b.op("Softplus", "in", {b.input("x", shape)});
    b.output(b.op("Softsign", "out",
                  {b.op(op, "op", constant_first ? std::vector<Value*>{c, x} : std::vector<Value*>{x, c})}),
             static_cast<int>(std::max(dims.size(), shape.size())));
    OptimizeOptions options;
    options.disable = {"fold_affines"};
    optimize_and_check(b, options);
    return count_ops(*b.graph, op) == 1;
  };
  EXPECT_TRUE(stays("Div", true, 1, {}, {2, 3}));
  EXPECT_TRUE(stays("Sub", true, 0, {}, {2, 3}));
  EXPECT_TRUE(stays("Sub", false, -0.0, {}, {2, 3}));
  EXPECT_TRUE(stays("Pow", true, 1, {}, {2, 3}));
  EXPECT_TRUE(stays("Mul", false, 2, {}, {2, 3}));
  EXPECT_TRUE(stays("Mul", false, 1, {1, 1, 1}, {2, 3})) << "the result has one more axis";
  EXPECT_TRUE(stays("Mul", false, 1, {3}, {2, 1})) << "the operand is repeated";
  EXPECT_TRUE(stays("Mul", false, 1, {2}, {2, Dim()})) << "the operand may be repeated";
  EXPECT_FALSE(stays("Mul", false, 1, {3}, {2, 3}));
  EXPECT_FALSE(stays("Mul", true, 1, {1}, {2, Dim()}));
}

// The one inexact rule: -0 + 0 is +0.
TEST(Simplify, AddOfZeroKeepsTheSignOfZero) {
  Build b;
  b.output(b.op("Abs", "out",
                {b.op("Add", "add", {b.op("Neg", "neg", {b.input("x", {2})}), b.numbers("z", {0}, {})})}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Neg Abs");
}

TEST(Simplify, LegacyBroadcastOfNeutralOperands) {
  Build b(DataType::float32, 6, 4);
  Value* y = b.op("Mul", "mul", {b.input("x", {2, 3, 4}), b.numbers("ones", {1, 1, 1}, {3})},
                  {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}});
  b.output(b.op("Sigmoid", "out", {y}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Sigmoid");
}

TEST(Simplify, IntegersToo) {
  Build b;
  Value* x = b.graph->add_input("x", Type::tensor(DataType::int32, Shape{2}));
  Value* y = b.op("Add", "add", {x, b.constant("zero", Tensor::vector<int32_t>({0, 0}))});
  y = b.op("Mul", "mul", {y, b.constant("one", Tensor::scalar<int32_t>(1))});
  Value* z = b.op("Neg", "neg", {y});
  b.graph->add_output(z);
  optimize(*b.model);
  EXPECT_EQ(ops_of(*b.graph), "Neg");
}

TEST(Simplify, FunctionsOfFunctions) {
  const auto left = [](std::vector<std::string> ops) {
    Build b;
    Value* y = b.input("x", {2, 3});
    for (const std::string& op : ops) y = b.op(op, op, {y});
    b.output(b.op("Sigmoid", "out", {y}), 2);
    simplify(b);
    return ops_of(*b.graph);
  };
  EXPECT_EQ(left({"Neg", "Neg"}), "Sigmoid");
  EXPECT_EQ(left({"Neg", "Neg", "Neg"}), "Neg Sigmoid");
  EXPECT_EQ(left({"Relu", "Relu", "Relu"}), "Relu Sigmoid");
  EXPECT_EQ(left({"Abs", "Abs"}), "Abs Sigmoid");
  EXPECT_EQ(left({"Abs", "Relu"}), "Abs Sigmoid");
  EXPECT_EQ(left({"Relu", "Abs"}), "Relu Abs Sigmoid") << "Relu(-0) is -0";
  EXPECT_EQ(left({"Ceil", "Floor", "Round"}), "Ceil Sigmoid");
  EXPECT_EQ(left({"Floor", "Floor"}), "Floor Sigmoid");
  EXPECT_EQ(left({"Reciprocal", "Reciprocal"}), "Reciprocal Reciprocal Sigmoid") << "it rounds twice";
}

TEST(Simplify, ClipsMerge) {
  for (const int64_t opset : {6, 11, 17}) {
    Build b(DataType::float32, opset);
    const auto clip = [&](const char* name, Value* x, double low, double high) {
      if (opset >= 11)
        return b.op("Clip", name, {x, b.numbers("low", {low}, {}), b.numbers("high", {high}, {})});
      return b.op("Clip", name, {x}, {{"min", static_cast<float>(low)}, {"max", static_cast<float>(high)}});
    };
    Value* x = b.input("x", {2, 30});
    b.output(clip("overlapping", clip("a", x, -1, 0.5), -0.25, 1));
    b.output(clip("above", clip("c", x, -1, 0), 0.5, 1));
    b.output(clip("three", clip("d", clip("e", x, -1.5, 1.5), -1, 2), -2, 1));
    b.output(clip("relu6", b.op("Relu", "f", {x}), 0, 1));
    b.output(b.op("Relu", "after", {clip("g", x, 0.25, 1)}));
    b.output(b.op("Relu", "needed", {clip("h", x, -0.25, 1)}));
    simplify(b);
    EXPECT_EQ(ops_of(*b.graph), "Clip Clip Clip Clip Clip Clip Relu") << print(*b.graph);
  }
}

TEST(Simplify, ClipsWithOneBoundOrUnknownOnes) {
  Build b;
  Value *x = b.input("x", {2, 30}), *bound = b.input("bound", {});
  Value* low = b.op("Clip", "low", {x, b.numbers("a", {-0.5}, {})});
  b.output(b.op("Clip", "both", {low, nullptr, b.numbers("c", {0.5}, {})}));
  b.output(b.op("Clip", "unknown", {b.op("Clip", "inner", {x, bound}), b.numbers("d", {0}, {})}));
  b.output(b.op(
      "Clip", "crossed",
      {b.op("Clip", "e", {x, b.numbers("f", {1}, {}), b.numbers("g", {-1}, {})}), b.numbers("h", {0}, {})}));
  b.output(b.op("Sigmoid", "none", {b.op("Clip", "unbounded", {x})}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Clip Clip Clip Clip Clip Sigmoid") << print(*b.graph);
  EXPECT_EQ(find_node(*b.graph, "both")->num_inputs(), 3);
}

TEST(Simplify, CastsThatLoseNothing) {
  const auto left = [](DataType first, std::vector<DataType> casts) {
    Build b(first);
    Value* y = b.input("x", {2, 3});
    for (DataType t : casts) y = b.op("Cast", "cast", {y}, {{"to", static_cast<int64_t>(t)}});
    Value* z = b.op("Identity", "out",
                    {b.op("Cast", "last", {y}, {{"to", static_cast<int64_t>(DataType::float64)}})});
    b.graph->add_output(z);
    OptimizeOptions options;
    options.only = {"merge_casts", "remove_cast"};
    optimize_and_check(b, options, 0);
    return count_ops(*b.graph, "Cast");
  };
  using enum DataType;
  EXPECT_EQ(left(float16, {float32, float16}), 1);
  EXPECT_EQ(left(float16, {float64, float32, float16}), 1);
  EXPECT_EQ(left(bfloat16, {float32, bfloat16, float32}), 1);
  EXPECT_EQ(left(float32, {float16, float32}), 2) << "float16 loses";
  EXPECT_EQ(left(float32, {float64, float16}), 2);
  EXPECT_EQ(left(float32, {int32, int64, int32}), 2);
  EXPECT_EQ(left(float16, {bfloat16, float16}), 3);
  EXPECT_EQ(left(float32, {int32, uint32}), 3);
}

}  // namespace
}  // namespace plica::testing
