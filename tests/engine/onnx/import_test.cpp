// What makes a model valid, as far as importing goes; and that a hostile file gets one clear line.
#include <gmock/gmock.h>

#include <fmt/format.h>

#include "engine/core/file.h"
#include "engine/core/limits.h"
#include "tests/engine/onnx/messages_for_tests.h"

namespace plica {
namespace {

using testing::HasSubstr;
using enum ErrorCode;

Error error_for(const ModelProto& model) {
  return error_of([&] { parse(model); });
}

template <class Edit>
void expect_refused(ErrorCode code, std::string_view part, Edit&& edit) {
  ModelProto model = small_model();
  edit(model);
  expect_error(error_for(model), code, part);
}

GraphProto& graph_of(ModelProto& model) { return *model.mutable_graph(); }

AttributeProto& add_graph_attribute(NodeProto& node, const std::string& name) {
  AttributeProto& a = *node.add_attribute();
  a.set_name(name);
  a.set_type(AttributeProto::GRAPH);
  a.mutable_g();
  return a;
}

// `depth` Ifs within each other; the innermost graph outputs x.
ModelProto nested_model(int depth) {
  ModelProto model = small_model();
  GraphProto* at = model.mutable_graph();
  for (int i = 0; i < depth; ++i) {
    NodeProto& node = add_node(*at, "If", {"x"}, {fmt::format("v{}", i)});
    at = add_graph_attribute(node, "then_branch").mutable_g();
    at->add_output()->set_name("x");
  }
  return model;
}

TEST(Import, Small) {
  const auto model = parse(small_model());
  EXPECT_EQ(model->ir_version, 8);
  EXPECT_EQ(model->graph.inputs()[0]->type(), Type::tensor(DataType::float32, Shape{2}));
  EXPECT_EQ(describe(*model->graph.nodes()[0]), "node 'y' (Relu, opset 13)");
}

TEST(Import, TheModelItself) {
  expect_refused(invalid_model, "states no IR version", [](auto& m) { m.clear_ir_version(); });
  expect_refused(invalid_model, "states no IR version", [](auto& m) { m.set_ir_version(-3); });
  expect_refused(unsupported, "IR version 4611686018427387904",
                 [](auto& m) { m.set_ir_version(int64_t{1} << 62); });
  expect_refused(invalid_model, "has no graph", [](auto& m) { m.clear_graph(); });
  expect_refused(invalid_model, "imports no operator set", [](auto& m) { m.clear_opset_import(); });
  expect_refused(invalid_model, "has version 0", [](auto& m) { m.mutable_opset_import(0)->set_version(0); });
  expect_refused(invalid_model, "is imported in versions 13 and 9", [](auto& m) {
    auto* again = m.add_opset_import();
    again->set_domain("ai.onnx");
    again->set_version(9);
  });
  ModelProto old = small_model();
  old.set_ir_version(2);
  old.clear_opset_import();
  EXPECT_EQ(parse(old)->graph.nodes()[0]->opset(), 1);
  EXPECT_EQ(message_of(*parse(old)).SerializeAsString(), old.SerializeAsString());
}

TEST(Import, Names) {
  expect_refused(invalid_model, "input 'nowhere' is not defined",
                 [](auto& m) { graph_of(m).mutable_node(0)->set_input(0, "nowhere"); });
  expect_refused(invalid_model, "node 'y' (Relu, opset 13)",
                 [](auto& m) { graph_of(m).mutable_node(0)->set_input(0, "nowhere"); });
  expect_refused(invalid_model, "graph output 'z' is not computed",
                 [](auto& m) { graph_of(m).mutable_output(0)->set_name("z"); });
  expect_refused(invalid_model, "graph output '' is not computed",
                 [](auto& m) { graph_of(m).mutable_output(0)->clear_name(); });
  expect_refused(invalid_model, "output 'x' is defined twice",
                 [](auto& m) { graph_of(m).mutable_node(0)->set_output(0, "x"); });
  expect_refused(invalid_model, "output 'y' is defined twice",
                 [](auto& m) { add_node(graph_of(m), "Relu", {"x"}, {"y"}); });
  expect_refused(invalid_model, "output 'z' is defined twice", [](auto& m) {
    add_node(graph_of(m), "Split", {"x"}, {"z", "z"});
  });
  expect_refused(invalid_model, "graph input 'x'",
                 [](auto& m) { *graph_of(m).add_input() = m.graph().input(0); });
  expect_refused(invalid_model, "a value needs a name",
                 [](auto& m) { graph_of(m).mutable_input(0)->clear_name(); });
  expect_refused(invalid_model, "initializer 'w': is defined twice", [](auto& m) {
    for (int i = 0; i < 2; ++i) add_initializer(graph_of(m), "w", TensorProto::FLOAT, {1}, "abcd");
  });
  expect_refused(invalid_model, "initializer '': a value needs a name",
                 [](auto& m) { add_initializer(graph_of(m), "", TensorProto::FLOAT, {1}, "abcd"); });
  expect_refused(invalid_model, "output 'w' is defined twice", [](auto& m) {
    add_initializer(graph_of(m), "w", TensorProto::FLOAT, {1}, "abcd");
    add_node(graph_of(m), "Relu", {"x"}, {"w"});
  });
  expect_refused(invalid_model, "has no operator type",
                 [](auto& m) { graph_of(m).mutable_node(0)->clear_op_type(); });
  expect_refused(invalid_model, "no version of its operator set 'custom' is imported",
                 [](auto& m) { graph_of(m).mutable_node(0)->set_domain("custom"); });
  // Optional inputs and outputs are nothing, and stay it.
  ModelProto optional = small_model();
  add_node(graph_of(optional), "Op", {"", "x", ""}, {"", "z"});
  const auto model = parse(optional);
  const Node* op = model->graph.nodes()[1];
  EXPECT_EQ(op->num_inputs(), 3);
  EXPECT_FALSE(op->has_input(0) || op->has_input(2) || op->has_output(0));
  EXPECT_EQ(message_of(*model).SerializeAsString(), optional.SerializeAsString());
}

TEST(Import, HostileNamesStayOnOneLine) {
  const std::string name = "\x1b[31m\n" + std::string(1 << 20, 'n') + "\xff";
  ModelProto model = small_model();
  graph_of(model).mutable_node(0)->set_input(0, name);
  EXPECT_THAT(error_for(model).message(), HasSubstr("'\\x1b[31m\\x0annn"));
  model = small_model();
  graph_of(model).mutable_node(0)->set_name(name);
  graph_of(model).mutable_node(0)->set_op_type(name);
  graph_of(model).mutable_node(0)->set_domain(name);
  EXPECT_THAT(error_for(model).message(), HasSubstr("\\x1b[31m\\x0annn"));
}

TEST(Import, Types) {
  expect_refused(invalid_model, "value 'x': 999 is not an element type", [](auto& m) {
    graph_of(m).mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(999);
  });
  expect_refused(invalid_model, "value 'x': negative dimension -2", [](auto& m) {
    graph_of(m)
        .mutable_input(0)
        ->mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(0)
        ->set_dim_value(-2);
  });
  expect_refused(limit, "nested more than 32 deep", [](auto& m) {
    TypeProto* type = graph_of(m).mutable_input(0)->mutable_type();
    for (int i = 0; i < 40; ++i) type = type->mutable_sequence_type()->mutable_elem_type();
  });
  expect_refused(invalid_model, "graph input 'x' is a float32[2], its initializer int64[1]",
                 [](auto& m) { add_initializer(graph_of(m), "x", TensorProto::INT64, {1}, "12345678"); });
  // -1 is what some exporters write for a dimension that is not known. It is read so, and written as it was.
  ModelProto model = small_model();
  graph_of(model)
      .mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_value(-1);
  const auto loaded = parse(model);
  EXPECT_EQ(to_string(loaded->graph.inputs()[0]->type()), "float32[?]");
  EXPECT_EQ(message_of(*loaded).SerializeAsString(), model.SerializeAsString());
  loaded->graph.set_type(loaded->graph.inputs()[0], Type::tensor(DataType::float32, Shape{5}));
  EXPECT_EQ(message_of(*loaded).graph().input(0).type().tensor_type().shape().dim(0).dim_value(), 5);
}

TEST(Import, Attributes) {
  const auto with_attribute = [](auto&& edit) {
    return [edit](ModelProto& m) {
      AttributeProto& a = *graph_of(m).mutable_node(0)->add_attribute();
      a.set_name("a");
      edit(a);
    };
  };
  expect_refused(invalid_model, "attribute 'a': is declared a float and holds a int",
                 with_attribute([](auto& a) {
                   a.set_type(AttributeProto::FLOAT);
                   a.set_i(1);
                 }));
  for (auto type : {AttributeProto::TENSOR, AttributeProto::GRAPH, AttributeProto::SPARSE_TENSOR,
                    AttributeProto::TYPE_PROTO}) {
    expect_refused(invalid_model, "and has none", with_attribute([type](auto& a) { a.set_type(type); }));
  }
  expect_refused(invalid_model, "refers to attribute 'b' of a function outside of one",
                 with_attribute([](auto& a) {
                   a.set_type(AttributeProto::INT);
                   a.set_ref_attr_name("b");
                 }));
  expect_refused(invalid_model, "attribute 'a' is given twice", [](ModelProto& m) {
    for (int i = 0; i < 2; ++i) {
      AttributeProto& a = *graph_of(m).mutable_node(0)->add_attribute();
      a.set_name("a");
      a.set_i(1);
    }
  });
  expect_refused(invalid_model, "has an attribute without a name",
                 [](ModelProto& m) { graph_of(m).mutable_node(0)->add_attribute()->set_i(1); });
  expect_refused(limit, "600 attributes", [](ModelProto& m) {
    for (int i = 0; i < 600; ++i)
      graph_of(m).mutable_node(0)->add_attribute()->set_name(fmt::format("a{}", i));
  });
  expect_refused(invalid_model, "attribute 'a': float32[2] needs 8 bytes of raw data, has 3",
                 with_attribute([](auto& a) {
                   a.set_type(AttributeProto::TENSOR);
                   a.mutable_t()->set_data_type(TensorProto::FLOAT);
                   a.mutable_t()->add_dims(2);
                   a.mutable_t()->set_raw_data("abc");
                 }));
  // IR version 1 did not state types: the field that is set says.
  ModelProto untyped = small_model();
  AttributeProto& a = *graph_of(untyped).mutable_node(0)->add_attribute();
  a.set_name("a");
  a.add_ints(4);
  const auto model = parse(untyped);
  EXPECT_EQ(std::get<std::vector<int64_t>>(model->graph.nodes()[0]->attributes().find("a")->value),
            std::vector<int64_t>{4});
}

TEST(Import, NodesInAnyOrder) {
  ModelProto model = small_model();
  GraphProto& graph = graph_of(model);
  graph.clear_node();
  add_node(graph, "Relu", {"b"}, {"y"});
  NodeProto& branch = add_node(graph, "If", {"x"}, {"b"});
  GraphProto& then = *add_graph_attribute(branch, "then_branch").mutable_g();
  add_node(then, "Neg", {"s"}, {"t"});  // out of order within, and a capture of what comes later without
  add_node(then, "Neg", {"a"}, {"s"});
  then.add_output()->set_name("t");
  add_graph_attribute(branch, "else_branch").mutable_g()->add_output()->set_name("a");
  add_node(graph, "Relu", {"x"}, {"a"});
  const auto loaded = parse(model);
  std::vector<std::string> order;
  for (const Node* n : loaded->graph.nodes()) order.push_back(n->output(0)->name());
  EXPECT_THAT(order, testing::ElementsAre("a", "b", "y"));
  EXPECT_EQ(loaded->graph.find("a")->graph_output_uses(), 1);
}

TEST(Import, Cycles) {
  expect_refused(invalid_model, "node 'y' (Relu, opset 13) is part of a cycle",
                 [](auto& m) { graph_of(m).mutable_node(0)->set_input(0, "y"); });
  expect_refused(invalid_model, "is part of a cycle", [](auto& m) {
    graph_of(m).mutable_node(0)->set_input(0, "z");
    add_node(graph_of(m), "Relu", {"y"}, {"z"});
  });
  expect_refused(invalid_model, "is part of a cycle", [](auto& m) {
    add_graph_attribute(*graph_of(m).mutable_node(0), "body").mutable_g()->add_output()->set_name("y");
  });
}

TEST(Import, Subgraphs) {
  // A name of a subgraph is not seen outside of it, nor beside it.
  expect_refused(invalid_model, "input 'inner' is not defined", [](auto& m) {
    NodeProto& branch = add_node(graph_of(m), "If", {"x"}, {"z"});
    GraphProto& then = *add_graph_attribute(branch, "then_branch").mutable_g();
    add_node(then, "Relu", {"x"}, {"inner"});
    add_node(*add_graph_attribute(branch, "else_branch").mutable_g(), "Relu", {"inner"}, {"q"});
  });
  // Errors within say where they are.
  ModelProto model = small_model();
  NodeProto& branch = add_node(graph_of(model), "If", {"x"}, {"z"});
  branch.set_name("outer");
  add_node(*add_graph_attribute(branch, "then_branch").mutable_g(), "Relu", {"nowhere"}, {"q"});
  EXPECT_EQ(error_for(model).message(),
            "node 'outer' (If, opset 13): attribute 'then_branch': node 'q' (Relu, opset 13): input "
            "'nowhere' is not "
            "defined");
}

TEST(Import, Nesting) {
  EXPECT_NO_THROW(parse(nested_model(32))->clone());
  for (int depth : {33, 40, 50})
    expect_error(error_for(nested_model(depth)), limit, "nested more than 32 deep");
  // Deeper than the message library can serialize: made by hand, from the inside.
  std::string graph;
  const auto length_delimited = [](int field, const std::string& body) {
    std::string out(1, static_cast<char>(field << 3 | 2));
    size_t n = body.size();
    for (; n >= 0x80; n >>= 7) out += static_cast<char>((n & 0x7f) | 0x80);
    return out + static_cast<char>(n) + body;
  };
  for (int i = 0; i < 10'000; ++i) {
    graph = length_delimited(GraphProto::kNodeFieldNumber,
                             length_delimited(NodeProto::kAttributeFieldNumber,
                                              length_delimited(AttributeProto::kGFieldNumber, graph)));
  }
  const std::string bytes = length_delimited(ModelProto::kGraphFieldNumber, graph);
  expect_error(error_of([&] { parse_model(bytes_of_text(bytes)); }), limit, "nested more than 32 deep");
}

TEST(Import, Functions) {
  const auto add_function = [](ModelProto& m, const std::string& name) -> FunctionProto& {
    FunctionProto& f = *m.add_functions();
    f.set_name(name);
    f.set_domain("d");
    f.add_input("a");
    f.add_output("b");
    for (const char* domain : {"", "d"}) {
      auto* opset = f.add_opset_import();
      opset->set_domain(domain);
      opset->set_version(1);
    }
    return f;
  };
  const auto call = [](FunctionProto& f, const std::string& op) {
    NodeProto& node = *f.add_node();
    node.set_op_type(op);
    node.set_domain("d");
    node.add_input("a");
    node.add_output("b");
  };
  expect_refused(invalid_model, "function 'd.f' calls itself",
                 [&](auto& m) { call(add_function(m, "f"), "f"); });
  expect_refused(invalid_model, "calls itself", [&](auto& m) {
    call(add_function(m, "f"), "g");
    FunctionProto& g = add_function(m, "g");
    NodeProto& branch = *g.add_node();  // through a subgraph
    branch.set_op_type("If");
    branch.add_input("a");
    branch.add_output("b");
    NodeProto& inner = add_node(*add_graph_attribute(branch, "then_branch").mutable_g(), "f", {"a"}, {"c"});
    inner.set_domain("d");
  });
  expect_refused(invalid_model, "function 'd.f' is defined twice", [&](auto& m) {
    call(add_function(m, "f"), "other");
    call(add_function(m, "f"), "other");
  });
  expect_refused(invalid_model, "has no name", [&](auto& m) { call(add_function(m, ""), "other"); });
  expect_refused(invalid_model, "function 'd.f': node 'b' (d.other, opset 1): input 'a' is not defined",
                 [&](auto& m) {
                   FunctionProto& f = add_function(m, "f");
                   f.clear_input();
                   call(f, "other");
                 });
  expect_refused(invalid_model, "graph output 'b' is not computed", [&](auto& m) { add_function(m, "f"); });
  ModelProto model = small_model();
  call(add_function(model, "f"), "g");
  call(add_function(model, "g"), "other");
  FunctionProto& other = add_function(model, "g");
  other.set_overload("o");
  call(other, "f2");
  const auto loaded = parse(model);
  EXPECT_EQ(loaded->functions[0]->graph.nodes()[0]->opset(), 1);
  EXPECT_NE(loaded->find_function("d", "g", "o"), nullptr);
  EXPECT_EQ(message_of(*loaded).SerializeAsString(), model.SerializeAsString());
}

TEST(Import, NothingToDo) {
  ModelProto model = small_model();
  graph_of(model).clear_node();
  graph_of(model).clear_output();
  EXPECT_EQ(parse(model)->graph.num_nodes(), 0u);
}

TEST(Import, Bytes) {
  const auto parse_text = [](std::string_view text) { parse_model(bytes_of_text(text)); };
  expect_error(error_of([&] { parse_text(""); }), invalid_model, "is empty");
  expect_error(error_of([&] { parse_text("this is a text, not a model"); }), invalid_model,
               "is not an ONNX model");
  expect_error(error_of([&] { parse_text(std::string(100, '\xff')); }), invalid_model,
               "is not an ONNX model");
  expect_error(error_of([&] { parse_text(std::string(100, '\0')); }), invalid_model, "is not an ONNX model");
  expect_error(error_of([&] { parse_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"); }),
               invalid_model, "Git LFS pointer");
  const std::string good = small_model().SerializeAsString();
  expect_error(error_of([&] { parse_text(good.substr(0, good.size() - 1)); }), invalid_model, "is truncated");
}

// Any prefix and any change of a byte gives a model or an Error; nothing else.
TEST(Import, DamagedBytes) {
  ModelProto rich = nested_model(2);
  add_initializer(graph_of(rich), "w", TensorProto::FLOAT, {2}, "12345678");
  const std::string good = rich.SerializeAsString();
  int loaded = 0, refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    try {
      const auto model = parse_model(bytes_of_text(bytes));
      serialize_model(*model->clone());
      ++loaded;
    } catch (const Error& error) {
      EXPECT_NE(error.code(), internal) << error.message();
      ++refused;
    }
  };
  for (size_t i = 0; i < good.size(); ++i) {
    attempt(good.substr(0, i));
    for (int change : {0x01, 0x08, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      attempt(bad);
    }
  }
  EXPECT_GT(loaded, 0);
  EXPECT_GT(refused, 0);
}

TEST(Import, EndsWhenCancelled) {
  const std::atomic<bool> cancel = true;
  const LimitsScope scope({.cancel = &cancel});
  EXPECT_EQ(error_for(small_model()).code(), cancelled);
}

TEST(Import, FilesAreNamed) {
  const TemporaryDirectory dir;
  const auto path = dir.path() / "net.onnx";
  const auto expect_named = [&](ErrorCode code, std::string_view part) {
    const Error error = error_of([&] { load_model(path); });
    expect_error(error, code, part);
    EXPECT_TRUE(error.message().starts_with(path.string() + ": ")) << error.message();
  };
  expect_named(io, "No such file");
  write_file(path, "");
  expect_named(invalid_model, "is empty");
  ModelProto model = small_model();
  model.clear_graph();
  write_file(path, model.SerializeAsString());
  expect_named(invalid_model, "has no graph");
  // Beyond 2 GiB (a hole: the file takes no space).
  std::filesystem::resize_file(path, (uintmax_t{1} << 31) + 5);
  expect_named(limit, "2147483653 bytes");
}

}  // namespace
}  // namespace plica
