#include "passes/apply.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "passes/dying.h"
#include "passes/patch_types.h"

namespace plica {
namespace {

// Where a new constant lives. Model functions have no initializers; a graph output stays computed by a node;
// and before IR version 4 an initializer had to be an input of the main graph too, which a weight may become
// but not what a node computed.
bool becomes_node(const ModelGraph& model, const Patch& patch, size_t made) {
  if (!patch.graph().parent() && &patch.graph() != &model.graph) return true;
  for (const auto& r : patch.replacements()) {
    if (r.by.made == static_cast<int>(made)) return r.from->is_graph_output() || model.ir_version < 4;
  }
  return false;
}

// ---- checks

// Empty when one may stand where the other was.
std::string disagreement(const Type& before, const Type& after) {
  if (before.kind == Type::Kind::unknown || after.kind == Type::Kind::unknown) return {};
  const bool types_agree = before.kind == after.kind &&
                           (before.element == after.element || before.element == DataType::undefined ||
                            after.element == DataType::undefined);
  bool shapes_agree = true;
  if (before.shape && after.shape) {
    shapes_agree = before.shape->rank() == after.shape->rank();
    for (int i = 0; shapes_agree && i < before.shape->rank(); ++i) {
      const Dim &a = (*before.shape)[i], &b = (*after.shape)[i];
      shapes_agree = !a.is_known() || !b.is_known() || a.value() == b.value();
    }
  }
  if (types_agree && shapes_agree) return {};
  return fmt::format("the result would be {} instead of {}", to_string(after), to_string(before));
}

// Who sees that `value` holds something else: a reader that stays and that the patch does not speak of.
std::optional<Skip> seen_by_others(const Value& value, const DyingNodes& dying) {
  if (value.is_graph_output()) {
    return Skip{fmt::format("{} is an output of the graph", quoted(value.name())), "", value.producer()};
  }
  for (const Use& use : value.uses()) {
    if (dying.drops(use) || dying.is_edited(use.node)) continue;
    return Skip{fmt::format("{} is also read by {}", quoted(value.name()), describe(*use.node)), "",
                use.node};
  }
  return std::nullopt;
}

// Why the patch cannot be applied; nothing when it can.
std::optional<Skip> check(const ModelGraph& model, const Patch& patch, const DyingNodes& dying,
                          const PatchTypes& types, const ModelFacts& facts,
                          const std::unordered_set<const Node*>& kept) {
  const auto is_kept = [&](const Node* node) -> std::optional<Skip> {
    if (!node || !kept.contains(node)) return std::nullopt;
    return Skip{"node " + quoted(label_of(*node)) + " is to be kept as it is",
                "leave it out of the list of nodes to keep", node};
  };
  for (const auto& edit : patch.input_edits()) {
    if (auto skip = is_kept(edit.node)) return skip;
  }
  for (const auto& edit : patch.attribute_edits()) {
    if (auto skip = is_kept(edit.node)) return skip;
  }
  for (const Node* node : patch.carried()) {
    if (auto skip = is_kept(node)) return skip;
  }
  for (const Node* node : patch.removed_nodes()) {
    if (auto skip = is_kept(node)) return skip;
    if (!dying.contains(node)) return Skip{"its outputs are in use", "", node};
  }
  for (const auto& r : patch.replacements()) {
    if (auto skip = is_kept(r.from->producer())) return skip;
    if (!r.from->producer() || !dying.contains(r.from->producer())) {
      return Skip{"other outputs of the node are in use", "", r.from->producer()};
    }
    const bool redefined = r.by.value && types.redefined(r.by.value);
    if (r.by.value && !redefined && !can_replace(*r.from, *r.by.value)) {
      return Skip{fmt::format("the name of {} must stay", quoted(r.from->name())), "", nullptr};
    }
    if (redefined && r.by.value->graph() != r.from->graph()) {
      return Skip{fmt::format("{} is computed outside of this subgraph", quoted(r.by.value->name())), "",
                  r.by.value->producer()};
    }
    if (auto why = disagreement(facts.of(r.from).type, types.of(r.by).type); !why.empty())
      return Skip{why, "", r.from->producer()};
    if (!r.same) {
      if (auto skip = seen_by_others(*r.from, dying)) return skip;
    }
  }

  for (const Node* node : types.edited()) {
    for (int i = 0; i < node->num_outputs(); ++i) {
      const Value* value = node->output(i);
      if (!value) continue;
      if (types.redefined(value)) {
        if (auto skip = seen_by_others(*value, dying)) return skip;
      } else if (auto why = disagreement(facts.of(value).type, types.outputs().at(value).type);
                 !why.empty()) {
        return Skip{why, "", node};
      }
    }
  }

  size_t new_nodes = 0;
  for (size_t i = 0; i < patch.made().size(); ++i) {
    new_nodes += std::holds_alternative<Patch::NewNode>(patch.made()[i]) || becomes_node(model, patch, i);
  }
  if (new_nodes > dying.nodes().size()) return Skip{"the graph would get more nodes", "", nullptr};
  return std::nullopt;
}

// ---- edits

class Editor {
 public:
  Editor(ModelGraph& model, ModelFacts& facts, const Patch& patch, const PatchTypes& types)
      : model_(model), facts_(facts), patch_(patch), types_(types) {}

