// K2 to K9: indices, sizes and numbers that kernels must not trust. What is wrong depends on values, so some
// of these are refused by `run` only.
#include <cmath>
#include <limits>

#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

Operand floats_of(const std::string& name, const std::vector<float>& values) {
  Operand operand{name};
  operand.tensor.set_data_type(TensorProto::FLOAT);
  operand.tensor.add_dims(static_cast<int64_t>(values.size()));
  for (float v : values) operand.tensor.add_float_data(v);
  return operand;
}

Rows index_rows() {
  const Operand x = input("x", {3, 4});
  return {
      node_row("K2_gather_beyond", "Gather", {x, integers("i", {3})}),
      node_row("K2_gather_below", "Gather", {x, integers("i", {-4})}),
      node_row("K2_gather_huge", "Gather", {x, integers("i", {INT64_MIN})}),
      node_row("K2_gather_axis", "Gather", {x, integers("i", {0})}, {{"axis", int64_t{2}}}),
      node_row("K2_gather_elements", "GatherElements", {x, Operand(integers("i", {7, 0}))}),
      node_row("K2_gather_nd_beyond", "GatherND", {x, integers("i", {3, 0})}),
      node_row("K2_gather_nd_deep", "GatherND", {x, integers("i", {0, 0, 0})}),
      node_row("K2_gather_nd_batch", "GatherND", {x, integers("i", {0})}, {{"batch_dims", int64_t{5}}}),
      node_row("K2_scatter_nd", "ScatterND", {x, integers("i", {9}), floats("u", {4})}),
      node_row("K2_scatter_nd_updates", "ScatterND", {x, integers("i", {1}), floats("u", {5})}),
      node_row("K2_scatter_elements", "ScatterElements",
               {input("x", {4}), integers("i", {4}), floats("u", {1})}),
      node_row("K2_scatter_elements_axis", "ScatterElements",
               {input("x", {4}), integers("i", {0}), floats("u", {1})}, {{"axis", int64_t{1}}}),
      node_row("K2_one_hot_depth", "OneHot", {integers("i", {0, 1}), scalar("depth", -3), floats("v", {2})}),
      node_row("K2_one_hot_values", "OneHot", {integers("i", {0, 1}), scalar("depth", 3), floats("v", {3})}),
      node_row("K2_top_k_beyond", "TopK", {x, integers("k", {5})}, {}, {"'bad'"}, 2),
      node_row("K2_top_k_negative", "TopK", {x, integers("k", {-1})}, {}, {"'bad'"}, 2),
      node_row("K2_top_k_of_two", "TopK", {x, integers("k", {1, 1})}, {}, {"'bad'"}, 2),
      node_row("K2_compress", "Compress", {x, integers("c", {1})}),
      node_row("K2_reverse_sequence", "ReverseSequence", {x, integers("l", {9, 1, 1, 1})}),
      node_row("K2_max_unpool", "MaxUnpool", {input("x", {1, 1, 1, 1}), Operand(integers("i", {99}))},
               {{"kernel_shape", Ints{2, 2}}}),
      node_row("K2_trilu_rank", "Trilu", {input("x", {4})}),
      node_row("K2_split_to_sequence", "SplitToSequence", {x, integers("s", {9, 9})}),
  };
}

