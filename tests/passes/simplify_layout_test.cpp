// Layout operators that go or merge. Elements are moved, never computed: results are equal bit for bit.
#include "tests/passes/simplify.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

Value* vector(Build& b, Ints values) {
  const auto count = static_cast<int64_t>(values.size());
  return b.constant("ints", Tensor::of(values, {count}));
}

TEST(SimplifyLayout, WhatMovesNothingGoes) {
  Build b;
  Value* y = b.op("Relu", "in", {b.input("x", {Dim::symbol("n"), 3, 4})});
  y = b.op("Transpose", "transpose", {y}, {{"perm", Ints{0, 1, 2}}});
  y = b.op("Reshape", "reshape", {y, vector(b, {0, 3, 4})});
  y = b.op("Reshape", "reshape2", {y, vector(b, {-1, 3, 4})});
  y = b.op("Expand", "expand", {y, vector(b, {1, 3, 1})});
  y = b.op("Tile", "tile", {y, vector(b, {1, 1, 1})});
  y = b.op("Pad", "pad", {y, vector(b, {0, 0, 0, 0, 0, 0})});
  y = b.op("Slice", "slice", {y, vector(b, {0, 0}), vector(b, {INT64_MAX, 4}), vector(b, {0, 2})});
  y = b.op("Concat", "concat", {y}, {{"axis", int64_t{1}}});
  y = b.op("Split", "split", {y}, {{"axis", int64_t{1}}});
  y = b.op("Squeeze", "squeeze", {y, vector(b, {})});
  b.output(b.op("Sigmoid", "out", {y}), 3);
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Relu Sigmoid");
}

