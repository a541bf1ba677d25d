#include "engine/ops/signal.h"

#include <algorithm>
#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> signal_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {fourier_ops, window_ops}) std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
