// Conv and ConvTranspose against the defining sums, written with one loop per index.
#include <numeric>

#include "engine/ops/conv_geometry.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Ints = std::vector<int64_t>;

struct Case {
  Dims x, w;
  int64_t group = 1;
  Ints strides, dilations, pads;
  bool bias = true;
  DataType type = DataType::float32;
  std::string auto_pad;
  Ints output_padding, output_shape;
};

NamedAttributes attributes_of(const Case& c) {
  NamedAttributes a = {{"group", c.group}};
  if (!c.strides.empty()) a.emplace_back("strides", c.strides);
  if (!c.dilations.empty()) a.emplace_back("dilations", c.dilations);
  if (!c.pads.empty()) a.emplace_back("pads", c.pads);
  if (!c.auto_pad.empty()) a.emplace_back("auto_pad", c.auto_pad);
  if (!c.output_padding.empty()) a.emplace_back("output_padding", c.output_padding);
  if (!c.output_shape.empty()) a.emplace_back("output_shape", c.output_shape);
  return a;
}

// Calls f(index) for every index within the dims.
template <class F>
void for_each_index(const Dims& dims, F&& f) {
  Dims index(dims.size(), 0);
  if (std::ranges::find(dims, 0) != dims.end()) return;
  for (;;) {
    f(index);
    size_t d = dims.size();
    while (d > 0 && ++index[d - 1] == dims[d - 1]) index[--d] = 0;
    if (d == 0) return;
  }
}

size_t flat(const Dims& dims, const Dims& index) {
  int64_t at = 0;
  for (size_t d = 0; d < dims.size(); ++d) at = at * dims[d] + index[d];
  return static_cast<size_t>(at);
}

Dims tail(const Dims& dims) { return {dims.begin() + 2, dims.end()}; }
int64_t at_or(const Ints& list, size_t i, int64_t fallback) { return list.empty() ? fallback : list[i]; }

// y[n, m, o] = b[m] + sum over c, k of w[m, c, k] * x[n, group of m, c, o * stride + k * dilation - pad]
Tensor naive_conv(const Case& c, const Tensor& x, const Tensor& w, const Tensor& b, const Dims& out,
                  const Ints& pads) {
  const auto vx = doubles(x), vw = doubles(w);
  const auto vb = b.defined() ? doubles(b) : std::vector<double>(static_cast<size_t>(out[1]), 0);
  Tensor y = Tensor::zeros(DataType::float64, out);
  const int64_t per_group = out[1] / c.group;
  for_each_index(out, [&](const Dims& o) {
    double sum = vb[static_cast<size_t>(o[1])];
    Dims taps = tail(c.w);
    taps.insert(taps.begin(), c.w[1]);
    for_each_index(taps, [&](const Dims& t) {
      Dims from = {o[0], o[1] / per_group * c.w[1] + t[0]}, weight = {o[1], t[0]};
      for (size_t d = 0; d + 1 < t.size(); ++d) {
        const int64_t p =
            o[d + 2] * at_or(c.strides, d, 1) + t[d + 1] * at_or(c.dilations, d, 1) - at_or(pads, d, 0);
        if (p < 0 || p >= c.x[d + 2]) return;
        from.push_back(p);
        weight.push_back(t[d + 1]);
      }
      sum += vx[flat(c.x, from)] * vw[flat(c.w, weight)];
    });
    y.mutable_data<double>()[flat(out, o)] = sum;
  });
  return y;
}

// The adjoint: each x[n, c, i] adds x * w[c, m, k] to y[n, m, i * stride + k * dilation - pad].
Tensor naive_conv_transpose(const Case& c, const Tensor& x, const Tensor& w, const Tensor& b, const Dims& out,
                            const Ints& pads) {
  const auto vx = doubles(x), vw = doubles(w);
  Tensor y = Tensor::zeros(DataType::float64, out);
  const auto vb = b.defined() ? doubles(b) : std::vector<double>(static_cast<size_t>(out[1]), 0);
  for_each_index(
      out, [&](const Dims& o) { y.mutable_data<double>()[flat(out, o)] = vb[static_cast<size_t>(o[1])]; });
  const int64_t group_inputs = c.x[1] / c.group;
  for_each_index(c.x, [&](const Dims& i) {
    Dims taps = tail(c.w);
    taps.insert(taps.begin(), c.w[1]);
    for_each_index(taps, [&](const Dims& t) {
      Dims to = {i[0], i[1] / group_inputs * c.w[1] + t[0]}, weight = {i[1], t[0]};
      for (size_t d = 0; d + 1 < t.size(); ++d) {
        const int64_t p =
            i[d + 2] * at_or(c.strides, d, 1) + t[d + 1] * at_or(c.dilations, d, 1) - at_or(pads, d, 0);
        if (p < 0 || p >= out[d + 2]) return;
        to.push_back(p);
        weight.push_back(t[d + 1]);
      }
      y.mutable_data<double>()[flat(out, to)] += vx[flat(c.x, i)] * vw[flat(c.w, weight)];
    });
  });
  return y;
}

