// Transposes move through what lies between them, where that leaves less to transpose.
//
// A region is a connected set of nodes that compute the same from operands whose axes lie as before the
// Transposes (reordered.h). All its nodes are rewritten at once:
//
//     a ─ T ─ Clip ─┬─ T' ─ Conv          a ─ Clip ─┬─ Conv
//                   └─ Add ─ T' ─ ..  ⇒             └─ Add ─ ..         T' undoes T
//     b ─ T ────────┘                     b ─────────┘
//
// A value is transposed once or not at all, before and after:
//   by T, which computes it:     unless all that reads it is in the region or undoes T
//   computed in the region:      when something outside reads it, T' aside
//   computed elsewhere:          when something in the region reads it
// What is transposed costs its elements, none if only axes of 1 move, and then itself as a node. Nodes whose
// leaving the region does not cost more leave it, one after the other; what is left is rewritten if that
// costs less than leaving all as it is. So each rewrite lowers the cost of the graph, and it ends.
#include <algorithm>
#include <unordered_map>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/node_parameters.h"
#include "passes/constants.h"
#include "passes/fold/carry.h"
#include "passes/match.h"
#include "passes/reordered.h"
#include "passes/rules.h"

namespace plica {
namespace {

// A region grows no further, and not to a value that more nodes read: each of many Transposes looks at it
// anew.
constexpr size_t kMostNodes = 128, kMostReaders = 256;

std::optional<AxisOrder> permutation(const Node& transpose, const RuleContext& context) {
  return transpose_permutation(infer_context(transpose, context));
}

struct Cost {
  double elements = 0;  // an unknown dim counts as 1
  int transposes = 0;
  Cost& operator+=(const Cost& c) {
    elements += c.elements;
    transposes += c.transposes;
    return *this;
  }
  auto operator<=>(const Cost&) const = default;
};

// Of transposing a value to or from the order.
Cost cost_of(const Value* value, const AxisOrder& order, const RuleContext& context) {
  const auto& shape = context.facts.of(value).type.shape;
  if (!shape || shape->rank() != static_cast<int>(order.size())) return {0, 1};
  double elements = 1;
  int last = -1;
  bool moves = false;
  for (int i = 0; i < shape->rank(); ++i) {
    const Dim& d = (*shape)[i];
    if (d.is_known() && d.value() == 1) continue;
    if (d.is_known()) elements *= static_cast<double>(d.value());
    moves = moves || order[static_cast<size_t>(i)] < last;
    last = order[static_cast<size_t>(i)];
  }
  return {moves ? elements : 0, 1};
}

class Region {
 public:
  Region(const Node& transpose, const RuleContext& context) : seed_(transpose), context_(context) {}

  // Around a value of the graph with the order. Whether there is something to gain; then patch().
  bool find(const Value* value, const AxisOrder& order) {
    if (value->uses().size() > kMostReaders) return false;
    reach(value, order);
    for (size_t i = 0; i < values_.size(); ++i) grow_from(values_[i]);
    shrink();
    if (nodes_.empty()) return false;
    Cost before, after;
    for (const Value* value : values_) {
      after += cost_now(value);
      before += undone_cost(value);
      if (source_of(value)) before += cost_of(value, orders_.at(value), context_);
    }
    return after < before;
  }

  RuleResult patch() {
    Patch patch(seed_);
    patch.redefined_suffix = "_transposed";
    std::unordered_map<const Value*, Operand> native;  // what the region reads in place of a value
    const auto transposed = [&](Operand from, const AxisOrder& perm, const std::string& name,
                                const Node& before) {
      Patch::NewNode made{
          .op_type = "Transpose", .output_base_name = name, .inputs = {from}, .before = &before};
      made.attributes.set("perm", Dims(perm.begin(), perm.end()));
      return patch.add_node(std::move(made));
    };
    for (Node* node : in_order()) {
      const Reordered& r = nodes_.at(node);
      const AxisOrder& order = order_of(*node);
      std::vector<std::pair<int, Operand>> inputs;
      for (int i : r.data) {
        Value* value = node->input(i);
        auto it = native.find(value);
        if (it == native.end()) {
          const Node* source = source_of(value);
          it = native
                   .emplace(value, source ? Operand(source->input(0))
                                          : transposed(value, inverse(order), value->name() + "_transposed",
                                                       *first_reader(value)))
                   .first;
        }
        inputs.emplace_back(i, it->second);
      }
      for (int i : r.constants) {
        const auto constant = constant_input(*node, i, "operand", context_);
        const Tensor& tensor = std::get<Constant>(constant).tensor;
        patch.growth_bytes = checked_add(patch.growth_bytes, static_cast<int64_t>(tensor.bytes()));
        if (patch.growth_bytes > context_.growth_left) return NoMatch{};
        inputs.emplace_back(i, patch.add_constant(node->input(i)->name() + "_transposed",
                                                  permuted_constant(tensor, order), *node));
      }
      for (const auto& [i, tensor] : r.inputs)
        inputs.emplace_back(i, patch.add_constant(node->output(0)->name() + "_parameter", tensor, *node));

      Value* y = node->output(0);
      if (is_read_outside(y)) {
        // Others go on reading the value, from a Transpose of what a copy of the node computes.
        Patch::NewNode copy{.op_type = node->op_type(),
                            .output_base_name = y->name() + "_transposed",
                            .inputs = {},
                            .attributes = node->attributes(),
                            .before = node,
                            .like = node};
        for (int i = 0; i < node->num_inputs(); ++i) copy.inputs.emplace_back(node->input(i));
        for (const auto& [i, operand] : inputs) {
          if (copy.inputs.size() <= static_cast<size_t>(i)) copy.inputs.resize(static_cast<size_t>(i) + 1);
          copy.inputs[static_cast<size_t>(i)] = operand;
        }
        for (const Attribute& a : r.attributes) copy.attributes.set(a);
        const Operand result = patch.add_node(std::move(copy));
        native.emplace(y, result);
        patch.replace(y, transposed(result, r.output, y->name(), *node));
        pass_on(patch, y, result);
        continue;
      }
      for (const auto& [i, operand] : inputs) patch.set_input(node, i, operand);
      for (const Attribute& a : r.attributes) patch.set_attribute(node, a);
      for (int i = 0; i < node->num_outputs(); ++i) {
        if (!node->has_output(i)) continue;
        if (!orders_.contains(node->output(i))) {
          patch.keep_output(node->output(i));
          continue;
        }
        native.emplace(node->output(i), node->output(i));
        pass_on(patch, node->output(i), node->output(i));
      }
    }
    return patch;
  }

