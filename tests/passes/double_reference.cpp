#include "tests/passes/double_reference.h"

#include "engine/ops/cast.h"
#include "passes/constants.h"

namespace plica::testing {
namespace {

// ---- inlining

using ValueMap = std::unordered_map<const Value*, Value*>;

// The body in the place of `node`, whose outputs become the body's.
void inline_body(Node& node, const Graph& body, ValueMap map) {
  Graph& to = *node.graph();
  for (const Value* v : body.initializers()) {
    if (!map.contains(v)) map[v] = to.add_initializer(to.fresh_name(v->name()), *v->initializer());
  }
  const auto mapped = [&](Value* v) { return map.contains(v) ? map.at(v) : v; };
  for (const Node* n : body.nodes()) {
    std::vector<Value*> ins, outs;
    for (int i = 0; i < n->num_inputs(); ++i) ins.push_back(n->has_input(i) ? mapped(n->input(i)) : nullptr);
    for (int i = 0; i < n->num_outputs(); ++i) {
      Value* v = n->output(i);
      outs.push_back(v ? map[v] = to.add_value(to.fresh_name(v->name()), v->type()) : nullptr);
    }
    to.add_node(n->op_type(), n->domain(), ins, outs, n->attributes(), &node)->name = n->name;
  }
  for (int i = 0; i < node.num_outputs(); ++i) {
    to.replace_all_uses(node.output(i), mapped(body.outputs()[static_cast<size_t>(i)]));
  }
  to.remove_node(&node);
}

// ---- float64

bool must_be_float32(const Use& use) {
  return (use.node->is("Resize") || use.node->is("Upsample")) && use.index > 0;
}

bool becomes_double(const Value& v) {
  for (const Use& use : v.uses()) {
    if (must_be_float32(use)) return false;
  }
  return true;
}

// (q - zero point) * scale, exactly: the factors have no more bits together than a double.
Tensor product_of(const Node& node) {
  const Tensor q = cast_tensor(*node.input(0)->constant(), DataType::float64);
  const Tensor scale = cast_tensor(*node.input(1)->constant(), DataType::float64);
  const Tensor zero = node.has_input(2) ? cast_tensor(*node.input(2)->constant(), DataType::float64)
                                        : Tensor::zeros(DataType::float64, scale.dims());
  int64_t inner = 1;
  if (scale.size() > 1) {
    const Attribute* given = node.attributes().find("axis");
    const int64_t axis = given ? std::get<int64_t>(given->value) : 1;
    for (int i = static_cast<int>(axis < 0 ? axis + q.rank() : axis) + 1; i < q.rank(); ++i)
      inner *= q.dim(i);
  }
  Tensor out(DataType::float64, q.dims());
  for (int64_t i = 0; i < q.size(); ++i) {
    const int64_t c = scale.size() > 1 ? i / inner % scale.size() : 0;
    out.mutable_data<double>()[i] = (q.data<double>()[i] - zero.data<double>()[c]) * scale.data<double>()[c];
  }
  return out;
}

void become_constant(Node& node, Tensor value) {
  Graph& graph = *node.graph();
  Value* made = graph.add_initializer(graph.fresh_name(node.output(0)->name()), std::move(value));
  graph.replace_all_uses(node.output(0), made);
  graph.remove_node(&node);
}

void convert_attributes(Graph& graph, Node& node) {
  if (node.is("Constant") && becomes_double(*node.output(0))) {
    const std::vector<Tensor> value = evaluate_node(node, {});
    if (!is_foldable_type(value[0].type())) return;
    for (const char* name : {"value_float", "value_floats"}) graph.remove_attribute(&node, name);
    Attribute a;
    a.name = "value", a.value = cast_tensor(value[0], DataType::float64);
    graph.set_attribute(&node, std::move(a));
  } else if (node.is("Cast") && is_foldable_type(static_cast<DataType>(AttributeReader(node).i("to")))) {
    Attribute a;
    a.name = "to", a.value = static_cast<int64_t>(DataType::float64);
    graph.set_attribute(&node, std::move(a));
  }
}

void compute_constants(Graph& graph) {
  for (Node* node : graph.topological_order()) {
    std::vector<const Tensor*> ins;
    bool constant = node->num_outputs() == 1;
    for (int i = 0; i < node->num_inputs(); ++i) {
      const Value* v = node->input(i);
      constant = constant && (!v || v->initializer());
      ins.push_back(v ? v->initializer() : nullptr);
    }
    if (!constant) continue;
    become_constant(*node, evaluate_node(*node, ins)[0]);
  }
}

}  // namespace

std::unique_ptr<ModelGraph> inlined(const ModelGraph& model, const std::string& branch) {
  auto copy = model.clone();
  for (Node* node : copy->graph.nodes()) {
    if (node->is("If")) {
      inline_body(*node, *std::get<GraphPtr>(node->attributes().find(branch)->value), {});
    } else if (const Function* f = copy->find_function(node->domain(), node->op_type(), node->overload)) {
      ValueMap arguments;
      for (size_t i = 0; i < f->graph.inputs().size(); ++i)
        arguments[f->graph.inputs()[i]] = node->input(static_cast<int>(i));
      inline_body(*node, f->graph, std::move(arguments));
    }
  }
  return copy;
}

std::unique_ptr<ModelGraph> in_double(const ModelGraph& model) {
  auto copy = model.clone();
  Graph& graph = copy->graph;
  for (Node* node : graph.nodes()) {  // first: what it reads must still be of its own type
    if (node->is("DequantizeLinear")) become_constant(*node, product_of(*node));
  }
  for (Node* node : graph.nodes()) convert_attributes(graph, *node);
  for (Value* v : graph.values()) {
    if (!becomes_double(*v)) continue;
    Type type = v->type();
    if (type.is_tensor() && is_foldable_type(type.element)) {
      type.element = DataType::float64;
      graph.set_type(v, type);
    }
    if (v->initializer() && is_foldable_type(v->initializer()->type()))
      graph.set_initializer(v, cast_tensor(*v->initializer(), DataType::float64));
  }
  compute_constants(graph);
  return copy;
}

std::unique_ptr<ModelGraph> dequantized(const ModelGraph& model) {
  auto copy = model.clone();
  for (Node* node : copy->graph.nodes()) {
    if (node->is("DequantizeLinear"))
      become_constant(*node, cast_tensor(product_of(*node), node->input(1)->constant()->type()));
  }
  return copy;
}

NamedTensors in_double(const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, t] : tensors)
    out[name] = is_foldable_type(t.type()) ? cast_tensor(t, DataType::float64) : t;
  return out;
}

}  // namespace plica::testing
