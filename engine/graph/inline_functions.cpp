#include "engine/graph/inline_functions.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "engine/core/fail.h"
#include "engine/graph/copy.h"
#include "engine/graph/function_index.h"

namespace plica {
namespace {

class Inliner {
 public:
  explicit Inliner(const FunctionIndex& functions) : functions_(functions) {}

  void visit(Graph& graph) {
    std::vector<Node*> waiting = graph.nodes();
    while (!waiting.empty()) {
      Node* node = waiting.back();
      waiting.pop_back();
      if (const Function* f = functions_.find(*node)) {
        const std::vector<Node*> body = expand(graph, *node, *f);
        waiting.insert(waiting.end(), body.begin(), body.end());
      } else {
        for_each_subgraph(node->attributes(), [&](Graph& sub) { visit(sub); });
      }
    }
  }

 private:
  // The nodes that take the place of the call.
  std::vector<Node*> expand(Graph& graph, Node& call, const Function& function) {
    require(call.num_inputs() <= std::ssize(function.graph.inputs()) &&
                call.num_outputs() <= std::ssize(function.graph.outputs()),
            ErrorCode::invalid_model, "{} has {} inputs and {} outputs, its function {} and {}",
            describe(call), call.num_inputs(), call.num_outputs(), function.graph.inputs().size(),
            function.graph.outputs().size());
    const std::string prefix = call.name.empty() ? function.name : call.name;
    std::unordered_map<const Value*, Value*> map;
    for (size_t i = 0; i < function.graph.inputs().size(); ++i)
      map[function.graph.inputs()[i]] = call.input(static_cast<int>(i));
    std::vector<std::pair<Value*, const Value*>> passed;  // (result, what it is a copy of)
    std::vector<Value*> results;
    for (int i = 0; i < call.num_outputs(); ++i) results.push_back(call.output(i));
    graph.detach_outputs(&call);
    for (size_t i = 0; i < results.size(); ++i) {
      const Value* inner = function.graph.outputs()[i];
      if (!results[i]) continue;
      if (!inner->producer() || !map.try_emplace(inner, results[i]).second)
        passed.emplace_back(results[i], inner);
    }
    const std::function<Value*(Value*)> mapped = [&](Value* v) -> Value* {
      if (!v) return nullptr;
      const auto [it, is_new] = map.try_emplace(v, nullptr);
      if (is_new) it->second = graph.add_value(graph.fresh_name(prefix + "_" + v->name()), v->type());
      return it->second;
    };
    std::vector<Node*> made;
    for (const Node* node : function.graph.topological_order()) {
      std::vector<Value*> inputs, outputs;
      for (int i = 0; i < node->num_inputs(); ++i) inputs.push_back(mapped(node->input(i)));
      for (int i = 0; i < node->num_outputs(); ++i) outputs.push_back(mapped(node->output(i)));
      Attributes attributes = copy_attributes(node->attributes(), &graph.model(), mapped);
      resolve(attributes, call, function);
      Node* copy = graph.add_node(node->op_type(), node->domain(), std::move(inputs), std::move(outputs),
                                  std::move(attributes), &call);
      copy->name = prefix + "_" + node->name;
      copy->overload = node->overload;
      copy->metadata = node->metadata;
      set_opset(*copy, function);
      for_each_subgraph(copy->attributes(), [&](Graph& sub) { finish(sub, call, function); });
      made.push_back(copy);
    }
    for (const auto& [result, inner] : passed) {
      Node* copy = graph.add_node("Identity", "", {mapped(const_cast<Value*>(inner))}, {result}, {}, &call);
      copy->name = prefix + "_identity";
      made.push_back(copy);
    }
    graph.remove_node(&call);
    return made;
  }

