#include "passes/fold/carry.h"

#include <algorithm>
#include <array>
#include <functional>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/node_parameters.h"
#include "passes/constants.h"
#include "passes/fold/affine_node.h"

namespace plica {
namespace {

template <size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& names) {
  return node.domain().empty() && std::ranges::find(names, node.op_type()) != names.end();
}

Skip only_nonnegative(const Node& node, const Affine& affine) {
  const size_t at = *affine.first_negative();
  return {fmt::format("{} lets no negative factor pass, and that of channel {} is {:.3g}", describe(node), at,
                      affine.scale[at]),
          "", &node};
}
Skip no_shift(const Node& node) { return {fmt::format("{} lets no offset pass", describe(node)), "", &node}; }
Skip varies_in_window(const Node& node) {
  return {fmt::format("the factors differ within a window of {}", describe(node)), "", &node};
}

// ---- elementwise, one tensor

// f(s x) = s f(x) for s >= 0. PRelu's slope stays as it is.
constexpr auto kPositivelyHomogeneous =
    std::to_array<std::string_view>({"Relu", "LeakyRelu", "PRelu", "Abs"});

CarryResult carry_homogeneous(const Node& node, const Affine& affine) {
  if (affine.has_shift()) return no_shift(node);
  if (!affine.is_nonnegative()) return only_nonnegative(node, affine);
  return Carried{{{0, affine}}, {}};
}

// ---- windows and reductions

// max(s x + t) = s max(x) + t, and min too, for s >= 0 and factors that are the same within the window. The
// elements that MaxPool pads with never win.
constexpr auto kMaximum =
    std::to_array<std::string_view>({"MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin"});
// |s x|_p = s |x|_p for s >= 0.
constexpr auto kNorm = std::to_array<std::string_view>({"LpPool", "GlobalLpPool", "ReduceL1", "ReduceL2"});
// mean(s x + t) = s mean(x) + t.
constexpr auto kMean = std::to_array<std::string_view>({"AveragePool", "GlobalAveragePool", "ReduceMean"});
constexpr auto kSum = std::to_array<std::string_view>({"ReduceSum"});

// Whether every element that is averaged is one of the input.
bool averages_input_only(const Node& node) {
  if (!node.is("AveragePool")) return true;
  const AttributeReader attributes(node);
  // Up to opset 6 there is no such attribute, and pads never count.
  if (!attributes.has("count_include_pad") || attributes.i("count_include_pad") == 0) return true;
  const auto pads = attributes.maybe_ints("pads");
  const bool padded = pads && std::ranges::any_of(*pads, [](int64_t p) { return p != 0; });
  const bool hangs_over = attributes.has("ceil_mode") && attributes.i("ceil_mode") != 0;
  return !padded && !hangs_over && !attributes.s("auto_pad").starts_with("SAME");
}

bool is_pool(const Node& node) { return node.op_type().ends_with("Pool"); }

// By axis of the input: is it one of those that are reduced or pooled? nullopt: not known.
std::optional<std::vector<bool>> window_axes(const Node& node, const RuleContext& context) {
  const int rank = context.facts.rank_of(node.input(0));
  if (rank < 0) return std::nullopt;
  if (is_pool(node)) {
    std::vector<bool> axes(static_cast<size_t>(rank), true);
    for (int i = 0; i < std::min(rank, 2); ++i) axes[static_cast<size_t>(i)] = false;
    return axes;
  }
  return reduced_axes(infer_context(node, context));
}

// The affine on the other side of a pool or reduction. `keeps_axes`: reduced axes stay, of size 1.
std::optional<Affine> across_window(const Affine& affine, const std::vector<bool>& window, bool keeps_axes,
                                    bool backward) {
  const auto rank = static_cast<int>(window.size());
  Affine out = affine;
  if (keeps_axes) {
    if (affine.rank() > rank) return std::nullopt;
    for (int axis = 0; axis < rank; ++axis) {
      if (window[static_cast<size_t>(axis)] && affine.varies(axis, rank)) return std::nullopt;
    }
    return out;
  }
  const auto out_rank = static_cast<int>(std::ranges::count(window, false));
  if (affine.rank() > (backward ? out_rank : rank)) return std::nullopt;
  const Dims extents = affine.extents(backward ? out_rank : rank);
  out.dims.clear();
  size_t next = 0;
  for (int axis = 0; axis < rank; ++axis) {
    const bool reduced = window[static_cast<size_t>(axis)];
    if (backward) {
      out.dims.push_back(reduced ? 1 : extents[next++]);
    } else if (!reduced) {
      out.dims.push_back(extents[static_cast<size_t>(axis)]);
    } else if (extents[static_cast<size_t>(axis)] != 1) {
      return std::nullopt;
    }
  }
  return out;
}

CarryResult carry_window(const Node& node, const Affine& affine, bool backward, const RuleContext& context) {
  const bool norm = is_one_of(node, kNorm), sum = is_one_of(node, kSum);
  if ((is_one_of(node, kMaximum) || norm) && !affine.is_nonnegative()) return only_nonnegative(node, affine);
  if ((norm || sum || !averages_input_only(node)) && affine.has_shift()) return no_shift(node);
  if (node.num_outputs() > 1 && node.has_output(1) && node.output(1)->has_uses())
    return Skip{fmt::format("the indices that {} gives are used", describe(node)), "", &node};
  const auto window = window_axes(node, context);
  if (!window)
    return Skip{fmt::format("the axes of {} are not known", describe(node)), "give the inputs shapes", &node};
  const bool keeps_axes = is_pool(node) || AttributeReader(node).i("keepdims") != 0;
  auto across = across_window(affine, *window, keeps_axes, backward);
  if (!across) return varies_in_window(node);
  return Carried{{{0, simplest(*std::move(across))}}, {}};
}

// ---- elementwise, several tensors

// max(s x + t, s y + t) = s max(x, y) + t for s >= 0.
constexpr auto kExtremes = std::to_array<std::string_view>({"Max", "Min"});

// Whether the affine applies to the operand without making it larger. What is not known passes: what absorbs
// the affine compares it with its own channels.
bool fits(const Affine& affine, const Value& operand, const RuleContext& context) {
  const auto& shape = context.facts.of(&operand).type.shape;
  if (!shape) return affine.rank() <= 1;
  if (affine.rank() > shape->rank()) return false;
  for (int axis = 0; axis < shape->rank(); ++axis) {
    const int64_t extent = affine.extent(axis, shape->rank());
    const Dim& d = (*shape)[axis];
    if (extent != 1 && d.is_known() && d.value() != extent) return false;
  }
  return true;
}

Skip broadcasts(const Node& node) {
  return {fmt::format("{} broadcasts an operand along the axis of the factors", describe(node)), "", &node};
}

bool is_constant(const Node& node, int input, const RuleContext& context) {
  return std::holds_alternative<Constant>(constant_input(node, input, "operand", context));
}

// How well an operand may take an offset or a factor: the smaller the better.
int reluctance(const Node& node, int input, const RuleContext& context) {
  if (is_constant(node, input, context)) return 0;
  const Node* producer = node.input(input)->producer();
  if (!producer || !node.input(input)->has_single_use()) return 4;
  if (producer->is("Conv") || producer->is("ConvTranspose") || producer->is("Gemm")) return 1;
  return is_one_of(*producer, kPositivelyHomogeneous) ? 3 : 2;
}

// Whether the sum is one that rounds its operand.
bool rounds(const Node& node, const RuleContext& context) {
  for (int i = 0; i < node.num_inputs(); ++i) {
    const auto constant = constant_input(node, i, "operand", context);
    if (const auto* c = std::get_if<Constant>(&constant); c && rounds_sums(c->tensor)) return true;
  }
  return false;
}

Skip rounding(const Node& node) {
  return {fmt::format("{} adds a constant so large that it rounds the sum", describe(node)), "", &node};
}

// s (x + y) + t = (s x + t) + s y;  s (x - y) + t = (s x + t) - s y = s x - (s y - t).
CarryResult sum_backward(const Node& node, const Affine& affine, const RuleContext& context) {
  if (rounds(node, context)) return rounding(node);
  std::vector<int> order;
  for (int i = 0; i < node.num_inputs(); ++i) order.push_back(i);
  if (node.is("Add") || node.is("Sum")) {
    std::ranges::stable_sort(order, {}, [&](int i) { return reluctance(node, i, context); });
  }
  Carried carried;
  bool shifted = !affine.has_shift();
  for (const int i : order) {
    const bool constant = is_constant(node, i, context);
    const bool takes_shift = !shifted && (constant || fits(affine.shift_only(), *node.input(i), context));
    Affine part = takes_shift ? affine : affine.scale_only();
    shifted |= takes_shift;
    // ... = s x - (s y - t)
    if (takes_shift && node.is("Sub") && i == 1)
      std::ranges::transform(part.shift, part.shift.begin(), std::negate<>());
    part = simplest(std::move(part));
    if (!constant && !fits(part, *node.input(i), context)) return broadcasts(node);
    if (!part.is_identity()) carried.to.push_back({i, std::move(part)});
  }
  if (!shifted) return broadcasts(node);
  return carried;
}

// s (x y) = (s x) y, into the operand that takes it best.
CarryResult product_backward(const Node& node, const Affine& affine, const RuleContext& context) {
  if (affine.has_shift()) return no_shift(node);
  std::vector<int> order = {0};
  if (node.is("Mul")) {
    order = {0, 1};
    std::ranges::stable_sort(order, {}, [&](int i) { return reluctance(node, i, context); });
  }
  for (const int i : order) {
    if (is_constant(node, i, context) || fits(affine, *node.input(i), context))
      return Carried{{{i, affine}}, {}};
  }
  return broadcasts(node);
}

CarryResult extremes_backward(const Node& node, const Affine& affine, const RuleContext& context) {
  if (!affine.is_nonnegative()) return only_nonnegative(node, affine);
  Carried carried;
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (!is_constant(node, i, context) && !fits(affine, *node.input(i), context)) return broadcasts(node);
    carried.to.push_back({i, affine});
  }
  return carried;
}

