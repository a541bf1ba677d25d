// If, Loop, Scan and SequenceMap by the interpreter, and what inference knows of them.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

// Adds nodes to a graph; subgraphs see the values of the graphs around them.
struct Build {
  Graph* graph;

  Value* input(const char* name, DataType type, std::optional<Shape> shape = std::nullopt) {
    return graph->add_input(name, Type::tensor(type, std::move(shape)));
  }
  Value* constant(Tensor t) { return graph->add_initializer(graph->fresh_name("c"), std::move(t)); }
  Value* op(const char* type, std::vector<Value*> inputs, const NamedAttributes& attributes = {}) {
    Attributes list;
    for (const auto& [name, value] : attributes) list.set(name, value);
    Value* y = graph->add_value(graph->fresh_name(type));
    graph->add_node(type, "", std::move(inputs), {y}, std::move(list));
    return y;
  }
  // A node with an output for each name.
  Node* node(const char* type, std::vector<Value*> inputs, const std::vector<const char*>& outputs,
             const NamedAttributes& attributes = {}) {
    Attributes list;
    for (const auto& [name, value] : attributes) list.set(name, value);
    std::vector<Value*> values;
    for (const char* name : outputs) values.push_back(graph->add_value(name));
    return graph->add_node(type, "", std::move(inputs), std::move(values), std::move(list));
  }
  void output(Value* v) { graph->add_output(v); }
};

struct Model {
  Model() { model.opset_imports = {{"", 21}}; }
  ModelGraph model;
  Build main{&model.graph};
  Build body(Node* node, const char* attribute) { return {model.graph.add_subgraph(node, attribute)}; }
};

std::vector<Tensor> evaluate(const Model& m, const NamedTensors& inputs) {
  m.model.graph.verify();
  return evaluate_graph(m.model.graph, inputs);
}

const Type& type_of(const Model& m, const GraphFacts& facts, size_t output) {
  return facts.at(m.model.graph.outputs()[output]).type;
}

// y = cond ? x + 1 : x[:1], of shapes [2] and [1].
void build_if(Model& m) {
  Value* x = m.main.input("x", DataType::float32, Shape{2});
  Value* cond = m.main.input("cond", DataType::boolean, Shape{});
  Node* node = m.main.node("If", {cond}, {"y"});
  Build then_branch = m.body(node, "then_branch"), else_branch = m.body(node, "else_branch");
  then_branch.output(then_branch.op("Add", {x, then_branch.constant(Tensor::vector({1.f}))}));
  else_branch.output(else_branch.op("Slice", {x, else_branch.constant(Tensor::vector<int64_t>({0})),
                                              else_branch.constant(Tensor::vector<int64_t>({1}))}));
  m.main.output(node->output(0));
}

TEST(Control, IfTakesABranch) {
  Model m;
  build_if(m);
  const Tensor x = Tensor::vector({3.f, 4.f});
  EXPECT_TENSOR(evaluate(m, {{"x", x}, {"cond", Tensor::scalar(true)}})[0], Tensor::vector({4.f, 5.f}));
  EXPECT_TENSOR(evaluate(m, {{"x", x}, {"cond", Tensor::scalar(false)}})[0], Tensor::vector({3.f}));
  EXPECT_EQ(to_string(type_of(m, infer_graph(m.model.graph), 0)), "float32[?]");
  InferOptions known;
  known.input_values[m.model.graph.inputs()[1]] = Tensor::scalar(true);
  EXPECT_EQ(to_string(type_of(m, infer_graph(m.model.graph, known), 0)), "float32[2]");
}

// Inference does not come before a kernel that runs subgraphs.
TEST(Control, SubgraphsMustHaveTheNodesOutputs) {
  Model m;
  Value* cond = m.main.input("cond", DataType::boolean, Shape{});
  Node* node = m.main.node("If", {cond}, {"y", "z"});
  for (const char* branch : {"then_branch", "else_branch"}) {
    Build body = m.body(node, branch);
    body.output(body.op("Identity", {cond}));
  }
  m.main.output(node->output(1));
  expect_error([&] { evaluate(m, {{"cond", Tensor::scalar(true)}}); }, ErrorCode::invalid_model,
               "has 1 outputs, the node 2");

  for (const bool outputs : {true, false}) {
    Model map;
    Value* s = map.main.op("SequenceConstruct", {map.main.input("x", DataType::float32, Shape{2})});
    Node* each = outputs ? map.main.node("SequenceMap", {s}, {"y", "z"}) : map.main.node("SequenceMap", {s, s}, {"y"});
    Build body = map.body(each, "body");
    body.output(body.op("Identity", {body.input("element", DataType::float32)}));
    map.main.output(each->output(0));
    expect_error([&] { evaluate(map, {{"x", Tensor::vector({1.f, 2.f})}}); }, ErrorCode::invalid_model,
                 outputs ? "has 1 outputs, the node 2" : "has 1 inputs, expected 2");
  }
}

TEST(Control, IfNeedsOneBool) {
  Model m;
  build_if(m);
  expect_error(
      [&] {
        evaluate(m, {{"x", Tensor::vector({1.f, 2.f})}, {"cond", Tensor::vector({true, false})}});
      },
      ErrorCode::invalid_argument, "must be one bool");
}

