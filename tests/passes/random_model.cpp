#include "tests/passes/random_model.h"

#include <algorithm>
#include <map>

#include "engine/ops/infer.h"
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

constexpr int64_t kLargest = 1500;  // elements of a value
constexpr int64_t kOpsets[] = {7, 9, 11, 13, 14, 15, 17, 18, 21};

// splitmix64: https://prng.di.unimi.it/splitmix64.c
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }  // inclusive
  bool chance(int percent) { return below(100) < percent; }
  double real(double low, double high) {
    return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53;
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(below(static_cast<int64_t>(from.size())))];
  }

 private:
  uint64_t state_;
};

int64_t count(const Dims& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

// The model with its nodes in both branches of an If, which read inputs and constants of the graph around
// them.
std::unique_ptr<ModelGraph> wrapped_in_if(const ModelGraph& model) {
  auto outer = std::make_unique<ModelGraph>();
  outer->ir_version = model.ir_version;
  outer->opset_imports = model.opset_imports;
  Graph& graph = outer->graph;
  std::unordered_map<const Value*, Value*> outside;
  for (const Value* v : model.graph.inputs()) outside[v] = graph.add_input(v->name(), v->type());
  for (const Value* v : model.graph.initializers())
    outside[v] = graph.add_initializer(v->name(), *v->initializer());
  Value* condition = graph.add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  std::vector<Value*> results;
  for (const Value* v : model.graph.outputs())
    results.push_back(graph.add_value("if_" + v->name(), v->type()));
  Node* branch = graph.add_node("If", "", {condition}, results);
  for (const std::string side : {"then_", "else_"}) {
    Graph& body = *graph.add_subgraph(branch, side + "branch");
    auto inside = outside;
    for (const Node* n : model.graph.nodes()) {
      std::vector<Value*> ins, outs;
      for (int i = 0; i < n->num_inputs(); ++i)
        ins.push_back(n->has_input(i) ? inside.at(n->input(i)) : nullptr);
      for (int i = 0; i < n->num_outputs(); ++i)
        outs.push_back(inside[n->output(i)] =
                           body.add_value(side + n->output(i)->name(), n->output(i)->type()));
      body.add_node(n->op_type(), "", ins, outs, n->attributes())->name = side + n->name;
    }
    for (const Value* v : model.graph.outputs()) body.add_output(inside.at(v));
  }
  for (Value* v : results) graph.add_output(v);
  return outer;
}

enum class Signs { positive, both, some_zero };

class Generator {
 public:
  Generator(uint64_t seed, int nodes)
      : r_(seed),
        type_(pick_type()),
        opset_(kOpsets[r_.below(std::ssize(kOpsets))]),
        b_(type_, opset_, ir_of(opset_)) {
    only_batch_norms_ = r_.chance(35);
    signs_ = r_.chance(50) ? Signs::positive : r_.chance(75) ? Signs::both : Signs::some_zero;
    symbolic_ = r_.chance(25);
    linear_bias_ = static_cast<int>(r_.between(20, 80));
    add_inputs();
    // A node is drawn from a generator of its own, so that a shorter model is a prefix of a longer one.
    for (int i = 0; i < nodes; ++i) {
      const Random saved(r_.next());
      Random main = r_;
      r_ = saved;
      for (int attempt = 0; attempt < 30 && !add_something(); ++attempt) {
      }
      r_ = main;
    }
    add_outputs();
  }

  RandomModel result() {
    const bool branches = b_.model->ir_version >= 4 && r_.chance(12);
    if (!branches) return {b_.model->clone(), std::move(inputs_), type_, only_batch_norms_, false};
    inputs_["condition"] = Tensor::scalar(true);
    return {wrapped_in_if(*b_.model), std::move(inputs_), type_, only_batch_norms_, true};
  }

 private:
  DataType pick_type() {
    const int64_t k = r_.below(10);
    return k < 7 ? DataType::float32 : k < 9 ? DataType::float64 : DataType::float16;
  }
  static int64_t ir_of(int64_t opset) { return opset < 9 ? 3 : opset < 15 ? 7 : opset < 21 ? 8 : 10; }

  // ---- values

  void add_inputs() {
    const int64_t n = r_.chance(50) ? 1 : r_.between(2, 3);
    const bool all_symbols = r_.chance(50);
    for (int64_t i = r_.between(1, 2); i > 0; --i) {
      Dims dims = {n, r_.between(1, 6)};
      const int64_t spatial = r_.chance(20) ? 0 : r_.chance(75) ? 2 : r_.chance(60) ? 1 : 3;
      for (int64_t s = 0; s < spatial; ++s) dims.push_back(r_.between(3, spatial == 3 ? 4 : 6));
      std::vector<Dim> declared(dims.begin(), dims.end());
      if (symbolic_) {
        declared[0] = Dim::symbol("n");
        for (size_t d = 2; d < declared.size() && all_symbols; ++d)
          declared[d] = Dim::symbol(fmt::format("d{}_{}", i, d));
      }
      const std::string name = fmt::format("x{}", i);
      inputs_[name] = random_tensor(type_, dims, r_.next(), -2, 2);
      note(b_.input(name, declared), Facts::of(inputs_[name]));
    }
  }

  void note(Value* v, Facts facts) {
    facts.constant = {};
    facts.elements.reset();
    facts_[v] = std::move(facts);
    pool_.push_back(v);
  }
  Dims dims_of(Value* v) const { return *facts_.at(v).type.shape->known(); }

  // The latest value that nobody reads more often, so that chains get long; sometimes any, so that values
  // have several readers.
  Value* any() {
    const auto n = static_cast<int64_t>(pool_.size());
    if (r_.chance(60)) {
      for (int64_t i = n - 1; i >= 0; --i) {
        if (!pool_[static_cast<size_t>(i)]->has_uses()) return pool_[static_cast<size_t>(i)];
      }
    }
    const int64_t back = r_.chance(65) ? r_.below(std::min<int64_t>(n, 2)) : r_.below(n);
    return pool_[static_cast<size_t>(n - 1 - back)];
  }

  Value* constant(const std::string& name, Dims dims, double low, double high) {
    Tensor t(DataType::float64, std::move(dims));
    for (double& v : t.mutable_values<double>()) v = r_.real(low, high);
    return keep(name, tensor_of(type_, to_doubles(t), t.dims()));
  }
  // IR version 3 wants initializers among the inputs.
  Value* keep(const std::string& name, Tensor t) {
    Value* v;
    if (b_.model->ir_version < 4) {
      v = b_.graph->add_input(b_.graph->fresh_name(name), Type::tensor(t.type(), Shape(t.dims())));
      b_.graph->set_initializer(v, t);
    } else {
      v = b_.constant(name, t);
    }
    facts_[v] = Facts::of(t);
    return v;
  }
  Value* ints(const std::string& name, const Ints& values) {
    return keep(name, Tensor::of(values, {std::ssize(values)}));
  }

  // Factors of the signs that this model has, none so small or large that what it computes leaves float16.
  Value* factors(const std::string& name, const Dims& dims) {
    Tensor t(DataType::float64, dims);
    for (double& v : t.mutable_values<double>()) {
      v = r_.real(0.25, 1.75);
      if (signs_ != Signs::positive && r_.chance(50)) v = -v;
      if (signs_ == Signs::some_zero && r_.chance(20)) v = 0;
    }
    return keep(name, tensor_of(type_, to_doubles(t), dims));
  }

  // The node, unless its operator refuses it or the result is too large. Its outputs join the pool.
  bool add(const std::string& op_type, std::vector<Value*> inputs,
           std::vector<NamedAttribute> attributes = {}, int outputs = 1) {
    std::vector<const Facts*> facts;
    for (Value* v : inputs) facts.push_back(v ? &facts_.at(v) : nullptr);
    const std::string name = fmt::format("{}{}", op_type, ++made_);
    Attributes list;
    for (NamedAttribute& a : attributes) list.set(std::move(a.name), std::move(a.value));
    std::vector<Value*> out;
    for (int i = 0; i < outputs; ++i) out.push_back(b_.graph->add_value(b_.graph->fresh_name(name)));
    Node* node = b_.graph->add_node(op_type, "", std::move(inputs), out, std::move(list));
    node->name = name;
    std::vector<Facts> inferred;
    bool fits = true;
    try {
      inferred = infer_node(*node, facts);
      for (const Facts& f : inferred) {
        const auto dims = f.type.shape ? f.type.shape->known() : std::nullopt;
        fits = fits && dims && count(*dims) > 0 && count(*dims) <= kLargest && f.type.element == type_;
      }
    } catch (const Error&) {
      fits = false;
    }
    if (!fits) {
      b_.graph->remove_node(node);
      return false;
    }
    for (int i = 0; i < outputs; ++i)
      note(out[static_cast<size_t>(i)], std::move(inferred[static_cast<size_t>(i)]));
    return true;
  }

  void add_outputs() {
    for (Value* v : pool_) {
      const bool leaf = v->producer() && !v->has_uses();
      if (!leaf && !(v->producer() && r_.chance(4))) continue;
      const Dims dims = dims_of(v);
      std::vector<Dim> declared(dims.size());  // unknown: with symbols in the inputs the numbers may be wrong
      b_.graph->set_type(v, Type::tensor(type_, Shape(declared)));
      b_.graph->add_output(v);
    }
    if (b_.graph->outputs().empty()) {
      add("Relu", {pool_[0]});
      b_.graph->set_type(pool_.back(),
                         Type::tensor(type_, Shape(std::vector<Dim>(dims_of(pool_.back()).size()))));
      b_.graph->add_output(pool_.back());
    }
    // Constants of nodes that were refused.
    for (Node* n : b_.graph->nodes()) {
      if (n->is("DequantizeLinear") && !n->output(0)->has_uses()) b_.graph->remove_node(n);
    }
    for (Value* v : b_.graph->initializers()) {
      if (v->has_uses()) continue;
      if (v->is_graph_input()) {
        const auto& inputs = b_.graph->inputs();
        b_.graph->remove_input(static_cast<size_t>(std::ranges::find(inputs, v) - inputs.begin()));
        if (!b_.graph->find(v->name())) continue;
      }
      b_.graph->remove_value(v);
    }
  }

  // ---- nodes

  bool add_something() {
    if (r_.chance(linear_bias_)) {
      const int64_t k = r_.below(10);
      if (k < 4) return batch_norm(any());
      if (k < 6 && !only_batch_norms_) return arithmetic(any());
      return linear(any());
    }
    return between(any());
  }

  bool batch_norm(Value* x) {
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

  bool arithmetic(Value* x) {
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

  int64_t group_of(int64_t channels) {
    if (r_.chance(60)) return 1;
    if (r_.chance(50)) return channels;
    Ints divisors;
    for (int64_t g = 1; g <= channels; ++g)
      if (channels % g == 0) divisors.push_back(g);
    return r_.pick(divisors);
  }

  // Sums of products stay as large as what goes in.
  Value* weight(const Dims& dims, int64_t terms) {
    auto& known = weights_[dims];
    if (known && r_.chance(15)) return known;
    if (type_ == DataType::float32 && opset_ >= 13 && r_.chance(8)) return quantized_weight(dims);
    const double size = 1.7 / std::sqrt(static_cast<double>(std::max<int64_t>(terms, 1)));
    return known = constant("w", dims, -size, size);
  }

  // int8 behind a DequantizeLinear, with one scale or one for each channel of axis 0 or 1.
  Value* quantized_weight(const Dims& dims) {
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

  bool linear(Value* x) {
    const Dims dims = dims_of(x);
    if (dims.size() >= 3) {
      const int64_t k = r_.below(10);
      return k < 6 ? conv(x, dims) : k < 8 ? conv_transpose(x, dims) : matmul(x, dims);
    }
    return dims.size() == 2 && r_.chance(60) ? gemm(x, dims) : matmul(x, dims);
  }

  bool conv(Value* x, const Dims& dims) {
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
    std::vector<Value*> inputs = {x, weight(w, c / g * count(kernel))};
    if (r_.chance(50)) inputs.push_back(constant("b", {m}, -1, 1));
    return add("Conv", inputs, attributes);
  }

  bool conv_transpose(Value* x, const Dims& dims) {
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
    std::vector<Value*> inputs = {x, weight(w, c / g * count(kernel))};
    if (r_.chance(50)) inputs.push_back(constant("b", {g * m}, -1, 1));
    return add("ConvTranspose", inputs, {{"group", g}, {"strides", strides}, {"pads", pads}});
  }

  bool gemm(Value* x, const Dims& dims) {
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

  bool matmul(Value* x, const Dims& dims) {
    if (dims.empty()) return false;
    if (dims.size() == 2 && r_.chance(10)) {  // constant * x
      return add("MatMul", {weight({r_.between(1, 6), dims[0]}, dims[0]), x});
    }
    Dims w = {dims.back(), r_.between(1, 6)};
    if (dims.size() == 3 && r_.chance(20)) w.insert(w.begin(), dims[0]);
    return add("MatMul", {x, weight(w, dims.back())});
  }

  bool between(Value* x) {
    const Dims dims = dims_of(x);
    const int64_t rank = std::ssize(dims);
    switch (r_.below(18)) {
      case 0:
      case 1:
        return add("Relu", {x});
      case 2:
        return unary(x, dims);
      case 3:
      case 4:
        return pool(x, dims);
      case 5:
        return reduce(x, rank);
      case 6:
      case 7:
        return concat(x, dims);
      case 8:
      case 9:
        return two_tensors(x, dims);
      case 10:
        return split(x, dims);
      case 11:
        return slice(x, dims);
      case 12:
        return pad(x, rank);
      case 13:
        return transpose(x, rank);
      case 14:
        return reshape(x, dims);
      case 15:
        return squeeze(x, dims);
      case 16:
        return resize(x, dims);
      default:
        return blocks(x, dims);
    }
  }

  bool unary(Value* x, const Dims& dims) {
    switch (r_.below(8)) {
      case 0:
        return add("LeakyRelu", {x}, {{"alpha", r_.chance(80) ? 0.1f : -0.5f}});
      case 1: {
        if (dims.size() < 2) return false;
        Dims slope(dims.size() - 1, 1);
        slope[0] = dims[1];
        return add("PRelu", {x, constant("slope", slope, -0.5, 1.5)});
      }
      case 2:
        return add("Abs", {x});
      case 3:
        return add("Tanh", {x});
      case 4:
        return add("Identity", {x});
      case 5:
        return add("Cast", {x}, {{"to", static_cast<int64_t>(type_)}});
      case 6:
        return add("Dropout", {x});
      default:
        if (opset_ >= 11)
          return add("Clip",
                     {x, keep("low", tensor_of(type_, {0}, {})), keep("high", tensor_of(type_, {6}, {}))});
        return add("Clip", {x}, {{"min", 0.f}, {"max", 6.f}});
    }
  }

  bool pool(Value* x, const Dims& dims) {
    if (dims.size() < 3 || dims.size() > 5) return false;
    const int64_t kind = r_.below(6);
    if (kind == 0) return add("GlobalAveragePool", {x});
    if (kind == 1) return add("GlobalMaxPool", {x});
    const auto spatial = static_cast<size_t>(std::ssize(dims) - 2);
    Ints kernel, strides, pads(2 * spatial, 0);
    const bool padded = r_.chance(40);
    for (size_t i = 0; i < spatial; ++i) {
      kernel.push_back(r_.between(1, 3));
      strides.push_back(r_.between(1, 2));
      if (padded && kernel[i] > 1) pads[i] = r_.between(0, 1), pads[spatial + i] = r_.between(0, 1);
    }
    std::vector<NamedAttribute> attributes = {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}};
    if (kind < 4) return add("MaxPool", {x}, attributes);
    if (r_.chance(50)) attributes.push_back({"count_include_pad", int64_t{1}});
    return add("AveragePool", {x}, attributes);
  }

  bool reduce(Value* x, int64_t rank) {
    if (rank < 3) return false;
    const bool mean = r_.chance(70);
    Ints axes;
    if (r_.chance(70)) {
      for (int64_t a = 2; a < rank; ++a) axes.push_back(r_.chance(50) ? a : a - rank);
    } else {
      axes = {r_.below(rank)};
    }
    const int64_t keep_dims = r_.below(2);
    if (opset_ < 18)
      return add(mean ? "ReduceMean" : "ReduceMax", {x}, {{"axes", axes}, {"keepdims", keep_dims}});
    return add(mean ? "ReduceMean" : "ReduceMax", {x, ints("axes", axes)}, {{"keepdims", keep_dims}});
  }

  // A value with the same dims but for `axis` (-1: no exception).
  Value* like(const Dims& dims, int64_t axis) {
    std::vector<Value*> fitting;
    for (Value* v : pool_) {
      Dims other = dims_of(v);
      if (other.size() != dims.size()) continue;
      if (axis >= 0) other[static_cast<size_t>(axis)] = dims[static_cast<size_t>(axis)];
      if (other == dims) fitting.push_back(v);
    }
    return r_.pick(fitting);  // x itself is there
  }

  bool concat(Value* x, const Dims& dims) {
    if (dims.empty()) return false;
    const int64_t rank = std::ssize(dims), axis = rank > 1 && r_.chance(75) ? 1 : r_.below(rank);
    std::vector<Value*> inputs = {x};
    for (int64_t i = r_.between(1, 2); i > 0; --i) inputs.push_back(like(dims, axis));
    if (r_.chance(50)) std::swap(inputs[0], inputs[1]);
    return add("Concat", inputs, {{"axis", r_.chance(70) ? axis : axis - rank}});
  }

  bool two_tensors(Value* x, const Dims& dims) {
    Value* y = like(dims, -1);
    if (r_.chance(20)) y = any();  // broadcast, if it goes
    const int64_t k = r_.below(12);
    if (k < 6) return add("Add", {x, y});
    if (k < 7) return add("Sub", {x, y});
    if (k < 8) return add("Max", {x, y});
    if (k < 9) return add("Min", {x, y});
    if (k < 10) return add("Sum", {x, y, like(dims, -1)});
    // Products square what they multiply: one in a row is enough.
    for (Value* v : {x, y}) {
      if (grown_[v]) return false;
    }
    if (!add("Mul", {x, y})) return false;
    grown_[pool_.back()] = true;
    return true;
  }

  bool split(Value* x, const Dims& dims) {
    if (dims.size() < 2) return false;
    const int64_t axis = r_.chance(75) ? 1 : r_.below(std::ssize(dims)),
                  size = dims[static_cast<size_t>(axis)];
    if (size < 2) return false;
    const int64_t first = r_.between(1, size - 1);
    const Ints sizes = {first, size - first};
    if (opset_ < 13) return add("Split", {x}, {{"axis", axis}, {"split", sizes}}, 2);
    return add("Split", {x, ints("split", sizes)}, {{"axis", axis}}, 2);
  }

  bool slice(Value* x, const Dims& dims) {
    if (dims.empty()) return false;
    const int64_t axis = r_.below(std::ssize(dims)), size = dims[static_cast<size_t>(axis)];
    if (size < 2) return false;
    const int64_t begin = r_.below(size - 1), end = r_.between(begin + 1, size);
    if (opset_ < 10)
      return add("Slice", {x}, {{"axes", Ints{axis}}, {"starts", Ints{begin}}, {"ends", Ints{end}}});
    if (r_.chance(25)) {  // backwards
      return add("Slice", {x, ints("starts", {-1}), ints("ends", {INT64_MIN + 1}), ints("axes", {axis}),
                           ints("steps", {-1})});
    }
    return add("Slice", {x, ints("starts", {begin}), ints("ends", {end}), ints("axes", {axis})});
  }

  bool pad(Value* x, int64_t rank) {
    if (rank < 3) return false;
    Ints pads(static_cast<size_t>(2 * rank), 0);
    for (int64_t a = r_.chance(80) ? 2 : 1; a < rank; ++a) {
      pads[static_cast<size_t>(a)] = r_.between(0, 1);
      pads[static_cast<size_t>(rank + a)] = r_.between(0, 2);
    }
    const int64_t k = r_.below(10);
    const std::string mode = k < 6 ? "constant" : k < 8 ? "edge" : "reflect";
    const double value = r_.chance(60) ? 0 : r_.real(-1, 1);
    if (opset_ < 11)
      return add("Pad", {x}, {{"pads", pads}, {"mode", mode}, {"value", static_cast<float>(value)}});
    std::vector<Value*> inputs = {x, ints("pads", pads)};
    if (mode == "constant" && r_.chance(70)) inputs.push_back(keep("value", tensor_of(type_, {value}, {})));
    return add("Pad", inputs, {{"mode", mode}});
  }

  bool transpose(Value* x, int64_t rank) {
    Ints perm(static_cast<size_t>(rank));
    for (int64_t i = 0; i < rank; ++i) perm[static_cast<size_t>(i)] = i;
    for (int64_t i = rank - 1; i > 0; --i)
      std::swap(perm[static_cast<size_t>(i)], perm[static_cast<size_t>(r_.below(i + 1))]);
    return add("Transpose", {x}, {{"perm", perm}});
  }

  bool reshape(Value* x, const Dims& dims) {
    const int64_t rank = std::ssize(dims);
    if (rank < 2) return false;
    const int64_t k = r_.below(4);
    if (k == 0) return add("Flatten", {x}, {{"axis", r_.chance(70) ? int64_t{1} : r_.below(rank + 1)}});
    Ints shape(dims.begin(), dims.end());
    if (k == 1) {  // two axes become one
      const auto at = static_cast<size_t>(r_.below(rank - 1));
      shape[at] *= shape[at + 1];
      shape.erase(shape.begin() + static_cast<int64_t>(at) + 1);
    } else if (k == 2) {  // one becomes two
      const auto at = static_cast<size_t>(r_.below(rank));
      const int64_t factor = shape[at] % 2 == 0 ? 2 : shape[at] % 3 == 0 ? 3 : 1;
      shape[at] /= factor;
      shape.insert(shape.begin() + static_cast<int64_t>(at) + r_.below(2), factor);
    } else {
      shape = {shape[0], -1};
    }
    if (r_.chance(40) && shape[0] == dims[0]) shape[0] = 0;
    return add("Reshape", {x, ints("shape", shape)});
  }

  bool squeeze(Value* x, const Dims& dims) {
    const int64_t rank = std::ssize(dims);
    Ints ones;
    for (int64_t a = 0; a < rank; ++a)
      if (dims[static_cast<size_t>(a)] == 1) ones.push_back(a);
    const bool unsqueeze = ones.empty() || r_.chance(40);
    const Ints axes = {unsqueeze ? r_.below(rank + 1) : r_.pick(ones)};
    if (unsqueeze && rank > 4) return false;
    const char* op = unsqueeze ? "Unsqueeze" : "Squeeze";
    if (opset_ < 13) return add(op, {x}, {{"axes", axes}});
    return add(op, {x, ints("axes", axes)});
  }

  bool resize(Value* x, const Dims& dims) {
    if (dims.size() < 3) return false;
    std::vector<float> scales(dims.size(), 1.f);
    for (size_t i = 2; i < scales.size(); ++i) scales[i] = r_.chance(70) ? 2.f : 1.5f;
    const std::string mode = dims.size() == 4 && r_.chance(50) ? "linear" : "nearest";
    const auto n = static_cast<int64_t>(scales.size());
    if (opset_ < 9) return add("Upsample", {x}, {{"scales", scales}, {"mode", mode}});
    Value* s = keep("scales", Tensor::of(scales, {n}));
    if (opset_ < 10) return add("Upsample", {x, s}, {{"mode", mode}});
    if (opset_ < 11) return add("Resize", {x, s}, {{"mode", mode}});
    Value* roi = opset_ < 13 ? keep("roi", Tensor(DataType::float32, {0})) : nullptr;
    return add("Resize", {x, roi, s}, {{"mode", mode}});
  }

  bool blocks(Value* x, const Dims& dims) {
    if (dims.size() != 4) return false;
    if (r_.chance(50)) return add("SpaceToDepth", {x}, {{"blocksize", int64_t{2}}});
    std::vector<NamedAttribute> attributes = {{"blocksize", int64_t{2}}};
    if (opset_ >= 11 && r_.chance(50)) attributes.push_back({"mode", std::string("CRD")});
    return add("DepthToSpace", {x}, attributes);
  }

  Random r_;
  const DataType type_;
  const int64_t opset_;
  Build b_;
  bool only_batch_norms_ = false, symbolic_ = false;
  Signs signs_ = Signs::both;
  int linear_bias_ = 50, made_ = 0;
  NamedTensors inputs_;
  std::vector<Value*> pool_;
  std::unordered_map<const Value*, Facts> facts_;
  std::unordered_map<const Value*, bool> grown_;
  std::map<int64_t, std::vector<Value*>> statistics_;
  std::map<Dims, Value*> weights_;
};

}  // namespace

RandomModel random_model(uint64_t seed, int nodes) { return Generator(seed, nodes).result(); }

int random_node_count(uint64_t seed) { return 5 + static_cast<int>(Random(seed ^ 0xabcdef).below(21)); }

}  // namespace plica::testing
