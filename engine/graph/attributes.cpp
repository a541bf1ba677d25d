#include "engine/graph/attributes.h"

#include <algorithm>
#include <array>

namespace plica {

AttributeType type_of(const AttributeValue& value) {
  constexpr std::array kByIndex = {
      AttributeType::undefined, AttributeType::float_,        AttributeType::int_,   AttributeType::string,
      AttributeType::tensor,    AttributeType::graph,         AttributeType::sparse_tensor, AttributeType::type,
      AttributeType::floats,    AttributeType::ints,          AttributeType::strings, AttributeType::tensors,
      AttributeType::graphs,    AttributeType::sparse_tensors, AttributeType::types};
  static_assert(kByIndex.size() == std::variant_size_v<AttributeValue>);
  return kByIndex[value.index()];
}

std::string_view to_string(AttributeType type) {
  constexpr std::array<std::string_view, 15> kNames = {
      "undefined", "float",  "int",     "string",        "tensor",         "graph", "floats", "ints",
      "strings",   "tensors", "graphs", "sparse_tensor", "sparse_tensors", "type",  "types"};
  return kNames[static_cast<size_t>(type)];
}

const Attribute* Attributes::find(std::string_view name) const {
  auto it = std::ranges::find(list_, name, &Attribute::name);
  return it == list_.end() ? nullptr : &*it;
}

void Attributes::set(std::string name, AttributeValue value) {
  Attribute a;
  a.name = std::move(name);
  a.value = std::move(value);
  set(std::move(a));
}

void Attributes::set(Attribute attribute) {
  auto it = std::ranges::find(list_, attribute.name, &Attribute::name);
  if (it == list_.end()) {
    list_.push_back(std::move(attribute));
  } else {
    *it = std::move(attribute);
  }
}

void Attributes::remove(std::string_view name) {
  std::erase_if(list_, [&](const Attribute& a) { return a.name == name; });
}

}  // namespace plica
