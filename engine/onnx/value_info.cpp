#include "engine/onnx/value_info.h"

#include "engine/core/fail.h"
#include "engine/onnx/types.h"

namespace plica::onnx_format {
namespace {

// Takes out of an entry what complete_value_info() puts in.
void reduce(const Value& value, ValueInfoProto& entry) {
  entry.clear_name();
  if (entry.has_type() && value.type().kind != Type::Kind::unknown &&
      same_bytes(entry.type(), write_type(value.type()))) {
    entry.clear_type();
  }
  if (!entry.doc_string().empty() && entry.doc_string() == value.doc_string) entry.clear_doc_string();
  ValueInfoProto again;
  put_metadata(value.metadata, *again.mutable_metadata_props());
  ValueInfoProto given;
  *given.mutable_metadata_props() = entry.metadata_props();
  if (same_bytes(again, given)) entry.clear_metadata_props();
}

}  // namespace

void ValueEntries::finish(Graph& graph) {
  for (Value* value : graph.values()) {  // in their order: of several errors always the same comes first
    const auto it = entries_.find(value);
    if (it == entries_.end()) continue;
    with_context([&] { finish(graph, value, it->second); }, [&] { return "value " + quoted(value->name()); });
  }
  entries_.clear();
}

void ValueEntries::finish(Graph& graph, Value* value, const Entries& entries) {
  const auto for_each_info = [&](auto&& f) {
    for (const auto* list : {&entries.input, &entries.output, &entries.value_info}) {
      for (ValueInfoProto* entry : *list) f(*entry);
    }
  };
  for_each_info([&](const ValueInfoProto& entry) {
    if (entry.has_type()) {
      Type type = read_type(entry.type());
      if (value->type().kind == Type::Kind::unknown) graph.set_type(value, std::move(type));
    }
    if (value->doc_string.empty()) value->doc_string = entry.doc_string();
    if (value->metadata.empty()) {
      StringEntries copy = entry.metadata_props();
      value->metadata = take_metadata(copy);
    }
  });
  for_each_info([&](ValueInfoProto& entry) { reduce(*value, entry); });

  GraphProto extension;
  const auto keep = [](const std::vector<ValueInfoProto*>& list, bool expected, auto* field) {
    if (expected && list.size() == 1 && is_empty(*list[0])) return;
    for (ValueInfoProto* entry : list) field->Add()->Swap(entry);
  };
  keep(entries.input, true, extension.mutable_input());
  keep(entries.output, true, extension.mutable_output());
  keep(entries.value_info,
       wants_value_info(*value, !entries.input.empty() || !entries.output.empty()) &&
           !entries.sparse_initializer,
       extension.mutable_value_info());
  if (entries.initializer && !is_empty(*entries.initializer))
    extension.add_initializer()->Swap(entries.initializer);
  if (entries.sparse_initializer) extension.add_sparse_initializer()->Swap(entries.sparse_initializer);
  value->extension = extension.SerializeAsString();
}

bool wants_value_info(const Value& value, bool listed) {
  if (listed || value.initializer()) return false;
  return value.type().kind != Type::Kind::unknown || !value.doc_string.empty() || !value.metadata.empty();
}

void complete_value_info(const Value& value, ValueInfoProto& entry) {
  entry.set_name(value.name());
  const bool is_known = value.type().kind != Type::Kind::unknown;
  if (is_known && !(entry.has_type() && read_type(entry.type()) == value.type())) {
    *entry.mutable_type() = write_type(value.type());
  }
  if (!value.doc_string.empty() && entry.doc_string().empty()) entry.set_doc_string(value.doc_string);
  if (entry.metadata_props().empty()) put_metadata(value.metadata, *entry.mutable_metadata_props());
}

}  // namespace plica::onnx_format
