// Checks of inputs' shapes against sizes that several inputs share ("batch_size", "hidden_size", ...).
#pragma once

#include <initializer_list>
#include <string_view>

#include "engine/ops/infer.h"

namespace plica {

// One size of an operator: what the inputs looked at so far say of it.
struct SharedDim {
  std::string_view name;
  Dim dim = {};

  void refine(const Dim& other, std::string_view input) {
    if (!other.is_known()) {
      if (!dim.is_known() && !dim.is_symbol()) dim = other;
      return;
    }
    require(!dim.is_known() || dim.value() == other.value(), ErrorCode::invalid_model,
            "{} has {} elements along {}, expected {}", input, to_string(other), name, to_string(dim));
    dim = other;
  }
};

// Input `i`, when it is given and of known rank, has these dims; each learns what it did not know. Throws
// invalid_model with the input's name.
inline void match_shape(const InferContext& context, int i, std::string_view input,
                        std::initializer_list<SharedDim*> dims) {
  if (!context.has_input(i) || !context.input_shape(i)) return;
  const Shape& shape = *context.input_shape(i);
  require(shape.rank() == static_cast<int>(dims.size()), ErrorCode::invalid_model,
          "{} has shape {}, it must have rank {}", input, to_string(shape), dims.size());
  int d = 0;
  for (SharedDim* dim : dims) dim->refine(shape[d++], input);
}

}  // namespace plica
