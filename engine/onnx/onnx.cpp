#include "engine/onnx/onnx.h"

#include <climits>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/onnx/export.h"
#include "engine/onnx/import.h"
#include "engine/onnx/tensor_data.h"
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
    if (tensor.type() == DataType::string || tensor.bytes() < threshold_) return false;
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
    file_.write({static_cast<const std::byte*>(tensor.raw()), tensor.bytes()});
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
  ExternalFiles files(directory);
  return import_model(proto, files);
}

std::unique_ptr<ModelGraph> load_model(const fs::path& path) {
  const auto file = MappedFile::open(path);
  return with_context([&] { return parse_model(file->bytes(), directory_of(path), file); },
                      [&] { return display_name(path); });
}

std::string serialize_model(const ModelGraph& model) {
  const TensorBytes bytes = tensor_bytes(model);
  require(bytes.initializers + bytes.attributes <= static_cast<size_t>(INT_MAX), ErrorCode::limit,
          "the model has {} bytes of weights; a protobuf message has less than 2 GiB",
          bytes.initializers + bytes.attributes);
  return serialize_message(export_model(model, nullptr));
}

void save_model(const ModelGraph& model, const fs::path& path, const SaveOptions& options) {
  size_t threshold = options.external_data_threshold;
  const TensorBytes bytes = tensor_bytes(model);
  if (threshold == 0 && bytes.initializers + bytes.attributes > kMostTensorBytes)
    threshold = kDefaultThreshold;
  const auto save = [&] {
    if (threshold == 0) return write_file(path, serialize_model(model));
    // Both files are complete before either takes its place. The old data file may be mapped by this very
    // model: its contents stay reachable for as long as they are, under no name.
    ExternalWriter data(path, threshold);
    AtomicFile file(path);
    file.write(serialize_message(export_model(model, &data)));
    if (!data.is_empty()) data.commit();
    file.commit();
  };
  with_context(save, [&] { return "saving " + display_name(path); });
}

NamedTensor parse_tensor(std::span<const std::byte> bytes) {
  TensorProto proto = parse_tensor_message(bytes);
  ExternalFiles files{fs::path()};
  const auto body = [&] { return NamedTensor{proto.name(), take_tensor(proto, files)}; };
  return with_context(body, [&] { return "tensor " + quoted(proto.name()); });
}

NamedTensor load_tensor(const fs::path& path) {
  const auto file = MappedFile::open(path);
  return with_context([&] { return parse_tensor(file->bytes()); }, [&] { return display_name(path); });
}

std::string serialize_tensor(const Tensor& tensor, const std::string& name) {
  TensorProto proto;
  proto.set_name(name);
  put_tensor(tensor, proto);
  return serialize_message(proto);
}

}  // namespace plica
