// Random edits keep the use-lists right; large graphs cost neither stack nor quadratic time.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "engine/core/error.h"
#include "engine/graph/model_graph.h"

namespace plica {
namespace {

// Recomputes all uses and output listings of a tree of graphs from the nodes, and compares.
class UseCounter {
 public:
  explicit UseCounter(const Graph& root) {
    visit(root);
    for (const Graph* graph : graphs_) {
      for (const Value* v : graph->values()) {
        std::multiset<std::pair<const Node*, int>> listed;
        for (const Use& use : v->uses()) listed.emplace(use.node, use.index);
        EXPECT_EQ(listed, uses_[v]) << v->name();
        EXPECT_EQ(v->graph_output_uses(), outputs_[v]) << v->name();
        EXPECT_EQ(graph->find(v->name()), v);
      }
    }
  }

 private:
  void visit(const Graph& graph) {
    graphs_.push_back(&graph);
    for (const Value* v : graph.outputs()) ++outputs_[v];
    for (const Node* node : graph.nodes()) {
      for (int i = 0; i < node->num_inputs(); ++i) {
        if (node->has_input(i)) uses_[node->input(i)].emplace(node, i);
      }
      for_each_subgraph(node->attributes(), [&](const Graph& sub) { visit(sub); });
    }
  }

  std::vector<const Graph*> graphs_;
  std::map<const Value*, std::multiset<std::pair<const Node*, int>>> uses_;
  std::map<const Value*, int> outputs_;
};

// Edits that keep the graph valid: a node reads only what comes before it.
class Editor {
 public:
  explicit Editor(uint32_t seed) : random_(seed) {
    model_.ir_version = 8;
    model_.opset_imports = {{"", 13}};
    for (int i = 0; i < 3; ++i) root().add_input(root().fresh_name("in"), {});
    root().add_initializer(root().fresh_name("w"), Tensor::scalar(1.f));
  }

  Graph& root() { return model_.graph; }

  void step() {
    switch (below(12)) {
      case 0:
      case 1:
      case 2: add_node(root()); break;
      case 3: add_branch(root(), 0); break;
      case 4: set_input(); break;
      case 5: resize_inputs(); break;
      case 6: remove_unused_node(); break;
      case 7: replace_all_uses(); break;
      case 8: change_outputs(); break;
      case 9: rename(); break;
      case 10: remove_subgraph(); break;
      case 11: root().sort(); break;
    }
  }

  void check() {
    root().verify();
    UseCounter counter(root());
    const auto copy = model_.clone();
    copy->graph.verify();
    EXPECT_EQ(print(copy->graph), print(root()));
  }

 private:
  size_t below(size_t n) { return random_() % n; }

  // The values that a node at position `before` of the root's list may read.
  std::vector<Value*> visible(const Node* before) {
    std::vector<Value*> out = root().inputs();
    for (Value* v : root().initializers()) {
      if (!v->is_graph_input()) out.push_back(v);
    }
    for (Node* node : root().nodes()) {
      if (node == before) break;
      for (int i = 0; i < node->num_outputs(); ++i) {
        if (node->has_output(i)) out.push_back(node->output(i));
      }
    }
    return out;
  }
  Value* pick(const std::vector<Value*>& from) { return from[below(from.size())]; }
  Node* pick_node() {
    const auto nodes = root().nodes();
    return nodes.empty() ? nullptr : nodes[below(nodes.size())];
  }

  Node* add_node(Graph& graph, Node* before = nullptr) {
    const auto values = visible(before);
    std::vector<Value*> ins, outs;
    for (size_t i = below(4); i > 0; --i) ins.push_back(below(5) ? pick(values) : nullptr);
    for (size_t i = 1 + below(2); i > 0; --i) outs.push_back(graph.add_value(graph.fresh_name("v")));
    if (below(8) == 0) outs.push_back(nullptr);
    return graph.add_node("Op", "", std::move(ins), std::move(outs), {},
                          &graph == &root() ? before : nullptr);
  }

  void add_branch(Graph& graph, int depth) {
    Node* node = add_node(graph);
    const auto values = visible(&graph == &root() ? node : nullptr);
    for (const char* name : {"then_branch", "else_branch"}) {
      Graph* sub = below(2) ? graph.add_subgraph(node, name) : graph.append_subgraph(node, name);
      sub->add_output(pick(values));
      // Only what the whole root computed before the branch, so that deeper nodes are valid as well.
      std::vector<Value*> ins = {pick(values), pick(values)};
      Node* inner = sub->add_node("Op", "", std::move(ins), {sub->add_value(sub->fresh_name("s"))});
      sub->add_output(inner->output(0));
      if (depth < 2 && below(3) == 0) {
        Node* nested = sub->add_node("If", "", {inner->output(0)}, {sub->add_value(sub->fresh_name("t"))});
        Graph* deep = sub->add_subgraph(nested, "then_branch");
        deep->add_output(pick(values));
        deep->add_output(inner->output(0));
      }
    }
  }

