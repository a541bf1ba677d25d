#include "engine/onnx/import.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_set>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/onnx/attributes.h"
#include "engine/onnx/tensor_data.h"
#include "engine/onnx/types.h"
#include "engine/onnx/value_info.h"

namespace plica::onnx_format {
namespace {

constexpr int64_t kNewestIrVersion = IR_VERSION;

template <class Protos>
void erase_empty(Protos& protos) {
  protos.erase(std::remove_if(protos.begin(), protos.end(), [](const auto& p) { return is_empty(p); }),
               protos.end());
}

std::string plain_domain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

// Imports the graphs that share opset imports: the main graph with its subgraphs, or a function's body.
class GraphImporter {
 public:
  GraphImporter(const ModelGraph& model, const OpsetImports& opsets, TensorSources& sources, bool function)
      : model_(model), sources_(sources), function_(function) {
    for (const auto& [domain, version] : opsets) opsets_.emplace(plain_domain(domain), version);
  }

  void import_graph(GraphProto& proto, Graph& graph);
  void import_body(FunctionProto& proto, Graph& graph);
  Attributes import_attributes(AttributeProtos& protos) {
    return take_attributes(protos,
                           {sources_, [this](GraphProto& g) { return import_subgraph(g); }, function_});
  }
  // Once all graphs are there: puts those into order that were not.
  void sort() {
    for (Graph* graph : unsorted_) graph->sort();
  }

 private:
  using NodeProtos = google::protobuf::RepeatedPtrField<NodeProto>;
  using ValueInfos = google::protobuf::RepeatedPtrField<ValueInfoProto>;

  GraphPtr import_subgraph(GraphProto& proto);
  void import_inputs(GraphProto& proto, Graph& graph, ValueEntries& entries);
  void import_initializers(GraphProto& proto, Graph& graph, ValueEntries& entries);
  void import_sparse_initializers(GraphProto& proto, Graph& graph, ValueEntries& entries);
  void declare_node_outputs(const NodeProtos& nodes, Graph& graph);
  void import_value_infos(ValueInfos& infos, Graph& graph, ValueEntries& entries);
  void import_nodes(NodeProtos& nodes, Graph& graph);
  void import_node(NodeProto& proto, Graph& graph);
  void add_output(Graph& graph, const std::string& name);

  void note_forward_reference(const Value& value);
  Value* find(const std::string& name) const;
  std::string describe(const NodeProto& node) const;

