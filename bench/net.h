// What the benchmarks share: a network of one input, timed as the runtime runs it with one thread.
#pragma once

#include <benchmark/benchmark.h>

#include <memory>
#include <random>

#include "runtime/executor.h"

namespace plica {

inline Tensor random(const Dims& dims) {
  static std::mt19937 generator(1);
  std::uniform_real_distribution<float> d(-1, 1);
  Tensor t(DataType::float32, dims);
  for (float& v : t.mutable_values<float>()) v = d(generator);
  return t;
}

struct Net {
  std::shared_ptr<ModelGraph> model = std::make_shared<ModelGraph>();
  Dims dims;

  explicit Net(const Dims& input) : dims(input) {
    model->ir_version = 8;
    model->opset_imports = {{"", 17}};
    model->graph.add_input("x", Type::tensor(DataType::float32, Shape(input)));
  }
  Value* x() { return model->graph.inputs()[0]; }
  Value* constant(const Dims& d) {
    return model->graph.add_initializer(model->graph.fresh_name("c"), random(d));
  }
  Value* node(const char* op, std::vector<Value*> inputs, Attributes attributes = {}) {
    Value* y = model->graph.add_value(model->graph.fresh_name("v"));
    model->graph.add_node(op, "", std::move(inputs), {y}, std::move(attributes));
    return y;
  }
  void run(benchmark::State& state, Value* y, bool exact = false) {
    model->graph.add_output(y);
    const Executor executor(model, {.threads = 1, .exact = exact});
    const NamedTensors inputs = {{"x", random(dims)}};
    executor.run(inputs);
    for (auto _ : state) benchmark::DoNotOptimize(executor.run(inputs));
  }
};

}  // namespace plica