  void set_input() {
    Node* node = pick_node();
    if (!node || node->num_inputs() == 0) return;
    root().set_input(node, static_cast<int>(below(static_cast<size_t>(node->num_inputs()))),
                     below(6) ? pick(visible(node)) : nullptr);
  }
  void resize_inputs() {
    if (Node* node = pick_node()) root().resize_inputs(node, static_cast<int>(below(5)));
  }
  void remove_unused_node() {
    Node* node = pick_node();
    if (!node) return;
    for (int i = 0; i < node->num_outputs(); ++i) {
      if (node->has_output(i) && node->output(i)->has_uses()) {
        EXPECT_THROW(root().remove_node(node), Error);
        return;
      }
    }
    root().remove_node(node);
  }
  void replace_all_uses() {
    Node* node = pick_node();
    if (!node || !node->has_output(0)) return;
    root().replace_all_uses(node->output(0), pick(visible(node)));
    EXPECT_FALSE(node->output(0)->has_uses());
  }
  void change_outputs() {
    const size_t count = root().outputs().size();
    if (count == 0 || below(3) == 0) {
      root().add_output(pick(visible(nullptr)));
    } else if (below(2)) {
      root().set_output(below(count), pick(visible(nullptr)));
    } else {
      root().remove_output(below(count));
    }
  }
  void rename() {
    Value* v = pick(visible(nullptr));
    root().rename(v, root().fresh_name(below(2) ? "renamed" : v->name()));
  }
  void remove_subgraph() {
    Node* node = pick_node();
    if (!node || node->attributes().empty()) return;
    root().remove_attribute(node, std::string(node->attributes().begin()->name));
  }

  std::mt19937 random_;
  ModelGraph model_;
};

TEST(GraphEdits, RandomSequences) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Editor editor(seed);
    for (int i = 0; i < 300; ++i) {
      editor.step();
      if (i % 10 == 0) editor.check();
      if (testing::Test::HasFailure()) return;
    }
    editor.check();
  }
}

// Recursion along the chain would overflow the stack with either; the sanitizers are some ten times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kChain = 200'000;
#else
constexpr int kChain = 1'000'000;
#endif

std::unique_ptr<ModelGraph> make_chain() {
  auto model = std::make_unique<ModelGraph>();
  model->opset_imports = {{"", 13}};
  Value* v = model->graph.add_input("x", {});
  for (int i = 0; i < kChain; ++i) {
    v = model->graph.add_node("Relu", "", {v}, {model->graph.add_value(fmt::format("v{}", i))})->output(0);
  }
  model->graph.add_output(v);
  return model;
}

TEST(LargeGraphs, ALongChain) {
  auto model = make_chain();
  Graph& g = model->graph;
  g.verify();
  EXPECT_EQ(g.topological_order(), g.nodes());
  auto copy = model->clone();
  model.reset();
  EXPECT_EQ(copy->graph.num_nodes(), static_cast<size_t>(kChain));
  EXPECT_EQ(copy->graph.nodes().back()->output(0)->name(), fmt::format("v{}", kChain - 1));
  const std::string text = print(copy->graph);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), kChain + 2);
  // Backwards in the list.
  Node* first = copy->graph.nodes().front();
  const auto nodes = copy->graph.nodes();
  for (size_t i = nodes.size() - 1; i > 0; --i) copy->graph.move_before(nodes[i], first);
  EXPECT_THROW(copy->graph.verify(), Error);
  copy->graph.sort();
  copy->graph.verify();
  // From the end, node by node.
  copy->graph.remove_output(0);
  for (size_t i = nodes.size(); i > 0; --i) copy->graph.remove_node(nodes[i - 1]);
  EXPECT_EQ(copy->graph.values().size(), 1u);
}

TEST(LargeGraphs, AHundredThousandReadersOfOneValue) {
  ModelGraph model;
  Graph& g = model.graph;
  Value* x = g.add_input("x", {});
  Value* y = g.add_input("y", {});
  for (int i = 0; i < 100'000; ++i) {
    g.add_output(g.add_node("Relu", "", {x}, {g.add_value(fmt::format("v{}", i))})->output(0));
  }
  g.verify();
  EXPECT_EQ(x->uses().size(), 100'000u);
  g.replace_all_uses(x, y);
  EXPECT_FALSE(x->has_uses());
  EXPECT_EQ(y->uses().size(), 100'000u);
  g.replace_all_uses(y, x);
  g.verify();
  const auto copy = model.clone();
  copy->graph.verify();
}

}  // namespace
}  // namespace plica
