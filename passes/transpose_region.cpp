#include "passes/transpose_region.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/ops/node_parameters.h"
#include "passes/fold/carry.h"
#include "passes/match.h"

namespace plica {
namespace {

// A region grows no further, and not to a value that more nodes read: each of many Transposes looks at it
// anew.
constexpr size_t kMostNodes = 128, kMostReaders = 256;

}  // namespace

std::optional<AxisOrder> permutation_of(const Node& transpose, const RuleContext& context) {
  return transpose_permutation(infer_context(transpose, context));
}

bool TransposeRegion::find(const Value* value, const AxisOrder& order) {
  if (value->uses().size() > kMostReaders) return false;
  reach(value, order);
  for (size_t i = 0; i < values_.size(); ++i) grow_from(values_[i]);
  shrink();
  if (nodes_.empty()) return false;
  Cost before, after;
  for (const Value* value : values_) {
    after += cost_now(value);
    before += undone_cost(value);
    if (source_of(value)) before += cost_of(value);
  }
  return after < before;
}

void TransposeRegion::reach(const Value* value, const AxisOrder& order) {
  if (orders_.emplace(value, order).second) values_.push_back(value);
}

// Takes in what reads the value and what computes it.
void TransposeRegion::grow_from(const Value* value) {
  const AxisOrder order = orders_.at(value);
  for (const Use& use : value->uses()) take(use.node, order);
  if (value->producer()) take(value->producer(), order);
}

void TransposeRegion::take(Node* node, const AxisOrder& order) {
  if (nodes_.size() == kMostNodes || node->graph() != &graph_ || nodes_.contains(node)) return;
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
std::optional<Reordered> TransposeRegion::fitting(const Node& node, const AxisOrder& order) const {
  if (context_.kept.contains(&node) || node.is("Transpose")) return std::nullopt;
  std::optional<Reordered> r;
  try {
    r = reordered(node, order, context_);
  } catch (const Error& error) {
    if (ends_work(error)) throw;
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

const Node* TransposeRegion::source_of(const Value* value) const {
  const Node* source = producer_of(value, "Transpose");
  if (!source || source->graph() != &graph_ || context_.kept.contains(source)) return nullptr;
  return permutation_of(*source, context_) == orders_.at(value) ? source : nullptr;
}

bool TransposeRegion::undoes(const Use& use, const AxisOrder& order) const {
  return is_plain(*use.node, "Transpose") && use.node->graph() == &graph_ &&
         !context_.kept.contains(use.node) && permutation_of(*use.node, context_) == inverse(order);
}
std::vector<const Node*> TransposeRegion::undoing(const Value* value) const {
  std::vector<const Node*> out;
  const auto order = orders_.find(value);
  if (order == orders_.end() || !is_computed_inside(value)) return out;
  for (const Use& use : value->uses()) {
    if (undoes(use, order->second)) out.push_back(use.node);
  }
  return out;
}
bool TransposeRegion::is_computed_inside(const Value* value) const {
  return value->producer() && nodes_.contains(value->producer());
}
bool TransposeRegion::is_read_outside(const Value* value) const {
  const auto order = orders_.find(value);
  if (order == orders_.end()) return false;
  const bool inside = is_computed_inside(value);
  return value->is_graph_output() || std::ranges::any_of(value->uses(), [&](const Use& use) {
           return !nodes_.contains(use.node) && !(inside && undoes(use, order->second));
         });
}
bool TransposeRegion::is_read_inside(const Value* value) const {
  return std::ranges::any_of(value->uses(), [&](const Use& use) {
    const auto it = nodes_.find(use.node);
    return it != nodes_.end() && std::ranges::find(it->second.data, use.index) != it->second.data.end();
  });
}

// Of transposing the value to or from its order.
TransposeRegion::Cost TransposeRegion::cost_of(const Value* value) const {
  const AxisOrder& order = orders_.at(value);
  const auto& shape = context_.facts.of(value).type.shape;
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

// Of the Transposes that would undo the order of the value, if it had it.
TransposeRegion::Cost TransposeRegion::undone_cost(const Value* value) const {
  Cost cost;
  for (const Use& use : value->uses()) {
    if (undoes(use, orders_.at(value))) cost += cost_of(value);
  }
  return cost;
}

TransposeRegion::Cost TransposeRegion::cost_now(const Value* value) const {
  const bool inside = is_computed_inside(value);
  const bool transposed = inside || source_of(value) ? is_read_outside(value) : is_read_inside(value);
  Cost cost = transposed ? cost_of(value) : Cost();
  if (!inside) cost += undone_cost(value);
  return cost;
}

// Nodes that can go without its costing more.
void TransposeRegion::shrink() {
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
        outputs +=
            std::ranges::count_if(undoing(y), [](const Node* n) { return n->output(0)->is_graph_output(); });
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

std::vector<Node*> TransposeRegion::in_order() const {
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

const Node* TransposeRegion::first_reader(const Value* value) const {
  std::vector<const Node*> readers;
  for (const Use& use : value->uses()) {
    if (nodes_.contains(use.node)) readers.push_back(use.node);
  }
  if (readers.size() == 1) return readers[0];
  for (const Node* node : graph_.nodes()) {
    if (std::ranges::find(readers, node) != readers.end()) return node;
  }
  fail(ErrorCode::internal, "nobody reads {}", quoted(value->name()));
}

}  // namespace plica
