#include "engine/ops/control.h"

#include <algorithm>
#include <iterator>

#include "engine/core/fail.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {

Tensor nothing_scanned(const Value& output, int64_t axis) {
  const Type& type = output.type();
  require(type.is_tensor() && type.element != DataType::undefined, ErrorCode::invalid_model,
          "output {} of the body has no type", quoted(output.name()));
  Dims dims;
  if (type.shape) {
    for (const Dim& d : *type.shape) dims.push_back(d.is_known() ? d.value() : 0);
  }
  dims.insert(dims.begin() + normalize_axis(axis, static_cast<int>(dims.size()) + 1), 0);
  return Tensor(type.element, std::move(dims));
}

std::span<const OpDef> control_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all = loop_ops();
    std::ranges::move(scan_ops(), std::back_inserter(all));
    std::ranges::move(sequence_map_ops(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
