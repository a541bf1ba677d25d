#include "engine/ops/infer.h"

#include "engine/core/checked.h"
#include "engine/core/limits.h"
#include "engine/graph/captures.h"
#include "engine/ops/declared_type.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"

namespace plica {

namespace {

Type type_of_value(const Tensor& value);

Type type_of_container(const Tensor& container) {
  const auto elements = container.elements();
  if (container.type() == DataType::map) {
    Type t;
    t.kind = Type::Kind::map;
    if (elements.size() != 2) return t;
    t.key = elements[0].type();
    const Tensor& values = elements[1];
    t.inner = std::make_shared<const Type>(is_container(values.type()) ? *type_of_value(values).inner
                                                                       : Type::tensor(values.type(), Shape(Dims{})));
    return t;
  }
  Type element;
  for (size_t i = 0; i < elements.size(); ++i) {
    const Type own = type_of_value(elements[i]);
    element = i == 0 ? own : common_type(element, own);
  }
  return container.type() == DataType::sequence ? Type::sequence(element) : Type::optional(element);
}

Type type_of_value(const Tensor& value) {
  return is_container(value.type()) ? type_of_container(value) : Type::tensor(value.type(), Shape(value.dims()));
}

}  // namespace

Facts Facts::of(const Tensor& constant) {
  // Longer integer tensors are data, not shapes.
  constexpr int64_t kMostElements = 1024;
  Facts f;
  if (is_container(constant.type())) {
    f.type = type_of_container(constant);
    return f;
  }
  f.type = Type::tensor(constant.type(), Shape(constant.dims()));
  f.constant = constant;
  if (constant.rank() <= 1 && constant.size() <= kMostElements) {
    if (constant.type() == DataType::int64) {
      auto values = constant.values<int64_t>();
      f.elements.emplace(values.begin(), values.end());
    } else if (constant.type() == DataType::int32) {
      auto values = constant.values<int32_t>();
      f.elements.emplace(values.begin(), values.end());
    }
  }
  return f;
}

// ---- InferContext

InferContext::InferContext(const Node& node, const OpDef& def, std::vector<const Facts*> inputs,
                           const OuterFacts* outer, Prepared* prepared)
    : node_(node), def_(def), attributes_(def, node.attributes()), inputs_(std::move(inputs)), outer_(outer),
      prepared_(prepared), outputs_(static_cast<size_t>(node.num_outputs())) {}

const Facts& InferContext::input(int i) const {
  require(has_input(i), ErrorCode::invalid_model, "input {} is missing", i);
  return *inputs_[static_cast<size_t>(i)];
}

DataType InferContext::input_type(int i) const { return input(i).type.element; }
const std::optional<Shape>& InferContext::input_shape(int i) const { return input(i).type.shape; }

const Tensor* InferContext::input_constant(int i) const {
  if (!has_input(i) || !input(i).constant.defined()) return nullptr;
  return &input(i).constant;
}

const std::vector<Dim>* InferContext::input_elements(int i) const {
  if (!has_input(i) || !input(i).elements) return nullptr;
  return &*input(i).elements;
}

std::optional<std::vector<int64_t>> InferContext::input_ints(int i) const {
  const std::vector<Dim>* elements = input_elements(i);
  if (!elements) return std::nullopt;
  return Shape(*elements).known();
}

void InferContext::set_output(int i, Type type) {
  if (i < num_outputs()) outputs_[static_cast<size_t>(i)].type = std::move(type);
}

void InferContext::set_output_elements(int i, std::vector<Dim> elements) {
  if (i < num_outputs()) outputs_[static_cast<size_t>(i)].elements = std::move(elements);
}

void InferContext::same_as_input() { set_output(0, input(0).type); }

std::vector<Facts> InferContext::infer_body(const Graph& body, const std::vector<Type>& inputs) const {
  require(inputs.size() == body.inputs().size(), ErrorCode::invalid_model, "subgraph {} has {} inputs, expected {}",
          quoted(body.name), body.inputs().size(), inputs.size());
  InferOptions options;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value* v = body.inputs()[i];
    options.inputs[v] = inputs[i].kind == Type::Kind::unknown ? v->type() : inputs[i];
  }
  if (outer_) options.outer = *outer_;
  const GraphFacts facts = infer_graph(body, options);
  std::vector<Facts> outputs;
  for (const Value* v : body.outputs()) {
    const Facts* f = facts.find(v);
    if (!f && outer_ && *outer_) f = (*outer_)(v);
    outputs.push_back(f ? *f : Facts());
    // Its shape may be wrong for these inputs.
    Type& type = outputs.back().type;
    if (type.kind == Type::Kind::unknown && v->type().is_tensor()) type = Type::tensor(v->type().element);
  }
  return outputs;
}

// ---- helpers

