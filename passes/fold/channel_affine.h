// ChannelAffine: y = scale[c] * x + shift[c] along one axis. Batch normalization at inference is one, and so
// is arithmetic with a constant for each channel.
#pragma once

#include <variant>
#include <vector>

#include "passes/rule.h"

namespace plica {

// The axis of a tensor that holds the channels.
struct ChannelAxis {
  int64_t channels = 0;
  int rank = -1;  // of the tensor; -1: not known
  int axis = 1;   // from the front; -1: the last
};

struct ChannelAffine {
  std::vector<double> scale, shift;
  std::vector<double>
      shift_error;  // by channel: how far `shift` may be from exact, having been computed in double

  int64_t channels() const { return static_cast<int64_t>(scale.size()); }
};

// A BatchNormalization, of any opset version; its channels are axis 1 of input 0. The Skip says why it is not
// an affine: training mode, parameters that are not constant, statistics that give no finite factor.
std::variant<ChannelAffine, Skip> batch_norm_affine(const Node& node, const RuleContext& context);

// An Add, Sub, Mul or Div of input `operand` and a constant (the other input), when the constant has one
// value for each channel of `axis` and does not broadcast the operand to a larger shape. NoMatch when it is
// something else.
std::variant<NoMatch, ChannelAffine> arithmetic_affine(const Node& node, int operand, const ChannelAxis& axis,
                                                       const RuleContext& context);

}  // namespace plica
