#include "engine/onnx/wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <climits>
#include <string_view>

#include "engine/core/fail.h"
#include "engine/onnx/import.h"

namespace plica::onnx_format {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// One graph within another costs three messages: NodeProto, AttributeProto, GraphProto. Beside the deepest
// graph that import allows there is room for what it may hold, and for graphs somewhat deeper, which import
// refuses by name.
constexpr int kDeepestMessage = 3 * kDeepestGraph + 64;

// The number of graphs within each other along the deepest path, as far as the bytes can be read. Recursive,
// but not beyond kDeepestGraph + 1.
int graph_depth(std::span<const uint8_t> graph, int depth) {
  if (depth > kDeepestGraph) return depth;
  int deepest = depth;
  const auto for_each = [](std::span<const uint8_t> message, std::initializer_list<int> wanted, auto&& f) {
    CodedInputStream in(message.data(), static_cast<int>(message.size()));
    while (const uint32_t tag = in.ReadTag()) {
      uint32_t length = 0;
      if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
        if (!WireFormatLite::SkipField(&in, tag)) return;
        continue;
      }
      if (!in.ReadVarint32(&length)) return;
      const auto begin = static_cast<size_t>(in.CurrentPosition());
      const auto body = message.subspan(begin, std::min<size_t>(length, message.size() - begin));
      for (int field : wanted) {
        if (WireFormatLite::GetTagFieldNumber(tag) == field) f(body);
      }
      if (length > INT_MAX || !in.Skip(static_cast<int>(length))) return;
    }
  };
  for_each(graph, {GraphProto::kNodeFieldNumber}, [&](auto node) {
    for_each(node, {NodeProto::kAttributeFieldNumber}, [&](auto attribute) {
      for_each(attribute, {AttributeProto::kGFieldNumber, AttributeProto::kGraphsFieldNumber}, [&](auto sub) {
        if (deepest <= kDeepestGraph) deepest = std::max(deepest, graph_depth(sub, depth + 1));
      });
    });
  });
  return deepest;
}

[[noreturn]] void fail_parse(std::span<const std::byte> bytes, std::string_view what, bool is_model) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs")) {
    fail(ErrorCode::invalid_model, "is a Git LFS pointer, not the file itself (git lfs pull brings it)");
  }
  const std::span<const uint8_t> data(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  CodedInputStream in(data.data(), static_cast<int>(data.size()));
  while (const uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) break;
      continue;
    }
    uint32_t length = 0;
    if (!in.ReadVarint32(&length)) break;
    const auto begin = static_cast<size_t>(in.CurrentPosition());
    const int field = WireFormatLite::GetTagFieldNumber(tag);
    const size_t left = data.size() - begin;
    if (length > left) {
      if (field > ModelProto::kConfigurationFieldNumber)
        break;  // no field of ours: rather no protobuf at all
      fail(ErrorCode::invalid_model, "is truncated: a part of {} bytes begins at byte {} and only {} follow",
           length, begin, left);
    }
    if (is_model && field == ModelProto::kGraphFieldNumber &&
        graph_depth(data.subspan(begin, length), 0) > kDeepestGraph) {
      fail(ErrorCode::limit, "graphs are nested more than {} deep", kDeepestGraph);
    }
    in.Skip(static_cast<int>(length));
  }
  fail(ErrorCode::invalid_model,
       "is not {}: its bytes are no valid protobuf message (or messages are nested more than "
       "{} deep)",
       what, kDeepestMessage);
}

// Of less than 2 GiB.
bool try_parse(std::span<const std::byte> bytes, google::protobuf::MessageLite& message) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
  in.SetRecursionLimit(kDeepestMessage);
  in.SetTotalBytesLimit(INT_MAX);
  return message.ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
}

template <class Message>
Message parse(std::span<const std::byte> bytes, std::string_view what) {
  require(!bytes.empty(), ErrorCode::invalid_model, "is empty");
  require(bytes.size() <= static_cast<size_t>(INT_MAX), ErrorCode::limit,
          "has {} bytes; a protobuf message has less than 2 GiB (larger models keep their weights as "
          "external data)",
          bytes.size());
  Message message;
  if (!try_parse(bytes, message)) fail_parse(bytes, what, std::is_same_v<Message, ModelProto>);
  return message;
}

}  // namespace

ModelProto parse_model_message(std::span<const std::byte> bytes) {
  return parse<ModelProto>(bytes, "an ONNX model");
}

bool try_parse_model_message(std::string_view bytes, ModelProto& model) {
  return !bytes.empty() && bytes.size() <= static_cast<size_t>(INT_MAX) &&
         try_parse(std::as_bytes(std::span(bytes.data(), bytes.size())), model);
}

TensorProto parse_tensor_message(std::span<const std::byte> bytes) {
  return parse<TensorProto>(bytes, "a tensor");
}

void check_message_size(size_t bytes) {
  require(bytes <= static_cast<size_t>(INT_MAX), ErrorCode::limit,
          "would have {} bytes; a protobuf message has less than 2 GiB", bytes);
}

std::string serialize_message(const google::protobuf::MessageLite& message) {
  check_message_size(message.ByteSizeLong());
  std::string out;
  require(message.SerializeToString(&out), ErrorCode::internal, "a message cannot be serialized");
  return out;
}

}  // namespace plica::onnx_format
