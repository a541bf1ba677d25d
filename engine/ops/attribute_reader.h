// Reads a node's attributes through its operator's definition: checks the type, supplies the default.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/ops/op_def.h"

namespace plica {

class AttributeReader {
 public:
  AttributeReader(const OpDef& def, const Attributes& attributes) : def_(&def), attributes_(&attributes) {}
  explicit AttributeReader(const Node& node);  // throws unsupported when the operator is not known

  // The attribute's value or its default. Throws invalid_model when the node's has another type or a required one is
  // missing; internal when the definition has no such attribute or no default.
  int64_t i(std::string_view name) const;
  float f(std::string_view name) const;
  std::string s(std::string_view name) const;
  std::vector<int64_t> ints(std::string_view name) const;
  std::vector<float> floats(std::string_view name) const;
  std::vector<std::string> strings(std::string_view name) const;
  const Tensor& tensor(std::string_view name) const;
  Graph& graph(std::string_view name) const;

  // For optional ones: nullopt or null when absent.
  std::optional<int64_t> maybe_i(std::string_view name) const;
  std::optional<float> maybe_f(std::string_view name) const;
  std::optional<std::string> maybe_s(std::string_view name) const;
  std::optional<std::vector<int64_t>> maybe_ints(std::string_view name) const;
  std::optional<std::vector<float>> maybe_floats(std::string_view name) const;
  const Tensor* maybe_tensor(std::string_view name) const;

  bool has(std::string_view name) const { return attributes_->has(name); }
  bool defines(std::string_view name) const;  // this version of the operator has such an attribute

  // Checks every attribute of the node: known to the definition, of its type; required ones present. Attributes that
  // the definition does not know are refused.
  void validate() const;

 private:
  const AttributeDef& definition(std::string_view name) const;
  template <class T> const T* get(std::string_view name) const;
  template <class T, class Default = T> T get_or_default(std::string_view name) const;

  const OpDef* def_;
  const Attributes* attributes_;
};

}  // namespace plica