Tensor converted(const Tensor& t, DataType type) { return tensor(type, t.dims(), doubles(t)); }

void check(const Case& c, bool transposed, const Ints& resolved_pads, const Dims& spatial,
           int64_t opset = 22) {
  const Tensor x = random(c.type, c.x, -1, 1, 3), w = random(c.type, c.w, -1, 1, 4);
  Dims out = {c.x[0], transposed ? c.w[1] * c.group : c.w[0]};
  out.insert(out.end(), spatial.begin(), spatial.end());
  const Tensor b = c.bias ? random(c.type, {out[1]}, -1, 1, 5) : Tensor();
  std::vector<Tensor> inputs = {x, w};
  if (c.bias) inputs.push_back(b);
  const Tensor expected = (transposed ? naive_conv_transpose : naive_conv)(c, x, w, b, out, resolved_pads);
  const Tensor y = run(transposed ? "ConvTranspose" : "Conv", opset, inputs, attributes_of(c));
  const bool narrow = c.type == DataType::float16 || c.type == DataType::bfloat16;
  EXPECT_TENSOR(y, converted(expected, c.type), narrow ? 1e-2 : 1e-5, narrow ? 1e-2 : 1e-5);
}

TEST(Conv, OneAxis) {
  check({.x = {2, 3, 17}, .w = {4, 3, 5}, .strides = {2}, .dilations = {2}, .pads = {3, 1}}, false, {3, 1},
        {7});
}
TEST(Conv, TwoAxesPadded) {
  check({.x = {2, 3, 9, 11}, .w = {5, 3, 3, 2}, .pads = {1, 0, 2, 1}}, false, {1, 0, 2, 1}, {10, 11});
}
TEST(Conv, TwoAxesStridedAndDilated) {
  check(
      {.x = {1, 4, 13, 10}, .w = {6, 4, 3, 3}, .strides = {2, 3}, .dilations = {2, 1}, .pads = {2, 1, 2, 1}},
      false, {2, 1, 2, 1}, {7, 4});
}
TEST(Conv, ThreeAxes) {
  check({.x = {1, 2, 5, 6, 7}, .w = {4, 2, 2, 3, 3}, .strides = {1, 2, 1}, .pads = {0, 1, 1, 1, 1, 1}}, false,
        {0, 1, 1, 1, 1, 1}, {5, 3, 7});
}
TEST(Conv, Pointwise) { check({.x = {2, 7, 5, 6}, .w = {9, 7, 1, 1}, .bias = false}, false, {}, {5, 6}); }
TEST(Conv, PointwiseStrided) {
  check({.x = {1, 7, 5, 6}, .w = {9, 7, 1, 1}, .strides = {2, 2}}, false, {}, {3, 3});
}
TEST(Conv, Groups) {
  check({.x = {2, 6, 7, 7}, .w = {12, 2, 3, 3}, .group = 3, .pads = {1, 1, 1, 1}}, false, {1, 1, 1, 1},
        {7, 7});
}
TEST(Conv, Depthwise) {
  check({.x = {2, 5, 8, 9}, .w = {5, 1, 3, 3}, .group = 5, .strides = {2, 1}, .pads = {1, 1, 1, 1}}, false,
        {1, 1, 1, 1}, {4, 9});
}
TEST(Conv, DepthwiseWithMultiplier) {
  check({.x = {1, 3, 6, 6}, .w = {6, 1, 5, 5}, .group = 3, .dilations = {1, 2}, .pads = {2, 4, 2, 4}}, false,
        {2, 4, 2, 4}, {6, 6});
}
TEST(Conv, ManyColumnsAndDeepProducts) {
  check({.x = {1, 40, 20, 30}, .w = {33, 40, 3, 3}, .pads = {1, 1, 1, 1}}, false, {1, 1, 1, 1}, {20, 30});
}
TEST(Conv, PadsBeyondTheKernel) {
  check({.x = {1, 1, 2, 2}, .w = {4, 1, 2, 2}, .pads = {3, 3, 3, 3}}, false, {3, 3, 3, 3}, {7, 7});
}
TEST(Conv, SameUpper) {
  check({.x = {1, 2, 7, 8}, .w = {3, 2, 2, 3}, .strides = {1, 2}, .auto_pad = "SAME_UPPER"}, false, {0, 0},
        {7, 4});
}
TEST(Conv, SameLower) {
  check({.x = {1, 2, 7, 8}, .w = {3, 2, 2, 3}, .strides = {1, 2}, .auto_pad = "SAME_LOWER"}, false, {1, 1},
        {7, 4});
}
TEST(Conv, Valid) {
  check({.x = {1, 2, 7, 8}, .w = {3, 2, 2, 3}, .auto_pad = "VALID"}, false, {}, {6, 6}, 1);
}
TEST(Conv, OtherTypes) {
  for (DataType type : {DataType::float64, DataType::float16, DataType::bfloat16}) {
    check({.x = {1, 3, 6, 5}, .w = {4, 3, 3, 3}, .pads = {1, 1, 1, 1}, .type = type}, false, {1, 1, 1, 1},
          {6, 5});
  }
}
TEST(Conv, EmptyBatchAndChannels) {
  check({.x = {0, 3, 6, 5}, .w = {4, 3, 3, 3}}, false, {}, {4, 3});
  check({.x = {2, 3, 6, 5}, .w = {0, 3, 3, 3}}, false, {}, {4, 3});
  // Without input channels only the bias is left.
  EXPECT_TENSOR(run("Conv", 11,
                    {Tensor(DataType::float32, {1, 0, 3}), Tensor(DataType::float32, {4, 0, 2}),
                     floats({4}, {1, 2, 3, 4})}),
                floats({1, 4, 2}, {1, 1, 2, 2, 3, 3, 4, 4}));
}

