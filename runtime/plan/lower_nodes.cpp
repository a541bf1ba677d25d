#include "runtime/plan/lower_nodes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/conv_geometry.h"

namespace plica {
namespace {

// ---- what a node's lowering works with

struct Lowerer {
  LoweredGraph& graph;
  const Node& node;
  LoweredOp& op;
  AttributeReader attributes;

  bool has_input(size_t i) const { return i < op.inputs.size() && op.inputs[i] >= 0; }
  bool has_output(size_t i) const { return i < op.outputs.size() && op.outputs[i] >= 0; }
  const LoweredValue& in(size_t i) const { return graph.value(op.inputs[i]); }
  const LoweredValue& out(size_t i = 0) const { return graph.value(op.outputs[i]); }
  const Tensor* constant(size_t i) const {
    return has_input(i) && in(i).constant.defined() ? &in(i).constant : nullptr;
  }
  bool empty() const {
    auto zero = [&](int v) { return v >= 0 && std::ranges::find(graph.value(v).dims, 0) != graph.value(v).dims.end(); };
    return std::ranges::any_of(op.inputs, zero) || std::ranges::any_of(op.outputs, zero);
  }
  // All inputs and outputs are float32.
  bool all_float() const {
    auto is_float = [&](int v) { return v < 0 || graph.value(v).type == DataType::float32; };
    return std::ranges::all_of(op.inputs, is_float) && std::ranges::all_of(op.outputs, is_float);
  }
  std::optional<float> scalar(size_t i) const {
    const Tensor* t = constant(i);
    if (!t || t->type() != DataType::float32 || t->size() != 1) return std::nullopt;
    return t->data<float>()[0];
  }

