// Pads that go into what is behind them, in every version of Pad. What is padded with zeros is summed in
// another order by some kernels, so convolutions are compared within the usual tolerance, all else bit for
// bit.
#include <limits>

#include "tests/passes/simplify.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

// Pads by axis: all beginnings, then all ends.
Value* pad(Build& b, const std::string& name, Value* x, Ints pads, double value = 0,
           const char* mode = "constant") {
  if (b.graph->opset("") < 11) {
    return b.op("Pad", name, {x},
                {{"pads", pads}, {"value", static_cast<float>(value)}, {"mode", std::string(mode)}});
  }
  const auto count = static_cast<int64_t>(pads.size());
  return b.op("Pad", name,
              {x, b.constant("pads", Tensor::of(pads, {count})), b.numbers("value", {value}, {})},
              {{"mode", std::string(mode)}});
}

TEST(MergePads, IntoConv) {
  for (const int64_t opset : {9, 11, 18}) {
    Build b(DataType::float32, opset);
    Value* x = pad(b, "pad", b.input("x", {1, 3, Dim::symbol("h"), 7}), {0, 0, 1, 2, 0, 0, 0, 3});
    b.output(b.op("Conv", "conv", {x, b.random("w", {5, 3, 3, 3})},
                  {{"pads", Ints{1, 0, 2, 1}}, {"strides", Ints{2, 1}}}),
             4);
    Build c = b.in(*b.graph);
    Value* z = pad(c, "pad2", b.input("z", {2, 3, 9}), {0, 0, 2, 0, 0, 1});
    b.output(b.op("Conv", "conv1d", {z, b.random("v", {4, 3, 3})}, {{"auto_pad", std::string("VALID")}}), 3);
    optimize_and_check(b);
    EXPECT_EQ(ops_of(*b.graph), "Conv Conv") << print(*b.graph);
    EXPECT_EQ(std::get<Ints>(find_node(*b.graph, "conv")->attributes().find("pads")->value),
              (Ints{2, 2, 2, 4}));
    EXPECT_EQ(std::get<Ints>(find_node(*b.graph, "conv1d")->attributes().find("pads")->value), (Ints{2, 1}));
  }
}

TEST(MergePads, WhatConvDoesNotPadStays) {
  Build b;
  Value* x = b.input("x", {1, 3, 6, 6});
  const auto conv = [&](const std::string& name, Value* y, std::vector<NamedAttribute> attributes = {}) {
    b.output(b.op("Conv", name, {y, b.random("w", {2, y->name() == "channels" ? 4 : 3, 3, 3})},
                  std::move(attributes)),
             4);
  };
  conv("a", pad(b, "value", x, {0, 0, 1, 1, 0, 0, 1, 1}, 0.5));
  conv("b", pad(b, "reflect", x, {0, 0, 1, 1, 0, 0, 1, 1}, 0, "reflect"));
  conv("c", pad(b, "crop", x, {0, 0, -1, 1, 0, 0, 1, 1}));
  conv("d", pad(b, "channels", x, {0, 0, 0, 0, 0, 1, 0, 0}));
  conv("e", pad(b, "same", x, {0, 0, 1, 0, 0, 0, 0, 0}),
       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}});
  Value* shared = pad(b, "shared", x, {0, 0, 2, 2, 0, 0, 2, 2});
  conv("f", shared);
  b.output(b.op("Relu", "relu", {shared}));
  optimize_and_check(b);
  EXPECT_EQ(count_ops(*b.graph, "Pad"), 6) << print(*b.graph);
}

TEST(MergePads, IntoPools) {
  for (const int64_t opset : {9, 13, 19}) {
    Build b(DataType::float32, opset);
    Value* x = b.input("x", {1, 2, 7, 6});
    const Ints pads = {0, 0, 1, 0, 0, 0, 1, 2};
    const auto pool = [&](const char* op, const char* name, Value* y,
                          std::vector<NamedAttribute> attributes = {}) {
      attributes.push_back({"kernel_shape", Ints{3, 4}});
      attributes.push_back({"strides", Ints{2, 1}});
      b.output(b.op(op, name, {y}, std::move(attributes)), 4);
    };
    pool("AveragePool", "average", pad(b, "p1", x, pads));
    pool("AveragePool", "counted", pad(b, "p2", x, pads),
         {{"count_include_pad", int64_t{1}}, {"pads", Ints{1, 1, 1, 1}}});
    pool("MaxPool", "max", pad(b, "p3", b.op("Relu", "relu", {x}), pads));
    pool("MaxPool", "infinite", pad(b, "p4", x, pads, -std::numeric_limits<double>::infinity()));
    simplify(b);
    EXPECT_EQ(count_ops(*b.graph, "Pad"), 0) << print(*b.graph);
    EXPECT_EQ(
        std::get<int64_t>(find_node(*b.graph, "average")->attributes().find("count_include_pad")->value), 1);
  }
}

TEST(MergePads, WhatPoolsSeeOtherwiseStays) {
  Build b;
  Value* x = b.input("x", {1, 2, 7, 7});
  const auto pool = [&](const char* op, const char* name, Value* y,
                        std::vector<NamedAttribute> attributes = {}) {
    attributes.push_back({"kernel_shape", Ints{3, 3}});
    b.output(b.op(op, name, {y}, std::move(attributes)), 4);
  };
  const Ints pads = {0, 0, 1, 1, 0, 0, 1, 1}, wide = {0, 0, 3, 0, 0, 0, 0, 0};
  pool("MaxPool", "negative", pad(b, "p1", x, pads));
  pool("MaxPool", "as_large_as_the_kernel", pad(b, "p2", b.op("Relu", "relu", {x}), wide));
  pool("AveragePool", "not_counted", pad(b, "p3", x, {0, 0, 1, 1, 0, 0, 1, 0}), {{"pads", Ints{1, 1, 1, 1}}});
  pool("AveragePool", "ceil", pad(b, "p4", x, {0, 0, 1, 1, 0, 0, 2, 2}),
       {{"ceil_mode", int64_t{1}}, {"strides", Ints{2, 2}}});
  pool("AveragePool", "ones", pad(b, "p5", x, pads, 1));
  pool("LpPool", "other", pad(b, "p6", x, wide));
  simplify(b);
  EXPECT_EQ(count_ops(*b.graph, "Pad"), 6) << print(*b.graph);
}

TEST(MergePads, PadsAddUp) {
  for (const int64_t opset : {9, 11, 18}) {
    Build b(DataType::float32, opset);
    Value* x = b.input("x", {2, 3, 4});
    b.output(pad(b, "outer", pad(b, "inner", x, {1, 0, 2, 0, 0, 1}, 2), {0, 1, 0, 0, 2, 1}, 2), 3);
    b.output(pad(b, "three", pad(b, "other", x, {0, 0, 1, 0, 0, 1}, 2), {0, 0, 1, 0, 0, 1}, 3), 3);
    simplify(b);
    EXPECT_EQ(count_ops(*b.graph, "Pad"), 3) << print(*b.graph);
  }
  Build b(DataType::float32, 18);
  Value* axes = b.constant("axes", Tensor::vector<int64_t>({-1}));
  Value* inner =
      b.op("Pad", "inner",
           {b.input("x", {2, 3}), b.constant("p", Tensor::vector<int64_t>({1, 2})), nullptr, axes});
  b.output(b.op("Pad", "outer", {inner, b.constant("q", Tensor::vector<int64_t>({1, 0, 1, 0}))}), 2);
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Pad");
}

}  // namespace
}  // namespace plica::testing
