#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "plica/model.h"
#include "tests/fuzz/mutate_values.h"

namespace plica::fuzz {
namespace {

using namespace onnx_format;

// Of the graph alone, not of those around it.
std::vector<std::string> values_of(const GraphProto& graph) {
  std::vector<std::string> names;
  for (const auto& input : graph.input()) names.push_back(input.name());
  for (const auto& tensor : graph.initializer()) names.push_back(tensor.name());
  for (const auto& node : graph.node()) names.insert(names.end(), node.output().begin(), node.output().end());
  return names;
}

std::string unused_name(Random& random) { return "v" + std::to_string(random()); }

const OperatorInfo& any_operator(Random& random) {
  static const std::vector<OperatorInfo> all = supported_operators();
  return all[random() % all.size()];
}

void mutate_wiring(GraphProto& graph, NodeProto& node, Random& random) {
  const std::vector<std::string> names = values_of(graph);
  if (names.empty()) return;
  switch (below(random, 5)) {
    case 0:
      return node.add_input(any_of(names, random));
    case 1:
      if (node.input_size() > 0) node.mutable_input()->RemoveLast();
      return;
    case 2:
      if (node.output_size() > 1 && one_in(random, 2)) {
        node.mutable_output()->RemoveLast();
      } else {
        node.add_output(unused_name(random));
      }
      return;
    default:
      if (node.input_size() > 0)
        *node.mutable_input(below(random, node.input_size())) =
            one_in(random, 10) ? "" : any_of(names, random);
  }
}

// Everything after the node reads what the new node makes of its output.
void insert_after(GraphProto& graph, int at, Random& random) {
  static const std::array<const char*, 24> kUnary = {"Relu",
                                                     "Sigmoid",
                                                     "Identity",
                                                     "Transpose",
                                                     "Neg",
                                                     "Shape",
                                                     "Flatten",
                                                     "Softmax",
                                                     "Abs",
                                                     "Exp",
                                                     "Sqrt",
                                                     "Tanh",
                                                     "HardSwish",
                                                     "Clip",
                                                     "LeakyRelu",
                                                     "Erf",
                                                     "Squeeze",
                                                     "ReduceSum",
                                                     "GlobalAveragePool",
                                                     "Not",
                                                     "Cast",
                                                     "Floor",
                                                     "Sign",
                                                     "NonZero"};
  static const std::array<const char*, 10> kBinary = {"Add",    "Mul", "Sub",     "Div",   "MatMul",
                                                      "Concat", "Max", "Greater", "Equal", "Pow"};
  if (graph.node(at).output_size() == 0) return;
  const std::string from = graph.node(at).output(below(random, graph.node(at).output_size()));
  const std::string to = unused_name(random);
  for (int i = at + 1; i < graph.node_size(); ++i) {
    for (std::string& input : *graph.mutable_node(i)->mutable_input()) {
      if (input == from) input = to;
    }
  }
  NodeProto& node = *graph.add_node();
  const std::vector<std::string> names = values_of(graph);
  if (one_in(random, 2)) {
    node.set_op_type(any_of(kUnary, random));
    node.add_input(from);
    if (node.op_type() == "Cast") {
      AttributeProto& type = *node.add_attribute();
      type.set_name("to");
      type.set_type(AttributeProto::INT);
      type.set_i(any_type(random));
    }
  } else {
    node.set_op_type(any_of(kBinary, random));
    node.add_input(from);
    node.add_input(one_in(random, 2) ? from : any_of(names, random));
    if (node.op_type() == "Concat") {
      AttributeProto& axis = *node.add_attribute();
      axis.set_name("axis");
      axis.set_type(AttributeProto::INT);
      axis.set_i(below(random, 3));
    }
  }
  node.add_output(to);
  for (auto& output : *graph.mutable_output()) {
    if (output.name() == from && one_in(random, 2)) {
      output.set_name(to);
      output.clear_type();
    }
  }
  for (int i = graph.node_size() - 1; i > at + 1; --i) graph.mutable_node()->SwapElements(i, i - 1);
}

// The node becomes an If that has it in both branches.
void nest(GraphProto& graph, int at, Random& random) {
  NodeProto inner;
  inner.Swap(graph.mutable_node(at));
  NodeProto& outer = *graph.mutable_node(at);
  outer.set_op_type("If");
  TensorProto& condition = *graph.add_initializer();
  condition.set_name(unused_name(random));
  condition.set_data_type(TensorProto::BOOL);
  condition.set_raw_data(std::string(1, static_cast<char>(below(random, 2))));
  outer.add_input(condition.name());
  for (const char* name : {"then_branch", "else_branch"}) {
    AttributeProto& branch = *outer.add_attribute();
    branch.set_name(name);
    branch.set_type(AttributeProto::GRAPH);
    GraphProto& body = *branch.mutable_g();
    body.set_name(name);
    NodeProto& copy = *body.add_node();
    copy = inner;
    for (std::string& output : *copy.mutable_output()) {
      if (output.empty()) continue;
      output += name;
      body.add_output()->set_name(output);
    }
  }
  for (const std::string& output : inner.output()) {
    if (!output.empty()) outer.add_output(output);
  }
}

// An input becomes a constant.
void freeze(GraphProto& graph, int at, Random& random) {
  const ValueInfoProto info = graph.input(at);
  const auto& type = info.type().tensor_type();
  TensorProto tensor;
  tensor.set_name(info.name());
  tensor.set_data_type(type.elem_type());
  size_t elements = 1;
  for (const auto& dim : type.shape().dim()) {
    const int64_t n = dim.has_dim_value() ? dim.dim_value() : 1;
    if (n < 0 || n > 1024 || elements * static_cast<size_t>(n) > 4096) return;
    elements *= static_cast<size_t>(n);
    tensor.add_dims(n);
  }
  std::string& raw = *tensor.mutable_raw_data();
  const auto append = [&](const auto& value) {
    raw.append(reinterpret_cast<const char*>(&value), sizeof value);
  };
  for (size_t i = 0; i < elements; ++i) {
    const int small = below(random, 5) - 1;
    switch (type.elem_type()) {
      case TensorProto::FLOAT:
        append(static_cast<float>(below(random, 65) - 16) / 16);
        break;
      case TensorProto::DOUBLE:
        append(static_cast<double>(small));
        break;
      case TensorProto::INT64:
        append(static_cast<int64_t>(small));
        break;
      case TensorProto::INT32:
        append(static_cast<int32_t>(small));
        break;
      case TensorProto::BOOL:
      case TensorProto::UINT8:
      case TensorProto::INT8:
        append(static_cast<uint8_t>(below(random, 2)));
        break;
      default:
        return;
    }
  }
  graph.mutable_input()->DeleteSubrange(at, 1);
  *graph.add_initializer() = std::move(tensor);
}

void collect(GraphProto& graph, std::vector<GraphProto*>& out) {
  out.push_back(&graph);
  for (auto& node : *graph.mutable_node()) {
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) collect(*attribute.mutable_g(), out);
    }
  }
}

