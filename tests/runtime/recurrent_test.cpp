// RNN, GRU and LSTM as plans compute them, against the interpreter.
#include <thread>

#include "runtime_test.h"

namespace plica::testing {
namespace {

struct Layer {
  std::string op = "LSTM";
  int64_t steps = 5, batch = 3, input = 7, hidden = 6;
  std::string direction = "forward";
  int64_t layout = 0;
  bool bias = true, state = false, cell = false, peepholes = false;
  bool constant_state = false;
  std::vector<int32_t> lengths;
  std::vector<bool> outputs = {true, true, true};
  std::vector<std::pair<std::string, AttributeValue>> more;

  int64_t directions() const { return direction == "bidirectional" ? 2 : 1; }
  int64_t gates() const { return op == "LSTM" ? 4 : op == "GRU" ? 3 : 1; }
};

// Every result is a function of sums over steps of input + hidden products each; an error in a state goes on
// to the next step with the weights' norm, about 1, and the functions' slope, at most 1. Two such sums differ
// as two sums of steps * (input + hidden) products do. sigmoid and tanh have errors of a few units in the
// last place on both sides, once a step: the third term.
double products(const Layer& l) {
  return static_cast<double>(std::max<int64_t>(l.steps, 1) * (l.input + l.hidden + 4));
}

void add_layer(GraphMaker& g, const Layer& l, Value* x = nullptr) {
  const int64_t d = l.directions(), rows = l.gates() * l.hidden;
  if (!x) x = g.input(l.layout == 0 ? Dims{l.steps, l.batch, l.input} : Dims{l.batch, l.steps, l.input});
  const auto matrix = [&](int64_t columns) {
    const float bound = std::sqrt(3.f / static_cast<float>(columns));
    return g.constant(g.random({d, rows, columns}, -bound, bound));
  };
  const auto state = [&](bool given) -> Value* {
    if (!given) return nullptr;
    const Dims dims = l.layout == 0 ? Dims{d, l.batch, l.hidden} : Dims{l.batch, d, l.hidden};
    return l.constant_state ? g.constant(g.random(dims)) : g.input(dims);
  };
  std::vector<Value*> inputs = {x, matrix(l.input), matrix(l.hidden)};
  inputs.push_back(l.bias ? g.constant(g.random({d, 2 * rows})) : nullptr);
  const auto count = static_cast<int64_t>(l.lengths.size());
  inputs.push_back(count > 0 ? g.constant(Tensor::of(l.lengths, {count})) : nullptr);
  inputs.push_back(state(l.state));
  if (l.op == "LSTM") {
    inputs.push_back(state(l.cell));
    inputs.push_back(l.peepholes ? g.constant(g.random({d, 3 * l.hidden})) : nullptr);
  }
  while (!inputs.back()) inputs.pop_back();
  Attributes attributes;
  attributes.set("hidden_size", l.hidden);
  attributes.set("direction", l.direction);
  attributes.set("layout", l.layout);
  for (const auto& [name, value] : l.more) attributes.set(name, value);
  std::vector<Value*> outputs;
  for (size_t i = 0; i < (l.op == "LSTM" ? 3u : 2u); ++i) {
    outputs.push_back(l.outputs[i] ? g.graph().add_value(g.graph().fresh_name("y")) : nullptr);
  }
  g.graph().add_node(l.op, "", inputs, outputs, std::move(attributes))->name = "layer";
  for (Value* y : outputs) {
    if (y) g.output(y);
  }
}

std::string implementation(const PlanInfo& info, const std::string& op) {
  for (const StepInfo& s : info.steps) {
    if (s.kind == op) return s.implementation;
  }
  return "none";
}

void check(const Layer& l, bool by_primitive, uint32_t seed = 1) {
  GraphMaker g(seed, 14);
  add_layer(g, l);
  const PlanInfo info = check_against_reference(g, g.feed(), products(l));
  EXPECT_EQ(implementation(info, l.op) != "evaluate", by_primitive) << steps_of(info);
}

using Strings = std::vector<std::string>;

TEST(Recurrent, RandomLayers) {
  std::mt19937 random(7);
  const auto pick = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  const auto coin = [&] { return pick(0, 1) == 1; };
  for (uint32_t i = 0; i < 120; ++i) {
    Layer l;
    l.op = std::array{"LSTM", "GRU", "RNN"}[i % 3];
    l.steps = pick(1, 9);
    l.batch = coin() ? 1 : pick(1, 9);
    l.input = pick(1, 40);
    l.hidden = pick(1, 40);
    l.direction = std::array{"forward", "reverse", "bidirectional"}[static_cast<size_t>(pick(0, 2))];
    l.layout = pick(0, 1);
    l.bias = coin();
    l.state = coin();
    l.cell = coin();
    l.constant_state = coin();
    l.peepholes = l.op == "LSTM" && coin();
    if (coin()) l.lengths.assign(static_cast<size_t>(l.batch), static_cast<int32_t>(l.steps));
    l.outputs = {coin(), coin(), coin()};
    l.outputs[static_cast<size_t>(pick(0, 1))] = true;
    if (l.op == "GRU") l.more = {{"linear_before_reset", pick(0, 1)}};
    if (l.op == "RNN") {
      const std::string f = std::array{"Relu", "Tanh", "Sigmoid"}[static_cast<size_t>(pick(0, 2))];
      l.more = {{"activations", Strings(static_cast<size_t>(l.directions()), f)}};
    }
    SCOPED_TRACE("layer " + std::to_string(i));
    check(l, true, i);
    if (HasFailure()) return;
  }
}

TEST(Recurrent, LargerLayers) {
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    for (const int64_t batch : {1, 2, 40}) {
      Layer l;
      l.op = op;
      l.steps = 12;
      l.batch = batch;
      l.input = 96;
      l.hidden = 130;
      l.direction = "bidirectional";
      SCOPED_TRACE(op + std::to_string(batch));
      check(l, true);
    }
  }
}

TEST(Recurrent, OtherCellsAreTheInterpreters) {
  Layer l;
  l.more = {{"clip", 0.5f}};
  check(l, false);
  l.more = {{"input_forget", int64_t{1}}};
  check(l, false);
  l.more = {{"activations", Strings{"HardSigmoid", "Tanh", "Tanh"}}};
  check(l, false);
  l.more = {};
  l.lengths = {5, 2, 4};
  check(l, false);
  Layer two;
  two.op = "RNN";
  two.direction = "bidirectional";
  two.more = {{"activations", Strings{"Relu", "Tanh"}}};
  check(two, false);
}

TEST(Recurrent, NothingToCompute) {
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    for (const auto& [steps, batch] : {std::pair{0, 3}, {5, 0}, {0, 0}}) {
      Layer l;
      l.op = op;
      l.steps = steps;
      l.batch = batch;
      l.state = true;
      check(l, false);
    }
  }
}

