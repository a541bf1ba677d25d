#include "plica/tensor.h"

#include <utility>

#include "engine/onnx/onnx.h"

namespace plica {

Tensor parse_tensor_proto(std::span<const std::byte> bytes, std::string* name) {
  NamedTensor named = parse_tensor(bytes);
  if (name) *name = std::move(named.name);
  return std::move(named.tensor);
}

Tensor parse_value_proto(std::span<const std::byte> bytes, DataType kind, std::string* name) {
  NamedTensor named = parse_value(bytes, kind);
  if (name) *name = std::move(named.name);
  return std::move(named.tensor);
}

std::string serialize_tensor_proto(const Tensor& tensor, std::string_view name) {
  return serialize_tensor(tensor, std::string(name));
}

}  // namespace plica