  void apply(const DyingNodes& dying, const std::function<void(const Node&)>& gone) {
    make_all();
    for (const auto& edit : patch_.input_edits()) {
      Graph& graph = *edit.node->graph();
      if (Value* old = edit.node->input(edit.index)) maybe_unused_.push_back(old);
      if (edit.node->num_inputs() <= edit.index) graph.resize_inputs(edit.node, edit.index + 1);
      graph.set_input(edit.node, edit.index, resolve(edit.to));
    }
    for (const auto& edit : patch_.attribute_edits()) {
      Graph& graph = *edit.node->graph();
      if (std::holds_alternative<std::monostate>(edit.attribute.value)) {
        graph.remove_attribute(edit.node, edit.attribute.name);
      } else {
        graph.set_attribute(edit.node, edit.attribute);
      }
    }
    for (const auto& [value, f] : types_.outputs()) set_facts(value, f, value->type());

    struct Takeover {
      Value* value;
      std::string name, doc_string, extension;
      Type type;
      Metadata metadata;
    };
    std::vector<Takeover> takeovers;
    std::unordered_set<const Value*> named;
    for (const auto& r : patch_.replacements()) {
      Value* by = resolve(r.by);
      if (r.same && (r.by.made >= 0 || types_.redefined(by) || r.from->is_graph_output())) {
        takeovers.push_back(
            {by, r.from->name(), r.from->doc_string, r.from->extension, r.from->type(), r.from->metadata});
        named.insert(by);
      }
      r.from->graph()->replace_all_uses(r.from, by);
    }
    remove_nodes(dying, gone);
    remove_constants();
    for (Takeover& t : takeovers) {
      Graph& graph = *t.value->graph();
      graph.rename(t.value, std::move(t.name));
      if (t.type.kind != Type::Kind::unknown) graph.set_type(t.value, std::move(t.type));
      t.value->doc_string = std::move(t.doc_string);
      t.value->extension = std::move(t.extension);
      t.value->metadata = std::move(t.metadata);
    }
    // A name always means the same: what is redefined and takes over no other's gets one of its own.
    for (const Node* node : types_.edited()) {
      for (int i = 0; i < node->num_outputs(); ++i) {
        Value* v = node->output(i);
        if (v && types_.redefined(v) && !named.contains(v)) {
          v->graph()->rename(v, v->graph()->fresh_name(v->name() + std::string(patch_.redefined_suffix)));
        }
      }
    }
    for (const auto& note : patch_.notes()) add_note(note);
  }

  Node* made_node(int made) const { return made_[static_cast<size_t>(made)]->producer(); }

 private:
  Value* resolve(const Operand& operand) const {
    return operand.made >= 0 ? made_[static_cast<size_t>(operand.made)] : operand.value;
  }

  void set_facts(const Value* value, Facts facts, const Type& declared) {
    if (facts.type.kind == Type::Kind::unknown) facts.type = declared;
    facts_.set(value, std::move(facts));
  }

  void make_all() {
    Graph& graph = patch_.graph();
    for (size_t i = 0; i < patch_.made().size(); ++i) {
      if (const auto* c = std::get_if<Patch::NewConstant>(&patch_.made()[i])) {
        made_.push_back(make_constant(graph, *c, i));
      } else {
        const auto& n = std::get<Patch::NewNode>(patch_.made()[i]);
        std::vector<Value*> inputs;
        for (const Operand& o : n.inputs) inputs.push_back(resolve(o));
        Value* output = graph.add_value(graph.fresh_name(n.output_base_name));
        Node* node =
            graph.add_node(n.op_type, "", inputs, {output}, n.attributes, const_cast<Node*>(n.before));
        node->name = n.name;
        if (n.like) {
          node->name = n.like->name;
          node->overload = n.like->overload;
          node->doc_string = n.like->doc_string;
          node->metadata = n.like->metadata;
          node->extension = n.like->extension;
        }
        made_.push_back(output);
      }
      facts_.set(made_.back(), types_.made(i));
    }
  }

