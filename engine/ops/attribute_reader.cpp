#include "engine/ops/attribute_reader.h"

#include <algorithm>

#include "engine/core/fail.h"
#include "engine/ops/table.h"

namespace plica {

AttributeReader::AttributeReader(const Node& node) : def_(&op_of(node)), attributes_(&node.attributes()) {}

const AttributeDef& AttributeReader::definition(std::string_view name) const {
  auto it = std::ranges::find(def_->attributes, name, &AttributeDef::name);
  if (it == def_->attributes.end()) {
    // A node may have it all the same, from another version of the operator.
    fail(has(name) ? ErrorCode::invalid_model : ErrorCode::internal, "operator {} defines no attribute {}", def_->name, name);
  }
  return *it;
}

bool AttributeReader::defines(std::string_view name) const {
  return std::ranges::find(def_->attributes, name, &AttributeDef::name) != def_->attributes.end();
}

namespace {

[[noreturn]] void throw_wrong_type(const Attribute& a, AttributeType expected) {
  require(a.ref_name.empty(), ErrorCode::invalid_model, "attribute {} refers to {} of a function that is not there",
          quoted(a.name), quoted(a.ref_name));
  fail(ErrorCode::invalid_model, "attribute {} is of type {}, expected {}", quoted(a.name),
       to_string(type_of(a.value)), to_string(expected));
}

// An exporter may leave an empty list untyped; protobuf can't tell which list it was.
bool is_empty_list(const Attribute& a) {
  return std::visit(
      [](const auto& v) {
        if constexpr (requires { v.empty(); v.push_back({}); }) return v.empty();
        else return false;
      },
      a.value);
}

}  // namespace

template <class T>
const T* AttributeReader::get(std::string_view name) const {
  const AttributeDef& def = definition(name);
  const Attribute* a = attributes_->find(name);
  if (!a) {
    require(!std::holds_alternative<Required>(def.value), ErrorCode::invalid_model, "attribute '{}' is missing", name);
    return nullptr;
  }
  if (const T* value = std::get_if<T>(&a->value)) return value;
  if constexpr (requires(const T& t) { t.empty(); t.push_back({}); }) {
    static const T kEmpty;
    if (is_empty_list(*a)) return &kEmpty;
  }
  throw_wrong_type(*a, def.type);
}

template <class T, class Default>
T AttributeReader::get_or_default(std::string_view name) const {
  if (const T* value = get<T>(name)) return *value;
  const Default* fallback = std::get_if<Default>(&definition(name).value);
  require(fallback != nullptr, ErrorCode::internal, "attribute {} of {} has no default", name, def_->name);
  return T(*fallback);
}

int64_t AttributeReader::i(std::string_view name) const { return get_or_default<int64_t>(name); }
float AttributeReader::f(std::string_view name) const { return get_or_default<float>(name); }
std::string AttributeReader::s(std::string_view name) const {
  return get_or_default<std::string, std::string_view>(name);
}
std::vector<int64_t> AttributeReader::ints(std::string_view name) const {
  return get_or_default<std::vector<int64_t>>(name);
}
std::vector<float> AttributeReader::floats(std::string_view name) const {
  return get_or_default<std::vector<float>>(name);
}
std::vector<std::string> AttributeReader::strings(std::string_view name) const {
  return get_or_default<std::vector<std::string>>(name);
}

const Tensor& AttributeReader::tensor(std::string_view name) const {
  const Tensor* t = get<Tensor>(name);
  require(t != nullptr, ErrorCode::invalid_model, "attribute '{}' is missing", name);
  return *t;
}

Graph& AttributeReader::graph(std::string_view name) const {
  const GraphPtr* g = get<GraphPtr>(name);
  require(g != nullptr, ErrorCode::invalid_model, "attribute '{}' is missing", name);
  return **g;
}

namespace {
template <class T>
std::optional<T> copy_of(const T* value) {
  return value ? std::optional<T>(*value) : std::nullopt;
}
}  // namespace

std::optional<int64_t> AttributeReader::maybe_i(std::string_view name) const { return copy_of(get<int64_t>(name)); }
std::optional<float> AttributeReader::maybe_f(std::string_view name) const { return copy_of(get<float>(name)); }
std::optional<std::string> AttributeReader::maybe_s(std::string_view name) const {
  return copy_of(get<std::string>(name));
}
std::optional<std::vector<int64_t>> AttributeReader::maybe_ints(std::string_view name) const {
  return copy_of(get<std::vector<int64_t>>(name));
}
std::optional<std::vector<float>> AttributeReader::maybe_floats(std::string_view name) const {
  return copy_of(get<std::vector<float>>(name));
}
const Tensor* AttributeReader::maybe_tensor(std::string_view name) const { return get<Tensor>(name); }

void AttributeReader::validate() const {
  for (const Attribute& a : *attributes_) {
    auto it = std::ranges::find(def_->attributes, a.name, &AttributeDef::name);
    if (it == def_->attributes.end() && def_->open_attributes) continue;
    require(it != def_->attributes.end(), ErrorCode::invalid_model, "attribute {} is not one of {}'s", quoted(a.name),
            def_->name);
    if (type_of(a.value) != it->type && !is_empty_list(a)) throw_wrong_type(a, it->type);
  }
  for (const AttributeDef& def : def_->attributes) {
    require(!std::holds_alternative<Required>(def.value) || attributes_->has(def.name), ErrorCode::invalid_model,
            "attribute '{}' is missing", def.name);
  }
}

}  // namespace plica
