// The dims of an input that may be left out.
#pragma once

#include <optional>

#include "engine/ops/infer.h"

namespace plica {

// Nullopt when the input is left out or its shape is not known.
inline std::optional<Dims> maybe_dims(const InferContext& context, int i) {
  if (!context.has_input(i) || !context.input_shape(i)) return std::nullopt;
  return context.input_shape(i)->known();
}

}  // namespace plica
