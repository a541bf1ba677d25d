#include "tests/passes/random_generator.h"

namespace plica::testing {

bool Generator::add_something() {
  if (r_.chance(linear_bias_)) {
    const int64_t k = r_.below(10);
    if (k < 4) return batch_norm(any());
    if (k < 6 && !only_batch_norms_) return arithmetic(any());
    return linear(any());
  }
  return between(any());
}

bool Generator::batch_norm(Value* x) {
  const Dims dims = dims_of(x);
  if (dims.size() < 2) return false;
  const int64_t c = dims[1];
  auto& known = statistics_[c];
  if (known.empty() || !r_.chance(15)) {
    known = {factors("scale", {c}), constant("bias", {c}, -1, 1), constant("mean", {c}, -1, 1),
             constant("var", {c}, 0.3, 2)};
  }
  std::vector<NamedAttribute> attributes;
  if (r_.chance(50)) attributes.push_back({"epsilon", r_.chance(50) ? 1e-3f : 1e-5f});
  return add("BatchNormalization", {x, known[0], known[1], known[2], known[3]}, attributes);
}

bool Generator::arithmetic(Value* x) {
  const Dims dims = dims_of(x);
  const int64_t rank = std::ssize(dims), kind = r_.below(10);
  Dims shape;
  if (kind < 2) {
    if (r_.chance(50)) shape = {1};
  } else if (kind < 7 && rank >= 2) {  // a channel
    shape = Dims(static_cast<size_t>(rank), 1);
    shape[1] = dims[1];
    if (r_.chance(40)) shape.erase(shape.begin());
  } else if (kind < 8 && rank >= 1) {  // the last axis
    shape = {dims.back()};
  } else if (kind < 9) {
    shape = dims;
  } else {  // broadcasts the operand to a larger shape, where that has a 1
    shape = dims;
    for (int64_t& d : shape) d = d == 1 && r_.chance(50) ? 2 : 1;
  }
  const int64_t op = r_.below(4);
  if (op < 2) {
    Value* c = constant("c", shape, -1.5, 1.5);
    const bool swapped = r_.chance(30);
    return add(op == 0 ? "Add" : "Sub", swapped ? std::vector{c, x} : std::vector{x, c});
  }
  if (op == 2) {
    Value* c = factors("f", shape);
    return add("Mul", r_.chance(30) ? std::vector{c, x} : std::vector{x, c});
  }
  Value* c = constant("d", shape, 0.6, 2);
  return add("Div", {x, c});
}

int64_t Generator::group_of(int64_t channels) {
  if (r_.chance(60)) return 1;
  if (r_.chance(50)) return channels;
  Ints divisors;
  for (int64_t g = 1; g <= channels; ++g)
    if (channels % g == 0) divisors.push_back(g);
  return r_.pick(divisors);
}

Value* Generator::weight(const Dims& dims, int64_t terms) {
  auto& known = weights_[dims];
  if (known && r_.chance(15)) return known;
  if (type_ == DataType::float32 && opset_ >= 13 && r_.chance(8)) return quantized_weight(dims);
  const double size = 1.7 / std::sqrt(static_cast<double>(std::max<int64_t>(terms, 1)));
  return known = constant("w", dims, -size, size);
}

Value* Generator::quantized_weight(const Dims& dims) {
  Tensor q(DataType::int8, dims);
  for (int8_t& v : q.mutable_values<int8_t>()) v = static_cast<int8_t>(r_.between(-128, 127));
  const int64_t axis = r_.between(-1, 1);
  const Dims scales = axis < 0 ? Dims{} : Dims{dims[static_cast<size_t>(axis)]};
  std::vector<Value*> inputs = {keep("q", q), constant("step", scales, 0.002, 0.01)};
  if (r_.chance(50)) inputs.push_back(keep("zero", Tensor::zeros(DataType::int8, scales)));
  Value* w = b_.op("DequantizeLinear", fmt::format("dq{}", ++made_), inputs);
  Attribute a;
  a.name = "axis", a.value = axis;
  if (axis >= 0) b_.graph->set_attribute(w->producer(), a);
  facts_[w].type = Type::tensor(type_, Shape(dims));
  return w;
}

bool Generator::linear(Value* x) {
  const Dims dims = dims_of(x);
  if (dims.size() >= 3) {
    const int64_t k = r_.below(10);
    return k < 6 ? conv(x, dims) : k < 8 ? conv_transpose(x, dims) : matmul(x, dims);
  }
  return dims.size() == 2 && r_.chance(60) ? gemm(x, dims) : matmul(x, dims);
}

bool Generator::conv(Value* x, const Dims& dims) {
  if (dims.size() > 5) return false;
  const int64_t c = dims[1], g = group_of(c), m = g * r_.between(1, g > 3 ? 2 : 4);
  const auto spatial = static_cast<size_t>(std::ssize(dims) - 2);
  Dims w = {m, c / g};
  Ints kernel, strides, dilations, pads(2 * spatial, 0);
  const bool padded = r_.chance(50);
  for (size_t i = 0; i < spatial; ++i) {
    kernel.push_back(r_.between(1, 3));
    strides.push_back(r_.chance(80) ? 1 : 2);
    dilations.push_back(r_.chance(85) ? 1 : 2);
    if (padded) pads[i] = r_.between(0, 2), pads[spatial + i] = r_.between(0, 1);
  }
  w.insert(w.end(), kernel.begin(), kernel.end());
  std::vector<NamedAttribute> attributes = {{"group", g}, {"strides", strides}, {"dilations", dilations}};
  if (padded && r_.chance(20)) {
    attributes.push_back({"auto_pad", std::string(r_.chance(50) ? "SAME_UPPER" : "SAME_LOWER")});
    attributes[2] = {"dilations", Ints(spatial, 1)};
  } else {
    attributes.push_back({"pads", pads});
  }
  if (r_.chance(50)) attributes.push_back({"kernel_shape", kernel});
  std::vector<Value*> inputs = {x, weight(w, c / g * element_count(kernel))};
  if (r_.chance(50)) inputs.push_back(constant("b", {m}, -1, 1));
  return add("Conv", inputs, attributes);
}

bool Generator::conv_transpose(Value* x, const Dims& dims) {
  if (dims.size() > 5) return false;
  const int64_t c = dims[1], g = group_of(c), m = r_.between(1, 3);
  const auto spatial = static_cast<size_t>(std::ssize(dims) - 2);
  Dims w = {c, m};
  Ints kernel, strides, pads(2 * spatial, 0);
  for (size_t i = 0; i < spatial; ++i) {
    kernel.push_back(r_.between(1, 3));
    strides.push_back(r_.between(1, 2));
    if (r_.chance(25)) pads[i] = r_.between(0, kernel[i] - 1);
  }
  w.insert(w.end(), kernel.begin(), kernel.end());
  std::vector<Value*> inputs = {x, weight(w, c / g * element_count(kernel))};
  if (r_.chance(50)) inputs.push_back(constant("b", {g * m}, -1, 1));
  return add("ConvTranspose", inputs, {{"group", g}, {"strides", strides}, {"pads", pads}});
}

bool Generator::gemm(Value* x, const Dims& dims) {
  const bool trans_a = r_.chance(15), trans_b = r_.chance(50);
  const int64_t rows = dims[trans_a ? 1 : 0], k = dims[trans_a ? 0 : 1], n = r_.between(1, 6);
  std::vector<Value*> inputs = {x, weight(trans_b ? Dims{n, k} : Dims{k, n}, k)};
  const int64_t kind = r_.below(6);
  const Dims c = kind == 0   ? Dims{}
                 : kind == 1 ? Dims{1, n}
                 : kind == 2 ? Dims{rows, 1}
                 : kind == 3 ? Dims{rows, n}
                             : Dims{n};
  if (opset_ < 11 || r_.chance(75)) inputs.push_back(constant("c", c, -1, 1));
  std::vector<NamedAttribute> attributes = {{"transA", int64_t{trans_a}}, {"transB", int64_t{trans_b}}};
  if (r_.chance(30)) attributes.push_back({"alpha", static_cast<float>(r_.real(-1.5, 1.5))});
  if (r_.chance(30)) attributes.push_back({"beta", static_cast<float>(r_.real(-1.5, 1.5))});
  return add("Gemm", inputs, attributes);
}

bool Generator::matmul(Value* x, const Dims& dims) {
  if (dims.empty()) return false;
  if (dims.size() == 2 && r_.chance(10)) {  // constant * x
    return add("MatMul", {weight({r_.between(1, 6), dims[0]}, dims[0]), x});
  }
  Dims w = {dims.back(), r_.between(1, 6)};
  if (dims.size() == 3 && r_.chance(20)) w.insert(w.begin(), dims[0]);
  return add("MatMul", {x, weight(w, dims.back())});
}

}  // namespace plica::testing