  // References to the function's attributes become what the call gives, or the default; without either they
  // go.
  static void resolve(Attributes& attributes, const Node& call, const Function& function) {
    Attributes resolved;
    for (const Attribute& a : attributes) {
      if (a.ref_name.empty()) {
        resolved.set(a);
        continue;
      }
      const Attribute* given = call.attributes().find(a.ref_name);
      if (!given) given = function.attribute_defaults.find(a.ref_name);
      if (!given) continue;
      Attribute value = *given;
      value.name = a.name;
      require(!std::holds_alternative<GraphPtr>(value.value) &&
                  !std::holds_alternative<std::vector<GraphPtr>>(value.value),
              ErrorCode::unsupported, "{} gives its function a graph", describe(call));
      resolved.set(std::move(value));
    }
    attributes = std::move(resolved);
  }

  // What copying a subgraph leaves as it was in the function.
  void finish(Graph& graph, const Node& call, const Function& function) {
    for (Node* node : graph.nodes()) {
      Attributes attributes = node->attributes();
      resolve(attributes, call, function);
      std::vector<std::string> references;
      for (const Attribute& a : node->attributes()) {
        if (!a.ref_name.empty()) references.push_back(a.name);
      }
      for (const std::string& name : references) graph.remove_attribute(node, name);
      for (const Attribute& a : attributes) {
        if (!node->attributes().has(a.name)) graph.set_attribute(node, a);
      }
      set_opset(*node, function);
      for_each_subgraph(node->attributes(), [&](Graph& sub) { finish(sub, call, function); });
    }
  }

  void set_opset(Node& node, const Function& function) {
    const int64_t own = function.graph.opset(node.domain());
    if (own != 0 && own != node.opset()) node.imported_opset = own;
  }

  const FunctionIndex& functions_;
};

}  // namespace

namespace {

// How many nodes calls become, known before one of them is expanded: functions that call others twice double
// at every step.
class Expansion {
 public:
  Expansion(const FunctionIndex& functions, int64_t most) : functions_(functions), most_(most) {}

  // Nodes of the graph with all calls expanded, or more than the most. Not recursive along calls.
  int64_t size_of(const Graph& graph) {
    std::vector<const Function*> waiting;
    find_unknown(graph, waiting);
    while (!waiting.empty()) {
      const Function* f = waiting.back();
      if (sizes_.contains(f)) {
        waiting.pop_back();
        continue;
      }
      const size_t before = waiting.size();
      find_unknown(f->graph, waiting);
      if (waiting.size() != before) {
        require(waiting.size() <= kMostWaiting, ErrorCode::limit,
                "too many calls of functions within functions");
        continue;
      }
      waiting.pop_back();
      sizes_.try_emplace(f, sum(f->graph));
    }
    return sum(graph);
  }

 private:
  static constexpr size_t kMostWaiting = 1 << 20;

  void find_unknown(const Graph& graph, std::vector<const Function*>& out) const {
    for (const Node* node : graph.nodes()) {
      if (const Function* f = functions_.find(*node); f && !sizes_.contains(f)) out.push_back(f);
      for_each_subgraph(node->attributes(), [&](const Graph& sub) { find_unknown(sub, out); });
    }
  }
  int64_t sum(const Graph& graph) const {
    int64_t total = 0;
    for (const Node* node : graph.nodes()) {
      const Function* f = functions_.find(*node);
      total = std::min(total + 1 + (f ? sizes_.at(f) : 0), most_ + 1);
      for_each_subgraph(node->attributes(),
                        [&](const Graph& sub) { total = std::min(total + sum(sub), most_ + 1); });
    }
    return total;
  }

  const FunctionIndex& functions_;
  const int64_t most_;
  std::unordered_map<const Function*, int64_t> sizes_;
};

}  // namespace

void inline_functions(ModelGraph& model, int64_t most_nodes) {
  const FunctionIndex functions(model);
  require(Expansion(functions, most_nodes).size_of(model.graph) <= most_nodes, ErrorCode::limit,
          "the model's functions expand to more than {} nodes", most_nodes);
  Inliner(functions).visit(model.graph);
}

std::unique_ptr<ModelGraph> with_functions_inlined(const ModelGraph& model) {
  if (model.functions.empty()) return nullptr;
  auto copy = model.clone();
  inline_functions(*copy);
  return copy;
}

}  // namespace plica
