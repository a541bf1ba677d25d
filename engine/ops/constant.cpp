#include "engine/ops/constant.h"

#include <algorithm>
#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> constant_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all = generator_ops();
    std::ranges::move(description_ops(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
