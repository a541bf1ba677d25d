// Where the elements of a model's tensors come from beside its message.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/file.h"
#include "engine/core/tensor.h"
#include "engine/onnx/external_data.h"
#include "engine/onnx/messages.h"

namespace plica::onnx_format {

struct TensorSources {
  explicit TensorSources(ExternalFiles files) : external(std::move(files)) {}

  ExternalFiles external;
  // raw_data that were left in the model's bytes: in the message the field is there, and empty.
  struct RawData {
    size_t size = 0;
    std::function<Tensor(DataType, Dims)> make;
  };
  std::unordered_map<const TensorProto*, RawData> raw_data;

  // External tensors whose elements were not read.
  std::vector<std::pair<Tensor, FileRange>> left_in_file;

  std::optional<RawData> take_raw_data(const TensorProto& proto) {
    const auto it = raw_data.find(&proto);
    if (it == raw_data.end()) return std::nullopt;
    std::optional<RawData> out = std::move(it->second);
    raw_data.erase(it);
    return out;
  }
};

}  // namespace plica::onnx_format