TEST(Conv, RefusesWhatTheSpecificationForbids) {
  const auto x = [](Dims d) { return Tensor::zeros(DataType::float32, std::move(d)); };
  const auto refuse = [&](const Tensor& a, const Tensor& w, const NamedAttributes& attributes,
                          const char* part) {
    expect_error([&] { run("Conv", 11, {a, w}, attributes); }, ErrorCode::invalid_model, part);
  };
  refuse(x({1, 4, 8, 8}), x({2, 3, 3, 3}), {}, "3 input channels, the input 4");
  refuse(x({1, 4, 8, 8}), x({2, 4, 3, 3}), {{"group", int64_t{2}}}, "in each of 2 groups");
  refuse(x({1, 4, 8, 8}), x({3, 2, 3, 3}), {{"group", int64_t{2}}},
         "3 output channels do not divide into 2 groups");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"group", int64_t{0}}}, "group is 0");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3}), {}, "rank");
  refuse(x({4, 8}), x({3, 4}), {}, "rank 2");
  refuse(x({1, 4, 8, 8}), x({3, 4, 9, 3}), {}, "spans 9 elements, the padded input has only 8");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"strides", Ints{0, 1}}}, "'strides' contains 0");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"dilations", Ints{1, -1}}}, "'dilations' contains -1");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"pads", Ints{1, 1}}}, "'pads' has 2 values");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"pads", Ints{1, -1, 0, 0}}}, "'pads' contains -1");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"kernel_shape", Ints{3, 2}}}, "kernel_shape");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"kernel_shape", Ints{3}}}, "'kernel_shape' has 1 values");
  refuse(x({1, 4, 8, 8}), x({3, 4, 3, 3}), {{"auto_pad", std::string("SOME")}}, "auto_pad is 'SOME'");
  refuse(x({1, 4, 8, 8}), Tensor::zeros(DataType::float64, {3, 4, 3, 3}), {}, "element types");
  refuse(x({1, 4, 8, 8}), x({3, 4, 0, 3}), {}, "empty kernel");
  expect_error(
      [&] {
        run("Conv", 11, {x({1, 4, 8, 8}), x({3, 4, 3, 3}), x({4})});
      },
      ErrorCode::invalid_model, "bias");
  expect_error(
      [&] {
        run("Conv", 11, {x({1, 1, 8}), x({1, 1, 3})}, {{"pads", Ints{INT64_MAX, INT64_MAX}}});
      },
      ErrorCode::limit, "");
}

