#include "tests/passes/double_reference.h"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "engine/core/fail.h"
#include "engine/ops/cast.h"
#include "passes/constants.h"

namespace plica::testing {
namespace {

// ---- inlining

using ValueMap = std::unordered_map<const Value*, Value*>;

// The body in the place of `node`, whose outputs become the body's.
void inline_body(Node& node, const Graph& body, ValueMap map) {
  Graph& to = *node.graph();
  for (const Value* v : body.initializers()) {
    if (!map.contains(v)) map[v] = to.add_initializer(to.fresh_name(v->name()), *v->initializer());
  }
  const auto mapped = [&](Value* v) { return map.contains(v) ? map.at(v) : v; };
  for (const Node* n : body.nodes()) {
    std::vector<Value*> ins, outs;
    for (int i = 0; i < n->num_inputs(); ++i) ins.push_back(n->has_input(i) ? mapped(n->input(i)) : nullptr);
    for (int i = 0; i < n->num_outputs(); ++i) {
      Value* v = n->output(i);
      outs.push_back(v ? map[v] = to.add_value(to.fresh_name(v->name()), v->type()) : nullptr);
    }
    to.add_node(n->op_type(), n->domain(), ins, outs, n->attributes(), &node)->name = n->name;
  }
  for (int i = 0; i < node.num_outputs(); ++i) {
    to.replace_all_uses(node.output(i), mapped(body.outputs()[static_cast<size_t>(i)]));
  }
  to.remove_node(&node);
}

// ---- float64

bool must_be_float32(const Use& use) {
  return (use.node->is("Resize") || use.node->is("Upsample")) && use.index > 0;
}

bool becomes_double(const Value& v) {
  for (const Use& use : v.uses()) {
    if (must_be_float32(use)) return false;
  }
  return true;
}

// (q - zero point) * scale, exactly: the factors have no more bits together than a double.
Tensor product_of(const Node& node) {
  const Tensor q = cast_tensor(*node.input(0)->constant(), DataType::float64);
  const Tensor scale = cast_tensor(*node.input(1)->constant(), DataType::float64);
  const Tensor zero = node.has_input(2) ? cast_tensor(*node.input(2)->constant(), DataType::float64)
                                        : Tensor::zeros(DataType::float64, scale.dims());
  int64_t inner = 1;
  if (scale.size() > 1) {
    const Attribute* given = node.attributes().find("axis");
    const int64_t axis = given ? std::get<int64_t>(given->value) : 1;
    for (int i = static_cast<int>(axis < 0 ? axis + q.rank() : axis) + 1; i < q.rank(); ++i)
      inner *= q.dim(i);
  }
  Tensor out(DataType::float64, q.dims());
  for (int64_t i = 0; i < q.size(); ++i) {
    const int64_t c = scale.size() > 1 ? i / inner % scale.size() : 0;
    out.mutable_data<double>()[i] = (q.data<double>()[i] - zero.data<double>()[c]) * scale.data<double>()[c];
  }
  return out;
}

void become_constant(Node& node, Tensor value) {
  Graph& graph = *node.graph();
  Value* made = graph.add_initializer(graph.fresh_name(node.output(0)->name()), std::move(value));
  graph.replace_all_uses(node.output(0), made);
  graph.remove_node(&node);
}

void convert_attributes(Graph& graph, Node& node) {
  if (node.is("Constant") && becomes_double(*node.output(0))) {
    const std::vector<Tensor> value = evaluate_node(node, {});
    if (!is_foldable_type(value[0].type())) return;
    for (const char* name : {"value_float", "value_floats"}) graph.remove_attribute(&node, name);
    Attribute a;
    a.name = "value", a.value = cast_tensor(value[0], DataType::float64);
    graph.set_attribute(&node, std::move(a));
  } else if (node.is("Cast") && is_foldable_type(static_cast<DataType>(AttributeReader(node).i("to")))) {
    Attribute a;
    a.name = "to", a.value = static_cast<int64_t>(DataType::float64);
    graph.set_attribute(&node, std::move(a));
  }
}

void compute_constants(Graph& graph) {
  for (Node* node : graph.topological_order()) {
    std::vector<const Tensor*> ins;
    bool constant = node->num_outputs() == 1;
    for (int i = 0; i < node->num_inputs(); ++i) {
      const Value* v = node->input(i);
      constant = constant && (!v || v->initializer());
      ins.push_back(v ? v->initializer() : nullptr);
    }
    if (!constant) continue;
    become_constant(*node, evaluate_node(*node, ins)[0]);
  }
}

// ---- arithmetic on float64 tensors

template <class F>
Tensor map(const Tensor& a, const F& f) {
  Tensor out(DataType::float64, a.dims());
  for (int64_t i = 0; i < a.size(); ++i) out.mutable_data<double>()[i] = f(a.data<double>()[i]);
  return out;
}
template <class F>
Tensor zip(const Tensor& a, const Tensor& b, const F& f) {
  require(a.dims() == b.dims(), ErrorCode::internal, "dims differ");
  Tensor out(DataType::float64, a.dims());
  for (int64_t i = 0; i < a.size(); ++i)
    out.mutable_data<double>()[i] = f(a.data<double>()[i], b.data<double>()[i]);
  return out;
}
Tensor add(const Tensor& a, const Tensor& b) { return zip(a, b, std::plus<>()); }
Tensor negated(const Tensor& a) { return map(a, std::negate<>()); }
Tensor zeros_like(const Tensor& a) { return Tensor::zeros(DataType::float64, a.dims()); }
Tensor absolute(const Tensor& a) {
  return map(a, [](double v) { return std::abs(v); });
}
Tensor times(const Tensor& a, double f) {
  return map(a, [f](double v) { return f * v; });
}
bool all_zero(const Tensor& a) {
  return std::ranges::all_of(a.values<double>(), [](double v) { return v == 0; });
}
double largest(const Tensor& a) {
  double m = 0;
  for (double v : a.values<double>()) m = std::max(m, v);
  return m;
}

// ---- the walk

bool one_of(const Node& node, std::initializer_list<std::string_view> names) {
  return std::ranges::any_of(names, [&](std::string_view n) { return node.is(n); });
}

bool is_linear(const Node& n) { return one_of(n, {"Conv", "ConvTranspose", "Gemm", "MatMul"}); }
// |f(a) - f(b)| <= |a - b| and f(0) = 0.
bool is_contraction(const Node& n) {
  return one_of(n, {"Relu", "Abs", "Neg", "Tanh", "Clip", "Identity", "Cast", "Dropout"});
}
// Maps magnitudes to magnitudes, and errors to errors, as it stands: what moves elements, averages with
// weights that are not negative, or takes the largest.
bool is_monotone(const Node& n) {
  return one_of(n, {"Add",
                    "Sum",
                    "Max",
                    "Concat",
                    "Split",
                    "Slice",
                    "Transpose",
                    "Reshape",
                    "Flatten",
                    "Squeeze",
                    "Unsqueeze",
                    "Pad",
                    "Resize",
                    "Upsample",
                    "DepthToSpace",
                    "SpaceToDepth",
                    "MaxPool",
                    "AveragePool",
                    "GlobalAveragePool",
                    "GlobalMaxPool",
                    "ReduceMean",
                    "ReduceMax",
                    "ReduceSum",
                    "Expand",
                    "Gather",
                    "Tile"});
}

class Walk {
 public:
  Walk(Extents& extents, const ErrorModel& errors) : extents_(extents), errors_(errors) {}

