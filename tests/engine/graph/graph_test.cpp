#include "engine/graph/graph.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/core/error.h"
#include "engine/graph/model_graph.h"

namespace plica {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class F>
Error error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::internal, ""};
}

struct GraphTest : testing::Test {
  GraphTest() {
    model.ir_version = 8;
    model.opset_imports = {{"", 13}, {"custom", 2}};
  }
  Value* input(const std::string& name) {
    return g.add_input(name, Type::tensor(DataType::float32, Shape{1}));
  }
  Node* node(const std::string& op, std::vector<Value*> ins, const std::string& out) {
    return g.add_node(op, "", std::move(ins), {g.add_value(out)});
  }
  std::vector<std::string> order() {
    std::vector<std::string> out;
    for (const Node* n : g.topological_order()) out.push_back(n->output(0)->name());
    return out;
  }

  ModelGraph model;
  Graph& g = model.graph;
};

TEST_F(GraphTest, UsesAndProducers) {
  Value* x = input("x");
  Node* a = node("Add", {x, x}, "a");
  Node* b = node("Relu", {a->output(0)}, "b");
  g.add_output(b->output(0));
  g.verify();
  EXPECT_EQ(x->uses().size(), 2u);
  EXPECT_FALSE(x->has_single_use());
  EXPECT_TRUE(a->output(0)->has_single_use());
  EXPECT_FALSE(b->output(0)->has_single_use());
  EXPECT_TRUE(b->output(0)->has_uses());
  EXPECT_EQ(a->output(0)->producer(), a);
  EXPECT_EQ(b->opset(), 13);
  EXPECT_EQ(describe(*b), "node 'b' (Relu, opset 13)");
  EXPECT_EQ(a->input(5), nullptr);

  g.set_input(a, 1, nullptr);
  EXPECT_EQ(x->uses().size(), 1u);
  EXPECT_FALSE(a->has_input(1));
  g.resize_inputs(a, 3);
  g.set_input(a, 2, x);
  EXPECT_EQ(x->uses().size(), 2u);
  g.resize_inputs(a, 1);
  EXPECT_EQ(x->uses().size(), 1u);
  g.verify();
}

TEST_F(GraphTest, NamesAreUnique) {
  Value* x = input("x");
  node("Relu", {x}, "y");
  EXPECT_THAT(error_of([&] { g.add_value("y"); }).message(), HasSubstr("'y' is defined twice"));
  EXPECT_THAT(error_of([&] { input("x"); }).message(), HasSubstr("'x' is defined twice"));
  EXPECT_EQ(error_of([&] { g.add_value(""); }).code(), ErrorCode::invalid_model);
  EXPECT_EQ(error_of([&] { g.rename(x, "y"); }).code(), ErrorCode::invalid_model);
  EXPECT_EQ(error_of([&] { g.add_node("Relu", "", {x}, {x}); }).code(), ErrorCode::invalid_model);
  g.rename(x, "z");
  EXPECT_EQ(g.find("z"), x);
  EXPECT_EQ(g.find("x"), nullptr);
  g.verify();
}

TEST_F(GraphTest, FreshNamesAvoidTheWholeTree) {
  Value* x = input("x");
  Node* branch = node("If", {x}, "y");
  Graph* then = g.add_subgraph(branch, "then_branch");
  then->add_value("t");
  Graph* inner = then->add_subgraph(then->add_node("If", "", {x}, {then->find("t")}), "then_branch");
  inner->add_initializer("deep", Tensor::scalar(1.f));
  EXPECT_EQ(g.fresh_name("new"), "new");
  EXPECT_EQ(g.fresh_name("x"), "x_1");
  EXPECT_EQ(g.fresh_name("deep"), "deep_1");
  EXPECT_EQ(inner->fresh_name("y"), "y_1");
  g.add_value("deep_1");
  EXPECT_EQ(then->fresh_name("deep"), "deep_2");
  EXPECT_EQ(g.fresh_name(""), "_1");
  // When the subgraph goes, so do its names.
  g.remove_attribute(branch, "then_branch");
  EXPECT_EQ(g.fresh_name("deep"), "deep");
  EXPECT_EQ(x->uses().size(), 1u);
  g.verify();
}

