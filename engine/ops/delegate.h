// For an operator that is another one with something before or after it (QLinearConv, FusedGemm): runs the
// other's infer and evaluate on this node, whose attributes it reads by its own definition.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/op_def.h"

namespace plica {

// The definition of an ai.onnx operator at an opset. Throws internal when Plica has none.
const OpDef& base_op(std::string_view name, int64_t opset);

// Input i's shape as that of a float32 tensor; of unknown kind when it is left out.
Facts shape_facts(const InferContext& context, int i);
Facts shape_facts(std::optional<Shape> shape);

// The shape of base's output 0 for these inputs, those of unknown kind left out; and what base refuses.
std::optional<Shape> infer_shape_by(const OpDef& base, const InferContext& context,
                                    std::span<const Facts> inputs);
std::optional<Shape> infer_shape_by(const OpDef& base, const InferContext& context,
                                    std::initializer_list<int> inputs);

// output = base(inputs); `output` is allocated.
void evaluate_by(const OpDef& base, const EvaluateContext& context, std::span<const Tensor* const> inputs,
                 Tensor& output);
inline void evaluate_by(const OpDef& base, const EvaluateContext& context,
                        std::initializer_list<const Tensor*> inputs, Tensor& output) {
  evaluate_by(base, context, std::span(inputs.begin(), inputs.size()), output);
}

}  // namespace plica
