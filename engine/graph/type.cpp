#include "engine/graph/type.h"

namespace plica {

bool operator==(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.element != b.element || a.key != b.key || a.shape != b.shape) return false;
  if (!a.inner || !b.inner) return a.inner == b.inner;
  return *a.inner == *b.inner;
}

DataType Type::tensor_type() const {
  switch (kind) {
    case Kind::tensor:
      return element;
    case Kind::sequence:
      return DataType::sequence;
    case Kind::optional:
      return DataType::optional;
    case Kind::map:
      return DataType::map;
    default:
      return DataType::undefined;
  }
}

Type without_shapes(const Type& type) {
  Type out = type;
  out.shape.reset();
  if (type.inner) out.inner = std::make_shared<const Type>(without_shapes(*type.inner));
  return out;
}

std::string to_string(const Type& type) {
  const auto inner = [&] { return type.inner ? to_string(*type.inner) : std::string("?"); };
  switch (type.kind) {
    case Type::Kind::unknown: return "?";
    case Type::Kind::tensor:
    case Type::Kind::sparse_tensor: {
      std::string out = type.kind == Type::Kind::sparse_tensor ? "sparse " : "";
      out += type.element == DataType::undefined ? "?" : to_string(type.element);
      return out + (type.shape ? to_string(*type.shape) : "[...]");
    }
    case Type::Kind::sequence: return "sequence(" + inner() + ")";
    case Type::Kind::optional: return "optional(" + inner() + ")";
    case Type::Kind::map: return "map(" + std::string(to_string(type.key)) + ", " + inner() + ")";
    case Type::Kind::opaque: return "opaque";
  }
  return "?";
}

}  // namespace plica
