// LinearOp: a Conv, ConvTranspose, Gemm or MatMul with constant weights, and its bias whether it is an input
// or an Add behind it; it knows where the channels are in its weight. It can take in a channel affine at its
// output.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "passes/fold/channel_affine.h"
#include "passes/fold/channel_layout.h"
#include "passes/rule.h"

namespace plica {

struct LinearOp {
  enum class Kind { conv, conv_transpose, gemm, matmul };

  Kind kind = Kind::conv;
  Node* core = nullptr;
  Node* add = nullptr;      // behind the core: adds a constant for each channel
  int add_constant = 1;     // which of its inputs is the constant
  ChannelAxis output_axis;  // of what the whole computes

  Tensor weight;  // always input 1
  const Value* weight_root = nullptr;
  ChannelLayout output_layout, input_layout;  // of the weight

  // The bias as it is added, beta of Gemm included: bias_rows rows (1 but for a Gemm with a matrix C) of a
  // value for each channel. Empty: there is none.
  std::vector<double> bias;
  int64_t bias_rows = 1;
  std::string bias_name;  // of the constant it comes from

  Value* output() const { return add ? add->output(0) : core->output(0); }
};

// The linear operator that computes `value`, for its only reader `reader`. The Skip says what is in the way.
std::variant<LinearOp, Skip> find_linear_op(const Value& value, const Node& reader,
                                            const RuleContext& context);

// The patch that moves `affine`, computed by `node` from the output of `linear`, into the weights:
//   scale * (W x + b) + shift = (scale * W) x + (scale * b + shift)
// A MatMul without a bias gets an Add in the place of `node` when there is a shift. The Skip says which value
// would not be finite.
RuleResult absorb_at_output(const LinearOp& linear, const ChannelAffine& affine, const Node& node,
                            const RuleContext& context);

}  // namespace plica