 private:
  void reach(const Value* value, const AxisOrder& order) {
    if (orders_.emplace(value, order).second) values_.push_back(value);
  }

  // Takes in what reads the value and what computes it.
  void grow_from(const Value* value) {
    const AxisOrder order = orders_.at(value);
    for (const Use& use : value->uses()) take(use.node, order);
    if (value->producer()) take(value->producer(), order);
  }

  void take(Node* node, const AxisOrder& order) {
    if (nodes_.size() == kMostNodes || node->graph() != seed_.graph() || nodes_.contains(node)) return;
    const auto r = fitting(*node, order);
    if (!r) return;
    nodes_.emplace(node, *r);
    members_.push_back(node);
    for (int i : r->data) reach(node->input(i), order);
    if (is_identity(r->output)) return;
    for (int i = 0; i < node->num_outputs(); ++i) {
      if (node->has_output(i)) reach(node->output(i), r->output);
    }
  }

  // How the node computes with the order, when all that it shares with the region has the order there too.
  std::optional<Reordered> fitting(const Node& node, const AxisOrder& order) const {
    if (context_.kept.contains(&node) || node.is("Transpose")) return std::nullopt;
    std::optional<Reordered> r;
    try {
      r = reordered(node, order, context_);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
    }
    if (!r || r->data.empty()) return std::nullopt;
    const auto agrees = [&](const Value* v, const AxisOrder& o) {
      if (v->uses().size() > kMostReaders) return false;
      const auto it = orders_.find(v);
      return it == orders_.end() || it->second == o;
    };
    for (int i = 0; i < node.num_inputs(); ++i) {
      const bool is_data = std::ranges::find(r->data, i) != r->data.end();
      const Value* v = node.input(i);
      if (is_data ? !agrees(v, order) : v && orders_.contains(v)) return std::nullopt;
    }
    for (int i = 0; i < node.num_outputs(); ++i) {
      if (node.has_output(i) && !agrees(node.output(i), r->output)) return std::nullopt;
    }
    return r;
  }

  const AxisOrder& order_of(const Node& node) const {
    return orders_.at(node.input(nodes_.at(&node).data[0]));
  }

  // The Transpose that computes the value from what the region would read.
  const Node* source_of(const Value* value) const {
    const Node* source = producer_of(value, "Transpose");
    if (!source || source->graph() != seed_.graph() || context_.kept.contains(source)) return nullptr;
    return permutation(*source, context_) == orders_.at(value) ? source : nullptr;
  }

  bool undoes(const Use& use, const AxisOrder& order) const {
    return is_plain(*use.node, "Transpose") && use.node->graph() == seed_.graph() &&
           !context_.kept.contains(use.node) && permutation(*use.node, context_) == inverse(order);
  }
  std::vector<const Node*> undoing(const Value* value) const {
    std::vector<const Node*> out;
    const auto order = orders_.find(value);
    if (order == orders_.end() || !is_computed_inside(value)) return out;
    for (const Use& use : value->uses()) {
      if (undoes(use, order->second)) out.push_back(use.node);
    }
    return out;
  }
  bool is_computed_inside(const Value* value) const {
    return value->producer() && nodes_.contains(value->producer());
  }
  // By those that need it as it is now.
  bool is_read_outside(const Value* value) const {
    const auto order = orders_.find(value);
    if (order == orders_.end()) return false;
    const bool inside = is_computed_inside(value);
    return value->is_graph_output() || std::ranges::any_of(value->uses(), [&](const Use& use) {
             return !nodes_.contains(use.node) && !(inside && undoes(use, order->second));
           });
  }
  bool is_read_inside(const Value* value) const {
    return std::ranges::any_of(value->uses(), [&](const Use& use) {
      const auto it = nodes_.find(use.node);
      return it != nodes_.end() && std::ranges::find(it->second.data, use.index) != it->second.data.end();
    });
  }

