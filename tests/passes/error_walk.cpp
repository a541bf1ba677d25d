#include "tests/passes/error_walk.h"

#include "tests/passes/double_arithmetic.h"

namespace plica::testing {
namespace {

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
      error = {add(steepest(in_[0].error), times(in_[0].reach, largest(in_[1].error)))};
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
      if (e.error.data<double>()[i] > 0 && e.reach.data<double>()[i] > 0)
        r = std::max(r, e.error.data<double>()[i] / e.reach.data<double>()[i]);
    }
    return r;
  }

  // (x - mean) s / root + bias, where each is off.
  Tensor batch_norm_error(const Tensor& reach) const {
    const Tensor none = zeros_like(in_[1].reach), variance = *node_->input(4)->initializer();
    Tensor sum =
        absolute(run({in_[0].error, in_[1].reach, in_[2].error, negated(in_[3].error), variance})[0]);
    if (!all_zero(in_[1].error))
      sum = add(sum, absolute(run({in_[0].reach, in_[1].error, none, negated(in_[3].reach), variance})[0]));
    return all_zero(in_[4].error) ? sum : add(sum, times(reach, relative_error(4)));
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

}  // namespace

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

}  // namespace plica::testing
