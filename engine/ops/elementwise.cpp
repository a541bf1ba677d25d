#include "engine/ops/elementwise.h"

#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> elementwise_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {unary_ops, arithmetic_ops, comparison_ops, select_ops, cast_ops})
      std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
