// The type of a value in a graph, as ONNX's TypeProto: a tensor of an element type and perhaps a shape, or a sequence,
// optional, map or sparse tensor of such.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/core/data_type.h"
#include "engine/core/shape.h"

namespace plica {

struct Type {
  enum class Kind { unknown, tensor, sparse_tensor, sequence, optional, map, opaque };

  Kind kind = Kind::unknown;
  DataType element = DataType::undefined;  // of a (sparse) tensor; undefined: not known
  std::optional<Shape> shape;              // of a (sparse) tensor; absent: unknown rank
  std::shared_ptr<const Type> inner;       // of a sequence or optional; the values of a map
  DataType key = DataType::undefined;      // the keys of a map

  static Type tensor(DataType element, std::optional<Shape> shape = std::nullopt) {
    Type t;
    t.kind = Kind::tensor;
    t.element = element;
    t.shape = std::move(shape);
    return t;
  }
  static Type sequence(Type element) {
    Type t;
    t.kind = Kind::sequence;
    t.inner = std::make_shared<const Type>(std::move(element));
    return t;
  }
  static Type optional(Type element) {
    Type t;
    t.kind = Kind::optional;
    t.inner = std::make_shared<const Type>(std::move(element));
    return t;
  }

  bool is_tensor() const { return kind == Kind::tensor; }
  // The type that a Tensor with such a value has: the element type, or the kind of container; undefined: not known.
  DataType tensor_type() const;
};

bool operator==(const Type& a, const Type& b);  // deep

// The same with unknown ranks, inside containers too.
Type without_shapes(const Type& type);

// "float32[batch, 3, ?, ?]", "float32[...]" (unknown rank), "sequence(int64[2])", "?"
std::string to_string(const Type& type);

}  // namespace plica
