// The model that computes in double precision what a model computes.
#pragma once

#include <memory>
#include <string>

#include "engine/graph/model_graph.h"
#include "engine/ops/evaluate.h"

namespace plica::testing {

// The model with every If replaced by one of its branches and every call of a model function by its body, as
// evaluate_graph wants it. `branch`: "then_branch" or "else_branch".
std::unique_ptr<ModelGraph> inlined(const ModelGraph& model, const std::string& branch = "then_branch");

// The model in float64: inputs, constants, Casts. Weights behind DequantizeLinear become the exact products;
// whatever is computed from constants alone is computed. Sizes and factors of Resize stay float32. `model` is
// inlined.
std::unique_ptr<ModelGraph> in_double(const ModelGraph& model);
NamedTensors in_double(const NamedTensors& tensors);

// The model with weights behind DequantizeLinear as constants of its own type: what runs.
std::unique_ptr<ModelGraph> dequantized(const ModelGraph& model);

}  // namespace plica::testing
