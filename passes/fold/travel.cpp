#include "passes/fold/travel.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "passes/constants.h"
#include "passes/fold/absorb_affine.h"
#include "passes/fold/carry.h"
#include "passes/fold/error_bound.h"
#include "passes/fold/folded_name.h"
#include "passes/rules.h"

namespace plica {
namespace {

// Enough for a block of any network, few enough that a large graph of affines takes no time to speak of.
constexpr size_t kMostVisits = 64;
// Of a node on the way: each of many affines looks at all of them.
constexpr int kMostOperands = 256;

Skip computed_outside(const Value& value) {
  return {fmt::format("its input {} is computed outside of this subgraph", quoted(value.name())), "",
          value.producer()};
}

Skip is_output(const Value& value) {
  return {fmt::format("{} is also an output of the graph", quoted(value.name())),
          "take it out of the graph's outputs if nobody needs it", value.producer()};
}

Skip no_elements(const Value& value) {
  return {fmt::format("{} has no elements", quoted(value.name())), "", value.producer()};
}

Skip not_linear(const Value& value) {
  if (const Node* producer = value.producer()) {
    return {fmt::format("its input comes from {}, which is not a linear operator", describe(*producer)), "",
            producer};
  }
  return {
      fmt::format("its input {} is {}, and no linear operator comes before", quoted(value.name()),
                  value.initializer() && !value.is_graph_input() ? "a constant" : "an input of the graph"),
      "", nullptr};
}

}  // namespace

Travel::Travel(const AffineChain& chain, const Node& at, const RuleContext& context)
    : chain_(chain), context_(context), patch_(at) {
  patch_.error_bound = 0;
}

std::optional<Skip> Travel::visit(const Node& node) {
  if (context_.kept.contains(&node)) {
    return Skip{fmt::format("node {} is to be kept as it is", quoted(label_of(node))),
                "leave it out of the list of nodes to keep", &node};
  }
  if (!visited_.insert(&node).second)
    return Skip{fmt::format("{} would take it in twice", describe(node)), "", &node};
  if (visited_.size() > kMostVisits) return Skip{"the way to a linear operator is too long", "", &node};
  if (node.num_inputs() > kMostOperands || node.num_outputs() > kMostOperands)
    return Skip{fmt::format("{} has too many operands", describe(node)), "", &node};
  return std::nullopt;
}

std::optional<Skip> Travel::settle() {
  for (const auto& work : to_settle_) {
    if (auto skip = work()) return skip;
  }
  return std::nullopt;
}

// ---- backward

std::optional<Skip> Travel::backward(const Affine& affine) {
  const Node& reader = chain_.first();
  size_t reads = 0;
  for (int i = 0; i < reader.num_inputs(); ++i) reads += reader.input(i) == chain_.input();
  if (auto skip = request(chain_.input(), affine, reads)) return skip;
  while (!waiting_.empty()) {
    const auto ready =
        std::ranges::find_if(waiting_, [&](Value* v) { return requests_.at(v).reads == v->uses().size(); });
    if (ready == waiting_.end()) {
      const Value& value = *waiting_.front();
      if (!value.producer()) return not_linear(value);
      for (const Use& use : value.uses()) {
        if (use.node == &reader || visited_.contains(use.node)) continue;
        return Skip{fmt::format("its input {}, computed by {}, is also read by {}", quoted(value.name()),
                                describe(*value.producer()), describe(*use.node)),
                    "", use.node};
      }
      return Skip{fmt::format("{} is read more than once", quoted(value.name())), "", value.producer()};
    }
    Value& value = **ready;
    waiting_.erase(ready);
    const Affine asked = requests_.at(&value).affine;
    if (auto skip = serve(value, asked)) return skip;
  }
  return settle();
}

std::optional<Skip> Travel::request(Value* value, const Affine& affine, size_t reads) {
  if (affine.size() == 0) return no_elements(*value);
  auto [it, is_new] = requests_.try_emplace(value, Request{affine});
  if (!is_new && !same(it->second.affine, affine)) {
    return Skip{
        fmt::format("{} is read in several places that ask for different factors", quoted(value->name())), "",
        value->producer()};
  }
  if (is_new) waiting_.push_back(value);
  it->second.reads += reads;
  return std::nullopt;
}

std::optional<Skip> Travel::serve(Value& value, const Affine& affine) {
  Node* node = value.producer();
  if (!node) return not_linear(value);
  if (value.graph() != &patch_.graph()) return computed_outside(value);
  if (value.is_graph_output()) {
    return Skip{fmt::format("its input {}, computed by {}, is also an output of the graph",
                            quoted(value.name()), describe(*node)),
                "take it out of the graph's outputs if nobody needs it", node};
  }
  if (auto skip = visit(*node)) return skip;

  auto linear = read_linear_op(*node, context_);
  if (auto* skip = std::get_if<Skip>(&linear)) {
    skip->reason = "it follows " + skip->reason;
    return *std::move(skip);
  }
  if (auto* op = std::get_if<LinearOp>(&linear)) {
    if (auto skip = refuses_at_output(*op, affine)) return skip;
    to_settle_.emplace_back(
        [this, op = std::move(*op), affine] { return absorb_at_output(op, affine, context_, patch_); });
    patch_.absorbers.push_back(node);
    return std::nullopt;
  }
  auto read = read_affine_node(*node, context_);
  if (const auto* other = std::get_if<AffineNode>(&read)) {
    const auto both = compose(affine, other->affine);
    if (both && !absorb_into_affine(*other, *both, context_, patch_)) {
      patch_.absorbers.push_back(node);
      return std::nullopt;
    }
  }
  return carry_to_inputs(value, affine);
}

std::optional<Skip> Travel::carry_to_inputs(Value& value, const Affine& affine) {
  Node& node = *value.producer();
  auto result = carry_backward(node, value.output_index(), affine, context_);
  if (std::holds_alternative<NoMatch>(result)) return not_linear(value);
  if (auto* skip = std::get_if<Skip>(&result)) {
    skip->reason = "before it, " + skip->reason;
    return *std::move(skip);
  }
  const Carried& carried = std::get<Carried>(result);
  patch_.carry(&node);
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i) && node.output(i) != &value) patch_.keep_output(node.output(i));
  }
  if (carried.pad_value) {
    if (auto skip = set_pad_value(node, *carried.pad_value)) return skip;
  }
  for (const auto& [index, part] : carried.to) {
    auto constant = constant_input(node, index, "operand", context_);
    std::optional<Skip> skip;
    if (const auto* c = std::get_if<Constant>(&constant)) {
      skip = change_constant(node, index, *c, part);
    } else {
      skip = request(node.input(index), part, 1);
    }
    if (skip) return skip;
  }
  return std::nullopt;
}

