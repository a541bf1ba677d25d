#include "engine/ops/normalization.h"

#include <algorithm>
#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> normalization_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {batch_normalization_ops, row_normalization_ops, lrn_ops})
      std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
