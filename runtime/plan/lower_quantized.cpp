// Operators on 8-bit integers: sums of products (IntegerProductParams), pools, and what works element by
// element.
//
// What engine/ops computes is what the primitives compute, bit by bit: sums in 32 bits are exact
// (has_exact_int8), a bias and the sum are added as float32 integers, there is one multiplication by the same
// factor, rounding is to nearest even, and the zero point is added after it. This holds while all numbers
// that are added, be it by the primitive on its way from the source that it is given to the one that it can
// multiply, are at most 2^24: integers that float32 has. The bound is computed from the weights. Beyond it
// sums that stay int32 are left to engine/ops. Others are rounded to float32 up to three times where
// engine/ops rounds once: a relative error of 2^-22. In 8 bits, where the value ends at most at 255, the
// result may so be the other neighbour when the exact value is within 2^-14 of the middle between two; the
// specification, which leaves the order of x_scale * w_scale / y_scale open, does not say more.
#include <algorithm>
#include <cmath>
#include <string_view>

#include "engine/core/checked.h"
#include "engine/ops/conv_geometry.h"
#include "runtime/onednn/onednn.h"
#include "runtime/plan/bytes.h"
#include "runtime/plan/lowerer.h"

namespace plica {
namespace {

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr int64_t kExact = int64_t{1} << 24, kAccumulator = int64_t{1} << 31;

// Of a constant of float32 with one element.
std::optional<float> single(const Lowerer& l, size_t i) { return l.scalar(i); }

std::optional<int> single_byte(const Lowerer& l, size_t i) {
  const Tensor* t = l.constant(i);
  if (!t || !is_byte(t->type()) || t->size() != 1) return std::nullopt;
  return static_cast<int>(byte_at(*t, 0));
}

// How the elements of weights belong to output channels: element i to i / inner % channels.
struct Channels {
  int64_t count, inner;

