// The parts of the com.microsoft family, which microsoft.cpp joins: operators that exporters and ONNX
// Runtime's optimizer write into files. Their definitions: ONNX Runtime's docs/ContribOperators.md. All have
// version 1 only.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

inline constexpr std::string_view kMicrosoft = "com.microsoft";

std::vector<OpDef> fused_linear_ops();  // FusedConv, FusedMatMul, FusedGemm
std::vector<OpDef> gelu_ops();          // Gelu, BiasGelu, FastGelu, QuickGelu, BiasAdd
std::vector<OpDef>
fused_layer_normalization_ops();            // (Skip)(Simplified)LayerNormalization, EmbedLayerNormalization
std::vector<OpDef> quantized_matrix_ops();  // QGemm, MatMulIntegerToFloat, DynamicQuantizeMatMul
std::vector<OpDef> matmul_nbits_ops();
std::vector<OpDef> quantized_elementwise_ops();  // QLinearAdd, QLinearSigmoid, QLinearConcat, ...
std::vector<OpDef> quantized_pool_ops();         // QLinearAveragePool, QLinearGlobalAveragePool
std::vector<OpDef> channels_last_ops();          // QLinearConv, NhwcMaxPool
std::vector<OpDef> rotary_embedding_ops();       // RotaryEmbedding
std::vector<OpDef> multi_head_attention_ops();   // MultiHeadAttention
std::vector<OpDef> attention_projection_ops();   // Attention, QAttention
std::vector<OpDef> group_query_attention_ops();  // GroupQueryAttention
std::vector<OpDef> dynamic_quantize_lstm_ops();  // DynamicQuantizeLSTM
std::vector<OpDef> tokenizer_ops();  // Tokenizer
std::vector<OpDef> matrix_function_ops();  // Inverse, CDist
std::vector<OpDef> legacy_ops();           // of ai.onnx: Affine, Crop, ImageScaler, ...
std::vector<OpDef> adopted_ops();                // QuantizeLinear, DequantizeLinear, Trilu

}  // namespace plica