// (u + t) + y = (u + y) + t;  x - (u + t) = (x - u) - t.
CarryResult sum_forward(const Node& node, int input, const Affine& affine, const RuleContext& context) {
  if (rounds(node, context)) return rounding(node);
  if (affine.has_scale()) {
    return Skip{fmt::format("{} adds something else, which has not the factor", describe(node)), "", &node};
  }
  Affine out = affine;
  if (node.is("Sub") && input == 1) std::ranges::transform(out.shift, out.shift.begin(), std::negate<>());
  return Carried{{{0, std::move(out)}}, {}};
}

// (s u) y = s (u y);  (s u) / y = s (u / y).
CarryResult product_forward(const Node& node, int input, const Affine& affine) {
  if (affine.has_shift()) return no_shift(node);
  if (node.is("Div") && input == 1) return NoMatch{};
  return Carried{{{0, affine}}, {}};
}

// Up to opset 6 the second operand may begin at any axis of the first.
bool broadcasts_as_before_opset_7(const Node& node) {
  constexpr auto kArithmetic = std::to_array<std::string_view>({"Add", "Sub", "Mul", "Div"});
  return node.opset() < 7 && is_one_of(node, kArithmetic) && AttributeReader(node).i("broadcast") != 0;
}

bool is_window(const Node& node) {
  return is_one_of(node, kMaximum) || is_one_of(node, kNorm) || is_one_of(node, kMean) ||
         is_one_of(node, kSum);
}

}  // namespace

