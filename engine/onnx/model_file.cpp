#include "engine/onnx/model_file.h"

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstring>
#include <utility>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/onnx/import.h"
#include "engine/onnx/tensor_data.h"
#include "engine/onnx/wire.h"

namespace plica::onnx_format {
namespace {

// Below this, reading at once costs less than coming back.
constexpr size_t kLeastInFile = 4096;

struct Structure {
  ModelProto model;  // deferred raw_data are empty in it
  std::unordered_map<const TensorProto*, TensorSources::RawData> raw_data;
};

// `copy(begin, out)` fills `out` with the bytes from `begin` on; `left(begin, size)` is for a tensor of the
// bytes there.
template <class Copy, class Left>
std::optional<Structure> read_structure(const WireBytes& wire, const Copy& copy, const Left& left) {
  if (wire.size() == 0 || wire.size() > static_cast<size_t>(INT_MAX)) return std::nullopt;
  const auto fields = scan_raw_data(wire, kLeastInFile, SIZE_MAX);
  if (!fields) return std::nullopt;
  const WireRewriter rewriter(*fields, std::vector<size_t>(fields->size(), 0), wire.size());
  std::string bytes;
  bytes.reserve(rewriter.size());
  const auto append = [&](size_t begin, size_t end) {
    const size_t at = bytes.size();
    bytes.resize(at + (end - begin));
    copy(begin, std::as_writable_bytes(std::span(bytes)).subspan(at));
  };
  rewriter.run(
      append, [&](std::string_view text) { bytes += text; }, [](size_t) {});

  Structure out;
  if (!try_parse_model_message(bytes, out.model)) return std::nullopt;
  const auto tensors = tensors_of(out.model, *fields);
  if (!tensors) return std::nullopt;
  for (size_t i = 0; i < fields->size(); ++i) {
    const WireField& f = (*fields)[i];
    if (f.kind == WireField::Kind::raw_data)
      out.raw_data.emplace((*tensors)[i], left(f.begin, f.end - f.begin));
  }
  return out;
}

std::unique_ptr<ModelGraph> import_structure(std::optional<Structure> structure,
                                             const std::filesystem::path& directory) {
  if (!structure) return nullptr;
  TensorSources sources{ExternalFiles(directory)};
  sources.raw_data = std::move(structure->raw_data);
  auto model = import_model(structure->model, sources);
  // A tensor that nobody took is in an extension now, without its elements.
  return sources.raw_data.empty() ? std::move(model) : nullptr;
}

class ElementsInMemory : public ElementSource {
 public:
  ElementsInMemory(const std::byte* begin, std::shared_ptr<const void> owner)
      : begin_(begin), owner_(std::move(owner)) {}
  void read(size_t offset, std::span<std::byte> out) const override {
    std::memcpy(out.data(), begin_ + offset, out.size());
  }

 private:
  const std::byte* begin_;
  std::shared_ptr<const void> owner_;
};

}  // namespace

std::unique_ptr<ModelGraph> read_model(const std::shared_ptr<const ReadableFile>& file,
                                       const std::filesystem::path& directory) {
  const auto copy = [&](size_t begin, std::span<std::byte> out) { file->read(begin, out); };
  const auto left = [&](size_t begin, size_t size) -> TensorSources::RawData {
    return {size, [range = FileRange{file, begin, size}](DataType type, Dims dims) {
              return Tensor::in_file(type, std::move(dims), range);
            }};
  };
  return import_structure(read_structure(WireBytes(*file), copy, left), directory);
}

std::unique_ptr<ModelGraph> read_model(std::span<const std::byte> bytes,
                                       const std::shared_ptr<const void>& owner,
                                       const std::filesystem::path& directory) {
  const auto copy = [&](size_t begin, std::span<std::byte> out) {
    std::ranges::copy(bytes.subspan(begin, out.size()), out.begin());
  };
  const auto left = [&](size_t begin, size_t size) -> TensorSources::RawData {
    return {size, [data = bytes.data() + begin, owner](DataType type, Dims dims) {
              if (is_aligned(data, type))
                return Tensor::view(type, std::move(dims), static_cast<const void*>(data), owner);
              return Tensor::deferred(type, std::move(dims), std::make_shared<ElementsInMemory>(data, owner));
            }};
  };
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return import_structure(read_structure(WireBytes(text), copy, left), directory);
}

SerializedModel::SerializedModel(const ModelGraph& model, TensorSink* sink) {
  DeferredTensors deferred;
  ModelProto proto = export_model(model, sink, &deferred);
  message_ = serialize_message(proto);
  if (!place(deferred, proto)) {
    fields_.clear();
    bodies_.clear();
    size_t total = message_.size();
    for (const auto& [_, tensor] : deferred) total = checked_add(total, tensor.bytes());
    check_message_size(total);
    for (const auto& [tensor_proto, tensor] : deferred)
      tensor_proto->set_raw_data(tensor.raw(), tensor.bytes());
    message_ = serialize_message(proto);
  }
  std::vector<size_t> sizes;
  for (const Tensor& body : bodies_) sizes.push_back(body.bytes());
  rewriter_ = std::make_unique<WireRewriter>(fields_, std::move(sizes), message_.size());
  check_message_size(size());
}

bool SerializedModel::place(const DeferredTensors& deferred, ModelProto& proto) {
  auto fields = scan_raw_data(WireBytes(message_), 0, 0);
  const auto tensors = fields ? tensors_of(proto, *fields) : std::nullopt;
  if (!tensors) return false;
  fields_ = std::move(*fields);
  bodies_.resize(fields_.size());
  size_t placed = 0;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const auto it = deferred.find((*tensors)[i]);
    if (it == deferred.end()) continue;
    bodies_[i] = it->second;
    ++placed;
  }
  return placed == deferred.size();
}

size_t SerializedModel::size() const { return rewriter_->size(); }

void SerializedModel::write(AtomicFile& file) const {
  // Pieces between large tensors are small.
  std::string pending;
  const auto flush = [&] {
    file.write(pending);
    pending.clear();
  };
  const auto text = [&](std::string_view piece) {
    constexpr size_t kMostPending = size_t{256} << 10;
    pending += piece;
    if (pending.size() >= kMostPending) flush();
  };
  const auto body = [&](size_t field) {
    flush();
    write_elements(bodies_[field], file);
  };
  rewriter_->run(
      [&](size_t begin, size_t end) { text(std::string_view(message_).substr(begin, end - begin)); }, text,
      body);
  flush();
}

std::string SerializedModel::text() const {
  std::string out;
  out.reserve(size());
  const auto body = [&](size_t field) {
    const Tensor& tensor = bodies_[field];
    const size_t at = out.size();
    out.resize(at + tensor.bytes());
    tensor.copy_bytes(0, std::as_writable_bytes(std::span(out)).subspan(at));
  };
  rewriter_->run([&](size_t begin, size_t end) { out.append(message_, begin, end - begin); },
                 [&](std::string_view piece) { out += piece; }, body);
  return out;
}

void write_elements(const Tensor& tensor, AtomicFile& file) {
  constexpr size_t kPiece = size_t{256} << 10;  // stays in the cache between its read and its write
  std::vector<std::byte> buffer;
  for (size_t at = 0; at < tensor.bytes(); at += kPiece) {
    const size_t size = std::min(kPiece, tensor.bytes() - at);
    file.write({tensor.piece(at, size, buffer), size});
  }
}

}  // namespace plica::onnx_format
