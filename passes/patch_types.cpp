#include "passes/patch_types.h"

#include "engine/core/fail.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {

const Graph& root_of(const Graph& graph) {
  const Graph* g = &graph;
  while (g->parent()) g = g->parent();
  return *g;
}

PatchTypes::PatchTypes(const ModelGraph& model, const ModelFacts& facts, const Patch& patch)
    : facts_(facts), scratch_(&model) {
  const Graph& root = root_of(patch.graph());
  scratch_.set_opsets(&model.opset_imports);
  for (const auto& f : model.functions) {
    if (&f->graph == &root) scratch_.set_opsets(&f->opset_imports);
  }
  kept_.insert(patch.kept_outputs().begin(), patch.kept_outputs().end());
  for (const auto& edit : patch.input_edits()) {
    await(edit.node);
    changes_[edit.node].inputs.push_back(&edit);
  }
  for (const auto& edit : patch.attribute_edits()) {
    await(edit.node);
    changes_[edit.node].attributes.push_back(&edit);
  }
  for (Node* node : patch.carried()) await(node);
  made_.resize(patch.made().size());
  made_known_.resize(made_.size(), false);
  for (size_t i = 0; i < made_.size(); ++i) {
    const auto* c = std::get_if<Patch::NewConstant>(&patch.made()[i]);
    if (!c) continue;
    made_[i] = Facts::of(c->tensor);
    made_known_[i] = true;
  }
  for (size_t i = 0; i < awaited_.size(); ++i) infer_after_operands({awaited_[i], -1}, patch);
  for (size_t i = 0; i < made_.size(); ++i) infer_after_operands({nullptr, static_cast<int>(i)}, patch);
}

void PatchTypes::await(Node* node) {
  if (changes_.try_emplace(node).second) awaited_.push_back(node);
}

bool PatchTypes::is_known(const Item& item) const {
  return item.node ? changes_.at(item.node).known : made_known_[static_cast<size_t>(item.made)];
}

std::vector<Operand> PatchTypes::operands_of(const Item& item, const Patch& patch) const {
  return item.node ? inputs_after(*item.node)
                   : std::get<Patch::NewNode>(patch.made()[static_cast<size_t>(item.made)]).inputs;
}

// Depth first, without recursion: a patch may edit a long chain.
void PatchTypes::infer_after_operands(const Item& first, const Patch& patch) {
  if (is_known(first)) return;
  struct Visit {
    Item item;
    std::vector<Operand> operands;
    size_t next = 0;
  };
  std::vector<Visit> path;
  std::unordered_set<const Node*> nodes_on_path;
  std::unordered_set<int> made_on_path;
  const auto enter = [&](const Item& item) {
    const bool is_new =
        item.node ? nodes_on_path.insert(item.node).second : made_on_path.insert(item.made).second;
    require(is_new, ErrorCode::internal, "the nodes of a patch form a cycle");
    path.push_back({item, operands_of(item, patch)});
  };
  enter(first);
  while (!path.empty()) {
    Visit& visit = path.back();
    if (visit.next < visit.operands.size()) {
      const Operand& operand = visit.operands[visit.next++];
      Node* producer = operand.made < 0 && operand.value ? operand.value->producer() : nullptr;
      if (operand.made < 0 && !changes_.contains(producer)) continue;
      const Item before{producer, operand.made};
      if (!is_known(before)) enter(before);
      continue;
    }
    const Item item = visit.item;
    if (item.node) {
      infer_edited(*item.node, visit.operands);
      edited_.push_back(item.node);
      changes_.at(item.node).known = true;
      nodes_on_path.erase(item.node);
    } else {
      const auto made = static_cast<size_t>(item.made);
      const auto& n = std::get<Patch::NewNode>(patch.made()[made]);
      made_[made] = infer(n.op_type, "", n.attributes, n.inputs, 1)[0];
      made_known_[made] = true;
      made_on_path.erase(item.made);
    }
    path.pop_back();
  }
}

const Facts* PatchTypes::find(const Operand& operand) const {
  if (operand.made >= 0) return &made_[static_cast<size_t>(operand.made)];
  if (!operand.value) return nullptr;
  auto it = outputs_.find(operand.value);
  return it != outputs_.end() ? &it->second : &facts_.of(operand.value);
}

std::vector<Operand> PatchTypes::inputs_after(const Node& node) const {
  std::vector<Operand> inputs;
  for (int i = 0; i < node.num_inputs(); ++i) inputs.emplace_back(node.input(i));
  for (const Patch::InputEdit* edit : changes_.at(&node).inputs) {
    const auto index = static_cast<size_t>(edit->index);
    if (inputs.size() <= index) inputs.resize(index + 1);
    inputs[index] = edit->to;
  }
  return inputs;
}

void PatchTypes::infer_edited(const Node& node, const std::vector<Operand>& operands) {
  Attributes attributes = node.attributes();
  for (const Patch::AttributeEdit* edit : changes_.at(&node).attributes) {
    if (std::holds_alternative<std::monostate>(edit->attribute.value)) {
      attributes.remove(edit->attribute.name);
    } else {
      attributes.set(edit->attribute);
    }
  }
  auto outputs = infer(node.op_type(), node.domain(), attributes, operands, node.num_outputs());
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i)) outputs_[node.output(i)] = std::move(outputs[static_cast<size_t>(i)]);
  }
}

std::vector<Facts> PatchTypes::infer(const std::string& op_type, const std::string& domain,
                                     const Attributes& attributes, const std::vector<Operand>& operands,
                                     int outputs) {
  for_each_subgraph(attributes,
                    [](const Graph&) { fail(ErrorCode::internal, "a patch edits a node with a subgraph"); });
  std::vector<const Facts*> inputs;
  std::vector<Value*> ins, outs;
  for (const Operand& o : operands) {
    const Facts* f = inputs.emplace_back(find(o));
    ins.push_back(f ? scratch_.add_input(next_name(), f->type) : nullptr);
  }
  for (int i = 0; i < outputs; ++i) outs.push_back(scratch_.add_value(next_name()));
  const Node* node = scratch_.add_node(op_type, domain, ins, outs, attributes);
  if (!find_op(*node)) return std::vector<Facts>(static_cast<size_t>(outputs));
  return infer_node(*node, inputs);
}

}  // namespace plica
