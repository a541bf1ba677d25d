// The graph: nodes that compute values from values. It is always a valid ONNX graph; what only this runtime knows
// (post-ops, layouts, packed weights) is in the plan, never here.
//
// Values and Nodes have stable addresses and belong to one Graph; they are edited only through it, which keeps the
// use-lists right. A Value's uses include those by nodes of nested subgraphs (captures). Constants are Values with a
// Tensor (initializers); tensors are immutable and shared.
// Every name of a value is unique within its graph, and new names are unique in the whole tree of graphs.
// Thread safety: concurrent const access is safe; edits need exclusive access to the whole tree of graphs.
#pragma once

#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <functional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/attributes.h"
#include "engine/graph/type.h"

namespace plica {

class Graph;
class Node;
struct ModelGraph;

// Metadata entries (key, value), in file order.
using Metadata = std::vector<std::pair<std::string, std::string>>;

// Node `node` reads the value as its input number `index`.
struct Use {
  Node* node;
  int index;
};

class Value {
 public:
  const std::string& name() const { return name_; }
  const Type& type() const { return type_; }
  Graph* graph() const { return graph_; }

  // The node that computes it, and as which of its outputs; null for inputs and initializers.
  Node* producer() const { return producer_; }
  int output_index() const { return output_index_; }

  // All reads by nodes, of nested subgraphs too, in no particular order.
  std::span<const Use> uses() const { return uses_; }
  // How often it is listed as an output of its graph or (captured) of a nested one.
  int graph_output_uses() const { return graph_output_uses_; }
  bool is_graph_output() const { return graph_output_uses_ != 0; }
  bool has_uses() const { return !uses_.empty() || is_graph_output(); }
  // Read exactly once, by a node of its own graph, and not an output.
  bool has_single_use() const;

  bool is_graph_input() const { return is_input_; }
  // The initializer, if it has one. An input with an initializer is a default that the caller may override,
  // unless the model's IR version is below 4 (there every initializer had to be an input too).
  const Tensor* initializer() const { return initializer_.defined() ? &initializer_ : nullptr; }
  // Its value when no caller can change it: an initializer that can't be overridden, or the tensor of a Constant node.
  const Tensor* constant() const;

  std::string doc_string;
  Metadata metadata;
  std::string extension;  // what engine/onnx keeps of a ValueInfoProto that the graph does not model

 private:
  friend class Graph;
  friend class Node;
  std::string name_;
  Type type_;
  Graph* graph_ = nullptr;
  Node* producer_ = nullptr;
  int output_index_ = -1;
  bool is_input_ = false;
  int graph_output_uses_ = 0;
  Tensor initializer_;
  std::vector<Use> uses_;
};

class Node {
 public:
  const std::string& op_type() const { return op_type_; }
  const std::string& domain() const { return domain_; }  // "" for ai.onnx
  bool is(std::string_view op_type) const { return domain_.empty() && op_type_ == op_type; }
  Graph* graph() const { return graph_; }
  // The version of the node's domain that its model (or function) imports; 0 when it is not imported.
  int64_t opset() const;
  // What a function that was inlined here imports, where that differs from the graph's; else 0.
  int64_t imported_opset = 0;

  // Inputs; null for one that is left out (an empty name).
  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  Value* input(int i) const { return i < num_inputs() ? inputs_[static_cast<size_t>(i)].value : nullptr; }
  bool has_input(int i) const { return input(i) != nullptr; }
  // Outputs; null for one that is left out.
  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  Value* output(int i) const { return i < num_outputs() ? outputs_[static_cast<size_t>(i)] : nullptr; }
  bool has_output(int i) const { return output(i) != nullptr; }

  const Attributes& attributes() const { return attributes_; }

  std::string name;
  std::string overload;
  std::string doc_string;
  Metadata metadata;
  std::string extension;  // what engine/onnx keeps of a NodeProto that the graph does not model

 private:
  friend class Graph;
  friend class Value;
  struct Input {
    Value* value = nullptr;
    size_t use = 0;  // its place in value->uses_
  };
  std::string op_type_, domain_;
  Graph* graph_ = nullptr;
  std::vector<Input> inputs_;
  std::vector<Value*> outputs_;
  Attributes attributes_;
  std::list<std::unique_ptr<Node>>::iterator place_;
};

// "node 'conv1' (Conv, opset 13)", for messages; an unnamed node is named by its first output.
std::string describe(const Node& node);

class Graph {
 public:
  explicit Graph(const ModelGraph* model) : model_(model) {}
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  std::string name;
  std::string doc_string;
  Metadata metadata;
  std::string extension;  // what engine/onnx keeps of a GraphProto that the graph does not model

  const ModelGraph& model() const { return *model_; }
  // The opset imports that hold here (a function has its own). Set on the root only.
  int64_t opset(std::string_view domain) const;
  void set_opsets(const std::vector<std::pair<std::string, int64_t>>* opsets) { opsets_ = opsets; }

