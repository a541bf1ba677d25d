#include "plica/custom_operator.h"

#include <utility>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/graph/model_graph.h"
#include "engine/ops/custom_operators.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "plica/model.h"

namespace plica {
namespace {

template <class T>
std::optional<T> attribute(const Node& node, std::string_view name, std::string_view type) {
  const Attribute* found = node.attributes().find(name);
  if (!found) return std::nullopt;
  const T* value = std::get_if<T>(&found->value);
  require(value != nullptr, ErrorCode::invalid_model, "attribute {} is of type {}, the operator takes {}",
          quoted(name), to_string(type_of(found->value)), type);
  return *value;
}

// A list without elements has no type in a file.
template <class T>
std::optional<std::vector<T>> list_attribute(const Node& node, std::string_view name, std::string_view type) {
  const Attribute* found = node.attributes().find(name);
  if (found && std::visit(
                   [](const auto& value) {
                     if constexpr (requires {
                                     value.empty();
                                     value.push_back(value.front());
                                   })
                       return value.empty();
                     return false;
                   },
                   found->value)) {
    if (!std::holds_alternative<std::string>(found->value)) return std::vector<T>();
  }
  return attribute<std::vector<T>>(node, name, type);
}

void check_index(int i, int count, const char* what) {
  require(0 <= i && i < count, ErrorCode::invalid_argument, "there is no {} {}: the node has {}", what, i,
          count);
}

class Kernel : public CustomKernel {
 public:
  explicit Kernel(std::shared_ptr<const CustomOperator> op) : op_(std::move(op)) {}
  void infer(InferContext& context) const override {
    InferCall call(context);
    op_->infer(call);
  }
  void evaluate(EvaluateContext& context) const override {
    ComputeCall call(context);
    op_->compute(call);
  }

 private:
  const std::shared_ptr<const CustomOperator> op_;
};

}  // namespace

CustomOperator::~CustomOperator() = default;

int OperatorCall::inputs() const { return node_.num_inputs(); }
int OperatorCall::outputs() const { return node_.num_outputs(); }
bool OperatorCall::has_output(int i) const { return i >= 0 && node_.has_output(i); }
int64_t OperatorCall::opset() const { return node_.opset(); }

std::optional<int64_t> OperatorCall::int_attribute(std::string_view name) const {
  return attribute<int64_t>(node_, name, "int");
}
std::optional<float> OperatorCall::float_attribute(std::string_view name) const {
  return attribute<float>(node_, name, "float");
}
std::optional<std::string> OperatorCall::string_attribute(std::string_view name) const {
  return attribute<std::string>(node_, name, "string");
}
std::optional<Tensor> OperatorCall::tensor_attribute(std::string_view name) const {
  return attribute<Tensor>(node_, name, "tensor");
}
std::optional<std::vector<int64_t>> OperatorCall::ints_attribute(std::string_view name) const {
  return list_attribute<int64_t>(node_, name, "ints");
}
std::optional<std::vector<float>> OperatorCall::floats_attribute(std::string_view name) const {
  return list_attribute<float>(node_, name, "floats");
}
std::optional<std::vector<std::string>> OperatorCall::strings_attribute(std::string_view name) const {
  return list_attribute<std::string>(node_, name, "strings");
}

InferCall::InferCall(InferContext& context) : OperatorCall(context.node()), context_(context) {}

bool InferCall::has_input(int i) const { return i >= 0 && context_.has_input(i); }
DataType InferCall::input_type(int i) const {
  check_index(i, inputs(), "input");
  return context_.input_type(i);
}
std::optional<Shape> InferCall::input_shape(int i) const {
  check_index(i, inputs(), "input");
  return context_.input_shape(i);
}
std::optional<Tensor> InferCall::input_value(int i) const {
  check_index(i, inputs(), "input");
  const Tensor* value = context_.input_constant(i);
  return value ? std::optional(*value) : std::nullopt;
}
void InferCall::set_output(int i, DataType type, std::optional<Shape> shape) {
  check_index(i, outputs(), "output");
  context_.set_output(i, type, std::move(shape));
}

ComputeCall::ComputeCall(EvaluateContext& context) : OperatorCall(context.node()), context_(context) {}

bool ComputeCall::has_input(int i) const { return i >= 0 && context_.has_input(i); }
const Tensor& ComputeCall::input(int i) const {
  require(has_input(i), ErrorCode::invalid_argument, "there is no input {}", i);
  return context_.input(i);
}
Tensor& ComputeCall::output(int i) {
  check_index(i, outputs(), "output");
  Tensor& output = context_.output(i);
  require(output.defined(), ErrorCode::invalid_argument,
          "the shape of output {} is not known: allocate() makes it", i);
  return output;
}
Tensor& ComputeCall::allocate(int i, DataType type, Dims dims) {
  check_index(i, outputs(), "output");
  const Tensor& known = context_.output(i);
  require(!known.defined() || (known.type() == type && known.dims() == dims), ErrorCode::invalid_argument,
          "output {} is {} by infer(), and {}{} by compute()", i, to_string(known), to_string(type),
          to_string(dims));
  return context_.allocate(i, type, std::move(dims));
}
void ComputeCall::parallel_for(int64_t count, int64_t grain,
                               const std::function<void(int64_t, int64_t)>& body) const {
  plica::parallel_for(count, grain, body);
}

void Model::add_operator(const OperatorSpec& spec, std::shared_ptr<const CustomOperator> op) {
  OpDef def;
  def.since = spec.since;
  def.until = spec.until;
  def.min_inputs = spec.min_inputs;
  def.max_inputs = spec.max_inputs;
  def.min_outputs = spec.min_outputs;
  def.max_outputs = spec.max_outputs;
  def.deterministic = spec.deterministic;
  auto operators =
      CustomOperators::with(graph_->custom_operators.get(), spec.domain, spec.name, std::move(def),
                            op ? std::make_shared<Kernel>(std::move(op)) : nullptr);
  auto graph = graph_->clone();
  graph->custom_operators = std::move(operators);
  graph_ = std::move(graph);
}

}  // namespace plica
