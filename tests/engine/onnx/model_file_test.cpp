// Large tensors stay in the file that they come from and are written from where they are; what is loaded and
// what is written is the same as without that.
#include "engine/onnx/model_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "engine/graph/model_graph.h"
#include "engine/onnx/wire.h"
#include "tests/engine/onnx/messages_for_tests.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

std::string raw_of(size_t bytes, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::string out(bytes, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

TensorProto tensor_of(size_t floats, int seed) {
  TensorProto tensor;
  tensor.set_data_type(TensorProto::FLOAT);
  tensor.add_dims(static_cast<int64_t>(floats));
  tensor.set_raw_data(raw_of(4 * floats, seed));
  return tensor;
}

void add_constant(NodeProto& node, size_t floats, int seed) {
  auto* attribute = node.add_attribute();
  attribute->set_name("value");
  attribute->set_type(AttributeProto::TENSOR);
  *attribute->mutable_t() = tensor_of(floats, seed);
}

// Large tensors everywhere that one can be, small ones beside them.
ModelProto model_with_tensors() {
  ModelProto model = small_model();
  auto* domain = model.add_opset_import();
  domain->set_domain("test");
  domain->set_version(1);
  GraphProto& graph = *model.mutable_graph();
  add_initializer(graph, "large", TensorProto::FLOAT, {33, 32}, raw_of(4 * 33 * 32, 1));
  add_initializer(graph, "small", TensorProto::FLOAT, {8}, raw_of(32, 2)).set_doc_string("after raw_data");
  add_initializer(graph, "bytes", TensorProto::UINT8, {5001}, raw_of(5001, 3))
      .set_doc_string("after raw_data");
  add_initializer(graph, "condition", TensorProto::BOOL, {}, std::string(1, '\1'));
  add_constant(add_node(graph, "Constant", {}, {"c"}), 1025, 4);
  NodeProto& choice = add_node(graph, "If", {"condition"}, {"z"});
  for (const char* name : {"then_branch", "else_branch"}) {
    auto* branch = choice.add_attribute();
    branch->set_name(name);
    branch->set_type(AttributeProto::GRAPH);
    GraphProto& body = *branch->mutable_g();
    body.set_name(name);
    add_initializer(body, std::string("in_") + name, TensorProto::FLOAT, {1100}, raw_of(4400, 5));
    body.add_output()->set_name(std::string("in_") + name);
  }
  NodeProto& custom = add_node(graph, "F", {"large"}, {"w"});
  custom.set_domain("test");
  auto* list = custom.add_attribute();
  list->set_name("list");
  list->set_type(AttributeProto::TENSORS);
  for (int i = 0; i < 3; ++i) *list->add_tensors() = tensor_of(i == 1 ? 2 : 1024, 6 + i);
  FunctionProto& function = *model.add_functions();
  function.set_name("F");
  function.set_domain("test");
  function.add_attribute("list");
  *function.add_opset_import() = model.opset_import(0);
  function.add_input("a");
  function.add_output("b");
  NodeProto& constant = *function.add_node();
  constant.set_op_type("Constant");
  constant.add_output("b");
  add_constant(constant, 1030, 9);
  return model;
}

class ModelFileTest : public testing::Test {
 protected:
  fs::path write(std::string_view bytes) const {
    const fs::path path = directory_.path() / "model.onnx";
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  static std::string read(const fs::path& path) {
    std::stringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }
  // What became of it: the bytes that it is written as, or the error.
  template <class F>
  static std::string outcome(F&& load) {
    try {
      const auto model = load();
      return serialize_message(export_model(*model, nullptr, nullptr));
    } catch (const Error& error) {
      return std::to_string(static_cast<int>(error.code())) + ": " + error.message();
    }
  }
  static std::string without(std::string text, const std::string& part) {
    if (const size_t at = text.find(part); at != std::string::npos) text.erase(at, part.size());
    return text;
  }
  // Loading from the file and parsing from memory come to the same. Whether the file was understood.
  bool expect_same(const std::string& bytes) {
    const fs::path path = write(bytes);
    const std::string plain = outcome([&] { return parse_model(bytes_of_text(bytes)); });
    const std::string prefix = path.string() + ": ";
    EXPECT_TRUE(without(outcome([&] { return load_model(path); }), prefix) == plain) << plain.substr(0, 300);
    bool understood = true;
    const std::string split = outcome([&] {
      auto model = read_model(ReadableFile::open(path), directory_.path());
      understood = model != nullptr;
      return understood ? std::move(model) : parse_model(bytes_of_text(bytes));
    });
    EXPECT_TRUE(split == plain) << plain.substr(0, 300);
    const auto kept = std::make_shared<const std::string>(bytes);
    EXPECT_TRUE(outcome([&] { return parse_model(bytes_of_text(*kept), {}, kept); }) == plain);
    return understood;
  }

  TemporaryDirectory directory_;
};

const Tensor& attribute_tensor(const Graph& graph, std::string_view output) {
  return std::get<Tensor>(graph.find(output)->producer()->attributes().find("value")->value);
}

TEST_F(ModelFileTest, LargeTensorsStayInTheMemoryOfAnOwner) {
  const std::string text = model_with_tensors().SerializeAsString();
  for (size_t shift = 0; shift < 8; ++shift) {  // aligned for float32 or not
    auto bytes = std::make_shared<const std::string>(std::string(shift, 'x') + text);
    const std::weak_ptr<const std::string> alive = bytes;
    const std::string_view part = std::string_view(*bytes).substr(shift);
    auto model = parse_model(bytes_of_text(part), {}, bytes);
    const Tensor& large = *model->graph.find("large")->initializer();
    const char* where = static_cast<const char*>(large.buffer_id());
    EXPECT_TRUE(large.unread() || (where > part.data() && where < part.data() + part.size()));
    bytes.reset();
    EXPECT_FALSE(alive.expired());
    EXPECT_TRUE(serialize_model(*model) == serialize_model(*parse_model(bytes_of_text(text))));
    model.reset();
    EXPECT_TRUE(alive.expired());
  }
}

TEST_F(ModelFileTest, LargeTensorsStayInTheFileUntilTheyAreAskedFor) {
  const ModelProto proto = model_with_tensors();
  const auto model = load_model(write(proto.SerializeAsString()));
  const Graph& graph = model->graph;
  EXPECT_EQ(graph.find("small")->initializer()->unread(), nullptr);
  std::vector<const Tensor*> tensors = {graph.find("large")->initializer(),
                                        graph.find("bytes")->initializer(), &attribute_tensor(graph, "c"),
                                        &attribute_tensor(model->functions[0]->graph, "b")};
  for_each_subgraph(graph.find("z")->producer()->attributes(),
                    [&](const Graph& body) { tensors.push_back(body.initializers()[0]->initializer()); });
  const auto& list =
      std::get<std::vector<Tensor>>(graph.find("w")->producer()->attributes().find("list")->value);
  tensors.push_back(&list[0]);
  tensors.push_back(&list[2]);
  EXPECT_EQ(list[1].unread(), nullptr);
  ASSERT_EQ(tensors.size(), 8u);
  for (const Tensor* tensor : tensors) ASSERT_NE(tensor->unread(), nullptr) << to_string(*tensor);

  const Tensor& large = *tensors[0];
  EXPECT_EQ(std::string(static_cast<const char*>(large.raw()), large.bytes()),
            proto.graph().initializer(0).raw_data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large.raw()) % 64, 0u);
  EXPECT_EQ(large.unread(), nullptr);
  EXPECT_NE(tensors[1]->unread(), nullptr);
  EXPECT_EQ(list[2].values<float>().size(), 1024u);
  EXPECT_EQ(std::string(static_cast<const char*>(list[2].raw()), list[2].bytes()), raw_of(4096, 8));
}

TEST_F(ModelFileTest, IsWrittenWithoutReadingIt) {
  const std::string bytes = model_with_tensors().SerializeAsString();
  const fs::path path = write(bytes);
  const auto model = load_model(path);
  const std::string plain =
      serialize_message(export_model(*parse_model(bytes_of_text(bytes)), nullptr, nullptr));
  EXPECT_EQ(serialized_size(*model), plain.size());
  EXPECT_TRUE(serialize_model(*model) == plain);
  const fs::path copy = directory_.path() / "copy.onnx";
  save_model(*model, copy);
  EXPECT_TRUE(read(copy) == plain);
  save_model(*model, path);  // over the file that the tensors are in
  EXPECT_TRUE(read(path) == plain);
  save_model(*model, path, {.external_data_threshold = 1});
  EXPECT_NE(model->graph.find("large")->initializer()->unread(), nullptr);
  const auto external = load_model(path);
  for (const Value* value : model->graph.initializers())
    EXPECT_TRUE(external->graph.find(value->name())->initializer()->identical_to(*value->initializer()));
}

TEST_F(ModelFileTest, LengthsOfEverySize) {
  for (size_t size :
       {4095, 4096, 8190, 16370, 16380, 16383, 16384, 16390, 2097000, 2097151, 2097152, 2097200}) {
    ModelProto model = small_model();
    add_initializer(*model.mutable_graph(), "t", TensorProto::INT8, {static_cast<int64_t>(size)},
                    raw_of(size, 1))
        .set_doc_string("doc");
    const std::string bytes = model.SerializeAsString();
    const auto loaded = load_model(write(bytes));
    EXPECT_EQ(loaded->graph.find("t")->initializer()->unread() != nullptr, size >= 4096);
    EXPECT_TRUE(serialize_model(*loaded) == bytes) << size;
    EXPECT_EQ(serialized_size(*loaded), bytes.size());
  }
}

TEST_F(ModelFileTest, AFileThatIsReplacedOrDeletedStaysReadable) {
  const std::string bytes = model_with_tensors().SerializeAsString();
  const fs::path path = write(bytes);
  const auto model = load_model(path);
  write_file(path, "something else");
  EXPECT_EQ(attribute_tensor(model->graph, "c").values<float>().size(), 1025u);
  fs::remove(path);
  const Tensor& large = *model->graph.find("large")->initializer();
  EXPECT_EQ(std::string(static_cast<const char*>(large.raw()), large.bytes()), raw_of(4 * 33 * 32, 1));
}

TEST_F(ModelFileTest, AFileThatIsWrittenToIsAnError) {
  const std::string bytes = model_with_tensors().SerializeAsString();
  const fs::path path = write(bytes);
  const auto model = load_model(path);
  fs::resize_file(path, 100);
  const Tensor& large = *model->graph.find("large")->initializer();
  for (int attempt = 0; attempt < 2; ++attempt) {
    expect_error(error_of([&] { large.raw(); }), ErrorCode::io,
                 path.string() + ": was written to while it was being read");
  }
  const fs::path copy = directory_.path() / "copy.onnx";
  expect_error(error_of([&] { save_model(*model, copy); }), ErrorCode::io, "was written to");
  EXPECT_FALSE(fs::exists(copy));
}

// ---- the same as parsing from memory

std::string field(int number, std::string_view body) {  // length-delimited
  std::string out;
  for (size_t value : {static_cast<size_t>(number << 3 | 2), body.size()}) {
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
    out += static_cast<char>(value);
  }
  return out += body;
}

TEST_F(ModelFileTest, WhatIsLegalButOddIsTheSame) {
  const std::string bytes = model_with_tensors().SerializeAsString();
  EXPECT_TRUE(expect_same(bytes));
  {
    SCOPED_TRACE("the graph in two parts, which protobuf merges");
    ModelProto more;
    add_initializer(*more.mutable_graph(), "second", TensorProto::UINT8, {4097}, raw_of(4097, 7));
    EXPECT_FALSE(expect_same(bytes + more.SerializeAsString()));
  }
  ModelProto base = small_model();
  const auto with_initializer = [&](std::string_view tensor) {
    return base.SerializeAsString() + field(ModelProto::kGraphFieldNumber, field(5, tensor));
  };
  const auto alone = [&](std::string_view tensor) {  // in one graph
    ModelProto model = base;
    const std::string graph = model.graph().SerializeAsString() + field(5, tensor);
    model.clear_graph();
    return model.SerializeAsString() + field(7, graph);
  };
  TensorProto good = tensor_of(1024, 1);
  good.set_name("t");
  EXPECT_TRUE(expect_same(alone(good.SerializeAsString())));
  EXPECT_FALSE(expect_same(with_initializer(good.SerializeAsString())));
  {
    SCOPED_TRACE("raw_data twice: the last one counts");
    EXPECT_FALSE(expect_same(alone(good.SerializeAsString() + field(9, raw_of(4096, 2)))));
    EXPECT_FALSE(expect_same(alone(good.SerializeAsString() + field(9, ""))));
  }
  {
    SCOPED_TRACE("raw_data as a number is an unknown field");
    EXPECT_TRUE(expect_same(alone(good.SerializeAsString() + "\x48\x05")));
  }
  {
    SCOPED_TRACE("an unknown group");
    EXPECT_FALSE(expect_same(alone(good.SerializeAsString() + "\xc3\x3e\xc4\x3e")));
  }
  {
    SCOPED_TRACE("lengths in more bytes than they need");
    std::string long_length = good.SerializeAsString();
    const size_t at = long_length.find("\x4a\x80\x20");
    ASSERT_NE(at, std::string::npos);
    long_length.replace(at, 3, std::string("\x4a\x80\xa0\x80\x80\x00", 6));
    EXPECT_TRUE(expect_same(alone(long_length)));
    long_length.replace(at, 6, std::string("\x4a\x80\xa0\x80\x80\x80\x00", 7));
    EXPECT_FALSE(expect_same(alone(long_length)));
  }
  {
    SCOPED_TRACE("elements twice, or too many, or of another length");
    TensorProto bad = good;
    bad.add_float_data(1);
    expect_same(alone(bad.SerializeAsString()));
    bad = good;
    bad.set_dims(0, 1023);
    expect_same(alone(bad.SerializeAsString()));
    bad = good;
    bad.set_data_type(TensorProto::STRING);
    expect_same(alone(bad.SerializeAsString()));
    bad = good;
    bad.set_data_location(TensorProto::EXTERNAL);
    expect_same(alone(bad.SerializeAsString()));
    bad = good;
    bad.mutable_segment()->set_begin(0);
    expect_same(alone(bad.SerializeAsString()));
  }
}

TEST_F(ModelFileTest, TensorsThatNobodyTakesAreKept) {
  ModelProto model = small_model();
  NodeProto& node = *model.mutable_graph()->mutable_node(0);
  auto* attribute = node.add_attribute();
  attribute->set_name("number");
  attribute->set_type(AttributeProto::INT);
  attribute->set_i(3);
  *attribute->mutable_t() = tensor_of(1500, 1);
  *model.add_training_info()->mutable_initialization() = model_with_tensors().graph();
  auto* sparse = node.add_attribute();
  sparse->set_name("sparse");
  sparse->set_type(AttributeProto::SPARSE_TENSOR);
  *sparse->mutable_sparse_tensor()->mutable_values() = tensor_of(2000, 2);
  auto* indices = sparse->mutable_sparse_tensor()->mutable_indices();
  indices->set_data_type(TensorProto::INT64);
  indices->add_dims(2000);
  indices->set_raw_data(std::string(16000, '\0'));
  sparse->mutable_sparse_tensor()->add_dims(2000);
  const std::string bytes = model.SerializeAsString();
  EXPECT_FALSE(expect_same(bytes));
  EXPECT_TRUE(serialize_model(*load_model(write(bytes))) == bytes);
  attribute->clear_t();
  EXPECT_TRUE(expect_same(model.SerializeAsString()));
}

TEST_F(ModelFileTest, WritesWhatTheScanDoesNotUnderstand) {
  ModelProto model = small_model();
  add_initializer(*model.mutable_graph(), "t", TensorProto::UINT8, {5000}, raw_of(5000, 1));
  const std::string bytes = model.SerializeAsString() + "\xc3\x3e\xc4\x3e";  // an unknown group: kept
  const auto loaded = load_model(write(bytes));
  EXPECT_TRUE(serialize_model(*loaded) == bytes);
  EXPECT_EQ(serialized_size(*loaded), bytes.size());

  ModelGraph deep;  // deeper than a file's graphs may be
  deep.ir_version = 8;
  deep.opset_imports = {{"", 13}};
  Graph* graph = &deep.graph;
  for (int depth = 0; depth < 40; ++depth) {
    Value* condition =
        graph->add_initializer(graph->fresh_name("condition"), Tensor::zeros(DataType::boolean, {}));
    graph->add_initializer(graph->fresh_name("t"), Tensor::zeros(DataType::uint8, {5000 + depth}));
    Node* node = graph->add_node("If", "", {condition}, {graph->add_value(graph->fresh_name("y"))});
    graph = graph->add_subgraph(node, "then_branch");
  }
  EXPECT_TRUE(serialize_model(deep) == serialize_message(export_model(deep, nullptr, nullptr)));
}

// Bytes changed, inserted, removed, swapped and cut, mostly between the large tensors: both ways of loading
// fail with the same message, or both give the same model.
TEST_F(ModelFileTest, MutatedBytesAreTheSame) {
  const std::string original = model_with_tensors().SerializeAsString();
  std::vector<size_t> structure;  // the bytes outside of large tensors
  const auto fields = scan_raw_data(WireBytes(original), 4096, SIZE_MAX);
  ASSERT_TRUE(fields);
  size_t at = 0;
  for (const WireField& f : *fields) {
    if (f.kind != WireField::Kind::raw_data) continue;
    for (; at < f.begin; ++at) structure.push_back(at);
    at = f.end;
  }
  for (; at < original.size(); ++at) structure.push_back(at);

  std::mt19937 random(1);
  const auto below = [&](size_t n) { return static_cast<size_t>(random()) % n; };
  int understood = 0, loaded = 0;
  constexpr int kRounds = 1500;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    std::string bytes = original;
    for (size_t changes = 1 + below(2); changes > 0; --changes) {
      const size_t place = std::min(structure[below(structure.size())], bytes.size() - 1);
      switch (below(8)) {
        case 0:
          bytes.erase(place, 1 + below(3));
          break;
        case 1:
          bytes.insert(place, 1, static_cast<char>(random()));
          break;
        case 2:
          bytes.resize(1 + below(bytes.size()));
          break;
        case 3:
          std::swap(bytes[place], bytes[std::min(structure[below(structure.size())], bytes.size() - 1)]);
          break;
        case 4:
          bytes[place] = static_cast<char>(bytes[place] ^ (1 << below(8)));
          break;
        default:
          bytes[place] = static_cast<char>(bytes[place] + static_cast<int>(below(7)) - 3);
          break;
      }
    }
    understood += expect_same(bytes);
    loaded += outcome([&] { return parse_model(bytes_of_text(bytes)); }).size() > 4096;
  }
  EXPECT_GT(understood, kRounds / 5);
  EXPECT_LT(understood, kRounds);
  EXPECT_GT(loaded, kRounds / 10);
}

}  // namespace
}  // namespace plica