  int new_value(Dims dims) {
    LoweredValue v;
    v.type = DataType::float32;
    v.dims = std::move(dims);
    graph.values.push_back(std::move(v));
    return static_cast<int>(graph.values.size()) - 1;
  }
  // Adds an operation before this one; returns its result.
  int before(LoweredParams params, std::vector<int> inputs, Dims dims) {
    LoweredOp first;
    first.params = std::move(params);
    first.nodes = op.nodes;
    first.inputs = std::move(inputs);
    first.outputs = {new_value(std::move(dims))};
    graph.ops.push_back(std::move(first));
    return graph.ops.back().outputs[0];
  }
  void become(LoweredParams params, std::vector<int> inputs, PointChain chain = {}) {
    op.params = std::move(params);
    op.inputs = std::move(inputs);
    op.chain = std::move(chain);
  }
};

bool same_dims(const Lowerer& l) { return l.in(0).dims == l.out().dims; }

// ---- pointwise

void unary(Lowerer& l, Unary f, float a = 0, float b = 0) {
  l.become(PointwiseParams{}, {l.op.inputs[0]}, {PointOp::of(f, a, b)});
}

void lower_clip(Lowerer& l) {
  float low = std::numeric_limits<float>::lowest(), high = std::numeric_limits<float>::max();
  if (l.node.opset() < 11) {
    low = l.attributes.f("min");
    high = l.attributes.f("max");
  } else {
    if (l.has_input(1)) {
      if (!l.scalar(1)) return;
      low = *l.scalar(1);
    }
    if (l.has_input(2)) {
      if (!l.scalar(2)) return;
      high = *l.scalar(2);
    }
  }
  if (low > high) return;
  unary(l, Unary::clip, low, high);
}

// A binary operator. By a constant scalar it is a linear function where it is one.
void lower_binary(Lowerer& l, Binary f) {
  if (l.op.inputs.size() != 2) return;
  // Before opset 7 operands align by an axis attribute, not as in numpy.
  if (l.node.opset() < 7 && l.in(0).dims != l.in(1).dims) return;
  // The chain runs on the operand that has the result's shape.
  const bool first_is_full = l.in(0).dims == l.out().dims;
  const bool second_is_full = l.in(1).dims == l.out().dims;
  if (!first_is_full && !second_is_full) return;
  const size_t root = first_is_full && !(second_is_full && l.constant(0)) ? 0 : 1;
  const size_t other = 1 - root;
  if (auto s = l.scalar(other); s && l.in(root).dims == l.out().dims) {
    std::optional<PointOp> linear;
    if (f == Binary::add) linear = PointOp::of(Unary::linear, 1.f, *s);
    if (f == Binary::mul) linear = PointOp::of(Unary::linear, *s, 0.f);
    if (f == Binary::sub) linear = root == 0 ? PointOp::of(Unary::linear, 1.f, -*s) : PointOp::of(Unary::linear, -1.f, *s);
    if (f == Binary::div && root == 0 && std::isnormal(1.f / *s)) linear = PointOp::of(Unary::linear, 1.f / *s, 0.f);
    if (linear) {
      l.become(PointwiseParams{}, {l.op.inputs[root]}, {*linear});
      return;
    }
  }
  l.become(PointwiseParams{}, {l.op.inputs[root]}, {PointOp::of(f, l.op.inputs[other], root == 1)});
}

void lower_pow(Lowerer& l) {
  const auto exponent = l.scalar(1);
  if (!exponent || !same_dims(l)) return;
  if (*exponent == 2.f) unary(l, Unary::square);
  if (*exponent == 0.5f) unary(l, Unary::sqrt);
  if (*exponent == 1.f) l.become(ViewParams{}, {l.op.inputs[0]});
}

// y = scale * (x - mean) / sqrt(variance + epsilon) + shift = a * x + b by channel (ONNX operator BatchNormalization).
void lower_batch_norm(Lowerer& l) {
  for (size_t i = 1; i < 5; ++i) {
    if (!l.constant(i) || l.in(i).dims != l.in(1).dims || l.in(i).dims.size() != 1) return;
  }
  for (size_t i = 1; i < l.op.outputs.size(); ++i) {
    if (l.has_output(i)) return;
  }
  if (l.in(0).dims.size() < 2 || l.in(1).dims[0] != l.in(0).dims[1]) return;
  if (l.node.opset() < 7 && l.attributes.i("is_test") == 0) return;
  if (l.node.opset() < 9 && l.attributes.i("spatial") == 0) return;
  if (l.node.opset() >= 14 && l.attributes.i("training_mode") != 0) return;
  const float epsilon = l.attributes.f("epsilon");
  const auto values = [&](size_t i) { return l.constant(i)->values<float>(); };
  const int64_t channels = l.in(1).dims[0];
  Dims dims(l.in(0).dims.size(), 1);
  dims[1] = channels;
  Tensor a(DataType::float32, dims), b(DataType::float32, dims);
  for (int64_t c = 0; c < channels; ++c) {
    const size_t i = static_cast<size_t>(c);
    const double scale = values(1)[i] / std::sqrt(static_cast<double>(values(4)[i]) + epsilon);
    a.mutable_data<float>()[c] = static_cast<float>(scale);
    b.mutable_data<float>()[c] = static_cast<float>(values(2)[i] - scale * values(3)[i]);
  }
  const int scale = l.graph.add_constant(std::move(a)), shift = l.graph.add_constant(std::move(b));
  l.become(PointwiseParams{}, {l.op.inputs[0]}, {PointOp::of(Binary::mul, scale), PointOp::of(Binary::add, shift)});
}

void lower_prelu(Lowerer& l) {
  if (auto slope = l.scalar(1)) unary(l, Unary::leaky_relu, *slope);
}

void lower_sum(Lowerer& l) {
  PointChain chain;
  for (size_t i = 1; i < l.op.inputs.size(); ++i) chain.push_back(PointOp::of(Binary::add, l.op.inputs[i]));
  if (!same_dims(l)) return;
  if (chain.empty()) {
    l.become(ViewParams{}, {l.op.inputs[0]});
  } else {
    l.become(PointwiseParams{}, {l.op.inputs[0]}, std::move(chain));
  }
}

// ---- convolution, pooling

bool supported_rank(const Dims& dims) { return dims.size() >= 3 && dims.size() <= 5; }

Window to_window(const WindowGeometry& g) {
  return {g.kernel, g.strides, g.dilations, g.pads_begin, g.pads_end};
}

void lower_conv(Lowerer& l, bool transposed) {
  const Dims& x = l.in(0).dims;
  const Dims& w = l.in(1).dims;
  if (!supported_rank(x) || x.size() != w.size()) return;
  ConvolutionParams p;
  const Dims spatial(x.begin() + 2, x.end()), kernel(w.begin() + 2, w.end());
  p.window = to_window(transposed ? conv_transpose_geometry(l.attributes, spatial, kernel) : conv_geometry(l.attributes, spatial, kernel));
  p.groups = l.attributes.i("group");
  p.transposed = transposed;
  if (p.groups <= 0 || x[1] % p.groups != 0) return;
  if (transposed) {
    // The output must be what the pads say: output_padding is a negative end pad, which oneDNN takes.
    for (size_t i = 0; i < spatial.size(); ++i) {
      const int64_t extent = (kernel[i] - 1) * p.window.dilations[i] + 1;
      p.window.pads_end[i] = (spatial[i] - 1) * p.window.strides[i] + extent - p.window.pads_begin[i] - l.out().dims[i + 2];
    }
  }
  std::vector<int> inputs = {l.op.inputs[0], l.op.inputs[1]};
  if (l.has_input(2)) inputs.push_back(l.op.inputs[2]);
  l.become(std::move(p), std::move(inputs));
}

void lower_pool(Lowerer& l, bool max) {
  const Dims& x = l.in(0).dims;
  if (!supported_rank(x) || l.has_output(1)) return;
  PoolingParams p;
  p.kind = PoolingParams::Kind::max;
  if (!max) {
    const bool counts = l.node.opset() >= 7 && l.attributes.i("count_include_pad") != 0;
    p.kind = counts ? PoolingParams::Kind::average_with_padding : PoolingParams::Kind::average;
  }
  const Dims spatial(x.begin() + 2, x.end());
  p.window = to_window(pool_geometry(l.attributes, spatial));
  const Dims& y = l.out().dims;
  for (size_t i = 0; i < spatial.size(); ++i) {
    const int64_t extent = (p.window.kernel[i] - 1) * p.window.dilations[i] + 1;
    // What the windows cover, which ceil_mode makes larger than the padded input. A window must touch the input, and
    // an average must not count what lies beyond the padding.
    const int64_t covered = (y[i + 2] - 1) * p.window.strides[i] + extent;
    const int64_t end = covered - spatial[i] - p.window.pads_begin[i];
    if (p.kind == PoolingParams::Kind::average_with_padding && end > p.window.pads_end[i]) return;
    if (p.window.pads_begin[i] >= extent || end >= extent) return;
    p.window.pads_end[i] = end;
  }
  l.become(std::move(p), {l.op.inputs[0]});
}

void global_pool(Lowerer& l, PoolingParams::Kind kind) {
  const Dims& x = l.in(0).dims;
  if (!supported_rank(x)) return;
  PoolingParams p;
  p.kind = kind;
  const size_t n = x.size() - 2;
  p.window = {Dims(x.begin() + 2, x.end()), Dims(n, 1), Dims(n, 1), Dims(n, 0), Dims(n, 0)};
  l.become(std::move(p), {l.op.inputs[0]});
}

std::optional<std::vector<int64_t>> axes_of(Lowerer& l, int input_since) {
  if (l.node.opset() < input_since) return l.attributes.maybe_ints("axes");
  if (!l.has_input(1)) return std::nullopt;
  const Tensor* t = l.constant(1);
  if (!t || t->type() != DataType::int64) return std::vector<int64_t>{std::numeric_limits<int64_t>::max()};
  return std::vector<int64_t>(t->values<int64_t>().begin(), t->values<int64_t>().end());
}

// Over all spatial axes it is an average pooling, over the last axes a row reduction.
void lower_reduce_mean(Lowerer& l) {
  if (l.in(0).type != DataType::float32 || l.out().type != DataType::float32) return;
  const Dims x = l.in(0).dims;
  const int rank = static_cast<int>(x.size());
  auto axes = axes_of(l, 18);
  if (!axes || axes->empty()) return;
  std::vector<bool> reduced(x.size(), false);
  for (int64_t a : *axes) {
    if (a < 0) a += rank;
    if (a < 0 || a >= rank) return;
    reduced[static_cast<size_t>(a)] = true;
  }
  int last = 0;
  while (last < rank && reduced[static_cast<size_t>(rank - 1 - last)]) ++last;
  if (last == 0 || std::ranges::count(reduced, true) != last) return;
  Dims kept = x;
  std::fill(kept.end() - last, kept.end(), 1);
  LoweredParams params = ReduceMeanParams{last};
  // (Of a rank 3 tensor the last axis is rather the features of a sequence.)
  if (last == rank - 2 && rank >= 4 && supported_rank(x)) {
    PoolingParams p;
    p.kind = PoolingParams::Kind::average;
    const size_t n = static_cast<size_t>(last);
    p.window = {Dims(x.begin() + 2, x.end()), Dims(n, 1), Dims(n, 1), Dims(n, 0), Dims(n, 0)};
    params = std::move(p);
  }
  if (l.out().dims == kept) {
    l.become(std::move(params), {l.op.inputs[0]});
  } else {
    const int mean = l.before(std::move(params), {l.op.inputs[0]}, kept);
    l.become(ViewParams{}, {mean});
  }
}

// ---- matrices

void lower_matmul(Lowerer& l) {
  // Vectors get their missing axis by views.
  Dims a = l.in(0).dims, b = l.in(1).dims, y = l.out().dims;
  if (a.empty() || b.empty()) return;
  std::vector<int> inputs = l.op.inputs;
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) inputs[0] = l.before(ViewParams{}, {inputs[0]}, {1, a[0]});
  if (column) {
    if (l.constant(1)) {
      inputs[1] = l.graph.add_constant(l.constant(1)->reshaped({b[0], 1}));
    } else {
      inputs[1] = l.before(ViewParams{}, {inputs[1]}, {b[0], 1});
    }
  }
  if (row && l.constant(0)) return;
  if (!row && !column) {
    l.become(MatMulParams{}, inputs);
    return;
  }
  Dims full = y;
  if (column) full.push_back(1);
  if (row) full.insert(full.end() - 1, 1);
  const int product = l.before(MatMulParams{}, inputs, full);
  l.become(ViewParams{}, {product});
}

// alpha * A' * B' + beta * C (ONNX operator Gemm).
void lower_gemm(Lowerer& l) {
  MatMulParams p;
  p.transpose_a = l.attributes.i("transA") != 0;
  p.transpose_b = l.attributes.i("transB") != 0;
  const float alpha = l.attributes.f("alpha"), beta = l.attributes.f("beta");
  PointChain chain;
  if (alpha != 1.f) chain.push_back(PointOp::of(Unary::linear, alpha, 0.f));
  if (l.has_input(2) && beta != 0.f) {
    int c = l.op.inputs[2];
    if (beta != 1.f) {
      const Tensor* t = l.constant(2);
      if (!t) return;
      Tensor scaled = t->clone();
      for (float& v : scaled.mutable_values<float>()) v *= beta;
      c = l.graph.add_constant(std::move(scaled));
    }
    chain.push_back(PointOp::of(Binary::add, c));
  }
  l.become(p, {l.op.inputs[0], l.op.inputs[1]}, std::move(chain));
}

void lower_softmax(Lowerer& l) {
  const int rank = static_cast<int>(l.in(0).dims.size());
  int64_t axis = l.attributes.i("axis");
  if (rank == 0) return;
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  if (l.node.opset() >= 13 || axis == rank - 1) {
    l.become(SoftmaxParams{static_cast<int>(axis)}, {l.op.inputs[0]});
    return;
  }
  // Before opset 13 the axes from `axis` on are one.
  Dims flat = {1, 1};
  for (int i = 0; i < rank; ++i) flat[i < axis ? 0 : 1] *= l.in(0).dims[static_cast<size_t>(i)];
  const int rows = l.before(ViewParams{}, {l.op.inputs[0]}, flat);
  const int result = l.before(SoftmaxParams{1}, {rows}, flat);
  l.become(ViewParams{}, {result});
}

void lower_layer_norm(Lowerer& l) {
  if (l.has_output(1) || l.has_output(2)) return;
  const int rank = static_cast<int>(l.in(0).dims.size());
  int64_t axis = l.attributes.i("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  const Dims normal(l.in(0).dims.begin() + axis, l.in(0).dims.end());
  for (size_t i = 1; i < l.op.inputs.size(); ++i) {
    if (l.has_input(i) && l.in(i).dims != normal) return;
  }
  l.become(LayerNormParams{rank - static_cast<int>(axis), l.attributes.f("epsilon")}, l.op.inputs);
}

// ---- layout

void lower_view(Lowerer& l) { l.become(ViewParams{}, {l.op.inputs[0]}); }

void lower_dropout(Lowerer& l) {
  if (l.has_output(1) || l.node.opset() < 7) return;
  if (l.has_input(2)) {
    const Tensor* training = l.constant(2);
    if (!training || training->type() != DataType::boolean || training->data<bool>()[0]) return;
  }
  lower_view(l);
}

void lower_concat(Lowerer& l) {
  const int rank = static_cast<int>(l.out().dims.size());
  int64_t axis = l.attributes.i("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  if (l.op.inputs.size() == 1) return lower_view(l);
  l.become(ConcatParams{static_cast<int>(axis)}, l.op.inputs);
}

void lower_transpose(Lowerer& l) {
  const size_t rank = l.in(0).dims.size();
  TransposeParams p;
  if (auto perm = l.attributes.maybe_ints("perm")) {
    p.permutation.assign(perm->begin(), perm->end());
  } else {
    for (size_t i = rank; i-- > 0;) p.permutation.push_back(static_cast<int>(i));
  }
  if (p.permutation.size() != rank || rank == 0 || rank > 6) return;
  l.become(std::move(p), {l.op.inputs[0]});
}

void lower_slice(Lowerer& l) {
  const Dims& x = l.in(0).dims;
  const int64_t rank = static_cast<int64_t>(x.size());
  std::vector<int64_t> starts, axes;
  const auto ints = [&](size_t i) -> std::optional<std::vector<int64_t>> {
    const Tensor* t = l.constant(i);
    if (!t) return std::nullopt;
    if (t->type() == DataType::int64) return std::vector<int64_t>(t->values<int64_t>().begin(), t->values<int64_t>().end());
    if (t->type() == DataType::int32) return std::vector<int64_t>(t->values<int32_t>().begin(), t->values<int32_t>().end());
    return std::nullopt;
  };
  std::optional<std::vector<int64_t>> given;
  if (l.node.opset() < 10) {
    starts = l.attributes.ints("starts");
    given = l.attributes.maybe_ints("axes");
  } else {
    auto s = ints(1);
    if (!s) return;
    starts = *s;
    if (l.has_input(3)) {
      given = ints(3);
      if (!given) return;
    }
    if (l.has_input(4)) {
      auto steps = ints(4);
      if (!steps || std::ranges::any_of(*steps, [](int64_t v) { return v != 1; })) return;
    }
  }
  if (given) {
    axes = *given;
  } else {
    for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  }
  SliceParams p{Dims(x.size(), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < 0 || axis >= rank || i >= starts.size()) return;
    const int64_t dim = x[static_cast<size_t>(axis)];
    const int64_t start = starts[i] < 0 ? std::max<int64_t>(starts[i], -dim) + dim : std::min(starts[i], dim);
    p.starts[static_cast<size_t>(axis)] = start;
  }
  l.become(std::move(p), {l.op.inputs[0]});
}

// A slice for each output.
void lower_split(Lowerer& l) {
  const int rank = static_cast<int>(l.in(0).dims.size());
  int64_t axis = l.attributes.i("axis");
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return;
  for (size_t i = 0; i < l.op.outputs.size(); ++i) {
    if (!l.has_output(i)) return;
  }
  Dims starts(l.in(0).dims.size(), 0);
  const std::vector<int> outputs = l.op.outputs;
  const int x = l.op.inputs[0];
  for (size_t i = 0; i < outputs.size(); ++i) {
    LoweredOp slice;
    slice.params = SliceParams{starts};
    slice.nodes = l.op.nodes;
    slice.inputs = {x};
    slice.outputs = {outputs[i]};
    starts[static_cast<size_t>(axis)] += l.graph.value(outputs[i]).dims[static_cast<size_t>(axis)];
    if (i + 1 < outputs.size()) {
      l.graph.ops.push_back(std::move(slice));
    } else {
      l.op = std::move(slice);
    }
  }
}

void lower_resize(Lowerer& l) {
  const Dims& x = l.in(0).dims;
  const Dims& y = l.out().dims;
  if (x.size() != 4 || x[0] != y[0] || x[1] != y[1]) return;
  const std::string mode = l.attributes.s("mode");
  if (mode != "nearest" && mode != "linear") return;
  if (l.node.op_type() == "Resize" && l.node.opset() >= 11) {
    if (l.attributes.s("coordinate_transformation_mode") == "tf_crop_and_resize") return;
    if (l.node.opset() >= 18 && (l.attributes.i("antialias") != 0 || l.attributes.has("axes"))) return;
    if (l.node.opset() >= 18 && l.attributes.s("keep_aspect_ratio_policy") != "stretch") return;
  }
  // Its parameters must not come with the run.
  for (size_t i = 1; i < l.op.inputs.size(); ++i) {
    if (l.has_input(i) && !l.constant(i)) return;
  }
  l.become(ResampleParams{}, l.op.inputs);
}

// ---- the table

struct Entry {
  std::string_view op_type;
  void (*lower)(Lowerer&);
};

// Operators on float32 with a lowering of their own.
constexpr Entry kFloatTable[] = {
    {"Relu", [](Lowerer& l) { unary(l, Unary::relu); }},
    {"LeakyRelu", [](Lowerer& l) { unary(l, Unary::leaky_relu, l.attributes.f("alpha")); }},
    {"Elu", [](Lowerer& l) { unary(l, Unary::elu, l.attributes.f("alpha")); }},
    {"Sigmoid", [](Lowerer& l) { unary(l, Unary::sigmoid); }},
    {"Tanh", [](Lowerer& l) { unary(l, Unary::tanh); }},
    {"HardSigmoid",
     [](Lowerer& l) { unary(l, Unary::hard_sigmoid, l.attributes.f("alpha"), l.attributes.f("beta")); }},
    {"HardSwish", [](Lowerer& l) { unary(l, Unary::hard_swish); }},
    {"Softplus", [](Lowerer& l) { unary(l, Unary::soft_plus); }},
    {"Exp", [](Lowerer& l) { unary(l, Unary::exp); }},
    {"Log", [](Lowerer& l) { unary(l, Unary::log); }},
    {"Sqrt", [](Lowerer& l) { unary(l, Unary::sqrt); }},
    {"Abs", [](Lowerer& l) { unary(l, Unary::abs); }},
    {"Neg", [](Lowerer& l) { unary(l, Unary::linear, -1.f, 0.f); }},
    {"Reciprocal", [](Lowerer& l) { unary(l, Unary::reciprocal); }},
    {"Erf", [](Lowerer& l) { unary(l, Unary::erf); }},
    {"Clip", lower_clip},
    {"Add", [](Lowerer& l) { lower_binary(l, Binary::add); }},
    {"Sub", [](Lowerer& l) { lower_binary(l, Binary::sub); }},
    {"Mul", [](Lowerer& l) { lower_binary(l, Binary::mul); }},
    {"Div", [](Lowerer& l) { lower_binary(l, Binary::div); }},
    {"Pow", lower_pow},
    {"Sum", lower_sum},
    {"PRelu", lower_prelu},
    {"BatchNormalization", lower_batch_norm},
    {"Conv", [](Lowerer& l) { lower_conv(l, false); }},
    {"ConvTranspose", [](Lowerer& l) { lower_conv(l, true); }},
    {"MaxPool", [](Lowerer& l) { lower_pool(l, true); }},
    {"AveragePool", [](Lowerer& l) { lower_pool(l, false); }},
    {"GlobalAveragePool", [](Lowerer& l) { global_pool(l, PoolingParams::Kind::average); }},
    {"GlobalMaxPool", [](Lowerer& l) { global_pool(l, PoolingParams::Kind::max); }},
    {"MatMul", lower_matmul},
    {"Gemm", lower_gemm},
    {"Softmax", lower_softmax},
    {"LayerNormalization", lower_layer_norm},
    {"Concat", lower_concat},
    {"Transpose", lower_transpose},
};
// Operators whose further inputs are not float32.
constexpr Entry kMixedTable[] = {
    {"ReduceMean", lower_reduce_mean}, {"Slice", lower_slice}, {"Split", lower_split},
    {"Resize", lower_resize},          {"Upsample", lower_resize},
};
// Operators on any type that only rename dims.
constexpr Entry kViewTable[] = {
    {"Reshape", lower_view}, {"Flatten", lower_view},  {"Squeeze", lower_view},
    {"Unsqueeze", lower_view}, {"Identity", lower_view}, {"Dropout", lower_dropout},
};

template <size_t N>
bool try_table(const Entry (&table)[N], Lowerer& l) {
  for (const Entry& e : table) {
    if (e.op_type != l.node.op_type()) continue;
    e.lower(l);
    return true;
  }
  return false;
}

}  // namespace

void lower_known_node(LoweredGraph& graph, const Node& node, LoweredOp& op) {
  if (!node.domain().empty() || op.outputs.empty() || op.outputs[0] < 0 || op.inputs.empty() || op.inputs[0] < 0) return;
  Lowerer l{graph, node, op, AttributeReader(node)};
  if (try_table(kViewTable, l) || l.empty()) return;
  if (l.in(0).type != DataType::float32 || l.out().type != DataType::float32) return;
  if (try_table(kMixedTable, l)) return;
  if (l.all_float()) try_table(kFloatTable, l);
}

}  // namespace plica
