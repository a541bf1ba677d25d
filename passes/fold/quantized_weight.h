// Weights and biases that are stored as integers and go through DequantizeLinear: folding moves the scales,
// and the integers keep their values but for the sign.
#pragma once

#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "passes/fold/weight_view.h"
#include "passes/rule.h"

namespace plica {

// w = (values - zero_point) * scale, with one scale for all or one for each position of `axis`.
struct QuantizedTensor {
  const Node* node = nullptr;        // the DequantizeLinear
  Tensor values;                     // int8, uint8 or int32
  Tensor scale;                      // float
  std::vector<double> scales;        // one, or one for each position of the axis
  std::vector<int64_t> zero_points;  // of the same size
  int axis = 0;

  bool per_axis() const { return scales.size() > 1; }
  // Exactly, in double.
  std::vector<double> dequantized() const;
};

// What computes the value, when it is a DequantizeLinear of constants of these types; NoMatch when it is
// something else, Skip when it is one that folding does not know (blocks, 4-bit types, float8).
std::variant<NoMatch, Skip, QuantizedTensor> read_quantized(const Value* value, const RuleContext& context);

// The weight times a factor for each output channel, which are positions of `output_axis`: |factor| goes into
// the scales, its sign into the integers. A factor of 0 makes the integers zero and leaves the scale valid.
struct QuantizedWeight {
  Operand operand;
  Rounded rounding;  // error and reach by output channel
  std::vector<double> scales;
};
std::variant<Skip, QuantizedWeight> scale_quantized(const QuantizedTensor& weight, const WeightView& view,
                                                    int output_axis, std::span<const double> factors,
                                                    Patch& patch);

// A bias as int32 with a scale for each channel, through DequantizeLinear. `like`: the node whose place it
// takes, or null. The rounding is that to multiples of the scale.
std::variant<Skip, QuantizedWeight> quantize_bias(std::span<const double> bias,
                                                  std::span<const double> scales, DataType scale_type,
                                                  const Node& linear, const Node* like, Patch& patch);

}  // namespace plica
