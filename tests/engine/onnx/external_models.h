// Models whose tensors are in other files, by every route that a model has, and files that must not be read.
#pragma once

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/engine/onnx/messages_for_tests.h"

namespace plica {

struct ExternalRoute {
  std::string name, tensor;  // what a message must say of the tensor
  ModelProto model;
};

inline void set_external(TensorProto& tensor, const std::string& location) {
  tensor.clear_raw_data();
  tensor.set_data_location(TensorProto::EXTERNAL);
  tensor.clear_external_data();
  auto* entry = tensor.add_external_data();
  entry->set_key("location");
  entry->set_value(location);
}

inline NodeProto external_constant(const std::string& location) {
  NodeProto node;
  node.set_op_type("Constant");
  node.set_name("make_c");
  node.add_output("c");
  AttributeProto& value = *node.add_attribute();
  value.set_name("value");
  value.set_type(AttributeProto::TENSOR);
  value.mutable_t()->set_data_type(TensorProto::FLOAT);
  value.mutable_t()->add_dims(2);
  set_external(*value.mutable_t(), location);
  return node;
}

// In each, float32[2] in the file.
inline std::vector<ExternalRoute> external_routes(const std::string& location) {
  std::vector<ExternalRoute> out;
  const auto add = [&](const char* name, const char* tensor) -> ModelProto& {
    return out.emplace_back(name, tensor, small_model()).model;
  };
  ModelProto& initializer = add("initializer", "'w'");
  set_external(add_initializer(*initializer.mutable_graph(), "w", TensorProto::FLOAT, {2}, ""), location);

  ModelProto& constant = add("constant", "make_c");
  *constant.mutable_graph()->add_node() = external_constant(location);

  ModelProto& sparse_model = add("sparse initializer", "'s'");
  SparseTensorProto& sparse = *sparse_model.mutable_graph()->add_sparse_initializer();
  sparse.add_dims(4);
  sparse.mutable_values()->set_name("s");
  sparse.mutable_values()->set_data_type(TensorProto::FLOAT);
  sparse.mutable_values()->add_dims(2);
  set_external(*sparse.mutable_values(), location);
  sparse.mutable_indices()->set_data_type(TensorProto::INT64);
  sparse.mutable_indices()->add_dims(2);
  sparse.mutable_indices()->add_int64_data(0);
  sparse.mutable_indices()->add_int64_data(1);

  ModelProto& with_function = add("function", "make_c");
  FunctionProto& function = *with_function.add_functions();
  function.set_name("f");
  function.set_domain("d");
  function.add_output("c");
  *function.mutable_opset_import() = with_function.opset_import();
  *function.add_node() = external_constant(location);

  ModelProto& with_branch = add("subgraph", "'w'");
  NodeProto& branch = add_node(*with_branch.mutable_graph(), "If", {"x"}, {"z"});
  AttributeProto& then = *branch.add_attribute();
  then.set_name("then_branch");
  then.set_type(AttributeProto::GRAPH);
  set_external(add_initializer(*then.mutable_g(), "w", TensorProto::FLOAT, {2}, ""), location);

  ModelProto& sparse_constant = add("sparse constant", "make_c");
  NodeProto& node = *sparse_constant.mutable_graph()->add_node();
  node.set_op_type("Constant");
  node.set_name("make_c");
  node.add_output("c");
  AttributeProto& value = *node.add_attribute();
  value.set_name("sparse_value");
  value.set_type(AttributeProto::SPARSE_TENSOR);
  *value.mutable_sparse_tensor() = sparse;
  return out;
}

struct HostileFile {
  std::string kind, location;
  ErrorCode code;    // of the library; the program exits with 4 in any case
  std::string part;  // of the message
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Makes in `root` the directory "model", a file "secret" of 8 bytes beside it, and in "model" what must not
// be read.
inline std::vector<HostileFile> make_hostile_files(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  using enum ErrorCode;
  const fs::path model = root / "model";
  fs::create_directories(model / "sub");
  write_text(root / "secret", "secret!!");
  fs::create_symlink("../secret", model / "link");
  fs::create_directory_symlink("..", model / "up");
  fs::create_hard_link(root / "secret", model / "hard");
  EXPECT_EQ(::mkfifo((model / "fifo").c_str(), 0600), 0);
  write_text(model / "empty", "");
  std::vector<HostileFile> out = {
      {"absolute path", (root / "secret").string(), invalid_model, "absolute path"},
      {"parent directory", "../secret", invalid_model, "'..'"},
      {"parent after child", "sub/../../secret", invalid_model, "'..'"},
      {"symbolic link", "link", invalid_model, "symbolic link"},
      {"link on the way", "up/secret", invalid_model, "symbolic link"},
      {"hard link", "hard", invalid_model, "hard links"},
      {"FIFO", "fifo", invalid_model, "not a regular file"},
      {"directory", "sub", invalid_model, "not a regular file"},
      {"missing", "missing", io, "No such file"},
      {"empty file", "empty", invalid_model, "the file has 0"},
      {"NUL", std::string("data\0x", 6), invalid_model, "NUL"},
  };
  // Only root may make devices; then /dev/zero's is one.
  if (::mknod((model / "zero").c_str(), S_IFCHR | 0600, ::makedev(1, 5)) == 0)
    out.push_back({"device", "zero", invalid_model, "not a regular file"});
  return out;
}

}  // namespace plica
