#include "engine/graph/graph.h"

#include <algorithm>
#include <queue>
#include <unordered_set>

#include "engine/core/fail.h"
#include "engine/graph/model_graph.h"

namespace plica {

// ---- Value, Node

bool Value::has_single_use() const {
  return uses_.size() == 1 && graph_output_uses_ == 0 && uses_[0].node->graph() == graph_;
}

const Tensor* Value::constant() const {
  if (initializer_.defined()) {
    return is_input_ && graph_->model().ir_version >= 4 ? nullptr : &initializer_;
  }
  if (producer_ && producer_->is("Constant")) {
    if (const Attribute* a = producer_->attributes().find("value")) return std::get_if<Tensor>(&a->value);
  }
  return nullptr;
}

int64_t Node::opset() const { return imported_opset != 0 ? imported_opset : graph_->opset(domain_); }

std::string describe(const Node& node) {
  std::string label = node.name;
  for (int i = 0; label.empty() && i < node.num_outputs(); ++i) {
    if (node.has_output(i)) label = node.output(i)->name();
  }
  std::string type = node.domain().empty() ? node.op_type() : node.domain() + "." + node.op_type();
  // The operator's name comes from the file too: quoted() makes it safe, the quotes are dropped.
  type = quoted(type);
  return fmt::format("node {} ({}, opset {})", quoted(label), type.substr(1, type.size() - 2), node.opset());
}

// ---- Graph: reading

Graph::~Graph() {
  for (auto& node : nodes_) drop_all_links(node.get());
  nodes_.clear();  // subgraphs go here, while the values that they capture still exist
  for (Value* output : outputs_) --output->graph_output_uses_;
}

Graph& Graph::root() const {
  const Graph* g = this;
  while (g->parent_) g = g->parent_->graph_;
  return const_cast<Graph&>(*g);
}

int64_t Graph::opset(std::string_view domain) const {
  const auto* opsets = root().opsets_;
  if (!opsets) return 0;
  for (const auto& [name, version] : *opsets) {
    if (name == domain || (domain.empty() && name == "ai.onnx")) return version;
  }
  return 0;
}

std::vector<Value*> Graph::initializers() const {
  std::vector<Value*> out;
  for (const auto& v : values_) {
    if (v->initializer_.defined()) out.push_back(v.get());
  }
  return out;
}

std::vector<Node*> Graph::nodes() const {
  std::vector<Node*> out;
  out.reserve(nodes_.size());
  for (const auto& n : nodes_) out.push_back(n.get());
  return out;
}

std::vector<Value*> Graph::values() const {
  std::vector<Value*> out;
  out.reserve(values_.size());
  for (const auto& v : values_) out.push_back(v.get());
  return out;
}

Value* Graph::find(std::string_view name) const {
  auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second->get();
}

Value* Graph::lookup(std::string_view name) const {
  for (const Graph* g = this; g; g = g->parent()) {
    if (Value* v = g->find(name)) return v;
  }
  return nullptr;
}

namespace {

// Calls f(Value*) for every value of graph `scope` that the node's subgraphs (at any depth) read or output.
template <class F>
void for_each_capture(const Node& node, const Graph& scope, F&& f) {
  for_each_subgraph(node.attributes(), [&](Graph& sub) {
    for (Value* v : sub.outputs()) {
      if (v->graph() == &scope) f(v);
    }
    for (Node* inner : sub.nodes()) {
      for (int i = 0; i < inner->num_inputs(); ++i) {
        if (Value* v = inner->input(i); v && v->graph() == &scope) f(v);
      }
      for_each_capture(*inner, scope, f);
    }
  });
}

template <class F>
void for_each_dependency(const Node& node, const Graph& scope, F&& f) {
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (Value* v = node.input(i); v && v->graph() == &scope) f(v);
  }
  for_each_capture(node, scope, f);
}

}  // namespace

std::vector<Node*> Graph::topological_order() const {
  // Kahn's algorithm with a queue by list position, so that a sorted list stays as it is.
  const std::vector<Node*> list = nodes();
  std::unordered_map<const Node*, size_t> position;
  position.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) position.emplace(list[i], i);

  std::vector<int> missing(list.size(), 0);
  std::vector<std::vector<size_t>> followers(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    for_each_dependency(*list[i], *this, [&](Value* v) {
      if (v->producer_) {
        followers[position.at(v->producer_)].push_back(i);
        ++missing[i];
      }
    });
  }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < list.size(); ++i) {
    if (missing[i] == 0) ready.push(i);
  }
  std::vector<Node*> order;
  order.reserve(list.size());
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    order.push_back(list[i]);
    for (size_t follower : followers[i]) {
      if (--missing[follower] == 0) ready.push(follower);
    }
  }
  if (order.size() != list.size()) {
    // Every node that is left waits for another such: walking back from any of them ends in a cycle.
    size_t at = static_cast<size_t>(std::ranges::find_if(missing, [](int m) { return m > 0; }) - missing.begin());
    for (std::vector<bool> seen(list.size()); !seen[at];) {
      seen[at] = true;
      size_t next = at;
      for_each_dependency(*list[at], *this, [&](Value* v) {
        if (v->producer_ && missing[position.at(v->producer_)] > 0) next = position.at(v->producer_);
      });
      at = next;
    }
    throw Error(ErrorCode::invalid_model, describe(*list[at]) + " is part of a cycle");
  }
  return order;
}