Type common_type(const Type& a, const Type& b) {
  if (a.kind != b.kind) return a.kind == Type::Kind::unknown ? b : b.kind == Type::Kind::unknown ? a : Type{};
  Type out = a;
  if (a.is_tensor()) {
    if (a.element != b.element) out.element = DataType::undefined;
    if (!a.shape || !b.shape || a.shape->rank() != b.shape->rank()) {
      out.shape.reset();
    } else {
      for (int i = 0; i < a.shape->rank(); ++i) {
        if (!(*a.shape)[i].same_as((*b.shape)[i])) (*out.shape)[i] = Dim();
      }
    }
  } else if (a.inner && b.inner) {
    out.inner = std::make_shared<const Type>(common_type(*a.inner, *b.inner));
  } else {
    out.inner = nullptr;
  }
  return out;
}

int normalize_axis(int64_t axis, int rank, bool inclusive, std::string_view what) {
  const int64_t last = inclusive ? rank : rank - 1;
  require(axis >= -(last + 1) && axis <= last, ErrorCode::invalid_model, "{} {} is out of range for rank {}", what, axis, rank);
  return static_cast<int>(axis < 0 ? axis + last + 1 : axis);
}

Dim multiply(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return checked_mul(a.value(), b.value());
  if (a.is_known() && a.value() == 1) return b;
  if (b.is_known() && b.value() == 1) return a;
  if ((a.is_known() && a.value() == 0) || (b.is_known() && b.value() == 0)) return 0;
  return {};
}

Dim add(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) return checked_add(a.value(), b.value());
  if (a.is_known() && a.value() == 0) return b;
  if (b.is_known() && b.value() == 0) return a;
  return {};
}

Dim merge(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known()) {
    require(a.value() == b.value(), ErrorCode::invalid_model, "dimensions {} and {} differ", a.value(), b.value());
  }
  if (a.is_known()) return a;
  if (b.is_known()) return b;
  return a.is_symbol() ? a : b;
}

std::optional<Shape> broadcast_shapes(std::span<const std::optional<Shape>* const> shapes) {
  int rank = 0;
  for (const auto* s : shapes) {
    if (!s->has_value()) return std::nullopt;
    rank = std::max(rank, (*s)->rank());
  }
  std::vector<Dim> dims(static_cast<size_t>(rank), Dim(1));
  for (const auto* s : shapes) {
    const int offset = rank - (*s)->rank();
    for (int i = 0; i < (*s)->rank(); ++i) {
      Dim& out = dims[static_cast<size_t>(offset + i)];
      const Dim& in = (**s)[i];
      if (in.is_known() && in.value() == 1) continue;
      if (out.is_known() && out.value() == 1) {
        out = in;
      } else if (in.is_known() && out.is_known()) {
        require(in.value() == out.value(), ErrorCode::invalid_model, "dimensions {} and {} cannot be broadcast",
                out.value(), in.value());
      } else if (in.is_known()) {
        out = in;  // the other is 1 or the same
      } else if (!out.is_known() && !out.same_as(in)) {
        out = Dim();
      }
    }
  }
  return Shape(std::move(dims));
}

std::optional<Shape> broadcast_shapes(const std::optional<Shape>& a, const std::optional<Shape>& b) {
  const std::optional<Shape>* both[] = {&a, &b};
  return broadcast_shapes(both);
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  const std::optional<Shape> sa = Shape(a), sb = Shape(b);
  return *broadcast_shapes(sa, sb)->known();
}

// ---- nodes and graphs

namespace {

void validate_node(const Node& node, const OpDef& def, const std::vector<const Facts*>& inputs) {
  const int given = static_cast<int>(inputs.size());
  require(given <= def.max_inputs, ErrorCode::invalid_model, "{} inputs, at most {} are allowed", given, def.max_inputs);
  for (int i = 0; i < def.min_inputs; ++i) {
    require(i < given && inputs[static_cast<size_t>(i)], ErrorCode::invalid_model, "input {} is missing", i);
  }
  require(node.num_outputs() <= def.max_outputs && node.num_outputs() >= def.min_outputs, ErrorCode::invalid_model,
          "{} outputs, expected {} to {}", node.num_outputs(), def.min_outputs, def.max_outputs);
  for (int i = 0; i < given; ++i) {
    const Facts* f = inputs[static_cast<size_t>(i)];
    const DataType content = f ? f->type.tensor_type() : DataType::undefined;
    if (content == DataType::undefined) continue;
    const TypeSet allowed = def.input_types.empty()
                                ? types::kAll
                                : def.input_types[std::min(static_cast<size_t>(i), def.input_types.size() - 1)];
    require(allowed.contains(content), ErrorCode::invalid_model, "input {} {} {}, which the operator does not take", i,
            is_container(content) ? "is of kind" : "has element type", to_string(content));
  }
  AttributeReader(def, node.attributes()).validate();
}

}  // namespace

void validate_node(const Node& node, const std::vector<const Facts*>& inputs) {
  with_context([&] { validate_node(node, op_of(node), inputs); }, [&] { return describe(node); });
}

std::vector<Facts> infer_node(const Node& node, const std::vector<const Facts*>& inputs, const OuterFacts* outer,
                              Prepared* prepared) {
  return with_context(
      [&] {
        const OpDef& def = op_of(node);
        validate_node(node, def, inputs);
        InferContext context(node, def, inputs, outer, prepared);
        def.infer(context);
        return std::move(context.outputs());
      },
      [&] { return describe(node); });
}