  // The node that owns this subgraph, and the graph that node is in; null for a root.
  Node* parent_node() const { return parent_; }
  Graph* parent() const { return parent_ ? parent_->graph() : nullptr; }

  // ---- reading
  const std::vector<Value*>& inputs() const { return inputs_; }
  const std::vector<Value*>& outputs() const { return outputs_; }
  // Initializers in the order they were added.
  std::vector<Value*> initializers() const;
  size_t num_nodes() const { return nodes_.size(); }
  std::vector<Node*> nodes() const;  // in list order
  std::vector<Value*> values() const;  // all of this graph (not of subgraphs), in order of creation
  Value* find(std::string_view name) const;    // in this graph
  Value* lookup(std::string_view name) const;  // in this graph or an enclosing one

  // The nodes so that each follows those it depends on (through captures too), otherwise in list order. Iterative.
  // Throws invalid_model naming a node of a cycle.
  std::vector<Node*> topological_order() const;

  // ---- editing values
  // A name derived from `base` that no value in the tree of graphs has: base, base_1, base_2, ...
  std::string fresh_name(std::string_view base) const;
  // Each throws invalid_model when the name is empty or taken in this graph.
  Value* add_input(std::string name, Type type);
  Value* add_initializer(std::string name, Tensor tensor);
  Value* add_value(std::string name, Type type = {});  // to be produced by a node
  void set_initializer(Value* value, Tensor tensor);   // also makes an input overridable; undefined removes it
  void set_type(Value* value, Type type);
  void rename(Value* value, std::string name);
  void add_output(Value* value);  // of this graph or an enclosing one
  void set_output(size_t index, Value* value);
  void remove_output(size_t index);
  void remove_input(size_t index);  // the value must have no uses, or an initializer to stand on
  // The value must have no uses, be no input and have no producer.
  void remove_value(Value* value);
  // Every read of `from`, and every listing as an output, becomes one of `to`.
  void replace_all_uses(Value* from, Value* to);

  // ---- editing nodes
  // Appends (or inserts before `before`) a node. Outputs must be values of this graph without a producer. Subgraphs
  // among the attributes become this node's (they must not be another's).
  Node* add_node(std::string op_type, std::string domain, std::vector<Value*> inputs, std::vector<Value*> outputs,
                 Attributes attributes = {}, Node* before = nullptr);
  // Makes an empty subgraph of `node` under that attribute name.
  Graph* add_subgraph(Node* node, std::string attribute_name);
  Graph* append_subgraph(Node* node, std::string attribute_name);  // to a list of graphs
  void set_input(Node* node, int index, Value* value);             // value may be null
  void resize_inputs(Node* node, int count);
  void set_attribute(Node* node, Attribute attribute);
  void remove_attribute(Node* node, std::string_view name);
  // The outputs must have no uses; they go too.
  void remove_node(Node* node);
  // As above, but keeps the output values (without a producer).
  void detach_outputs(Node* node);
  void move_before(Node* node, Node* before);
  // Puts the node list into topological order.
  void sort();

  // Appends a copy of `from`'s inputs, initializers, nodes, outputs (deeply) to this empty graph. Values of graphs
  // that enclose `from` are mapped by `outer`; tensors are shared.
  void copy_from(const Graph& from, const std::function<Value*(Value*)>& outer);

  // ---- checks
  // Throws invalid_model (what a file can cause) or internal (broken links): unique names, defined inputs in
  // topological order, producers, use-lists, ownership of subgraphs; subgraphs too. Iterative along chains.
  void verify() const;

 private:
  friend class Value;
  friend class Node;
  void add_use(Node* node, int index, Value* value);
  void drop_use(Node* node, int index);
  void drop_all_links(Node* node);
  Value* new_value(std::string name, Type type);
  void adopt(Graph& subgraph, Node* node);
  void orphan(Graph& subgraph);  // its node goes; the subgraph may live on in a copy of the attributes
  void orphan_attribute(Node* node, std::string_view name);
  Graph& root() const;

  const ModelGraph* model_;
  Node* parent_ = nullptr;
  const std::vector<std::pair<std::string, int64_t>>* opsets_ = nullptr;
  std::list<std::unique_ptr<Node>> nodes_;
  std::list<std::unique_ptr<Value>> values_;
  std::unordered_map<std::string_view, std::list<std::unique_ptr<Value>>::iterator> by_name_;
  std::vector<Value*> inputs_;
  std::vector<Value*> outputs_;
  // Of a root: how many values of the tree have a name.
  std::unordered_map<std::string, int> tree_names_;
};

// A readable listing: inputs, initializers (types only), one line a node, outputs; subgraphs indented.
std::string print(const Graph& graph);

}  // namespace plica