  // A parameter for all channels, or one for each.
  bool fits(const Tensor& parameter) const {
    return parameter.size() == 1 || (parameter.size() == count && parameter.dims().back() == count);
  }
};

Channels channels_of_filters(const Dims& w) {
  return {w[0], checked_elements(w) / std::max<int64_t>(w[0], 1)};
}
Channels channels_of_columns(const Dims& w) { return {w.back(), 1}; }

// Weights as the primitives take them, int8 without a zero point, and how far from 0 the sums may be.
struct Weights {
  int value = -1;
  int64_t largest_sum = 0;
};

// w - zero_point where that is int8: always so for int8 around 0 and uint8 around 128, as quantizers make
// them.
std::optional<Tensor> centered(const Tensor& w, const Tensor* zero_point, const Channels& channels) {
  bool zeros = true;
  for (int64_t i = 0; zero_point && i < zero_point->size(); ++i) zeros &= byte_at(*zero_point, i) == 0;
  if (zeros && w.type() == DataType::int8) return w;
  Tensor out(DataType::int8, w.dims());
  int8_t* to = out.mutable_data<int8_t>();
  const auto* from = static_cast<const uint8_t*>(w.raw());
  const int flip = w.type() == DataType::int8 ? 128 : 0;  // of the sign bit: then all are 0 to 255
  bool fits = true;
  for (int64_t run = 0; run * channels.inner < w.size(); ++run) {
    int64_t zero = 0;
    if (zero_point) zero = byte_at(*zero_point, zero_point->size() == 1 ? 0 : run % channels.count);
    const int offset = static_cast<int>(zero) + flip;
    for (int64_t i = run * channels.inner; i < (run + 1) * channels.inner; ++i) {
      const int v = (from[i] ^ flip) - offset;
      fits &= v >= -128 && v <= 127;
      to[i] = static_cast<int8_t>(v);
    }
  }
  return fits ? std::optional(std::move(out)) : std::nullopt;
}

// The largest sum, by channel, of bytes by these weights. `shifted`: the source's zero is not 0, or it is
// int8, which the primitives compute with as uint8 and correct afterwards: either may be added to the sum
// over either sign.
int64_t largest_sum(const Tensor& w, const Channels& channels, bool shifted) {
  std::vector<int64_t> positive(static_cast<size_t>(channels.count), 0), negative = positive;
  const int8_t* from = w.data<int8_t>();
  for (int64_t run = 0; run * channels.inner < w.size(); ++run) {
    int64_t above = 0, below = 0;
    for (int64_t i = 0; i < channels.inner; ++i) {
      const int v = *from++;
      above += std::max(v, 0);
      below += std::max(-v, 0);
    }
    const auto c = static_cast<size_t>(run % channels.count);
    positive[c] += above;
    negative[c] += below;
  }
  int64_t largest = 0;
  for (size_t c = 0; c < positive.size(); ++c) {
    const int64_t both = positive[c] + negative[c], one = std::max(positive[c], negative[c]);
    largest = std::max(largest, 255 * (shifted ? both : one));
  }
  return largest;
}

// `terms`: products in a sum.
std::optional<Weights> weights_of(Lowerer& l, size_t w, size_t zero_point, const Channels& channels,
                                  int64_t terms, bool shifted) {
  const Tensor *values = l.constant(w), *zeros = l.constant(zero_point);
  if (l.has_input(zero_point) && (!zeros || !channels.fits(*zeros))) return std::nullopt;
  if (values) {
    const auto c = centered(*values, zeros, channels);
    if (!c) return std::nullopt;
    const int64_t sum = largest_sum(*c, channels, shifted);
    return Weights{c->raw() == values->raw() ? l.op.inputs[w] : l.graph.add_constant(*c), sum};
  }
  if (l.in(w).type != DataType::int8) return std::nullopt;
  for (int64_t i = 0; zeros && i < zeros->size(); ++i) {
    if (byte_at(*zeros, i) != 0) return std::nullopt;
  }
  return Weights{l.op.inputs[w], checked_mul(terms, int64_t{255} * 128)};
}

// The source's zero point, as an int32 constant or a value of one byte that the run computes; -1 for 0.
std::optional<int> source_zero(Lowerer& l, size_t i) {
  if (!l.has_input(i)) return -1;
  if (!l.constant(i)) {
    const LoweredValue& v = l.in(i);
    return is_byte(v.type) && checked_elements(v.dims) == 1 ? std::optional(l.op.inputs[i]) : std::nullopt;
  }
  const auto zero = single_byte(l, i);
  if (!zero) return std::nullopt;
  return *zero == 0 ? -1 : l.graph.add_constant(Tensor::of(std::vector<int32_t>{*zero}, {1}));
}

// What the operators differ in: where their inputs are.
struct Inputs {
  size_t x, x_zero, w, w_zero;
};

struct Output {
  std::vector<float> factors;
  int zero = 0;
};

// scale * w_scale / y_scale for each channel, in the order of engine/ops; and y's zero point.
std::optional<Output> requantization(const Lowerer& l, float scale, size_t w_scale,
                                     std::optional<float> y_scale, size_t y_zero, const Channels& channels) {
  const Tensor* scales = l.constant(w_scale);
  if (!scales || scales->type() != DataType::float32 || !channels.fits(*scales)) return std::nullopt;
  Output out;
  for (float f : scales->values<float>()) out.factors.push_back(scale * f / y_scale.value_or(1));
  // Infinities and NaN are engine/ops' affair.
  if (!std::ranges::all_of(out.factors, [](float f) { return std::isfinite(f); })) return std::nullopt;
  if (!y_scale) return out;
  const auto zero = single_byte(l, y_zero);
  if (!zero) return std::nullopt;
  out.zero = *zero;
  return out;
}

// A constant of int32, one for each channel (or one), as float32, and the largest; nullopt if it is anything
// else.
struct Bias {
  int value = -1;
  int64_t largest = 0;
};
std::optional<Bias> bias_of(Lowerer& l, size_t i, const Channels& channels) {
  if (!l.has_input(i)) return Bias{};
  const Tensor* t = l.constant(i);
  if (!t || t->type() != DataType::int32 || !channels.fits(*t)) return std::nullopt;
  Bias bias;
  Tensor wide(DataType::float32, {channels.count});
  for (int64_t c = 0; c < channels.count; ++c) {
    const int64_t v = t->data<int32_t>()[t->size() == 1 ? 0 : c];
    wide.mutable_data<float>()[c] = static_cast<float>(v);
    bias.largest = std::max(bias.largest, std::abs(v));
  }
  bias.value = l.graph.add_constant(std::move(wide));
  return bias;
}

// Nothing reads the sums but a Cast to float32, which rounds what is beyond 2^24 anyway.
bool only_cast_to_float(const Lowerer& l) {
  const Value* y = l.node.output(0);
  if (!y || !y->has_single_use()) return false;
  const Node& reader = *y->uses()[0].node;
  return reader.op_type() == "Cast" && reader.domain().empty() && reader.has_output(0) &&
         AttributeReader(reader).i("to") == static_cast<int64_t>(DataType::float32);
}

void become_product(Lowerer& l, const Inputs& in, const Channels& channels, int64_t terms,
                    std::optional<ConvolutionParams> convolution, std::optional<Output> output,
                    const Bias& bias) {
  const auto zero = source_zero(l, in.x_zero);
  if (!zero) return;
  const bool shifted = l.in(in.x).type == DataType::int8 || *zero >= 0;
  const auto weights = weights_of(l, in.w, in.w_zero, channels, terms, shifted);
  if (!weights) return;
  const int64_t largest = weights->largest_sum + bias.largest;
  const bool is_rounded = l.out().type != DataType::int32 || only_cast_to_float(l);
  if (largest >= kAccumulator || (!is_rounded && largest > kExact)) return;
  IntegerProductParams p;
  p.convolution = std::move(convolution);
  if (output) {
    p.factors = std::move(output->factors);
    p.zero = output->zero;
  }
  p.node_inputs = l.op.inputs;
  l.become(std::move(p), {l.op.inputs[in.x], weights->value, *zero, bias.value});
}

// ---- convolutions

std::optional<ConvolutionParams> convolution_of(const Lowerer& l, const Dims& x, const Dims& w) {
  if (x.size() < 3 || x.size() > 5 || x.size() != w.size()) return std::nullopt;
  const WindowGeometry g =
      conv_geometry(l.attributes, Dims(x.begin() + 2, x.end()), Dims(w.begin() + 2, w.end()));
  ConvolutionParams p;
  p.window = {g.kernel, g.strides, g.dilations, g.pads_begin, g.pads_end};
  p.groups = l.attributes.i("group");
  if (p.groups <= 0 || x[1] % p.groups != 0 || w[0] % p.groups != 0) return std::nullopt;
  return p;
}

void lower_conv_integer(Lowerer& l) {
  const Dims& w = l.in(1).dims;
  if (!l.constant(1)) return;
  auto convolution = convolution_of(l, l.in(0).dims, w);
  if (!convolution) return;
  const Channels channels = channels_of_filters(w);
  become_product(l, {.x = 0, .x_zero = 2, .w = 1, .w_zero = 3}, channels, channels.inner,
                 std::move(convolution), {}, {});
}

void lower_qlinear_conv(Lowerer& l) {
  const Dims& w = l.in(3).dims;
  const auto x_scale = single(l, 1), y_scale = single(l, 6);
  if (!l.constant(3) || !x_scale || !y_scale) return;
  auto convolution = convolution_of(l, l.in(0).dims, w);
  if (!convolution) return;
  const Channels channels = channels_of_filters(w);
  auto output = requantization(l, *x_scale, 4, y_scale, 7, channels);
  const auto bias = bias_of(l, 8, channels);
  if (!output || !bias) return;
  become_product(l, {.x = 0, .x_zero = 2, .w = 3, .w_zero = 5}, channels, channels.inner,
                 std::move(convolution), std::move(output), *bias);
}

// ---- matrix products

bool are_matrices(const Dims& a, const Dims& b) {
  return a.size() >= 2 && b.size() >= 2 && std::max(a.size(), b.size()) <= 6;
}

void lower_matmul_integer(Lowerer& l) {
  if (!are_matrices(l.in(0).dims, l.in(1).dims)) return;
  become_product(l, {.x = 0, .x_zero = 2, .w = 1, .w_zero = 3}, channels_of_columns(l.in(1).dims),
                 l.in(0).dims.back(), {}, {}, {});
}

void lower_qlinear_matmul(Lowerer& l) {
  const auto a_scale = single(l, 1), y_scale = single(l, 6);
  if (!is_byte(l.in(3).type) || !a_scale || !y_scale || !are_matrices(l.in(0).dims, l.in(3).dims)) return;
  const Channels channels = channels_of_columns(l.in(3).dims);
  auto output = requantization(l, *a_scale, 4, y_scale, 7, channels);
  if (!output) return;
  become_product(l, {.x = 0, .x_zero = 2, .w = 3, .w_zero = 5}, channels, l.in(0).dims.back(), {},
                 std::move(output), {});
}

Tensor transposed(const Tensor& w) {
  const int64_t rows = w.dim(0), columns = w.dim(1);
  Tensor out(w.type(), {columns, rows});
  const auto* from = static_cast<const uint8_t*>(w.raw());
  auto* to = static_cast<uint8_t*>(out.mutable_raw());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
  }
  return out;
}

void lower_qgemm(Lowerer& l) {
  const auto a_scale = single(l, 1), y_scale = single(l, 7);
  if (l.attributes.i("transA") != 0 || !l.constant(3) || !a_scale || l.has_input(7) != y_scale.has_value())
    return;
  const std::vector<int> own = l.op.inputs;
  if (l.attributes.i("transB") != 0) {
    const int w = l.graph.add_constant(transposed(*l.constant(3)));
    l.op.inputs[3] = w;
  }
  const Channels channels = channels_of_columns(l.in(3).dims);
  auto output = requantization(l, l.attributes.f("alpha") * *a_scale, 4, y_scale, 8, channels);
  const auto bias = bias_of(l, 6, channels);
  if (output && bias) {
    become_product(l, {.x = 0, .x_zero = 2, .w = 3, .w_zero = 5}, channels, l.in(0).dims.back(), {},
                   std::move(output), *bias);
  }
  if (auto* p = std::get_if<IntegerProductParams>(&l.op.params)) {
    p->node_inputs = own;
  } else {
    l.op.inputs = own;
  }
}

// ---- products that become float32: by steps of their own, as A's scale is seldom known before the run

int new_value(Lowerer& l, DataType type, Dims dims) {
  const int v = l.new_value(std::move(dims));
  l.graph.value(v).type = type;
  return v;
}

void add_before(Lowerer& l, LoweredParams params, std::vector<int> inputs, std::vector<int> outputs) {
  LoweredOp op;
  op.params = std::move(params);
  op.nodes = l.op.nodes;
  op.inputs = std::move(inputs);
  op.outputs = std::move(outputs);
  l.graph.ops.push_back(std::move(op));
}

// B is input 1; `a_quantized`: A is 8-bit integers already, of the scale and zero point in inputs 2 and 4.
void lower_product_to_float(Lowerer& l, bool a_quantized, size_t b_scale, size_t b_zero, size_t bias) {
  const Dims a = l.in(0).dims, b = l.in(1).dims;
  const Channels channels = channels_of_columns(b);
  const Tensor* scales = l.constant(b_scale);
  if (!are_matrices(a, b) || !l.constant(1) || !scales || !channels.fits(*scales)) return;
  const auto is_float = [&](size_t i) { return !l.has_input(i) || l.in(i).type == DataType::float32; };
  if (!is_float(b_scale) || !is_float(bias) || l.out().type != DataType::float32) return;
  if (a_quantized ? !is_byte(l.in(0).type) || !is_float(2) : !is_float(0)) return;
  std::optional<int> zero;
  if (a_quantized) zero = source_zero(l, 4);
  if (a_quantized && !zero) return;
  const bool shifted = !a_quantized || l.in(0).type == DataType::int8 || *zero >= 0;
  const auto weights = weights_of(l, 1, b_zero, channels, a.back(), shifted);
  if (!weights || weights->largest_sum >= kAccumulator) return;
  const std::vector<int> own = l.op.inputs;
  int x = own[0], a_scale = a_quantized ? own[2] : -1;
  if (!a_quantized) {
    x = new_value(l, DataType::uint8, a);
    a_scale = new_value(l, DataType::float32, {});
    zero = new_value(l, DataType::uint8, {});
    add_before(l, DynamicQuantizeParams{}, {own[0]}, {x, a_scale, *zero});
  }
  const int sums = new_value(l, DataType::int32, l.out().dims);
  add_before(l, IntegerProductParams{}, {x, weights->value, *zero, -1}, {sums});
  l.become(ScaleSumsParams{}, {sums, a_scale, own[b_scale], l.has_input(bias) ? own[bias] : -1});
}

// ---- elementwise

// The inputs `data` have the output's dims, all others are constants for the whole tensor.
void lower_elementwise(Lowerer& l, std::vector<int> data) {
  const Dims& y = l.out().dims;
  if (y.size() < 3 || y.size() > 5) return;
  for (size_t i = 0; i < l.op.inputs.size(); ++i) {
    if (!l.has_input(i)) continue;
    const bool is_data = std::ranges::find(data, static_cast<int>(i)) != data.end();
    if (is_data ? l.in(i).dims != y || l.constant(i) : !l.constant(i) || l.constant(i)->size() != 1) return;
  }
  for (int i : data) {
    const DataType type = l.in(static_cast<size_t>(i)).type;
    if (!is_byte(type) && type != DataType::float32) return;
  }
  if (!is_byte(l.out().type) && l.out().type != DataType::float32) return;
  std::vector<int> inputs = l.op.inputs;
  l.become(ElementwiseParams{std::move(data)}, std::move(inputs));
}

struct Entry {
  std::string_view domain, op_type;
  void (*lower)(Lowerer&);
  bool is_product = false;
};

constexpr Entry kTable[] = {
    {"", "ConvInteger", lower_conv_integer, true},
    {"", "MatMulInteger", lower_matmul_integer, true},
    {"", "QLinearConv", lower_qlinear_conv, true},
    {"", "QLinearMatMul", lower_qlinear_matmul, true},
    {kMicrosoft, "QGemm", lower_qgemm, true},
    {kMicrosoft, "MatMulIntegerToFloat", [](Lowerer& l) { lower_product_to_float(l, true, 3, 5, 6); }, true},
    {kMicrosoft, "DynamicQuantizeMatMul", [](Lowerer& l) { lower_product_to_float(l, false, 2, 3, 4); },
     true},
    {"", "QuantizeLinear", [](Lowerer& l) { lower_elementwise(l, {0}); }},
    {"", "DequantizeLinear", [](Lowerer& l) { lower_elementwise(l, {0}); }},
    {kMicrosoft, "QLinearAdd",
     [](Lowerer& l) {
       lower_elementwise(l, {0, 3});
     }},
    {kMicrosoft, "QLinearMul",
     [](Lowerer& l) {
       lower_elementwise(l, {0, 3});
     }},
    {kMicrosoft, "QLinearSigmoid", [](Lowerer& l) { lower_elementwise(l, {0}); }},
    {kMicrosoft, "QLinearLeakyRelu", [](Lowerer& l) { lower_elementwise(l, {0}); }},
};

}  // namespace

bool is_integer_product(std::string_view domain, std::string_view op_type) {
  return std::ranges::any_of(
      kTable, [&](const Entry& e) { return e.is_product && e.domain == domain && e.op_type == op_type; });
}

bool lower_quantized(Lowerer& l) {
  // Of bytes the greatest is exact in any order.
  if (l.node.domain().empty() && l.node.op_type() == "MaxPool" && is_byte(l.in(0).type)) {
    if (!l.empty(1)) lower_pool(l, true);
    return true;
  }
  for (const Entry& e : kTable) {
    if (e.domain != l.node.domain() || e.op_type != l.node.op_type()) continue;
    const bool integers = !e.is_product || onednn::has_exact_int8();
    if (integers && !l.empty(l.op.inputs.size())) e.lower(l);
    return true;
  }
  return false;
}

}  // namespace plica
