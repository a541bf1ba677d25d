#include "engine/onnx/values.h"

#include "engine/core/fail.h"

namespace plica::onnx_format {
namespace {

void put_values(std::span<const Tensor> values, SequenceProto& proto) {
  const DataType kind = values.empty() ? DataType::undefined : values[0].type();
  proto.set_elem_type(kind == DataType::sequence   ? SequenceProto::SEQUENCE
                      : kind == DataType::map      ? SequenceProto::MAP
                      : kind == DataType::optional ? SequenceProto::OPTIONAL
                                                   : SequenceProto::TENSOR);
  for (const Tensor& v : values) {
    require((is_container(kind) ? v.type() == kind : !is_container(v.type())), ErrorCode::unsupported,
            "a sequence holds values of different kinds");
    if (kind == DataType::sequence) {
      put_sequence(v, *proto.add_sequence_values());
    } else if (kind == DataType::map) {
      put_map(v, *proto.add_map_values());
    } else if (kind == DataType::optional) {
      put_optional(v, *proto.add_optional_values());
    } else {
      put_tensor(v, *proto.add_tensor_values());
    }
  }
}

}  // namespace

Tensor take_sequence(SequenceProto& proto, TensorSources& sources) {
  std::vector<Tensor> values;
  const auto take_all = [&](auto& list, auto&& take) {
    for (auto& one : list) values.push_back(take(one, sources));
  };
  switch (proto.elem_type()) {
    case SequenceProto::TENSOR:
      take_all(*proto.mutable_tensor_values(), take_tensor);
      break;
    case SequenceProto::SEQUENCE:
      take_all(*proto.mutable_sequence_values(), take_sequence);
      break;
    case SequenceProto::MAP:
      take_all(*proto.mutable_map_values(), take_map);
      break;
    case SequenceProto::OPTIONAL:
      take_all(*proto.mutable_optional_values(), take_optional);
      break;
    case SequenceProto::UNDEFINED:
      break;
    default:
      fail(ErrorCode::unsupported, "a sequence of elements of kind {}", proto.elem_type());
  }
  return Tensor::container(DataType::sequence, std::move(values));
}

Tensor take_optional(OptionalProto& proto, TensorSources& sources) {
  std::vector<Tensor> value;
  if (proto.has_tensor_value()) {
    value.push_back(take_tensor(*proto.mutable_tensor_value(), sources));
  } else if (proto.has_sequence_value()) {
    value.push_back(take_sequence(*proto.mutable_sequence_value(), sources));
  } else if (proto.has_map_value()) {
    value.push_back(take_map(*proto.mutable_map_value(), sources));
  } else if (proto.has_optional_value()) {
    value.push_back(take_optional(*proto.mutable_optional_value(), sources));
  } else {
    require(!proto.has_sparse_tensor_value(), ErrorCode::unsupported, "an optional of a sparse tensor");
  }
  return Tensor::container(DataType::optional, std::move(value));
}

Tensor take_map(MapProto& proto, TensorSources& sources) {
  Tensor keys;
  if (proto.key_type() == static_cast<int>(DataType::string)) {
    keys = Tensor(DataType::string, {proto.string_keys_size()});
    std::copy(proto.string_keys().begin(), proto.string_keys().end(), keys.mutable_data<std::string>());
  } else {
    keys = Tensor::of(std::vector<int64_t>(proto.keys().begin(), proto.keys().end()), {proto.keys_size()});
  }
  Tensor values = take_sequence(*proto.mutable_values(), sources);
  require(values.size() == keys.size(), ErrorCode::invalid_model, "a map has {} keys and {} values",
          keys.size(), values.size());
  return Tensor::container(DataType::map, {std::move(keys), std::move(values)});
}

void put_sequence(const Tensor& value, SequenceProto& proto) { put_values(value.elements(), proto); }

void put_optional(const Tensor& value, OptionalProto& proto) {
  if (value.elements().empty()) return;
  const Tensor& element = value.elements()[0];
  switch (element.type()) {
    case DataType::sequence:
      proto.set_elem_type(OptionalProto::SEQUENCE);
      return put_sequence(element, *proto.mutable_sequence_value());
    case DataType::map:
      proto.set_elem_type(OptionalProto::MAP);
      return put_map(element, *proto.mutable_map_value());
    case DataType::optional:
      proto.set_elem_type(OptionalProto::OPTIONAL);
      return put_optional(element, *proto.mutable_optional_value());
    default:
      proto.set_elem_type(OptionalProto::TENSOR);
      put_tensor(element, *proto.mutable_tensor_value());
  }
}

void put_map(const Tensor& value, MapProto& proto) {
  require(value.size() == 2, ErrorCode::internal, "{} is no map", to_string(value));
  const Tensor &keys = value.elements()[0], &values = value.elements()[1];
  proto.set_key_type(static_cast<int>(keys.type()));
  if (keys.type() == DataType::string) {
    for (const std::string& key : keys.values<std::string>()) proto.add_string_keys(key);
  } else {
    require(keys.type() == DataType::int64, ErrorCode::unsupported, "a map with keys of {}",
            to_string(keys.type()));
    for (int64_t key : keys.values<int64_t>()) proto.add_keys(key);
  }
  if (values.type() == DataType::sequence) return put_sequence(values, *proto.mutable_values());
  // The file holds each value as a tensor of its own.
  std::vector<Tensor> scalars;
  for (int64_t i = 0; i < values.size(); ++i) {
    if (values.type() == DataType::string) {
      scalars.push_back(Tensor::scalar(values.data<std::string>()[i]));
      continue;
    }
    const size_t size = values.bytes() / static_cast<size_t>(values.size());
    scalars.push_back(Tensor::view(
        values.type(), {}, static_cast<const std::byte*>(values.raw()) + static_cast<size_t>(i) * size));
  }
  put_values(scalars, *proto.mutable_values());
}

}  // namespace plica::onnx_format
