#include "engine/onnx/onnx.h"

#include <climits>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/onnx/export.h"
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

// Puts large initializers one after another into the file beside the model.
class ExternalWriter : public TensorSink {
 public:
  ExternalWriter(const fs::path& model, size_t threshold)
      : location_(model.filename().native() + ".data"),
        file_(directory_of(model) / location_),
        threshold_(threshold) {}

  bool put(const Tensor& tensor, TensorProto& proto) override {
    if (holds_objects(tensor.type()) || tensor.bytes() < threshold_) return false;
    // Large tensors begin on a page, so that a reader may map each by itself; small ones on a cache line.
    constexpr size_t kPage = 4096, kLine = 64, kLarge = size_t{64} << 10;
    pad_to(tensor.bytes() >= kLarge ? kPage : kLine);
    proto.clear_int32_data();  // the sign of typed data (tensor_data.h)
    proto.set_data_type(static_cast<int32_t>(tensor.type()));
    proto.mutable_dims()->Assign(tensor.dims().begin(), tensor.dims().end());
    proto.set_data_location(TensorProto::EXTERNAL);
    const auto add = [&](const char* key, std::string value) {
      auto* entry = proto.add_external_data();
      entry->set_key(key);
      entry->set_value(std::move(value));
    };
    add("location", location_);
    add("offset", std::to_string(offset_));
    add("length", std::to_string(tensor.bytes()));
    write_elements(tensor, file_);
    offset_ += tensor.bytes();
    return true;
  }

  void commit() { file_.commit(); }
  bool is_empty() const { return offset_ == 0; }

 private:
  void pad_to(size_t alignment) {
    const std::string zeros((alignment - offset_ % alignment) % alignment, '\0');
    file_.write(zeros);
    offset_ += zeros.size();
  }

  std::string location_;
  AtomicFile file_;
  size_t threshold_, offset_ = 0;
};

}  // namespace

std::unique_ptr<ModelGraph> parse_model(std::span<const std::byte> bytes, const fs::path& directory,
                                        std::shared_ptr<const void> owner) {
  // protobuf-lite copies bytes fields once, and the tensors take those copies over: nothing views `bytes`.
  (void)owner;
  ModelProto proto = parse_model_message(bytes);
  TensorSources sources{ExternalFiles(directory)};
  return import_model(proto, sources);
}

std::unique_ptr<ModelGraph> load_model(const fs::path& path) {
  const auto file = ReadableFile::open(path);
  const auto load = [&] {
    const fs::path directory = directory_of(path);
    auto model = read_model(file, directory);
    return model ? std::move(model) : parse_model(file->map()->bytes(), directory);
  };
  return with_context(load, [&] { return display_name(path); });
}

std::string serialize_model(const ModelGraph& model) { return SerializedModel(model, nullptr).text(); }

size_t serialized_size(const ModelGraph& model) { return SerializedModel(model, nullptr).size(); }

void save_model(const ModelGraph& model, const fs::path& path, const SaveOptions& options) {
  size_t threshold = options.external_data_threshold;
  const TensorBytes bytes = tensor_bytes(model);
  if (threshold == 0 && bytes.initializers + bytes.attributes > kMostTensorBytes)
    threshold = kDefaultThreshold;
  const auto save = [&] {
    // Both files are complete before either takes its place. The old ones may be mapped or still to be read
    // by this very model: their contents stay reachable for as long as they are, under no name.
    std::optional<ExternalWriter> data;
    if (threshold != 0) data.emplace(path, threshold);
    const SerializedModel message(model, data ? &*data : nullptr);
    AtomicFile file(path);
    message.write(file);
    if (data && !data->is_empty()) data->commit();
    file.commit();
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
