// Optional, OptionalGetElement, OptionalHasElement
// https://onnx.ai/onnx/operators/onnx__Optional.html and the like. Since opset 18 what has no optional type
// counts as a value that is there.
#include "engine/core/fail.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/sequence.h"

namespace plica {
namespace {

void infer_optional(InferContext& context) {
  if (context.has_input(0)) return context.set_output(0, Type::optional(context.input(0).type));
  const Type* type = nullptr;
  if (const Attribute* a = context.node().attributes().find("type")) type = std::get_if<Type>(&a->value);
  require(type != nullptr, ErrorCode::invalid_model, "there is neither an input nor a type");
  context.set_output(0, Type::optional(*type));
}

void evaluate_optional(EvaluateContext& context) {
  std::vector<Tensor> element;
  if (const Tensor* value = context.maybe_input(0)) element.push_back(*value);
  context.set_output(0, Tensor::container(DataType::optional, std::move(element)));
}

void infer_get_element(InferContext& context) {
  const Type& type = context.input(0).type;
  const bool is_optional = type.kind == Type::Kind::optional;
  context.set_output(0, !is_optional ? type : type.inner ? *type.inner : Type());
}

void evaluate_get_element(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  if (in.type() != DataType::optional) return context.set_output(0, in);
  require(in.size() == 1, ErrorCode::invalid_argument, "the optional is empty");
  context.set_output(0, in.elements()[0]);
}

void infer_has_element(InferContext& context) { context.set_output(0, DataType::boolean, Shape(Dims{})); }

void evaluate_has_element(EvaluateContext& context) {
  const Tensor* in = context.maybe_input(0);
  context.set_output(0,
                     Tensor::scalar(in != nullptr && (in->type() != DataType::optional || in->size() == 1)));
}

}  // namespace

std::vector<OpDef> optional_ops() {
  constexpr TypeSet kContent = types::kAll | types::kSequence | types::kMap;
  // Opsets 15 to 17 name optionals only, but the suite gives them a loop's state that has become its content.
  const TypeSet any = kContent | types::kOptional;
  const OpDef get{.name = "OptionalGetElement",
                  .since = 15,
                  .input_types = {any},
                  .infer = infer_get_element,
                  .evaluate = evaluate_get_element};
  const OpDef has{.name = "OptionalHasElement",
                  .since = 15,
                  .until = 17,
                  .input_types = {any},
                  .infer = infer_has_element,
                  .evaluate = evaluate_has_element};
  OpDef has_18 = for_versions(has, 18, kLatestOpset, {});
  has_18.min_inputs = 0;
  return {{.name = "Optional",
           .since = 15,
           .min_inputs = 0,
           .input_types = {kContent},
           .attributes = {{"type", AttributeType::type, Optional{}}},
           .infer = infer_optional,
           .evaluate = evaluate_optional},
          get,
          has,
          std::move(has_18)};
}

}  // namespace plica
