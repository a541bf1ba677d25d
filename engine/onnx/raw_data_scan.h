// Where the raw_data of tensors are in the bytes of a model, found without reading them.
//
// Only what a model ordinarily looks like is understood: every other byte sequence that protobuf would
// accept, and every one that it would not, gives no result, and the caller parses as usual. So the scan
// decides nothing about what is valid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/file.h"
#include "engine/onnx/messages.h"

namespace plica::onnx_format {

// Bytes in a file or in memory.
class WireBytes {
 public:
  explicit WireBytes(const ReadableFile& file) : file_(&file), size_(file.size()) {}
  explicit WireBytes(std::string_view bytes) : memory_(bytes), size_(bytes.size()) {}
  size_t size() const { return size_; }
  // The bytes at `offset`, as many as there are but at most `most`; in `buffer` where they had to be read.
  std::span<const uint8_t> at(size_t offset, size_t most, std::vector<uint8_t>& buffer) const;

 private:
  const ReadableFile* file_ = nullptr;
  std::string_view memory_;
  size_t size_;
};

// A message or a raw_data field.
struct WireField {
  enum class Kind : uint8_t { model, function, graph, node, attribute, tensor, raw_data };
  Kind kind = Kind::model;
  int parent = -1;                           // in the list; -1: the model itself
  int field = 0;                             // the number of the parent's field
  int index = 0;                             // among the parent's fields of that number
  size_t length_at = 0, begin = 0, end = 0;  // its length prefix; its body
};

// The raw_data fields of least <= size <= most bytes in the order of the bytes, each after the messages that
// it is in. Tensors in sparse tensors and in what Plica does not model are left out.
std::optional<std::vector<WireField>> scan_raw_data(const WireBytes& bytes, size_t least, size_t most);

// The tensor of each raw_data field in the message that was parsed from those bytes; null for other fields.
// Nothing when the message has not those tensors.
std::optional<std::vector<TensorProto*>> tensors_of(ModelProto& model, const std::vector<WireField>& fields);

// Goes over the bytes with the bodies of the raw_data fields replaced: `copy` gets ranges to be copied,
// `text` new length prefixes, `body` each raw_data field (its number in the list) where its new body is to
// be. `sizes` has the new size of each raw_data field, at its number.
class WireRewriter {
 public:
  WireRewriter(const std::vector<WireField>& fields, std::vector<size_t> sizes, size_t total);
  size_t size() const { return size_; }  // of it all, afterwards
  void run(const std::function<void(size_t begin, size_t end)>& copy,
           const std::function<void(std::string_view text)>& text,
           const std::function<void(size_t field)>& body) const;

 private:
  const std::vector<WireField>& fields_;
  std::vector<size_t> sizes_;
  size_t total_, size_;
};

}  // namespace plica::onnx_format
