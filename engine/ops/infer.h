// Type and shape inference: for one node (InferContext, the argument of OpDef::infer) and for a graph (infer_graph).
//
// Shapes keep symbols. Small integer tensors that hold shapes are followed as values whose elements are Dims, so that
// Shape -> Slice -> Concat -> Reshape chains resolve with symbols in them, and completely once inputs are concrete.
// What is not known stays unknown; what contradicts the specification throws invalid_model.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/fail.h"
#include "engine/graph/graph.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/op_def.h"
#include "engine/ops/prepared.h"

namespace plica {

// What is known of a value.
struct Facts {
  Type type;
  Tensor constant;                            // defined: the value never changes
  std::optional<std::vector<Dim>> elements;   // of an int64/int32 tensor of rank 0 or 1, with symbols

  static Facts of(const Tensor& constant);    // elements too, when they are dims; of a container its type alone
};

// What is known of a value of an enclosing graph; null: nothing.
using OuterFacts = std::function<const Facts*(const Value*)>;

class InferContext {
 public:
  // `inputs`: null for one that is left out. Subgraphs see captured values through `outer`, which may be null.
  // `prepared`: what is prepared of the node, and where it stays if that happens here; may be null.
  InferContext(const Node& node, const OpDef& def, std::vector<const Facts*> inputs, const OuterFacts* outer = nullptr,
               Prepared* prepared = nullptr);

  const Node& node() const { return node_; }
  const OpDef& def() const { return def_; }
  const AttributeReader& attributes() const { return attributes_; }
  int64_t opset() const { return node_.opset(); }
  // What def().prepare, which is prepare_as<T>, makes of the node.
  template <class T>
  const T& prepared() {
    return prepared_as<T>(def_, attributes_, prepared_ ? *prepared_ : own_prepared_);
  }

  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  bool has_input(int i) const { return i < num_inputs() && inputs_[static_cast<size_t>(i)] != nullptr; }
  const Facts& input(int i) const;                     // throws invalid_model when it is left out
  DataType input_type(int i) const;                    // element type; undefined when not known
  const std::optional<Shape>& input_shape(int i) const;
  // The constant, or null when it is not known (yet) or left out.
  const Tensor* input_constant(int i) const;
  // The elements of a small integer tensor as far as they are known; null when not, or left out.
  const std::vector<Dim>* input_elements(int i) const;
  // The same when every element is a number.
  std::optional<std::vector<int64_t>> input_ints(int i) const;

  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  bool has_output(int i) const { return node_.has_output(i); }
  void set_output(int i, Type type);
  void set_output(int i, DataType type, std::optional<Shape> shape) { set_output(i, Type::tensor(type, std::move(shape))); }
  // The elements of a small integer output.
  void set_output_elements(int i, std::vector<Dim> elements);

  // Output 0 has input 0's type and shape.
  void same_as_input();

  std::vector<Facts>& outputs() { return outputs_; }

  // The facts of a subgraph's outputs, for these types of its inputs.
  std::vector<Facts> infer_body(const Graph& body, const std::vector<Type>& inputs) const;

 private:
  const Node& node_;
  const OpDef& def_;
  AttributeReader attributes_;
  std::vector<const Facts*> inputs_;
  const OuterFacts* outer_;
  Prepared* prepared_;
  Prepared own_prepared_;
  std::vector<Facts> outputs_;
};

// ---- helpers for infer functions

// The axis in [0, rank) (or [0, rank] with `inclusive`) that a possibly negative axis means. Throws invalid_model.
int normalize_axis(int64_t axis, int rank, bool inclusive = false, std::string_view what = "axis");

// The shape of a multidirectional (numpy) broadcast; nullopt when a rank is unknown. Throws invalid_model when two
// known dims conflict.
std::optional<Shape> broadcast_shapes(std::span<const std::optional<Shape>* const> shapes);
std::optional<Shape> broadcast_shapes(const std::optional<Shape>& a, const std::optional<Shape>& b);
Dims broadcast_dims(const Dims& a, const Dims& b);  // of tensors that exist

// Products and sums of dims: known when all parts are; otherwise symbols where they survive (x * 1), else unknown.
Dim multiply(const Dim& a, const Dim& b);
Dim add(const Dim& a, const Dim& b);

// The more informative of two descriptions of one dim; throws invalid_model when they conflict.
Dim merge(const Dim& a, const Dim& b);

// What holds of a value that has either type: shapes where they agree.
Type common_type(const Type& a, const Type& b);

// ---- inference of nodes and graphs

// Validates the number of inputs and outputs, element types, attributes. Errors name the node.
void validate_node(const Node& node, const std::vector<const Facts*>& inputs);

// Validates the node (number of inputs and outputs, element types, attributes) and runs its infer. Constant outputs
// are not computed here. Errors name the node. `prepared`: as InferContext has it.
std::vector<Facts> infer_node(const Node& node, const std::vector<const Facts*>& inputs,
                              const OuterFacts* outer = nullptr, Prepared* prepared = nullptr);

// How much work following values may be.
struct ValueLimits {
  int64_t input_elements = INT64_MAX;  // of each input of a node that is computed
  int64_t output_elements = 256;       // of each of its outputs: enough for shape computations
};

// infer_node, and values: an output whose elements are all known is a constant, and a deterministic node without subgraphs
// whose inputs are constants is computed within the limits.
std::vector<Facts> infer_values(const Node& node, const std::vector<const Facts*>& inputs, const ValueLimits& limits,
                                const OuterFacts* outer = nullptr);

struct InferOptions {
  // Concrete or refined types of graph inputs, by value; others keep their declared types.
  std::unordered_map<const Value*, Type> inputs;
  // Values of graph inputs that are known (shape inputs, say), by value.
  std::unordered_map<const Value*, Tensor> input_values;
  ValueLimits limits;
  OuterFacts outer;  // of captured values, when the graph is a subgraph; may be empty
  // A node whose operator is unknown gets outputs of unknown type (or their declared ones); otherwise it throws.
  bool allow_unknown_ops = true;
};

// Facts of all values of a graph (not of subgraphs).
class GraphFacts {
 public:
  const Facts* find(const Value* value) const {
    auto it = map_.find(value);
    return it == map_.end() ? nullptr : &it->second;
  }
  const Facts& at(const Value* value) const { return map_.at(value); }
  std::optional<Dims> dims(const Value* value) const;  // when the shape is known completely
  Facts& operator[](const Value* value) { return map_[value]; }

 private:
  std::unordered_map<const Value*, Facts> map_;
};

GraphFacts infer_graph(const Graph& graph, const InferOptions& options = {});
// Of some nodes, each after those it depends on: adds to the facts what they compute from them. Without what the graph
// declares.
void infer_nodes(std::span<const Node* const> nodes, GraphFacts& facts, const InferOptions& options);

}  // namespace plica