Rows shape_rows() {
  const Operand x = input("x", {2, 3, 4});
  return {
      node_row("K3_reshape_two_unknown", "Reshape", {x, integers("s", {-1, -1})}),
      node_row("K3_reshape_size", "Reshape", {x, integers("s", {5, 5})}),
      node_row("K3_reshape_negative", "Reshape", {x, integers("s", {-2, 12})}),
      node_row("K3_reshape_overflow", "Reshape", {x, integers("s", {INT64_MAX, INT64_MAX})}),
      node_row("K3_reshape_zero_and_unknown", "Reshape", {x, integers("s", {0, -1})},
               {{"allowzero", int64_t{1}}}),
      node_row("K3_reshape_zero_beyond", "Reshape", {x, integers("s", {2, 3, 4, 0})}),
      node_row("K3_reshape_scalar_shape", "Reshape", {x, scalar("s", 24)}),
      node_row("K3_expand_negative", "Expand", {x, integers("s", {2, 3, -4})}),
      node_row("K3_expand_unlike", "Expand", {x, integers("s", {2, 5, 4})}),
      node_row("K3_expand_huge", "Expand", {input("x", {1}), integers("s", {1'000'000'000'000})}, {},
               {"'y0'"}),
      node_row("K3_expand_overflow", "Expand", {input("x", {1}), integers("s", {INT64_MAX, INT64_MAX})}),
      node_row("K3_tile_negative", "Tile", {x, integers("r", {1, -1, 1})}),
      node_row("K3_tile_rank", "Tile", {x, integers("r", {1, 1})}),
      node_row("K3_tile_overflow", "Tile", {x, integers("r", {INT64_MAX, 2, 2})}),
      node_row("K3_constant_negative", "ConstantOfShape", {integers("s", {-1})}),
      node_row("K3_constant_huge", "ConstantOfShape", {integers("s", {1'000'000, 1'000'000})}),
      node_row("K3_constant_rank_2", "ConstantOfShape", {floats("s", {2})}),
      node_row("K3_resize_both", "Resize",
               {input("x", {1, 1, 2, 2}), none(), floats_of("scales", {1, 1, 2, 2}),
                integers("sizes", {1, 1, 4, 4})}),
      node_row("K3_resize_scale_0", "Resize",
               {input("x", {1, 1, 2, 2}), none(), floats_of("scales", {1, 1, 0, 2})}),
      node_row("K3_resize_scale_nan", "Resize",
               {input("x", {1, 1, 2, 2}), none(), floats_of("scales", {1, 1, std::nanf(""), 2})}),
      node_row("K3_resize_scale_infinite", "Resize",
               {input("x", {1, 1, 2, 2}), none(),
                floats_of("scales", {1, 1, std::numeric_limits<float>::infinity(), 2})}),
      node_row("K3_resize_sizes_negative", "Resize",
               {input("x", {1, 1, 2, 2}), none(), none(), integers("sizes", {1, 1, -4, 4})}),
      node_row("K3_upsample_scale_1e30", "Upsample",
               {input("x", {1, 1, 2, 2}), floats_of("scales", {1, 1, 1e30f, 1})}, {}, {"'bad'"}, 1, 9),
      node_row("K3_pad_negative", "Pad", {x, integers("p", {-9, 0, 0, 0, 0, 0})}),
      node_row("K3_pad_count", "Pad", {x, integers("p", {1, 1})}),
      node_row("K3_pad_huge", "Pad", {x, integers("p", {INT64_MAX, 0, 0, INT64_MAX, 0, 0})}),
      node_row("K3_pad_reflect_beyond", "Pad", {x, integers("p", {0, 0, 9'000'000'000, 0, 0, 0})},
               {{"mode", std::string("reflect")}}, {"'y0'"}),
      node_row("K4_slice_step_0", "Slice",
               {x, integers("b", {0}), integers("e", {2}), integers("a", {0}), integers("s", {0})}),
      node_row("K4_slice_axis", "Slice", {x, integers("b", {0}), integers("e", {2}), integers("a", {3})}),
      node_row("K4_slice_axis_twice", "Slice",
               {x, integers("b", {0, 0}), integers("e", {1, 1}), integers("a", {0, 0})}),
      node_row("K4_slice_counts", "Slice", {x, integers("b", {0, 0}), integers("e", {1})}),
      node_row("K4_range_step_0", "Range", {scalar("a", 0), scalar("b", 9), scalar("c", 0)}),
      node_row("K4_range_huge", "Range", {scalar("a", INT64_MIN), scalar("b", INT64_MAX), scalar("c", 1)}),
      {"K4_slice_extremes",
       [x] {
         return model_of("Slice",
                         {x, integers("b", {INT64_MAX, INT64_MIN}), integers("e", {INT64_MIN, INT64_MAX}),
                          integers("a", {0, 1}), integers("s", {INT64_MIN, INT64_MAX})})
             .SerializeAsString();
       },
       {},
       true},
  };
}

Rows arithmetic_rows() {
  const auto binary = [](const std::string& op, int64_t a, int64_t b, Attributes attributes = {}) {
    return [=] { return model_of(op, {scalar("a", a), scalar("b", b)}, attributes).SerializeAsString(); };
  };
  const auto cast = [](float value) {
    return [=] {
      return model_of("Cast", {floats_of("x", {value})}, {{"to", int64_t{TensorProto::INT32}}})
          .SerializeAsString();
    };
  };
  return {
      {"K5_divide_by_0", binary("Div", 7, 0), {"'bad'"}},
      {"K5_divide_least_by_minus_1", binary("Div", INT64_MIN, -1), {"'bad'"}},
      {"K5_mod_0", binary("Mod", 7, 0), {"'bad'"}},
      {"K5_mod_least_minus_1", binary("Mod", INT64_MIN, -1), {}, true},
      {"K5_pow_negative", binary("Pow", 0, -3), {"'bad'"}},
      {"K5_cast_nan", cast(std::nanf("")), {}, true},
      {"K5_cast_1e30", cast(1e30f), {}, true},
      {"K5_shift_beyond",
       [] {
         ModelProto model = model_of("BitShift", {integers("x", {1}), integers("y", {200})},
                                     {{"direction", std::string("LEFT")}});
         for (TensorProto& t : *model.mutable_graph()->mutable_initializer()) {
           const auto value = static_cast<uint64_t>(t.int64_data(0));
           t.clear_int64_data();
           t.set_data_type(TensorProto::UINT64);
           t.add_uint64_data(value);
         }
         return model.SerializeAsString();
       },
       {},
       true},
      {"K6_empty_softmax",
       [] {
         return model_of("Softmax", {input("x", {0, 4})}).SerializeAsString();
       },
       {},
       true},
      {"K6_empty_reduce",
       [] {
         return model_of("ReduceMax", {input("x", {0, 4})}, {{"axes", Ints{0}}}, 1, 13).SerializeAsString();
       },
       {},
       true},
      {"K6_rank_64",
       [] { return model_of("Relu", {input("x", Ints(64, 1))}).SerializeAsString(); },
       {},
       true},
      node_row("K6_scalar_concat", "Concat", {input("x", {}), input("z", {})}, {{"axis", int64_t{0}}}),
      node_row("K6_scalar_transpose", "Transpose", {input("x", {})}, {{"perm", Ints{0}}}),
      node_row("K6_scalar_matmul", "MatMul", {input("x", {}), floats("w", {2, 2})}),
  };
}

Rows structure_rows() {
  const Operand x = input("x", {2, 3, 4});
  return {
      node_row("K9_split_sum", "Split", {x, integers("s", {1, 5})}, {{"axis", int64_t{1}}}, {"'bad'"}, 2),
      node_row("K9_split_negative", "Split", {x, integers("s", {-1, 4})}, {{"axis", int64_t{1}}}, {"'bad'"},
               2),
      node_row("K9_split_axis", "Split", {x, integers("s", {1, 1})}, {{"axis", int64_t{9}}}, {"'bad'"}, 2),
      node_row("K9_concat_axis", "Concat", {x, floats("z", {2, 3, 4})}, {{"axis", int64_t{3}}}),
      node_row("K9_concat_unlike", "Concat", {x, floats("z", {9, 9, 4})}, {{"axis", int64_t{0}}}),
      node_row("K9_concat_without_axis", "Concat", {x, floats("z", {2, 3, 4})}, {}, {"'bad'", "axis"}),
      node_row("K9_transpose_twice", "Transpose", {x}, {{"perm", Ints{0, 0, 1}}}),
      node_row("K9_transpose_beyond", "Transpose", {x}, {{"perm", Ints{0, 1, 3}}}),
      node_row("K9_transpose_short", "Transpose", {x}, {{"perm", Ints{0, 1}}}),
      node_row("K9_squeeze", "Squeeze", {x, integers("a", {1})}),
      node_row("K9_unsqueeze_twice", "Unsqueeze", {x, integers("a", {1, 1})}),
      node_row("K9_unsqueeze_beyond", "Unsqueeze", {x, integers("a", {7})}),
      node_row("K9_flatten_axis", "Flatten", {x}, {{"axis", int64_t{4}}}),
      node_row("K9_einsum_malformed", "Einsum", {x}, {{"equation", std::string("ij->")}}),
      node_row("K9_einsum_symbols", "Einsum", {x}, {{"equation", std::string("i!k->ik")}}),
      node_row("K9_einsum_output", "Einsum", {x}, {{"equation", std::string("ijk->ijz")}}),
      node_row("K9_einsum_operands", "Einsum", {x}, {{"equation", std::string("ijk,kl->ijl")}}),
      node_row("K9_matmul", "MatMul", {x, floats("w", {3, 5})}),
      node_row("K9_gemm", "Gemm", {input("x", {2, 3}), floats("w", {4, 5})}),
      node_row("K9_batch_norm_channels", "BatchNormalization",
               {x, floats("s", {5}), floats("b", {5}), floats("m", {5}), floats("v", {5})}),
      node_row("K9_layer_norm_scale", "LayerNormalization", {x, floats("s", {7})}),
      node_row("K9_lstm_rank", "LSTM", {input("x", {3, 4}), floats("w", {1, 8, 4}), floats("r", {1, 8, 2})},
               {{"hidden_size", int64_t{2}}}),
      node_row("K9_lstm_hidden", "LSTM", {x, floats("w", {1, 8, 4}), floats("r", {1, 8, 2})},
               {{"hidden_size", int64_t{1'000'000'000'000}}}),
      node_row("K9_gru_direction", "GRU", {x, floats("w", {1, 6, 4}), floats("r", {1, 6, 2})},
               {{"hidden_size", int64_t{2}}, {"direction", std::string("sideways")}}),
      node_row("K9_non_max_suppression", "NonMaxSuppression", {input("b", {1, 4, 3}), input("s", {1, 1, 4})}),
      node_row("K9_string_for_ints", "Transpose", {x}, {{"perm", std::string("210")}}, {"'bad'", "perm"}),
      node_row("K9_float_for_int", "Softmax", {x}, {{"axis", 1.5f}}, {"'bad'", "axis"}),
  };
}

}  // namespace

Rows kernel_rows() {
  Rows rows;
  for (const auto& part : {index_rows(), shape_rows(), arithmetic_rows(), structure_rows()})
    rows.insert(rows.end(), part.begin(), part.end());
  return rows;
}

}  // namespace plica::hostile
