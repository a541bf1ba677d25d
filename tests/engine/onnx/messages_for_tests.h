// Small models made of messages, and what became of loading them.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "engine/core/error.h"
#include "engine/onnx/onnx.h"
#include "engine/onnx/onnx.pb.h"

namespace plica {

using namespace onnx_format;

inline std::span<const std::byte> bytes_of_text(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// y = Relu(x), x: float32[2].
inline ModelProto small_model() {
  ModelProto model;
  model.set_ir_version(8);
  auto* opset = model.add_opset_import();
  opset->set_domain("");
  opset->set_version(13);
  GraphProto& graph = *model.mutable_graph();
  graph.set_name("small");
  for (auto* info : {graph.add_input(), graph.add_output()}) {
    auto* type = info->mutable_type()->mutable_tensor_type();
    type->set_elem_type(TensorProto::FLOAT);
    type->mutable_shape()->add_dim()->set_dim_value(2);
  }
  graph.mutable_input(0)->set_name("x");
  graph.mutable_output(0)->set_name("y");
  NodeProto& node = *graph.add_node();
  node.set_op_type("Relu");
  node.add_input("x");
  node.add_output("y");
  return model;
}

inline NodeProto& add_node(GraphProto& graph, const std::string& op, const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs) {
  NodeProto& node = *graph.add_node();
  node.set_op_type(op);
  for (const auto& name : inputs) node.add_input(name);
  for (const auto& name : outputs) node.add_output(name);
  return node;
}

inline TensorProto& add_initializer(GraphProto& graph, const std::string& name, int type,
                                    const std::vector<int64_t>& dims, const std::string& raw) {
  TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (int64_t d : dims) tensor.add_dims(d);
  tensor.set_raw_data(raw);
  return tensor;
}

inline std::unique_ptr<ModelGraph> parse(const ModelProto& proto,
                                         const std::filesystem::path& directory = {}) {
  return parse_model(bytes_of_text(proto.SerializeAsString()), directory);
}

inline ModelProto message_of(const ModelGraph& model) {
  ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(serialize_model(model)));
  return proto;
}

template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
    EXPECT_LT(error.message().size(), 2000u);
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::internal, ""};
}

inline void expect_error(const Error& error, ErrorCode code, std::string_view part) {
  EXPECT_EQ(error.code(), code) << error.message();
  EXPECT_NE(error.message().find(part), std::string::npos)
      << "'" << part << "' is not in: " << error.message();
}

// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "plica-onnx-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace plica
