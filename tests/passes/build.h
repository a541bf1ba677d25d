// Builds small models for the tests of the passes, and compares what they compute.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/core/dispatch.h"
#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"
#include "passes/constants.h"
#include "passes/optimize.h"

namespace plica::testing {

// Uniform in [low, high), from the seed alone.
inline Tensor random_tensor(DataType type, Dims dims, uint64_t seed, double low = -1, double high = 1) {
  Tensor t(type, std::move(dims));
  std::mt19937_64 engine(seed);
  dispatch<FloatTypes>(type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (T& v : t.mutable_values<T>()) {
      const double unit = static_cast<double>(engine() >> 11) * 0x1p-53;
      v = static_cast<T>(static_cast<ComputeType<T>>(low + (high - low) * unit));
    }
  });
  return t;
}

inline Tensor tensor_of(DataType type, const std::vector<double>& values, Dims dims) {
  Tensor t(type, std::move(dims));
  dispatch<FloatTypes>(type, [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (size_t i = 0; i < values.size(); ++i)
      t.mutable_data<T>()[i] = static_cast<T>(static_cast<ComputeType<T>>(values[i]));
  });
  return t;
}

struct NamedAttribute {
  std::string name;
  AttributeValue value;
};

class Build {
 public:
  explicit Build(DataType type = DataType::float32, int64_t opset = 17, int64_t ir_version = 8)
      : type(type), model(std::make_unique<ModelGraph>()), graph(&model->graph) {
    model->ir_version = ir_version;
    model->opset_imports = {{"", opset}};
    model->graph.name = "test";
  }

  // The same builder, adding to another graph of the model.
  Build in(Graph& other) const {
    Build b = *this;
    b.graph = &other;
    return b;
  }

  Value* input(const std::string& name, std::vector<Dim> dims) {
    return graph->add_input(name, Type::tensor(type, Shape(std::move(dims))));
  }
  Value* constant(const std::string& name, Tensor tensor) {
    return graph->add_initializer(graph->fresh_name(name), std::move(tensor));
  }
  Value* random(const std::string& name, Dims dims, double low = -1, double high = 1) {
    return constant(name, random_tensor(type, std::move(dims), next_seed(), low, high));
  }
  Value* numbers(const std::string& name, const std::vector<double>& values, Dims dims) {
    return constant(name, tensor_of(type, values, std::move(dims)));
  }

  // A node named `name` whose first output has that name too.
  Value* op(const std::string& op_type, const std::string& name, std::vector<Value*> inputs,
            std::vector<NamedAttribute> attributes = {}) {
    Attributes list;
    for (NamedAttribute& a : attributes) list.set(std::move(a.name), std::move(a.value));
    Value* y = graph->add_value(graph->fresh_name(name));
    graph->add_node(op_type, "", std::move(inputs), {y}, std::move(list))->name = name;
    return y;
  }

  struct Statistics {
    Value *scale, *bias, *mean, *variance;
  };
  Statistics statistics(const std::string& name, int64_t channels) {
    return {random(name + ".scale", {channels}, -2, 2), random(name + ".bias", {channels}),
            random(name + ".mean", {channels}), random(name + ".var", {channels}, 0.05, 3)};
  }
  Value* batch_norm(const std::string& name, Value* x, int64_t channels,
                    std::vector<NamedAttribute> attributes = {}) {
    const Statistics s = statistics(name, channels);
    return op("BatchNormalization", name, {x, s.scale, s.bias, s.mean, s.variance}, std::move(attributes));
  }

  void output(Value* v, int rank = -1) {
    if (v->type().kind == Type::Kind::unknown) {
      graph->set_type(v, rank < 0 ? Type::tensor(type)
                                  : Type::tensor(type, Shape(std::vector<Dim>(static_cast<size_t>(rank)))));
    }
    graph->add_output(v);
  }

  uint64_t next_seed() { return ++*seed_; }

  DataType type;
  std::shared_ptr<ModelGraph> model;
  Graph* graph;

 private:
  std::shared_ptr<uint64_t> seed_ = std::make_shared<uint64_t>(0);
};

inline int count_ops(const Graph& graph, std::string_view op_type) {
  int count = 0;
  for (const Node* n : graph.nodes()) {
    count += n->is(op_type);
    for_each_subgraph(n->attributes(), [&](const Graph& sub) { count += count_ops(sub, op_type); });
  }
  return count;
}