// ---- Graph: editing values

std::string Graph::fresh_name(std::string_view base) const {
  const auto& taken = root().tree_names_;
  const auto numbered = [base](int64_t i) { return fmt::format("{}_{}", base, i); };
  if (!base.empty() && !taken.contains(std::string(base))) return std::string(base);
  constexpr int64_t kFew = 16;
  for (int64_t i = 1; i <= kFew; ++i) {
    if (!taken.contains(numbered(i))) return numbered(i);
  }
  // With many of the name, not one by one: a free number after a taken one.
  int64_t low = kFew, high = 2 * kFew;
  for (; taken.contains(numbered(high)); high *= 2) low = high;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (taken.contains(numbered(middle)) ? low : high) = middle;
  }
  return numbered(high);
}

Value* Graph::new_value(std::string name, Type type) {
  require(!name.empty(), ErrorCode::invalid_model, "a value needs a name");
  require(!by_name_.contains(name), ErrorCode::invalid_model, "the name {} is defined twice", quoted(name));
  auto value = std::make_unique<Value>();
  value->name_ = std::move(name);
  value->type_ = std::move(type);
  value->graph_ = this;
  values_.push_back(std::move(value));
  auto it = std::prev(values_.end());
  by_name_.emplace((*it)->name_, it);
  ++root().tree_names_[(*it)->name_];
  return it->get();
}

Value* Graph::add_input(std::string name, Type type) {
  Value* v = new_value(std::move(name), std::move(type));
  v->is_input_ = true;
  inputs_.push_back(v);
  return v;
}

Value* Graph::add_initializer(std::string name, Tensor tensor) {
  Value* v = new_value(std::move(name), Type::tensor(tensor.type(), Shape(tensor.dims())));
  v->initializer_ = std::move(tensor);
  return v;
}

Value* Graph::add_value(std::string name, Type type) { return new_value(std::move(name), std::move(type)); }

void Graph::set_initializer(Value* value, Tensor tensor) { value->initializer_ = std::move(tensor); }

void Graph::set_type(Value* value, Type type) { value->type_ = std::move(type); }

void Graph::rename(Value* value, std::string name) {
  if (name == value->name_) return;
  require(!name.empty(), ErrorCode::invalid_model, "a value needs a name");
  require(!by_name_.contains(name), ErrorCode::invalid_model, "the name {} is defined twice", quoted(name));
  auto it = by_name_.at(value->name_);
  auto& tree = root().tree_names_;
  if (--tree[value->name_] == 0) tree.erase(value->name_);
  by_name_.erase(value->name_);
  value->name_ = std::move(name);
  by_name_.emplace(value->name_, it);
  ++tree[value->name_];
}

void Graph::add_output(Value* value) {
  outputs_.push_back(value);
  ++value->graph_output_uses_;
}

void Graph::set_output(size_t index, Value* value) {
  --outputs_[index]->graph_output_uses_;
  outputs_[index] = value;
  ++value->graph_output_uses_;
}