  void visit(const Node& node) {
    node_ = &node;
    in_.clear();
    for (int i = 0; i < node.num_inputs(); ++i) {
      in_.push_back(node.has_input(i) ? extents_.at(node.input(i)) : Extent{});
    }
    std::vector<Tensor> reach = run(reaches()), error;
    for (Tensor& t : reach) t = floating(t) ? absolute(t) : t;
    if (is_contraction(node)) {
      reach = {in_[0].reach};
      error = {in_[0].error};
    } else if (is_linear(node) || node.is("Mul")) {
      error = bilinear_error();
    } else if (node.is("BatchNormalization")) {
      error = {batch_norm_error(reach[0])};
    } else if (node.is("Sub")) {
      error = absolute_all(run({in_[0].error, negated(in_[1].error)}));
    } else if (node.is("Div")) {
      error = run({in_[0].error, in_[1].reach});
      error[0] = add(error[0], times(reach[0], relative_error(1)));
    } else if (node.is("LeakyRelu")) {
      const double steepest = std::max(1.0, std::abs(static_cast<double>(AttributeReader(node).f("alpha"))));
      reach = {times(in_[0].reach, steepest)};
      error = {times(in_[0].error, steepest)};
    } else if (node.is("PRelu")) {
      reach = {steepest(in_[0].reach)};
      error = {add(steepest(in_[0].error), times(reach[0], relative_error(1)))};
    } else if (node.is("Min")) {
      error = absolute_all(run(all_errors(true)));
    } else if (is_monotone(node)) {
      error = absolute_all(run(all_errors(false)));
    } else {
      fail(ErrorCode::unsupported, "the walk has no rule for {}", describe(node));
    }
    for (int i = 0; i < node.num_outputs(); ++i) {
      if (!node.has_output(i)) continue;
      Extent out{reach[static_cast<size_t>(i)], {}, degree()};
      if (floating(out.reach)) {
        out.error = error[static_cast<size_t>(i)];
        if (errors_.of_node) {
          const Off off = errors_.of_node(node, in_);
          out.error = zip(out.error, out.reach,
                          [&](double e, double r) { return e + off.absolute + off.relative * r; });
        }
      }
      extents_[node.output(i)] = std::move(out);
    }
  }

