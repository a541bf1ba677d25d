// What the files of this room share about protobuf messages.
//
// Fidelity: what the graph does not model (unknown fields, rare fields) is kept in the `extension` strings of
// ModelGraph, Function, Graph, Node and Value. An extension is the serialized message that the object came
// from, with every modelled field taken out; export parses it first and then sets the modelled fields. Three
// rules:
//   - a scalar that is set, but to its default, stays in the extension: so its presence survives;
//   - a part that the graph models as a whole (a type, metadata, opset imports) stays only when writing the
//   modelled
//     value would not give the same bytes, and is used by export only while it still means the modelled
//     value;
//   - Node: the AttributeProtos in its extension are what was left over of the attributes of those names.
//     Value: its extension is a GraphProto with what was left over of the value's own entries in the lists
//     input, output, value_info, initializer and sparse_initializer (see value_info.h).
#pragma once

#include <string>

#include "engine/core/error.h"
#include "engine/graph/model_graph.h"
#include "engine/onnx/onnx.pb.h"

namespace plica::onnx_format {

inline bool same_bytes(const google::protobuf::MessageLite& a, const google::protobuf::MessageLite& b) {
  return a.SerializeAsString() == b.SerializeAsString();
}

inline bool is_empty(const google::protobuf::MessageLite& message) { return message.ByteSizeLong() == 0; }

// Moves a string out of its field, and clears the field unless it was empty already.
template <class Message>
std::string take_string(Message& message, std::string* (Message::*field)(), bool (Message::*has)() const,
                        void (Message::*clear)()) {
  if (!(message.*has)()) return {};
  std::string out = std::move(*(message.*field)());
  if (!out.empty()) (message.*clear)();
  return out;
}

// An extension, as the message that it is. It was made by us: one that does not parse is a bug.
template <class Message>
Message parse_extension(const std::string& extension) {
  Message message;
  if (!extension.empty() && !message.ParseFromString(extension)) {
    throw Error(ErrorCode::internal, "an extension does not parse");
  }
  return message;
}

using StringEntries = google::protobuf::RepeatedPtrField<StringStringEntryProto>;
using OpsetEntries = google::protobuf::RepeatedPtrField<OperatorSetIdProto>;

Metadata take_metadata(StringEntries& entries);
void put_metadata(const Metadata& metadata, StringEntries& entries);

// As the file spells the domains. Throws invalid_model on a version below 1, and when a domain has two
// versions.
OpsetImports take_opset_imports(OpsetEntries& entries);
// What a model without imports imports: IR versions below 3 had none.
OpsetImports implied_opset_imports();
void put_opset_imports(const OpsetImports& imports, OpsetEntries& entries);

}  // namespace plica::onnx_format
