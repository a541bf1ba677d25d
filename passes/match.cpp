#include "passes/match.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"

namespace plica {

RuleResult pass_through(const Node& node, Value* by) {
  Value* from = node.output(0);
  if (!from || !by || !can_replace(*from, *by)) return NoMatch{};
  Patch patch(node);
  patch.replace(from, by);
  return patch;
}

bool is_plain(const Node& node, std::string_view op_type) {
  return node.is(op_type) && node.has_input(0) && node.has_output(0) && !has_attribute_references(node);
}

Node* producer_of(const Value* value, std::string_view op_type) {
  Node* producer = value ? value->producer() : nullptr;
  return producer && is_plain(*producer, op_type) && producer->output(0) == value ? producer : nullptr;
}

Node* sole_producer_of(const Value* value, std::string_view op_type) {
  return value && value->has_single_use() ? producer_of(value, op_type) : nullptr;
}

bool same_type_and_shape(const Value* a, const Value* b, const RuleContext& context) {
  const Type &x = context.facts.of(a).type, &y = context.facts.of(b).type;
  if (!x.is_tensor() || !y.is_tensor() || x.element != y.element || x.element == DataType::undefined)
    return false;
  return x.shape && y.shape &&
         std::ranges::equal(*x.shape, *y.shape, [](const Dim& p, const Dim& q) { return p.same_as(q); });
}

Ints ints_of(const Node& node, std::string_view attribute, int index, const RuleContext& context) {
  if (node.attributes().has(attribute)) {
    const AttributeReader attributes(node);
    if (attributes.defines(attribute)) return {true, attributes.maybe_ints(attribute)};
  }
  if (index < 0 || !node.has_input(index)) return {};
  const auto input = constant_input(node, index, attribute, context);
  const Constant* constant = std::get_if<Constant>(&input);
  if (!constant || constant->tensor.rank() > 1) return {true, std::nullopt};
  const Tensor& t = constant->tensor;
  if (t.type() == DataType::int64) {
    const auto values = t.values<int64_t>();
    return {true, Dims(values.begin(), values.end())};
  }
  if (t.type() != DataType::int32) return {true, std::nullopt};
  const auto values = t.values<int32_t>();
  return {true, Dims(values.begin(), values.end())};
}

std::optional<int> axis_of(const Node& node, const Value* value, const RuleContext& context) {
  const int rank = context.facts.rank_of(value);
  const int64_t axis = AttributeReader(node).i("axis");
  if (rank < 0 || axis < -rank || axis >= rank) return std::nullopt;
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

bool is_filled_with(const Tensor& constant, double number) {
  constexpr int64_t kMostElements = 1 << 16;
  if (constant.size() == 0 || constant.size() > kMostElements) return false;
  if (!types::kNumeric.contains(constant.type())) return false;
  return dispatch<NumericTypes>(constant.type(), [&]<class T>(std::type_identity<T>) {
    const auto wanted = std::bit_cast<uint64_t>(number);
    return std::ranges::all_of(constant.values<T>(), [&](T v) {
      return std::bit_cast<uint64_t>(static_cast<double>(static_cast<ComputeType<T>>(v))) == wanted;
    });
  });
}

std::optional<double> scalar_input(const Node& node, int index, const RuleContext& context) {
  if (!node.has_input(index)) return std::nullopt;
  const auto input = constant_input(node, index, "bound", context);
  const Constant* constant = std::get_if<Constant>(&input);
  if (!constant || constant->tensor.size() != 1 || !is_foldable_type(constant->tensor.type()))
    return std::nullopt;
  return to_doubles(constant->tensor)[0];
}

Tensor scalar_of(DataType type, double number) {
  Tensor t(type, {});
  dispatch<FloatTypes>(type, [&]<class T>(std::type_identity<T>) {
    *t.mutable_data<T>() = static_cast<T>(static_cast<ComputeType<T>>(number));
  });
  return t;
}

}  // namespace plica
