// Model::values: what inference knows of every value.
#include "api/graph_walk.h"
#include "engine/ops/infer.h"
#include "passes/facts.h"
#include "plica/model.h"

namespace plica {
namespace {

class Listing {
 public:
  explicit Listing(const ModelFacts& facts) : facts_(facts) {}

  void add_graph(const Graph& graph, int depth) {
    for (const Value* v : graph.values()) {
      if (!v->producer()) add(*v, {}, v->is_graph_input() ? "input" : "initializer", depth);
    }
    for (const Node* node : graph.nodes()) {
      for (int i = 0; i < node->num_outputs(); ++i) {
        if (node->has_output(i)) add(*node->output(i), node_label(*node), operator_name(*node), depth);
      }
      for_each_subgraph(node->attributes(), [&](const Graph& sub) { add_graph(sub, depth + 1); });
    }
  }

  std::vector<ValueInfo> take() && { return std::move(list_); }

 private:
  void add(const Value& value, std::string node, std::string op_type, int depth) {
    const Facts& facts = facts_.of(&value);
    ValueInfo info{.name = value.name(),
                   .type = to_string(facts.type),
                   .node = std::move(node),
                   .op_type = std::move(op_type),
                   .elements = {},
                   .depth = depth};
    constexpr size_t kMostElements = 64;
    if (facts.elements && facts.elements->size() <= kMostElements) {
      for (const Dim& d : *facts.elements) info.elements.push_back(to_string(d));
    }
    list_.push_back(std::move(info));
  }

  const ModelFacts& facts_;
  std::vector<ValueInfo> list_;
};

// The dims that are given by symbol or by input; the others as they are.
Shape with_sizes(const Value& input, const DimSizes& sizes) {
  if (auto it = sizes.shapes.find(input.name()); it != sizes.shapes.end()) return Shape(it->second);
  Shape shape = *input.type().shape;
  for (int i = 0; i < shape.rank(); ++i) {
    if (!shape[i].is_symbol()) continue;
    if (auto it = sizes.symbols.find(shape[i].symbol()); it != sizes.symbols.end())
      shape[i] = Dim(it->second);
  }
  return shape;
}

}  // namespace

std::vector<ValueInfo> Model::values(const DimSizes& sizes) const {
  validate(sizes);
  const std::unique_ptr<ModelGraph> model = graph_->clone();
  for (Value* input : model->graph.inputs()) {
    const Type& type = input->type();
    if (!type.is_tensor() || (!type.shape && !sizes.shapes.contains(input->name()))) continue;
    model->graph.set_type(input, Type::tensor(type.element, with_sizes(*input, sizes)));
  }
  ModelFacts facts;
  facts.infer(*model);
  Listing listing(facts);
  listing.add_graph(model->graph, 0);
  return std::move(listing).take();
}

}  // namespace plica
