#include "engine/ops/microsoft/packed_weights.h"

#include "engine/core/checked.h"
#include "engine/ops/maybe_dims.h"

namespace plica {

void require_elements(const InferContext& context, int i, std::string_view what, int64_t expected) {
  const auto dims = maybe_dims(context, i);
  require(!dims || checked_elements(*dims) == expected, ErrorCode::invalid_model,
          "{} has shape {}, {} elements are needed", what, dims ? to_string(*dims) : "", expected);
}

void infer_packed_product(InferContext& context, int64_t rows, int64_t columns) {
  std::optional<Shape> out = context.input_shape(0);
  if (out) {
    require(out->rank() >= 1, ErrorCode::invalid_model, "A is a scalar");
    Dim& last = (*out)[out->rank() - 1];
    require(!last.is_known() || last.value() == columns, ErrorCode::invalid_model,
            "A has {} columns, K is {}", to_string(last), columns);
    last = rows;
  }
  context.set_output(0, context.input_type(0), std::move(out));
}

}  // namespace plica
