// Shapes that depend on data, subgraphs, sequences and functions: the executor against the interpreter.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <thread>

#include "engine/graph/inline_functions.h"
#include "tests/runtime/runtime_test.h"

namespace plica::testing {
namespace {

// Adds nodes to a subgraph.
struct Body {
  Graph* graph;
  Value* input(const char* name, DataType type) { return graph->add_input(name, Type::tensor(type)); }
  Value* constant(Tensor t) { return graph->add_initializer(graph->fresh_name("c"), std::move(t)); }
  Value* node(const char* op, std::vector<Value*> inputs,
              std::vector<std::pair<std::string, AttributeValue>> attributes = {}) {
    Attributes a;
    for (auto& [name, value] : attributes) a.set(name, std::move(value));
    Value* y = graph->add_value(graph->fresh_name("b"));
    graph->add_node(op, "", std::move(inputs), {y}, std::move(a));
    return y;
  }
};

Body body_of(GraphMaker& g, Value* result, const char* attribute) {
  return {g.graph().add_subgraph(result->producer(), attribute)};
}

void expect_same(const GraphMaker& g, const Executor& executor, const NamedTensors& inputs,
                 float tolerance = 1e-5f) {
  const std::vector<Tensor> expected = evaluate_graph(g.model()->graph, inputs);
  const NamedTensors actual = executor.run(inputs);
  for (size_t i = 0; i < expected.size(); ++i) {
    const Tensor& y = actual.at(g.model()->graph.outputs()[i]->name());
    ASSERT_EQ(to_string(y), to_string(expected[i]));
    if (y.type() != DataType::float32) {
      EXPECT_TRUE(y.identical_to(expected[i]));
      continue;
    }
    for (int64_t k = 0; k < y.size(); ++k)
      ASSERT_NEAR(y.data<float>()[k], expected[i].data<float>()[k], tolerance) << k;
  }
}

// The rows of x in which the first element is positive, through a matrix product and ReLU.
void build_selection(GraphMaker& g) {
  Value* x = g.symbolic_input(Shape{Dim::symbol("rows"), 4});
  Value* first = g.node("Slice", {x, g.ints({0}), g.ints({1}), g.ints({1})});
  Value* rows =
      g.node("Squeeze", {g.node("Slice", {g.node("NonZero", {g.node("Greater", {first, g.scalar(0)})}),
                                          g.ints({0}), g.ints({1}), g.ints({0})}),
                         g.ints({0})});
  Value* picked = g.node("Gather", {x, rows});
  g.output(g.node("Relu", {g.node("MatMul", {picked, g.weights({4, 8})})}));
  g.output(g.node("Shape", {picked}));
  g.output(x);
}

TEST(Dynamic, APlanEndsWhereShapesDependOnData) {
  GraphMaker g;
  build_selection(g);
  const Executor executor(g.model());
  for (int64_t rows : {5, 1, 9, 5, 0}) {
    const std::string name = g.graph().inputs()[0]->name();
    expect_same(g, executor, {{name, g.random({rows, 4})}});
  }
  const PlanInfo info = executor.describe({{g.graph().inputs()[0]->name(), g.random({5, 4})}});
  EXPECT_EQ(info.steps.back().kind, "later");
  EXPECT_THAT(info.steps.back().nodes, ::testing::EndsWith(" nodes"));
}

// A continuation for each of these shapes would take memory and time by the square of their number, and a
// recursion of that depth.
TEST(Dynamic, ThousandsOfShapesThatDependOnDataInARow) {
  GraphMaker g;
  Value* keep = g.input({3}, DataType::boolean);
  Value* x = g.input({3});
  Value* y = x;
  for (int i = 0; i < 4000; ++i) {
    y = g.node("Compress", {y, keep}, {{"axis", int64_t{0}}});
    y = g.node("Slice", {g.node("Concat", {y, x}, {{"axis", int64_t{0}}}), g.ints({0}), g.ints({3})});
  }
  g.output(y);
  const Executor executor(g.model(), {.threads = 1});
  const std::string keep_name = keep->name(), x_name = x->name();
  Tensor flags(DataType::boolean, {3});
  std::ranges::copy(std::array{true, false, true}, flags.mutable_data<bool>());
  // [a, b, c] becomes [a, c, 1]: [1, 3, 1] the first time, [1, 1, 1] from then on.
  const NamedTensors results =
      executor.run({{keep_name, flags}, {x_name, Tensor::of(std::vector<float>{1, 2, 3}, {3})}});
  const Tensor& result = results.at(y->name());
  ASSERT_EQ(result.dims(), (Dims{3}));
  for (float v : result.values<float>()) EXPECT_EQ(v, 1.0f);
}

TEST(Dynamic, ManyThreads) {
  GraphMaker g;
  build_selection(g);
  const Executor executor(g.model(), {.threads = 1, .cached_plans = 2});
  std::vector<NamedTensors> inputs;
  for (int64_t rows = 1; rows < 9; ++rows)
    inputs.push_back({{g.graph().inputs()[0]->name(), g.random({rows, 4})}});
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 24; ++i) expect_same(g, executor, inputs[(i + t) % inputs.size()]);
    });
  }
  for (std::thread& t : threads) t.join();
}