 private:
  static bool floating(const Tensor& t) { return t.type() == DataType::float64; }
  static std::vector<Tensor> absolute_all(std::vector<Tensor> all) {
    for (Tensor& t : all) t = floating(t) ? absolute(t) : t;
    return all;
  }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) const {
    std::vector<const Tensor*> pointers;
    for (const Tensor& t : inputs) pointers.push_back(t.defined() ? &t : nullptr);
    return evaluate_node(*node_, pointers);
  }

  // Gemm's factors may be negative.
  std::vector<Tensor> with_gemm_signs(std::vector<Tensor> inputs) const {
    if (!node_->is("Gemm")) return inputs;
    const AttributeReader attributes(*node_);
    if (attributes.f("alpha") < 0) inputs[0] = negated(inputs[0]);
    if (attributes.f("beta") < 0 && inputs.size() > 2 && inputs[2].defined()) inputs[2] = negated(inputs[2]);
    return inputs;
  }

  // The inputs with which the operator computes its reach.
  std::vector<Tensor> reaches() const {
    std::vector<Tensor> r;
    for (const Extent& e : in_) r.push_back(e.reach);
    if (node_->is("Sub")) r[1] = negated(r[1]);
    if (node_->is("Min")) std::ranges::transform(r, r.begin(), negated);  // -min(-a, -b) = max(a, b)
    if (node_->is("BatchNormalization")) {
      r[3] = negated(r[3]);                    // (x + |mean|) |s| + |bias|
      r[4] = *node_->input(4)->initializer();  // it divides
    }
    return with_gemm_signs(std::move(r));
  }

  std::vector<Tensor> all_errors(bool negative) const {
    std::vector<Tensor> r;
    for (size_t i = 0; i < in_.size(); ++i) {
      const Tensor& t = floating(in_[i].reach) ? in_[i].error : in_[i].reach;
      r.push_back(negative ? negated(t) : t);
    }
    return r;
  }

  // ea*b + a*eb + ea*eb, and the bias's.
  std::vector<Tensor> bilinear_error() const {
    std::vector<Tensor> first = {in_[0].error, in_[1].reach};
    if (in_.size() > 2 && in_[2].reach.defined()) first.push_back(in_[2].error);
    Tensor sum = absolute(run(with_gemm_signs(first))[0]);
    if (!all_zero(in_[1].error)) {
      std::vector<Tensor> second = {add(in_[0].reach, in_[0].error), in_[1].error};
      if (first.size() > 2) second.push_back(zeros_like(first[2]));  // Gemm had to have one
      sum = add(sum, absolute(run(with_gemm_signs(second))[0]));
    }
    return {sum};
  }

