// SequenceMap: a subgraph for each element of a sequence, of all sequences at the same position; tensors go
// to each. https://onnx.ai/onnx/operators/onnx__SequenceMap.html
#include "engine/core/fail.h"
#include "engine/ops/control.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

template <class Context>
const Graph& body_of(const Context& context) {
  const Graph& body = context.attributes().graph("body");
  require(std::ssize(body.outputs()) == context.num_outputs(), ErrorCode::invalid_model,
          "the body has {} outputs, the node {}", body.outputs().size(), context.num_outputs());
  return body;
}

void infer_sequence_map(InferContext& context) {
  const Graph& body = body_of(context);
  std::vector<Type> inputs;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const Type& type = context.input(i).type;
    inputs.push_back(type.kind != Type::Kind::sequence ? type : type.inner ? *type.inner : Type());
  }
  const std::vector<Facts> results = context.infer_body(body, inputs);
  for (int i = 0; i < context.num_outputs(); ++i)
    context.set_output(i, Type::sequence(results[static_cast<size_t>(i)].type));
}

void evaluate_sequence_map(EvaluateContext& context) {
  const Graph& body = body_of(context);
  const int64_t length = context.input(0).size();
  for (int i = 1; i < context.num_inputs(); ++i) {
    const Tensor& in = context.input(i);
    require(in.type() != DataType::sequence || in.size() == length, ErrorCode::invalid_argument,
            "sequences have lengths {} and {}", length, in.size());
  }
  std::vector<std::vector<Tensor>> results(static_cast<size_t>(context.num_outputs()));
  for (int64_t at = 0; at < length; ++at) {
    std::vector<Tensor> inputs;
    for (int i = 0; i < context.num_inputs(); ++i) {
      const Tensor& in = context.input(i);
      inputs.push_back(in.type() == DataType::sequence ? in.elements()[static_cast<size_t>(at)] : in);
    }
    std::vector<Tensor> outputs = context.run_body(body, std::move(inputs));
    for (size_t i = 0; i < results.size(); ++i) results[i].push_back(std::move(outputs[i]));
  }
  for (int i = 0; i < context.num_outputs(); ++i) {
    context.set_output(i, Tensor::container(DataType::sequence, std::move(results[static_cast<size_t>(i)])));
  }
}

}  // namespace

std::vector<OpDef> sequence_map_ops() {
  return {{.name = "SequenceMap",
           .since = 17,
           .max_inputs = kUnlimited,
           .max_outputs = kUnlimited,
           .input_types = {types::kSequence, types::kAll | types::kSequence},
           .attributes = {{"body", AttributeType::graph, Required{}}},
           .infer = infer_sequence_map,
           .evaluate = evaluate_sequence_map}};
}

}  // namespace plica