TEST(Conv, KeepsSymbols) {
  const Facts w = typed(DataType::float32, Shape{8, 3, 3, 3});
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), 224});
  EXPECT_EQ(inferred_type("Conv", 11, {x, w}, {{"pads", Ints{1, 1, 1, 1}}}), "float32[N, 8, H, 224]");
  EXPECT_EQ(inferred_type("Conv", 11, {x, w}, {{"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{2, 2}}}),
            "float32[N, 8, ?, 112]");
  EXPECT_EQ(inferred_type("Conv", 11, {x, w}, {{"auto_pad", std::string("SAME_UPPER")}}),
            "float32[N, 8, H, 224]");
  EXPECT_EQ(inferred_type("Conv", 11, {typed(DataType::float32), w}), "float32[?, 8, ?, ?]");
  EXPECT_EQ(inferred_type("Conv", 11, {x, typed(DataType::float32)}), "float32[N, ?, ?, ?]");
}

TEST(ConvTranspose, OneAxis) {
  check({.x = {2, 3, 7}, .w = {3, 2, 4}, .strides = {3}, .pads = {1, 2}}, true, {1, 2}, {19});
}
TEST(ConvTranspose, TwoAxes) {
  check({.x = {2, 3, 4, 5}, .w = {3, 6, 3, 2}, .strides = {2, 1}, .dilations = {1, 2}, .pads = {1, 0, 0, 1}},
        true, {1, 0, 0, 1}, {8, 6});
}
TEST(ConvTranspose, Groups) {
  check({.x = {2, 6, 4, 5}, .w = {6, 2, 2, 2}, .group = 3, .strides = {2, 2}}, true, {}, {8, 10});
}
TEST(ConvTranspose, Depthwise) {
  check({.x = {1, 4, 5, 5}, .w = {4, 1, 3, 3}, .group = 4, .strides = {2, 2}, .pads = {1, 1, 1, 1}}, true,
        {1, 1, 1, 1}, {9, 9});
}
TEST(ConvTranspose, ThreeAxes) {
  check({.x = {1, 2, 3, 4, 2}, .w = {2, 3, 2, 3, 2}, .strides = {1, 2, 2}}, true, {}, {4, 9, 4});
}
TEST(ConvTranspose, OutputPadding) {
  check({.x = {1, 2, 3, 3},
         .w = {2, 2, 3, 3},
         .strides = {3, 2},
         .pads = {1, 1, 1, 1},
         .output_padding = {2, 1}},
        true, {1, 1, 1, 1}, {9, 6});
}
TEST(ConvTranspose, OutputShape) {
  // total padding 7 - 5 = 2 and 9 - 8 = 1; an odd one is at the beginning.
  check({.x = {1, 1, 3, 4}, .w = {1, 2, 3, 3}, .strides = {2, 2}, .output_shape = {5, 8}}, true, {1, 1},
        {5, 8});
  check({.x = {1, 1, 3, 4},
         .w = {1, 2, 3, 3},
         .strides = {2, 2},
         .auto_pad = "SAME_UPPER",
         .output_shape = {5, 8}},
        true, {1, 0}, {5, 8});
  // Larger than the full result: the rest has only the bias.
  check({.x = {1, 1, 3, 4}, .w = {1, 2, 3, 3}, .strides = {2, 2}, .output_shape = {10, 12}}, true, {0, 0},
        {10, 12});
}
TEST(ConvTranspose, Same) {
  check({.x = {1, 1, 3, 4}, .w = {1, 2, 3, 3}, .strides = {2, 2}, .auto_pad = "SAME_UPPER"}, true, {0, 0},
        {6, 8});
  check({.x = {1, 1, 3, 4}, .w = {1, 2, 3, 3}, .strides = {2, 2}, .auto_pad = "SAME_LOWER"}, true, {1, 1},
        {6, 8});
}
TEST(ConvTranspose, OtherTypesAndManyChannels) {
  check({.x = {1, 20, 30, 40}, .w = {20, 24, 2, 2}, .strides = {2, 2}}, true, {}, {60, 80});
  for (DataType type : {DataType::float64, DataType::float16, DataType::bfloat16}) {
    check({.x = {1, 3, 4, 5}, .w = {3, 2, 2, 2}, .type = type}, true, {}, {5, 6});
  }
}

TEST(ConvTranspose, RefusesWhatTheSpecificationForbids) {
  const auto zeros = [](Dims d) { return Tensor::zeros(DataType::float32, std::move(d)); };
  const auto refuse = [&](const Tensor& x, const Tensor& w, const NamedAttributes& attributes,
                          const char* part) {
    expect_error([&] { run("ConvTranspose", 11, {x, w}, attributes); }, ErrorCode::invalid_model, part);
  };
  refuse(zeros({1, 4, 3, 3}), zeros({3, 2, 2, 2}), {}, "3 input channels, the input 4");
  refuse(zeros({1, 3, 3, 3}), zeros({3, 2, 2, 2}), {{"group", int64_t{2}}}, "do not divide into 2 groups");
  refuse(zeros({1, 3, 3, 3}), zeros({3, 2, 2, 2}), {{"output_padding", Ints{1, 0}}},
         "output_padding 1 must be less");
  refuse(zeros({1, 3, 3, 3}), zeros({3, 2, 2, 2}), {{"output_shape", Ints{4}}},
         "'output_shape' has 1 values");
  refuse(zeros({1, 3, 3, 3}), zeros({3, 2, 2, 2}), {{"pads", Ints{3, 0, 3, 0}}}, "leave nothing");
}

TEST(ConvTranspose, KeepsSymbols) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), 7}),
              w = typed(DataType::float32, Shape{3, 4, 2, 2});
  EXPECT_EQ(inferred_type("ConvTranspose", 11, {x, w}, {{"strides", Ints{2, 2}}, {"group", int64_t{1}}}),
            "float32[N, 4, ?, 14]");
  EXPECT_EQ(inferred_type("ConvTranspose", 11, {x, w}, {{"auto_pad", std::string("SAME_UPPER")}}),
            "float32[N, 4, H, 7]");
  EXPECT_EQ(inferred_type("ConvTranspose", 11, {x, w}, {{"output_shape", Ints{9, 9}}}),
            "float32[N, 4, 9, 9]");
}

