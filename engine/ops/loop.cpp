// If: the outputs of one of two subgraphs.
// Loop: for (i = 0; i < M && cond; ++i) (cond, carried..., scanned...) = body(i, cond, carried...)
// https://onnx.ai/onnx/operators/onnx__If.html, onnx__Loop.html
#include <exception>
#include <limits>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "engine/ops/control.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/pieces.h"

namespace plica {
namespace {

constexpr TypeSet kAnything = types::kAll | types::kSequence | types::kOptional | types::kMap;

// A scalar, or a tensor of one element.
bool truth(const Tensor& condition) {
  require(condition.type() == DataType::boolean && condition.size() == 1, ErrorCode::invalid_argument,
          "the condition is {}, it must be one bool", to_string(condition));
  return *static_cast<const uint8_t*>(condition.raw()) != 0;
}

// ---- If

struct Branches {
  const Graph *then_branch, *else_branch;

  template <class Context>
  explicit Branches(const Context& context)
      : then_branch(&context.attributes().graph("then_branch")),
        else_branch(&context.attributes().graph("else_branch")) {
    for (const Graph* branch : {then_branch, else_branch}) {
      require(std::ssize(branch->outputs()) == context.num_outputs(), ErrorCode::invalid_model,
              "branch {} has {} outputs, the node {}", quoted(branch->name), branch->outputs().size(),
              context.num_outputs());
    }
  }
  const Graph& of(const Tensor& condition) const { return truth(condition) ? *then_branch : *else_branch; }
};

void infer_if(InferContext& context) {
  const Branches branches(context);
  if (const Tensor* condition = context.input_constant(0)) {
    context.outputs() = context.infer_body(branches.of(*condition), {});
    return;
  }
  // A branch that is never taken for these shapes need not be valid for them.
  std::vector<std::vector<Facts>> outcomes;
  std::exception_ptr fault;
  for (const Graph* branch : {branches.then_branch, branches.else_branch}) {
    try {
      outcomes.push_back(context.infer_body(*branch, {}));
    } catch (const Error& e) {
      if (ends_work(e)) throw;
      if (!fault) fault = std::current_exception();
    }
  }
  if (outcomes.empty()) std::rethrow_exception(fault);
  for (int i = 0; i < context.num_outputs(); ++i) {
    const auto at = static_cast<size_t>(i);
    context.set_output(i, fault ? Type() : common_type(outcomes[0][at].type, outcomes[1][at].type));
  }
}

void evaluate_if(EvaluateContext& context) {
  std::vector<Tensor> outputs = context.run_body(Branches(context).of(context.input(0)), {});
  for (int i = 0; i < context.num_outputs(); ++i)
    context.set_output(i, std::move(outputs[static_cast<size_t>(i)]));
}

// ---- Loop

struct LoopParts {
  const Graph& body;
  int carried, scanned;

  template <class Context>
  explicit LoopParts(const Context& context)
      : body(context.attributes().graph("body")),
        carried(std::max(context.num_inputs() - 2, 0)),
        scanned(context.num_outputs() - carried) {
    require(std::ssize(body.inputs()) == carried + 2, ErrorCode::invalid_model,
            "the body has {} inputs, the loop carries {} values besides the iteration and the condition",
            body.inputs().size(), carried);
    require(scanned >= 0 && std::ssize(body.outputs()) == 1 + carried + scanned, ErrorCode::invalid_model,
            "the body has {} outputs, the node {} besides the condition", body.outputs().size(),
            context.num_outputs());
  }
};

void infer_loop(InferContext& context) {
  const LoopParts parts(context);
  // Shapes may differ from one iteration to the next.
  std::vector<Type> inputs = {Type::tensor(DataType::int64, Shape(Dims{})),
                              Type::tensor(DataType::boolean, Shape(Dims{}))};
  for (int i = 0; i < parts.carried; ++i) inputs.push_back(without_shapes(context.input(2 + i).type));
  const std::vector<Facts> results = context.infer_body(parts.body, inputs);
  for (int i = 0; i < parts.carried; ++i) {
    context.set_output(i, common_type(context.input(2 + i).type, results[static_cast<size_t>(1 + i)].type));
  }
  for (int i = parts.carried; i < context.num_outputs(); ++i) {
    const Type& one = results[static_cast<size_t>(1 + i)].type;
    std::optional<Shape> shape;
    if (one.shape) {
      std::vector<Dim> dims = {Dim()};
      dims.insert(dims.end(), one.shape->begin(), one.shape->end());
      shape = Shape(std::move(dims));
    }
    context.set_output(i, one.element, std::move(shape));
  }
}

int64_t trip_count(const Tensor& count) {
  require(count.type() == DataType::int64 && count.size() == 1, ErrorCode::invalid_argument,
          "the trip count is {}, it must be one int64", to_string(count));
  return *count.data<int64_t>();
}

void evaluate_loop(EvaluateContext& context) {
  const LoopParts parts(context);
  const int64_t most =
      context.has_input(0) ? trip_count(context.input(0)) : std::numeric_limits<int64_t>::max();
  bool condition = !context.has_input(1) || truth(context.input(1));
  std::vector<Tensor> carried;
  for (int i = 0; i < parts.carried; ++i) carried.push_back(context.input(2 + i));
  std::vector<std::vector<Tensor>> scanned(static_cast<size_t>(parts.scanned));
  for (int64_t iteration = 0; iteration < most && condition; ++iteration) {
    std::vector<Tensor> inputs = {Tensor::scalar(iteration), Tensor::scalar(condition)};
    std::ranges::move(carried, std::back_inserter(inputs));
    std::vector<Tensor> outputs = context.run_body(parts.body, std::move(inputs));
    condition = truth(outputs[0]);
    const auto first_scanned = outputs.begin() + 1 + parts.carried;
    carried.assign(std::make_move_iterator(outputs.begin() + 1), std::make_move_iterator(first_scanned));
    for (size_t i = 0; i < scanned.size(); ++i)
      scanned[i].push_back(std::move(first_scanned[static_cast<std::ptrdiff_t>(i)]));
  }
  for (int i = 0; i < parts.carried; ++i) context.set_output(i, std::move(carried[static_cast<size_t>(i)]));
  for (int i = 0; i < parts.scanned; ++i) {
    if (!context.has_output(parts.carried + i)) continue;
    const auto& all = scanned[static_cast<size_t>(i)];
    const Value* declared = parts.body.outputs()[static_cast<size_t>(1 + parts.carried + i)];
    context.set_output(parts.carried + i, all.empty() ? nothing_scanned(*declared, 0) : stack(all, 0));
  }
}

}  // namespace

std::vector<OpDef> loop_ops() {
  return {{.name = "If",
           .max_outputs = kUnlimited,
           .input_types = {types::kBool},
           .attributes = {{"then_branch", AttributeType::graph, Required{}},
                          {"else_branch", AttributeType::graph, Required{}}},
           .infer = infer_if,
           .evaluate = evaluate_if},
          {.name = "Loop",
           .min_inputs = 0,
           .max_inputs = kUnlimited,
           .max_outputs = kUnlimited,
           .input_types = {types::kInt64, types::kBool, kAnything},
           .attributes = {{"body", AttributeType::graph, Required{}}},
           .infer = infer_loop,
           .evaluate = evaluate_loop}};
}

}  // namespace plica
