// Tensors as the API passes them, and the files that hold one (ONNX's TensorProto, .pb).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/core/api.h"
#include "engine/core/data_type.h"
#include "engine/core/error.h"
#include "engine/core/shape.h"
#include "engine/core/tensor.h"

namespace PLICA_API plica {

// Tensors by the names of a model's inputs or outputs.
using TensorMap = std::unordered_map<std::string, Tensor>;

// Reads a serialized TensorProto; `name`, when given, receives the name in it. External data is refused.
// Throws invalid_model.
Tensor parse_tensor_proto(std::span<const std::byte> bytes, std::string* name = nullptr);
// The same of any kind of value: a SequenceProto, OptionalProto or MapProto for DataType::sequence, optional and map.
Tensor parse_value_proto(std::span<const std::byte> bytes, DataType kind, std::string* name = nullptr);
// By what the tensor is.
std::string serialize_tensor_proto(const Tensor& tensor, std::string_view name);

}  // namespace plica
