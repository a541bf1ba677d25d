// Operators on 8-bit integers by oneDNN's primitives, against engine/ops: bit by bit.
#include "runtime/onednn/onednn.h"
#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;
using AttributeList = std::vector<std::pair<std::string, AttributeValue>>;

Tensor bytes(GraphMaker& g, DataType type, const Dims& dims, int low = -1000, int high = 1000) {
  Tensor t(type, dims);
  const bool is_signed = type == DataType::int8;
  low = std::max(low, is_signed ? -128 : 0);
  high = std::min(high, is_signed ? 127 : 255);
  auto* to = static_cast<uint8_t*>(t.mutable_raw());
  for (int64_t i = 0; i < t.size(); ++i) to[i] = static_cast<uint8_t>(g.pick(low, high));
  return t;
}

Tensor byte(DataType type, int value) {
  Tensor t(type, {});
  *static_cast<uint8_t*>(t.mutable_raw()) = static_cast<uint8_t>(value);
  return t;
}

NamedTensors feed(GraphMaker& g) {
  NamedTensors inputs;
  for (const Value* v : g.graph().inputs()) {
    const Dims dims = *v->type().shape->known();
    const DataType type = v->type().element;
    inputs[v->name()] = type == DataType::float32 ? g.random(dims) : bytes(g, type, dims);
  }
  return inputs;
}

// Whether a primitive did it: on CPUs that have exact products it must.
bool by_onednn(const PlanInfo& info, const std::string& kind) {
  for (const StepInfo& s : info.steps) {
    if (s.kind == kind && s.implementation != "evaluate") return true;
  }
  return false;
}

struct ConvCase {
  Dims x, w;
  Ints strides, pads, dilations;
  int64_t groups = 1;
  std::string auto_pad;
};

AttributeList attributes_of(const ConvCase& c) {
  AttributeList a = {{"group", c.groups}};
  if (!c.strides.empty()) a.push_back({"strides", c.strides});
  if (!c.pads.empty()) a.push_back({"pads", c.pads});
  if (!c.dilations.empty()) a.push_back({"dilations", c.dilations});
  if (!c.auto_pad.empty()) a.push_back({"auto_pad", c.auto_pad});
  return a;
}

const ConvCase kConvCases[] = {
    {{1, 8, 9, 9}, {16, 8, 3, 3}, {}, {1, 1, 1, 1}},
    {{2, 3, 13, 11}, {10, 3, 5, 3}, {2, 1}, {0, 2, 1, 0}},
    {{1, 16, 7, 7}, {33, 16, 1, 1}},
    {{1, 64, 6, 6}, {64, 64, 1, 1}, {2, 2}},
    {{1, 12, 10, 10}, {12, 1, 3, 3}, {}, {1, 1, 1, 1}, {}, 12},
    {{1, 32, 9, 8}, {32, 1, 3, 3}, {2, 2}, {1, 1, 1, 1}, {}, 32},
    {{1, 9, 8, 8}, {15, 3, 3, 3}, {}, {1, 1, 1, 1}, {}, 3},
    {{1, 32, 8, 8}, {64, 16, 3, 3}, {}, {1, 1, 1, 1}, {}, 2},
    {{1, 6, 12, 12}, {6, 6, 3, 3}, {}, {2, 2, 2, 2}, {2, 2}},
    {{1, 5, 10, 9}, {7, 5, 3, 2}, {2, 2}, {}, {}, 1, "SAME_UPPER"},
    {{1, 5, 10, 9}, {7, 5, 3, 2}, {2, 2}, {}, {}, 1, "SAME_LOWER"},
    {{3, 4, 17}, {6, 4, 3}, {2}, {1, 0}},
    {{1, 4, 5, 6, 7}, {8, 4, 2, 3, 2}, {1, 2, 1}, {0, 1, 0, 1, 1, 0}},
    {{1, 4, 1, 1}, {8, 4, 1, 1}},
};