  Value* make_constant(Graph& graph, const Patch::NewConstant& constant, size_t made) {
    if (becomes_node(model_, patch_, made)) {
      Attributes attributes;
      attributes.set("value", constant.tensor);
      Value* value = graph.add_value(graph.fresh_name(constant.base_name));
      graph.add_node("Constant", "", {}, {value}, std::move(attributes), const_cast<Node*>(constant.before));
      return value;
    }
    if (model_.ir_version < 4) {
      Value* value =
          model_.graph.add_input(model_.graph.fresh_name(constant.base_name),
                                 Type::tensor(constant.tensor.type(), Shape(constant.tensor.dims())));
      model_.graph.set_initializer(value, constant.tensor);
      return value;
    }
    return graph.add_initializer(graph.fresh_name(constant.base_name), constant.tensor);
  }

  void report_gone(const Node& node, const std::function<void(const Node&)>& gone) {
    gone(node);
    for (int i = 0; i < node.num_inputs(); ++i) {
      if (node.has_input(i)) maybe_unused_.push_back(node.input(i));
    }
    for (int i = 0; i < node.num_outputs(); ++i) facts_.forget(node.output(i));
    for_each_subgraph(node.attributes(), [&](const Graph& sub) {
      for (const Value* v : sub.values()) inside_removed_.insert(v);
      for (const Node* inner : sub.nodes()) report_gone(*inner, gone);
      for (const Value* v : sub.values()) facts_.forget(v);
    });
  }

  void remove_nodes(const DyingNodes& dying, const std::function<void(const Node&)>& gone) {
    for (Node* node : dying.nodes()) {
      report_gone(*node, gone);
      for (int i = 0; i < node->num_outputs(); ++i) inside_removed_.insert(node->output(i));
      node->graph()->remove_node(node);
    }
  }

  // Initializers that lost their last reader here.
  void remove_constants() {
    for (Value* v : patch_.removed_values()) maybe_unused_.push_back(v);
    for (Value* v : maybe_unused_) {
      if (inside_removed_.contains(v) || !v->initializer() || v->has_uses()) continue;
      inside_removed_.insert(v);
      Graph& graph = *v->graph();
      if (!v->is_graph_input()) {
        facts_.forget(v);
        graph.remove_value(v);
      } else if (model_.ir_version < 4) {
        // The format's way to list a constant, nothing that a caller gives.
        facts_.forget(v);
        const auto index = static_cast<size_t>(std::ranges::find(graph.inputs(), v) - graph.inputs().begin());
        graph.set_initializer(v, Tensor());
        graph.remove_input(index);
      }
    }
  }

  void add_note(const Patch::Note& note) {
    Metadata& metadata = (note.node ? note.node : made_node(note.made))->metadata;
    for (auto& [key, text] : metadata) {
      if (key != note.key) continue;
      text += ", " + note.text;
      return;
    }
    metadata.emplace_back(note.key, note.text);
  }

  ModelGraph& model_;
  ModelFacts& facts_;
  const Patch& patch_;
  const PatchTypes& types_;
  std::vector<Value*> made_;
  std::vector<Value*> maybe_unused_;
  std::unordered_set<const Value*> inside_removed_;
};

}  // namespace

std::optional<Skip> Applier::apply(Patch& patch, const std::function<void(const Node&)>& gone) {
  const DyingNodes dying(patch, kept_);
  std::optional<PatchTypes> types;
  try {
    types.emplace(model_, facts_, patch);
  } catch (const Error& error) {
    if (ends_work(error)) throw;
    return Skip{"the result would not be valid: " + error.message(), "", nullptr};
  }
  if (auto skip = check(model_, patch, dying, *types, facts_, kept_)) return skip;
  Editor editor(model_, facts_, patch, *types);
  editor.apply(dying, gone);
  for (int made : patch.made_absorbers) patch.absorbers.push_back(editor.made_node(made));
  return std::nullopt;
}

}  // namespace plica