TEST_F(GraphTest, CapturesAreUses) {
  Value* x = input("x");
  Node* outer = node("Relu", {x}, "r");
  Node* branch = node("If", {x}, "y");
  Graph* then = g.add_subgraph(branch, "then_branch");
  then->add_output(then->add_node("Neg", "", {outer->output(0)}, {then->add_value("n")})->output(0));
  Graph* other = g.add_subgraph(branch, "else_branch");
  other->add_output(outer->output(0));  // captured as it is
  g.add_output(branch->output(0));
  g.verify();
  EXPECT_EQ(outer->output(0)->uses().size(), 1u);
  EXPECT_EQ(outer->output(0)->graph_output_uses(), 1);
  EXPECT_FALSE(outer->output(0)->has_single_use());
  EXPECT_EQ(then->lookup("r"), outer->output(0));
  EXPECT_EQ(then->parent(), &g);
  EXPECT_EQ(error_of([&] { g.remove_node(outer); }).code(), ErrorCode::internal);

  // A capture orders the nodes too.
  g.move_before(branch, outer);
  EXPECT_THAT(error_of([&] { g.verify(); }).message(), HasSubstr("'r' is computed by a later node"));
  g.sort();
  g.verify();

  g.replace_all_uses(outer->output(0), x);
  EXPECT_FALSE(outer->output(0)->has_uses());
  EXPECT_EQ(other->outputs()[0], x);
  EXPECT_EQ(then->nodes()[0]->input(0), x);
  g.remove_node(outer);
  g.verify();
}

TEST_F(GraphTest, ReplacedInOutputsAtAnyDepth) {
  Value* x = input("x");
  Value* y = input("y");
  Graph* at = &g;
  std::vector<Graph*> graphs;
  for (int depth = 0; depth < 5; ++depth) {
    Node* n = at->add_node("If", "", {x}, {at->add_value(fmt::format("v{}", depth))});
    at->add_output(n->output(0));
    at = at->add_subgraph(n, "then_branch");
    graphs.push_back(at);
    at->add_output(x);
  }
  g.add_output(x);
  g.add_output(x);
  g.verify();
  EXPECT_EQ(x->graph_output_uses(), 7);
  EXPECT_EQ(x->uses().size(), 5u);
  g.replace_all_uses(x, y);
  g.verify();
  EXPECT_FALSE(x->has_uses());
  EXPECT_EQ(y->graph_output_uses(), 7);
  for (const Graph* sub : graphs) EXPECT_EQ(sub->outputs()[0], y);
}

TEST_F(GraphTest, Cycles) {
  Value* x = input("x");
  Node* a = node("Add", {x, nullptr}, "a");
  Node* b = node("Relu", {a->output(0)}, "b");
  node("Relu", {b->output(0)}, "after");
  g.set_input(a, 1, b->output(0));
  for (const Error& error : {error_of([&] { g.topological_order(); }), error_of([&] { g.sort(); })}) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_model);
    EXPECT_THAT(error.message(),
                testing::MatchesRegex("node '(a|b)' \\((Add|Relu), opset 13\\) is part of a cycle"));
  }
  EXPECT_EQ(error_of([&] { g.verify(); }).code(), ErrorCode::invalid_model);
  g.set_input(a, 1, a->output(0));
  EXPECT_THAT(error_of([&] { g.sort(); }).message(), HasSubstr("node 'a'"));
  // Through a subgraph that captures its own node's output.
  g.set_input(a, 1, nullptr);
  Graph* sub = g.add_subgraph(a, "body");
  sub->add_output(a->output(0));
  EXPECT_THAT(error_of([&] { g.sort(); }).message(), HasSubstr("node 'a'"));
}

TEST_F(GraphTest, TheNodeOfACycleIsNamedAndNotOneBehindIt) {
  Value* x = input("x");
  Node* behind = node("Relu", {x}, "behind");  // first in the list, last in the order
  Node* a = node("Add", {x, nullptr}, "a");
  g.set_input(a, 1, a->output(0));
  g.set_input(behind, 0, a->output(0));
  EXPECT_THAT(error_of([&] { g.sort(); }).message(), HasSubstr("node 'a'"));
}