  // Of the Transposes that would undo the order of the value, if it had it.
  Cost undone_cost(const Value* value) const {
    Cost cost;
    for (const Use& use : value->uses()) {
      if (undoes(use, orders_.at(value))) cost += cost_of(value, orders_.at(value), context_);
    }
    return cost;
  }

  Cost cost_now(const Value* value) const {
    const bool inside = is_computed_inside(value);
    const bool transposed = inside || source_of(value) ? is_read_outside(value) : is_read_inside(value);
    Cost cost = transposed ? cost_of(value, orders_.at(value), context_) : Cost();
    if (!inside) cost += undone_cost(value);
    return cost;
  }

  // Nodes that can go without its costing more.
  void shrink() {
    for (bool again = true; again;) {
      again = false;
      for (const Node* node : members_) {
        const Reordered& r = nodes_.at(node);
        std::vector<const Value*> around;
        const auto add = [&](const Value* v) {
          if (std::ranges::find(around, v) == around.end()) around.push_back(v);
        };
        for (int i : r.data) add(node->input(i));
        // A copy has one output, and what takes over names of outputs one name.
        bool must = false;
        int64_t outputs = 0;
        for (int i = 0; i < node->num_outputs(); ++i) {
          const Value* y = node->output(i);
          if (!y || !orders_.contains(y)) continue;
          add(y);
          must = must || (node->num_outputs() > 1 && is_read_outside(y));
          outputs += std::ranges::count_if(undoing(y),
                                           [](const Node* n) { return n->output(0)->is_graph_output(); });
        }
        Cost with, without;
        for (const Value* v : around) with += cost_now(v);
        auto removed = nodes_.extract(node);
        for (const Value* v : around) without += cost_now(v);
        if (must || outputs > 1 || without <= with) {
          again = true;
        } else {
          nodes_.insert(std::move(removed));
        }
      }
      std::erase_if(members_, [&](const Node* n) { return !nodes_.contains(n); });
    }
  }

  // Each after those that compute what it reads.
  std::vector<Node*> in_order() const {
    std::vector<Node*> order;
    std::unordered_map<const Node*, int> waiting;
    for (Node* node : members_) {
      int& count = waiting[node];
      for (int i : nodes_.at(node).data) count += nodes_.contains(node->input(i)->producer());
      if (count == 0) order.push_back(node);
    }
    for (size_t next = 0; next < order.size(); ++next) {
      for (int i = 0; i < order[next]->num_outputs(); ++i) {
        if (!order[next]->has_output(i)) continue;
        for (const Use& use : order[next]->output(i)->uses()) {
          const auto it = nodes_.find(use.node);
          if (it == nodes_.end() || std::ranges::find(it->second.data, use.index) == it->second.data.end())
            continue;
          if (--waiting[use.node] == 0) order.push_back(use.node);
        }
      }
    }
    return order;
  }

  // In the list of the graph's nodes.
  const Node* first_reader(const Value* value) const {
    std::vector<const Node*> readers;
    for (const Use& use : value->uses()) {
      if (nodes_.contains(use.node)) readers.push_back(use.node);
    }
    if (readers.size() == 1) return readers[0];
    for (const Node* node : seed_.graph()->nodes()) {
      if (std::ranges::find(readers, node) != readers.end()) return node;
    }
    fail(ErrorCode::internal, "nobody reads {}", quoted(value->name()));
  }

  // What undid the Transpose of the value goes.
  void pass_on(Patch& patch, const Value* value, Operand by) const {
    std::vector<const Node*> all = undoing(value);
    std::ranges::stable_partition(all, [](const Node* n) { return !n->output(0)->is_graph_output(); });
    for (const Node* undone : all) patch.replace(undone->output(0), by);
  }

  const Node& seed_;
  const RuleContext& context_;
  // The values that nodes of the region read or compute, with the order of each, as they were found.
  std::vector<const Value*> values_;
  std::unordered_map<const Value*, AxisOrder> orders_;
  std::vector<Node*> members_;
  std::unordered_map<const Node*, Reordered> nodes_;
};

}  // namespace

RuleResult move_transposes(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Transpose") || context.kept.contains(&node)) return NoMatch{};
  const auto order = permutation(node, context);
  if (!order || is_identity(*order)) return NoMatch{};
  // What reads its output could read its input; or what computes its input could compute its output.
  Region behind(node, context), before(node, context);
  if (behind.find(node.output(0), *order)) return behind.patch();
  if (before.find(node.input(0), inverse(*order))) return before.patch();
  return NoMatch{};
}

}  // namespace plica