void Graph::remove_output(size_t index) {
  --outputs_[index]->graph_output_uses_;
  outputs_.erase(outputs_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Graph::remove_input(size_t index) {
  Value* v = inputs_[index];
  inputs_.erase(inputs_.begin() + static_cast<std::ptrdiff_t>(index));
  v->is_input_ = false;
  if (!v->initializer_.defined()) remove_value(v);
}

void Graph::remove_value(Value* value) {
  require(!value->has_uses() && !value->producer_ && !value->is_input_, ErrorCode::internal,
          "removing {}, which is in use", quoted(value->name_));
  auto& tree = root().tree_names_;
  if (--tree[value->name_] == 0) tree.erase(value->name_);
  auto it = by_name_.at(value->name_);
  by_name_.erase(value->name_);
  values_.erase(it);
}

void Graph::replace_all_uses(Value* from, Value* to) {
  if (from == to) return;
  for (const Use& use : std::vector<Use>(from->uses_.begin(), from->uses_.end())) {
    set_input(use.node, use.index, to);
  }
  if (from->graph_output_uses_ == 0) return;
  // The outputs that list it: this graph's, and those of the subgraphs that capture it.
  const auto replace_outputs = [&](auto&& self, Graph& g) -> void {
    for (size_t i = 0; i < g.outputs_.size(); ++i) {
      if (g.outputs_[i] == from) g.set_output(i, to);
    }
    for (const auto& node : g.nodes_) {
      if (from->graph_output_uses_ == 0) return;
      for_each_subgraph(node->attributes_, [&](Graph& sub) { self(self, sub); });
    }
  };
  replace_outputs(replace_outputs, *from->graph_);
}

// ---- Graph: editing nodes

void Graph::add_use(Node* node, int index, Value* value) {
  auto& input = node->inputs_[static_cast<size_t>(index)];
  input.value = value;
  if (!value) return;
  input.use = value->uses_.size();
  value->uses_.push_back({node, index});
}

void Graph::drop_use(Node* node, int index) {
  auto& input = node->inputs_[static_cast<size_t>(index)];
  Value* value = input.value;
  if (!value) return;
  // The last use takes the freed place: constant time however many readers there are.
  const Use last = value->uses_.back();
  value->uses_[input.use] = last;
  last.node->inputs_[static_cast<size_t>(last.index)].use = input.use;
  value->uses_.pop_back();
  input.value = nullptr;
}

void Graph::drop_all_links(Node* node) {
  for (int i = 0; i < node->num_inputs(); ++i) drop_use(node, i);
  for_each_subgraph(node->attributes_, [&](Graph& sub) { orphan(sub); });
}

void Graph::adopt(Graph& subgraph, Node* node) {
  require(!subgraph.parent_ || subgraph.parent_ == node, ErrorCode::internal, "a subgraph belongs to two nodes");
  if (subgraph.parent_) return;
  subgraph.parent_ = node;
  // Its names join the tree's.
  auto& tree = root().tree_names_;
  for (const auto& [name, count] : subgraph.tree_names_) tree[name] += count;
  subgraph.tree_names_.clear();
}

void Graph::orphan(Graph& subgraph) {
  auto& tree = root().tree_names_;
  const auto move_names = [&](auto&& self, const Graph& g) -> void {
    for (const auto& value : g.values_) {
      if (auto it = tree.find(value->name_); it != tree.end() && --it->second == 0) tree.erase(it);
      ++subgraph.tree_names_[value->name_];
    }
    for (const auto& node : g.nodes_) for_each_subgraph(node->attributes_, [&](const Graph& sub) { self(self, sub); });
  };
  move_names(move_names, subgraph);
  subgraph.parent_ = nullptr;
}

void Graph::orphan_attribute(Node* node, std::string_view name) {
  const Attribute* attribute = node->attributes_.find(name);
  if (!attribute) return;
  Attributes one;
  one.set(*attribute);
  for_each_subgraph(one, [&](Graph& sub) { orphan(sub); });
}

Node* Graph::add_node(std::string op_type, std::string domain, std::vector<Value*> inputs,
                      std::vector<Value*> outputs, Attributes attributes, Node* before) {
  for (Value* v : outputs) {
    require(!v || (v->graph_ == this && !v->producer_ && !v->is_input_ && !v->initializer_.defined()),
            ErrorCode::invalid_model, "the name {} is defined twice", v ? quoted(v->name_) : "");
  }
  auto it = nodes_.insert(before ? before->place_ : nodes_.end(), std::make_unique<Node>());
  Node* node = it->get();
  node->place_ = it;
  node->graph_ = this;
  node->op_type_ = std::move(op_type);
  node->domain_ = std::move(domain);
  node->inputs_.resize(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) add_use(node, static_cast<int>(i), inputs[i]);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i]) continue;
    outputs[i]->producer_ = node;
    outputs[i]->output_index_ = static_cast<int>(i);
  }
  node->outputs_ = std::move(outputs);
  node->attributes_ = std::move(attributes);
  for_each_subgraph(node->attributes_, [&](Graph& sub) { adopt(sub, node); });
  return node;
}

Graph* Graph::add_subgraph(Node* node, std::string attribute_name) {
  auto sub = std::make_shared<Graph>(model_);
  Graph* raw = sub.get();
  Attribute a;
  a.name = std::move(attribute_name);
  a.value = std::move(sub);
  set_attribute(node, std::move(a));
  return raw;
}