namespace {

// An output whose elements are all known numbers is a constant.
void promote_elements(Facts& f) {
  if (f.constant.defined() || !f.elements || !f.type.shape) return;
  auto values = Shape(*f.elements).known();
  auto dims = f.type.shape->known();
  if (!values || !dims || checked_elements(*dims) != static_cast<int64_t>(values->size())) return;
  if (f.type.element == DataType::int64) {
    f.constant = Tensor::of(*values, *dims);
  } else if (f.type.element == DataType::int32) {
    f.constant = Tensor::of(std::vector<int32_t>(values->begin(), values->end()), *dims);
  }
}

bool within(const std::vector<const Facts*>& inputs, const std::vector<Facts>& outputs, const ValueLimits& limits) {
  for (const Facts* f : inputs) {
    if (f && (!f->constant.defined() || f->constant.size() > limits.input_elements)) return false;
  }
  for (const Facts& f : outputs) {
    auto dims = f.type.shape ? f.type.shape->known() : std::nullopt;
    if (!dims || checked_elements(*dims) > limits.output_elements) return false;
  }
  return true;
}

}  // namespace

std::vector<Facts> infer_values(const Node& node, const std::vector<const Facts*>& inputs, const ValueLimits& limits,
                                const OuterFacts* outer) {
  std::vector<Facts> outputs = infer_node(node, inputs, outer);
  for (Facts& f : outputs) promote_elements(f);
  if (!op_of(node).deterministic || has_subgraph(node) || !within(inputs, outputs, limits)) return outputs;
  std::vector<const Tensor*> tensors;
  for (const Facts* f : inputs) tensors.push_back(f ? &f->constant : nullptr);
  std::vector<Tensor> results = evaluate_node(node, tensors);
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].defined()) outputs[i] = Facts::of(results[i]);
  }
  return outputs;
}

std::optional<Dims> GraphFacts::dims(const Value* value) const {
  const Facts* f = find(value);
  if (!f || !f->type.shape) return std::nullopt;
  return f->type.shape->known();
}

namespace {

// What both the declaration and inference say of a type; inference wins where it knows.
Type merge_declared(const Type& inferred, const Type& declared) {
  if (inferred.kind == Type::Kind::unknown) return declared;
  if (declared.kind != inferred.kind) return inferred;
  Type out = inferred;
  if (out.element == DataType::undefined) out.element = declared.element;
  if (!out.shape) {
    out.shape = declared.shape;
  } else if (declared.shape && declared.shape->rank() == out.shape->rank()) {
    for (int i = 0; i < out.shape->rank(); ++i) {
      if (!(*out.shape)[i].is_known() && !(*out.shape)[i].is_symbol()) (*out.shape)[i] = (*declared.shape)[i];
    }
  }
  return out;
}

}  // namespace

namespace {

void infer_nodes(std::span<const Node* const> nodes, GraphFacts& facts, const InferOptions& options, bool declared) {
  const OuterFacts known = [&](const Value* v) -> const Facts* {
    const Facts* f = facts.find(v);
    return f || !options.outer ? f : options.outer(v);
  };
  for (const Node* node : nodes) {
    check_limits();
    std::vector<Facts> outputs(static_cast<size_t>(node->num_outputs()));
    if (find_op(*node) || !options.allow_unknown_ops) {
      std::vector<const Facts*> inputs;
      for (int i = 0; i < node->num_inputs(); ++i) {
        const Value* v = node->input(i);
        inputs.push_back(v ? known(v) : nullptr);
        static const Facts kUnknown;
        if (v && !inputs.back()) inputs.back() = &kUnknown;
      }
      outputs = infer_values(*node, inputs, options.limits, &known);
    }
    for (int i = 0; i < node->num_outputs(); ++i) {
      const Value* v = node->output(i);
      if (!v) continue;
      Facts& f = outputs[static_cast<size_t>(i)];
      check_declared_type(*node, *v, f.type);
      if (declared) f.type = merge_declared(f.type, v->type());
      facts[v] = std::move(f);
    }
  }
}

}  // namespace

void infer_nodes(std::span<const Node* const> nodes, GraphFacts& facts, const InferOptions& options) {
  infer_nodes(nodes, facts, options, false);
}

GraphFacts infer_graph(const Graph& graph, const InferOptions& options) {
  GraphFacts facts;
  for (Value* v : graph.values()) {
    if (v->producer()) continue;
    auto given = options.input_values.find(v);
    if (given != options.input_values.end()) {
      facts[v] = Facts::of(given->second);
    } else if (const Tensor* t = v->constant()) {
      facts[v] = Facts::of(*t);
    } else {
      auto typed = options.inputs.find(v);
      facts[v].type = typed != options.inputs.end() ? typed->second : v->type();
    }
  }
  // What is declared may be wrong for inputs of other shapes.
  infer_nodes(graph.topological_order(), facts, options, options.inputs.empty() && !options.outer);
  return facts;
}

}  // namespace plica
