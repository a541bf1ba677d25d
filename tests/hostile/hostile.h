// Hostile models: files that must be refused, or be harmless, by class (docs/security.md names the classes).
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/engine/onnx/messages_for_tests.h"

namespace plica::hostile {

using Ints = std::vector<int64_t>;

struct Row {
  std::string name;                   // begins with its class: "K1_stride_0"
  std::function<std::string()> make;  // the file's bytes
  // What the line on stderr must have in it, besides the file's name.
  std::vector<std::string> parts = {};
  // Valid: everything works on it, within the bounds.
  bool harmless = false;
  std::vector<std::string> options = {};  // of `run`; {} stands for the model's directory
  // Makes what lies beside the model, or changes its file, whose name is model.onnx. May be empty.
  std::function<void(const std::filesystem::path& directory)> add_files = {};
  // The model is good, what `run` is given is not.
  bool runs_alone = false;
};

using Rows = std::vector<Row>;
Rows loader_rows();
Rows tensor_rows();
Rows graph_rows();
Rows window_rows();
Rows kernel_rows();
Rows optimizer_rows();
Rows file_rows();
Rows scale_rows();

// ---- building

struct Operand {
  std::string name;    // empty: left out
  TensorProto tensor;  // an initializer when it has a type
  Ints dims;           // else an input of these dims
  int type = TensorProto::FLOAT;
};
inline Operand input(const std::string& name, Ints dims, int type = TensorProto::FLOAT) {
  return {name, {}, std::move(dims), type};
}
inline Operand none() { return {}; }
// Ones.
Operand floats(const std::string& name, const Ints& dims, float value = 1);
Operand integers(const std::string& name, const Ints& values);  // rank 1
Operand scalar(const std::string& name, int64_t value);

using AttributeOf = std::variant<int64_t, float, std::string, Ints>;
using Attributes = std::vector<std::pair<std::string, AttributeOf>>;
void set_attribute(NodeProto& node, const std::string& name, const AttributeOf& value);

ModelProto empty_model(int64_t opset = 17);
void add_operand(GraphProto& graph, const Operand& operand);
ValueInfoProto value_info(const std::string& name, const Ints& dims, int type = TensorProto::FLOAT);

// One node named "bad" of the operator, whose outputs are the model's.
ModelProto model_of(const std::string& op, const std::vector<Operand>& inputs,
                    const Attributes& attributes = {}, int outputs = 1, int64_t opset = 17);
// A row of such a model, which must be refused naming the node.
Row node_row(std::string name, const std::string& op, const std::vector<Operand>& inputs,
             const Attributes& attributes = {}, std::vector<std::string> parts = {"'bad'"}, int outputs = 1,
             int64_t opset = 17);

// Wire format.
std::string varint(uint64_t value);
std::string field(int number, const std::string& bytes);  // length-delimited

}  // namespace plica::hostile