CarryResult carry_backward(const Node& node, int output, const Affine& affine, const RuleContext& context) {
  if (!context.facts.is_sound(node)) return NoMatch{};
  if (broadcasts_as_before_opset_7(node)) return broadcasts(node);
  if (is_one_of(node, kPositivelyHomogeneous)) return carry_homogeneous(node, affine);
  if (is_window(node)) return carry_window(node, affine, true, context);
  if (node.is("Add") || node.is("Sub") || node.is("Sum")) return sum_backward(node, affine, context);
  if (node.is("Mul") || node.is("Div")) return product_backward(node, affine, context);
  if (is_one_of(node, kExtremes)) return extremes_backward(node, affine, context);
  return carry_layout_backward(node, output, affine, context);
}

CarryResult carry_forward(const Node& node, int input, const Affine& affine, const RuleContext& context) {
  if (!context.facts.is_sound(node)) return NoMatch{};
  if (broadcasts_as_before_opset_7(node)) return broadcasts(node);
  if (is_one_of(node, kPositivelyHomogeneous))
    return input == 0 ? carry_homogeneous(node, affine) : NoMatch{};
  if (is_window(node)) return input == 0 ? carry_window(node, affine, false, context) : NoMatch{};
  if (node.is("Add") || node.is("Sub") || node.is("Sum")) return sum_forward(node, input, affine, context);
  if (node.is("Mul") || node.is("Div")) return product_forward(node, input, affine);
  return carry_layout_forward(node, input, affine, context);
}

}  // namespace plica
