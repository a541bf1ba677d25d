// Nothing of a model is lost between import and export, what the graph does not model included; and what
// changed in between is exported as changed.
#include <gtest/gtest.h>

#include "tests/engine/onnx/messages_for_tests.h"

namespace plica {
namespace {

// Field 1000, as a later version of ONNX might add.
template <class Message>
void add_unknown_field(Message& message, std::string_view text) {
  std::string bytes = message.SerializeAsString();
  bytes += "\xc2\x3e";  // 1000 << 3 | 2
  bytes += static_cast<char>(text.size());
  bytes += text;
  ASSERT_TRUE(message.ParseFromString(bytes));
}

void add_metadata(google::protobuf::RepeatedPtrField<StringStringEntryProto>& entries,
                  const std::string& key) {
  auto* entry = entries.Add();
  entry->set_key(key);
  entry->set_value("value of " + key);
}

void expect_kept(const ModelProto& model) {
  const auto loaded = parse(model);
  const ModelProto back = message_of(*loaded);
  EXPECT_EQ(back.SerializeAsString(), model.SerializeAsString());
  EXPECT_EQ(message_of(*loaded->clone()).SerializeAsString(), model.SerializeAsString());
}

TEST(Fidelity, TheModel) {
  ModelProto model = small_model();
  model.set_producer_name("producer");
  model.set_producer_version("");  // there, but empty
  model.set_domain("domain");
  model.set_model_version(7);
  model.set_doc_string("doc\xff");
  add_metadata(*model.mutable_metadata_props(), "k");
  model.mutable_metadata_props()->Add()->set_key("without a value");
  auto* ml = model.add_opset_import();
  ml->set_domain("ai.onnx.ml");
  ml->set_version(3);
  add_unknown_field(*ml, "later");
  *model.add_training_info()->mutable_initialization() = model.graph();
  model.add_configuration()->set_name("devices");
  add_unknown_field(model, "later");
  expect_kept(model);
  EXPECT_EQ(*parse(model)->find_metadata("k"), "value of k");
}

TEST(Fidelity, TheMainDomainByItsLongName) {
  ModelProto model = small_model();
  model.mutable_opset_import(0)->set_domain("ai.onnx");
  model.mutable_graph()->mutable_node(0)->set_domain("ai.onnx");
  expect_kept(model);
  const auto loaded = parse(model);
  EXPECT_EQ(loaded->graph.nodes()[0]->domain(), "");
  EXPECT_EQ(loaded->graph.nodes()[0]->opset(), 13);
}

TEST(Fidelity, GraphsAndValues) {
  ModelProto model = small_model();
  GraphProto& graph = *model.mutable_graph();
  graph.set_doc_string("doc");
  add_metadata(*graph.mutable_metadata_props(), "k");
  auto* annotation = graph.add_quantization_annotation();
  annotation->set_tensor_name("x");
  add_metadata(*annotation->mutable_quant_parameter_tensor_names(), "SCALE_TENSOR");
  graph.mutable_input(0)->set_doc_string("of an input");
  add_metadata(*graph.mutable_input(0)->mutable_metadata_props(), "m");
  graph.mutable_input(0)->mutable_type()->set_denotation("IMAGE");
  graph.mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_denotation("N");
  graph.mutable_output(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_param("n");
  add_unknown_field(*graph.mutable_output(0), "later");
  // Infos of an inner value, of an output, of an initializer, and of nothing.
  add_node(graph, "Relu", {"x"}, {"z"});
  add_initializer(graph, "w", TensorProto::FLOAT, {1}, "abcd").set_doc_string("of an initializer");
  add_metadata(*graph.mutable_initializer(0)->mutable_metadata_props(), "i");
  add_unknown_field(*graph.mutable_initializer(0), "later");
  for (const char* name : {"w", "y", "z"}) {
    ValueInfoProto& info = *graph.add_value_info();
    info = graph.output(0);
    info.set_name(name);
  }
  graph.mutable_value_info(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_value(1);
  std::swap(*graph.mutable_value_info(1), *graph.mutable_value_info(2));
  std::swap(*graph.mutable_value_info(0), *graph.mutable_value_info(2));
  std::swap(*graph.mutable_value_info(0), *graph.mutable_value_info(1));
  ValueInfoProto nobody;
  nobody.set_name("nobody");
  graph.mutable_value_info()->Add()->Swap(&nobody);
  for (int i = graph.value_info_size() - 1; i > 0; --i) graph.mutable_value_info()->SwapElements(i, i - 1);
  add_unknown_field(graph, "later");
  const ModelProto back = message_of(*parse(model));
  // value_info is a set by name: compare it sorted.
  ModelProto a = model, b = back;
  for (ModelProto* m : {&a, &b}) {
    auto& infos = *m->mutable_graph()->mutable_value_info();
    std::sort(infos.pointer_begin(), infos.pointer_end(),
              [](auto* l, auto* r) { return l->name() < r->name(); });
  }
  EXPECT_EQ(a.SerializeAsString(), b.SerializeAsString());
  EXPECT_EQ(parse(model)->graph.find("x")->doc_string, "of an input");
}

TEST(Fidelity, NodesAndAttributes) {
  ModelProto model = small_model();
  auto* custom = model.add_opset_import();
  custom->set_domain("com.example");
  custom->set_version(1);
  NodeProto& node = add_node(*model.mutable_graph(), "Unheard", {"x"}, {"z"});
  node.set_domain("com.example");
  node.set_name("");
  node.set_overload("variant");
  node.set_doc_string("doc");
  add_metadata(*node.mutable_metadata_props(), "k");
  node.add_device_configurations()->set_configuration_id("device");
  add_unknown_field(node, "later");
  const auto attribute = [&](const std::string& name, AttributeProto::AttributeType type) -> AttributeProto& {
    AttributeProto& a = *node.add_attribute();
    a.set_name(name);
    a.set_type(type);
    return a;
  };
  attribute("f", AttributeProto::FLOAT).set_f(-0.f);
  attribute("i", AttributeProto::INT).set_i(INT64_MIN);
  attribute("s", AttributeProto::STRING).set_s(std::string("a\0\xff", 3));
  AttributeProto& t = attribute("t", AttributeProto::TENSOR);
  t.mutable_t()->set_data_type(TensorProto::INT32);
  t.mutable_t()->set_name("named");
  t.mutable_t()->set_doc_string("tensor doc");
  t.mutable_t()->add_int32_data(3);  // typed, and stays so
  t.set_doc_string("attribute doc");
  add_unknown_field(t, "later");
  attribute("g", AttributeProto::GRAPH).mutable_g()->set_name("sub");
  AttributeProto& tp = attribute("tp", AttributeProto::TYPE_PROTO);
  tp.mutable_tp()->mutable_map_type()->set_key_type(TensorProto::STRING);
  tp.mutable_tp()->mutable_map_type()->mutable_value_type()->mutable_opaque_type()->set_name("opaque");
  AttributeProto& floats = attribute("floats", AttributeProto::FLOATS);
  floats.add_floats(1.5f);
  attribute("ints", AttributeProto::INTS);  // an empty list
  attribute("strings", AttributeProto::STRINGS).add_strings("");
  AttributeProto& tensors = attribute("tensors", AttributeProto::TENSORS);
  *tensors.add_tensors() = t.t();
  TensorProto& raw = *tensors.add_tensors();
  raw.set_data_type(TensorProto::INT8);
  raw.set_raw_data("x");
  AttributeProto& graphs = attribute("graphs", AttributeProto::GRAPHS);
  graphs.add_graphs()->set_name("one");
  graphs.add_graphs()->add_output()->set_name("x");
  AttributeProto& sparse = attribute("sparse", AttributeProto::SPARSE_TENSOR);
  sparse.mutable_sparse_tensor()->add_dims(9);
  sparse.mutable_sparse_tensor()->mutable_values()->set_data_type(TensorProto::FLOAT);
  sparse.mutable_sparse_tensor()->mutable_values()->set_name("values");
  sparse.mutable_sparse_tensor()->mutable_values()->add_dims(1);
  sparse.mutable_sparse_tensor()->mutable_values()->add_float_data(2);
  sparse.mutable_sparse_tensor()->mutable_indices()->set_data_type(TensorProto::INT64);
  sparse.mutable_sparse_tensor()->mutable_indices()->add_dims(1);
  sparse.mutable_sparse_tensor()->mutable_indices()->set_raw_data(std::string("\3\0\0\0\0\0\0\0", 8));
  AttributeProto& sparses = attribute("sparses", AttributeProto::SPARSE_TENSORS);
  *sparses.add_sparse_tensors() = sparse.sparse_tensor();
  AttributeProto& types = attribute("types", AttributeProto::TYPE_PROTOS);
  *types.add_type_protos() = tp.tp();
  types.add_type_protos()->mutable_sequence_type()->mutable_elem_type()->mutable_optional_type();
  attribute("stated to be undefined", AttributeProto::UNDEFINED);
  AttributeProto& later = *node.add_attribute();  // an enum value that is not known is an unknown field
  ASSERT_TRUE(later.ParseFromString("\x0a\x05later\xa0\x01\x63"));
  expect_kept(model);
  const auto loaded = parse(model);
  EXPECT_EQ(loaded->graph.find("z")->producer()->attributes().size(), 16u);
}

TEST(Fidelity, OutputsThatAreCaptured) {
  ModelProto model = small_model();
  NodeProto& branch = add_node(*model.mutable_graph(), "If", {"x"}, {"z"});
  AttributeProto& then = *branch.add_attribute();
  then.set_name("then_branch");
  then.set_type(AttributeProto::GRAPH);
  *then.mutable_g()->add_output() = model.graph().input(0);
  then.mutable_g()->mutable_output(0)->set_doc_string("its own");
  then.mutable_g()->add_output()->set_name("y");
  expect_kept(model);
}

TEST(Fidelity, SparseInitializers) {
  ModelProto model = small_model();
  SparseTensorProto& sparse = *model.mutable_graph()->add_sparse_initializer();
  sparse.add_dims(4);
  sparse.mutable_values()->set_name("s");
  sparse.mutable_values()->set_doc_string("doc");
  sparse.mutable_values()->set_data_type(TensorProto::FLOAT);
  sparse.mutable_values()->add_dims(1);
  sparse.mutable_values()->add_float_data(1);
  sparse.mutable_indices()->set_data_type(TensorProto::INT64);
  sparse.mutable_indices()->add_dims(1);
  sparse.mutable_indices()->set_name("indices");
  sparse.mutable_indices()->add_int64_data(2);
  add_node(*model.mutable_graph(), "Relu", {"s"}, {"z"});
  expect_kept(model);
  // In the graph it is a Constant, with the type of the dense tensor that it means.
  const auto loaded = parse(model);
  const Value* s = loaded->graph.find("s");
  EXPECT_TRUE(s->producer()->is("Constant"));
  EXPECT_EQ(s->type(), Type::tensor(DataType::float32, Shape{4}));
  EXPECT_EQ(s->uses().size(), 1u);
  // Replaced by a dense one, it is exported as that.
  Graph& g = loaded->graph;
  g.detach_outputs(s->producer());
  g.set_initializer(g.find("s"), Tensor::zeros(DataType::float32, {4}));
  const ModelProto dense = message_of(*loaded);
  EXPECT_EQ(dense.graph().sparse_initializer_size(), 0);
  EXPECT_EQ(dense.graph().initializer(0).name(), "s");

  ModelProto input = model;
  input.mutable_graph()->mutable_input(0)->set_name("s");
  input.mutable_graph()->mutable_node(0)->set_input(0, "s");
  expect_error(error_of([&] { parse(input); }), ErrorCode::unsupported, "default of an input");
}

TEST(Fidelity, Functions) {
  ModelProto model = small_model();
  FunctionProto& f = *model.add_functions();
  f.set_name("f");
  f.set_domain("d");
  f.set_doc_string("doc");
  f.add_input("a");
  f.add_output("b");
  f.add_attribute("required");
  AttributeProto& with_default = *f.add_attribute_proto();
  with_default.set_name("alpha");
  with_default.set_type(AttributeProto::FLOAT);
  with_default.set_f(0.5f);
  with_default.set_doc_string("doc");
  *f.mutable_opset_import() = model.opset_import();
  NodeProto& node = *f.add_node();
  node.set_op_type("LeakyRelu");
  node.add_input("a");
  node.add_output("b");
  AttributeProto& reference = *node.add_attribute();
  reference.set_name("alpha");
  reference.set_type(AttributeProto::FLOAT);
  reference.set_ref_attr_name("alpha");
  ValueInfoProto& info = *f.add_value_info();
  info = model.graph().input(0);
  info.set_name("a");
  add_metadata(*f.mutable_metadata_props(), "k");
  add_unknown_field(f, "later");
  expect_kept(model);
  const auto loaded = parse(model);
  const Attribute* a = loaded->functions[0]->graph.nodes()[0]->attributes().find("alpha");
  EXPECT_EQ(a->ref_name, "alpha");
  EXPECT_EQ(a->declared_type, AttributeType::float_);
  // A function has no initializers: a constant that a pass made becomes a node.
  Graph& body = loaded->functions[0]->graph;
  body.add_initializer("made", Tensor::scalar(1.f));
  const ModelProto back = message_of(*loaded);
  EXPECT_EQ(back.functions(0).node(0).op_type(), "Constant");
  EXPECT_EQ(back.functions(0).node(0).output(0), "made");
}

TEST(Fidelity, ChangesAreExported) {
  ModelProto model = small_model();
  model.mutable_graph()->mutable_input(0)->mutable_type()->set_denotation("IMAGE");
  add_initializer(*model.mutable_graph(), "w", TensorProto::FLOAT, {1}, "abcd");
  const auto loaded = parse(model);
  Graph& g = loaded->graph;
  g.rename(g.find("x"), "renamed");
  g.set_type(g.find("renamed"), Type::tensor(DataType::float16));
  g.set_initializer(g.find("w"), Tensor::of({1.f, 2.f}, {2}));
  g.add_node("Neg", "", {g.find("renamed")}, {g.add_value("n", Type::tensor(DataType::float16))});
  loaded->metadata = {{"new", "entry"}};
  loaded->opset_imports[0].second = 17;
  const ModelProto back = message_of(*loaded);
  EXPECT_EQ(back.graph().input(0).name(), "renamed");
  EXPECT_EQ(back.graph().input(0).type().tensor_type().elem_type(), TensorProto::FLOAT16);
  EXPECT_FALSE(back.graph().input(0).type().tensor_type().has_shape());
  EXPECT_EQ(back.graph().node(0).input(0), "renamed");
  EXPECT_EQ(back.graph().node(1).op_type(), "Neg");
  EXPECT_EQ(back.graph().value_info(0).name(), "n");
  EXPECT_EQ(back.graph().initializer(0).raw_data().size(), 8u);
  EXPECT_EQ(back.metadata_props(0).key(), "new");
  EXPECT_EQ(back.opset_import(0).version(), 17);
  EXPECT_EQ(serialize_model(*loaded), serialize_model(*loaded));
}

}  // namespace
}  // namespace plica
