#include "engine/ops/spatial.h"

#include <algorithm>
#include <iterator>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> spatial_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part : {affine_grid_ops, grid_sample_ops, col2im_ops, center_crop_pad_ops, deform_conv_ops,
                      roi_ops, max_unpool_ops, non_max_suppression_ops})
      std::ranges::move(part(), std::back_inserter(all));
    return all;
  }();
  return ops;
}

}  // namespace plica
