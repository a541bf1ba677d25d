#include "runtime/executor.h"

#include <atomic>
#include <filesystem>
#include <thread>

#include "engine/onnx/onnx.h"
#include "passes/optimize.h"
#include "runtime/plan/plan_cache.h"
#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

ErrorCode code_of(const std::function<void()>& f, std::string* message = nullptr) {
  try {
    f();
  } catch (const Error& e) {
    if (message) *message = e.message();
    return e.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::internal;
}

// A small residual net with dynamic batch, height and width.
void make_net(GraphMaker& g) {
  Value* x = g.symbolic_input({Dim::symbol("N"), 3, Dim::symbol("H"), Dim::symbol("W")});
  Value* a = g.node("Relu", {g.node("Conv", {x, g.weights({24, 3, 3, 3}), g.constant(g.random({24}))},
                                    {{"pads", Ints{1, 1, 1, 1}}})});
  Value* b = g.node("HardSwish", {g.node("Conv", {a, g.weights({24, 1, 3, 3})},
                                         {{"pads", Ints{1, 1, 1, 1}}, {"group", int64_t{24}}})});
  Value* s =
      g.node("HardSigmoid", {g.node("Conv", {g.node("GlobalAveragePool", {b}), g.weights({24, 24, 1, 1})})});
  Value* c = g.node("Add", {g.node("Conv", {g.node("Mul", {b, s}), g.weights({24, 24, 1, 1})}), a});
  Value* p = g.node("GlobalAveragePool", {g.node("Relu", {c})});
  g.output(g.node("Softmax", {g.node("Gemm", {g.node("Flatten", {p}), g.constant(g.random({10, 24}))},
                                     {{"transB", int64_t{1}}})}));
  g.output(c);
}

TEST(Executor, DynamicBatchAndSize) {
  GraphMaker g;
  make_net(g);
  Executor e(g.model(), {.threads = 2, .cached_plans = 2});
  const std::string name = g.graph().inputs()[0]->name();
  // More shapes than plans, and each twice.
  for (const Dims& dims : {Dims{1, 3, 16, 16}, Dims{4, 3, 16, 16}, Dims{1, 3, 9, 31}, Dims{2, 3, 32, 8},
                           Dims{1, 3, 16, 16}, Dims{1, 3, 1, 1}}) {
    for (int round = 0; round < 2; ++round) {
      const NamedTensors in = {{name, g.random(dims)}};
      const auto expected = evaluate_graph(g.graph(), in);
      const NamedTensors out = e.run(in);
      for (size_t i = 0; i < expected.size(); ++i)
        expect_close(out.at(g.graph().outputs()[i]->name()), expected[i], 300);
    }
  }
}

TEST(Executor, ManyThreadsGiveEqualBits) {
  GraphMaker g;
  make_net(g);
  Executor e(g.model(), {.threads = 2, .cached_plans = 2});
  const std::string name = g.graph().inputs()[0]->name();
  std::vector<NamedTensors> in, expected;
  for (const Dims& dims : {Dims{1, 3, 16, 16}, Dims{2, 3, 11, 13}, Dims{1, 3, 24, 8}}) {
    in.push_back({{name, g.random(dims)}});
    expected.push_back(e.run(in.back()));
  }
  std::atomic<int> different = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 12; ++i) {
        const size_t k = static_cast<size_t>(t + i) % in.size();
        const NamedTensors out = e.run(in[k]);
        for (const auto& [n, tensor] : expected[k]) different += !out.at(n).identical_to(tensor);
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(different, 0);
}

TEST(Executor, ResultsAreTheCallers) {
  GraphMaker g;
  Value* x = g.input({2, 3});
  g.output(x);
  g.output(g.node("Identity", {x}));
  g.output(g.node("Reshape", {x, g.ints({6})}));
  g.output(g.constant(Tensor::vector<float>({1, 2})));
  Value* r = g.node("Relu", {x});
  g.output(r);
  g.output(g.node("Flatten", {r}));
  Executor e(g.model());
  NamedTensors in = g.feed();
  NamedTensors first = e.run(in);
  const NamedTensors second = e.run(in);
  const Tensor before = in.begin()->second.clone();
  for (auto& [name, tensor] : first) {
    for (const auto& [other, t] : second) EXPECT_NE(tensor.raw(), t.raw());
    for (float& v : tensor.mutable_values<float>()) v = -7;
  }
  EXPECT_TRUE(in.begin()->second.identical_to(before));
  const auto expected = evaluate_graph(g.graph(), in);
  const NamedTensors third = e.run(in);
  for (size_t i = 0; i < expected.size(); ++i)
    expect_close(third.at(g.graph().outputs()[i]->name()), expected[i], 1);
}

TEST(Executor, SharesPackedWeightsBetweenPlans) {
  GraphMaker g;
  Value* x = g.symbolic_input({Dim::symbol("N"), 16, 8, 8});
  g.output(g.node("Conv", {x, g.weights({32, 16, 1, 1})}));
  Executor e(g.model());
  const std::string name = g.graph().inputs()[0]->name();
  const size_t bytes = e.describe({{name, g.random({1, 16, 8, 8})}}).constant_bytes;
  EXPECT_GE(bytes, 32u * 16 * 4);
  EXPECT_LE(bytes, 32u * 16 * 4 + 1024);
}

TEST(Executor, ShapeInputsByValue) {
  GraphMaker g;
  Value* x = g.input({2, 6});
  Value* shape = g.input({2}, DataType::int64);
  g.output(g.node("Relu", {g.node("Reshape", {x, shape})}));
  Executor e(g.model());
  const Tensor data = g.random({2, 6});
  for (const Dims& dims : {Dims{3, 4}, Dims{4, 3}, Dims{12, 1}}) {
    const NamedTensors out = e.run({{x->name(), data}, {shape->name(), Tensor::of(dims, {2})}});
    EXPECT_EQ(out.begin()->second.dims(), dims);
  }
  EXPECT_THROW(e.run({{x->name(), data}, {shape->name(), Tensor::vector<int64_t>({5, 5})}}), Error);
}

// x + 1.5 * 2^23 - 1.5 * 2^23 is x as a whole number, behind a convolution and by its bias too.
TEST(Executor, OffsetsThatRoundAreAddedByThemselves) {
  for (const bool by_channel : {false, true}) {
    GraphMaker g;
    Value* y = g.node("Conv", {g.input({1, 2, 4, 4}), g.weights({3, 2, 1, 1})});
    Value* offset = by_channel ? g.constant(Tensor::of({12582912.f, 12582912.f, 12582912.f}, {3, 1, 1}))
                               : g.scalar(12582912);
    g.output(g.node("Sub", {g.node("Add", {y, offset}), offset}));
    const NamedTensors results = Executor(g.model()).run(g.feed());
    for (float v : results.begin()->second.values<float>()) EXPECT_EQ(v, std::round(v));
  }
}

TEST(Executor, OverridableInitializers) {
  GraphMaker g;
  Value* x = g.input({3});
  Value* scale = g.input({3});
  g.graph().set_initializer(scale, Tensor::vector<float>({1, 2, 3}));
  g.output(g.node("Mul", {x, scale}));
  Executor e(g.model());
  const Tensor ones = Tensor::vector<float>({1, 1, 1});
  EXPECT_EQ(e.run({{x->name(), ones}}).begin()->second.data<float>()[2], 3);
  const Tensor other = Tensor::vector<float>({4, 5, 6});
  EXPECT_EQ(e.run({{x->name(), ones}, {scale->name(), other}}).begin()->second.data<float>()[2], 6);
  EXPECT_EQ(e.run({{x->name(), ones}}).begin()->second.data<float>()[2], 3);
}

TEST(Executor, Errors) {
  GraphMaker g;
  Value* x = g.symbolic_input({Dim::symbol("N"), 3});
  Value* y = g.symbolic_input({Dim::symbol("N"), 3});
  g.output(g.node("Add", {x, y}));
  Executor e(g.model());
  const Tensor good = g.random({2, 3});
  const auto run = [&](NamedTensors in) { return [&e, in = std::move(in)] { e.run(in); }; };
  std::string message;
  EXPECT_EQ(code_of(run({{x->name(), good}}), &message), ErrorCode::invalid_argument);
  EXPECT_NE(message.find(y->name()), std::string::npos);
  EXPECT_EQ(code_of(run({{x->name(), good}, {y->name(), good}, {"nobody", good}}), &message),
            ErrorCode::invalid_argument);
  EXPECT_NE(message.find("nobody"), std::string::npos);
  EXPECT_EQ(code_of(run({{x->name(), good}, {y->name(), g.random({2, 4})}})), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(run({{x->name(), good}, {y->name(), g.random({2})}})), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(run({{x->name(), good}, {y->name(), g.random({4, 3})}}), &message),
            ErrorCode::invalid_argument);
  EXPECT_NE(message.find("N"), std::string::npos);
  EXPECT_EQ(code_of(run({{x->name(), good}, {y->name(), Tensor::zeros(DataType::int64, {2, 3})}})),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(run({{x->name(), good}, {y->name(), Tensor()}})), ErrorCode::invalid_argument);
  e.run({{x->name(), good}, {y->name(), good}});
}

TEST(Executor, ListsAllUnsupportedOperators) {
  GraphMaker g;
  Value* x = g.input({3});
  g.output(g.node("NoSuchOperator", {g.node("NeitherThis", {g.node("Relu", {x})})}));
  std::string message;
  EXPECT_EQ(code_of([&] { Executor e(g.model()); }, &message), ErrorCode::unsupported);
  for (const char* part : {"NoSuchOperator", "NeitherThis", "n_NoSuchOperator", "n_NeitherThis"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
  EXPECT_EQ(message.find("Relu"), std::string::npos) << message;
}

// ---- no slow implementation

void expect_no_reference(const PlanInfo& info) {
  for (const StepInfo& s : info.steps)
    EXPECT_EQ(s.implementation.find("ref"), std::string::npos)
        << s.kind << " " << s.nodes << " " << s.implementation;
}

TEST(Implementations, SyntheticNets) {
  GraphMaker g;
  make_net(g);
  const PlanInfo info =
      check_against_reference(g, {{g.graph().inputs()[0]->name(), g.random({1, 3, 32, 32})}}, 300);
  expect_no_reference(info);
  EXPECT_EQ(info.arena_lower_bound <= info.arena_bytes, true);
  for (const StepInfo& s : info.steps) EXPECT_NE(s.implementation, "evaluate") << s.kind;
}

TEST(Implementations, DigitsModel) {
  const std::filesystem::path path = std::filesystem::path(PLICA_SOURCE_DIR) / "models/digits/digits.onnx";
  auto model = load_model(path);
  for (const bool optimized : {false, true}) {
    if (optimized) optimize(*model);
    std::shared_ptr<const ModelGraph> graph = model->clone();
    Executor e(graph, {.threads = 2});
    GraphMaker random;
    NamedTensors in;
    for (const Value* v : graph->graph.inputs()) {
      if (v->initializer()) continue;
      Dims dims;
      for (const Dim& d : v->type().shape->dims()) dims.push_back(d.is_known() ? d.value() : 2);
      in[v->name()] = random.random(dims);
    }
    const PlanInfo info = e.describe(in);
    std::printf("%s", steps_of(info).c_str());
    expect_no_reference(info);
    const auto expected = evaluate_graph(graph->graph, in);
    const NamedTensors out = e.run(in);
    for (size_t i = 0; i < expected.size(); ++i)
      expect_close(out.at(graph->graph.outputs()[i]->name()), expected[i], 64 * kWinogradFactor);
  }
}

TEST(PlanCache, KeepsTheRecentOnes) {
  PlanCache cache(2);
  int compiled = 0;
  const auto get = [&](const char* key) {
    return cache.get(key, [&] {
      ++compiled;
      return std::make_shared<const Plan>();
    });
  };
  const auto a = get("a");
  EXPECT_EQ(get("a"), a);
  get("b");
  get("a");
  get("c");  // b goes
  EXPECT_EQ(cache.size(), 2u);
  EXPECT_EQ(get("a"), a);
  EXPECT_EQ(compiled, 3);
  get("b");
  EXPECT_EQ(compiled, 4);
  EXPECT_THROW(cache.get("d", []() -> std::shared_ptr<const Plan> { throw Error(ErrorCode::limit, "no"); }),
               Error);
  EXPECT_LE(cache.size(), 2u);
  get("d");
  EXPECT_EQ(compiled, 5);
}

}  // namespace
}  // namespace plica::testing
