#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;
using G = RowBuilder;
using enum RowBuilder::Signs;

// The batch norm behind the linear operator, or before it in the mirrored row.
void conv_and_bn(G& g, G::Conv conv, int64_t in, int64_t out) {
  conv.out = out;
  Value* x = g.image(in);
  if (g.mirrored) {
    g.output(g.conv(g.bn(x, in), in, conv));
  } else {
    g.output(g.bn(g.conv(x, in, conv), out));
  }
}
void gemm_and_bn(G& g, std::vector<NamedAttribute> attributes, bool with_c = true) {
  Value* x = g.matrix(g.c());
  if (g.mirrored) {
    g.output(g.gemm(g.bn(x, g.c()), g.c(), g.m(), std::move(attributes), with_c));
  } else {
    g.output(g.bn(g.gemm(x, g.c(), g.m(), std::move(attributes), with_c), g.m()));
  }
}
// conv, `between`, bn; mirrored bn, `between`, conv.
template <class F>
void conv_between_bn(G& g, const F& between, G::Conv conv = {}, G::Signs signs = both) {
  Value* x = g.image(g.c());
  if (g.mirrored) {
    g.output(g.conv(between(g.bn(x, g.c(), "bn", signs), g.c()), g.c(), conv));
  } else {
    g.output(g.bn(between(g.conv(x, g.c(), conv), g.m()), g.m(), "bn", signs));
  }
}
Value* constant_node(G& g, const char* name, Dims dims, double low) {
  return g.op("Constant", name, {},
              {{"value", random_tensor(g.type(), std::move(dims), g.b.next_seed(), low, 2)}});
}
void quantized(G& g, int64_t scales, int lowest = -127) {
  const int64_t in = g.c(), out = g.m();
  Dims dims = {out, in};
  for (int i = 0; i < g.spatial(); ++i) dims.push_back(2);
  Tensor q(DataType::int8, dims);
  for (int64_t i = 0; i < q.size(); ++i)
    q.mutable_data<int8_t>()[i] = static_cast<int8_t>((i * 37 + 11) % 255 + lowest);
  const Dims scale_dims = scales == 1 ? Dims{} : Dims{out};
  std::vector<NamedAttribute> attributes;
  if (scales != 1) attributes.push_back({"axis", int64_t{0}});
  Value* w = g.op("DequantizeLinear", "dq",
                  {g.b.constant("q", q), g.b.random("step", scale_dims, 0.005, 0.02),
                   g.b.constant("zero", Tensor::zeros(DataType::int8, scale_dims))},
                  attributes);
  G::Conv conv{.kernel = 2, .pad = 0, .bias = 1, .weight = w};
  conv_and_bn(g, conv, in, out);
}
// conv and bn as a subgraph or a function holds them: without inputs of its own.
void if_body(G& g) {
  Value* x = g.image(g.c());
  Value* w = g.b.random("w", [&] {
    Dims d = {g.c(), g.c()};
    d.resize(static_cast<size_t>(2 + g.spatial()), 1);
    return d;
  }());
  const auto s = g.statistics(g.c());
  Value* condition = g.b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  g.inputs["condition"] = Tensor::scalar(true);
  Value* out = g.b.graph->add_value("out", Type::tensor(g.type()));
  Node* branch = g.b.graph->add_node("If", "", {condition}, {out});
  for (const std::string side : {"then_", "else_"}) {
    Build inner = g.b.in(*g.b.graph->add_subgraph(branch, side + "branch"));
    const auto bn = [&](Value* v) {
      return inner.op("BatchNormalization", side + "bn", {v, s.scale, s.bias, s.mean, s.variance});
    };
    const auto conv = [&](Value* v) { return inner.op("Conv", side + "conv", {v, w}); };
    inner.output(g.mirrored ? conv(bn(x)) : bn(conv(x)), g.spatial() + 2);
  }
  g.output(out);
}
void local_function(G& g) {
  Value* x = g.image(g.c());
  g.b.model->opset_imports.emplace_back("local", 1);
  auto f = std::make_unique<Function>(g.b.model.get());
  f->name = "block", f->domain = "local", f->opset_imports = {{"", g.opset()}};
  Build in = g.b.in(f->graph);
  const auto node = [&](const char* name, Dims dims) {
    return in.op("Constant", name, {},
                 {{"value", random_tensor(g.type(), std::move(dims), in.next_seed(), 0.5, 2)}});
  };
  Value* y = f->graph.add_input("fx", {});
  Dims kernel = {g.c(), g.c()};
  kernel.resize(static_cast<size_t>(2 + g.spatial()), 1);
  Value* w = node("w", kernel);
  const Dims n = {g.c()};
  Value *s = node("s", n), *t = node("t", n), *m = node("m", n), *v = node("v", n);
  const auto bn = [&](Value* from) { return in.op("BatchNormalization", "bn", {from, s, t, m, v}); };
  const auto conv = [&](Value* from) { return in.op("Conv", "conv", {from, w}); };
  f->graph.add_output(g.mirrored ? conv(bn(y)) : bn(conv(y)));
  g.b.model->functions.push_back(std::move(f));
  Value* out = g.b.graph->add_value("y", Type::tensor(g.type()));
  g.b.graph->add_node("block", "local", {x}, {out})->name = "call";
  g.output(out);
}
Value* ir3_constant(G& g, const char* name, Dims dims, double low) {
  const Tensor t = random_tensor(g.type(), std::move(dims), g.b.next_seed(), low, 2);
  Value* v = g.b.graph->add_input(name, Type::tensor(t.type(), Shape(t.dims())));
  g.b.graph->set_initializer(v, t);
  return v;
}
// Weight and parameters as inputs with a default.
void listed_parameters(G& g, int64_t ir_version) {
  g.b.model->ir_version = ir_version;
  Dims kernel = {g.m(), g.c()};
  kernel.resize(static_cast<size_t>(2 + g.spatial()), 1);
  Value* x = g.image(g.c());
  Value* w = ir3_constant(g, "w", kernel, -1);
  const Dims n = {g.mirrored ? g.c() : g.m()};
  Build::Statistics s;
  s.scale = ir3_constant(g, "s", n, -1), s.bias = ir3_constant(g, "t", n, -1);
  s.mean = ir3_constant(g, "mean", n, -1), s.variance = ir3_constant(g, "var", n, 0.1);
  const auto conv = [&](Value* v) { return g.op("Conv", "conv", {v, w}); };
  g.output(g.mirrored ? conv(g.bn_of(x, s)) : g.bn_of(conv(x), s));
}
void with_variance(G& g, const std::vector<double>& some) {
  const int64_t n = g.mirrored ? g.c() : g.m();
  std::vector<double> variance(static_cast<size_t>(n), 1);
  std::ranges::copy(some, variance.begin());
  Build::Statistics s = g.statistics(n);
  s.scale = g.b.random("small", {n}, -0.1, 0.1);
  s.mean = g.b.random("near", {n}, -0.01, 0.01);
  s.variance = g.b.numbers("v", variance, {n});
  Value* x = g.image(g.c());
  const G::Conv conv{.kernel = 1, .pad = 0};
  g.output(g.mirrored ? g.conv(g.bn_of(x, s), g.c(), conv) : g.bn_of(g.conv(x, g.c(), conv), s));
}