// sum = start; for i < n and sum < limit: sum += i + outer; scan sum.
void build_loop(Model& m) {
  Value* n = m.main.input("n", DataType::int64, Shape{});
  Value* start = m.main.input("start", DataType::int64, Shape{});
  Value* outer = m.main.input("outer", DataType::int64, Shape{});
  Node* node = m.main.node("Loop", {n, nullptr, start}, {"sum", "all"});
  Build body = m.body(node, "body");
  Value* i = body.input("i", DataType::int64, Shape{});
  body.input("cond_in", DataType::boolean, Shape{});
  Value* sum = body.input("sum_in", DataType::int64, Shape{});
  Value* next = body.op("Add", {sum, body.op("Add", {i, outer})});
  body.output(body.op("Less", {next, body.constant(Tensor::scalar<int64_t>(100))}));
  body.output(next);
  body.output(next);
  body.graph->set_type(next, Type::tensor(DataType::int64, Shape{}));
  m.main.output(node->output(0));
  m.main.output(node->output(1));
}

TEST(Control, LoopCarriesAndScans) {
  Model m;
  build_loop(m);
  const auto run = [&](int64_t n, int64_t start, int64_t outer) {
    return evaluate(
        m, {{"n", Tensor::scalar(n)}, {"start", Tensor::scalar(start)}, {"outer", Tensor::scalar(outer)}});
  };
  auto y = run(4, 10, 1);
  EXPECT_TENSOR(y[0], Tensor::scalar<int64_t>(20));
  EXPECT_TENSOR(y[1], Tensor::vector<int64_t>({11, 13, 16, 20}));
  y = run(1000, 0, 40);  // ends by the condition: 40, 81, 123
  EXPECT_TENSOR(y[1], Tensor::vector<int64_t>({40, 81, 123}));
  y = run(0, 7, 0);
  EXPECT_TENSOR(y[0], Tensor::scalar<int64_t>(7));
  EXPECT_TENSOR(y[1], Tensor(DataType::int64, {0}));
  const GraphFacts facts = infer_graph(m.model.graph);
  EXPECT_EQ(to_string(type_of(m, facts, 1)), "int64[...]");
}

TEST(Control, ABodyMustFitItsNode) {
  Model m;
  build_loop(m);
  Node* loop = m.model.graph.nodes()[0];
  m.model.graph.set_input(loop, 2, nullptr);
  m.model.graph.resize_inputs(loop, 2);
  expect_error([&] { infer_graph(m.model.graph); }, ErrorCode::invalid_model, "the body has 3 inputs");
}

// Cumulative sums along axis 1 of x, backward, put on axis 0 of y.
TEST(Control, ScanAlongAnyAxisAndBackward) {
  Model m;
  Value* start = m.main.input("start", DataType::float32, Shape{2});
  Value* x = m.main.input("x", DataType::float32, Shape{2, symbol("T")});
  Node* node = m.main.node("Scan", {start, x}, {"last", "all"},
                           {{"num_scan_inputs", int64_t{1}},
                            {"scan_input_axes", std::vector<int64_t>{-1}},
                            {"scan_input_directions", std::vector<int64_t>{1}},
                            {"scan_output_axes", std::vector<int64_t>{1}}});
  Build body = m.body(node, "body");
  Value* state = body.input("state", DataType::float32);
  Value* sum = body.op("Add", {state, body.input("x_t", DataType::float32)});
  body.output(sum);
  body.output(body.op("Identity", {sum}));
  m.main.output(node->output(0));
  m.main.output(node->output(1));
  const auto y = evaluate(m, {{"start", Tensor::vector({100.f, 200.f})},
                              {"x", Tensor::of({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {2, 3})}});
  EXPECT_TENSOR(y[0], Tensor::vector({106.f, 215.f}));
  EXPECT_TENSOR(y[1], Tensor::of({103.f, 105.f, 106.f, 206.f, 211.f, 215.f}, {2, 3}));
  const GraphFacts facts = infer_graph(m.model.graph);
  EXPECT_EQ(to_string(type_of(m, facts, 0)), "float32[2]");
  EXPECT_EQ(to_string(type_of(m, facts, 1)), "float32[2, T]");
}

TEST(Control, SequenceMapSeesTensorsWhole) {
  Model m;
  Value* a = m.main.input("a", DataType::float32);
  Value* s = m.main.op("SequenceConstruct", {a, m.main.op("Neg", {a})});
  Node* node = m.main.node("SequenceMap", {s, a}, {"mapped"});
  Build body = m.body(node, "body");
  Value* element = body.input("element", DataType::float32);
  body.output(body.op("Concat", {element, body.input("whole", DataType::float32)}, {{"axis", int64_t{0}}}));
  m.main.output(
      m.main.op("ConcatFromSequence", {node->output(0)}, {{"axis", int64_t{0}}, {"new_axis", int64_t{1}}}));
  EXPECT_TENSOR(evaluate(m, {{"a", Tensor::vector({1.f, 2.f})}})[0],
                Tensor::of({1.f, 2.f, 1.f, 2.f, -1.f, -2.f, 1.f, 2.f}, {2, 4}));
}

}  // namespace
}  // namespace plica::test
