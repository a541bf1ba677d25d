// LinearOp: a Conv, ConvTranspose, Gemm or MatMul with constant weights, that can take in an affine at its
// output or at its input.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "passes/fold/affine.h"
#include "passes/fold/quantized_weight.h"
#include "passes/fold/weight_view.h"
#include "passes/rule.h"

namespace plica {

struct LinearOp {
  enum class Kind { conv, conv_transpose, gemm, matmul };

  Kind kind = Kind::conv;
  Node* node = nullptr;
  Tensor weight;  // always input 1
  const Value* weight_root = nullptr;
  bool weight_is_stored = true;  // otherwise a node makes it: ConstantOfShape
  // Through DequantizeLinear; `weight` is then what is stored, and `type` what comes out.
  std::optional<QuantizedTensor> quantized_weight, quantized_bias;
  DataType type = DataType::undefined;
  WeightView view;
  // The axes that hold the channels, counted from the last.
  int output_axis = 0, input_axis = 0;
  double alpha = 1;  // of Gemm

  // The bias as it is added, beta of Gemm included: bias_rows rows (1 but for a Gemm with a matrix C) of a
  // value for each output channel. Empty: there is none.
  std::vector<double> bias;
  int64_t bias_rows = 1;
  std::string bias_name;  // of the constant it comes from

  bool is_convolution() const { return kind == Kind::conv || kind == Kind::conv_transpose; }
};

// NoMatch: not a linear operator. Skip: it is one, but what it multiplies by is not constant.
std::variant<NoMatch, Skip, LinearOp> read_linear_op(const Node& node, const RuleContext& context);

// Cheap answers whether the two functions below have a chance: the factors are not one for each channel, a
// MatMul has no bias for a shift, in a padded convolution W shift differs along the border, a quantized
// weight.
std::optional<Skip> refuses_at_output(const LinearOp& linear, const Affine& affine);
std::optional<Skip> refuses_at_input(const LinearOp& linear, const Affine& affine,
                                     const RuleContext& context);

// Adds to the patch what makes the operator compute affine(its output):
//   scale * (W x + b) + shift = (scale * W) x + (scale * b + shift)
// The Skip says why it can't: also a value that would not be finite, or a constant too many.
std::optional<Skip> absorb_at_output(const LinearOp& linear, const Affine& affine, const RuleContext& context,
                                     Patch& patch);

// Adds to the patch what makes the operator compute from u what it did from affine(u):
//   W (scale * u + shift) + b = (W * scale) u + (b + W shift)
// Returns what is left to be added to its output: nothing, where there is a bias, else W shift.
std::variant<Skip, Affine> absorb_at_input(const LinearOp& linear, const Affine& affine,
                                           const RuleContext& context, Patch& patch);

// The same for a Conv or ConvTranspose whose W shift differs from place to place, when its sizes are static:
// in the patch the operator without the shift and an Add of a constant map take its place. The map is made
// only where the Add costs no more than the affine did: when its elements are at most twice those of the
// input, for an affine reads and writes its operand but the Add of a map into a convolution's output, fused,
// only reads the map; and when it takes at most kMapBytes or the size of the weight.
inline constexpr int64_t kMapBytes = 1 << 20;
std::optional<Skip> absorb_with_map(const LinearOp& linear, const Affine& affine, const std::string& name,
                                    const RuleContext& context, Patch& patch);

}  // namespace plica