inline Node* find_node(const Graph& graph, std::string_view name) {
  for (Node* n : graph.nodes()) {
    if (n->name == name) return n;
  }
  return nullptr;
}

// Seeded inputs for the graph; symbols and unknown dims become 2.
inline NamedTensors random_inputs(const Graph& graph, uint64_t seed = 1000) {
  NamedTensors inputs;
  for (const Value* v : graph.inputs()) {
    if (v->initializer()) continue;
    Dims dims;
    for (const Dim& d : *v->type().shape) dims.push_back(d.is_known() ? d.value() : 2);
    if (v->type().element == DataType::boolean) {
      inputs[v->name()] = Tensor::of<bool>({seed % 2 == 0}, dims);
    } else {
      inputs[v->name()] = random_tensor(v->type().element, dims, seed++, -2, 2);
    }
  }
  return inputs;
}

inline double tolerance_of(DataType type) {
  switch (type) {
    case DataType::float64:
      return 1e-13;
    case DataType::float16:
      return 4e-3;
    case DataType::bfloat16:
      return 3e-2;
    default:
      return 4e-6;
  }
}

// Every element within tolerance * the largest magnitude.
inline void expect_close(const Tensor& before, const Tensor& after, double tolerance) {
  ASSERT_EQ(before.type(), after.type());
  ASSERT_EQ(before.dims(), after.dims());
  const std::vector<double> a = to_doubles(before), b = to_doubles(after);
  double largest = 0, worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(std::isfinite(a[i])) << "the test's own model overflows";
    largest = std::max(largest, std::abs(a[i]));
    worst = std::isfinite(b[i]) ? std::max(worst, std::abs(a[i] - b[i])) : INFINITY;
  }
  EXPECT_LE(worst, tolerance * largest) << "largest magnitude " << largest;
}

inline void expect_same_results(const Graph& before, const Graph& after, double tolerance) {
  for (const uint64_t seed : {1000u, 2001u}) {
    const NamedTensors inputs = random_inputs(before, seed);
    const auto a = evaluate_graph(before, inputs), b = evaluate_graph(after, inputs);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], tolerance);
  }
}

// Without the rules that simplify what is not a batch norm's business: for tests that say which nodes folding
// leaves.
inline OptimizeOptions folding_alone() {
  OptimizeOptions options;
  options.disable = {"merge_casts",         "remove_no_op_layout",       "remove_no_op_pool",
                     "remove_no_op_resize", "remove_neutral_arithmetic", "remove_repeated_function",
                     "merge_clips",         "simplify_layout",           "fuse_gemm",
                     "merge_duplicates"};
  return options;
}

// Optimizes and checks what always holds: the graph is valid, as long as before or shorter, its inputs and
// outputs have their names, it computes the same, every batch norm has a verdict, and a second run changes
// nothing.
inline OptimizeReport optimize_and_check(Build& b, OptimizeOptions options = {}, double tolerance = -1) {
  const auto before = b.model->clone();
  const int norms = [&] {
    int n = count_ops(before->graph, "BatchNormalization");
    for (const auto& f : before->functions) n += count_ops(f->graph, "BatchNormalization");
    return n;
  }();
  OptimizeReport report = optimize(*b.model, options);
  b.model->graph.verify();
  EXPECT_LE(report.nodes_after, report.nodes_before);
  EXPECT_EQ(static_cast<int>(report.batch_norms.size()), norms);
  EXPECT_EQ(before->graph.outputs().size(), b.model->graph.outputs().size());
  for (size_t i = 0; i < before->graph.outputs().size(); ++i) {
    EXPECT_EQ(before->graph.outputs()[i]->name(), b.model->graph.outputs()[i]->name());
  }
  expect_same_results(before->graph, b.model->graph, tolerance < 0 ? tolerance_of(b.type) : tolerance);

  const std::string once = print(b.model->graph);
  const OptimizeReport again = optimize(*b.model, options);
  if (options.max_rewrites < 0) {
    EXPECT_TRUE(again.rules.empty()) << "the second run applied " << again.rules.begin()->first;
    EXPECT_EQ(once, print(b.model->graph));
  }
  return report;
}

}  // namespace plica::testing