const Row kRows[] = {
    // ---- Conv, ConvTranspose
    {"conv_bn", "Conv", "Conv", 0, "", kFromOpset1, [](G& g) { conv_and_bn(g, {.bias = 0}, g.c(), g.m()); }},
    {"conv_bias_bn", "Conv", "Conv", 0, "", kFromOpset1, [](G& g) { conv_and_bn(g, {.bias = 1}, g.c(), g.m()); }},
    {"conv1d_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.input("x", {3, g.c(), 9}, g.type());
       const auto conv = [&](Value* v) {
         return g.op("Conv", "conv", {v, g.b.random("w", {g.m(), g.c(), 3})}, {{"strides", Ints{2}}});
       };
       g.output(g.mirrored ? conv(g.bn(x, g.c())) : g.bn(conv(x), g.m()));
     }},
    {"conv3d_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.input("x", {1, g.c(), 4, 3, 5}, g.type());
       const auto conv = [&](Value* v) {
         return g.op("Conv", "conv", {v, g.b.random("w", {g.m(), g.c(), 2, 1, 3})}, {{"dilations", Ints{2, 1, 1}}});
       };
       g.output(g.mirrored ? conv(g.bn(x, g.c())) : g.bn(conv(x), g.m()));
     }},
    {"dwconv_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.group = g.c()}, g.c(), 2 * g.c()); }},
    {"gconv_bn", "Conv", "Conv", 0, "", kFromOpset1, [](G& g) { conv_and_bn(g, {.group = 3}, 6, 9); }},
    {"convT_bn", "ConvTranspose", "ConvTranspose|ConvTranspose Add", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.transposed = true}, g.c(), g.m()); }},
    {"convT_g2_bn", "ConvTranspose", "ConvTranspose|ConvTranspose Add", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.group = 2, .transposed = true}, 6, 10); }},
    {"convT_dw_bn", "ConvTranspose", "ConvTranspose|ConvTranspose Add", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.group = g.c(), .transposed = true}, g.c(), g.c()); }},
    // ---- Gemm, MatMul
    {"gemm_bn", "Gemm", "Gemm", 0, "", kMatrices | kFromOpset1, [](G& g) { gemm_and_bn(g, {}); }},
    {"gemm_transB_bn", "Gemm", "Gemm", 0, "", kMatrices | kFromOpset1,
     [](G& g) { gemm_and_bn(g, {{"transB", int64_t{1}}}); }},
    {"gemm_alpha_beta_bn", "Gemm", "Gemm", 0, "", kMatrices | kFromOpset1,
     [](G& g) { gemm_and_bn(g, {{"alpha", 0.5f}, {"beta", -3.f}}); }},
    {"gemm_noC_beta_bn", "Gemm", "Gemm", 0, "", kMatrices,
     [](G& g) { gemm_and_bn(g, {{"beta", 0.25f}}, g.opset() < 11); }},
    {"matmul_bn", "MatMul Add", "MatMul Add", 0, "", kMatrices | kFromOpset1,
     [](G& g) {
       Value* x = g.matrix(g.c());
       g.output(g.mirrored ? g.matmul(g.bn(x, g.c()), g.c(), g.m()) : g.bn(g.matmul(x, g.c(), g.m()), g.m()));
     }},
    {"matmul_add_bn", "MatMul Add", "MatMul Add", 0, "", kMatrices | kFromOpset1,
     [](G& g) {
       Value* x = g.matrix(g.c());
       const auto fc = [&](Value* v) { return g.arithmetic("Add", g.matmul(v, g.c(), g.m()), g.m(), 2); };
       g.output(g.mirrored ? fc(g.bn(x, g.c())) : g.bn(fc(x), g.m()));
     }},
    // The channels of the batch norm are the rows of the product: another's weight, as square as it may be.
    {"matmul_square_transpose_bn", "", nullptr, 1, "", kMatrices,
     [](G& g) {
       Value* x = g.input("x", {g.c(), g.c()}, g.type());
       g.output(g.bn(g.transpose(g.matmul(x, g.c(), g.c()), {1, 0}), g.c()));
     }},
    {"matmul3d_transpose_bn", "MatMul Add Transpose", "MatMul Add Transpose", 0, "", kMatrices,
     [](G& g) {
       if (g.mirrored) {  // the batch norm's channels become the rows of the weight
         Value* x = g.input("x", {2, g.c(), 3}, g.type());
         g.output(g.matmul(g.transpose(g.bn(x, g.c()), {0, 2, 1}), g.c(), g.m()));
         return;
       }
       Value* x = g.input("x", {2, 3, g.c()}, g.type());
       g.output(g.bn(g.transpose(g.matmul(x, g.c(), g.m()), {0, 2, 1}), g.m()));
     }},
    // ---- the batch norm before
    {"bn_conv_pad0", "Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) { g.output(g.conv(g.bn(g.image(g.c()), g.c()), g.c(), {.pad = 0})); }},
    {"bn_conv_pad1", "Conv Add", nullptr, 0, "", kFromOpset1,
     [](G& g) { g.output(g.conv(g.bn(g.image(g.c()), g.c()), g.c(), {.kernel = 3, .pad = 1})); }},
    {"bn_dwconv_pad0", "Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       g.output(g.conv(g.bn(g.image(g.c()), g.c()), g.c(), {.out = 2 * g.c(), .group = g.c(), .pad = 0}));
     }},
    {"bn_gemm", "Gemm", nullptr, 0, "", kMatrices, [](G& g) { g.output(g.gemm(g.bn(g.matrix(g.c()), g.c()), g.c(), g.m())); }},
    {"bn_matmul", "MatMul Add", nullptr, 0, "", kMatrices,
     [](G& g) { g.output(g.matmul(g.bn(g.matrix(g.c()), g.c()), g.c(), g.m())); }},
    {"bn_flatten_gemm", "Flatten Gemm", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c(), true);
       int64_t k = g.c();
       for (int i = 2; i < x->type().shape->rank(); ++i) k *= (*x->type().shape)[i].value();
       g.output(g.gemm(g.op("Flatten", "flatten", {g.bn(x, g.c())}), k, g.m()));
     }},
    // ---- chains
    {"bn_bn", "BatchNormalization", nullptr, -1, "", kFromOpset1,
     [](G& g) { g.output(g.bn(g.bn(g.image(g.c()), g.c()), g.c(), "bn2")); }},
    {"conv_bn_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c());
       const auto twice = [&](Value* v, int64_t n) { return g.bn(g.bn(v, n), n, "bn2"); };
       g.output(g.mirrored ? g.conv(twice(x, g.c()), g.c()) : twice(g.conv(x, g.c()), g.m()));
     }},
    {"conv_add_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t n) { return g.arithmetic("Add", v, n); }); }},
    {"conv_mul_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t n) { return g.arithmetic("Mul", v, n); }); }},
    {"conv_bn_mul_add", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c());
       const auto chain = [&](Value* v, int64_t n) {
         return g.arithmetic("Add", g.arithmetic("Mul", g.bn(v, n), n), n);
       };
       g.output(g.mirrored ? g.conv(chain(x, g.c()), g.c()) : chain(g.conv(x, g.c()), g.m()));
     }},
    {"conv_sub_mul_add", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c());
       const auto chain = [&](Value* v, int64_t n) {
         return g.arithmetic("Add", g.arithmetic("Mul", g.arithmetic("Sub", v, n), n), n);
       };
       g.output(g.mirrored ? g.conv(chain(x, g.c()), g.c()) : chain(g.conv(x, g.c()), g.m()));
     }},
    {"conv_sub_div_mul_add_raw", "Conv", "Conv", 0, "", kAnyVariant,
     [](G& g) {  // (x - mean) / sqrt(var + eps) * scale + bias, the root computed by nodes
       Value* x = g.image(g.c());
       const auto chain = [&](Value* v, int64_t n) {
         Dims d = {n};
         d.resize(static_cast<size_t>(1 + g.spatial()), 1);
         Value* sum = g.op("Add", "eps", {g.b.random("v", d, 0.1, 2), g.b.numbers("e", {1e-3}, {})});
         Value* y = g.op("Div", "div", {g.arithmetic("Sub", v, n), g.op("Sqrt", "sqrt", {sum})});
         return g.arithmetic("Add", g.arithmetic("Mul", y, n), n);
       };
       g.output(g.mirrored ? g.conv(chain(x, g.c()), g.c()) : chain(g.conv(x, g.c()), g.m()));
     }},
    // ---- through ReLU
    {"conv_relu_bn", "Conv Relu Add", nullptr, 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Relu", "relu", {v}); }, {}, positive); }},
    {"conv_relu_bn_signs", "", nullptr, 1, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Relu", "relu", {v}); }); }},
    {"conv_relu_bn_conv0", "Conv Relu Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       Value* y = g.op("Relu", "relu", {g.conv(g.image(g.c()), g.c())});
       g.output(g.conv(g.bn(y, g.m()), g.m(), {.out = 3, .kernel = 1, .pad = 0, .name = "conv2"}));
     }},
    {"bn_relu_conv", "Add Relu Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       g.output(g.conv(g.op("Relu", "relu", {g.bn(g.image(g.c()), g.c(), "bn", positive)}), g.c(), {.kernel = 3, .pad = 1}));
     }},
    {"bn_relu_conv_signs", "", nullptr, 1, "", kFromOpset1,
     [](G& g) { g.output(g.conv(g.op("Relu", "relu", {g.bn(g.image(g.c()), g.c())}), g.c())); }},
    {"conv_leaky_bn", "Conv LeakyRelu Add", "Add LeakyRelu Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("LeakyRelu", "leaky", {v}); }, {}, positive); }},
    {"conv_maxpool_bn", "Conv MaxPool", "MaxPool Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.pool("MaxPool", v); }, {.kernel = 1}, positive); }},
    // ---- Concat, Split, Add
    {"concat_convs_bn", "Conv Conv Concat", "Concat Conv", 0, "", kAnyVariant,
     [](G& g) {
       Value* x = g.image(g.c());
       const G::Conv one{.kernel = 1, .pad = 0};
       if (g.mirrored) {  // only one of the two that come together is normalized
         Value* joined = g.op("Concat", "concat", {g.bn(x, g.c()), g.image(2)}, {{"axis", int64_t{1}}});
         g.output(g.conv(joined, g.c() + 2, one));
         return;
       }
       Value* left = g.conv(x, g.c(), one);
       Value* right = g.conv(x, g.c(), {.out = 4, .kernel = 1, .pad = 0, .name = "conv2"});
       g.output(g.bn(g.op("Concat", "concat", {left, right}, {{"axis", int64_t{1}}}), g.m() + 4));
     }},
    {"bn_split_convs", "Split Conv Conv", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       const auto [left, right] = g.split(g.bn(g.image(g.c() + 2), g.c() + 2), g.c(), 2);
       g.output(g.conv(left, g.c(), {.kernel = 1, .pad = 0}));
       g.output(g.conv(right, 2, {.kernel = 1, .pad = 0, .name = "conv2"}));
     }},
    {"add_convs_bn", "Conv Conv Add", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* x = g.image(g.c());
       Value* left = g.conv(x, g.c(), {.kernel = 1, .pad = 0});
       Value* right = g.conv(x, g.c(), {.kernel = 1, .pad = 0, .name = "conv2"});
       g.output(g.bn(g.op("Add", "add", {left, right}), g.m()));
     }},
    // ---- what does nothing
    {"conv_identity_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Identity", "id", {v}); }); }},
    {"conv_dropout_bn", "Conv", "Conv", 0, "", kAnyVariant,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Dropout", "drop", {v}); }); }},
    // ---- means
    {"conv_avgpool_bn", "Conv AveragePool", "AveragePool Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.pool("AveragePool", v); }, {.kernel = 1}); }},
    {"conv_gap_bn", "Conv GlobalAveragePool", "GlobalAveragePool Conv", 0, "", kFromOpset1,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) { return g.op("GlobalAveragePool", "gap", {v}); }, {.kernel = 1});
     }},
    {"conv_mean_bn", "Conv ReduceMean", "ReduceMean Gemm", 0, "", kAnyVariant,
     [](G& g) {
       Ints axes;
       for (int i = 0; i < g.spatial(); ++i) axes.push_back(i + 2);
       const auto mean = [&](Value* v) {
         Value* y = g.with_axes("ReduceMean", v, axes);
         Attribute keep;
         keep.name = "keepdims", keep.value = int64_t{0};
         g.b.graph->set_attribute(y->producer(), keep);
         return y;
       };
       Value* x = g.image(g.c());
       g.output(g.mirrored ? g.gemm(mean(g.bn(x, g.c())), g.c(), g.m()) : g.bn(mean(g.conv(x, g.c())), g.m()));
     }},
    // ---- what moves the channels
    {"conv_transpose_bn", "Conv Transpose", "Transpose Conv", 0, "", kOnly2d,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) { return g.transpose(v, {0, 1, 3, 2}); });
     }},
    {"conv_nhwc_mul_add", "Conv Transpose", nullptr, 0, "", kOnly2d,
     [](G& g) {  // channels last, as TensorFlow's exporters leave them
       Value* y = g.transpose(g.conv(g.image(g.c()), g.c()), {0, 2, 3, 1});
       y = g.op("Mul", "mul", {y, g.b.random("s", {g.m()})});
       g.only_batch_norms = false;
       g.output(g.op("Add", "add", {y, g.b.random("t", {1, 1, g.m()})}));
     }},
    {"conv_transpose_bn_of_rows", "", nullptr, 1, "", kOnly2d,
     [](G& g) {
       Value* x = g.input("x", {2, g.c(), g.m(), 4}, g.type());
       g.output(g.bn(g.transpose(g.conv(x, g.c(), {.kernel = 1, .pad = 0}), {0, 2, 1, 3}), g.m()));
     }},
    // The zeros become 0 s + t: one number for all channels does not exist (but for a single channel), so the shift
    // stays an Add.
    {"conv_zeropad_bn", "Conv Pad Add|Conv Pad", "Pad Conv Add|Conv Add|Pad Conv", 0, "", kAnyVariant,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.pad(v, 0); }, {.kernel = 2, .pad = 0}); }},
    {"conv_pad_bn_same_shift", "Conv Pad", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* y = g.pad(g.conv(g.image(g.c()), g.c(), {.kernel = 1, .pad = 0}), 0);
       Build::Statistics s = g.statistics(g.m());
       s.bias = g.b.numbers("same", std::vector<double>(static_cast<size_t>(g.m()), 0.75), {g.m()});
       s.mean = g.b.numbers("zero", std::vector<double>(static_cast<size_t>(g.m()), 0), {g.m()});
       g.output(g.bn_of(y, s));
     }},
    {"gemm_unsq_bn_sq", "Gemm Unsqueeze Squeeze|Gemm", "Unsqueeze Squeeze Gemm|Gemm", 0, "", kMatrices,
     [](G& g) {
       Value* x = g.matrix(g.c());
       const auto wrapped = [&](Value* v, int64_t n) {
         return g.with_axes("Squeeze", g.bn(g.with_axes("Unsqueeze", v, {2}), n), {2});
       };
       g.output(g.mirrored ? g.gemm(wrapped(x, g.c()), g.c(), g.m()) : wrapped(g.gemm(x, g.c(), g.m()), g.m()));
     }},
    {"conv_reshape_bn", "Conv Reshape", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* shape = g.b.constant("shape", Tensor::vector<int64_t>({0, g.m(), -1}));
       g.output(g.bn(g.op("Reshape", "reshape", {g.conv(g.image(g.c()), g.c()), shape}), g.m()));
     }},
    {"conv_resize_bn", "Conv Resize", "Resize Conv", 0, "", kOpset15,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) {
         std::vector<float> scales(static_cast<size_t>(g.spatial() + 2), 2.f);
         scales[0] = scales[1] = 1;
         return g.op("Resize", "resize", {v, nullptr, g.b.constant("scales", Tensor::of(scales, {g.spatial() + 2}))});
       });
     }},
    // (Before it, four batch norm channels meet in one of the convolution's: only behind it.)
    {"conv_depth_to_space_bn", "Conv DepthToSpace", nullptr, 0, "", kOnly2d,
     [](G& g) {
       Value* y = g.conv(g.image(g.c()), g.c(), {.out = 4 * g.m()});
       g.output(g.bn(g.op("DepthToSpace", "blocks", {y}, {{"blocksize", int64_t{2}}}), g.m()));
     }},
    // ---- who else reads
    {"shared_w_2bn", "Conv Conv", "Conv Conv", 0, "", kAnyVariant,
     [](G& g) {
       Value* x = g.image(g.c());
       Dims d = {g.c(), g.c()};
       d.resize(static_cast<size_t>(g.spatial() + 2), 2);
       Value* w = g.b.random("w", d);
       for (const auto& [conv, bn] : {std::pair{"conv", "bn"}, std::pair{"conv2", "bn2"}}) {
         const G::Conv o{.out = g.c(), .kernel = 2, .pad = 0, .name = conv, .weight = w};
         g.output(g.mirrored ? g.conv(g.bn(x, g.c(), bn), g.c(), o) : g.bn(g.conv(x, g.c(), o), g.c(), bn));
       }
     }},
    {"bn_two_convs", "Conv Conv", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* y = g.bn(g.image(g.c()), g.c());
       g.output(g.conv(y, g.c(), {.pad = 0}));
       g.output(g.conv(y, g.c(), {.out = 3, .kernel = 1, .pad = 0, .name = "conv2"}));
     }},
    {"conv_two_consumers", "", "", 1, "is also read by node 'tanh'", kAnyReason,
     [](G& g) {
       Value* x = g.image(g.c());
       Value* y = g.mirrored ? g.bn(x, g.c()) : g.conv(x, g.c());
       g.output(g.mirrored ? g.conv(y, g.c()) : g.bn(y, g.m()));
       g.output(g.op("Tanh", "tanh", {y}));
     }},
    {"conv_out_is_graph_out", "", "", 1, "output of the graph", kAnyReason,
     [](G& g) {
       Value* x = g.image(g.c());
       Value* y = g.mirrored ? g.bn(x, g.c()) : g.conv(x, g.c());
       g.output(g.mirrored ? g.conv(y, g.c()) : g.bn(y, g.m()));
       g.output(y);
     }},
    // ---- parameters
    {"training_mode1", "", "", 1, "training mode", kOpset15 | kFloat32Only,
     [](G& g) {
       conv_and_bn(g, {}, g.c(), g.m());
       Attribute training;
       training.name = "training_mode", training.value = int64_t{1};
       g.b.graph->set_attribute(find_node(*g.b.graph, "bn"), training);
       g.has_values = false;
     }},
    {"fp16_conv_bn", "Conv", "Conv", 0, "", kFloat16Only, [](G& g) { conv_and_bn(g, {}, g.c(), g.m()); }},
    {"fp16_x_fp32_stats", "Conv", "Conv", 0, "", kFloat16Only | kOpset15,
     [](G& g) {
       const int64_t n = g.mirrored ? g.c() : g.m();
       const auto f32 = [&](const char* name, double low) {
         return g.b.constant(name, random_tensor(DataType::float32, {n}, g.b.next_seed(), low, 2));
       };
       const Build::Statistics s = {f32("s", -1), f32("t", -1), f32("mean", -1), f32("var", 0.1)};
       Value* x = g.image(g.c());
       const G::Conv conv{.pad = 0};
       g.output(g.mirrored ? g.conv(g.bn_of(x, s), g.c(), conv) : g.bn_of(g.conv(x, g.c(), conv), s));
     }},
    {"fp16_tiny_var", "Conv", "Conv", 0, "", kFloat16Only, [](G& g) { with_variance(g, {0, 1e-7}); }},
    {"double_conv_bn", "Conv", "Conv", 0, "", kFloat64Only, [](G& g) { conv_and_bn(g, {}, g.c(), g.m()); }},
    {"constant_nodes", "Conv", "Conv", 0, "", kAnyVariant,
     [](G& g) {
       Dims d = {g.m(), g.c()};
       d.resize(static_cast<size_t>(g.spatial() + 2), 1);
       Value* x = g.image(g.c());
       Value *w = constant_node(g, "w", d, -1), *bias = constant_node(g, "b", {g.m()}, -1);
       const Dims n = {g.mirrored ? g.c() : g.m()};
       Build::Statistics s;
       s.scale = constant_node(g, "s", n, -1), s.bias = constant_node(g, "t", n, -1);
       s.mean = constant_node(g, "mean", n, -1), s.variance = constant_node(g, "var", n, 0.1);
       const auto conv = [&](Value* v) { return g.op("Conv", "conv", {v, w, bias}); };
       g.output(g.mirrored ? conv(g.bn_of(x, s)) : g.bn_of(conv(x), s));
     }},
    {"identity_params", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Build::Statistics s = g.statistics(g.mirrored ? g.c() : g.m());
       for (Value** p : {&s.scale, &s.bias, &s.mean, &s.variance}) *p = g.op("Identity", "id", {*p});
       Value* x = g.image(g.c());
       const G::Conv conv{.pad = 0};
       g.output(g.mirrored ? g.conv(g.bn_of(x, s), g.c(), conv) : g.bn_of(g.conv(x, g.c(), conv), s));
     }},
    {"ir3_inits_as_inputs", "Conv", "Conv", 0, "", kUpToOpset8, [](G& g) { listed_parameters(g, 3); }},
    {"ir8_overridable_params", "", "", 1, "callers may override", kOpset15, [](G& g) { listed_parameters(g, 8); }},
    {"spatial0_opset8", "", nullptr, 1, "spatial = 0", kUpToOpset8 | kOnly2d,
     [](G& g) {
       Value* x = g.input("x", {2, g.c(), 4, 3}, g.type());
       const auto map = [&](const char* name, double low) { return g.b.random(name, {g.m(), 4, 3}, low, 2); };
       const Build::Statistics s = {map("s", -1), map("t", -1), map("mean", -1), map("var", 0.1)};
       g.output(g.bn_of(g.conv(x, g.c(), {.kernel = 1, .pad = 0}), s, "bn", {{"spatial", int64_t{0}}}));
     }},
    {"opset6_is_test", "Conv", "Conv", 0, "", kFromOpset1 | kUpToOpset8, [](G& g) { conv_and_bn(g, {}, g.c(), g.m()); }},
    {"qdq_weight", "DequantizeLinear Conv", "DequantizeLinear Conv", 0, "", kFloat32Only | kOpset15,
     [](G& g) { quantized(g, 1); }},
    // A factor below zero would turn -128 into 128.
    {"qdq_weight_minus_128", "DequantizeLinear Conv|BatchNormalization DequantizeLinear Conv", nullptr, -1, "",
     kFloat32Only | kOpset15, [](G& g) { quantized(g, g.m(), -128); }},
    {"qdq_weight_per_channel", "DequantizeLinear Conv", nullptr, 0, "", kFloat32Only | kOpset15,
     [](G& g) { quantized(g, g.m()); }},
    {"dynamic_weight", "", "", 1, "input of the model", kAnyReason,
     [](G& g) {
       Dims d = {g.m(), g.c()};
       d.resize(static_cast<size_t>(g.spatial() + 2), 1);
       Value* w = g.input("w", d, g.type());
       conv_and_bn(g, {.kernel = 1, .pad = 0, .weight = w}, g.c(), g.m());
     }},
    {"if_body", "If Conv Conv", "If Conv Conv", 0, "", kAnyVariant, if_body},
    {"local_function", "block", "block", 0, "", kOpset15, local_function},
    {"negvar", "", "", 1, "variance + epsilon", kAnyVariant, 
     [](G& g) {
       with_variance(g, {-0.5});
       g.has_values = false;
     }},
    {"empty_bias_input", "Conv", "Conv", 0, "", kAnyVariant,
     [](G& g) {
       Value* x = g.image(g.c());
       Dims d = {g.m(), g.c()};
       d.resize(static_cast<size_t>(g.spatial() + 2), 2);
       const auto conv = [&](Value* v) { return g.op("Conv", "conv", {v, g.b.random("w", d), nullptr}); };
       g.output(g.mirrored ? conv(g.bn(x, g.c())) : g.bn(conv(x), g.m()));
     }},
};