// The weight's zero points: one, or one a channel; where (w - zero) is int8, and where it is not.
Tensor weight_zeros(GraphMaker& g, DataType type, int64_t channels, int kind) {
  const int middle = type == DataType::int8 ? 0 : 128;
  if (kind == 0) return byte(type, middle);
  Tensor t(type, {channels});
  auto* to = static_cast<uint8_t*>(t.mutable_raw());
  for (int64_t i = 0; i < channels; ++i) to[i] = static_cast<uint8_t>(middle + g.pick(-20, 20));
  return t;
}

void check_qlinear_conv(const ConvCase& c, uint32_t seed, int variant) {
  SCOPED_TRACE(to_string(c.x) + " by " + to_string(c.w) + " variant " + std::to_string(variant));
  GraphMaker g(seed);
  const bool per_channel = (variant & 1) != 0, has_bias = (variant & 2) != 0;
  const DataType x_type = (variant & 4) != 0 ? DataType::int8 : DataType::uint8,
                 w_type = (variant & 8) != 0 ? DataType::uint8 : DataType::int8,
                 y_type = (variant & 16) != 0 ? DataType::int8 : DataType::uint8;
  const int x_zero = (variant & 32) != 0 ? 0 : x_type == DataType::int8 ? -7 : 113;
  const int y_zero = (variant & 64) != 0 ? 0 : y_type == DataType::int8 ? 5 : 121;
  const int64_t channels = c.w[0];
  int64_t terms = 1;
  for (size_t i = 1; i < c.w.size(); ++i) terms *= c.w[i];
  const int middle = w_type == DataType::int8 ? 0 : 128;
  Tensor w_scale = per_channel ? g.random({channels}, 0.01f, 0.02f) : Tensor::scalar(0.015f);
  // Results of the sizes that 8 bits have, and ties: with a factor of 1/2^n every second one is near.
  const float y_scale = 0.02f * 0.015f * 20 * std::sqrt(static_cast<float>(terms)) * 50;
  std::vector<Value*> inputs = {g.input(c.x, x_type),
                                g.scalar(0.02f),
                                g.constant(byte(x_type, x_zero)),
                                g.constant(bytes(g, w_type, c.w, middle - 100, middle + 100)),
                                g.constant(w_scale),
                                g.constant(weight_zeros(g, w_type, channels, per_channel ? 1 : 0)),
                                g.scalar(y_scale),
                                g.constant(byte(y_type, y_zero))};
  if (has_bias) {
    Tensor bias(DataType::int32, {channels});
    for (int32_t& b : bias.mutable_values<int32_t>()) b = static_cast<int32_t>(g.pick(-5000, 5000));
    inputs.push_back(g.constant(bias));
  }
  g.output(g.node("QLinearConv", inputs, attributes_of(c)));
  const PlanInfo info = check_against_reference(g, feed(g));
  EXPECT_EQ(by_onednn(info, "Conv"), onednn::has_exact_int8()) << steps_of(info);
}

TEST(Quantized, QLinearConvIsExact) {
  uint32_t seed = 1;
  for (const ConvCase& c : kConvCases) {
    for (int variant : {0, 3, 7, 10, 21, 46, 67, 98, 127}) check_qlinear_conv(c, ++seed, variant);
  }
}

// A factor of 1/2 makes every odd sum a tie: to even before the zero point is added, not after.
TEST(Quantized, TiesGoToEvenBeforeTheZeroPoint) {
  for (int zero : {0, 1, 2, 101}) {
    GraphMaker g(5);
    Tensor w(DataType::int8, {3, 2, 1, 1});
    for (int64_t i = 0; i < w.size(); ++i) w.mutable_data<int8_t>()[i] = static_cast<int8_t>(i == 3 ? -1 : 1);
    g.output(g.node("QLinearConv", {g.input({1, 2, 16, 16}, DataType::uint8), g.scalar(1),
                                    g.constant(byte(DataType::uint8, 0)), g.constant(w), g.scalar(0.5f),
                                    g.constant(byte(DataType::int8, 0)), g.scalar(1),
                                    g.constant(byte(DataType::uint8, zero))}));
    check_against_reference(g, feed(g));
  }
}

