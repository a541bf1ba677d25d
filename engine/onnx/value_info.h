// A Value <-> its entries in a GraphProto: ValueInfoProtos of the lists input, output and value_info.
//
// Value::extension is a GraphProto that holds the value's own entries, as far as they are not modelled. An
// entry with nothing left is dropped where export would write one anyway, and kept empty where it would not
// (a value_info beside an input, output or initializer). Of an initializer it holds what is left of the
// TensorProto (tensor_data.h); of a value that a sparse initializer gives, the entry sparse_initializer.
#pragma once

#include <unordered_map>
#include <vector>

#include "engine/onnx/messages.h"

namespace plica::onnx_format {

// Collects the entries of one graph's values while it is imported, and then gives the values their types, doc
// strings, metadata and extensions. The messages must live until finish(); they are taken apart.
class ValueEntries {
 public:
  void add_input(Value* value, ValueInfoProto& entry) { entries_[value].input.push_back(&entry); }
  void add_output(Value* value, ValueInfoProto& entry) { entries_[value].output.push_back(&entry); }
  void add_value_info(Value* value, ValueInfoProto& entry) { entries_[value].value_info.push_back(&entry); }
  void add_initializer(Value* value, TensorProto& left_over) { entries_[value].initializer = &left_over; }
  void add_sparse_initializer(Value* value, SparseTensorProto& left_over) {
    entries_[value].sparse_initializer = &left_over;
  }
  void finish(Graph& graph);

 private:
  struct Entries {
    std::vector<ValueInfoProto*> input, output, value_info;
    TensorProto* initializer = nullptr;
    SparseTensorProto* sparse_initializer = nullptr;
  };
  static void finish(Graph& graph, Value* value, const Entries& entries);

  std::unordered_map<Value*, Entries> entries_;
};

// Export's rule for the list value_info when the value's extension says nothing. `listed`: the value has an
// entry in the list of inputs or outputs already (never so in a function's body).
bool wants_value_info(const Value& value, bool listed);

// Sets the modelled fields of an entry that holds what was left over (or nothing).
void complete_value_info(const Value& value, ValueInfoProto& entry);

}  // namespace plica::onnx_format