Graph* Graph::append_subgraph(Node* node, std::string attribute_name) {
  auto sub = std::make_shared<Graph>(model_);
  Graph* raw = sub.get();
  adopt(*raw, node);
  Attribute a;
  a.name = std::move(attribute_name);
  std::vector<GraphPtr> list;
  if (const Attribute* existing = node->attributes_.find(a.name)) {
    a = *existing;
    if (auto* graphs = std::get_if<std::vector<GraphPtr>>(&a.value)) list = std::move(*graphs);
  }
  list.push_back(std::move(sub));
  a.value = std::move(list);
  node->attributes_.set(std::move(a));
  return raw;
}

void Graph::set_input(Node* node, int index, Value* value) {
  drop_use(node, index);
  add_use(node, index, value);
}

void Graph::resize_inputs(Node* node, int count) {
  for (int i = count; i < node->num_inputs(); ++i) drop_use(node, i);
  node->inputs_.resize(static_cast<size_t>(count));
}

void Graph::set_attribute(Node* node, Attribute attribute) {
  Attributes one;
  one.set(attribute);
  orphan_attribute(node, attribute.name);
  for_each_subgraph(one, [&](Graph& sub) { adopt(sub, node); });
  node->attributes_.set(std::move(attribute));
}

void Graph::remove_attribute(Node* node, std::string_view name) {
  orphan_attribute(node, name);
  node->attributes_.remove(name);
}

void Graph::detach_outputs(Node* node) {
  for (Value*& v : node->outputs_) {
    if (!v) continue;
    v->producer_ = nullptr;
    v->output_index_ = -1;
    v = nullptr;
  }
}

void Graph::remove_node(Node* node) {
  std::vector<Value*> outputs;
  for (Value* v : node->outputs_) {
    if (v) outputs.push_back(v);
  }
  for (Value* v : outputs) {
    require(!v->has_uses(), ErrorCode::internal, "removing the producer of {}, which is in use", quoted(v->name_));
  }
  detach_outputs(node);
  drop_all_links(node);
  nodes_.erase(node->place_);
  for (Value* v : outputs) remove_value(v);
}

void Graph::move_before(Node* node, Node* before) { nodes_.splice(before->place_, nodes_, node->place_); }

void Graph::sort() {
  for (Node* node : topological_order()) nodes_.splice(nodes_.end(), nodes_, node->place_);
}

// ---- Graph: checks

void Graph::verify() const {
  const auto internal = [](bool ok, const Node& node, std::string_view what) {
    if (!ok) throw Error(ErrorCode::internal, fmt::format("{}: {}", describe(node), what));
  };
  std::unordered_set<const Value*> defined;
  for (const auto& v : values_) {
    require(v->graph_ == this && by_name_.contains(v->name_), ErrorCode::internal, "value {} has lost its graph",
            quoted(v->name_));
    if (v->is_input_ || v->initializer_.defined()) {
      defined.insert(v.get());
      require(!v->producer_, ErrorCode::invalid_model, "the name {} is defined twice", quoted(v->name_));
    }
    for (const Use& use : v->uses_) {
      internal(use.node->input(use.index) == v.get(), *use.node, "broken use-list");
    }
  }
  for (const auto& owned : nodes_) {
    const Node& node = *owned;
    internal(node.graph_ == this, node, "has lost its graph");
    for (int i = 0; i < node.num_inputs(); ++i) {
      const Value* v = node.input(i);
      if (!v) continue;
      const auto use = node.inputs_[static_cast<size_t>(i)].use;
      internal(use < v->uses_.size() && v->uses_[use].node == &node && v->uses_[use].index == i, node,
               "broken use-list");
    }
    for_each_dependency(node, *this, [&](const Value* v) {
      if (defined.contains(v)) return;
      throw Error(ErrorCode::invalid_model,
                  fmt::format("{}: input {} is {}", describe(node), quoted(v->name_),
                              v->producer_ ? "computed by a later node" : "not defined"));
    });
    for_each_subgraph(node.attributes_, [&](Graph& sub) {
      internal(sub.parent_ == &node, node, "shares a subgraph with another node");
      sub.verify();
    });
    for (int i = 0; i < node.num_outputs(); ++i) {
      const Value* v = node.output(i);
      if (!v) continue;
      internal(v->producer_ == &node && v->output_index_ == i && v->graph_ == this, node, "broken output");
      defined.insert(v);
    }
  }
  for (const Value* v : outputs_) {
    bool known = defined.contains(v);
    for (const Graph* g = parent(); !known && g; g = g->parent()) known = v->graph_ == g;
    require(known, ErrorCode::invalid_model, "graph output {} is not computed", quoted(v->name_));
  }
}

}  // namespace plica