TEST(Quantized, SaturatesAtBothEnds) {
  for (DataType type : {DataType::int8, DataType::uint8}) {
    GraphMaker g(6);
    g.output(
        g.node("QLinearConv",
               {g.input({1, 8, 8, 8}, DataType::uint8), g.scalar(1), g.constant(byte(DataType::uint8, 128)),
                g.constant(bytes(g, DataType::int8, {8, 8, 3, 3})), g.scalar(1),
                g.constant(byte(DataType::int8, 0)), g.scalar(1e-6f), g.constant(byte(type, 100))}));
    check_against_reference(g, feed(g));
  }
}

// Pairs of products that 16 bits cannot hold: 255 * 127 * 2. On CPUs that add them there, nothing may be
// lowered.
TEST(Quantized, ExtremeProductsDoNotSaturate) {
  for (DataType type : {DataType::int8, DataType::uint8}) {
    for (int weight : {127, -128}) {
      GraphMaker g(7);
      Tensor w(DataType::int8, {16, 32, 3, 3});
      for (int8_t& v : w.mutable_values<int8_t>()) v = static_cast<int8_t>(weight);
      g.output(
          g.node("ConvInteger", {g.input({1, 32, 6, 6}, type), g.constant(w)}, {{"pads", Ints{1, 1, 1, 1}}}));
      const Value* x = g.graph().inputs()[0];
      Tensor extreme = byte(type, type == DataType::int8 ? -128 : 255);
      Tensor all(type, {1, 32, 6, 6});
      std::fill_n(static_cast<uint8_t*>(all.mutable_raw()), all.size(),
                  *static_cast<const uint8_t*>(extreme.raw()));
      NamedTensors inputs;
      inputs[x->name()] = all;
      check_against_reference(g, inputs);
    }
  }
}

TEST(Quantized, ConvIntegerIsExact) {
  uint32_t seed = 100;
  for (const ConvCase& c : kConvCases) {
    for (int variant : {0, 1, 2, 3, 5, 6}) {
      SCOPED_TRACE(to_string(c.x) + " by " + to_string(c.w) + " variant " + std::to_string(variant));
      GraphMaker g(++seed);
      const DataType x_type = (variant & 1) != 0 ? DataType::int8 : DataType::uint8;
      const DataType w_type = (variant & 2) != 0 ? DataType::uint8 : DataType::int8;
      const int middle = w_type == DataType::int8 ? 0 : 128;
      // The source's zero point: none, or known to the run alone.
      std::vector<Value*> inputs = {g.input(c.x, x_type),
                                    g.constant(bytes(g, w_type, c.w, middle - 100, middle + 100))};
      inputs.push_back((variant & 4) != 0 ? nullptr : g.input({}, x_type));
      inputs.push_back(g.constant(weight_zeros(g, w_type, c.w[0], variant & 1)));
      g.output(g.node("ConvInteger", inputs, attributes_of(c)));
      const PlanInfo info = check_against_reference(g, feed(g));
      EXPECT_EQ(by_onednn(info, "Conv"), onednn::has_exact_int8()) << steps_of(info);
    }
  }
}

// Sums beyond 2^24 are no float32 integers, which the primitives go through.
TEST(Quantized, LongIntegerSumsStayExact) {
  for (int64_t channels : {500, 600, 2000}) {
    GraphMaker g(11);
    g.output(g.node("ConvInteger", {g.input({1, channels, 2, 2}, DataType::uint8),
                                    g.constant(bytes(g, DataType::int8, {4, channels, 1, 1}, 100, 127))}));
    g.output(g.node("MatMulInteger", {g.input({3, channels}, DataType::int8),
                                      g.constant(bytes(g, DataType::int8, {channels, 5}, -128, -100))}));
    check_against_reference(g, feed(g));
  }
}

struct MatMulCase {
  Dims a, b;
  bool constant = true;
};

