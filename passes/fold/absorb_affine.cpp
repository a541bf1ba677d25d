#include "passes/fold/absorb_affine.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/core/fail.h"
#include "passes/constants.h"
#include "passes/fold/error_bound.h"
#include "passes/fold/folded_name.h"

namespace plica {
namespace {

Skip no_room(const Node& node) {
  return {fmt::format("{} has no constant that could take it in", describe(node)), "", &node};
}

// Constants that are rounded already, so that a patch gets all of them or none.
class NewConstants {
 public:
  NewConstants(Node& node, const RuleContext& context) : node_(node), context_(context) {}

  // Input `index` is to hold these values, in the type of the constant that is there.
  bool add(int index, const std::vector<double>& values, const Dims& dims, double slack) {
    auto constant = constant_input(node_, index, "parameter", context_);
    const auto* old = std::get_if<Constant>(&constant);
    if (!old || !is_foldable_type(old->tensor.type())) return false;
    Rounded rounded = round_rows(values, 1, old->tensor.type(), dims);
    if (rounded.overflow >= 0) return false;
    list_.push_back({index, folded_name(old->root->name()), std::move(rounded), slack});
    return true;
  }

  void commit(Patch& patch) && {
    for (One& one : list_) {
      ErrorBound bound;
      bound.add(one.rounded, one.slack);
      bound.commit(patch);
      patch.flushed += one.rounded.flushed;
      patch.set_input(&node_, one.index,
                      patch.add_constant(std::move(one.name), std::move(one.rounded.tensor), node_));
    }
  }

 private:
  struct One {
    int index;
    std::string name;
    Rounded rounded;
    double slack;
  };
  Node& node_;
  const RuleContext& context_;
  std::vector<One> list_;
};

double largest_error(const Affine& affine) { return *std::ranges::max_element(affine.shift_error); }

// BN'(x) = scale' (x - 0) / sqrt(1 + 0) + bias'
std::optional<Skip> absorb_into_batch_norm(Node& node, const Affine& whole, const RuleContext& context,
                                           Patch& patch) {
  auto scale = constant_input(node, 1, "scale", context);
  const auto* constant = std::get_if<Constant>(&scale);
  const int rank = context.facts.rank_of(node.input(0));
  if (!constant || constant->tensor.rank() != 1) return no_room(node);
  const int64_t channels = constant->tensor.size();
  const auto factors = by_channel(whole, rank - 2, channels);
  if (!factors) return no_room(node);
  NewConstants constants(node, context);
  const auto count = static_cast<size_t>(channels);
  const bool fits = constants.add(1, factors->scale, {channels}, 0) &&
                    constants.add(2, factors->shift, {channels}, largest_error(*factors)) &&
                    constants.add(3, std::vector<double>(count, 0.0), {channels}, 0) &&
                    constants.add(4, std::vector<double>(count, 1.0), {channels}, 0);
  if (!fits) return no_room(node);
  std::move(constants).commit(patch);
  Attribute epsilon;
  epsilon.name = "epsilon";
  epsilon.value = 0.0f;
  patch.set_attribute(&node, std::move(epsilon));
  return std::nullopt;
}

}  // namespace

std::optional<Skip> absorb_into_affine(const AffineNode& affine_node, const Affine& whole,
                                       const RuleContext& context, Patch& patch) {
  Node& node = *affine_node.node;
  if (node.is("BatchNormalization")) return absorb_into_batch_norm(node, whole, context, patch);
  const bool add = node.is("Add"), sub = node.is("Sub") && affine_node.operand == 0, mul = node.is("Mul"),
             div = node.is("Div");
  if (!(add || sub || mul || div) || ((add || sub) ? whole.has_scale() : whole.has_shift()))
    return no_room(node);
  std::vector<double> values = add || sub ? whole.shift : whole.scale;
  if (sub) std::ranges::transform(values, values.begin(), std::negate<>());
  if (div) std::ranges::transform(values, values.begin(), [](double v) { return 1 / v; });
  Dims dims = whole.dims;
  Attributes attributes = node.attributes();
  if (!broadcast_as_before_opset_7(node.opset(), context.facts.rank_of(node.output(0)), dims, attributes))
    return no_room(node);
  NewConstants constants(node, context);
  if (!constants.add(1 - affine_node.operand, values, dims, add || sub ? largest_error(whole) : 0))
    return no_room(node);
  for (const char* name : {"axis", "broadcast"}) {
    if (const Attribute* attribute = attributes.find(name))
      patch.set_attribute(&node, *attribute);
    else if (node.attributes().has(name))
      patch.remove_attribute(&node, name);
  }
  std::move(constants).commit(patch);
  return std::nullopt;
}

bool broadcast_as_before_opset_7(int64_t opset, int rank, Dims& dims, Attributes& attributes) {
  if (opset >= 7) return true;
  if (rank < static_cast<int>(dims.size())) return false;
  attributes.set("broadcast", int64_t{1});
  attributes.remove("axis");
  if (!dims.empty()) attributes.set("axis", static_cast<int64_t>(rank) - static_cast<int64_t>(dims.size()));
  while (!dims.empty() && dims.back() == 1) dims.pop_back();
  return std::ranges::count(dims, 1) == 0;
}

}  // namespace plica
