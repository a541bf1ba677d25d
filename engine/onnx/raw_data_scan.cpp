#include "engine/onnx/raw_data_scan.h"

#include <algorithm>
#include <array>
#include <climits>
#include <utility>

#include "engine/core/checked.h"
#include "engine/core/limits.h"
#include "engine/onnx/import.h"

namespace plica::onnx_format {
namespace {

using Kind = WireField::Kind;

constexpr int kMostChildFields = 4;

struct ChildField {
  int field;
  Kind kind;
  bool is_repeated;
};

// The fields that lead to tensors (onnx.proto).
std::span<const ChildField> child_fields(Kind kind) {
  static constexpr ChildField kModel[] = {{ModelProto::kGraphFieldNumber, Kind::graph, false},
                                          {ModelProto::kFunctionsFieldNumber, Kind::function, true}};
  static constexpr ChildField kFunction[] = {
      {FunctionProto::kNodeFieldNumber, Kind::node, true},
      {FunctionProto::kAttributeProtoFieldNumber, Kind::attribute, true}};
  static constexpr ChildField kGraph[] = {{GraphProto::kNodeFieldNumber, Kind::node, true},
                                          {GraphProto::kInitializerFieldNumber, Kind::tensor, true}};
  static constexpr ChildField kNode[] = {{NodeProto::kAttributeFieldNumber, Kind::attribute, true}};
  static constexpr ChildField kAttribute[] = {{AttributeProto::kTFieldNumber, Kind::tensor, false},
                                              {AttributeProto::kGFieldNumber, Kind::graph, false},
                                              {AttributeProto::kTensorsFieldNumber, Kind::tensor, true},
                                              {AttributeProto::kGraphsFieldNumber, Kind::graph, true}};
  static constexpr ChildField kTensor[] = {{TensorProto::kRawDataFieldNumber, Kind::raw_data, false}};
  switch (kind) {
    case Kind::model: return kModel;
    case Kind::function: return kFunction;
    case Kind::graph: return kGraph;
    case Kind::node: return kNode;
    case Kind::attribute: return kAttribute;
    case Kind::tensor: return kTensor;
    case Kind::raw_data: return {};
  }
  return {};
}

class Scanner {
 public:
  Scanner(const WireBytes& bytes, size_t least, size_t most) : bytes_(bytes), least_(least), most_(most) {}

  std::optional<std::vector<WireField>> scan() {
    if (!scan_message(Kind::model, -1, bytes_.size(), 0)) return std::nullopt;
    return std::move(fields_);
  }

 private:
  bool scan_message(Kind kind, int self, size_t end, int graphs);
  bool scan_child(const ChildField& child, int parent, int index, size_t length_at, size_t end, int graphs);
  bool skip(uint32_t wire_type, size_t end);
  // Of at most so many bytes, all before `end`.
  bool read_varint(int most_bytes, size_t end, uint64_t& value);

