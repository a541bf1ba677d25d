#include "engine/ops/delegate.h"

#include "engine/core/fail.h"
#include "engine/ops/table.h"

namespace plica {

const OpDef& base_op(std::string_view name, int64_t opset) {
  const OpDef* def = find_op("", name, opset);
  require(def != nullptr, ErrorCode::internal, "no definition of {} in opset {}", name, opset);
  return *def;
}

Facts shape_facts(std::optional<Shape> shape) {
  Facts f;
  f.type = Type::tensor(DataType::float32, std::move(shape));
  return f;
}

Facts shape_facts(const InferContext& context, int i) {
  return context.has_input(i) ? shape_facts(context.input_shape(i)) : Facts{};
}

std::optional<Shape> infer_shape_by(const OpDef& base, const InferContext& context,
                                    std::span<const Facts> inputs) {
  std::vector<const Facts*> given;
  for (const Facts& f : inputs) given.push_back(f.type.kind == Type::Kind::unknown ? nullptr : &f);
  InferContext inner(context.node(), base, std::move(given));
  base.infer(inner);
  return inner.outputs().at(0).type.shape;
}

std::optional<Shape> infer_shape_by(const OpDef& base, const InferContext& context,
                                    std::initializer_list<int> inputs) {
  std::vector<Facts> facts;
  for (int i : inputs) facts.push_back(shape_facts(context, i));
  return infer_shape_by(base, context, facts);
}

void evaluate_by(const OpDef& base, const EvaluateContext& context, std::span<const Tensor* const> inputs,
                 Tensor& output) {
  EvaluateContext inner(context.node(), base, inputs, std::span(&output, 1));
  base.evaluate(inner);
}

}  // namespace plica
