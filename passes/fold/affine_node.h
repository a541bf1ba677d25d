// Nodes that compute an affine of one operand: BatchNormalization, and arithmetic with constants.
#pragma once

#include <variant>
#include <vector>

#include "passes/fold/affine.h"
#include "passes/rule.h"

namespace plica {

struct AffineNode {
  Node* node = nullptr;
  int operand = 0;  // the input that it is an affine of
  Affine affine;
  // The operand surely has the result's shape. Otherwise sizes that are not known may be 1, which the
  // constant broadcasts: then only what is known to compute the right size may take the affine in, backward.
  bool keeps_shape = true;

  Value* input() const { return node->input(operand); }
  Value* output() const { return node->output(0); }
};

// x + 1.5 * 2^23 rounds x to a whole number in float32, for an x - 1.5 * 2^23 somewhere behind it. Offsets
// that do such a thing are no batch norm's: their Add or Sub stays as it is, and no factor or offset passes
// it.
bool rounds_sums(const Tensor& offset);

// NoMatch: it is no such node. Skip: a BatchNormalization that is not an affine, and why: training mode,
// parameters that are not constant, statistics that give no finite factor.
std::variant<NoMatch, Skip, AffineNode> read_affine_node(const Node& node, const RuleContext& context);

// Affine nodes that each compute the only thing that the next one reads, as one map from first to last.
struct AffineChain {
  std::vector<AffineNode> nodes;
  Affine affine;

  const Node& first() const { return *nodes.front().node; }
  const Node& last() const { return *nodes.back().node; }
  Value* input() const { return nodes.front().input(); }
  Value* output() const { return nodes.back().output(); }
  bool has_batch_norm() const;
  bool keeps_shape() const;
};

// The longest chain around the node; NoMatch and Skip are the node's own.
std::variant<NoMatch, Skip, AffineChain> read_affine_chain(const Node& node, const RuleContext& context);

}  // namespace plica