  double relative_error(size_t input) const {
    double r = 0;
    const auto& e = in_[input];
    for (int64_t i = 0; i < e.reach.size(); ++i) {
      if (e.error.data<double>()[i] > 0)
        r = std::max(r, e.error.data<double>()[i] / e.reach.data<double>()[i]);
    }
    return r;
  }

  // Factor, mean and root are off each; the input's error passes by the factor.
  Tensor batch_norm_error(const Tensor& reach) const {
    double relative = 0;
    for (size_t i = 1; i < 5; ++i) relative += relative_error(i);
    const Tensor none = zeros_like(in_[1].reach);
    const Tensor passed = run({in_[0].error, in_[1].reach, none, none, *node_->input(4)->initializer()})[0];
    return add(absolute(passed), times(reach, relative));
  }

  Tensor steepest(const Tensor& x) const {
    return zip(x, absolute(run({negated(x), in_[1].reach})[0]),
               [](double a, double b) { return std::max(a, b); });
  }

  int degree() const {
    int d = 1;
    for (const Extent& e : in_) d = std::max(d, e.degree);
    if (node_->is("Mul") || is_linear(*node_)) {
      d = std::max(1, in_[0].degree + in_[1].degree);  // constants have none
    }
    return d;
  }

  Extents& extents_;
  const ErrorModel& errors_;
  const Node* node_ = nullptr;
  std::vector<Extent> in_;
};

// ---- comparing

// Rules that make no constant, or only move the elements of one.
bool rounds(const std::string& rule) { return rule != "inline_constant" && !rule.starts_with("remove_"); }

// A rewrite rounds weights, biases and what stays beside the operator once each; a value passes a weight or
// its bias, what was put before, and what was put behind: three at most.
int64_t roundings(const OptimizeReport& report) {
  int64_t n = 0;
  for (const auto& [rule, count] : report.rules) n += rounds(rule) ? 3 * count : 0;
  return n;
}

// The largest sum of |w| over what one output channel reads.
double heaviest_row(const Node& node, const Tensor& w) {
  const Dims& d = w.dims();
  std::vector<double> sums;
  const auto channel = [&](int64_t i) -> int64_t {
    if (node.is("Conv")) return i / (w.size() / d[0]);
    if (node.is("ConvTranspose")) {
      const int64_t kernel = w.size() / (d[0] * d[1]), groups = AttributeReader(node).i("group");
      return i / (kernel * d[1]) / (d[0] / groups) * d[1] + i / kernel % d[1];
    }
    const bool rows = node.is("Gemm") && AttributeReader(node).i("transB") != 0;
    return rows ? i / d[1] : i % d.back();
  };
  for (int64_t i = 0; i < w.size(); ++i) {
    const auto c = static_cast<size_t>(channel(i));
    if (sums.size() <= c) sums.resize(c + 1, 0);
    sums[c] += w.data<double>()[i];
  }
  double heaviest = 0;
  for (double s : sums) heaviest = std::max(heaviest, s);
  return heaviest * (node.is("Gemm") ? std::abs(static_cast<double>(AttributeReader(node).f("alpha"))) : 1);
}

// Y of docs/passes.md: what the operator's outputs reach for inputs as large as the largest of this one.
double reach_of_operator(const Node& node, const std::vector<Extent>& inputs) {
  const double bias = inputs.size() > 2 && inputs[2].reach.defined() ? largest(inputs[2].reach) : 0;
  const double beta = node.is("Gemm") ? std::abs(static_cast<double>(AttributeReader(node).f("beta"))) : 1;
  return largest(inputs[0].reach) * heaviest_row(node, inputs[1].reach) + beta * bias;
}

// The error bound that each absorber has, by its name; nothing when the report cannot be held to it: an
// absorber took in two, or a bound is missing.
std::optional<std::unordered_map<std::string, double>> reported_bounds(const OptimizeReport& report) {
  std::unordered_map<std::string, double> bounds;
  for (const BatchNormVerdict& v : report.batch_norms) {
    if (!v.folded) continue;
    if (!v.error_bound) return std::nullopt;
    for (const std::string& name : v.into) {
      if (!bounds.emplace(name, *v.error_bound).second) return std::nullopt;
    }
  }
  return bounds;
}

std::string name_of(const Node& n) { return n.name.empty() ? n.output(0)->name() : n.name; }

// Whatever holds the very same elements is not new.
class NewConstants {
 public:
  explicit NewConstants(const Graph& before) {
    for (const Value* v : before.initializers()) old_.insert(bytes_of_tensor(*v->initializer()));
  }
  bool contains(const Value& v) {
    auto [it, fresh] = known_.try_emplace(&v, false);
    if (fresh) it->second = !old_.contains(bytes_of_tensor(*v.initializer()));
    return it->second;
  }

