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
  kept_.insert(patch.kept_outputs().begin(), patch.kept_outputs().end());
  for (const auto& edit : patch.input_edits()) await(edit.node);
  for (const auto& edit : patch.attribute_edits()) await(edit.node);
  for (Node* node : patch.carried()) await(node);
  made_.resize(patch.made().size());
  for (size_t i = 0; i < made_.size(); ++i) {
    if (const auto* c = std::get_if<Patch::NewConstant>(&patch.made()[i])) {
      made_[i] = Facts::of(c->tensor);
    } else {
      waiting_made_.push_back(i);
    }
  }
  // Each after what it reads.
  while (!waiting_.empty() || !waiting_made_.empty()) {
    const auto node =
        std::ranges::find_if(waiting_, [&](Node* n) { return is_ready(inputs_after(*n, patch)); });
    if (node != waiting_.end()) {
      infer_edited(**node, patch);
      edited_.push_back(*node);
      waiting_.erase(node);
      continue;
    }
    const auto made = std::ranges::find_if(
        waiting_made_, [&](size_t i) { return is_ready(std::get<Patch::NewNode>(patch.made()[i]).inputs); });
    require(made != waiting_made_.end(), ErrorCode::internal, "the nodes of a patch form a cycle");
    const auto& n = std::get<Patch::NewNode>(patch.made()[*made]);
    made_[*made] = infer(n.op_type, "", n.attributes, n.inputs, 1)[0];
    waiting_made_.erase(made);
  }
}

void PatchTypes::await(Node* node) {
  if (std::ranges::find(waiting_, node) == waiting_.end()) waiting_.push_back(node);
}

bool PatchTypes::is_ready(const std::vector<Operand>& inputs) const {
  return std::ranges::none_of(inputs, [&](const Operand& o) {
    if (o.made >= 0)
      return std::ranges::find(waiting_made_, static_cast<size_t>(o.made)) != waiting_made_.end();
    return o.value && std::ranges::find(waiting_, o.value->producer()) != waiting_.end();
  });
}

const Facts* PatchTypes::find(const Operand& operand) const {
  if (operand.made >= 0) return &made_[static_cast<size_t>(operand.made)];
  if (!operand.value) return nullptr;
  auto it = outputs_.find(operand.value);
  return it != outputs_.end() ? &it->second : &facts_.of(operand.value);
}

std::vector<Operand> PatchTypes::inputs_after(const Node& node, const Patch& patch) {
  std::vector<Operand> inputs;
  for (int i = 0; i < node.num_inputs(); ++i) inputs.emplace_back(node.input(i));
  for (const auto& edit : patch.input_edits()) {
    if (edit.node != &node) continue;
    const auto index = static_cast<size_t>(edit.index);
    if (inputs.size() <= index) inputs.resize(index + 1);
    inputs[index] = edit.to;
  }
  return inputs;
}

void PatchTypes::infer_edited(const Node& node, const Patch& patch) {
  Attributes attributes = node.attributes();
  for (const auto& edit : patch.attribute_edits()) {
    if (edit.node != &node) continue;
    if (std::holds_alternative<std::monostate>(edit.attribute.value)) {
      attributes.remove(edit.attribute.name);
    } else {
      attributes.set(edit.attribute);
    }
  }
  auto outputs =
      infer(node.op_type(), node.domain(), attributes, inputs_after(node, patch), node.num_outputs());
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
