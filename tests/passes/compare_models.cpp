#include "tests/passes/compare_models.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>
#include <set>

#include "engine/ops/cast.h"
#include "tests/passes/double_arithmetic.h"

namespace plica::testing {
namespace {

bool is_linear(const Node& n) {
  return n.is("Conv") || n.is("ConvTranspose") || n.is("Gemm") || n.is("MatMul");
}

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
