// Operators of an application's own: a class that says what comes out (infer) and computes it (compute),
// given to a Model with Model::add_operator(). Nothing is registered globally; other models don't know of it.
//
//   class Twice : public plica::CustomOperator {
//     void infer(plica::InferCall& call) const override {
//       call.set_output(0, call.input_type(0), call.input_shape(0));
//     }
//     void compute(plica::ComputeCall& call) const override {
//       const float* x = call.input(0).data<float>();
//       float* y = call.output(0).mutable_data<float>();
//       for (int64_t i = 0; i < call.input(0).size(); ++i) y[i] = 2 * x[i];
//     }
//   };
//   model.add_operator({.domain = "com.example", .name = "Twice"}, std::make_shared<Twice>());
//
// Thread safety: both functions are called from several threads at once, for different calls.
// An exception that they throw ends the call that they were made in, with the node's name in front of its
// message; what is no plica::Error becomes one with the code invalid_argument.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plica/tensor.h"

namespace plica {
class EvaluateContext;
class InferContext;
class Node;
}  // namespace plica

namespace PLICA_API plica {

// What both calls know of the node. An attribute of another type is invalid_model; an absent one is nullopt.
class OperatorCall {
 public:
  OperatorCall(const OperatorCall&) = delete;
  OperatorCall& operator=(const OperatorCall&) = delete;

  int inputs() const;  // as many as the node lists, those that it leaves out among them
  int outputs() const;
  bool has_output(int i) const;  // somebody may read it; the others need not be computed
  int64_t opset() const;         // the version of the operator's domain that the model imports

  std::optional<int64_t> int_attribute(std::string_view name) const;
  std::optional<float> float_attribute(std::string_view name) const;
  std::optional<std::string> string_attribute(std::string_view name) const;
  std::optional<Tensor> tensor_attribute(std::string_view name) const;
  std::optional<std::vector<int64_t>> ints_attribute(std::string_view name) const;
  std::optional<std::vector<float>> floats_attribute(std::string_view name) const;
  std::optional<std::vector<std::string>> strings_attribute(std::string_view name) const;

 protected:
  explicit OperatorCall(const Node& node) : node_(node) {}
  ~OperatorCall() = default;

 private:
  const Node& node_;
};

// Called when a model is loaded, looked at, optimized, and when a plan is made.
class InferCall : public OperatorCall {
 public:
  explicit InferCall(InferContext& context);

  bool has_input(int i) const;
  DataType input_type(int i) const;                // undefined: not known
  std::optional<Shape> input_shape(int i) const;   // nullopt: rank not known
  std::optional<Tensor> input_value(int i) const;  // of a constant
  // Without a shape, it is known only when the operator has computed it (ComputeCall::allocate). What is not
  // set is of unknown type.
  void set_output(int i, DataType type, std::optional<Shape> shape = std::nullopt);

 private:
  InferContext& context_;
};

// Inputs are row-major, of the types and shapes for which infer() was called.
class ComputeCall : public OperatorCall {
 public:
  explicit ComputeCall(EvaluateContext& context);

  bool has_input(int i) const;
  const Tensor& input(int i) const;
  // To write, when infer() gave it a type and a shape that is known now; its contents are uninitialized.
  Tensor& output(int i);
  // The same when it did not.
  Tensor& allocate(int i, DataType type, Dims dims);
  // Calls body(begin, end) on disjoint ranges that cover [0, count), on the session's threads; on this one
  // alone when there are fewer than 2 * grain.
  void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) const;

 private:
  EvaluateContext& context_;
};

class CustomOperator {
 public:
  CustomOperator() = default;
  virtual ~CustomOperator();
  CustomOperator(const CustomOperator&) = delete;
  CustomOperator& operator=(const CustomOperator&) = delete;

  virtual void infer(InferCall& call) const = 0;
  virtual void compute(ComputeCall& call) const = 0;
};

inline constexpr int kAnyNumber = 1 << 20;

// Which nodes an operator is for.
struct OperatorSpec {
  std::string domain, name;           // as the model has them
  int since = 1, until = kAnyNumber;  // opset versions of the domain
  int min_inputs = 0, max_inputs = kAnyNumber;
  int min_outputs = 1, max_outputs = kAnyNumber;
  // Outputs depend on the inputs and attributes alone: the optimizer may compute them once, and merge equal
  // nodes.
  bool deterministic = true;
};

}  // namespace PLICA_API plica
