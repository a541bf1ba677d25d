#include "engine/graph/copy.h"

#include <unordered_map>

namespace plica {

Attributes copy_attributes(const Attributes& from, const ModelGraph* model,
                           const std::function<Value*(Value*)>& outer) {
  const auto copy_graph = [&](const GraphPtr& graph) -> GraphPtr {
    if (!graph) return nullptr;
    auto copy = std::make_shared<Graph>(model);
    copy->copy_from(*graph, outer);
    return copy;
  };
  Attributes out;
  for (Attribute a : from) {
    if (auto* graph = std::get_if<GraphPtr>(&a.value)) *graph = copy_graph(*graph);
    if (auto* graphs = std::get_if<std::vector<GraphPtr>>(&a.value)) {
      for (GraphPtr& graph : *graphs) graph = copy_graph(graph);
    }
    out.set(std::move(a));
  }
  return out;
}

void Graph::copy_from(const Graph& from, const std::function<Value*(Value*)>& outer) {
  name = from.name;
  doc_string = from.doc_string;
  metadata = from.metadata;
  extension = from.extension;

  std::unordered_map<const Value*, Value*> copies;
  for (const auto& v : from.values_) {
    Value* copy = new_value(v->name_, v->type_);
    copy->doc_string = v->doc_string;
    copy->metadata = v->metadata;
    copy->extension = v->extension;
    copy->is_input_ = v->is_input_;
    copy->initializer_ = v->initializer_;
    copies.emplace(v.get(), copy);
  }
  const std::function<Value*(Value*)> map = [&](Value* v) -> Value* {
    if (!v) return nullptr;
    return v->graph() == &from ? copies.at(v) : outer(v);
  };
  for (Value* v : from.inputs_) inputs_.push_back(map(v));
  for (const auto& n : from.nodes_) {
    std::vector<Value*> ins, outs;
    for (const auto& input : n->inputs_) ins.push_back(map(input.value));
    for (Value* v : n->outputs_) outs.push_back(map(v));
    Node* copy = add_node(n->op_type_, n->domain_, std::move(ins), std::move(outs),
                          copy_attributes(n->attributes_, model_, map));
    copy->name = n->name;
    copy->overload = n->overload;
    copy->imported_opset = n->imported_opset;
    copy->doc_string = n->doc_string;
    copy->metadata = n->metadata;
    copy->extension = n->extension;
  }
  for (Value* v : from.outputs_) add_output(map(v));
}

std::unique_ptr<ModelGraph> ModelGraph::clone() const {
  auto copy = std::make_unique<ModelGraph>();
  copy->ir_version = ir_version;
  copy->opset_imports = opset_imports;
  copy->producer_name = producer_name;
  copy->producer_version = producer_version;
  copy->domain = domain;
  copy->doc_string = doc_string;
  copy->model_version = model_version;
  copy->metadata = metadata;
  copy->extension = extension;
  copy->source = source;
  copy->custom_operators = custom_operators;
  const auto no_outer = [](Value* v) { return v; };
  for (const auto& f : functions) {
    auto g = std::make_unique<Function>(copy.get());
    g->name = f->name;
    g->domain = f->domain;
    g->overload = f->overload;
    g->doc_string = f->doc_string;
    g->attribute_names = f->attribute_names;
    g->opset_imports = f->opset_imports;
    g->attribute_defaults = copy_attributes(f->attribute_defaults, copy.get(), no_outer);
    for_each_subgraph(g->attribute_defaults, [&](Graph& sub) { sub.set_opsets(&g->opset_imports); });
    g->metadata = f->metadata;
    g->extension = f->extension;
    g->graph.copy_from(f->graph, no_outer);
    copy->functions.push_back(std::move(g));
  }
  copy->graph.copy_from(graph, no_outer);
  return copy;
}

}  // namespace plica