TEST_F(GraphTest, SortIsStable) {
  Value* x = input("x");
  Node* c = node("Relu", {x}, "c");
  Node* b = node("Relu", {x}, "b");
  Node* a = node("Relu", {x}, "a");
  EXPECT_THAT(order(), ElementsAre("c", "b", "a"));
  g.set_input(c, 0, a->output(0));
  g.sort();
  EXPECT_THAT(order(), ElementsAre("b", "a", "c"));
  g.verify();
  EXPECT_EQ(g.nodes(), (std::vector<Node*>{b, a, c}));
}

TEST_F(GraphTest, Constants) {
  Value* w = g.add_initializer("w", Tensor::scalar(1.f));
  EXPECT_NE(w->constant(), nullptr);
  Value* d = input("d");
  g.set_initializer(d, Tensor::scalar(2.f));
  EXPECT_NE(d->initializer(), nullptr);
  EXPECT_EQ(d->constant(), nullptr);
  model.ir_version = 3;
  EXPECT_NE(d->constant(), nullptr);
  Attributes attributes;
  attributes.set("value", Tensor::scalar(3.f));
  Node* c = g.add_node("Constant", "", {}, {g.add_value("c")}, attributes);
  ASSERT_NE(c->output(0)->constant(), nullptr);
  EXPECT_EQ(*c->output(0)->constant()->data<float>(), 3.f);
  EXPECT_THAT(g.initializers(), ElementsAre(w, d));
  g.verify();
}

TEST_F(GraphTest, OutputsThatNothingComputes) {
  g.add_output(g.add_value("nothing"));
  EXPECT_THAT(error_of([&] { g.verify(); }).message(), HasSubstr("graph output 'nothing' is not computed"));
  g.set_output(0, input("x"));
  g.verify();
  g.remove_output(0);
  EXPECT_FALSE(g.find("x")->has_uses());
  g.remove_input(0);
  EXPECT_EQ(g.find("x"), nullptr);
  EXPECT_EQ(error_of([&] {
              node("Relu", {g.find("nothing")}, "y");
              g.verify();
            }).code(),
            ErrorCode::invalid_model);
}

TEST_F(GraphTest, RemoveAndDetach) {
  Value* x = input("x");
  Node* a = node("Relu", {x}, "a");
  EXPECT_EQ(error_of([&] { g.remove_value(x); }).code(), ErrorCode::internal);
  EXPECT_EQ(error_of([&] { g.remove_value(a->output(0)); }).code(), ErrorCode::internal);
  Value* kept = a->output(0);
  g.detach_outputs(a);
  g.remove_node(a);
  EXPECT_EQ(kept->producer(), nullptr);
  g.add_node("Neg", "", {x}, {kept});
  g.add_output(kept);
  g.verify();
}

// A subgraph that outlives its node in a copy of the attributes can be given to another node.
TEST_F(GraphTest, OrphanedSubgraphs) {
  Value* x = input("x");
  Node* branch = node("If", {x}, "y");
  Graph* then = g.add_subgraph(branch, "then_branch");
  then->add_output(then->add_node("Neg", "", {x}, {then->add_value("n")})->output(0));
  EXPECT_EQ(g.fresh_name("n"), "n_1");
  Attributes kept = branch->attributes();
  EXPECT_THAT(error_of([&] {
                node("If", {x}, "z");
                g.set_attribute(g.find("z")->producer(), *kept.find("then_branch"));
              }).message(),
              HasSubstr("two nodes"));
  g.remove_node(g.find("z")->producer());
  g.remove_node(branch);
  EXPECT_EQ(then->parent_node(), nullptr);
  EXPECT_EQ(g.fresh_name("n"), "n");
  EXPECT_EQ(x->uses().size(), 1u);
  Node* next = g.add_node("If", "", {x}, {g.add_value("y")}, kept);
  EXPECT_EQ(then->parent_node(), next);
  EXPECT_EQ(g.fresh_name("n"), "n_1");
  g.add_output(next->output(0));
  g.verify();
  kept = {};
  // Replacing an attribute lets its subgraph go, and with it the captures.
  Graph* other = g.add_subgraph(next, "then_branch");
  other->add_output(x);
  EXPECT_EQ(x->uses().size(), 1u);
  g.verify();
  // Setting an attribute to what it is, as for another doc string, keeps the subgraph.
  Attribute same = *next->attributes().find("then_branch");
  same.doc_string = "documented";
  g.set_attribute(next, same);
  EXPECT_EQ(other->parent_node(), next);
  g.verify();
}