const MatMulCase kMatMulCases[] = {
    {{7, 33}, {33, 13}},
    {{1, 64}, {64, 40}},
    {{2, 5, 16}, {16, 24}},
    {{2, 3, 4, 9}, {9, 5}},
    {{4, 6, 8}, {4, 8, 10}},
    {{4, 6, 8}, {4, 8, 10}, false},
    {{2, 3, 6, 8}, {3, 8, 4}, false},
    {{1, 6, 8}, {5, 8, 4}},
    {{3, 1, 6, 8}, {1, 2, 8, 7}, false},
    {{6, 8}, {3, 8, 4}, false},
    {{1, 1}, {1, 1}},
    {{128, 96}, {96, 64}, false},
};

TEST(Quantized, MatMulIntegerIsExact) {
  uint32_t seed = 200;
  for (const MatMulCase& c : kMatMulCases) {
    for (int variant = 0; variant < 4; ++variant) {
      SCOPED_TRACE(to_string(c.a) + " by " + to_string(c.b) + " variant " + std::to_string(variant));
      GraphMaker g(++seed);
      const DataType type = (variant & 1) != 0 ? DataType::int8 : DataType::uint8;
      std::vector<Value*> inputs = {g.input(c.a, type), c.constant ? g.constant(bytes(g, DataType::int8, c.b))
                                                                   : g.input(c.b, DataType::int8)};
      if ((variant & 2) != 0) inputs.push_back(g.input({}, type));
      g.output(g.node("MatMulInteger", inputs));
      const PlanInfo info = check_against_reference(g, feed(g));
      EXPECT_EQ(by_onednn(info, "MatMul"), onednn::has_exact_int8()) << steps_of(info);
    }
  }
}

TEST(Quantized, QLinearMatMulIsExact) {
  uint32_t seed = 300;
  for (const MatMulCase& c : kMatMulCases) {
    for (int variant = 0; variant < 8; ++variant) {
      SCOPED_TRACE(to_string(c.a) + " by " + to_string(c.b) + " variant " + std::to_string(variant));
      GraphMaker g(++seed);
      const bool per_column = (variant & 1) != 0 && c.constant;
      const DataType a_type = (variant & 2) != 0 ? DataType::int8 : DataType::uint8,
                     y_type = (variant & 4) != 0 ? DataType::int8 : DataType::uint8;
      const int64_t n = c.b.back();
      const Dims one_each = per_column ? Dims{n} : Dims{};
      Tensor zeros = bytes(g, DataType::int8, one_each, 0, per_column ? 9 : 0);
      const float y_scale = 0.02f * 0.015f * 74 * 100 * std::sqrt(static_cast<float>(c.a.back())) / 30;
      g.output(g.node("QLinearMatMul", {g.input(c.a, a_type), g.scalar(0.02f), g.constant(byte(a_type, 11)),
                                        c.constant ? g.constant(bytes(g, DataType::int8, c.b, -100, 100))
                                                   : g.input(c.b, DataType::int8),
                                        g.constant(g.random(one_each, 0.01f, 0.02f)), g.constant(zeros),
                                        g.scalar(y_scale), g.constant(byte(y_type, 33))}));
      const PlanInfo info = check_against_reference(g, feed(g));
      EXPECT_EQ(by_onednn(info, "MatMul"), onednn::has_exact_int8()) << steps_of(info);
    }
  }
}

GraphMaker microsoft(uint32_t seed) {
  GraphMaker g(seed);
  const_cast<ModelGraph&>(*g.model()).opset_imports.emplace_back("com.microsoft", 1);
  return g;
}

Value* microsoft_node(GraphMaker& g, const std::string& op, std::vector<Value*> inputs,
                      AttributeList attributes = {}) {
  Attributes a;
  for (auto& [name, value] : attributes) a.set(name, std::move(value));
  Value* y = g.graph().add_value(g.graph().fresh_name("v"));
  g.graph().add_node(op, "com.microsoft", std::move(inputs), {y}, std::move(a))->name =
      g.graph().fresh_name(op);
  return y;
}

