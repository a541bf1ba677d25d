// The attributes of a node, in file order. Kernels and rules don't read these directly but through the operator's
// definition (engine/ops/attribute_reader.h), so that defaults live in one place.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/type.h"

namespace plica {

class Graph;

// A tensor in coordinate format, as ONNX's SparseTensorProto.
struct SparseTensor {
  Tensor values;   // [nnz]; its name in the file, if any, is values_name
  Tensor indices;  // int64 [nnz] (linear) or [nnz, rank]
  Dims dims;
  std::string values_name;
};

// A subgraph belongs to one node; copying an attribute shares the pointer, so a copy must be given a cloned subgraph
// before it gets into a graph (Graph::verify checks).
using GraphPtr = std::shared_ptr<Graph>;

using AttributeValue =
    std::variant<std::monostate, float, int64_t, std::string, Tensor, GraphPtr, SparseTensor, Type,
                 std::vector<float>, std::vector<int64_t>, std::vector<std::string>, std::vector<Tensor>,
                 std::vector<GraphPtr>, std::vector<SparseTensor>, std::vector<Type>>;

// Names of the alternatives above, in their order and in ONNX's numbering (AttributeProto.AttributeType).
enum class AttributeType {
  undefined = 0, float_ = 1, int_ = 2, string = 3, tensor = 4, graph = 5, floats = 6, ints = 7, strings = 8,
  tensors = 9, graphs = 10, sparse_tensor = 11, sparse_tensors = 12, type = 13, types = 14,
};
AttributeType type_of(const AttributeValue& value);
std::string_view to_string(AttributeType type);

struct Attribute {
  std::string name;
  AttributeValue value;
  AttributeType declared_type = AttributeType::undefined;  // of a reference: what it will be
  std::string ref_name;     // inside a function: the function's attribute that supplies the value
  std::string doc_string;
  std::string tensor_name;  // the name that the file gave to the tensor of a tensor attribute
};

class Attributes {
 public:
  const Attribute* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // Replaces the attribute of that name, or appends it.
  void set(std::string name, AttributeValue value);
  void set(Attribute attribute);
  void remove(std::string_view name);

  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }
  size_t size() const { return list_.size(); }
  bool empty() const { return list_.empty(); }

 private:
  std::vector<Attribute> list_;
};

// Calls f(Graph&) for each subgraph among the attributes, in order.
template <class F>
void for_each_subgraph(const Attributes& attributes, F&& f) {
  for (const Attribute& a : attributes) {
    if (auto* g = std::get_if<GraphPtr>(&a.value); g && *g) f(**g);
    if (auto* gs = std::get_if<std::vector<GraphPtr>>(&a.value)) {
      for (const GraphPtr& g : *gs) {
        if (g) f(*g);
      }
    }
  }
}

}  // namespace plica
