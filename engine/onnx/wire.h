// Bytes -> message, and why not.
#pragma once

#include <span>
#include <string_view>

#include "engine/onnx/messages.h"

namespace plica::onnx_format {

// Throws invalid_model (empty, truncated, no protobuf), or limit (2 GiB, nesting).
ModelProto parse_model_message(std::span<const std::byte> bytes);
// False where parse_model_message() throws.
bool try_parse_model_message(std::string_view bytes, ModelProto& model);
TensorProto parse_tensor_message(std::span<const std::byte> bytes);

// Throws limit beyond 2 GiB.
void check_message_size(size_t bytes);
std::string serialize_message(const google::protobuf::MessageLite& message);

}  // namespace plica::onnx_format
