#include "engine/graph/captures.h"

#include <unordered_set>

namespace plica {
namespace {

class Captures {
 public:
  void visit(const Graph& graph) {
    inside_.insert(&graph);
    for (const Node* node : graph.nodes()) {
      for (int i = 0; i < node->num_inputs(); ++i) {
        if (node->has_input(i)) read(node->input(i));
      }
      for_each_subgraph(node->attributes(), [&](const Graph& nested) { visit(nested); });
    }
    for (Value* v : graph.outputs()) read(v);
  }

  std::vector<Value*> take() && { return std::move(list_); }

 private:
  // An enclosing graph is visited before those nested in it.
  void read(Value* v) {
    if (!inside_.contains(v->graph()) && seen_.insert(v).second) list_.push_back(v);
  }

  std::unordered_set<const Graph*> inside_;
  std::unordered_set<const Value*> seen_;
  std::vector<Value*> list_;
};

}  // namespace

bool has_subgraph(const Node& node) {
  bool found = false;
  for_each_subgraph(node.attributes(), [&](const Graph&) { found = true; });
  return found;
}

std::vector<Value*> captures_of(const Graph& graph) {
  Captures captures;
  captures.visit(graph);
  return std::move(captures).take();
}

std::vector<Value*> captures_of(const Node& node) {
  Captures captures;
  for_each_subgraph(node.attributes(), [&](const Graph& graph) { captures.visit(graph); });
  return std::move(captures).take();
}

}  // namespace plica
