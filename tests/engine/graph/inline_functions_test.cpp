#include "engine/graph/inline_functions.h"

#include <gtest/gtest.h>

#include "engine/core/error.h"
#include "engine/graph/function_index.h"

namespace plica {
namespace {

std::unique_ptr<ModelGraph> empty_model() {
  auto model = std::make_unique<ModelGraph>();
  model->ir_version = 8;
  model->opset_imports = {{"", 17}, {"f", 1}};
  return model;
}

Function& add_function(ModelGraph& model, const std::string& name) {
  auto& f = *model.functions.emplace_back(std::make_unique<Function>(&model));
  f.domain = "f";
  f.name = name;
  f.opset_imports = model.opset_imports;
  return f;
}

Attribute reference(const std::string& name) {
  Attribute a;
  a.name = a.ref_name = name;
  a.declared_type = AttributeType::float_;
  return a;
}

// Each of several references within a subgraph of the body becomes what the call gives.
TEST(InlineFunctions, ReferencesWithinASubgraph) {
  auto model = empty_model();
  Function& f = add_function(*model, "F");
  f.attribute_names = {"alpha", "gamma"};
  Value* c = f.graph.add_input("c", {});
  Value* a = f.graph.add_input("a", {});
  Value* b = f.graph.add_value("b");
  Node* branches = f.graph.add_node("If", "", {c}, {b});
  for (const char* name : {"then_branch", "else_branch"}) {
    Graph* branch = f.graph.add_subgraph(branches, name);
    Value* y = branch->add_value(std::string(name) + "_y");
    Node* node = branch->add_node("Selu", "", {a}, {y});
    for (const char* attribute : {"alpha", "gamma"}) branch->set_attribute(node, reference(attribute));
    branch->add_output(y);
  }
  f.graph.add_output(b);
  Value* condition = model->graph.add_input("condition", Type::tensor(DataType::boolean));
  Value* x = model->graph.add_input("x", Type::tensor(DataType::float32));
  Value* y = model->graph.add_value("y");
  Attributes given;
  given.set("alpha", 2.0f);
  given.set("gamma", 3.0f);
  model->graph.add_node("F", "f", {condition, x}, {y}, std::move(given));
  model->graph.add_output(y);

  inline_functions(*model);
  model->graph.verify();
  int branches_seen = 0;
  for_each_subgraph(y->producer()->attributes(), [&](const Graph& branch) {
    ++branches_seen;
    const Attributes& attributes = branch.nodes()[0]->attributes();
    ASSERT_EQ(attributes.size(), 2u);
    for (const auto& [name, value] : {std::pair("alpha", 2.0f), {"gamma", 3.0f}}) {
      const Attribute* found = attributes.find(name);
      ASSERT_NE(found, nullptr) << name;
      EXPECT_EQ(found->ref_name, "");
      EXPECT_EQ(std::get<float>(found->value), value);
    }
  });
  EXPECT_EQ(branches_seen, 2);
}

// 2^12 calls of a body of 2^12 nodes: refused before one of them is expanded.
TEST(InlineFunctions, TooManyNodesAreCounted) {
  auto model = empty_model();
  Function& f = add_function(*model, "F");
  Value* last = f.graph.add_input("a", {});
  for (int i = 0; i < 4096; ++i) {
    Value* next = f.graph.add_value("t" + std::to_string(i));
    f.graph.add_node("Neg", "", {last}, {next});
    last = next;
  }
  f.graph.add_output(last);
  Value* x = model->graph.add_input("x", Type::tensor(DataType::float32));
  for (int i = 0; i < 4096; ++i) {
    Value* y = model->graph.add_value("y" + std::to_string(i));
    model->graph.add_node("F", "f", {x}, {y});
  }
  try {
    inline_functions(*model);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::limit);
  }
  EXPECT_EQ(model->graph.num_nodes(), 4096u);
}

TEST(FunctionIndex, TellsApartWhatReadsTheSameInARow) {
  auto model = empty_model();
  Function& f = add_function(*model, "ab");
  f.overload = "c";
  Function& g = add_function(*model, "a");
  g.overload = "bc";
  const FunctionIndex index(*model);
  Value* x = model->graph.add_input("x", {});
  const auto call = [&](const char* name, const char* overload) {
    Node* node =
        model->graph.add_node(name, "f", {x}, {model->graph.add_value(model->graph.fresh_name("y"))});
    node->overload = overload;
    return index.find(*node);
  };
  EXPECT_EQ(call("ab", "c"), &f);
  EXPECT_EQ(call("a", "bc"), &g);
  EXPECT_EQ(call("abc", ""), nullptr);
  EXPECT_EQ(call("Relu", ""), nullptr);
}

}  // namespace
}  // namespace plica