  const ModelGraph& model_;
  std::map<std::string, int64_t, std::less<>> opsets_;
  TensorSources& sources_;
  bool function_;
  std::vector<Graph*> scopes_;  // the graph being imported, last, and those around it
  std::vector<Graph*> unsorted_;
  std::unordered_set<const Graph*> seen_unsorted_;
};

// The initializer of an input is its default, so it must be of the input's type.
void check_defaults(const Graph& graph) {
  for (const Value* input : graph.inputs()) {
    const Tensor* tensor = input->initializer();
    if (!tensor || input->type().kind == Type::Kind::unknown) continue;
    const bool fits = input->type().is_tensor() && (input->type().element == tensor->type() ||
                                                    input->type().element == DataType::undefined);
    require(fits, ErrorCode::invalid_model, "graph input {} is a {}, its initializer {}",
            quoted(input->name()), to_string(input->type()), to_string(*tensor));
  }
}

std::string GraphImporter::describe(const NodeProto& node) const {
  std::string label = node.name();
  for (int i = 0; label.empty() && i < node.output_size(); ++i) label = node.output(i);
  const std::string domain = plain_domain(node.domain());
  const std::string type = quoted(domain.empty() ? node.op_type() : domain + "." + node.op_type());
  const auto opset = opsets_.find(domain);
  return fmt::format("node {} ({}, opset {})", quoted(label),
                     std::string_view(type).substr(1, type.size() - 2),
                     opset == opsets_.end() ? 0 : opset->second);
}

// A value that is read before the node that computes it was imported: its graph is not in order.
void GraphImporter::note_forward_reference(const Value& value) {
  if (value.producer() || value.is_graph_input() || value.initializer()) return;
  if (seen_unsorted_.insert(value.graph()).second) unsorted_.push_back(value.graph());
}

Value* GraphImporter::find(const std::string& name) const {
  for (auto it = scopes_.rbegin(); it != scopes_.rend(); ++it) {
    if (Value* value = (*it)->find(name)) return value;
  }
  return nullptr;
}

void GraphImporter::import_graph(GraphProto& proto, Graph& graph) {
  graph.name = take_string(proto, &GraphProto::mutable_name, &GraphProto::has_name, &GraphProto::clear_name);
  graph.doc_string = take_string(proto, &GraphProto::mutable_doc_string, &GraphProto::has_doc_string,
                                 &GraphProto::clear_doc_string);
  graph.metadata = take_metadata(*proto.mutable_metadata_props());

  scopes_.push_back(&graph);
  ValueEntries entries;
  import_inputs(proto, graph, entries);
  import_initializers(proto, graph, entries);
  import_sparse_initializers(proto, graph, entries);
  declare_node_outputs(proto.node(), graph);
  import_nodes(*proto.mutable_node(), graph);
  for (ValueInfoProto& info : *proto.mutable_output()) {
    add_output(graph, info.name());
    if (Value* value = graph.find(info.name())) entries.add_output(value, info);
  }
  import_value_infos(*proto.mutable_value_info(), graph, entries);
  entries.finish(graph);
  check_defaults(graph);
  scopes_.pop_back();

  // Entries that belong to a value of this graph are with it now, and empty here. The others stay: outputs
  // that are captured, and infos of values that are not here.
  erase_empty(*proto.mutable_output());
  erase_empty(*proto.mutable_value_info());
  proto.clear_node();
  proto.clear_input();
  proto.clear_initializer();
  proto.clear_sparse_initializer();
  graph.extension = proto.SerializeAsString();
}

void GraphImporter::import_body(FunctionProto& proto, Graph& graph) {
  scopes_.push_back(&graph);
  ValueEntries entries;
  for (const std::string& name : proto.input()) graph.add_input(name, {});
  declare_node_outputs(proto.node(), graph);
  import_nodes(*proto.mutable_node(), graph);
  for (const std::string& name : proto.output()) add_output(graph, name);
  import_value_infos(*proto.mutable_value_info(), graph, entries);
  entries.finish(graph);
  scopes_.pop_back();
  erase_empty(*proto.mutable_value_info());
  proto.clear_node();
  proto.clear_input();
  proto.clear_output();
}

GraphPtr GraphImporter::import_subgraph(GraphProto& proto) {
  require(scopes_.size() <= static_cast<size_t>(kDeepestGraph), ErrorCode::limit,
          "graphs are nested more than {} deep", kDeepestGraph);
  auto graph = std::make_shared<Graph>(&model_);
  import_graph(proto, *graph);
  return graph;
}

void GraphImporter::import_inputs(GraphProto& proto, Graph& graph, ValueEntries& entries) {
  for (ValueInfoProto& info : *proto.mutable_input()) {
    with_context([&] { entries.add_input(graph.add_input(info.name(), {}), info); },
                 [&] { return "graph input " + quoted(info.name()); });
  }
}

void GraphImporter::import_initializers(GraphProto& proto, Graph& graph, ValueEntries& entries) {
  for (TensorProto& tensor_proto : *proto.mutable_initializer()) {
    const std::string name = tensor_proto.name();
    const auto body = [&] {
      Tensor tensor = take_tensor(tensor_proto, sources_);
      tensor_proto.clear_name();
      Value* value = graph.find(name);
      if (!value) {
        value = graph.add_initializer(name, std::move(tensor));
      } else {
        require(!value->initializer(), ErrorCode::invalid_model, "is defined twice");
        graph.set_initializer(value, std::move(tensor));
      }
      entries.add_initializer(value, tensor_proto);
    };
    with_context(body, [&] { return "initializer " + quoted(name); });
  }
}

// A sparse initializer means what a Constant with a sparse_value means, and becomes one; export turns it
// back.
void GraphImporter::import_sparse_initializers(GraphProto& proto, Graph& graph, ValueEntries& entries) {
  for (SparseTensorProto& sparse : *proto.mutable_sparse_initializer()) {
    const std::string name = sparse.values().name();
    const auto body = [&] {
      SparseTensor tensor = take_sparse_tensor(sparse, sources_);
      sparse.mutable_values()->clear_name();
      tensor.values_name.clear();
      require(!graph.find(name) || !graph.find(name)->is_graph_input(), ErrorCode::unsupported,
              "is the default of an input, which is not supported for sparse tensors");
      Value* value = graph.add_value(name, Type::tensor(tensor.values.type(), Shape(tensor.dims)));
      Attributes attributes;
      attributes.set("sparse_value", std::move(tensor));
      graph.add_node("Constant", "", {}, {value}, std::move(attributes));
      entries.add_sparse_initializer(value, sparse);
    };
    with_context(body, [&] { return "sparse initializer " + quoted(name); });
  }
}

void GraphImporter::declare_node_outputs(const NodeProtos& nodes, Graph& graph) {
  for (const NodeProto& node : nodes) {
    for (const std::string& name : node.output()) {
      if (name.empty()) continue;
      require(!graph.find(name), ErrorCode::invalid_model, "{}: its output {} is defined twice",
              describe(node), quoted(name));
      graph.add_value(name);
    }
  }
}

void GraphImporter::import_value_infos(ValueInfos& infos, Graph& graph, ValueEntries& entries) {
  for (ValueInfoProto& info : infos) {
    if (Value* value = graph.find(info.name())) entries.add_value_info(value, info);
  }
}

void GraphImporter::import_nodes(NodeProtos& nodes, Graph& graph) {
  for (NodeProto& node : nodes) {
    check_limits();
    // The description is made on failure only; the parts of the message that it needs are taken last.
    with_context([&] { import_node(node, graph); }, [&] { return describe(node); });
  }
}

void GraphImporter::import_node(NodeProto& proto, Graph& graph) {
  require(!proto.op_type().empty(), ErrorCode::invalid_model, "has no operator type");
  const std::string domain = plain_domain(proto.domain());
  require(opsets_.contains(domain), ErrorCode::invalid_model, "no version of its operator set {} is imported",
          quoted(domain.empty() ? "ai.onnx" : domain));

  std::vector<Value*> inputs, outputs;
  inputs.reserve(static_cast<size_t>(proto.input_size()));
  outputs.reserve(static_cast<size_t>(proto.output_size()));
  for (const std::string& name : proto.input()) {
    Value* value = name.empty() ? nullptr : find(name);
    require(value || name.empty(), ErrorCode::invalid_model, "input {} is not defined", quoted(name));
    if (value) note_forward_reference(*value);
    inputs.push_back(value);
  }
  for (const std::string& name : proto.output()) outputs.push_back(name.empty() ? nullptr : graph.find(name));
  Attributes attributes = import_attributes(*proto.mutable_attribute());
  Metadata metadata = take_metadata(*proto.mutable_metadata_props());

  Node* node =
      graph.add_node(proto.op_type(), domain, std::move(inputs), std::move(outputs), std::move(attributes));
  node->metadata = std::move(metadata);
  node->name = take_string(proto, &NodeProto::mutable_name, &NodeProto::has_name, &NodeProto::clear_name);
  node->overload =
      take_string(proto, &NodeProto::mutable_overload, &NodeProto::has_overload, &NodeProto::clear_overload);
  node->doc_string = take_string(proto, &NodeProto::mutable_doc_string, &NodeProto::has_doc_string,
                                 &NodeProto::clear_doc_string);
  proto.clear_op_type();
  if (!domain.empty()) proto.clear_domain();
  proto.clear_input();
  proto.clear_output();
  node->extension = proto.SerializeAsString();
}

void GraphImporter::add_output(Graph& graph, const std::string& name) {
  Value* value = name.empty() ? nullptr : find(name);
  require(value != nullptr, ErrorCode::invalid_model, "graph output {} is not computed", quoted(name));
  if (value->graph() != &graph) note_forward_reference(*value);
  graph.add_output(value);
}

// ---- functions

using FunctionId = std::tuple<std::string, std::string, std::string>;  // domain, name, overload

std::string describe(const Function& f) {
  return "function " + quoted(f.domain.empty() ? f.name : f.domain + "." + f.name);
}

std::unique_ptr<Function> import_function(FunctionProto& proto, const ModelGraph& model,
                                          TensorSources& sources) {
  using P = FunctionProto;
  auto f = std::make_unique<Function>(&model);
  f->name = take_string(proto, &P::mutable_name, &P::has_name, &P::clear_name);
  f->domain = plain_domain(proto.domain());
  if (!f->domain.empty()) proto.clear_domain();
  const auto body = [&] {
    require(!f->name.empty(), ErrorCode::invalid_model, "has no name");
    f->overload = take_string(proto, &P::mutable_overload, &P::has_overload, &P::clear_overload);
    f->doc_string = take_string(proto, &P::mutable_doc_string, &P::has_doc_string, &P::clear_doc_string);
    f->metadata = take_metadata(*proto.mutable_metadata_props());
    f->opset_imports = take_opset_imports(*proto.mutable_opset_import());
    f->attribute_names.assign(proto.attribute().begin(), proto.attribute().end());
    proto.clear_attribute();
    f->graph.name = f->name;
    GraphImporter importer(model, f->opset_imports, sources, true);
    f->attribute_defaults = importer.import_attributes(*proto.mutable_attribute_proto());
    importer.import_body(proto, f->graph);
    importer.sort();
    f->graph.verify();
    for_each_subgraph(f->attribute_defaults, [&](Graph& graph) {
      graph.set_opsets(&f->opset_imports);
      graph.verify();
    });
    f->extension = proto.SerializeAsString();
  };
  with_context(body, [&] { return describe(*f); });
  return f;
}

void for_each_node(const Graph& graph, const std::function<void(const Node&)>& f) {
  for (const Node* node : graph.nodes()) {
    f(*node);
    for_each_subgraph(node->attributes(), [&](const Graph& sub) { for_each_node(sub, f); });
  }
}

// Functions have one definition each, and none calls itself, through others neither (ONNX IR, "Functions").
void check_functions(const ModelGraph& model) {
  std::map<FunctionId, size_t> index;
  for (size_t i = 0; i < model.functions.size(); ++i) {
    const Function& f = *model.functions[i];
    require(index.emplace(FunctionId(f.domain, f.name, f.overload), i).second, ErrorCode::invalid_model,
            "{} is defined twice", describe(f));
  }
  // Kahn's algorithm: functions that nobody (left) calls go first; what remains is in a cycle or called from
  // one.
  std::vector<std::vector<size_t>> callees(index.size());
  std::vector<size_t> callers(index.size(), 0);
  for (size_t i = 0; i < index.size(); ++i) {
    for_each_node(model.functions[i]->graph, [&](const Node& node) {
      const auto it = index.find(FunctionId(node.domain(), node.op_type(), node.overload));
      if (it == index.end()) return;
      callees[i].push_back(it->second);
      ++callers[it->second];
    });
  }
  std::vector<size_t> ready;
  for (size_t i = 0; i < callers.size(); ++i) {
    if (callers[i] == 0) ready.push_back(i);
  }
  size_t done = 0;
  while (!ready.empty()) {
    const size_t i = ready.back();
    ready.pop_back();
    ++done;
    for (size_t callee : callees[i]) {
      if (--callers[callee] == 0) ready.push_back(callee);
    }
  }
  if (done == index.size()) return;
  const auto stuck =
      static_cast<size_t>(std::ranges::find_if(callers, [](size_t n) { return n != 0; }) - callers.begin());
  fail(ErrorCode::invalid_model, "{} calls itself", describe(*model.functions[stuck]));
}

}  // namespace

std::unique_ptr<ModelGraph> import_model(ModelProto& proto, TensorSources& sources) {
  using P = ModelProto;
  auto model = std::make_unique<ModelGraph>();
  require(proto.ir_version() > 0, ErrorCode::invalid_model, "states no IR version");
  require(proto.ir_version() <= kNewestIrVersion, ErrorCode::unsupported,
          "has IR version {}; the newest that is supported is {}", proto.ir_version(), kNewestIrVersion);
  require(proto.has_graph(), ErrorCode::invalid_model, "has no graph");
  model->ir_version = proto.ir_version();
  model->opset_imports = take_opset_imports(*proto.mutable_opset_import());
  if (model->opset_imports.empty()) {
    require(model->ir_version < 3, ErrorCode::invalid_model, "imports no operator set");
    model->opset_imports = implied_opset_imports();
  }
  model->producer_name =
      take_string(proto, &P::mutable_producer_name, &P::has_producer_name, &P::clear_producer_name);
  model->producer_version =
      take_string(proto, &P::mutable_producer_version, &P::has_producer_version, &P::clear_producer_version);
  model->domain = take_string(proto, &P::mutable_domain, &P::has_domain, &P::clear_domain);
  model->doc_string = take_string(proto, &P::mutable_doc_string, &P::has_doc_string, &P::clear_doc_string);
  model->model_version = proto.model_version();
  if (proto.model_version() != 0) proto.clear_model_version();
  model->metadata = take_metadata(*proto.mutable_metadata_props());

  for (FunctionProto& f : *proto.mutable_functions()) {
    model->functions.push_back(import_function(f, *model, sources));
  }
  check_functions(*model);
  GraphImporter importer(*model, model->opset_imports, sources, false);
  importer.import_graph(*proto.mutable_graph(), model->graph);
  importer.sort();
  model->graph.verify();

  proto.clear_ir_version();
  proto.clear_functions();
  proto.clear_graph();
  model->extension = proto.SerializeAsString();
  model->source = std::make_shared<const SourceFiles>(SourceFiles{{}, sources.external.opened()});
  return model;
}

}  // namespace plica::onnx_format