 private:
  static std::string bytes_of_tensor(const Tensor& t) {
    return {static_cast<const char*>(t.raw()), t.bytes()};
  }
  std::set<std::string> old_;
  std::unordered_map<const Value*, bool> known_;
};

// The first output element that is further off than allowed; `worst` becomes the largest ratio.
std::string beyond(const std::vector<Tensor>& expected, const std::vector<Tensor>& actual,
                   const std::vector<Tensor>& allowed, double& worst, const char* what) {
  for (size_t o = 0; o < expected.size(); ++o) {
    if (expected[o].dims() != actual[o].dims()) return fmt::format("{}: output {} has other dims", what, o);
    for (int64_t i = 0; i < expected[o].size(); ++i) {
      const double e = expected[o].data<double>()[i], a = actual[o].data<double>()[i],
                   t = allowed[o].data<double>()[i];
      if (!std::isfinite(e)) return fmt::format("{}: the test's own model gives {}", what, e);
      const double off = std::abs(e - a);
      if (!(off <= t)) {
        return fmt::format("{}: output {} element {}: {} became {}, off by {:g}, allowed {:g}", what, o, i, e,
                           a, off, t);
      }
      if (t > 0) worst = std::max(worst, off / t);
    }
  }
  return {};
}

std::vector<Tensor> errors_of(const Graph& graph, const Extents& extents) {
  std::vector<Tensor> out;
  for (const Value* v : graph.outputs()) out.push_back(extents.at(v).error);
  return out;
}

std::vector<Tensor> sum_of(std::vector<Tensor> a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) a[i] = add(a[i], b[i]);
  return a;
}

ErrorModel run_time_errors(DataType type) {
  ErrorModel m;
  m.of_node = [type](const Node& n, const std::vector<Extent>& in) {
    return Off{0, run_time_roundoff(n, type, in)};
  };
  return m;
}

// Below its smallest normal number a type rounds by an absolute amount, or the optimizer to zero: half of the
// smallest subnormal for float16, which keeps them, the smallest normal number for the others.
double underflow_of(DataType type) {
  return type == DataType::float16 ? 0x1p-25 : type == DataType::float64 ? 0x1p-1022 : 0x1p-126;
}

}  // namespace

std::unique_ptr<ModelGraph> inlined(const ModelGraph& model, const std::string& branch) {
  auto copy = model.clone();
  for (Node* node : copy->graph.nodes()) {
    if (node->is("If")) {
      inline_body(*node, *std::get<GraphPtr>(node->attributes().find(branch)->value), {});
    } else if (const Function* f = copy->find_function(node->domain(), node->op_type(), node->overload)) {
      ValueMap arguments;
      for (size_t i = 0; i < f->graph.inputs().size(); ++i)
        arguments[f->graph.inputs()[i]] = node->input(static_cast<int>(i));
      inline_body(*node, f->graph, std::move(arguments));
    }
  }
  return copy;
}

std::unique_ptr<ModelGraph> in_double(const ModelGraph& model) {
  auto copy = model.clone();
  Graph& graph = copy->graph;
  for (Node* node : graph.nodes()) {  // first: what it reads must still be of its own type
    if (node->is("DequantizeLinear")) become_constant(*node, product_of(*node));
  }
  for (Node* node : graph.nodes()) convert_attributes(graph, *node);
  for (Value* v : graph.values()) {
    if (!becomes_double(*v)) continue;
    Type type = v->type();
    if (type.is_tensor() && is_foldable_type(type.element)) {
      type.element = DataType::float64;
      graph.set_type(v, type);
    }
    if (v->initializer() && is_foldable_type(v->initializer()->type()))
      graph.set_initializer(v, cast_tensor(*v->initializer(), DataType::float64));
  }
  compute_constants(graph);
  return copy;
}

