// For tests of operators: runs one node of a given opset by infer_node and evaluate_node, and compares
// tensors.
//
//   EXPECT_TENSOR(run("Add", 13, {Tensor::vector({1.f}), Tensor::vector({2.f})}), Tensor::vector({3.f}));
//   Facts y = infer("Relu", 14, {typed(DataType::float32, Shape{Dim::symbol("N"), 3})});
//   expect_error([&] { run("Gather", 13, {x, i}, {{"axis", int64_t{9}}}); }, ErrorCode::invalid_model, "out
//   of range");
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/dispatch.h"
#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica::test {

using NamedAttributes = std::vector<std::pair<std::string, AttributeValue>>;

inline Facts typed(DataType element, std::optional<Shape> shape = std::nullopt) {
  Facts f;
  f.type = Type::tensor(element, std::move(shape));
  return f;
}

inline Dim symbol(const char* name) { return Dim::symbol(name); }

// A model of a single node; an input or output whose flag is false is left out of the node.
class OneNode {
 public:
  OneNode(std::string op_type, int64_t opset, const std::vector<bool>& inputs,
          const NamedAttributes& attributes, const std::vector<bool>& outputs, std::string domain = "") {
    model_.ir_version = 10;
    model_.opset_imports.emplace_back(domain, opset);
    std::vector<Value*> ins, outs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      ins.push_back(inputs[i] ? model_.graph.add_input(fmt::format("x{}", i), Type{}) : nullptr);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      outs.push_back(outputs[i] ? model_.graph.add_value(fmt::format("y{}", i)) : nullptr);
    }
    Attributes list;
    for (const auto& [name, value] : attributes) list.set(name, value);
    node_ = model_.graph.add_node(std::move(op_type), std::move(domain), ins, outs, std::move(list));
  }
  const Node& node() const { return *node_; }

 private:
  ModelGraph model_;
  Node* node_;
};

// Facts of all outputs. An input with Facts of unknown kind and no constant is left out.
inline std::vector<Facts> infer_all(const std::string& op_type, int64_t opset,
                                    const std::vector<Facts>& inputs, const NamedAttributes& attributes = {},
                                    int outputs = 1, const std::string& domain = "") {
  std::vector<bool> given;
  std::vector<const Facts*> pointers;
  for (const Facts& f : inputs) {
    given.push_back(f.type.kind != Type::Kind::unknown);
    pointers.push_back(given.back() ? &f : nullptr);
  }
  OneNode one(op_type, opset, given, attributes, std::vector<bool>(static_cast<size_t>(outputs), true),
              domain);
  return infer_node(one.node(), pointers);
}

inline Facts infer(const std::string& op_type, int64_t opset, const std::vector<Facts>& inputs,
                   const NamedAttributes& attributes = {}, const std::string& domain = "") {
  return infer_all(op_type, opset, inputs, attributes, 1, domain).at(0);
}

// "float32[N, 3]", or "float32[...]"; the type that infer gives.
inline std::string inferred_type(const std::string& op_type, int64_t opset, const std::vector<Facts>& inputs,
                                 const NamedAttributes& attributes = {}, const std::string& domain = "") {
  return to_string(infer(op_type, opset, inputs, attributes, domain).type);
}

// All outputs; an undefined input tensor is left out. Checks that inference from types and shapes alone
// agrees with what evaluation gives, wherever it says anything.
inline std::vector<Tensor> run_all(const std::string& op_type, int64_t opset,
                                   const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {},
                                   int outputs = 1, const std::string& domain = "") {
  std::vector<bool> given;
  std::vector<const Tensor*> pointers;
  std::vector<Facts> shapes_only(inputs.size());
  std::vector<const Facts*> facts;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i];
    given.push_back(t.defined());
    pointers.push_back(t.defined() ? &t : nullptr);
    if (t.defined()) shapes_only[i].type = Facts::of(t).type;
    facts.push_back(t.defined() ? &shapes_only[i] : nullptr);
  }
  OneNode one(op_type, opset, given, attributes, std::vector<bool>(static_cast<size_t>(outputs), true),
              domain);
  auto results = evaluate_node(one.node(), pointers);
  const auto inferred = infer_node(one.node(), facts);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].defined()) continue;
    const Type& type = inferred[i].type;
    if (type.tensor_type() != DataType::undefined) {
      EXPECT_EQ(type.tensor_type(), results[i].type()) << op_type << " output " << i;
    }
    if (!type.shape) continue;
    EXPECT_EQ(type.shape->rank(), results[i].rank()) << op_type << " output " << i;
    for (int d = 0; d < std::min(type.shape->rank(), results[i].rank()); ++d) {
      const Dim& dim = (*type.shape)[d];
      if (!dim.is_known()) continue;
      EXPECT_EQ(dim.value(), results[i].dim(d)) << op_type << " output " << i;
    }
  }
  return results;
}

