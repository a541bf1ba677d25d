// Evaluation by the portable kernels: of one node (EvaluateContext, the argument of OpDef::evaluate) and of a graph.
// It serves constant folding, shape computation, the runtime's kernel of last resort, and as the oracle for oneDNN.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/graph.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/op_def.h"
#include "engine/ops/prepared.h"

namespace plica {

// Runs the subgraphs of a node, which see the values around them.
class BodyRunner {
 public:
  virtual ~BodyRunner() = default;
  // The outputs, in memory of their own.
  virtual std::vector<Tensor> run(const Graph& body, std::vector<Tensor> inputs) const = 0;
};

class EvaluateContext {
 public:
  // `inputs`: null for one that is left out. `outputs`: those defined are written in place, with their dims; an
  // undefined one has a data-dependent shape and is made by allocate(). `bodies`: null when the node has no subgraphs.
  // `prepared`: null when nobody has prepared the node; then it is done here, when the kernel asks.
  EvaluateContext(const Node& node, const OpDef& def, std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                  const BodyRunner* bodies = nullptr, Prepared prepared = nullptr)
      : node_(node),
        def_(def),
        attributes_(def, node.attributes()),
        inputs_(inputs),
        outputs_(outputs),
        bodies_(bodies),
        prepared_(std::move(prepared)) {}

  const Node& node() const { return node_; }
  const OpDef& def() const { return def_; }
  const AttributeReader& attributes() const { return attributes_; }
  int64_t opset() const { return node_.opset(); }
  // What def().prepare, which is prepare_as<T>, makes of the node.
  template <class T>
  const T& prepared() {
    return prepared_as<T>(def_, attributes_, prepared_);
  }

  int num_inputs() const { return static_cast<int>(inputs_.size()); }
  bool has_input(int i) const { return i < num_inputs() && inputs_[static_cast<size_t>(i)] != nullptr; }
  const Tensor& input(int i) const { return *inputs_[static_cast<size_t>(i)]; }
  const Tensor* maybe_input(int i) const { return has_input(i) ? inputs_[static_cast<size_t>(i)] : nullptr; }

  int num_outputs() const { return static_cast<int>(outputs_.size()); }
  bool has_output(int i) const { return node_.has_output(i); }
  // The output to write, allocated by what infer said.
  Tensor& output(int i = 0) { return outputs_[static_cast<size_t>(i)]; }
  // Makes an output whose shape only the kernel knows.
  Tensor& allocate(int i, DataType type, Dims dims) {
    if (Tensor& t = output(i); !t.defined() || t.type() != type || t.dims() != dims) t = Tensor(type, std::move(dims));
    return output(i);
  }
  // Output i is this tensor (shares its buffer) unless the caller gave memory to write; then it is copied.
  void share(int i, const Tensor& tensor);
  // As above, of a value that is nobody else's.
  void set_output(int i, Tensor tensor) {
    if (has_output(i)) share(i, tensor);
  }

  std::vector<Tensor> run_body(const Graph& body, std::vector<Tensor> inputs) const;

 private:
  const Node& node_;
  const OpDef& def_;
  AttributeReader attributes_;
  std::span<const Tensor* const> inputs_;
  std::span<Tensor> outputs_;
  const BodyRunner* bodies_;
  Prepared prepared_;
};

// Infers, allocates and computes one node; errors name it. Output i is undefined when the node leaves it out.
// `prepared`: what prepare_node gave, for callers that evaluate the node again.
std::vector<Tensor> evaluate_node(const Node& node, std::span<const Tensor* const> inputs,
                                  const BodyRunner* bodies = nullptr, Prepared prepared = nullptr);

// Only the kernel, into outputs that are already allocated (or undefined, where the shape depends on data): for callers
// that inferred before.
void run_kernel(const Node& node, const OpDef& def, std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                const BodyRunner* bodies = nullptr, Prepared prepared = nullptr);

using NamedTensors = std::unordered_map<std::string, Tensor>;

// The reference interpreter: every node by evaluate_node, in topological order. Returns the graph's outputs by position.
// `all`, when given, receives every value by name (for comparing layer by layer).
std::vector<Tensor> evaluate_graph(const Graph& graph, const NamedTensors& inputs, NamedTensors* all = nullptr);

}  // namespace plica
