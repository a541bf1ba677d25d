#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

constexpr const char* kTable[] = {
    "conv_bn",
    "conv_bias_bn",
    "conv1d_bn",
    "conv3d_bn",
    "dwconv_bn",
    "gconv_bn",
    "convT_bn",
    "convT_g2_bn",
    "convT_dw_bn",
    "gemm_bn",
    "gemm_transB_bn",
    "gemm_alpha_beta_bn",
    "gemm_noC_beta_bn",
    "matmul_bn",
    "matmul_add_bn",
    "matmul_square_transpose_bn",
    "matmul3d_transpose_bn",
    "bn_conv_pad0",
    "bn_conv_pad1",
    "bn_dwconv_pad0",
    "bn_gemm",
    "bn_matmul",
    "bn_flatten_gemm",
    "bn_bn",
    "conv_bn_bn",
    "conv_add_bn",
    "conv_mul_bn",
    "conv_bn_mul_add",
    "conv_sub_mul_add",
    "conv_sub_div_mul_add_raw",
    "conv_relu_bn",
    "conv_relu_bn_conv0",
    "bn_relu_conv",
    "concat_convs_bn",
    "add_convs_bn",
    "conv_identity_bn",
    "conv_dropout_bn",
    "conv_avgpool_bn",
    "conv_gap_bn",
    "conv_transpose_bn",
    "conv_zeropad_bn",
    "gemm_unsq_bn_sq",
    "shared_w_2bn",
    "conv_two_consumers",
    "conv_out_is_graph_out",
    "training_mode1",
    "fp16_conv_bn",
    "fp16_x_fp32_stats",
    "fp16_tiny_var",
    "double_conv_bn",
    "constant_nodes",
    "identity_params",
    "ir3_inits_as_inputs",
    "ir8_overridable_params",
    "spatial0_opset8",
    "opset6_is_test",
    "qdq_weight",
    "dynamic_weight",
    "if_body",
    "local_function",
    "negvar",
    "empty_bias_input",
};

}  // namespace

std::span<const Row> fold_rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> rows;
    for (const auto part : {linear_rows(), between_rows(), special_rows()})
      rows.insert(rows.end(), part.begin(), part.end());
    return rows;
  }();
  return all;
}
std::span<const char* const> table_patterns() { return kTable; }

}  // namespace plica::testing
