// K1: windows. Convolutions and pools with strides, dilations, pads, groups and kernels that make no sense.
#include "tests/hostile/hostile.h"

namespace plica::hostile {

Rows window_rows() {
  const Operand x = input("x", {1, 4, 8, 8}), w = floats("w", {6, 4, 3, 3});
  const auto conv = [&](const std::string& name, const Attributes& attributes) {
    return node_row("K1_conv_" + name, "Conv", {x, w}, attributes);
  };
  const auto pool = [&](const std::string& name, Attributes attributes) {
    if (attributes.empty() || attributes[0].first != "kernel_shape")
      attributes.insert(attributes.begin(), {"kernel_shape", Ints{3, 3}});
    return node_row("K1_pool_" + name, "MaxPool", {x}, attributes);
  };
  return {
      conv("stride_0", {{"strides", Ints{0, 1}}}),
      conv("stride_negative", {{"strides", Ints{1, -1}}}),
      conv("strides_of_3", {{"strides", Ints{1, 1, 1}}}),
      conv("dilation_0", {{"dilations", Ints{0, 1}}}),
      conv("dilation_negative", {{"dilations", Ints{1, -2}}}),
      conv("dilation_huge", {{"dilations", Ints{INT64_MAX, 1}}}),
      conv("dilations_of_1", {{"dilations", Ints{1}}}),
      conv("group_0", {{"group", int64_t{0}}}),
      conv("group_negative", {{"group", int64_t{-2}}}),
      conv("group_not_dividing", {{"group", int64_t{3}}}),
      conv("group_huge", {{"group", INT64_MAX}}),
      conv("pads_of_3", {{"pads", Ints{1, 1, 1}}}),
      conv("pads_huge", {{"pads", Ints{INT64_MAX, 0, INT64_MAX, 0}}}),
      conv("kernel_shape_unlike_w", {{"kernel_shape", Ints{5, 5}}}),
      conv("kernel_shape_of_3", {{"kernel_shape", Ints{3, 3, 3}}}),
      conv("auto_pad_unknown", {{"auto_pad", std::string("SOME")}}),
      node_row("K1_conv_kernel_0", "Conv", {x, floats("w", {6, 4, 0, 3})}),
      node_row("K1_conv_kernel_larger", "Conv", {input("x", {1, 4, 2, 2}), w}),
      node_row("K1_conv_rank_of_w", "Conv", {x, floats("w", {6, 4, 3})}),
      node_row("K1_conv_rank_2", "Conv", {input("x", {4, 8}), floats("w", {6, 8})}),
      node_row("K1_conv_scalar", "Conv", {input("x", {}), w}),
      node_row("K1_conv_channels", "Conv", {input("x", {1, 5, 8, 8}), w}),
      node_row("K1_conv_bias_length", "Conv", {x, w, floats("b", {5})}),
      node_row("K1_conv_bias_rank", "Conv", {x, w, floats("b", {1, 6})}),
      node_row("K1_transpose_group", "ConvTranspose", {x, floats("w", {4, 6, 3, 3})},
               {{"group", int64_t{3}}}),
      node_row("K1_transpose_stride_0", "ConvTranspose", {x, floats("w", {4, 6, 3, 3})},
               {{"strides", Ints{0, 0}}}),
      node_row("K1_transpose_output_shape", "ConvTranspose", {x, floats("w", {4, 6, 3, 3})},
               {{"output_shape", Ints{-4, 1'000'000'000'000}}}),
      node_row("K1_transpose_output_padding", "ConvTranspose", {x, floats("w", {4, 6, 3, 3})},
               {{"output_padding", Ints{-9, 0}}}),
      pool("kernel_0", {{"kernel_shape", Ints{0, 3}}}),
      pool("kernel_negative", {{"kernel_shape", Ints{-3, 3}}}),
      pool("kernel_of_3", {{"kernel_shape", Ints{3, 3, 3}}}),
      pool("kernel_huge", {{"kernel_shape", Ints{INT64_MAX, INT64_MAX}}}),
      pool("stride_0", {{"strides", Ints{0, 0}}}),
      pool("dilation_0", {{"dilations", Ints{0, 0}}}),
      pool("pads_of_1", {{"pads", Ints{1}}}),
      pool("pads_negative_huge", {{"pads", Ints{INT64_MIN, 0, 0, 0}}}),
      node_row("K1_pool_without_kernel", "MaxPool", {x}, {}, {"'bad'", "kernel_shape"}),
      node_row("K1_average_pads_huge", "AveragePool", {x},
               {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{INT64_MAX, 0, INT64_MAX, 0}}}),
      node_row("K1_lrn_size_0", "LRN", {x}, {{"size", int64_t{0}}}),
      node_row("K1_lrn_size_huge", "LRN", {x}, {{"size", INT64_MIN}}),
      node_row("K1_depth_to_space_0", "DepthToSpace", {x}, {{"blocksize", int64_t{0}}}),
      node_row("K1_depth_to_space_negative", "DepthToSpace", {x}, {{"blocksize", int64_t{-2}}}),
      node_row("K1_space_to_depth_3", "SpaceToDepth", {x}, {{"blocksize", int64_t{3}}}),
      node_row("K1_col2im_block", "Col2Im",
               {input("x", {1, 4, 4}), integers("image", {2, 2}), integers("block", {0, 1})}, {}, {"'bad'"},
               1, 18),
      node_row("K1_grid_sample_rank", "GridSample", {x, input("g", {1, 4, 4, 3})}),
      node_row("K1_roi_align_scale", "RoiAlign", {x, floats("rois", {2, 3}), integers("batches", {0, 0})}),
  };
}

}  // namespace plica::hostile
