#include "tests/passes/random_model.h"

#include <algorithm>

#include "tests/passes/random_generator.h"

namespace plica::testing {
namespace {

constexpr int64_t kLargest = 1500;  // elements of a value
constexpr int64_t kOpsets[] = {7, 9, 11, 13, 14, 15, 17, 18, 21};

// The model with its nodes in both branches of an If, which read inputs and constants of the graph around
// them.
std::unique_ptr<ModelGraph> wrapped_in_if(const ModelGraph& model) {
  auto outer = std::make_unique<ModelGraph>();
  outer->ir_version = model.ir_version;
  outer->opset_imports = model.opset_imports;
  Graph& graph = outer->graph;
  std::unordered_map<const Value*, Value*> outside;
  for (const Value* v : model.graph.inputs()) outside[v] = graph.add_input(v->name(), v->type());
  for (const Value* v : model.graph.initializers())
    outside[v] = graph.add_initializer(v->name(), *v->initializer());
  Value* condition = graph.add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  std::vector<Value*> results;
  for (const Value* v : model.graph.outputs())
    results.push_back(graph.add_value("if_" + v->name(), v->type()));
  Node* branch = graph.add_node("If", "", {condition}, results);
  for (const std::string side : {"then_", "else_"}) {
    Graph& body = *graph.add_subgraph(branch, side + "branch");
    auto inside = outside;
    for (const Node* n : model.graph.nodes()) {
      std::vector<Value*> ins, outs;
      for (int i = 0; i < n->num_inputs(); ++i)
        ins.push_back(n->has_input(i) ? inside.at(n->input(i)) : nullptr);
      for (int i = 0; i < n->num_outputs(); ++i)
        outs.push_back(inside[n->output(i)] =
                           body.add_value(side + n->output(i)->name(), n->output(i)->type()));
      body.add_node(n->op_type(), "", ins, outs, n->attributes())->name = side + n->name;
    }
    for (const Value* v : model.graph.outputs()) body.add_output(inside.at(v));
  }
  for (Value* v : results) graph.add_output(v);
  return outer;
}
}  // namespace

int64_t element_count(const Dims& dims) {
  int64_t n = 1;
  for (int64_t d : dims) n *= d;
  return n;
}

Generator::Generator(uint64_t seed, int nodes)
    : r_(seed),
      type_(pick_type()),
      opset_(kOpsets[r_.below(std::ssize(kOpsets))]),
      b_(type_, opset_, ir_of(opset_)) {
  only_batch_norms_ = r_.chance(35);
  signs_ = r_.chance(50) ? Signs::positive : r_.chance(75) ? Signs::both : Signs::some_zero;
  symbolic_ = r_.chance(25);
  linear_bias_ = static_cast<int>(r_.between(20, 80));
  add_inputs();
  // A node is drawn from a generator of its own, so that a shorter model is a prefix of a longer one.
  for (int i = 0; i < nodes; ++i) {
    const Random saved(r_.next());
    Random main = r_;
    r_ = saved;
    for (int attempt = 0; attempt < 30 && !add_something(); ++attempt) {
    }
    r_ = main;
  }
  add_outputs();
}

RandomModel Generator::result() {
  const bool branches = b_.model->ir_version >= 4 && r_.chance(12);
  if (!branches) return {b_.model->clone(), std::move(inputs_), type_, only_batch_norms_, false};
  inputs_["condition"] = Tensor::scalar(true);
  return {wrapped_in_if(*b_.model), std::move(inputs_), type_, only_batch_norms_, true};
}

DataType Generator::pick_type() {
  const int64_t k = r_.below(10);
  return k < 7 ? DataType::float32 : k < 9 ? DataType::float64 : DataType::float16;
}

void Generator::add_inputs() {
  const int64_t n = r_.chance(50) ? 1 : r_.between(2, 3);
  const bool all_symbols = r_.chance(50);
  for (int64_t i = r_.between(1, 2); i > 0; --i) {
    Dims dims = {n, r_.between(1, 6)};
    const int64_t spatial = r_.chance(20) ? 0 : r_.chance(75) ? 2 : r_.chance(60) ? 1 : 3;
    for (int64_t s = 0; s < spatial; ++s) dims.push_back(r_.between(3, spatial == 3 ? 4 : 6));
    std::vector<Dim> declared(dims.begin(), dims.end());
    if (symbolic_) {
      declared[0] = Dim::symbol("n");
      for (size_t d = 2; d < declared.size() && all_symbols; ++d)
        declared[d] = Dim::symbol(fmt::format("d{}_{}", i, d));
    }
    const std::string name = fmt::format("x{}", i);
    inputs_[name] = random_tensor(type_, dims, r_.next(), -2, 2);
    note(b_.input(name, declared), Facts::of(inputs_[name]));
  }
}

void Generator::note(Value* v, Facts facts) {
  facts.constant = {};
  facts.elements.reset();
  facts_[v] = std::move(facts);
  pool_.push_back(v);
}

Value* Generator::any() {
  const auto n = static_cast<int64_t>(pool_.size());
  if (r_.chance(60)) {
    for (int64_t i = n - 1; i >= 0; --i) {
      if (!pool_[static_cast<size_t>(i)]->has_uses()) return pool_[static_cast<size_t>(i)];
    }
  }
  const int64_t back = r_.chance(65) ? r_.below(std::min<int64_t>(n, 2)) : r_.below(n);
  return pool_[static_cast<size_t>(n - 1 - back)];
}

Value* Generator::constant(const std::string& name, Dims dims, double low, double high) {
  Tensor t(DataType::float64, std::move(dims));
  for (double& v : t.mutable_values<double>()) v = r_.real(low, high);
  return keep(name, tensor_of(type_, to_doubles(t), t.dims()));
}

Value* Generator::keep(const std::string& name, Tensor t) {
  Value* v;
  if (b_.model->ir_version < 4) {
    v = b_.graph->add_input(b_.graph->fresh_name(name), Type::tensor(t.type(), Shape(t.dims())));
    b_.graph->set_initializer(v, t);
  } else {
    v = b_.constant(name, t);
  }
  facts_[v] = Facts::of(t);
  return v;
}

Value* Generator::ints(const std::string& name, const Ints& values) {
  return keep(name, Tensor::of(values, {std::ssize(values)}));
}

Value* Generator::factors(const std::string& name, const Dims& dims) {
  Tensor t(DataType::float64, dims);
  for (double& v : t.mutable_values<double>()) {
    v = r_.real(0.25, 1.75);
    if (signs_ != Signs::positive && r_.chance(50)) v = -v;
    if (signs_ == Signs::some_zero && r_.chance(20)) v = 0;
  }
  return keep(name, tensor_of(type_, to_doubles(t), dims));
}

bool Generator::add(const std::string& op_type, std::vector<Value*> inputs,
                    std::vector<NamedAttribute> attributes, int outputs) {
  std::vector<const Facts*> facts;
  for (Value* v : inputs) facts.push_back(v ? &facts_.at(v) : nullptr);
  const std::string name = fmt::format("{}{}", op_type, ++made_);
  Attributes list;
  for (NamedAttribute& a : attributes) list.set(std::move(a.name), std::move(a.value));
  std::vector<Value*> out;
  for (int i = 0; i < outputs; ++i) out.push_back(b_.graph->add_value(b_.graph->fresh_name(name)));
  Node* node = b_.graph->add_node(op_type, "", std::move(inputs), out, std::move(list));
  node->name = name;
  std::vector<Facts> inferred;
  bool fits = true;
  try {
    inferred = infer_node(*node, facts);
    for (const Facts& f : inferred) {
      const auto dims = f.type.shape ? f.type.shape->known() : std::nullopt;
      fits = fits && dims && element_count(*dims) > 0 && element_count(*dims) <= kLargest &&
             f.type.element == type_;
    }
  } catch (const Error&) {
    fits = false;
  }
  if (!fits) {
    b_.graph->remove_node(node);
    return false;
  }
  for (int i = 0; i < outputs; ++i)
    note(out[static_cast<size_t>(i)], std::move(inferred[static_cast<size_t>(i)]));
  return true;
}

void Generator::add_outputs() {
  for (Value* v : pool_) {
    const bool leaf = v->producer() && !v->has_uses();
    if (!leaf && !(v->producer() && r_.chance(4))) continue;
    const Dims dims = dims_of(v);
    std::vector<Dim> declared(dims.size());  // unknown: with symbols in the inputs the numbers may be wrong
    b_.graph->set_type(v, Type::tensor(type_, Shape(declared)));
    b_.graph->add_output(v);
  }
  if (b_.graph->outputs().empty()) {
    add("Relu", {pool_[0]});
    b_.graph->set_type(pool_.back(),
                       Type::tensor(type_, Shape(std::vector<Dim>(dims_of(pool_.back()).size()))));
    b_.graph->add_output(pool_.back());
  }
  // Constants of nodes that were refused.
  for (Node* n : b_.graph->nodes()) {
    if (n->is("DequantizeLinear") && !n->output(0)->has_uses()) b_.graph->remove_node(n);
  }
  for (Value* v : b_.graph->initializers()) {
    if (v->has_uses()) continue;
    if (v->is_graph_input()) {
      const auto& inputs = b_.graph->inputs();
      b_.graph->remove_input(static_cast<size_t>(std::ranges::find(inputs, v) - inputs.begin()));
      if (!b_.graph->find(v->name())) continue;
    }
    b_.graph->remove_value(v);
  }
}

RandomModel random_model(uint64_t seed, int nodes) { return Generator(seed, nodes).result(); }

int random_node_count(uint64_t seed) { return 5 + static_cast<int>(Random(seed ^ 0xabcdef).below(21)); }

}  // namespace plica::testing