TEST(Recurrent, LengthsThatOnlyTheRunKnows) {
  GraphMaker g(3, 14);
  Value* x = g.input({5, 2, 4});
  Value* lengths = g.input({2}, DataType::int32);
  g.output(g.node("GRU", {x, g.weights({1, 18, 4}), g.weights({1, 18, 6}), nullptr, lengths},
                  {{"hidden_size", int64_t{6}}}));
  const NamedTensors inputs = {{x->name(), g.random({5, 2, 4})},
                               {lengths->name(), Tensor::of(std::vector<int32_t>{2, 5}, {2})}};
  const PlanInfo info = check_against_reference(g, inputs, 50);
  EXPECT_EQ(implementation(info, "GRU"), "evaluate");
}

TEST(Recurrent, WeightsThatOnlyTheRunKnows) {
  GraphMaker g(3, 14);
  Value *x = g.input({5, 2, 4}), *w = g.input({1, 24, 4}), *r = g.input({1, 24, 6});
  g.output(g.node("LSTM", {x, w, r}, {{"hidden_size", int64_t{6}}}));
  const PlanInfo info = check_against_reference(g, g.feed(), 50);
  EXPECT_EQ(implementation(info, "LSTM"), "evaluate");
}

TEST(Recurrent, ShapesThatOnlyTheRunKnows) {
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    GraphMaker g(5, 14);
    Layer l;
    l.op = op;
    l.direction = "bidirectional";
    add_layer(g, l, g.symbolic_input({Dim::symbol("steps"), Dim::symbol("batch"), Dim(l.input)}));
    const Executor executor(g.model(), {.threads = 1});
    for (const Dims& dims : {Dims{4, 1, 7}, Dims{9, 2, 7}, Dims{0, 1, 7}, Dims{4, 1, 7}}) {
      const NamedTensors inputs = {{g.graph().inputs()[0]->name(), g.random(dims)}};
      const std::vector<Tensor> expected = evaluate_graph(g.graph(), inputs);
      const NamedTensors actual = executor.run(inputs);
      for (size_t i = 0; i < expected.size(); ++i)
        expect_close(actual.at(g.graph().outputs()[i]->name()), expected[i], 9 * 17);
    }
  }
}

// A layer after another, and one that feeds a Concat, whose parts are computed in place.
TEST(Recurrent, BetweenOthers) {
  for (const int64_t batch : {1, 4}) {
    GraphMaker g(9, 14);
    Value* x = g.input({6, batch, 8});
    const auto layer = [&](Value* from, const char* direction) {
      const std::vector<Value*> y =
          g.nodes("GRU", {from, g.weights({1, 24, 8}), g.weights({1, 24, 8})}, 2,
                  {{"hidden_size", int64_t{8}}, {"direction", std::string(direction)}});
      return g.node("Squeeze", {y[0], g.ints({1})});
    };
    Value *a = layer(g.node("Relu", {x}), "forward"), *b = layer(x, "reverse");
    g.output(layer(g.node("Tanh", {a}), "forward"));
    g.output(g.node("Concat", {b, a}, {{"axis", int64_t{0}}}));
    check_against_reference(g, g.feed(), 2 * 6 * 20);
  }
}

TEST(Recurrent, OneExecutorFromTwoThreads) {
  for (const char* op : {"LSTM", "GRU", "RNN"}) {
    GraphMaker g(11, 14);
    Layer l;
    l.op = op;
    l.steps = 20;
    l.hidden = 32;
    l.direction = "bidirectional";
    add_layer(g, l);
    const Executor executor(g.model(), {.threads = 1});
    const NamedTensors inputs[2] = {g.feed(), g.feed()};
    const NamedTensors expected[2] = {executor.run(inputs[0]), executor.run(inputs[1])};
    int wrong[2] = {};
    const auto work = [&](int which) {
      for (int i = 0; i < 50; ++i) {
        const NamedTensors actual = executor.run(inputs[which]);
        for (const auto& [name, tensor] : expected[which])
          wrong[which] += !actual.at(name).identical_to(tensor);
      }
    };
    std::thread other(work, 1);
    work(0);
    other.join();
    EXPECT_EQ(wrong[0] + wrong[1], 0) << op;
  }
}

}  // namespace
}  // namespace plica::testing