inline Tensor run(const std::string& op_type, int64_t opset, const std::vector<Tensor>& inputs,
                  const NamedAttributes& attributes = {}, const std::string& domain = "") {
  return run_all(op_type, opset, inputs, attributes, 1, domain).at(0);
}

// The elements as doubles; for numeric types and bool of at least a byte.
inline std::vector<double> doubles(const Tensor& t) {
  return dispatch<NumericAndBoolTypes>(t.type(), [&]<class T>(std::type_identity<T>) {
    std::vector<double> out;
    for (const T& v : t.values<T>()) out.push_back(static_cast<double>(v));
    return out;
  });
}

// A tensor of the type with these values, converted.
inline Tensor tensor(DataType type, Dims dims, const std::vector<double>& values) {
  Tensor t(type, std::move(dims));
  EXPECT_EQ(static_cast<size_t>(t.size()), values.size());
  dispatch<NumericAndBoolTypes>(type, [&]<class T>(std::type_identity<T>) {
    T* out = t.mutable_data<T>();
    for (size_t i = 0; i < std::min(values.size(), static_cast<size_t>(t.size())); ++i) {
      if constexpr (std::is_same_v<ComputeType<T>, T>)
        out[i] = static_cast<T>(values[i]);
      else
        out[i] = T(static_cast<float>(values[i]));
    }
  });
  return t;
}
inline Tensor floats(Dims dims, const std::vector<double>& values) {
  return tensor(DataType::float32, std::move(dims), values);
}
inline Tensor ints(Dims dims, const std::vector<int64_t>& values) {
  return Tensor::of(values, std::move(dims));
}

// 0, step, 2 * step, ... from `start`.
inline Tensor iota(DataType type, Dims dims, double start = 0, double step = 1) {
  std::vector<double> values(static_cast<size_t>(Tensor(type, dims).size()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = start + step * static_cast<double>(i);
  return tensor(type, std::move(dims), values);
}

// Seeded numbers in [low, high), the same on every platform.
inline Tensor random(DataType type, Dims dims, double low = -1, double high = 1, uint64_t seed = 1) {
  std::vector<double> values(static_cast<size_t>(Tensor(type, dims).size()));
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (double& v : values) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    v = low + (high - low) * static_cast<double>(state >> 11) * 0x1p-53;
  }
  return tensor(type, std::move(dims), values);
}

// Same type and dims, and |actual - expected| <= atol + rtol * |expected|; NaN equals NaN.
inline ::testing::AssertionResult tensors_close(const Tensor& actual, const Tensor& expected,
                                                double rtol = 1e-5, double atol = 1e-6) {
  if (!actual.defined()) return ::testing::AssertionFailure() << "the tensor is undefined";
  if (actual.type() != expected.type() || actual.dims() != expected.dims()) {
    return ::testing::AssertionFailure() << to_string(actual) << " instead of " << to_string(expected);
  }
  if (!is_floating(actual.type()) || bits_of(actual.type()) < 16) {
    if (actual.identical_to(expected)) return ::testing::AssertionSuccess();
    auto failure = ::testing::AssertionFailure() << to_string(actual) << " has other elements than expected";
    if (actual.type() == DataType::string)
      return failure << ": "
                     << ::testing::PrintToString(std::vector<std::string>(
                            actual.values<std::string>().begin(), actual.values<std::string>().end()));
    if (is_integer(actual.type()) && bits_of(actual.type()) >= 8)
      failure << ": " << ::testing::PrintToString(doubles(actual));
    return failure;
  }
  const auto a = doubles(actual), e = doubles(expected);
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(e[i]) ? std::isnan(a[i])
                         : a[i] == e[i] || std::abs(a[i] - e[i]) <= atol + rtol * std::abs(e[i]))
      continue;
    return ::testing::AssertionFailure() << "element " << i << " is " << a[i] << ", expected " << e[i];
  }
  return ::testing::AssertionSuccess();
}
#define EXPECT_TENSOR(...) EXPECT_TRUE(::plica::test::tensors_close(__VA_ARGS__))

// `body` throws an Error with that code whose message contains `part`.
inline void expect_error(const std::function<void()>& body, ErrorCode code, const std::string& part) {
  try {
    body();
    ADD_FAILURE() << "no error; expected one with \"" << part << '"';
  } catch (const Error& e) {
    EXPECT_EQ(to_string(e.code()), to_string(code)) << e.what();
    EXPECT_NE(e.message().find(part), std::string::npos) << e.what();
  }
}

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace plica::test
