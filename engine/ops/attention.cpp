#include "engine/ops/attention.h"

#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> attention_ops() {
  static const std::vector<OpDef> ops = [] {
    std::vector<OpDef> all;
    add_attention_ops(all);
    add_flex_attention_ops(all);
    add_linear_attention_ops(all);
    add_rotary_embedding_ops(all);
    add_causal_conv_ops(all);
    add_swiglu_ops(all);
    return all;
  }();
  return ops;
}

}  // namespace plica
