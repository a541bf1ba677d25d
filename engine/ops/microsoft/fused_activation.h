// The activation that FusedConv and FusedGemm apply to their result, by the name of its ai.onnx operator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace plica {

struct FusedActivation {
  std::string name;               // empty: none
  std::vector<float> parameters;  // in the operator's order of attributes; missing ones have its defaults

  // Throws unsupported for a name that no fused operator knows, invalid_model for too many parameters.
  void validate() const;
  // In place; the tensor is of floating-point type of 16 bits or more.
  void apply(Tensor& y) const;
};

}  // namespace plica
