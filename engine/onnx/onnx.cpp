#include "engine/onnx/onnx.h"

#include <sys/stat.h>

#include <climits>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/core/file_calls.h"
#include "engine/core/limits.h"
#include "engine/onnx/export.h"
#include "engine/onnx/external_writer.h"
#include "engine/onnx/import.h"
#include "engine/onnx/model_file.h"
#include "engine/onnx/tensor_data.h"
#include "engine/onnx/values.h"
#include "engine/onnx/wire.h"

namespace plica {
namespace {

namespace fs = std::filesystem;
using namespace onnx_format;

// Of a message's 2 GiB, what must be left beside the tensors' elements.
constexpr size_t kMostTensorBytes = static_cast<size_t>(INT_MAX) - (size_t{64} << 20);
// The threshold when a model needs external data and the caller named none (as the onnx package's).
constexpr size_t kDefaultThreshold = 1024;

fs::path directory_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

std::unique_ptr<ModelGraph> load(const std::shared_ptr<const ReadableFile>& file, const fs::path& directory) {
  auto model = read_model(file, directory);
  if (!model) {
    check_message_size(file->size());
    std::vector<std::byte> bytes(file->size());
    file->read(0, bytes);
    model = parse_model(bytes, directory);
  }
  model->source = std::make_shared<const SourceFiles>(SourceFiles{file->id(), model->source->external});
  return model;
}

bool is_another_file_now(const fs::path& path, const FileId& id) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && FileId::of(info) != id;
}

// False: to be done again, with the data in a new file.
bool try_save(const ModelGraph& model, const fs::path& path, size_t threshold, ExternalWriter::How how) {
  AtomicFile file(path);
  ExternalWriter data(path, file, threshold, how);
  const SerializedModel message(model, threshold != 0 ? &data : nullptr);
  message.write(file);
  if (!data.commit()) return false;
  data.place_model(model.source.get());
  return true;
}

}  // namespace

std::unique_ptr<ModelGraph> parse_model(std::span<const std::byte> bytes, const fs::path& directory,
                                        std::shared_ptr<const void> owner) {
  if (owner) {
    if (auto model = read_model(bytes, owner, directory)) return model;
  }
  // protobuf-lite copies bytes fields once, and the tensors take those copies over.
  ModelProto proto = parse_model_message(bytes);
  TensorSources sources{ExternalFiles(directory)};
  return import_model(proto, sources);
}

std::unique_ptr<ModelGraph> load_model(const fs::path& path) {
  constexpr int kMostAttempts = 100;
  for (int attempt = 1;; ++attempt) {
    const auto file = ReadableFile::open(path);
    // A save replaces the model and then removes the data that it named: they were those of this file if it
    // was still in its place when they had been opened.
    const auto was_replaced = [&] {
      return attempt < kMostAttempts && is_another_file_now(path, file->id());
    };
    try {
      auto model =
          with_context([&] { return load(file, directory_of(path)); }, [&] { return display_name(path); });
      if (model->source->external.empty() || !was_replaced()) return model;
    } catch (const Error& error) {
      if (ends_work(error) || !was_replaced()) throw;
    }
  }
}

std::unique_ptr<ModelGraph> load_model(const std::shared_ptr<const ReadableFile>& file, const fs::path& directory) {
  return with_context([&] { return load(file, directory); }, [&] { return display_name(file->path()); });
}

std::string serialize_model(const ModelGraph& model) { return SerializedModel(model, nullptr).text(); }

size_t serialized_size(const ModelGraph& model) { return SerializedModel(model, nullptr).size(); }

void save_model(const ModelGraph& model, const fs::path& path, const SaveOptions& options) {
  size_t threshold = options.external_data_threshold;
  const TensorBytes bytes = tensor_bytes(model);
  if (threshold == 0 && bytes.initializers + bytes.attributes > kMostTensorBytes)
    threshold = kDefaultThreshold;
  const auto save = [&] {
    using enum ExternalWriter::How;
    if (try_save(model, path, threshold, compare)) return;
    constexpr int kMostAttempts = 100;  // each but the first fails only when another process took the name
    for (int attempt = 0; !try_save(model, path, threshold, write); ++attempt)
      require(attempt < kMostAttempts, ErrorCode::io, "other processes save to it all the time");
  };
  with_context(save, [&] { return "saving " + display_name(path); });
}

NamedTensor parse_tensor(std::span<const std::byte> bytes) {
  TensorProto proto = parse_tensor_message(bytes);
  TensorSources sources{ExternalFiles(fs::path())};
  const auto body = [&] { return NamedTensor{proto.name(), take_tensor(proto, sources)}; };
  return with_context(body, [&] { return "tensor " + quoted(proto.name()); });
}

NamedTensor load_tensor(const fs::path& path) {
  const auto file = MappedFile::open(path);
  return with_context([&] { return parse_tensor(file->bytes()); }, [&] { return display_name(path); });
}

namespace {

template <class Message, class Take>
NamedTensor parse_container(std::span<const std::byte> bytes, Take&& take) {
  Message message;
  require(bytes.size() <= INT_MAX && message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())),
          ErrorCode::invalid_model, "the file does not parse");
  TensorSources sources{ExternalFiles(fs::path())};
  return NamedTensor{message.name(), take(message, sources)};
}

template <class Message, class Put>
std::string serialize_container(const Tensor& value, const std::string& name, Put&& put) {
  Message message;
  message.set_name(name);
  put(value, message);
  return serialize_message(message);
}

}  // namespace

NamedTensor parse_value(std::span<const std::byte> bytes, DataType kind) {
  switch (kind) {
    case DataType::sequence:
      return parse_container<SequenceProto>(bytes, take_sequence);
    case DataType::optional:
      return parse_container<OptionalProto>(bytes, take_optional);
    case DataType::map:
      return parse_container<MapProto>(bytes, take_map);
    default:
      return parse_tensor(bytes);
  }
}

std::string serialize_tensor(const Tensor& tensor, const std::string& name) {
  switch (tensor.type()) {
    case DataType::sequence:
      return serialize_container<SequenceProto>(tensor, name, put_sequence);
    case DataType::optional:
      return serialize_container<OptionalProto>(tensor, name, put_optional);
    case DataType::map:
      return serialize_container<MapProto>(tensor, name, put_map);
    default:
      break;
  }
  TensorProto proto;
  proto.set_name(name);
  put_tensor(tensor, proto);
  return serialize_message(proto);
}

}  // namespace plica