  const WireBytes& bytes_;
  const size_t least_, most_;
  size_t at_ = 0;
  std::vector<uint8_t> buffer_;
  std::span<const uint8_t> window_;
  size_t window_at_ = 0;
  std::vector<WireField> fields_;
};

bool Scanner::read_varint(int most_bytes, size_t end, uint64_t& value) {
  constexpr size_t kWindow = size_t{16} << 10;
  value = 0;
  for (int i = 0; i < most_bytes && at_ < end; ++i) {
    if (at_ < window_at_ || at_ - window_at_ >= window_.size()) {
      window_ = bytes_.at(at_, kWindow, buffer_);
      window_at_ = at_;
    }
    const uint8_t byte = window_[at_ - window_at_];
    ++at_;
    value |= static_cast<uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) return true;
  }
  return false;
}

bool Scanner::skip(uint32_t wire_type, size_t end) {
  constexpr uint32_t kVarint = 0, kFixed64 = 1, kFixed32 = 5;
  uint64_t ignored;
  size_t size = 0;
  switch (wire_type) {
    case kVarint: return read_varint(10, end, ignored);
    case kFixed64:
      size = 8;
      break;
    case kFixed32:
      size = 4;
      break;
    default:
      return false;  // groups, and what is none
  }
  if (size > end - at_) return false;
  at_ += size;
  return true;
}

bool Scanner::scan_message(Kind kind, int self, size_t end, int graphs) {
  constexpr uint32_t kLengthDelimited = 2;
  const auto children = child_fields(kind);
  std::array<int, kMostChildFields> counts{};
  while (at_ < end) {
    uint64_t tag = 0, length = 0;
    if (!read_varint(5, end, tag) || tag > UINT32_MAX || tag >> 3 == 0) return false;
    const auto wire_type = static_cast<uint32_t>(tag & 7);
    if (wire_type != kLengthDelimited) {
      if (!skip(wire_type, end)) return false;
      continue;
    }
    const size_t length_at = at_;
    if (!read_varint(5, end, length) || length > end - at_) return false;
    const auto child = std::ranges::find(children, static_cast<int>(tag >> 3), &ChildField::field);
    if (child == children.end()) {
      at_ += length;
      continue;
    }
    // A second one of a field that is not repeated is merged with the first.
    const int index = counts[static_cast<size_t>(child - children.begin())]++;
    if (index != 0 && !child->is_repeated) return false;
    if (!scan_child(*child, self, index, length_at, at_ + length, graphs)) return false;
  }
  return true;
}

// Recursive along nested graphs, no deeper than import goes.
bool Scanner::scan_child(const ChildField& child, int parent, int index, size_t length_at, size_t end,
                         int graphs) {
  const size_t begin = at_, size = end - begin;
  const int self = static_cast<int>(fields_.size());
  if (self == INT_MAX) return false;
  const auto add = [&] {
    fields_.push_back({child.kind, parent, child.field, index, length_at, begin, end});
  };
  if (child.kind == Kind::raw_data) {
    if (size >= least_ && size <= most_) add();
  } else if (child.kind != Kind::graph || graphs <= kDeepestGraph) {
    check_limits();
    add();
    if (!scan_message(child.kind, self, end, graphs + (child.kind == Kind::graph))) return false;
    if (fields_.size() == static_cast<size_t>(self) + 1) fields_.pop_back();  // no raw_data in it
  }
  at_ = end;
  return true;
}

using Message = google::protobuf::MessageLite;

template <class List>
Message* element(List& list, int index) {
  return index < list.size() ? list.Mutable(index) : nullptr;
}

Message* child_of(Message& parent, Kind kind, int field, int index) {
  switch (kind) {
    case Kind::model: {
      auto& model = static_cast<ModelProto&>(parent);
      if (field == ModelProto::kFunctionsFieldNumber) return element(*model.mutable_functions(), index);
      return model.has_graph() ? model.mutable_graph() : nullptr;
    }
    case Kind::function: {
      auto& function = static_cast<FunctionProto&>(parent);
      if (field == FunctionProto::kNodeFieldNumber) return element(*function.mutable_node(), index);
      return element(*function.mutable_attribute_proto(), index);
    }
    case Kind::graph: {
      auto& graph = static_cast<GraphProto&>(parent);
      if (field == GraphProto::kNodeFieldNumber) return element(*graph.mutable_node(), index);
      return element(*graph.mutable_initializer(), index);
    }
    case Kind::node: return element(*static_cast<NodeProto&>(parent).mutable_attribute(), index);
    case Kind::attribute: {
      auto& attribute = static_cast<AttributeProto&>(parent);
      switch (field) {
        case AttributeProto::kTFieldNumber:
          return attribute.has_t() ? attribute.mutable_t() : nullptr;
        case AttributeProto::kGFieldNumber:
          return attribute.has_g() ? attribute.mutable_g() : nullptr;
        case AttributeProto::kTensorsFieldNumber:
          return element(*attribute.mutable_tensors(), index);
        default:
          return element(*attribute.mutable_graphs(), index);
      }
    }
    case Kind::tensor:
    case Kind::raw_data:
      break;
  }
  return nullptr;
}

size_t varint_size(size_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

std::string varint(size_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
  out += static_cast<char>(value);
  return out;
}

}  // namespace

std::span<const uint8_t> WireBytes::at(size_t offset, size_t most, std::vector<uint8_t>& buffer) const {
  if (!file_) {
    const std::string_view rest = memory_.substr(offset);
    return {reinterpret_cast<const uint8_t*>(rest.data()), rest.size()};
  }
  buffer.resize(std::min(most, size_ - offset));
  file_->read(offset, std::as_writable_bytes(std::span(buffer)));
  return buffer;
}

std::optional<std::vector<WireField>> scan_raw_data(const WireBytes& bytes, size_t least, size_t most) {
  return Scanner(bytes, least, most).scan();
}

std::optional<std::vector<TensorProto*>> tensors_of(ModelProto& model, const std::vector<WireField>& fields) {
  std::vector<Message*> messages(fields.size(), nullptr);
  std::vector<TensorProto*> tensors(fields.size(), nullptr);
  for (size_t i = 0; i < fields.size(); ++i) {
    const WireField& f = fields[i];
    const auto parent = static_cast<size_t>(f.parent);
    if (f.kind == Kind::raw_data) {
      tensors[i] = static_cast<TensorProto*>(messages[parent]);
      if (!tensors[i]->has_raw_data()) return std::nullopt;
    } else {
      messages[i] = f.parent < 0 ? child_of(model, Kind::model, f.field, f.index)
                                 : child_of(*messages[parent], fields[parent].kind, f.field, f.index);
      if (!messages[i]) return std::nullopt;
    }
  }
  return tensors;
}

WireRewriter::WireRewriter(const std::vector<WireField>& fields, std::vector<size_t> sizes, size_t total)
    : fields_(fields), sizes_(std::move(sizes)), total_(total), size_(total) {
  // Children come after their parents. New sizes go up as differences from the old, which may be negative:
  // unsigned arithmetic, exact modulo 2^64.
  std::vector<size_t> difference(fields.size(), 0);
  for (size_t i = fields.size(); i-- > 0;) {
    const WireField& f = fields[i];
    const size_t old_size = f.end - f.begin;
    if (f.kind != Kind::raw_data) sizes_[i] = old_size + difference[i];
    const size_t change = sizes_[i] - old_size + varint_size(sizes_[i]) - (f.begin - f.length_at);
    (f.parent < 0 ? size_ : difference[static_cast<size_t>(f.parent)]) += change;
  }
}

void WireRewriter::run(const std::function<void(size_t, size_t)>& copy,
                       const std::function<void(std::string_view)>& text,
                       const std::function<void(size_t)>& body) const {
  size_t at = 0;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const WireField& f = fields_[i];
    if (f.length_at != at) copy(at, f.length_at);
    text(varint(sizes_[i]));
    at = f.begin;
    if (f.kind != Kind::raw_data) continue;
    if (sizes_[i] != 0) body(i);
    at = f.end;
  }
  if (at != total_) copy(at, total_);
}

}  // namespace plica::onnx_format
