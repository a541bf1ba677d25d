// Makes the models of random_model.h, node by node: random_model.cpp has what holds values and graph
// together, random_linear.cpp and random_between.cpp the operators.
#pragma once

#include <map>
#include <unordered_map>

#include "engine/ops/infer.h"
#include "tests/passes/build.h"
#include "tests/passes/random_model.h"

namespace plica::testing {

// splitmix64: https://prng.di.unimi.it/splitmix64.c
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int64_t below(int64_t n) { return static_cast<int64_t>(next() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }  // inclusive
  bool chance(int percent) { return below(100) < percent; }
  double real(double low, double high) {
    return low + (high - low) * static_cast<double>(next() >> 11) * 0x1p-53;
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<size_t>(below(static_cast<int64_t>(from.size())))];
  }

 private:
  uint64_t state_;
};

int64_t element_count(const Dims& dims);

enum class Signs { positive, both, some_zero };

class Generator {
 public:
  using Ints = std::vector<int64_t>;

  Generator(uint64_t seed, int nodes);
  RandomModel result();

 private:
  DataType pick_type();
  static int64_t ir_of(int64_t opset) { return opset < 9 ? 3 : opset < 15 ? 7 : opset < 21 ? 8 : 10; }
  // ---- values
  void add_inputs();
  void note(Value* v, Facts facts);
  Dims dims_of(Value* v) const { return *facts_.at(v).type.shape->known(); }
  // The latest value that nobody reads more often, so that chains get long; sometimes any, so that values
  // have several readers.
  Value* any();
  Value* constant(const std::string& name, Dims dims, double low, double high);
  // IR version 3 wants initializers among the inputs.
  Value* keep(const std::string& name, Tensor t);
  Value* ints(const std::string& name, const Ints& values);
  // Factors of the signs that this model has, none so small or large that what it computes leaves float16.
  Value* factors(const std::string& name, const Dims& dims);
  // The node, unless its operator refuses it or the result is too large. Its outputs join the pool.
  bool add(const std::string& op_type, std::vector<Value*> inputs,
           std::vector<NamedAttribute> attributes = {}, int outputs = 1);
  void add_outputs();

  // ---- random_linear.cpp
  bool add_something();
  bool batch_norm(Value* x);
  bool arithmetic(Value* x);
  int64_t group_of(int64_t channels);
  // Sums of products stay as large as what goes in.
  Value* weight(const Dims& dims, int64_t terms);
  // int8 behind a DequantizeLinear, with one scale or one for each channel of axis 0 or 1.
  Value* quantized_weight(const Dims& dims);
  bool linear(Value* x);
  bool conv(Value* x, const Dims& dims);
  bool conv_transpose(Value* x, const Dims& dims);
  bool gemm(Value* x, const Dims& dims);
  bool matmul(Value* x, const Dims& dims);

  // ---- random_between.cpp
  bool between(Value* x);
  bool unary(Value* x, const Dims& dims);
  bool pool(Value* x, const Dims& dims);
  bool reduce(Value* x, int64_t rank);
  // A value with the same dims but for `axis` (-1: no exception).
  Value* like(const Dims& dims, int64_t axis);
  bool concat(Value* x, const Dims& dims);
  bool two_tensors(Value* x, const Dims& dims);
  bool split(Value* x, const Dims& dims);
  bool slice(Value* x, const Dims& dims);
  bool pad(Value* x, int64_t rank);
  bool transpose(Value* x, int64_t rank);
  bool reshape(Value* x, const Dims& dims);
  bool squeeze(Value* x, const Dims& dims);
  bool resize(Value* x, const Dims& dims);
  bool blocks(Value* x, const Dims& dims);

  Random r_;
  const DataType type_;
  const int64_t opset_;
  Build b_;
  bool only_batch_norms_ = false, symbolic_ = false;
  Signs signs_ = Signs::both;
  int linear_bias_ = 50, made_ = 0;
  NamedTensors inputs_;
  std::vector<Value*> pool_;
  std::unordered_map<const Value*, Facts> facts_;
  std::unordered_map<const Value*, bool> grown_;
  std::map<int64_t, std::vector<Value*>> statistics_;
  std::map<Dims, Value*> weights_;
};

}  // namespace plica::testing
