// The parts of the spatial family's table, which spatial.cpp joins.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> affine_grid_ops();          // affine_grid.cpp
std::vector<OpDef> grid_sample_ops();          // grid_sample.cpp
std::vector<OpDef> col2im_ops();               // col2im.cpp
std::vector<OpDef> center_crop_pad_ops();      // center_crop_pad.cpp
std::vector<OpDef> deform_conv_ops();          // deform_conv.cpp
std::vector<OpDef> roi_ops();                  // roi_pool.cpp: RoiAlign, MaxRoiPool
std::vector<OpDef> max_unpool_ops();           // max_unpool.cpp
std::vector<OpDef> non_max_suppression_ops();  // non_max_suppression.cpp

}  // namespace plica