std::optional<Skip> Travel::change_constant(Node& node, int input, const Constant& constant,
                                            const Affine& affine) {
  const Tensor& tensor = constant.tensor;
  const Skip misfit{fmt::format("the constant {} of {} cannot take the factors",
                                quoted(constant.root->name()), describe(node)),
                    "", &node};
  if (!is_foldable_type(tensor.type()) || tensor.size() == 0 || node.opset() < 7) return misfit;
  Affine value{tensor.dims(), {}, to_doubles(tensor), {}};
  value.scale.assign(value.shift.size(), 1.0);
  value.shift_error.assign(value.shift.size(), 0.0);
  const auto changed = compose(affine, value);
  if (!changed || (node.is("Concat") && changed->dims != tensor.dims())) return misfit;
  const auto growth = static_cast<int64_t>(changed->size()) - tensor.size();
  if (growth > 0) {
    patch_.growth_bytes += growth * static_cast<int64_t>(bytes_of(tensor.type(), 1));
    if (patch_.growth_bytes > context_.growth_left) return misfit;
  }
  double slack = 0;
  for (double e : changed->shift_error) slack = std::max(slack, e);
  const auto moved = add_rounded(changed->shift, changed->dims, tensor.type(), slack,
                                 folded_name(constant.root->name()), node, patch_);
  if (!moved) return misfit;
  patch_.set_input(&node, input, *moved);
  return std::nullopt;
}

// ---- forward

std::optional<Skip> Travel::forward(const Affine& affine, bool may_map) {
  may_map_ = may_map;
  if (auto skip = hand_over(*chain_.output(), affine)) return skip;
  while (!to_hand_over_.empty()) {
    const auto [value, part] = std::move(to_hand_over_.front());
    to_hand_over_.pop_front();
    if (auto skip = hand_over(*value, part)) return skip;
  }
  auto skip = settle();
  patch_.channel_bounds.clear();  // they are of the readers' output channels
  return skip;
}

std::optional<Skip> Travel::hand_over(const Value& value, const Affine& affine) {
  if (affine.size() == 0) return no_elements(value);
  if (value.is_graph_output()) return is_output(value);
  if (value.uses().empty()) return Skip{"nobody reads it", "", value.producer()};
  if (value.uses().size() > kMostVisits)
    return Skip{fmt::format("too many nodes read {}", quoted(value.name())), "", value.producer()};
  for (const Use& use : value.uses()) {
    if (use.node->graph() != &patch_.graph()) {
      return Skip{fmt::format("{} is read inside a subgraph", quoted(value.name())), "", use.node};
    }
    if (auto skip = hand_over_to(*use.node, use.index, affine)) return skip;
  }
  return std::nullopt;
}

