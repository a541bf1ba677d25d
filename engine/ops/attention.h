// The parts of the attention family's table, each in a file of its own.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

void add_attention_ops(std::vector<OpDef>& ops);         // Attention
void add_flex_attention_ops(std::vector<OpDef>& ops);    // ai.onnx.preview FlexAttention
void add_linear_attention_ops(std::vector<OpDef>& ops);  // LinearAttention
void add_rotary_embedding_ops(std::vector<OpDef>& ops);  // RotaryEmbedding
void add_causal_conv_ops(std::vector<OpDef>& ops);       // CausalConvWithState
void add_swiglu_ops(std::vector<OpDef>& ops);            // SwiGLU

}  // namespace plica
