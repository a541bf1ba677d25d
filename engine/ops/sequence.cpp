// SequenceEmpty, SequenceConstruct, SequenceInsert, SequenceErase, SequenceAt, SequenceLength
// https://onnx.ai/onnx/operators/onnx__SequenceInsert.html and the like. An edited sequence shares its
// elements with the one that it comes from.
#include "engine/ops/sequence.h"

#include <algorithm>
#include <iterator>

#include "engine/core/fail.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

// Of the elements; unknown when that is not known.
Type element_type(const InferContext& context) {
  const Type& type = context.input(0).type;
  return type.inner ? *type.inner : Type();
}

// In [0, size), or [0, size] to insert; counted from the back when negative.
int64_t position_of(const Tensor& position, int64_t size, bool inserting) {
  require(position.size() == 1, ErrorCode::invalid_argument, "the position is {}, it must be one number",
          to_string(position));
  const int64_t given =
      position.type() == DataType::int32 ? *position.data<int32_t>() : *position.data<int64_t>();
  const int64_t at = given < 0 ? given + size : given;
  require(at >= 0 && at < size + (inserting ? 1 : 0), ErrorCode::invalid_argument,
          "position {} is out of range for a sequence of {}", given, size);
  return at;
}

std::vector<Tensor> elements_of(const EvaluateContext& context) {
  const auto elements = context.input(0).elements();
  return {elements.begin(), elements.end()};
}

void set_sequence(EvaluateContext& context, std::vector<Tensor> elements) {
  context.set_output(0, Tensor::container(DataType::sequence, std::move(elements)));
}

// ---- SequenceEmpty, SequenceConstruct

void infer_empty(InferContext& context) {
  const int64_t number = context.attributes().i("dtype");
  const auto type = data_type_from_onnx(number);
  require(type.has_value(), ErrorCode::invalid_model, "dtype is {}", number);
  context.set_output(0, Type::sequence(Type::tensor(*type)));
}

void evaluate_empty(EvaluateContext& context) { set_sequence(context, {}); }

void infer_construct(InferContext& context) {
  Type element = context.input(0).type;
  for (int i = 1; i < context.num_inputs(); ++i) {
    const Type& own = context.input(i).type;
    require(element.element == own.element || element.element == DataType::undefined ||
                own.element == DataType::undefined,
            ErrorCode::invalid_model, "inputs 0 and {} have element types {} and {}", i,
            to_string(element.element), to_string(own.element));
    element = common_type(element, own);
  }
  context.set_output(0, Type::sequence(std::move(element)));
}

void evaluate_construct(EvaluateContext& context) {
  std::vector<Tensor> elements;
  for (int i = 0; i < context.num_inputs(); ++i) elements.push_back(context.input(i));
  set_sequence(context, std::move(elements));
}

// ---- SequenceInsert, SequenceErase

void infer_insert(InferContext& context) {
  const Type element = element_type(context), &own = context.input(1).type;
  require(!element.is_tensor() || !own.is_tensor() || element.element == own.element ||
              element.element == DataType::undefined || own.element == DataType::undefined,
          ErrorCode::invalid_model, "a tensor of {} cannot be put into a sequence of {}",
          to_string(own.element), to_string(element.element));
  context.set_output(0, Type::sequence(common_type(element, own)));
}

void evaluate_insert(EvaluateContext& context) {
  std::vector<Tensor> elements = elements_of(context);
  const auto size = static_cast<int64_t>(elements.size());
  const int64_t at = context.has_input(2) ? position_of(context.input(2), size, true) : size;
  elements.insert(elements.begin() + at, context.input(1));
  set_sequence(context, std::move(elements));
}

void infer_erase(InferContext& context) { context.same_as_input(); }

void evaluate_erase(EvaluateContext& context) {
  std::vector<Tensor> elements = elements_of(context);
  const auto size = static_cast<int64_t>(elements.size());
  require(size > 0, ErrorCode::invalid_argument, "the sequence is empty");
  elements.erase(elements.begin() +
                 (context.has_input(1) ? position_of(context.input(1), size, false) : size - 1));
  set_sequence(context, std::move(elements));
}

// ---- SequenceAt, SequenceLength

void infer_at(InferContext& context) { context.set_output(0, element_type(context)); }

void evaluate_at(EvaluateContext& context) {
  const auto elements = context.input(0).elements();
  context.set_output(
      0, elements[static_cast<size_t>(position_of(context.input(1), std::ssize(elements), false))]);
}

void infer_length(InferContext& context) { context.set_output(0, DataType::int64, Shape(Dims{})); }

void evaluate_length(EvaluateContext& context) {
  context.set_output(0, Tensor::scalar(context.input(0).size()));
}

}  // namespace

std::vector<OpDef> sequence_element_ops() {
  constexpr TypeSet kElement = types::kAll | types::kSequence | types::kMap;
  return {
      {.name = "SequenceEmpty",
       .since = 11,
       .min_inputs = 0,
       .max_inputs = 0,
       .attributes = {{"dtype", AttributeType::int_, int64_t{1}}},
       .infer = infer_empty,
       .evaluate = evaluate_empty},
      {.name = "SequenceConstruct",
       .since = 11,
       .max_inputs = kUnlimited,
       .input_types = {types::kAll},
       .infer = infer_construct,
       .evaluate = evaluate_construct},
      {.name = "SequenceInsert",
       .since = 11,
       .min_inputs = 2,
       .max_inputs = 3,
       .input_types = {types::kSequence, kElement, types::kIndex},
       .infer = infer_insert,
       .evaluate = evaluate_insert},
      {.name = "SequenceErase",
       .since = 11,
       .max_inputs = 2,
       .input_types = {types::kSequence, types::kIndex},
       .infer = infer_erase,
       .evaluate = evaluate_erase},
      {.name = "SequenceAt",
       .since = 11,
       .min_inputs = 2,
       .max_inputs = 2,
       .input_types = {types::kSequence, types::kIndex},
       .infer = infer_at,
       .evaluate = evaluate_at},
      {.name = "SequenceLength",
       .since = 11,
       .input_types = {types::kSequence},
       .infer = infer_length,
       .evaluate = evaluate_length},
  };
}

std::span<const OpDef> sequence_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all = sequence_element_ops();
    std::ranges::move(sequence_tensor_ops(), std::back_inserter(all));
    std::ranges::move(optional_ops(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
