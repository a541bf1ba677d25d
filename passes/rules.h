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

// fold/fold_affines.cpp
RuleResult fold_affine_backward(const Node& node, const RuleContext& context);
RuleResult fold_affine_forward(const Node& node, const RuleContext& context);
RuleResult split_affine(const Node& node, const RuleContext& context);
RuleResult merge_affines(const Node& node, const RuleContext& context);

// remove_dead.cpp
RuleResult remove_dead_node(const Node& node, const RuleContext& context);
RuleResult remove_unused_initializers(Graph& graph, const RuleContext& context);

}  // namespace plica
