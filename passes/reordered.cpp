#include "passes/reordered.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/core/checked.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/node_parameters.h"
#include "engine/ops/strided_copy.h"
#include "passes/constants.h"
#include "passes/fold/carry.h"
#include "passes/match.h"

namespace plica {
namespace {

// ---- operators by what their axes mean to them

// Element by element of input 0; other inputs are scalars.
constexpr auto kOfOne = std::to_array<std::string_view>(
    {"Abs",    "Acos",    "Acosh",       "Asin",       "Asinh",          "Atan",     "Atanh",    "Cast",
     "Ceil",   "Celu",    "Clip",        "Cos",        "Cosh",           "Elu",      "Erf",      "Exp",
     "Floor",  "Gelu",    "HardSigmoid", "HardSwish",  "Identity",       "IsInf",    "IsNaN",    "LeakyRelu",
     "Log",    "Mish",    "Neg",         "Not",        "Reciprocal",     "Relu",     "Round",    "Selu",
     "Shrink", "Sigmoid", "Sign",        "Sin",        "Sinh",           "Softplus", "Softsign", "Sqrt",
     "Swish",  "Tan",     "Tanh",        "BitwiseNot", "ThresholdedRelu"});
// Element by element of operands that broadcast.
constexpr auto kBroadcasting =
    std::to_array<std::string_view>({"Add",        "And",         "BitShift", "BitwiseAnd", "BitwiseOr",
                                     "BitwiseXor", "Div",         "Equal",    "Greater",    "GreaterOrEqual",
                                     "Less",       "LessOrEqual", "Max",      "Mean",       "Min",
                                     "Mod",        "Mul",         "Or",       "PRelu",      "Pow",
                                     "Sub",        "Sum",         "Where",    "Xor"});
constexpr auto kReducing = std::to_array<std::string_view>(
    {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
     "ReduceProd", "ReduceSum", "ReduceSumSquare"});
constexpr auto kAlongOne = std::to_array<std::string_view>({"Softmax", "LogSoftmax", "Hardmax"});

template <size_t N>
bool is_one_of(const Node& node, const std::array<std::string_view, N>& names) {
  return std::ranges::any_of(names, [&](std::string_view n) { return node.is(n); });
}

// Since these versions operands broadcast as numpy's do, and Softmax is along one axis.
constexpr int64_t kNumpyBroadcasting = 7, kSoftmaxAlongOne = 13;

// ---- parameters

int64_t moved(int64_t axis, const AxisOrder& order) {
  return order[static_cast<size_t>(normalize_axis(axis, static_cast<int>(order.size())))];
}
Dims moved(const Dims& axes, const AxisOrder& order) {
  Dims out;
  for (int64_t axis : axes) out.push_back(moved(axis, order));
  return out;
}

// One number for each axis, or several such lists one after the other.
template <class T>
std::vector<T> permuted(const std::vector<T>& numbers, const AxisOrder& order) {
  std::vector<T> out(numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t first = i - i % order.size();
    out[first + static_cast<size_t>(order[i % order.size()])] = numbers[i];
  }
  return out;
}

Tensor vector_of(const Dims& values) { return Tensor::of(values, {static_cast<int64_t>(values.size())}); }

// Lets the node have these integers where it has others, as its version does.
void set_ints(Reordered& r, const Node& node, const char* attribute, int index, Dims values) {
  if (node.attributes().has(attribute)) {
    r.attributes.push_back({.name = attribute, .value = std::move(values)});
  } else {
    r.inputs.emplace_back(index, vector_of(values));
  }
}

// ---- by family; each has `output` as the order of its input already

using Result = std::optional<Reordered>;

Result reorder_broadcasting(const Node& node, const AxisOrder& order, const RuleContext& context) {
  if (node.opset() < kNumpyBroadcasting) return std::nullopt;
  Reordered r{.data = {}, .output = order};
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (!node.has_input(i)) return std::nullopt;
    const auto& shape = context.facts.of(node.input(i)).type.shape;
    if (!shape || shape->rank() > static_cast<int>(order.size())) return std::nullopt;
    // What is 1 along all axes broadcasts as it is.
    if (!std::ranges::all_of(*shape, [](const Dim& d) { return d.is_known() && d.value() == 1; }))
      r.data.push_back(i);
  }
  return r;
}

// The order of the axes that are not gone.
AxisOrder without(const AxisOrder& order, const std::vector<bool>& gone) {
  AxisOrder left;
  for (size_t i = 0; i < order.size(); ++i) {
    if (!gone[i]) left.push_back(order[i]);
  }
  AxisOrder out;
  for (int axis : left)
    out.push_back(static_cast<int>(std::ranges::count_if(left, [axis](int a) { return a < axis; })));
  return out;
}

Result reorder_reduction(Reordered r, const Node& node, const AxisOrder& order, const RuleContext& context) {
  const Ints axes = ints_of(node, "axes", 1, context);
  const auto gone = reduced_axes(infer_context(node, context));
  if (!gone || (axes.given && !axes.values)) return std::nullopt;
  if (axes.given) set_ints(r, node, "axes", 1, moved(*axes.values, order));
  if (AttributeReader(node).i("keepdims") == 0) r.output = without(order, *gone);
  return r;
}

Result reorder_extreme_index(Reordered r, const Node& node, const AxisOrder& order) {
  const AttributeReader attributes(node);
  const int axis = normalize_axis(attributes.i("axis"), static_cast<int>(order.size()));
  r.attributes.push_back({.name = "axis", .value = moved(axis, order)});
  if (attributes.i("keepdims") != 0) return r;
  std::vector<bool> gone(order.size(), false);
  gone[static_cast<size_t>(axis)] = true;
  r.output = without(order, gone);
  return r;
}

Result reorder_squeeze(Reordered r, const Node& node, const AxisOrder& order, const RuleContext& context) {
  const Ints axes = ints_of(node, "axes", 1, context);
  if (!axes.values) return std::nullopt;
  std::vector<bool> gone(order.size(), false);
  for (int64_t axis : *axes.values)
    gone[static_cast<size_t>(normalize_axis(axis, static_cast<int>(order.size())))] = true;
  set_ints(r, node, "axes", 1, moved(*axes.values, order));
  r.output = without(order, gone);
  return r;
}

// With axes, which move, or else a number for each axis, begins and ends.
Result reorder_pad(Reordered r, const Node& node, const AxisOrder& order, const RuleContext& context) {
  const Ints pads = ints_of(node, "pads", 1, context), axes = ints_of(node, "axes", 3, context);
  if (axes.given) {
    if (!axes.values) return std::nullopt;
    set_ints(r, node, "axes", 3, moved(*axes.values, order));
    return r;
  }
  if (!pads.values || pads.values->size() != 2 * order.size()) return std::nullopt;
  set_ints(r, node, "pads", 1, permuted(*pads.values, order));
  return r;
}

Result reorder_slice(Reordered r, const Node& node, const AxisOrder& order, const RuleContext& context) {
  const Ints starts = ints_of(node, "starts", 1, context), axes = ints_of(node, "axes", 3, context);
  if (!starts.values || (axes.given && !axes.values)) return std::nullopt;
  Dims now;
  for (size_t i = 0; i < starts.values->size(); ++i)
    now.push_back(axes.given && i < axes.values->size() ? (*axes.values)[i] : static_cast<int64_t>(i));
  if (node.attributes().has("starts")) {
    r.attributes.push_back({.name = "axes", .value = moved(now, order)});
  } else {
    const Dims axes_then = moved(now, order);
    const bool narrow = context.facts.of(node.input(1)).type.element == DataType::int32;  // all of one type
    r.inputs.emplace_back(3, narrow ? Tensor::of(std::vector<int32_t>(axes_then.begin(), axes_then.end()),
                                                 {static_cast<int64_t>(axes_then.size())})
                                    : vector_of(axes_then));
  }
  return r;
}

// By scales or sizes for each axis, of which those that are 1 say nothing of the axis.
Result reorder_resize(Reordered r, const Node& node, const AxisOrder& order, const RuleContext& context) {
  const AttributeReader attributes(node);
  if (node.num_inputs() < 3 || attributes.s("coordinate_transformation_mode") == "tf_crop_and_resize")
    return std::nullopt;
  if (attributes.has("axes")) {
    r.attributes.push_back({.name = "axes", .value = moved(attributes.ints("axes"), order)});
    return r;
  }
  if (node.has_input(3)) {
    const Ints sizes = ints_of(node, "sizes", 3, context);
    if (!sizes.values || sizes.values->size() != order.size()) return std::nullopt;
    r.inputs.emplace_back(3, vector_of(permuted(*sizes.values, order)));
    return r;
  }
  const auto scales = constant_input(node, 2, "scales", context);
  const auto* constant = std::get_if<Constant>(&scales);
  if (!constant || constant->tensor.type() != DataType::float32 ||
      constant->tensor.size() != static_cast<int64_t>(order.size()))
    return std::nullopt;
  const auto values = constant->tensor.values<float>();
  r.inputs.emplace_back(2, Tensor::of(permuted(std::vector<float>(values.begin(), values.end()), order),
                                      constant->tensor.dims()));
  return r;
}

Result reorder_quantization(Reordered r, const Node& node, const AxisOrder& order,
                            const RuleContext& context) {
  const int rank = context.facts.rank_of(node.input(1));
  const AttributeReader attributes(node);
  if (rank == 0) return r;
  if (rank != 1 || !attributes.defines("axis") ||
      (attributes.defines("block_size") && attributes.i("block_size") != 0))
    return std::nullopt;
  r.attributes.push_back({.name = "axis", .value = moved(attributes.i("axis"), order)});
  return r;
}

Result reordered_by_operator(const Node& node, const AxisOrder& order, const RuleContext& context) {
  const int rank = static_cast<int>(order.size());
  if (is_one_of(node, kBroadcasting)) return reorder_broadcasting(node, order, context);
  if (context.facts.rank_of(node.input(0)) != rank) return std::nullopt;
  Reordered r{.data = {0}, .output = order};
  if (is_one_of(node, kOfOne)) return r;
  if (is_one_of(node, kReducing)) return reorder_reduction(std::move(r), node, order, context);
  if (node.is("ArgMax") || node.is("ArgMin")) return reorder_extreme_index(std::move(r), node, order);
  if (node.is("Squeeze")) return reorder_squeeze(std::move(r), node, order, context);
  if (node.is("Pad")) return reorder_pad(std::move(r), node, order, context);
  if (node.is("Slice")) return reorder_slice(std::move(r), node, order, context);
  if (node.is("Resize")) return reorder_resize(std::move(r), node, order, context);
  if (node.is("QuantizeLinear") || node.is("DequantizeLinear"))
    return reorder_quantization(std::move(r), node, order, context);
  if (node.is("Split") || node.is("Concat") ||
      (is_one_of(node, kAlongOne) && node.opset() >= kSoftmaxAlongOne)) {
    r.attributes.push_back({.name = "axis", .value = moved(AttributeReader(node).i("axis"), order)});
    for (int i = 1; node.is("Concat") && i < node.num_inputs(); ++i) r.data.push_back(i);
    return r;
  }
  return std::nullopt;
}

}  // namespace