TEST(Quantized, QGemmIsExact) {
  for (int variant = 0; variant < 16; ++variant) {
    SCOPED_TRACE(variant);
    GraphMaker g = microsoft(400 + static_cast<uint32_t>(variant));
    const bool transposed = (variant & 1) != 0, to_float = (variant & 2) != 0,
               per_column = (variant & 4) != 0;
    const DataType type = (variant & 8) != 0 ? DataType::int8 : DataType::uint8;
    Tensor bias(DataType::int32, {12});
    for (int32_t& b : bias.mutable_values<int32_t>()) b = static_cast<int32_t>(g.pick(-3000, 3000));
    std::vector<Value*> inputs = {
        g.input({5, 20}, type),
        g.scalar(0.03f),
        g.constant(byte(type, 4)),
        g.constant(bytes(g, DataType::int8, transposed ? Dims{12, 20} : Dims{20, 12})),
        g.constant(g.random(per_column ? Dims{12} : Dims{}, 0.01f, 0.02f)),
        g.constant(bytes(g, DataType::int8, per_column ? Dims{12} : Dims{}, 0, 0)),
        g.constant(bias)};
    if (!to_float) {
      inputs.push_back(g.scalar(0.2f));
      inputs.push_back(g.constant(byte(type, 60)));
    }
    g.output(microsoft_node(g, "QGemm", inputs, {{"transB", int64_t{transposed}}, {"alpha", 1.25f}}));
    const NamedTensors inputs_of_run = feed(g);
    const PlanInfo info = check_against_reference(g, inputs_of_run);
    EXPECT_EQ(by_onednn(info, "MatMul"), onednn::has_exact_int8()) << steps_of(info);
  }
}

// What a model of quantized convolutions is made of; the layout goes through it without reorders inside.
TEST(Quantized, ActivationsStayChannelsLast) {
  for (DataType type : {DataType::uint8, DataType::int8}) {
    GraphMaker g = microsoft(500);
    const auto conv = [&](Value* x, const Dims& w, AttributeList attributes) {
      return g.node(
          "QLinearConv",
          {x, g.scalar(0.02f), g.constant(byte(type, 3)), g.constant(bytes(g, DataType::int8, w)),
           g.constant(g.random({w[0]}, 0.01f, 0.02f)), g.constant(bytes(g, DataType::int8, {w[0]}, 0, 0)),
           g.scalar(0.3f), g.constant(byte(type, 3))},
          std::move(attributes));
    };
    const auto add = [&](Value* a, Value* b) {
      return microsoft_node(g, "QLinearAdd",
                            {a, g.scalar(0.3f), g.constant(byte(type, 3)), b, g.scalar(0.3f),
                             g.constant(byte(type, 3)), g.scalar(0.5f), g.constant(byte(type, 9))});
    };
    Value* x =
        g.node("QuantizeLinear", {g.input({2, 3, 19, 17}), g.scalar(0.01f), g.constant(byte(type, 3))});
    Value* stem = conv(x, {16, 3, 3, 3}, {{"strides", Ints{2, 2}}});
    stem = g.node("MaxPool", {stem},
                  {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}, {"ceil_mode", int64_t{1}}});
    Value* deep = conv(conv(stem, {16, 1, 3, 3}, {{"group", int64_t{16}}, {"pads", Ints{1, 1, 1, 1}}}),
                       {16, 16, 1, 1}, {});
    Value* sum = add(stem, deep);
    sum = microsoft_node(
        g, "QLinearLeakyRelu",
        {sum, g.scalar(0.5f), g.constant(byte(type, 9)), g.scalar(0.4f), g.constant(byte(type, 1))});
    Value* last = conv(sum, {24, 16, 3, 3}, {});
    g.output(g.node("DequantizeLinear", {last, g.scalar(0.3f), g.constant(byte(type, 3))}));
    g.output(g.node("Transpose", {last}, {{"perm", Ints{0, 2, 3, 1}}}));
    g.output(sum);
    const PlanInfo info = check_against_reference(g, feed(g));
    // The image, and each time a row-major result is wanted: the sum, `last`, and it dequantized.
    if (onednn::has_exact_int8()) {
      EXPECT_LE(count_steps(info, "reorder"), 4) << steps_of(info);
    }
  }
}