TEST(SimplifyLayout, OldVersionsOfWhatMovesNothing) {
  Build b(DataType::float32, 9);
  Value* y = b.op("Relu", "in", {b.input("x", {2, 3, 4, 4})});
  y = b.op("Pad", "pad", {y}, {{"pads", Ints(8, 0)}});
  y = b.op("Slice", "slice", {y}, {{"starts", Ints{0}}, {"ends", Ints{INT64_MAX}}, {"axes", Ints{1}}});
  y = b.op("Upsample", "up", {y, b.constant("scales", Tensor::vector<float>({1, 1, 1, 1}))},
           {{"mode", std::string("linear")}});
  y = b.op("AveragePool", "average", {y}, {{"kernel_shape", Ints{1, 1}}, {"strides", Ints{1, 1}}});
  y = b.op("MaxPool", "max", {y}, {{"kernel_shape", Ints{1, 1}}, {"pads", Ints(4, 0)}});
  b.output(b.op("Sigmoid", "out", {y}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Relu Sigmoid");
}

TEST(SimplifyLayout, WhatMovesSomethingStays) {
  Build b;
  Value* x = b.op("Relu", "in", {b.input("x", {1, 4, 4, 4})});
  const auto out = [&](Value* y) { b.output(b.op("Sigmoid", "out", {y}), 4); };
  out(b.op("Transpose", "t", {x}, {{"perm", Ints{0, 1, 3, 2}}}));
  out(b.op("Slice", "reversed",
           {x, vector(b, {-1}), vector(b, {INT64_MIN}), vector(b, {1}), vector(b, {-1})}));
  out(b.op("Pad", "shifted", {x, vector(b, {0, 0, 0, 1, 0, 0, 0, -1})}));
  out(b.op("MaxPool", "strided", {x}, {{"kernel_shape", Ints{1, 1}}, {"strides", Ints{2, 2}}}));
  out(b.op("AveragePool", "wide", {x}, {{"kernel_shape", Ints{1, 2}}}));
  out(b.op("Resize", "corners", {x, nullptr, b.constant("scales", Tensor::vector<float>({1, 1, 1, 1}))},
           {{"coordinate_transformation_mode", std::string("align_corners")}}));
  simplify(b);
  EXPECT_EQ(count_ops(*b.graph, "Sigmoid") * 2 + 1, static_cast<int>(b.graph->num_nodes()));
}

TEST(SimplifyLayout, ResizeToTheSameSizeGoes) {
  for (const bool by_scales : {true, false}) {
    for (const char* mode : {"nearest", "linear", "cubic"}) {
      Build b(DataType::float32, 13);
      Value* x = b.op("Relu", "in", {b.input("x", {1, 2, 5, 6})});
      Value* y = by_scales
                     ? b.op("Resize", "r", {x, nullptr, b.constant("s", Tensor::vector<float>({1, 1, 1, 1}))},
                            {{"mode", std::string(mode)}})
                     : b.op("Resize", "r", {x, nullptr, nullptr, vector(b, {1, 2, 5, 6})},
                            {{"mode", std::string(mode)}});
      b.output(b.op("Sigmoid", "out", {y}));
      simplify(b);
      EXPECT_EQ(ops_of(*b.graph), "Relu Sigmoid");
    }
  }
}

TEST(SimplifyLayout, TransposesMerge) {
  Build b;
  Value* x = b.op("Relu", "in", {b.input("x", {2, 3, 4, 5})});
  const auto transpose = [&](const char* name, Value* v, Ints perm) {
    return b.op("Transpose", name, {v}, {{"perm", std::move(perm)}});
  };
  b.output(transpose("merged", transpose("a", x, {0, 2, 3, 1}), {2, 0, 1, 3}));
  b.output(b.op("Sigmoid", "s", {transpose("back", transpose("c", x, {0, 2, 3, 1}), {0, 3, 1, 2})}));
  b.output(b.op("Tanh", "t", {b.op("Transpose", "r2", {b.op("Transpose", "r1", {x})})}));
  b.output(transpose("reversed", b.op("Transpose", "r3", {x}), {0, 1, 3, 2}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Relu Transpose Sigmoid Tanh Transpose") << print(*b.graph);
}

TEST(SimplifyLayout, ATransposeThatOthersReadIsNotRepeated) {
  Build b;
  Value* t = b.op("Transpose", "t", {b.input("x", {2, 3, 4})}, {{"perm", Ints{1, 2, 0}}});
  b.output(b.op("Relu", "relu", {t}));
  b.output(b.op("Transpose", "merged", {t}, {{"perm", Ints{1, 2, 0}}}));
  b.output(b.op("Sigmoid", "s", {b.op("Transpose", "back", {t}, {{"perm", Ints{2, 0, 1}}})}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Transpose Relu Transpose Sigmoid") << print(*b.graph);
}

TEST(SimplifyLayout, ViewsMerge) {
  for (const int64_t opset : {11, 13, 17}) {
    Build b(DataType::float32, opset);
    const auto with_axes = [&](const char* op, const char* name, Value* v, Ints axes) {
      if (opset < 13) return b.op(op, name, {v}, {{"axes", axes}});
      return b.op(op, name, {v, vector(b, axes)});
    };
    Value* x = b.op("Relu", "in", {b.input("x", {Dim::symbol("n"), 6, 4})});
    Value* y = b.op("Flatten", "flatten", {b.op("Reshape", "r", {x, vector(b, {0, 2, 3, 4})})});
    b.output(with_axes("Unsqueeze", "u", y, {1}), 3);
    b.output(
        b.op("Sigmoid", "s", {with_axes("Squeeze", "sq", with_axes("Unsqueeze", "u2", x, {0, 3}), {0, 3})}),
        3);
    b.output(
        b.op("Reshape", "last", {b.op("Reshape", "first", {x, vector(b, {-1, 12})}), vector(b, {2, -1})}), 2);
    simplify(b);
    EXPECT_EQ(ops_of(*b.graph), "Relu Reshape Sigmoid Reshape") << print(*b.graph);
  }
}

TEST(SimplifyLayout, AComputedShapeThatIsKnownButForOneDim) {
  for (const int64_t opset : {11, 15}) {
    Build b(DataType::float32, opset);
    Value* x = b.op("Relu", "in", {b.input("x", {Dim::symbol("n"), 4, 3, 3})});
    Value* shape = b.op("Shape", "shape", {x});
    Value* batch = b.op("Gather", "batch", {shape, b.constant("zero", Tensor::scalar<int64_t>(0))},
                        {{"axis", int64_t{0}}});
    Value* channels = b.op("Gather", "channels", {shape, b.constant("one", Tensor::scalar<int64_t>(1))},
                           {{"axis", int64_t{0}}});
    const auto one = [&](const char* name, Value* v) {
      if (opset < 13) return b.op("Unsqueeze", name, {v}, {{"axes", Ints{0}}});
      return b.op("Unsqueeze", name, {v, vector(b, {0})});
    };
    Value* half = b.op("Div", "half", {channels, b.constant("two", Tensor::scalar<int64_t>(2))});
    Value* target =
        b.op("Concat", "target", {one("u0", batch), vector(b, {2}), one("u1", half), vector(b, {-1})},
             {{"axis", int64_t{0}}});
    Value* y = b.op("Reshape", "shuffle", {x, target});
    b.output(b.op("Transpose", "out", {y}, {{"perm", Ints{0, 2, 1, 3}}}), 4);
    simplify(b);
    EXPECT_EQ(ops_of(*b.graph), "Relu Reshape Transpose") << print(*b.graph);
    EXPECT_THAT(find_node(*b.graph, "shuffle")->input(1)->initializer()->values<int64_t>(),
                ::testing::ElementsAre(0, 2, 2, 9));
  }
}

TEST(SimplifyLayout, TwoUnknownDimsOrAllowzeroStay) {
  Build b(DataType::float32, 15);
  Value* x = b.input("x", {Dim::symbol("n"), 4, Dim(), Dim()});
  Value* shape = b.op("Shape", "shape", {x});
  Value* ends = b.op("Concat", "ends",
                     {b.op("Slice", "tail", {shape, vector(b, {2}), vector(b, {4})}), vector(b, {2, 2}),
                      b.op("Slice", "head", {shape, vector(b, {0}), vector(b, {1})})},
                     {{"axis", int64_t{0}}});
  b.output(b.op("Reshape", "unknown", {x, ends}), 5);
  Value* head = b.op("Concat", "flat",
                     {b.op("Slice", "head2", {shape, vector(b, {0}), vector(b, {1})}), vector(b, {-1})},
                     {{"axis", int64_t{0}}});
  b.output(b.op("Reshape", "zero", {x, head}, {{"allowzero", int64_t{1}}}), 2);
  simplify(b);
  EXPECT_EQ(count_ops(*b.graph, "Concat"), 2);
}

TEST(SimplifyLayout, ConcatsMergeAlongTheSameAxis) {
  Build b;
  Value *x = b.input("x", {2, 3, 4}), *y = b.input("y", {2, 3, 4});
  const auto concat = [&](const char* name, std::vector<Value*> v, int64_t axis) {
    return b.op("Concat", name, std::move(v), {{"axis", axis}});
  };
  b.output(concat("out", {x, concat("a", {y, concat("b", {x, y}, -2)}, 1), concat("c", {x, x}, 1)}, 1));
  b.output(concat("other", {concat("d", {x, y}, 2), concat("e", {x, y}, 2)}, 1));
  Value* shared = concat("shared", {y, y}, 1);
  b.output(concat("keeps", {shared, x}, 1));
  b.output(b.op("Relu", "relu", {shared}));
  simplify(b);
  EXPECT_EQ(find_node(*b.graph, "out")->num_inputs(), 6);
  EXPECT_EQ(count_ops(*b.graph, "Concat"), 5);  // d and e are the same
}

TEST(SimplifyLayout, ConcatOfAllPartsOfASplit) {
  for (const int64_t opset : {11, 13, 18}) {
    Build b(DataType::float32, opset);
    Value* x = b.op("Relu", "in", {b.input("x", {2, 6, 2})});
    const auto split = [&](const std::string& name) {
      std::vector<Value*> parts;
      for (int i = 0; i < 3; ++i) parts.push_back(b.graph->add_value(name + std::to_string(i)));
      Attributes attributes;
      attributes.set("axis", int64_t{1});
      if (opset >= 18) attributes.set("num_outputs", int64_t{3});
      b.graph->add_node("Split", "", {x}, parts, attributes);
      return parts;
    };
    const auto a = split("a"), c = split("c");
    b.output(b.op("Sigmoid", "s", {b.op("Concat", "whole", a, {{"axis", int64_t{-2}}})}), 3);
    b.output(b.op("Concat", "swapped", {c[1], c[0], c[2]}, {{"axis", int64_t{1}}}), 3);
    simplify(b);
    EXPECT_EQ(ops_of(*b.graph), "Relu Split Sigmoid Concat") << print(*b.graph);
  }
}

TEST(SimplifyLayout, GraphOutputsKeepTheirNames) {
  Build b;
  Value* x = b.input("x", {2, 3});
  b.output(b.op("Transpose", "input_to_output", {x}, {{"perm", Ints{0, 1}}}));
  Value* relu = b.op("Relu", "relu", {x});
  b.output(relu);
  b.output(b.op("Transpose", "output_to_output", {relu}, {{"perm", Ints{0, 1}}}));
  Value* tanh = b.op("Tanh", "tanh", {x});
  b.output(b.op("Transpose", "takes_the_name", {tanh}, {{"perm", Ints{0, 1}}}));
  simplify(b);
  EXPECT_EQ(ops_of(*b.graph), "Transpose Relu Transpose Tanh") << print(*b.graph);
}

}  // namespace
}  // namespace plica::testing