std::unique_ptr<ModelGraph> dequantized(const ModelGraph& model) {
  auto copy = model.clone();
  for (Node* node : copy->graph.nodes()) {
    if (node->is("DequantizeLinear"))
      become_constant(*node, cast_tensor(product_of(*node), node->input(1)->constant()->type()));
  }
  return copy;
}

NamedTensors in_double(const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, t] : tensors)
    out[name] = is_foldable_type(t.type()) ? cast_tensor(t, DataType::float64) : t;
  return out;
}

Extents walk(const ModelGraph& model, const NamedTensors& inputs, const ErrorModel& errors) {
  Extents extents;
  for (const Value* v : model.graph.values()) {
    if (v->producer()) continue;
    const auto given = inputs.find(v->name());
    const bool constant = !(v->is_graph_input() && given != inputs.end());
    const Tensor t = constant ? *v->initializer() : given->second;
    if (t.type() != DataType::float64) {
      extents[v] = {t, {}, 0};
      continue;
    }
    Extent e{absolute(t), zeros_like(t), constant ? 0 : 1};
    if (constant && errors.of_constant) {
      const Off off = errors.of_constant(*v);
      e.error = map(e.reach, [&](double m) { return off.absolute + off.relative * m; });
    }
    extents[v] = std::move(e);
  }
  Walk walk(extents, errors);
  for (const Node* node : model.graph.topological_order()) walk.visit(*node);
  return extents;
}

double unit_roundoff(DataType type) {
  switch (type) {
    case DataType::float64:
      return 0x1p-53;
    case DataType::float16:
      return 0x1p-11;
    case DataType::bfloat16:
      return 0x1p-8;
    default:
      return 0x1p-24;
  }
}

// A sum of n terms in any order is off by at most n u relative to the sum of their magnitudes (Higham,
// Accuracy and Stability of Numerical Algorithms, 4.2), a product by u. 16-bit types compute in float32 and
// round the result.
double run_time_roundoff(const Node& node, DataType type, const std::vector<Extent>& inputs) {
  double terms = 4;
  const auto size = [&](size_t i) { return static_cast<double>(inputs[i].reach.size()); };
  if (node.is("Conv")) {
    terms += 2 + size(1) / static_cast<double>(inputs[1].reach.dim(0));
  } else if (node.is("ConvTranspose")) {
    terms += 2 + size(1) / static_cast<double>(inputs[1].reach.dim(1));
  } else if (node.is("Gemm") || node.is("MatMul")) {
    const Dims& d = inputs[1].reach.dims();
    terms += 4 + static_cast<double>(node.is("Gemm") ? std::max(d[0], d[1]) : inputs[0].reach.dim(-1));
  } else if (node.is("AveragePool")) {
    double window = 1;
    for (int64_t k : AttributeReader(node).ints("kernel_shape")) window *= static_cast<double>(k);
    terms += window;
  } else if (one_of(node, {"GlobalAveragePool", "ReduceMean", "ReduceSum"})) {
    terms += size(0);
  } else if (one_of(node, {"Resize", "Upsample"})) {
    terms += 16;
  } else if (node.is("Sum")) {
    terms += static_cast<double>(inputs.size());
  }
  const bool half = type == DataType::float16 || type == DataType::bfloat16;
  const double compute = type == DataType::float64 ? 0x1p-53 : 0x1p-24;
  return std::expm1((terms + 2) * compute + (half ? 2 * unit_roundoff(type) : 0));
}