TEST_F(GraphTest, ClonesAreDeepAndEqual) {
  Value* x = input("x");
  x->doc_string = "doc";
  x->metadata = {{"k", "v"}};
  Value* w = g.add_initializer("w", Tensor::scalar(1.f));
  Node* branch = node("If", {x}, "y");
  branch->name = "branch";
  branch->overload = "o";
  branch->extension = "e";
  Attribute scalar;
  scalar.name = "between";
  scalar.value = int64_t{3};
  Graph* then = g.add_subgraph(branch, "then_branch");
  g.set_attribute(branch, scalar);
  g.append_subgraph(branch, "more")->add_output(w);
  g.append_subgraph(branch, "more")->add_output(x);
  Attribute documented = *branch->attributes().find("then_branch");
  documented.doc_string = "of an attribute";
  g.set_attribute(branch, documented);
  then->add_output(then->add_node("Neg", "", {w}, {then->add_value("n")})->output(0));
  g.add_output(branch->output(0));
  auto f = std::make_unique<Function>(&model);
  f->name = "f";
  f->opset_imports = {{"", 15}};
  f->attribute_defaults.set("body", std::make_shared<Graph>(&model));
  f->graph.add_output(f->graph.add_input("p", {}));
  model.functions.push_back(std::move(f));
  g.verify();

  auto copy = model.clone();
  copy->graph.verify();
  EXPECT_EQ(print(copy->graph), print(g));
  Node* twin = copy->graph.nodes()[0];
  EXPECT_EQ(twin->name, "branch");
  EXPECT_EQ(twin->overload, "o");
  EXPECT_EQ(twin->extension, "e");
  std::vector<std::string> names;
  for (const Attribute& a : twin->attributes()) names.push_back(a.name);
  EXPECT_THAT(names, ElementsAre("then_branch", "between", "more"));
  EXPECT_EQ(twin->attributes().find("then_branch")->doc_string, "of an attribute");
  EXPECT_EQ(copy->graph.find("x")->metadata, x->metadata);
  EXPECT_EQ(copy->graph.find("w")->initializer()->raw(), w->initializer()->raw());
  EXPECT_EQ(copy->graph.find("w")->uses().size(), 1u);
  EXPECT_EQ(copy->graph.fresh_name("n"), "n_1");
  EXPECT_EQ(copy->functions[0]->graph.opset(""), 15);
  const auto& body = std::get<GraphPtr>(copy->functions[0]->attribute_defaults.find("body")->value);
  EXPECT_EQ(&body->model(), copy.get());
  // The copy lives without the original.
  copy->graph.replace_all_uses(copy->graph.find("w"), copy->graph.find("x"));
  copy->graph.verify();
  EXPECT_EQ(w->uses().size(), 1u);
}

TEST_F(GraphTest, Print) {
  Value* x = input("x");
  g.name = "net";
  Attributes attributes;
  attributes.set("axis", int64_t{1});
  attributes.set("mode", std::string("li\nne"));
  Node* n = g.add_node("Op", "custom", {x, nullptr}, {g.add_value("y"), nullptr}, attributes);
  g.add_output(n->output(0));
  EXPECT_EQ(print(g),
            "graph net(x: float32[1]) -> (y: ?) {\n"
            "  y, _ = custom.Op<axis: 1, mode: 'li\\x0ane'>(x, _)\n"
            "}\n");
  EXPECT_EQ(describe(*n), "node 'y' (custom.Op, opset 2)");
}

TEST_F(GraphTest, VerifyFindsASharedSubgraph) {
  Value* x = input("x");
  Node* a = node("If", {x}, "a");
  g.add_subgraph(a, "then_branch")->add_output(x);
  EXPECT_THROW(g.add_node("If", "", {x}, {g.add_value("b")}, a->attributes()), Error);
}

}  // namespace
}  // namespace plica
