#include "passes/patch_types.h"

#include <algorithm>

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
  made_.resize(patch.made().size());
  for (size_t i = 0; i < made_.size(); ++i) {
    if (const auto* c = std::get_if<Patch::NewConstant>(&patch.made()[i])) made_[i] = Facts::of(c->tensor);
  }
  const auto add = [&](Node* node) {
    if (std::ranges::find(edited_, node) == edited_.end()) edited_.push_back(node);
  };
  for (const auto& edit : patch.input_edits()) add(edit.node);
  for (const auto& edit : patch.attribute_edits()) add(edit.node);
  for (const Node* node : edited_) infer_edited(*node, patch);
  for (size_t i = 0; i < made_.size(); ++i) {
    const auto* n = std::get_if<Patch::NewNode>(&patch.made()[i]);
    if (!n) continue;
    std::vector<const Facts*> inputs;
    for (const Operand& o : n->inputs) inputs.push_back(find(o));
    made_[i] = infer(n->op_type, "", n->attributes, inputs, 1)[0];
  }
}

const Facts* PatchTypes::find(const Operand& operand) const {
  if (operand.made >= 0) return &made_[static_cast<size_t>(operand.made)];
  if (!operand.value) return nullptr;
  auto it = redefined_.find(operand.value);
  return it != redefined_.end() ? &it->second : &facts_.of(operand.value);
}

void PatchTypes::infer_edited(const Node& node, const Patch& patch) {
  std::vector<const Facts*> inputs;
  for (int i = 0; i < node.num_inputs(); ++i) inputs.push_back(find(Operand(node.input(i))));
  for (const auto& edit : patch.input_edits()) {
    if (edit.node != &node) continue;
    const size_t index = static_cast<size_t>(edit.index);
    if (inputs.size() <= index) inputs.resize(index + 1, nullptr);
    inputs[index] = find(edit.to);
  }
  Attributes attributes = node.attributes();
  for (const auto& edit : patch.attribute_edits()) {
    if (edit.node != &node) continue;
    if (std::holds_alternative<std::monostate>(edit.attribute.value)) {
      attributes.remove(edit.attribute.name);
    } else {
      attributes.set(edit.attribute);
    }
  }
  auto outputs = infer(node.op_type(), node.domain(), attributes, inputs, node.num_outputs());
  for (int i = 0; i < node.num_outputs(); ++i) {
    if (node.has_output(i)) redefined_[node.output(i)] = std::move(outputs[static_cast<size_t>(i)]);
  }
}

std::vector<Facts> PatchTypes::infer(const std::string& op_type, const std::string& domain,
                                     const Attributes& attributes, const std::vector<const Facts*>& inputs,
                                     int outputs) {
  for_each_subgraph(attributes,
                    [](const Graph&) { fail(ErrorCode::internal, "a patch edits a node with a subgraph"); });
  std::vector<Value*> ins, outs;
  for (const Facts* f : inputs) {
    ins.push_back(f ? scratch_.add_input(scratch_.fresh_name("input"), f->type) : nullptr);
  }
  for (int i = 0; i < outputs; ++i) outs.push_back(scratch_.add_value(scratch_.fresh_name("output")));
  const Node* node = scratch_.add_node(op_type, domain, ins, outs, attributes);
  if (!find_op(*node)) return std::vector<Facts>(static_cast<size_t>(outputs));
  return infer_node(*node, inputs);
}

}  // namespace plica