TEST(Dynamic, LoopOfConvolutionsWithWeightsFromOutside) {
  GraphMaker g;
  Value* n = g.input({}, DataType::int64);
  Value* x = g.symbolic_input(Shape{1, 3, Dim::symbol("h"), Dim::symbol("w")});
  Value* weights = g.weights({3, 3, 3, 3});
  Value* offset = g.node("ReduceMean", {x});
  const auto results = g.nodes("Loop", {n, nullptr, x}, 2);
  Body body = body_of(g, results[0], "body");
  body.input("i", DataType::int64);
  Value* go_on = body.input("go_on", DataType::boolean);
  Value* y = body.node("Conv", {body.input("state", DataType::float32), weights},
                       {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  y = body.node("Relu", {body.node("Add", {y, offset})});
  Value* mean = body.node("ReduceMean", {y}, {{"keepdims", int64_t{0}}});
  body.graph->set_type(mean, Type::tensor(DataType::float32, Shape{}));
  for (Value* v : {body.node("Identity", {go_on}), y, mean}) body.graph->add_output(v);
  for (Value* v : results) g.output(v);
  const Executor executor(g.model());
  for (int64_t count : {3, 0, 1}) {
    for (int64_t size : {6, 9}) {
      expect_same(g, executor,
                  {{n->name(), Tensor::scalar(count)}, {x->name(), g.random({1, 3, size, size})}});
    }
  }
}

TEST(Dynamic, LoopWhoseStateGrows) {
  GraphMaker g;
  Value* n = g.input({}, DataType::int64);
  Value* x = g.input({1, 2});
  const auto results = g.nodes("Loop", {n, nullptr, x}, 1);
  Body body = body_of(g, results[0], "body");
  Value* i = body.input("i", DataType::int64);
  Value* go_on = body.input("go_on", DataType::boolean);
  Value* state = body.input("state", DataType::float32);
  Value* last = body.node("Slice", {state, body.constant(Tensor::vector<int64_t>({-1})),
                                    body.constant(Tensor::vector<int64_t>({1 << 20}))});
  Value* next = body.node("Add", {last, body.node("Cast", {i}, {{"to", int64_t{1}}})});
  body.graph->add_output(body.node("Identity", {go_on}));
  body.graph->add_output(body.node("Concat", {state, next}, {{"axis", int64_t{0}}}));
  g.output(results[0]);
  const Executor executor(g.model());
  const NamedTensors inputs = {{n->name(), Tensor::scalar<int64_t>(40)}, {x->name(), g.random({1, 2})}};
  expect_same(g, executor, inputs);

  // The steps of the body run within the Loop's.
  const RunProfile profile = executor.profile(inputs, 2);
  ASSERT_EQ(profile.runs.size(), 2u);
  for (const auto& run : profile.runs) {
    int concats = 0;
    for (const auto& r : run) {
      const bool is_loop = profile.steps[r.step].kind == "Loop";
      EXPECT_EQ(r.depth, is_loop ? 0 : 1);
      EXPECT_LE(r.start + r.duration, profile.durations[static_cast<size_t>(&run - profile.runs.data())]);
      concats += profile.steps[r.step].kind == "Concat";
    }
    EXPECT_EQ(concats, 40);
  }
}

TEST(Dynamic, BranchesWithinBranches) {
  GraphMaker g;
  Value* a = g.input({}, DataType::boolean);
  Value* b = g.input({}, DataType::boolean);
  Value* x = g.input({2, 3});
  Value* scaled = g.node("Mul", {x, g.scalar(2)});
  Value* result = g.node("If", {a});
  Body then_branch = body_of(g, result, "then_branch"), else_branch = body_of(g, result, "else_branch");
  else_branch.graph->add_output(else_branch.node("Neg", {scaled}));
  Value* inner = then_branch.node("If", {b});
  Body inner_then{then_branch.graph->add_subgraph(inner->producer(), "then_branch")};
  Body inner_else{then_branch.graph->add_subgraph(inner->producer(), "else_branch")};
  inner_then.graph->add_output(inner_then.node("Relu", {scaled}));
  inner_else.graph->add_output(x);  // a value of the outermost graph as it is
  then_branch.graph->add_output(inner);
  g.output(g.node("Add", {result, x}));
  const Executor executor(g.model());
  for (bool first : {false, true}) {
    for (bool second : {false, true}) {
      expect_same(g, executor,
                  {{a->name(), Tensor::scalar(first)},
                   {b->name(), Tensor::scalar(second)},
                   {x->name(), g.random({2, 3})}});
    }
  }
}

TEST(Dynamic, Sequences) {
  GraphMaker g;
  Value* x = g.symbolic_input(Shape{Dim::symbol("n"), 3});
  Value* parts = g.node("SplitToSequence", {x}, {{"axis", int64_t{0}}});
  Value* more =
      g.node("SequenceInsert", {parts, g.node("Relu", {x}), g.constant(Tensor::scalar<int64_t>(0))});
  g.output(g.node("ConcatFromSequence", {more}, {{"axis", int64_t{0}}}));
  g.output(g.node("SequenceAt", {more, g.constant(Tensor::scalar<int64_t>(-1))}));
  g.output(more);
  const Executor executor(g.model());
  for (int64_t n : {3, 1, 3}) expect_same(g, executor, {{x->name(), g.random({n, 3})}});
}

TEST(Dynamic, ResultsThatPassThroughAreTheCallers) {
  GraphMaker g;
  Value* x = g.input({2});
  g.output(g.node("Identity", {x}));
  g.output(g.node("SequenceConstruct", {x}));
  const Executor executor(g.model());
  Tensor mine = Tensor::vector({1.f, 2.f});
  const NamedTensors results = executor.run({{x->name(), mine}});
  mine.mutable_data<float>()[0] = 9;
  EXPECT_EQ(results.at(g.graph().outputs()[0]->name()).data<float>()[0], 1.f);
  EXPECT_EQ(results.at(g.graph().outputs()[1]->name()).elements()[0].data<float>()[0], 1.f);
}

TEST(Dynamic, InputsOfTheWrongKind) {
  GraphMaker g;
  Value* s = g.graph().add_input("s", Type::sequence(Type::tensor(DataType::float32)));
  g.output(g.node("SequenceLength", {s}));
  const Executor executor(g.model());
  EXPECT_EQ(executor.run({{"s", Tensor::container(DataType::sequence, {Tensor::scalar(1.f)})}})
                .begin()
                ->second.data<int64_t>()[0],
            1);
  try {
    executor.run({{"s", Tensor::scalar(1.f)}});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(e.message(),
                ::testing::HasSubstr("input 's' is float32[], the model takes sequence(float32[...])"));
  }
}

// f(a, b; alpha = 0.5) = (LeakyRelu(a, alpha), a + g(b), b), of opset 13 in a model of opset 17; g(x) =
// Squeeze(x, axes), of opset 11, where axes are an attribute.
TEST(Dynamic, FunctionsAreInlined) {
  GraphMaker g;
  ModelGraph& model = const_cast<ModelGraph&>(*g.model());
  model.opset_imports.emplace_back("own", 1);
  const auto function = [&](const char* name, int64_t opset) -> Function& {
    auto f = std::make_unique<Function>(&model);
    f->name = name, f->domain = "own", f->opset_imports = {{"", opset}, {"own", 1}};
    model.functions.push_back(std::move(f));
    return *model.functions.back();
  };
  Function& inner = function("g", 11);
  Body in{&inner.graph};
  inner.graph.add_output(
      in.node("Squeeze", {inner.graph.add_input("x", {})}, {{"axes", std::vector<int64_t>{0}}}));
  Function& outer = function("f", 13);
  Attribute half;
  half.name = "alpha", half.value = 0.5f;
  outer.attribute_defaults.set(half);
  Body out{&outer.graph};
  Value *a = outer.graph.add_input("a", {}), *b = outer.graph.add_input("b", {});
  Value* leaky = out.node("LeakyRelu", {a});
  Attribute reference;
  reference.name = reference.ref_name = "alpha", reference.declared_type = AttributeType::float_;
  outer.graph.set_attribute(leaky->producer(), reference);
  Value* squeezed = outer.graph.add_value("squeezed");
  outer.graph.add_node("g", "own", {b}, {squeezed});
  outer.graph.add_output(leaky);
  outer.graph.add_output(out.node("Add", {a, squeezed}));
  outer.graph.add_output(b);

  Value *x = g.input({2}), *y = g.input({1, 2});
  for (float alpha : {0.f, 0.25f}) {
    std::vector<Value*> results;
    for (int i = 0; i < 3; ++i) results.push_back(g.graph().add_value(g.graph().fresh_name("call")));
    Attributes attributes;
    if (alpha != 0) attributes.set("alpha", alpha);
    g.graph().add_node("f", "own", {x, y}, results, std::move(attributes));
    for (Value* v : results) g.output(v);
  }
  const Tensor negative = Tensor::vector({-1.f, 2.f}), row = Tensor::of({10.f, 20.f}, {1, 2});
  const NamedTensors results = Executor(g.model()).run({{x->name(), negative}, {y->name(), row}});
  const auto values = [&](size_t i) {
    const auto span = results.at(g.graph().outputs()[i]->name()).values<float>();
    return std::vector<float>(span.begin(), span.end());
  };
  EXPECT_EQ(values(0), (std::vector<float>{-0.5f, 2}));
  EXPECT_EQ(values(1), (std::vector<float>{9, 22}));
  EXPECT_EQ(values(2), (std::vector<float>{10, 20}));
  EXPECT_EQ(values(3), (std::vector<float>{-0.25f, 2}));
  const auto inlined = model.clone();
  inline_functions(*inlined);
  inlined->graph.verify();
  EXPECT_EQ(inlined->graph.num_nodes(), 8u);
  EXPECT_THROW(inline_functions(*model.clone(), 5), Error);
}

}  // namespace
}  // namespace plica::testing
