#include "engine/ops/linear.h"

#include <algorithm>
#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> linear_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {matrix_ops, determinant_ops, conv_ops, conv_transpose_ops})
      std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