void mutate_node(GraphProto& graph, int at, Random& random) {
  NodeProto& node = *graph.mutable_node(at);
  switch (below(random, 12)) {
    case 0:
      return insert_after(graph, at, random);
    case 1:
      graph.mutable_node()->DeleteSubrange(at, 1);
      return;
    case 2: {  // a copy with outputs of its own
      NodeProto copy = node;
      for (std::string& output : *copy.mutable_output()) output = unused_name(random);
      *graph.add_node() = std::move(copy);
      return;
    }
    case 3:
      return graph.mutable_node()->SwapElements(at, below(random, graph.node_size()));
    case 4: {
      const OperatorInfo& op = any_operator(random);
      node.set_op_type(op.name);
      if (op.domain.empty()) return node.clear_domain();
      return node.set_domain(op.domain);
    }
    case 5:
      return nest(graph, at, random);
    case 6:
      if (node.output_size() > 0) graph.add_output()->set_name(any_of(*node.mutable_output(), random));
      return;
    case 7:
      if (node.attribute_size() > 0)
        node.mutable_attribute()->DeleteSubrange(below(random, node.attribute_size()), 1);
      return;
    case 8:
    case 9:
      return mutate_wiring(graph, node, random);
    default:
      if (node.attribute_size() > 0) mutate_attribute(any_of(*node.mutable_attribute(), random), random);
  }
}

}  // namespace

void mutate(ModelProto& model, Random& random) {
  if (one_in(random, 40) && model.opset_import_size() > 0)
    return any_of(*model.mutable_opset_import(), random).set_version(1 + below(random, 27));
  std::vector<GraphProto*> graphs;
  collect(*model.mutable_graph(), graphs);
  GraphProto& graph = *any_of(graphs, random);
  const int kind = below(random, 8);
  if (kind == 0 && graph.input_size() > 0)
    return mutate_declaration(any_of(*graph.mutable_input(), random), random);
  if (kind == 1 && graph.initializer_size() > 0)
    return mutate_tensor(any_of(*graph.mutable_initializer(), random), random);
  if (kind == 2 && graph.input_size() > 0 && &graph == graphs.front())
    return freeze(graph, below(random, graph.input_size()), random);
  if (kind == 3 && graph.output_size() > 0 && one_in(random, 4))
    return mutate_declaration(any_of(*graph.mutable_output(), random), random);
  if (graph.node_size() > 0) mutate_node(graph, below(random, graph.node_size()), random);
}

void cross(ModelProto& model, const ModelProto& other, Random& random) {
  GraphProto& graph = *model.mutable_graph();
  const std::vector<std::string> names = values_of(graph);
  const std::string prefix = "x" + std::to_string(random() % 1000) + "_";
  std::vector<std::pair<std::string, std::string>> wired;  // inputs of `other` that values of `model` replace
  const auto renamed = [&](const std::string& name) {
    if (name.empty()) return name;
    for (const auto& [from, to] : wired) {
      if (from == name) return to;
    }
    return prefix + name;
  };
  for (const auto& input : other.graph().input()) {
    if (!names.empty() && !one_in(random, 3)) {
      wired.emplace_back(input.name(), any_of(names, random));
      continue;
    }
    *graph.add_input() = input;
    graph.mutable_input()->rbegin()->set_name(prefix + input.name());
  }
  for (const auto& tensor : other.graph().initializer()) {
    *graph.add_initializer() = tensor;
    graph.mutable_initializer()->rbegin()->set_name(prefix + tensor.name());
  }
  for (const auto& from : other.graph().node()) {
    NodeProto& node = *graph.add_node();
    node = from;
    for (std::string& input : *node.mutable_input()) input = renamed(input);
    for (std::string& output : *node.mutable_output()) output = output.empty() ? output : prefix + output;
  }
  for (const auto& output : other.graph().output()) {
    *graph.add_output() = output;
    graph.mutable_output()->rbegin()->set_name(renamed(output.name()));
  }
  for (const auto& import : other.opset_import()) {
    if (std::ranges::none_of(model.opset_import(),
                             [&](const auto& known) { return known.domain() == import.domain(); }))
      *model.add_opset_import() = import;
  }
}

}  // namespace plica::fuzz
