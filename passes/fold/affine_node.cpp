#include "passes/fold/affine_node.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"
#include "passes/fold/health.h"

namespace plica {
namespace {

constexpr double kUnit = std::numeric_limits<double>::epsilon() / 2;  // of rounding in double

// Longer chains become short ones first: looking at a chain from each of its nodes stays cheap.
constexpr size_t kLongestChain = 64;
// Of which one is looked for that tells a rank.
constexpr size_t kMostReaders = 64;

// Of input 0. In a model function, whose inputs have no types, a convolution that reads the node tells.
int rank_of_input(const Node& node, const RuleContext& context) {
  const int rank = context.facts.rank_of(node.input(0));
  if (rank >= 0) return rank;
  const auto readers = node.output(0)->uses();
  for (const Use& use : readers.first(std::min(readers.size(), kMostReaders))) {
    if ((use.node->is("Conv") || use.node->is("ConvTranspose")) && use.index == 0 && use.node->has_input(1))
      return context.facts.rank_of(use.node->input(1));
  }
  return -1;
}

// BN(x) = (x - mean) / sqrt(var + epsilon) * scale + bias                       (ONNX, BatchNormalization)
//       = s * x + t,   s = scale / sqrt(var + epsilon),   t = bias - mean * s
std::variant<Affine, Skip> batch_norm_affine(const Node& node, const RuleContext& context) {
  if (has_attribute_references(node)) {
    return Skip{"its attributes are parameters of the model function",
                "inline the function before optimizing", &node};
  }
  const AttributeReader attributes(node);
  if (auto training = training_mode(node)) return Skip{training->reason, training->fix, &node};

  constexpr std::array<std::string_view, 4> kRoles = {"scale", "bias", "mean", "variance"};
  std::array<std::vector<double>, 4> parameters;
  Dims dims;
  for (size_t i = 0; i < kRoles.size(); ++i) {
    auto constant = constant_input(node, static_cast<int>(i) + 1, kRoles[i], context);
    if (auto* skip = std::get_if<Skip>(&constant)) return *std::move(skip);
    const Tensor& tensor = std::get<Constant>(constant).tensor;
    if (!is_foldable_type(tensor.type())) {
      return Skip{fmt::format("its {} is of type {}", kRoles[i], to_string(tensor.type())), "", &node};
    }
    if (i == 0) dims = tensor.dims();
    if (tensor.dims() != dims || tensor.size() == 0) {
      return Skip{fmt::format("its {} and its scale have shapes {} and {}", kRoles[i],
                              to_string(tensor.dims()), to_string(dims)),
                  "", &node};
    }
    parameters[i] = to_doubles(tensor);
  }
  const int rank = rank_of_input(node, context);
  if (rank < 0) {
    return Skip{"the rank of its input is not known",
                "give the model's inputs shapes, or run shape inference", node.input(0)->producer()};
  }
  // One value for each channel, axis 1; or, with spatial = 0 up to opset 8, for each activation: all axes but
  // the first.
  if (dims.size() == 1) dims.resize(static_cast<size_t>(std::max(rank - 1, 1)), 1);
  if (rank < 2 || static_cast<int>(dims.size()) != rank - 1) {
    return Skip{fmt::format("its parameters have shape {}, its input rank {}",
                            to_string(node.input(1)->type().shape.value_or(Shape(dims))), rank),
                "", &node};
  }
  if (const auto& shape = context.facts.of(node.input(0)).type.shape) {
    for (int i = 1; i < rank; ++i) {
      const int64_t own = dims[static_cast<size_t>(i - 1)];
      const Dim& size = (*shape)[i];
      if (own == 1 || !size.is_known() || size.value() == own) continue;
      return Skip{
          fmt::format("its parameters have shape {}, its input {}", to_string(dims), to_string(*shape)), "",
          &node};
    }
  }
  const auto& [scale, bias, mean, variance] = parameters;

  const double epsilon = static_cast<double>(attributes.f("epsilon"));
  Affine affine;
  affine.dims = std::move(dims);
  for (size_t c = 0; c < scale.size(); ++c) {
    const double sum = variance[c] + epsilon;
    if (!(sum > 0) || !std::isfinite(sum)) {
      return Skip{fmt::format("variance + epsilon is {:g} in channel {} (variance {:g}, epsilon {:g}), which "
                              "has no square root to divide by",
                              sum, c, variance[c], epsilon),
                  "the running statistics are wrong: train or recalibrate the model", &node};
    }
    const double s = scale[c] / std::sqrt(sum);
    const double t = bias[c] - mean[c] * s;
    if (!std::isfinite(s) || !std::isfinite(t)) {
      return Skip{fmt::format("its factor or offset is not finite in channel {} (scale {:g}, bias {:g}, mean "
                              "{:g}, variance {:g})",
                              c, scale[c], bias[c], mean[c], variance[c]),
                  "the parameters are wrong: train or recalibrate the model", &node};
    }
    affine.scale.push_back(s);
    affine.shift.push_back(t);
    // s is right to 3 roundings, mean * s to 4, the difference adds one of its own.
    affine.shift_error.push_back(kUnit * (4 * std::abs(mean[c] * s) + std::abs(t)));
  }
  return simplest(std::move(affine));
}

// The dims of the constant as they align with the operand's last axes; nothing when it surely broadcasts the
// operand to a larger shape. `keeps_shape`: it surely does not.
std::optional<Dims> aligned_dims(const Node& node, int operand, const Tensor& constant,
                                 const RuleContext& context, bool& keeps_shape) {
  const auto& shape = context.facts.of(node.input(operand)).type.shape;
  Dims dims = constant.dims();
  if (node.opset() < 7) {
    // Only the second input is broadcast, and only when asked to; `axis` says where it starts.
    const AttributeReader attributes(node);
    if (operand != 0) return std::nullopt;
    if (attributes.i("broadcast") != 0) {
      if (const auto axis = attributes.maybe_i("axis")) {
        if (!shape) return std::nullopt;
        const int64_t first = *axis < 0 ? *axis + shape->rank() : *axis;
        const int64_t behind = shape->rank() - first - constant.rank();
        if (first < 0 || behind < 0) return std::nullopt;
        dims.resize(dims.size() + static_cast<size_t>(behind), 1);
      }
    } else if (!shape || shape->rank() != constant.rank()) {
      return std::nullopt;
    }
  }
  const auto rank = static_cast<int>(dims.size());
  if (shape ? rank > shape->rank() : rank > 1) return std::nullopt;
  for (int i = 0; i < rank; ++i) {
    const Dim d = shape ? (*shape)[shape->rank() - rank + i] : Dim();
    const int64_t extent = dims[static_cast<size_t>(i)];
    if (extent == 1) continue;
    if (d.is_known() && d.value() != extent) return std::nullopt;
    keeps_shape &= d.is_known();
  }
  return dims;
}

// Whether the simpler map does not broadcast what the other does, which matters where a size is not known.
bool loses_extent(const Affine& affine, const Affine& simple) {
  for (int i = 0; i < affine.rank(); ++i) {
    if (affine.dims[static_cast<size_t>(i)] != 1 && simple.extent(i, affine.rank()) == 1) return true;
  }
  return false;
}

std::optional<Affine> arithmetic_affine(const Node& node, int operand, const RuleContext& context,
                                        bool& keeps_shape) {
  const bool add = node.is("Add"), sub = node.is("Sub"), mul = node.is("Mul"), div = node.is("Div");
  if (div && operand != 0) return std::nullopt;
  auto constant = constant_input(node, 1 - operand, "constant", context);
  if (std::holds_alternative<Skip>(constant)) return std::nullopt;
  const Tensor& tensor = std::get<Constant>(constant).tensor;
  if (!is_foldable_type(tensor.type()) || tensor.size() == 0 || tensor.size() > kMostFactors)
    return std::nullopt;
  auto dims = aligned_dims(node, operand, tensor, context, keeps_shape);
  if (!dims) return std::nullopt;

  Affine affine;
  affine.dims = *std::move(dims);
  for (double v : to_doubles(tensor)) {
    // operand + v, operand - v or v - operand, operand * v, operand / v
    affine.scale.push_back(mul ? v : div ? 1 / v : sub && operand == 1 ? -1.0 : 1.0);
    affine.shift.push_back(add ? v : sub ? (operand == 1 ? v : -v) : 0.0);
  }
  affine.shift_error.assign(affine.size(), 0.0);
  if (!affine.is_finite() || ((add || sub) && rounds_sums(tensor))) return std::nullopt;
  Affine simple = simplest(affine);
  if (!keeps_shape && loses_extent(affine, simple)) return std::nullopt;
  return simple;
}

// The only node that reads the value, when it is one of its own graph.
const Node* only_reader(const Value& value) {
  return value.has_single_use() ? value.uses()[0].node : nullptr;
}

}  // namespace

bool rounds_sums(const Tensor& offset) {
  if (!is_foldable_type(offset.type())) return false;
  const int digits = offset.type() == DataType::float64   ? 53
                     : offset.type() == DataType::float32 ? 24
                     : offset.type() == DataType::float16 ? 11
                                                          : 8;
  const double large = std::ldexp(1.0, digits - 2);
  return std::ranges::any_of(to_doubles(offset), [large](double t) { return std::abs(t) >= large; });
}

std::variant<NoMatch, Skip, AffineNode> read_affine_node(const Node& node, const RuleContext& context) {
  if (!node.has_output(0)) return NoMatch{};
  // A node is what a patch edits: rules see it const, and only say what is to be done.
  AffineNode found{.node = const_cast<Node*>(&node)};
  if (node.is("BatchNormalization")) {
    if (!node.has_input(0)) return NoMatch{};
    auto affine = batch_norm_affine(node, context);
    if (auto* skip = std::get_if<Skip>(&affine)) return *std::move(skip);
    found.affine = std::get<Affine>(std::move(affine));
    return found;
  }
  // What depends on constants alone is for constant folding.
  const auto is_constant = [&](int i) {
    return std::holds_alternative<Constant>(constant_input(node, i, "operand", context));
  };
  if (node.is("Neg")) {
    if (!node.has_input(0) || !is_foldable_type(context.facts.of(node.output(0)).type.element) ||
        is_constant(0))
      return NoMatch{};
    found.affine = uniform_affine(-1, 0);
    return found;
  }
  const bool arithmetic = node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Div");
  if (!arithmetic || node.num_inputs() != 2 || !node.has_input(0) || !node.has_input(1) ||
      has_attribute_references(node)) {
    return NoMatch{};
  }
  for (const int operand : {0, 1}) {
    found.keeps_shape = true;
    auto affine = arithmetic_affine(node, operand, context, found.keeps_shape);
    if (!affine) continue;
    if (is_constant(operand)) break;
    found.operand = operand;
    found.affine = *std::move(affine);
    return found;
  }
  return NoMatch{};
}

bool AffineChain::has_batch_norm() const {
  return std::ranges::any_of(nodes, [](const AffineNode& n) { return n.node->is("BatchNormalization"); });
}

bool AffineChain::keeps_shape() const {
  return std::ranges::all_of(nodes, [](const AffineNode& n) { return n.keeps_shape; });
}

std::variant<NoMatch, Skip, AffineChain> read_affine_chain(const Node& node, const RuleContext& context) {
  auto found = read_affine_node(node, context);
  if (std::holds_alternative<NoMatch>(found)) return NoMatch{};
  if (auto* skip = std::get_if<Skip>(&found)) return *std::move(skip);
  AffineChain chain;
  chain.nodes.push_back(std::get<AffineNode>(std::move(found)));
  chain.affine = chain.nodes[0].affine;
  const auto is_kept = [&](const Node& n) { return context.kept.contains(&n); };
  if (is_kept(node)) return chain;
  const auto join = [&chain](const AffineNode& more, bool outside) -> std::optional<Affine> {
    auto both = outside ? compose(more.affine, chain.affine) : compose(chain.affine, more.affine);
    if (!both || !both->is_finite()) return std::nullopt;
    if (!(chain.keeps_shape() && more.keeps_shape) && loses_extent(*both, simplest(*both)))
      return std::nullopt;
    return both;
  };
  while (chain.nodes.size() < kLongestChain) {
    const Value& value = *chain.input();
    const Node* before = value.producer();
    if (!before || only_reader(value) != &chain.first() || is_kept(*before)) break;
    auto more = read_affine_node(*before, context);
    auto* affine_node = std::get_if<AffineNode>(&more);
    auto both = affine_node ? join(*affine_node, false) : std::nullopt;
    if (!both) break;
    chain.affine = *std::move(both);
    chain.nodes.insert(chain.nodes.begin(), std::move(*affine_node));
  }
  while (chain.nodes.size() < kLongestChain) {
    const Node* after = only_reader(*chain.output());
    if (!after || is_kept(*after)) break;
    auto more = read_affine_node(*after, context);
    auto* affine_node = std::get_if<AffineNode>(&more);
    if (!affine_node || affine_node->input() != chain.output()) break;
    auto both = join(*affine_node, true);
    if (!both) break;
    chain.affine = *std::move(both);
    chain.nodes.push_back(std::move(*affine_node));
  }
  chain.affine = simplest(std::move(chain.affine));
  return chain;
}

}  // namespace plica