// ---- the geometry itself

TEST(WindowGeometry, CeilModeDropsWindowsThatStartBeyondTheInput) {
  const OneNode node("MaxPool", 12, {true},
                     {{"kernel_shape", Ints{1}}, {"strides", Ints{2}}, {"ceil_mode", int64_t{1}}}, {true});
  EXPECT_EQ(pool_geometry(AttributeReader(node.node()), {4}).output,
            Dims{2});  // ceil(3 / 2) + 1 is 3; the last starts at 4
  const OneNode wide("MaxPool", 12, {true},
                     {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}, {"ceil_mode", int64_t{1}}}, {true});
  EXPECT_EQ(pool_geometry(AttributeReader(wide.node()), {4}).output, Dims{2});
  EXPECT_EQ(pool_geometry(AttributeReader(wide.node()), {2}).output, Dims{1});
}

TEST(WindowGeometry, ResolvesAutoPad) {
  const OneNode node("MaxPool", 12, {true},
                     {{"kernel_shape", Ints{4, 3}},
                      {"strides", Ints{1, 2}},
                      {"dilations", Ints{1, 2}},
                      {"auto_pad", std::string("SAME_UPPER")}},
                     {true});
  const WindowGeometry g = pool_geometry(AttributeReader(node.node()), {5, 7});
  EXPECT_EQ(g.output, (Dims{5, 4}));
  EXPECT_EQ(g.pads_begin, (Dims{1, 2}));
  EXPECT_EQ(g.pads_end, (Dims{2, 2}));
  EXPECT_EQ(g.extent(1), 5);
}

}  // namespace
}  // namespace plica::test
