#include "tests/passes/fold_rows.h"

namespace plica::testing {

using Ints = std::vector<int64_t>;

std::string to_string(const Variant& v) {
  return fmt::format("{} opset {} batch {} {}D {}->{} channels{}", plica::to_string(v.type), v.opset, v.batch,
                     v.spatial, v.c, v.m, v.dynamic ? ", dynamic" : "");
}

RowBuilder::RowBuilder(const Variant& variant, bool mirrored)
    : mirrored(mirrored),
      b(variant.type, variant.opset,
        variant.opset < 9    ? 4
        : variant.opset < 15 ? 7
        : variant.opset < 21 ? 8
                             : 10),
      v_(variant) {}

Dims RowBuilder::sizes() const {
  const Dims all = {6, 5, 4};
  return {all.begin(), all.begin() + v_.spatial};
}

Value* RowBuilder::image(int64_t channels, bool static_sizes) {
  Dims dims = {v_.batch, channels};
  for (int64_t d : sizes()) dims.push_back(d);
  const std::string name = inputs.contains("x") ? "x2" : "x";
  inputs[name] = random_tensor(v_.type, dims, 1000 + inputs.size(), -2, 2);
  std::vector<Dim> declared(dims.begin(), dims.end());
  if (v_.dynamic) {
    declared[0] = Dim::symbol("n");
    for (size_t i = 2; i < declared.size() && !static_sizes; ++i)
      declared[i] = Dim::symbol(fmt::format("d{}", i));
  }
  return b.input(name, declared);
}

Value* RowBuilder::matrix(int64_t columns) {
  inputs["x"] = random_tensor(v_.type, {v_.batch, columns}, 1000, -2, 2);
  return b.input("x", {v_.dynamic ? Dim::symbol("n") : Dim(v_.batch), columns});
}

Value* RowBuilder::input(const std::string& name, Dims dims, DataType type) {
  inputs[name] = random_tensor(type, dims, 1000 + inputs.size(), -2, 2);
  return b.input(name, std::vector<Dim>(dims.begin(), dims.end()));
}

Value* RowBuilder::conv(Value* x, int64_t in, const Conv& o) {
  const auto n = static_cast<size_t>(v_.spatial);
  const int64_t out = o.out ? o.out : v_.m;
  const int64_t kernel = o.kernel ? o.kernel : 1 + (v_.c + v_.m) % 3;
  const int64_t pad = o.pad >= 0 ? o.pad : mirrored ? 0 : v_.m % 2 * (kernel / 2);
  Dims w = o.transposed ? Dims{in, out / o.group} : Dims{out, in / o.group};
  w.resize(n + 2, kernel);
  Value* weight = o.weight ? o.weight : b.random("w", w);
  std::vector<Value*> ins = {x, weight};
  if (o.bias == 1 || (o.bias < 0 && v_.c % 2 == 1)) ins.push_back(b.random("b", {out}));
  std::vector<NamedAttribute> attributes;
  if (o.group != 1) attributes.push_back({"group", o.group});
  if (pad != 0) attributes.push_back({"pads", Ints(2 * n, pad)});
  if (o.transposed && v_.batch == 3) attributes.push_back({"strides", Ints(n, 2)});
  return op(o.transposed ? "ConvTranspose" : "Conv", o.name, std::move(ins), std::move(attributes));
}

Value* RowBuilder::gemm(Value* x, int64_t in, int64_t out, std::vector<NamedAttribute> attributes,
                        bool with_c) {
  bool transposed = false;
  for (const auto& a : attributes) transposed |= a.name == "transB";
  std::vector<Value*> ins = {x, b.random("w", transposed ? Dims{out, in} : Dims{in, out})};
  if (with_c) ins.push_back(b.random("b", {out}));
  if (v_.opset < 7) attributes.push_back({"broadcast", int64_t{1}});
  return op("Gemm", "fc", std::move(ins), std::move(attributes));
}

Build::Statistics RowBuilder::statistics(int64_t channels, Signs signs) {
  Build::Statistics s = b.statistics("bn", channels);
  if (signs == Signs::both && channels > 1) {  // certainly
    std::vector<double> scale = to_doubles(*s.scale->initializer());
    scale[0] = -0.75, scale[1] = 1.25;
    b.graph->set_initializer(s.scale, tensor_of(v_.type, scale, {channels}));
  }
  if (signs == Signs::positive) s.scale = b.random("bn.scale", {channels}, 0.25, 2);
  return s;
}

Value* RowBuilder::bn_of(Value* x, const Build::Statistics& s, const char* name,
                         std::vector<NamedAttribute> more) {
  if (v_.opset < 7) more.push_back({"is_test", int64_t{1}});
  if (v_.m % 2 == 0) more.push_back({"epsilon", 1e-3f});
  return op("BatchNormalization", name, {x, s.scale, s.bias, s.mean, s.variance}, std::move(more));
}

Value* RowBuilder::bn(Value* x, int64_t channels, const char* name, Signs signs) {
  return bn_of(x, statistics(channels, signs), name);
}

Value* RowBuilder::arithmetic(const char* op_type, Value* x, int64_t channels, int rank) {
  only_batch_norms = false;
  if (rank == 0) rank = v_.spatial + 2;
  Dims dims(static_cast<size_t>(rank - 1), 1);
  dims[0] = channels;
  std::vector<NamedAttribute> attributes;
  if (v_.opset < 7) {
    attributes = {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}};
    dims = {channels};
  } else if (v_.m % 2 == 0) {
    dims.insert(dims.begin(), 1);
  }
  const bool factor = std::string_view(op_type) == "Mul" || std::string_view(op_type) == "Div";
  return op(op_type, op_type, {x, factor ? b.random("k", dims, 0.5, 2) : b.random("k", dims)},
            std::move(attributes));
}

