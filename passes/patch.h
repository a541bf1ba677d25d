// Patch: what a rewrite rule wants done to a graph, as a value. A rule builds it without touching the graph;
// the driver checks it (names, types, uses, node count) and only then applies it, whole.
//
// A patch edits nodes that stay (inputs, attributes, metadata), makes constants and nodes, and says which
// values are replaced. What nobody reads afterwards goes by itself: a patch does not list it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/graph/graph.h"

namespace plica {

// What a patch refers to: a value that exists, one that the patch makes, or nothing (an input left out).
struct Operand {
  Value* value = nullptr;
  int made = -1;  // index into Patch::made()

  Operand() = default;
  Operand(Value* v) : value(v) {}  // NOLINT: a value is an operand
};

class Patch {
 public:
  struct NewConstant {
    std::string base_name;
    Tensor tensor;
    const Node* before;  // where a Constant node would go
  };
  struct NewNode {
    std::string op_type;
    std::string name = {};
    std::string output_base_name;
    std::vector<Operand> inputs;
    Attributes attributes = {};
    const Node* before;
    const Node* like = nullptr;  // takes over its name, doc string and metadata
  };
  using Made = std::variant<NewConstant, NewNode>;
  struct InputEdit {
    Node* node;
    int index;
    Operand to;
  };
  struct AttributeEdit {
    Node* node;
    Attribute attribute;  // without a value: the attribute is removed
  };
  struct Replacement {
    Value* from;
    Operand by;
    bool same = true;  // both hold the same
  };
  struct Note {
    Node* node;  // or, when null, the new node
    int made;
    std::string key, text;
  };

  // `at`: the node that the rule looked at. What the patch makes lives in its graph.
  explicit Patch(const Node& at) : graph_(at.graph()) {}
  explicit Patch(Graph& graph) : graph_(&graph) {}

  // ---- building
  // An initializer, or a Constant node before `before` where initializers cannot be (model functions, graph
  // outputs).
  Operand add_constant(std::string base_name, Tensor tensor, const Node& before);
  // A node of ai.onnx with one output.
  Operand add_node(NewNode node);
  // Editing a node changes what its outputs hold: every present reader of them must go or be edited too.
  void set_input(Node* node, int index, Operand to) { input_edits_.push_back({node, index, to}); }
  void set_attribute(Node* node, Attribute attribute) {
    attribute_edits_.push_back({node, std::move(attribute)});
  }
  void remove_attribute(Node* node, std::string name);
  // The node stays as it is and computes something else, because its inputs hold something else. As above for
  // its readers.
  void carry(Node* node) { carried_.push_back(node); }
  // This output of an edited or carried node holds what it held before: its readers may stay.
  void keep_output(const Value* value) { kept_outputs_.push_back(value); }
  // Every read of `from` becomes one of `by`. `by` takes over the name and description of `from` when it is
  // made or redefined by this patch, or when `from` is a graph output; otherwise both hold the same and `by`
  // keeps its own.
  void replace(Value* from, Operand by) { replacements_.push_back({from, by, true}); }
  // Every read of `from` becomes one of `by`, which holds something else (of the same type and shape) and
  // keeps a name of its own: every reader must go, or be edited or carried.
  void substitute(Value* from, Operand by) { replacements_.push_back({from, by, false}); }
  // A node whose outputs nobody reads.
  void remove(const Node& node) { removed_nodes_.push_back(&node); }
  // An initializer that nobody reads.
  void remove(Value* value) { removed_values_.push_back(value); }
  // Adds `text` to the node's metadata entry `key`, after a comma if there is one already.
  void note(Node* node, std::string key, std::string text) {
    notes_.push_back({node, -1, std::move(key), std::move(text)});
  }
  void note(int made, std::string key, std::string text) {
    notes_.push_back({nullptr, made, std::move(key), std::move(text)});
  }

  // ---- reading
  Graph& graph() const { return *graph_; }
  const std::vector<Made>& made() const { return made_; }
  const std::vector<InputEdit>& input_edits() const { return input_edits_; }
  const std::vector<AttributeEdit>& attribute_edits() const { return attribute_edits_; }
  const std::vector<Node*>& carried() const { return carried_; }
  const std::vector<const Value*>& kept_outputs() const { return kept_outputs_; }
  const std::vector<Replacement>& replacements() const { return replacements_; }
  const std::vector<const Node*>& removed_nodes() const { return removed_nodes_; }
  const std::vector<Value*>& removed_values() const { return removed_values_; }
  const std::vector<Note>& notes() const { return notes_; }

  // Of the names of values that hold something else afterwards and take over no other's.
  std::string_view redefined_suffix = "_folded";

  // ---- what the report and the driver's budgets want to know
  std::vector<Node*> absorbers;        // a fold: the nodes that took it in,
  std::vector<int> made_absorbers;     // and new ones, which are among the former once the patch is applied
  std::optional<double> error_bound;   // a fold: see BatchNormVerdict
  std::vector<double> channel_bounds;  // a fold into one operator's output: the same by channel
  bool offset_stays = false;           // a fold: in a node of its own, and only the factor is gone
  int64_t flushed = 0;                 // a fold: subnormal constants that became zero
  int64_t growth_bytes = 0;            // by which constants grow
  int64_t work_bytes = 0;              // read and written to compute the constants

 private:
  Graph* graph_;
  std::vector<Made> made_;
  std::vector<InputEdit> input_edits_;
  std::vector<AttributeEdit> attribute_edits_;
  std::vector<Node*> carried_;
  std::vector<const Value*> kept_outputs_;
  std::vector<Replacement> replacements_;
  std::vector<const Node*> removed_nodes_;
  std::vector<Value*> removed_values_;
  std::vector<Note> notes_;
};

// Whether `by`, which exists, may stand for `from` everywhere: a graph output must keep its name, so `by`
// must then be free to take it; and no subgraph that reads `from` may have another value of the name.
bool can_replace(const Value& from, const Value& by);

// The node's name, or its first output's when it has none.
std::string label_of(const Node& node);

}  // namespace plica
