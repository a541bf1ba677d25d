// All rules, by the file that defines them. The default pipeline (pipeline.cpp) puts them into passes.
#pragma once

#include "passes/rule.h"

namespace plica {

// The metadata entry of a node that took in batch norms: their names.
inline constexpr const char* kFoldedKey = "plica.folded";

// fold_constants.cpp
RuleResult inline_constant(const Node& node, const RuleContext& context);
RuleResult evaluate_constant(const Node& node, const RuleContext& context);

// remove_no_ops.cpp
RuleResult remove_identity(const Node& node, const RuleContext& context);
RuleResult remove_dropout(const Node& node, const RuleContext& context);
RuleResult remove_cast(const Node& node, const RuleContext& context);
RuleResult merge_casts(const Node& node, const RuleContext& context);

// remove_no_op_layout.cpp
RuleResult remove_no_op_layout(const Node& node, const RuleContext& context);
RuleResult remove_no_op_pool(const Node& node, const RuleContext& context);
RuleResult remove_no_op_resize(const Node& node, const RuleContext& context);

// simplify_arithmetic.cpp
RuleResult remove_neutral_arithmetic(const Node& node, const RuleContext& context);
RuleResult remove_repeated_function(const Node& node, const RuleContext& context);
RuleResult merge_clips(const Node& node, const RuleContext& context);

// merge_reshapes.cpp
RuleResult resolve_reshape(const Node& node, const RuleContext& context);
RuleResult merge_reshapes(const Node& node, const RuleContext& context);
RuleResult reshape_for_transpose(const Node& node, const RuleContext& context);

// merge_transposes.cpp
RuleResult merge_transposes(const Node& node, const RuleContext& context);

// move_transposes.cpp
RuleResult move_transposes(const Node& node, const RuleContext& context);

// merge_concats.cpp
RuleResult cancel_split_concat(const Node& node, const RuleContext& context);
RuleResult merge_concats(const Node& node, const RuleContext& context);

// merge_pads.cpp
RuleResult merge_pads(const Node& node, const RuleContext& context);
RuleResult fuse_pad_into_conv(const Node& node, const RuleContext& context);
RuleResult fuse_pad_into_pool(const Node& node, const RuleContext& context);

// fold/fold_affines.cpp
RuleResult fold_affine_backward(const Node& node, const RuleContext& context);
RuleResult fold_affine_forward(const Node& node, const RuleContext& context);
RuleResult split_affine(const Node& node, const RuleContext& context);
RuleResult merge_affines(const Node& node, const RuleContext& context);

// fuse_gemm.cpp
RuleResult fuse_matmul_add(const Node& node, const RuleContext& context);

// merge_duplicates.cpp
RuleResult merge_duplicate_initializers(Graph& graph, const RuleContext& context);
RuleResult merge_duplicate_nodes(Graph& graph, const RuleContext& context);

// remove_dead.cpp
RuleResult remove_dead_node(const Node& node, const RuleContext& context);
RuleResult remove_unused_initializers(Graph& graph, const RuleContext& context);

}  // namespace plica
