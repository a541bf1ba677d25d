// What the runtime's tests share: small graphs, seeded tensors, and the comparison with the reference
// interpreter.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"
#include "runtime/executor.h"

namespace plica::testing {

class GraphMaker {
 public:
  explicit GraphMaker(uint32_t seed = 1, int64_t opset = 17)
      : random_(seed), model_(std::make_shared<ModelGraph>()) {
    model_->ir_version = 8;
    model_->opset_imports = {{"", opset}};
  }

  Graph& graph() { return model_->graph; }
  std::shared_ptr<const ModelGraph> model() const { return model_; }

  // Uniform in [-1, 1].
  Tensor random(const Dims& dims, float low = -1, float high = 1) {
    Tensor t(DataType::float32, dims);
    std::uniform_real_distribution<float> d(low, high);
    for (float& v : t.mutable_values<float>()) v = d(random_);
    return t;
  }
  int64_t pick(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  Value* input(const Dims& dims, DataType type = DataType::float32) {
    return symbolic_input(Shape(dims), type);
  }
  Value* symbolic_input(const Shape& shape, DataType type = DataType::float32) {
    return graph().add_input(graph().fresh_name("x"), Type::tensor(type, shape));
  }
  Value* constant(Tensor t) { return graph().add_initializer(graph().fresh_name("c"), std::move(t)); }
  Value* weights(const Dims& dims) {
    int64_t fan_in = 1;
    for (size_t i = 1; i < dims.size(); ++i) fan_in *= dims[i];
    const float bound = std::sqrt(3.f / static_cast<float>(std::max<int64_t>(fan_in, 1)));
    return constant(random(dims, -bound, bound));
  }
  Value* ints(std::vector<int64_t> values) {
    const auto n = static_cast<int64_t>(values.size());
    return constant(Tensor::of(values, {n}));
  }
  Value* scalar(float v) { return constant(Tensor::scalar(v)); }

  Value* node(std::string op, std::vector<Value*> inputs,
              std::vector<std::pair<std::string, AttributeValue>> attributes = {}) {
    return nodes(std::move(op), std::move(inputs), 1, std::move(attributes))[0];
  }
  std::vector<Value*> nodes(std::string op, std::vector<Value*> inputs, int outputs,
                            std::vector<std::pair<std::string, AttributeValue>> attributes = {}) {
    Attributes a;
    for (auto& [name, value] : attributes) a.set(name, std::move(value));
    std::vector<Value*> out;
    for (int i = 0; i < outputs; ++i) out.push_back(graph().add_value(graph().fresh_name("v")));
    Node* n = graph().add_node(std::move(op), "", std::move(inputs), out, std::move(a));
    n->name = graph().fresh_name("n_" + n->op_type());
    return out;
  }
  void output(Value* v) { graph().add_output(v); }

  // A random value for every input; unknown dims become `unknown`.
  NamedTensors feed(int64_t unknown = 1) {
    NamedTensors inputs;
    for (const Value* v : graph().inputs()) {
      Dims dims;
      for (const Dim& d : v->type().shape->dims()) dims.push_back(d.is_known() ? d.value() : unknown);
      inputs[v->name()] = random(dims);
    }
    return inputs;
  }

 private:
  std::mt19937 random_;
  std::shared_ptr<ModelGraph> model_;
};

// Two ways to sum n products of numbers of magnitude at most m differ by about sqrt(n) * eps * m in practice
// (errors of a random walk); the factor covers the largest of some 10^5 outputs. `reduction` is n.
inline double tolerance(double reduction, double magnitude) {
  return 12 * std::sqrt(reduction) * std::numeric_limits<float>::epsilon() * std::max(magnitude, 1.0);
}
// F(4x4, 3x3) by the points of winograd_kernel.cpp: its errors are 1.5 to 2 times as large as the direct sum's (simulated
// in float32 against float64, 64 and 512 channels). Under the root: 3 times.
inline constexpr double kWinogradFactor = 9;

inline void expect_close(const Tensor& actual, const Tensor& expected, double reduction) {
  ASSERT_EQ(actual.dims(), expected.dims());
  ASSERT_EQ(actual.type(), expected.type());
  if (actual.type() != DataType::float32) {
    EXPECT_TRUE(actual.identical_to(expected));
    return;
  }
  double magnitude = 0, worst = 0;
  int64_t where = 0;
  for (float v : expected.values<float>()) magnitude = std::max(magnitude, std::abs(static_cast<double>(v)));
  for (int64_t i = 0; i < actual.size(); ++i) {
    double d = std::abs(static_cast<double>(actual.data<float>()[i]) - expected.data<float>()[i]);
    if (std::isnan(d)) d = std::numeric_limits<double>::infinity();
    if (d > worst) {
      worst = d;
      where = i;
    }
  }
  EXPECT_LE(worst, tolerance(reduction, magnitude))
      << "at element " << where << " of " << to_string(actual) << ", magnitude " << magnitude;
}

inline std::string steps_of(const PlanInfo& info) {
  std::string text;
  for (const StepInfo& s : info.steps)
    text += s.kind + " [" + s.implementation + "] " + s.layout + " " + s.nodes + "\n";
  return text;
}

// Runs the graph by the executor, twice, and by the interpreter, and compares all outputs.
inline PlanInfo check_against_reference(GraphMaker& g, const NamedTensors& inputs, double reduction = 1,
                                        int threads = 2) {
  const std::vector<Tensor> expected = evaluate_graph(g.graph(), inputs);
  Executor executor(g.model(), {.threads = threads});
  const PlanInfo info = executor.describe(inputs);
  for (int round = 0; round < 2; ++round) {
    const NamedTensors actual = executor.run(inputs);
    for (size_t i = 0; i < expected.size(); ++i) {
      expect_close(actual.at(g.graph().outputs()[i]->name()), expected[i], reduction);
    }
  }
  if (::testing::Test::HasFailure()) ADD_FAILURE() << steps_of(info) << print(g.graph());
  return info;
}

inline int count_steps(const PlanInfo& info, const std::string& kind) {
  int n = 0;
  for (const StepInfo& s : info.steps) n += s.kind == kind;
  return n;
}

}  // namespace plica::testing
