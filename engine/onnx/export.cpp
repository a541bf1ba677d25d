#include "engine/onnx/export.h"

#include <unordered_map>
#include <unordered_set>

#include "engine/onnx/attributes.h"
#include "engine/onnx/tensor_data.h"
#include "engine/onnx/value_info.h"

namespace plica::onnx_format {
namespace {

class Exporter {
 public:
  Exporter(TensorSink* sink, DeferredTensors* deferred) : sink_(sink), deferred_(deferred) {}

  void write_graph(const Graph& graph, GraphProto& proto) const;
  void write_body(const Graph& graph, FunctionProto& proto) const;
  void write_attributes(const Attributes& attributes, AttributeProtos& protos) const {
    put_attributes(attributes, protos,
                   {[this](const Graph& g, GraphProto& p) { write_graph(g, p); }, deferred_});
  }

 private:
  using ValueInfos = google::protobuf::RepeatedPtrField<ValueInfoProto>;

  void write_node(const Node& node, NodeProto& proto) const;
  void write_initializer(const Value& value, TensorProto& proto) const;
  void write_outputs(const Graph& graph, ValueInfos& outputs) const;

  TensorSink* sink_;
  DeferredTensors* deferred_;
};

// The value's own entries (value_info.h). Most values have none.
GraphProto own_entries(const Value& value) { return parse_extension<GraphProto>(value.extension); }

// The node stands for a sparse initializer of the file (import.cpp).
const SparseTensor* sparse_initializer(const Node& node, const GraphProto& entries) {
  if (entries.sparse_initializer().empty() || !node.is("Constant")) return nullptr;
  const Attribute* a = node.attributes().find("sparse_value");
  return a ? std::get_if<SparseTensor>(&a->value) : nullptr;
}

void add_value_infos(const Value& value, const GraphProto& entries, bool listed, bool is_sparse_initializer,
                     google::protobuf::RepeatedPtrField<ValueInfoProto>& infos) {
  for (const ValueInfoProto& entry : entries.value_info()) {
    ValueInfoProto* info = infos.Add();
    *info = entry;
    complete_value_info(value, *info);
  }
  if (entries.value_info().empty() && !is_sparse_initializer && wants_value_info(value, listed)) {
    complete_value_info(value, *infos.Add());
  }
}

void Exporter::write_graph(const Graph& graph, GraphProto& proto) const {
  proto = parse_extension<GraphProto>(graph.extension);
  if (!graph.name.empty()) proto.set_name(graph.name);
  if (!graph.doc_string.empty()) proto.set_doc_string(graph.doc_string);
  put_metadata(graph.metadata, *proto.mutable_metadata_props());

  for (const Value* input : graph.inputs()) {
    ValueInfoProto* info = proto.add_input();
    const GraphProto entries = own_entries(*input);
    if (!entries.input().empty()) *info = entries.input(0);
    complete_value_info(*input, *info);
  }
  write_outputs(graph, *proto.mutable_output());
  const std::unordered_set<const Value*> outputs(graph.outputs().begin(), graph.outputs().end());
  std::unordered_set<const Node*> sparse_nodes;
  for (const Value* value : graph.values()) {
    const GraphProto entries = own_entries(*value);
    const SparseTensor* sparse =
        value->producer() ? sparse_initializer(*value->producer(), entries) : nullptr;
    if (sparse) {
      SparseTensorProto* out = proto.add_sparse_initializer();
      *out = entries.sparse_initializer(0);
      put_sparse_tensor(*sparse, *out);
      out->mutable_values()->set_name(value->name());
      sparse_nodes.insert(value->producer());
    }
    if (value->initializer()) {
      TensorProto* out = proto.add_initializer();
      if (!entries.initializer().empty()) *out = entries.initializer(0);
      write_initializer(*value, *out);
    }
    add_value_infos(*value, entries, value->is_graph_input() || outputs.contains(value), sparse != nullptr,
                    *proto.mutable_value_info());
  }
  for (const Node* node : graph.nodes()) {
    if (!sparse_nodes.contains(node)) write_node(*node, *proto.add_node());
  }
}

// The list holds the entries of captured values that import left there.
void Exporter::write_outputs(const Graph& graph, ValueInfos& outputs) const {
  ValueInfos captured;
  captured.Swap(&outputs);
  std::unordered_map<std::string, const ValueInfoProto*> by_name;
  for (const ValueInfoProto& info : captured) by_name.emplace(info.name(), &info);
  for (const Value* output : graph.outputs()) {
    ValueInfoProto* info = outputs.Add();
    if (output->graph() == &graph) {
      const GraphProto entries = own_entries(*output);
      if (!entries.output().empty()) *info = entries.output(0);
    } else if (const auto it = by_name.find(output->name()); it != by_name.end()) {
      *info = *it->second;
      continue;
    }
    complete_value_info(*output, *info);
  }
}

// A function has no initializers: those that passes made become Constant nodes.
void Exporter::write_body(const Graph& graph, FunctionProto& proto) const {
  for (const Value* input : graph.inputs()) proto.add_input(input->name());
  for (const Value* output : graph.outputs()) proto.add_output(output->name());
  for (const Value* value : graph.values()) {
    if (const Tensor* tensor = value->initializer()) {
      NodeProto* node = proto.add_node();
      node->set_op_type("Constant");
      node->add_output(value->name());
      Attributes attributes;
      attributes.set("value", *tensor);
      write_attributes(attributes, *node->mutable_attribute());
    }
    add_value_infos(*value, own_entries(*value), false, false, *proto.mutable_value_info());
  }
  for (const Node* node : graph.nodes()) write_node(*node, *proto.add_node());
}

void Exporter::write_node(const Node& node, NodeProto& proto) const {
  proto = parse_extension<NodeProto>(node.extension);
  for (int i = 0; i < node.num_inputs(); ++i) proto.add_input(node.has_input(i) ? node.input(i)->name() : "");
  for (int i = 0; i < node.num_outputs(); ++i)
    proto.add_output(node.has_output(i) ? node.output(i)->name() : "");
  if (!node.name.empty()) proto.set_name(node.name);
  proto.set_op_type(node.op_type());
  if (!node.domain().empty()) proto.set_domain(node.domain());
  if (!node.overload.empty()) proto.set_overload(node.overload);
  if (!node.doc_string.empty()) proto.set_doc_string(node.doc_string);
  put_metadata(node.metadata, *proto.mutable_metadata_props());
  write_attributes(node.attributes(), *proto.mutable_attribute());
}

void Exporter::write_initializer(const Value& value, TensorProto& proto) const {
  proto.set_name(value.name());
  if (!sink_ || !sink_->put(*value.initializer(), proto)) {
    put_tensor(*value.initializer(), proto, deferred_);
  }
}

void write_function(const Function& f, const Exporter& exporter, FunctionProto& proto) {
  proto = parse_extension<FunctionProto>(f.extension);
  proto.set_name(f.name);
  if (!f.domain.empty()) proto.set_domain(f.domain);
  if (!f.overload.empty()) proto.set_overload(f.overload);
  if (!f.doc_string.empty()) proto.set_doc_string(f.doc_string);
  for (const std::string& name : f.attribute_names) proto.add_attribute(name);
  exporter.write_attributes(f.attribute_defaults, *proto.mutable_attribute_proto());
  put_opset_imports(f.opset_imports, *proto.mutable_opset_import());
  put_metadata(f.metadata, *proto.mutable_metadata_props());
  exporter.write_body(f.graph, proto);
}

void add_bytes(const Graph& graph, TensorBytes& sum) {
  for (const Value* value : graph.initializers()) sum.initializers += value->initializer()->bytes();
  for (const Node* node : graph.nodes()) {
    for (const Attribute& a : node->attributes()) {
      if (const auto* tensor = std::get_if<Tensor>(&a.value)) sum.attributes += tensor->bytes();
    }
    for_each_subgraph(node->attributes(), [&](const Graph& sub) { add_bytes(sub, sum); });
  }
}

}  // namespace

size_t padding_before(size_t bytes, size_t offset) {
  constexpr size_t kPage = 4096, kLine = 64, kLarge = size_t{64} << 10;
  const size_t alignment = bytes >= kLarge ? kPage : kLine;
  return (alignment - offset % alignment) % alignment;
}

void describe_external(const Tensor& tensor, const std::string& location, size_t offset, TensorProto& proto) {
  proto.clear_int32_data();  // the sign of typed data (tensor_data.h)
  proto.set_data_type(static_cast<int32_t>(tensor.type()));
  proto.mutable_dims()->Assign(tensor.dims().begin(), tensor.dims().end());
  proto.set_data_location(TensorProto::EXTERNAL);
  const auto add = [&](const char* key, std::string value) {
    auto* entry = proto.add_external_data();
    entry->set_key(key);
    entry->set_value(std::move(value));
  };
  add("location", location);
  add("offset", std::to_string(offset));
  add("length", std::to_string(tensor.bytes()));
}

ModelProto export_model(const ModelGraph& model, TensorSink* sink, DeferredTensors* deferred) {
  ModelProto proto = parse_extension<ModelProto>(model.extension);
  proto.set_ir_version(model.ir_version);
  const bool implied = model.ir_version < 3 && model.opset_imports == implied_opset_imports();
  if (!implied) put_opset_imports(model.opset_imports, *proto.mutable_opset_import());
  if (!model.producer_name.empty()) proto.set_producer_name(model.producer_name);
  if (!model.producer_version.empty()) proto.set_producer_version(model.producer_version);
  if (!model.domain.empty()) proto.set_domain(model.domain);
  if (!model.doc_string.empty()) proto.set_doc_string(model.doc_string);
  if (model.model_version != 0) proto.set_model_version(model.model_version);
  put_metadata(model.metadata, *proto.mutable_metadata_props());

  const Exporter exporter(sink, deferred);
  for (const auto& f : model.functions) write_function(*f, exporter, *proto.add_functions());
  exporter.write_graph(model.graph, *proto.mutable_graph());
  return proto;
}

TensorBytes tensor_bytes(const ModelGraph& model) {
  TensorBytes sum;
  add_bytes(model.graph, sum);
  for (const auto& f : model.functions) add_bytes(f->graph, sum);
  return sum;
}

}  // namespace plica::onnx_format