std::optional<Skip> Travel::hand_over_to(Node& node, int input, const Affine& affine) {
  if (auto skip = visit(node)) return skip;
  auto linear = read_linear_op(node, context_);
  if (auto* skip = std::get_if<Skip>(&linear)) {
    skip->reason = "behind it, " + skip->reason;
    return *std::move(skip);
  }
  if (const auto* op = std::get_if<LinearOp>(&linear)) {
    if (input != 0) return Skip{fmt::format("{} reads it as a parameter", describe(node)), "", &node};
    return hand_over_to_linear(*op, affine);
  }
  auto read = read_affine_node(node, context_);
  if (const auto* other = std::get_if<AffineNode>(&read); other && other->operand == input) {
    const auto both = compose(other->affine, affine);
    if (both && !absorb_into_affine(*other, *both, context_, patch_)) {
      patch_.keep_output(node.output(0));
      patch_.absorbers.push_back(&node);
      return std::nullopt;
    }
  }
  auto result = carry_forward(node, input, affine, context_);
  if (std::holds_alternative<NoMatch>(result)) {
    return Skip{fmt::format("behind it, {} is not a linear operator", describe(node)), "", &node};
  }
  if (auto* skip = std::get_if<Skip>(&result)) {
    skip->reason = "behind it, " + skip->reason;
    return *std::move(skip);
  }
  const Carried& carried = std::get<Carried>(result);
  patch_.carry(&node);
  if (carried.pad_value) {
    if (auto skip = set_pad_value(node, *carried.pad_value)) return skip;
  }
  std::unordered_set<int> changed;
  for (const auto& [index, part] : carried.to) {
    if (!node.has_output(index)) continue;
    changed.insert(index);
    to_hand_over_.emplace_back(node.output(index), part);
  }
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i) && !changed.contains(i)) patch_.keep_output(node.output(i));
  }
  return std::nullopt;
}

std::optional<Skip> Travel::hand_over_to_linear(const LinearOp& op, const Affine& affine) {
  Node& node = *op.node;
  if (auto skip = refuses_at_input(op, affine, context_)) {
    if (!may_map_ || !op.is_convolution() || op.quantized_weight || !affine.has_scale()) return skip;
    to_settle_.emplace_back([this, op, affine] {
      return absorb_with_map(op, affine, label_of(chain_.first()), context_, patch_);
    });
    return std::nullopt;
  }
  patch_.absorbers.push_back(&node);
  if (op.kind == LinearOp::Kind::matmul && affine.has_shift()) {
    // What is left goes on to its readers.
    auto left = absorb_at_input(op, affine, context_, patch_);
    if (auto* skip = std::get_if<Skip>(&left)) return *std::move(skip);
    to_hand_over_.emplace_back(node.output(0), std::get<Affine>(std::move(left)));
    return std::nullopt;
  }
  patch_.keep_output(node.output(0));
  to_settle_.emplace_back([this, op, affine]() -> std::optional<Skip> {
    auto left = absorb_at_input(op, affine, context_, patch_);
    if (auto* skip = std::get_if<Skip>(&left)) return *std::move(skip);
    return std::nullopt;
  });
  return std::nullopt;
}

// ---- both

std::optional<Skip> Travel::set_pad_value(Node& node, double value) {
  const DataType type = context_.facts.of(node.output(0)).type.element;
  if (!is_foldable_type(type))
    return Skip{fmt::format("the element type of {} is not known", describe(node)), "give the inputs types",
                &node};
  Rounded rounded = round_rows(std::span(&value, 1), 1, type, {});
  if (rounded.overflow >= 0)
    return Skip{fmt::format("the value of {} would not be finite", describe(node)), "", &node};
  if (node.opset() < 11) {
    Attribute attribute;
    attribute.name = "value";
    attribute.value = static_cast<float>(value);
    patch_.set_attribute(&node, std::move(attribute));
    return std::nullopt;
  }
  ErrorBound bound;
  bound.add(rounded, 0);
  bound.commit(patch_);
  patch_.set_input(&node, 2,
                   patch_.add_constant(label_of(node) + "_value_folded", std::move(rounded.tensor), node));
  return std::nullopt;
}

Patch Travel::take() && {
  for (const AffineNode& member : chain_.nodes) {
    if (!member.node->is("BatchNormalization")) continue;
    for (Node* node : patch_.absorbers) patch_.note(node, kFoldedKey, label_of(*member.node));
    for (int made : patch_.made_absorbers) patch_.note(made, kFoldedKey, label_of(*member.node));
  }
  return std::move(patch_);
}

}  // namespace plica
