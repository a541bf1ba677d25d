// A whole ONNX model: its main graph, its functions, and what the file says about itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace plica {

using OpsetImports = std::vector<std::pair<std::string, int64_t>>;  // (domain, version), in file order

class CustomOperators;  // engine/ops/custom_operators.h
struct SourceFiles;     // engine/onnx/external_data.h

// A model-local function (FunctionProto). Its graph's inputs and outputs are the parameters, without types.
struct Function {
  explicit Function(const ModelGraph* model) : graph(model) { graph.set_opsets(&opset_imports); }
  std::string name, domain, overload, doc_string;
  std::vector<std::string> attribute_names;  // without a default
  Attributes attribute_defaults;
  OpsetImports opset_imports;
  Metadata metadata;
  std::string extension;
  Graph graph;
};

struct ModelGraph {
  ModelGraph() : graph(this) { graph.set_opsets(&opset_imports); }
  ModelGraph(const ModelGraph&) = delete;
  ModelGraph& operator=(const ModelGraph&) = delete;

  int64_t ir_version = 0;
  OpsetImports opset_imports;
  std::string producer_name, producer_version, domain, doc_string;
  int64_t model_version = 0;
  Metadata metadata;
  std::string extension;  // what engine/onnx keeps of a ModelProto that is not modelled here
  std::vector<std::unique_ptr<Function>> functions;
  Graph graph;
  std::shared_ptr<const SourceFiles> source;  // null: no file
  std::shared_ptr<const CustomOperators> custom_operators;  // null: none

  // A deep copy; tensors are shared.
  std::unique_ptr<ModelGraph> clone() const;

  const std::string* find_metadata(std::string_view key) const;
  const Function* find_function(std::string_view domain, std::string_view name, std::string_view overload) const;
};

}  // namespace plica
