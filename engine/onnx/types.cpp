#include "engine/onnx/types.h"

#include "engine/core/fail.h"

namespace plica::onnx_format {
namespace {

// Sequences of optionals of sequences of ...: nobody needs many, and a hostile file could overflow the stack.
constexpr int kDeepestType = 32;

DataType read_element_type_or_none(int64_t number) {
  return number == 0 ? DataType::undefined : read_element_type(number);
}

Dim read_dim(const TensorShapeProto::Dimension& proto) {
  if (proto.value_case() == TensorShapeProto::Dimension::kDimParam) {
    return proto.dim_param().empty() ? Dim() : Dim::symbol(proto.dim_param());
  }
  if (proto.value_case() != TensorShapeProto::Dimension::kDimValue || proto.dim_value() == -1) return {};
  require(proto.dim_value() >= 0, ErrorCode::invalid_model, "negative dimension {}", proto.dim_value());
  return proto.dim_value();
}

template <class TensorType>
Type read_tensor_type(const TensorType& proto, Type::Kind kind) {
  Type type;
  type.kind = kind;
  type.element = read_element_type_or_none(proto.elem_type());
  if (proto.has_shape()) {
    std::vector<Dim> dims;
    dims.reserve(static_cast<size_t>(proto.shape().dim_size()));
    for (const auto& dim : proto.shape().dim()) dims.push_back(read_dim(dim));
    type.shape = Shape(std::move(dims));
  }
  return type;
}

template <class TensorType>
void write_tensor_type(const Type& type, TensorType* proto) {
  proto->set_elem_type(static_cast<int32_t>(type.element));
  if (!type.shape) return;
  auto* shape = proto->mutable_shape();
  for (const Dim& dim : *type.shape) {
    auto* out = shape->add_dim();
    if (dim.is_known()) {
      out->set_dim_value(dim.value());
    } else if (dim.is_symbol()) {
      out->set_dim_param(dim.symbol());
    }
  }
}

Type read(const TypeProto& proto, int depth) {
  require(depth <= kDeepestType, ErrorCode::limit, "a type is nested more than {} deep", kDeepestType);
  const auto inner = [&](bool has, const TypeProto& element) -> std::shared_ptr<const Type> {
    return has ? std::make_shared<const Type>(read(element, depth + 1)) : nullptr;
  };
  Type type;
  switch (proto.value_case()) {
    case TypeProto::kTensorType: return read_tensor_type(proto.tensor_type(), Type::Kind::tensor);
    case TypeProto::kSparseTensorType:
      return read_tensor_type(proto.sparse_tensor_type(), Type::Kind::sparse_tensor);
    case TypeProto::kSequenceType:
      type.kind = Type::Kind::sequence;
      type.inner = inner(proto.sequence_type().has_elem_type(), proto.sequence_type().elem_type());
      return type;
    case TypeProto::kOptionalType:
      type.kind = Type::Kind::optional;
      type.inner = inner(proto.optional_type().has_elem_type(), proto.optional_type().elem_type());
      return type;
    case TypeProto::kMapType:
      type.kind = Type::Kind::map;
      type.key = read_element_type_or_none(proto.map_type().key_type());
      type.inner = inner(proto.map_type().has_value_type(), proto.map_type().value_type());
      return type;
    case TypeProto::kOpaqueType: type.kind = Type::Kind::opaque; return type;
    case TypeProto::VALUE_NOT_SET: return type;
  }
  return type;
}

}  // namespace

DataType read_element_type(int64_t number) {
  require(number != TensorProto::FLOAT6E2M3 && number != TensorProto::FLOAT6E3M2, ErrorCode::unsupported,
          "element type {} (a 6-bit float) is not supported", number);
  const auto type = data_type_from_onnx(number);
  require(type.has_value(), ErrorCode::invalid_model, "{} is not an element type", number);
  return *type;
}

Type read_type(const TypeProto& proto) { return read(proto, 1); }

TypeProto write_type(const Type& type) {
  TypeProto proto;
  switch (type.kind) {
    case Type::Kind::unknown: break;
    case Type::Kind::tensor: write_tensor_type(type, proto.mutable_tensor_type()); break;
    case Type::Kind::sparse_tensor: write_tensor_type(type, proto.mutable_sparse_tensor_type()); break;
    case Type::Kind::sequence: {
      auto* sequence = proto.mutable_sequence_type();
      if (type.inner) *sequence->mutable_elem_type() = write_type(*type.inner);
      break;
    }
    case Type::Kind::optional: {
      auto* optional = proto.mutable_optional_type();
      if (type.inner) *optional->mutable_elem_type() = write_type(*type.inner);
      break;
    }
    case Type::Kind::map:
      proto.mutable_map_type()->set_key_type(static_cast<int32_t>(type.key));
      if (type.inner) *proto.mutable_map_type()->mutable_value_type() = write_type(*type.inner);
      break;
    case Type::Kind::opaque: proto.mutable_opaque_type(); break;
  }
  return proto;
}

}  // namespace plica::onnx_format
