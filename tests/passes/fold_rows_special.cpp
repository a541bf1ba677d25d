// Rows: other readers, unusual parameters and types, subgraphs and functions.
#include <algorithm>

#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;
using G = RowBuilder;
using enum RowBuilder::Signs;

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
  std::copy_n(some.begin(), std::min(some.size(), variance.size()), variance.begin());
  Build::Statistics s = g.statistics(n);
  s.scale = g.b.random("small", {n}, -0.1, 0.1);
  s.mean = g.b.random("near", {n}, -0.01, 0.01);
  s.variance = g.b.numbers("v", variance, {n});
  Value* x = g.image(g.c());
  const G::Conv conv{.kernel = 1, .pad = 0};
  g.output(g.mirrored ? g.conv(g.bn_of(x, s), g.c(), conv) : g.bn_of(g.conv(x, g.c(), conv), s));
}

const Row kRows[] = {
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
    {"fp16_tiny_var", "Conv", "Conv", 0, "", kFloat16Only,
     [](G& g) {
       with_variance(g, {0, 1e-7});
     }},
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
    {"ir8_overridable_params", "", "", 1, "callers may override", kOpset15,
     [](G& g) { listed_parameters(g, 8); }},
    {"spatial0_opset8", "", nullptr, 1, "spatial = 0", kUpToOpset8 | kOnly2d,
     [](G& g) {
       Value* x = g.input("x", {2, g.c(), 4, 3}, g.type());
       const auto map = [&](const char* name, double low) { return g.b.random(name, {g.m(), 4, 3}, low, 2); };
       const Build::Statistics s = {map("s", -1), map("t", -1), map("mean", -1), map("var", 0.1)};
       g.output(g.bn_of(g.conv(x, g.c(), {.kernel = 1, .pad = 0}), s, "bn", {{"spatial", int64_t{0}}}));
     }},
    {"opset6_is_test", "Conv", "Conv", 0, "", kFromOpset1 | kUpToOpset8,
     [](G& g) { conv_and_bn(g, {}, g.c(), g.m()); }},
    // Before the convolution it stays (KeptBatchNorm.InputOfAQuantizedWeight): scales along the input
    // channels would
    // be valid, but no runtime has integer kernels for them.
    {"qdq_weight", "DequantizeLinear Conv", nullptr, 0, "", kFloat32Only | kOpset15,
     [](G& g) { quantized(g, 1); }},
    // A factor below zero would turn -128 into 128.
    {"qdq_weight_minus_128", "DequantizeLinear Conv|BatchNormalization DequantizeLinear Conv", nullptr, -1,
     "", kFloat32Only | kOpset15, [](G& g) { quantized(g, g.m(), -128); }},
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

}  // namespace

std::span<const Row> special_rows() { return kRows; }

}  // namespace plica::testing