Value* RowBuilder::with_axes(const char* op_type, Value* x, std::vector<int64_t> axes) {
  const int64_t as_input = std::string_view(op_type) == "ReduceMean" ? 18 : 13;
  if (v_.opset < as_input) return op(op_type, op_type, {x}, {{"axes", axes}});
  return op(op_type, op_type, {x, b.constant("axes", Tensor::of(axes, {std::ssize(axes)}))});
}

Value* RowBuilder::pool(const char* op_type, Value* x) {
  return op(op_type, op_type, {x}, {{"kernel_shape", Ints(static_cast<size_t>(v_.spatial), 2)}});
}

Value* RowBuilder::pad(Value* x, double value) {
  const auto rank = static_cast<size_t>(v_.spatial + 2);
  Ints pads(2 * rank, 0);
  pads[2] = pads.back() = 1;
  if (v_.opset < 11) return op("Pad", "pad", {x}, {{"pads", pads}, {"value", static_cast<float>(value)}});
  std::vector<Value*> ins = {x, b.constant("pads", Tensor::of(pads, {std::ssize(pads)}))};
  if (value != 0 || v_.m % 2 == 0) ins.push_back(b.numbers("value", {value}, {}));
  return op("Pad", "pad", std::move(ins));
}

std::pair<Value*, Value*> RowBuilder::split(Value* x, int64_t first, int64_t second) {
  const Ints sizes = {first, second};
  Value *left = b.graph->add_value("left"), *right = b.graph->add_value("right");
  Attributes attributes;
  attributes.set("axis", int64_t{1});
  std::vector<Value*> ins = {x};
  if (v_.opset < 13) {
    attributes.set("split", sizes);
  } else {
    ins.push_back(b.constant("sizes", Tensor::of(sizes, {2})));
  }
  b.graph->add_node("Split", "", ins, {left, right}, std::move(attributes))->name = "split";
  return {left, right};
}

void conv_and_bn(RowBuilder& g, RowBuilder::Conv conv, int64_t in, int64_t out) {
  conv.out = out;
  Value* x = g.image(in);
  if (g.mirrored) {
    g.output(g.conv(g.bn(x, in), in, conv));
  } else {
    g.output(g.bn(g.conv(x, in, conv), out));
  }
}
void gemm_and_bn(RowBuilder& g, std::vector<NamedAttribute> attributes, bool with_c) {
  Value* x = g.matrix(g.c());
  if (g.mirrored) {
    g.output(g.gemm(g.bn(x, g.c()), g.c(), g.m(), std::move(attributes), with_c));
  } else {
    g.output(g.bn(g.gemm(x, g.c(), g.m(), std::move(attributes), with_c), g.m()));
  }
}
void conv_between_bn(RowBuilder& g, const std::function<Value*(Value*, int64_t)>& between,
                     RowBuilder::Conv conv, RowBuilder::Signs signs) {
  Value* x = g.image(g.c());
  if (g.mirrored) {
    g.output(g.conv(between(g.bn(x, g.c(), "bn", signs), g.c()), g.c(), conv));
  } else {
    g.output(g.bn(between(g.conv(x, g.c(), conv), g.m()), g.m(), "bn", signs));
  }
}

}  // namespace plica::testing