constexpr const char* kTable[] = {
    "conv_bn",
    "conv_bias_bn",
    "conv1d_bn",
    "conv3d_bn",
    "dwconv_bn",
    "gconv_bn",
    "convT_bn",
    "convT_g2_bn",
    "convT_dw_bn",
    "gemm_bn",
    "gemm_transB_bn",
    "gemm_alpha_beta_bn",
    "gemm_noC_beta_bn",
    "matmul_bn",
    "matmul_add_bn",
    "matmul_square_transpose_bn",
    "matmul3d_transpose_bn",
    "bn_conv_pad0",
    "bn_conv_pad1",
    "bn_dwconv_pad0",
    "bn_gemm",
    "bn_matmul",
    "bn_flatten_gemm",
    "bn_bn",
    "conv_bn_bn",
    "conv_add_bn",
    "conv_mul_bn",
    "conv_bn_mul_add",
    "conv_sub_mul_add",
    "conv_sub_div_mul_add_raw",
    "conv_relu_bn",
    "conv_relu_bn_conv0",
    "bn_relu_conv",
    "concat_convs_bn",
    "add_convs_bn",
    "conv_identity_bn",
    "conv_dropout_bn",
    "conv_avgpool_bn",
    "conv_gap_bn",
    "conv_transpose_bn",
    "conv_zeropad_bn",
    "gemm_unsq_bn_sq",
    "shared_w_2bn",
    "conv_two_consumers",
    "conv_out_is_graph_out",
    "training_mode1",
    "fp16_conv_bn",
    "fp16_x_fp32_stats",
    "fp16_tiny_var",
    "double_conv_bn",
    "constant_nodes",
    "identity_params",
    "ir3_inits_as_inputs",
    "ir8_overridable_params",
    "spatial0_opset8",
    "opset6_is_test",
    "qdq_weight",
    "dynamic_weight",
    "if_body",
    "local_function",
    "negvar",
    "empty_bias_input",
};
static_assert(std::size(kTable) == 62);

}  // namespace

std::span<const Row> fold_rows() { return kRows; }
std::span<const char* const> table_patterns() { return kTable; }

}  // namespace plica::testing
