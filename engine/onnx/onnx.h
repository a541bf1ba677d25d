// The ONNX file format: models and tensors, in and out. The only room that sees protobuf.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "engine/graph/model_graph.h"

namespace plica {

class ReadableFile;

// Reads a model. External data is looked for beneath the model's directory. Errors begin with the file's
// name; invalid_model for what breaks the format, io for what can't be read. The graph is verified. Large
// tensors are read when they are first asked for (Tensor::in_file); the file stays open until then, and being
// written to meanwhile (not: being replaced or deleted) makes reading them fail with io.
std::unique_ptr<ModelGraph> load_model(const std::filesystem::path& path);
// From an open file; external data is refused unless `directory` (where to look for it) is given.
std::unique_ptr<ModelGraph> load_model(const std::shared_ptr<const ReadableFile>& file,
                                       const std::filesystem::path& directory);
// From memory. External data is refused unless `directory` (where to look for it) is given. The bytes are not
// needed after the call, unless `owner` is given: then tensors may view them and keep the owner.
std::unique_ptr<ModelGraph> parse_model(std::span<const std::byte> bytes,
                                        const std::filesystem::path& directory = {},
                                        std::shared_ptr<const void> owner = nullptr);

struct SaveOptions {
  // Puts tensors of at least this many bytes into one file beside the model ("<name>.data", see
  // external_writer.h); 0: never. Models that would pass protobuf's 2 GiB always get one.
  size_t external_data_threshold = 0;
};
void save_model(const ModelGraph& model, const std::filesystem::path& path, const SaveOptions& options = {});
// The bytes of a model without external data; the same for the same model. Throws limit beyond 2 GiB.
std::string serialize_model(const ModelGraph& model);
size_t serialized_size(const ModelGraph& model);  // of those bytes, without making them

// TensorProto files (.pb), as in the ONNX backend suite.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};
NamedTensor load_tensor(const std::filesystem::path& path);
NamedTensor parse_tensor(std::span<const std::byte> bytes);
// A SequenceProto, OptionalProto or MapProto (DataType::sequence, optional, map); of any other type a TensorProto.
NamedTensor parse_value(std::span<const std::byte> bytes, DataType kind);
// As one of these, by what the tensor is.
std::string serialize_tensor(const Tensor& tensor, const std::string& name);

}  // namespace plica