Seen compare(const ModelGraph& before, const ModelGraph& after, const OptimizeReport& report,
             const NamedTensors& inputs, DataType type, bool only_batch_norms) {
  Seen seen;
  const auto b = in_double(before), a = in_double(after);
  const NamedTensors x = in_double(inputs);
  const std::vector<Tensor> exact = evaluate_graph(b->graph, x), folded = evaluate_graph(a->graph, x);
  if (exact.size() != folded.size()) return {0, false, "the number of outputs changed"};

  // In double: the constants, and what double arithmetic does on both sides.
  const double u = unit_roundoff(type);
  const Extents extents = walk(*b, x, run_time_errors(DataType::float64));
  ErrorModel underflow = run_time_errors(DataType::float64);
  NewConstants fresh(b->graph);
  // No affine of the tests has a factor above 2^10 between one rounding and the next.
  const double floor = 0x1p10 * static_cast<double>(roundings(report)) * underflow_of(type);
  underflow.of_constant = [&](const Value& v) { return Off{fresh.contains(v) ? floor : 0, 0}; };
  const Extents after_extents = walk(*a, x, underflow);
  const std::vector<Tensor> arithmetic =
      sum_of(errors_of(b->graph, extents), errors_of(a->graph, after_extents));
  std::vector<Tensor> allowed = arithmetic;
  for (size_t o = 0; o < allowed.size(); ++o) {
    const Extent& e = extents.at(b->graph.outputs()[o]);
    const double relative =
        std::expm1(static_cast<double>(roundings(report) * std::max(1, e.degree)) * 1.01 * u);
    allowed[o] = add(allowed[o], times(e.reach, relative));
  }
  seen.failure = beyond(exact, folded, allowed, seen.worst, "in double");
  if (!seen.failure.empty()) return seen;

  // The reported bounds: each absorber is off by its bound, relative to what it reaches; what else is new is
  // rounded once.
  if (const auto bounds = reported_bounds(report); only_batch_norms && bounds) {
    ErrorModel reported = run_time_errors(DataType::float64);
    const auto absorbed_by = [&](const Node& n) {
      const auto it = bounds->find(name_of(n));
      return it != bounds->end() ? it->second : 0;
    };
    reported.of_constant = [&](const Value& v) {
      if (!fresh.contains(v)) return Off{};
      for (const Use& use : v.uses()) {
        if (is_linear(*use.node) && absorbed_by(*use.node) > 0) return Off{};
      }
      return Off{underflow_of(type), u};
    };
    reported.of_node = [&](const Node& n, const std::vector<Extent>& in) {
      const double bound = is_linear(n) ? absorbed_by(n) : 0;
      return Off{bound > 0 ? bound * reach_of_operator(n, in) : 0,
                 run_time_roundoff(n, DataType::float64, in)};
    };
    seen.reported = true;
    const std::vector<Tensor> within = sum_of(errors_of(a->graph, walk(*a, x, reported)), arithmetic);
    seen.failure = beyond(exact, folded, within, seen.worst, "against the reported bounds");
    if (!seen.failure.empty()) return seen;
  }

  // In its own type, when that can hold what the model computes.
  for (const auto& [value, e] : extents) {
    if (e.reach.type() == DataType::float64 && type == DataType::float16 && largest(e.reach) > 3e4)
      return seen;
  }
  ErrorModel running = run_time_errors(type);
  const auto plain = running.of_node;
  running.of_node = [&](const Node& n, const std::vector<Extent>& in) {
    return Off{underflow_of(type), plain(n, in).relative};
  };
  std::vector<Tensor> actual = evaluate_graph(dequantized(after)->graph, inputs);
  for (size_t i = 0; i < actual.size(); ++i) {
    if (actual[i].type() != type)
      return {seen.worst, seen.reported, fmt::format("output {} has another type", i)};
    actual[i] = cast_tensor(actual[i], DataType::float64);
  }
  // What the run computes from constants (DequantizeLinear) is rounded then; four operations at most in the
  // tests.
  running.of_constant = [&](const Value& v) {
    const Value* original = after.graph.find(v.name());
    return Off{0, original && original->initializer() ? 0 : 4 * u};
  };
  const std::vector<Tensor> whole = sum_of(allowed, errors_of(a->graph, walk(*a, x, running)));
  seen.failure = beyond(exact, actual, whole, seen.worst, "in its own type");
  return seen;
}

}  // namespace plica::testing
