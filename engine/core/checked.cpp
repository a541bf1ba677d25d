#include "engine/core/checked.h"

#include "engine/core/fail.h"

namespace plica {

void throw_overflow() {
  throw Error(ErrorCode::limit, "a size is too large for 64-bit arithmetic");
}

int64_t checked_elements(std::span<const int64_t> dims) {
  int64_t product = 1;
  bool empty = false;
  for (int64_t dim : dims) {
    require(dim >= 0, ErrorCode::invalid_model, "negative dimension {}", dim);
    if (dim == 0) {
      empty = true;
    } else {
      product = checked_mul(product, dim);
    }
  }
  return empty ? 0 : product;
}

}  // namespace plica