bool is_identity(const AxisOrder& order) {
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int>(i)) return false;
  }
  return true;
}

AxisOrder inverse(const AxisOrder& order) {
  AxisOrder out(order.size());
  for (size_t i = 0; i < order.size(); ++i) out[static_cast<size_t>(order[i])] = static_cast<int>(i);
  return out;
}

std::optional<Reordered> reordered(const Node& node, const AxisOrder& order, const RuleContext& context) {
  if (!node.domain().empty() || !node.has_input(0) || !node.has_output(0) || has_attribute_references(node) ||
      !context.facts.is_sound(node))
    return std::nullopt;
  auto r = reordered_by_operator(node, order, context);
  if (!r) return r;
  std::vector<int> data;
  for (int i : r->data) {
    if (!node.has_input(i)) return std::nullopt;
    const auto constant = constant_input(node, i, "operand", context);
    if (const auto* c = std::get_if<Constant>(&constant)) {
      if (c->tensor.type() == DataType::string || bits_of(c->tensor.type()) < 8) return std::nullopt;
      r->constants.push_back(i);
    } else if (context.facts.rank_of(node.input(i)) == static_cast<int>(order.size())) {
      data.push_back(i);
    } else {
      return std::nullopt;
    }
  }
  r->data = std::move(data);
  return r;
}

Tensor permuted_constant(const Tensor& constant, const AxisOrder& order) {
  Dims dims(order.size() - static_cast<size_t>(constant.rank()), 1);
  dims.insert(dims.end(), constant.dims().begin(), constant.dims().end());
  const Dims strides = row_major_strides(dims);
  const AxisOrder from = inverse(order);
  Dims to_dims, from_strides;
  for (int axis : from) {
    to_dims.push_back(dims[static_cast<size_t>(axis)]);
    from_strides.push_back(strides[static_cast<size_t>(axis)]);
  }
  Tensor out(constant.type(), to_dims);
  copy_strided(out.type(), to_dims, constant.raw(), from_strides, out.mutable_raw(),
               row_major_strides(to_dims));
  return out;
}

}  // namespace plica