TEST(Quantized, MaxPoolOfBytes) {
  uint32_t seed = 600;
  for (DataType type : {DataType::uint8, DataType::int8}) {
    for (const Dims& x : {Dims{1, 16, 9, 9}, Dims{2, 5, 12}, Dims{1, 3, 4, 6, 5}}) {
      GraphMaker g(++seed);
      const size_t n = x.size() - 2;
      g.output(g.node("MaxPool", {g.input(x, type)},
                      {{"kernel_shape", Ints(n, 3)}, {"pads", Ints(2 * n, 1)}, {"strides", Ints(n, 2)}}));
      check_against_reference(g, feed(g));
    }
  }
}

TEST(Quantized, TensorsWithoutElements) {
  GraphMaker g(700);
  g.output(g.node("MatMulInteger",
                  {g.input({0, 8}, DataType::uint8), g.constant(bytes(g, DataType::int8, {8, 4}))}));
  g.output(g.node("MatMulInteger",
                  {g.input({3, 0}, DataType::uint8), g.constant(bytes(g, DataType::int8, {0, 4}))}));
  g.output(g.node("ConvInteger", {g.input({0, 3, 5, 5}, DataType::uint8),
                                  g.constant(bytes(g, DataType::int8, {4, 3, 3, 3}))}));
  g.output(g.node("MaxPool", {g.input({0, 3, 5, 5}, DataType::uint8)}, {{"kernel_shape", Ints{2, 2}}}));
  g.output(g.node("QuantizeLinear",
                  {g.input({1, 0, 4, 4}), g.scalar(0.5f), g.constant(byte(DataType::uint8, 1))}));
  check_against_reference(g, feed(g));
}

// One executor, several shapes, a zero point that DynamicQuantizeLinear computes.
TEST(Quantized, DynamicShapesAndZeroPoints) {
  GraphMaker g(800);
  Value* x = g.symbolic_input(Shape{Dim::symbol("n"), 12});
  const std::vector<Value*> quantized = g.nodes("DynamicQuantizeLinear", {x}, 3);
  Value* sums =
      g.node("MatMulInteger", {quantized[0], g.constant(bytes(g, DataType::int8, {12, 9})), quantized[2]});
  g.output(sums);
  g.output(quantized[1]);
  Executor executor(g.model(), {.threads = 2});
  for (int64_t n : {1, 5, 0, 33, 5}) {
    NamedTensors inputs;
    inputs[x->name()] = g.random({n, 12}, -3, 2);
    const std::vector<Tensor> expected = evaluate_graph(g.graph(), inputs);
    const NamedTensors actual = executor.run(inputs);
    expect_close(actual.at(sums->name()), expected[0], 1);
  }
}

// Scales that no factor can express, and zero points of weights that leave int8, are engine/ops' affair.
TEST(Quantized, WhatPrimitivesCannotDoIsComputedAllTheSame) {
  GraphMaker g(900);
  const auto product = [&](float y_scale, const Tensor& w, const Tensor& zero) {
    g.output(
        g.node("QLinearMatMul", {g.input({4, 6}, DataType::uint8), g.scalar(0.5f),
                                 g.constant(byte(DataType::uint8, 9)), g.constant(w), g.scalar(0.25f),
                                 g.constant(zero), g.scalar(y_scale), g.constant(byte(DataType::uint8, 7))}));
  };
  product(0, bytes(g, DataType::int8, {6, 5}), byte(DataType::int8, 0));
  product(30, bytes(g, DataType::uint8, {6, 5}), byte(DataType::uint8, 3));
  product(30, bytes(g, DataType::int8, {6, 5}), byte(DataType::int8, -100));
  check_against_reference(g, feed(g));
}

}  // namespace
}  // namespace plica::testing
