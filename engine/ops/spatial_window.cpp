#include "engine/ops/spatial_window.h"

#include "engine/core/checked.h"
#include "engine/core/fail.h"

namespace plica {

Dims window_list(const AttributeReader& attributes, std::string_view name, size_t count, int64_t least,
                 int64_t fallback) {
  if (!attributes.defines(name) || !attributes.has(name)) return Dims(count, fallback);
  Dims values = attributes.ints(name);
  require(values.size() == count, ErrorCode::invalid_model, "attribute '{}' has {} values, it must have {}",
          name, values.size(), count);
  for (const int64_t v : values) {
    require(v >= least, ErrorCode::invalid_model, "attribute '{}' contains {}, the least is {}", name, v,
            least);
  }
  return values;
}

SpatialWindow::SpatialWindow(const AttributeReader& attributes, size_t axes)
    : strides(window_list(attributes, "strides", axes, 1, 1)),
      dilations(window_list(attributes, "dilations", axes, 1, 1)) {
  const Dims pads = window_list(attributes, "pads", 2 * axes, 0, 0);
  const auto middle = pads.begin() + static_cast<std::ptrdiff_t>(axes);
  pads_begin.assign(pads.begin(), middle);
  pads_end.assign(middle, pads.end());
}

int64_t SpatialWindow::count(size_t axis, int64_t size, int64_t kernel) const {
  const int64_t extent =
      checked_add(checked_mul(checked_sub(kernel, int64_t{1}), dilations[axis]), int64_t{1});
  const int64_t padded = checked_add(size, checked_add(pads_begin[axis], pads_end[axis]));
  require(extent <= padded, ErrorCode::invalid_model, "a window of {} does not fit the padded size {}",
          extent, padded);
  return (padded - extent) / strides[axis] + 1;
}

}  // namespace plica
