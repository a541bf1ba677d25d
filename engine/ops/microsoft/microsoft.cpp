#include "engine/ops/microsoft/microsoft.h"

#include <iterator>
#include <utility>

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> microsoft_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    for (auto part :
         {fused_linear_ops, gelu_ops, fused_layer_normalization_ops, quantized_matrix_ops, matmul_nbits_ops,
          quantized_elementwise_ops, quantized_pool_ops, channels_last_ops, rotary_embedding_ops,
          multi_head_attention_ops, attention_projection_ops, group_query_attention_ops,
          dynamic_quantize_lstm_ops, tokenizer_ops, matrix_function_ops, legacy_ops, adopted_ops}) {
      std::vector<OpDef> more = part();
      std::move(more.begin(), more.end(), std::back_inserter(all));
    }
    return all;
  }();
  return ops;
}

}  // namespace plica
