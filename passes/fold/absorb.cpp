// Moving a channel affine into the linear operator before it: absorb_at_output of linear_op.h.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>

#include "engine/core/fail.h"
#include "passes/fold/linear_op.h"

namespace plica {
namespace {

using Kind = LinearOp::Kind;

constexpr double kUnit = std::numeric_limits<double>::epsilon() / 2;  // of rounding in double

// "conv1.weight" -> "conv1.weight_folded", and that stays as it is.
std::string folded_name(const std::string& name) {
  return name.ends_with("_folded") ? name : name + "_folded";
}

Skip out_of_range(const Node& core, std::string_view what, int64_t channel, DataType type) {
  return {fmt::format("in channel {} the {} of {} would not be a finite {}", channel, what, describe(core),
                      to_string(type)),
          "keep this model in a type of larger range, or recalibrate the running statistics", &core};
}

// What the rounding of the new constants may change, relative to what the operator can reach.
//
// With w' and b' the exact products and sums, and the stored ones off by dw and db, an output of channel c
// moves by at most
//   sum_i |dw_ci| |x_i| + |db_c|  <=  a X + b,      X = max |x|,  a = max_c sum_i |dw_ci|,  b = max_c |db_c|,
// and outputs of the operator reach, for inputs no larger than X,
//   Y(X) = max_c (X sum_i |w'_ci| + |b'_c|)  >=  max(A X, B),    A = max_c sum_i |w'_ci|,  B = max_c |b'_c|.
// So the change is at most (a/A + b/B) Y(X), for any X. dw and db are measured, not estimated: flushed
// subnormals are in them. Added are the roundings of the double arithmetic that made w' and b'. Not bounded:
// the roundings while a model runs, of which the folded one has fewer; and outputs that stay far below Y(X)
// because their terms cancel have a larger relative change.
class ErrorBound {
 public:
  void add(const Rounded& rounded, double slack) {
    const double error = *std::ranges::max_element(rounded.error) + slack;
    const double reach = *std::ranges::max_element(rounded.reach);
    if (error > 0) bound_ += error / reach;
  }
  // Nothing when constants that should be zero are only nearly known to be.
  std::optional<double> get() const { return std::isfinite(bound_) ? std::optional(bound_) : std::nullopt; }

 private:
  double bound_ = 4 * kUnit;  // of the factors (3 roundings) and the products with the weights
};

// scale * W. Nothing when that worked.
std::optional<Skip> absorb_scale(const LinearOp& linear, const ChannelAffine& affine,
                                 const RuleContext& context, Patch& patch, ErrorBound& bound) {
  if (std::ranges::all_of(affine.scale, [](double s) { return s == 1; })) return std::nullopt;
  const Value& root = *linear.weight_root;
  if (root.uses().size() > 1 || root.is_graph_output()) {
    patch.growth_bytes = static_cast<int64_t>(linear.weight.bytes());
    if (patch.growth_bytes > context.growth_left) {
      return Skip{fmt::format("{} shares its weight with other nodes, and a copy of it would pass the limit "
                              "for new constants",
                              describe(*linear.core)),
                  "raise the limit for constants", linear.core};
    }
  }
  Rounded weight = scale_channels(linear.weight, linear.output_layout, affine.scale);
  if (weight.overflow >= 0) {
    return out_of_range(*linear.core, "weight", weight.overflow, linear.weight.type());
  }
  patch.flushed += weight.flushed;
  bound.add(weight, 0);
  patch.set_input(linear.core, 1,
                  patch.add_constant(folded_name(root.name()), std::move(weight.tensor), *linear.core));
  return std::nullopt;
}

// The dims of the new bias: as before where they are one value for each channel already.
Dims bias_dims(const LinearOp& linear) {
  const int64_t channels = linear.output_axis.channels;
  if (linear.kind == Kind::matmul && linear.add) {
    const Tensor* before = linear.add->input(linear.add_constant)->constant();
    if (before && before->size() == channels) return before->dims();
  }
  if (linear.bias_rows == 1) return {channels};
  return {linear.bias_rows, channels};
}

// scale * b + shift. `result` becomes what computes the whole. Nothing when that worked.
std::optional<Skip> absorb_shift(const LinearOp& linear, const ChannelAffine& affine, const Node& node,
                                 Patch& patch, ErrorBound& bound, Operand& result) {
  std::vector<double> bias = linear.bias;
  const auto channels = static_cast<size_t>(linear.output_axis.channels);
  if (bias.empty()) {
    if (std::ranges::all_of(affine.shift, [](double t) { return t == 0; })) return std::nullopt;
    bias.assign(channels, 0.0);
  }
  double slack = 0;  // of the double arithmetic
  for (size_t i = 0; i < bias.size(); ++i) {
    const size_t c = i % channels;
    const double scaled = affine.scale[c] * bias[i];
    bias[i] = scaled + affine.shift[c];
    slack = std::max(slack, affine.shift_error[c] + kUnit * (5 * std::abs(scaled) + std::abs(bias[i])));
  }
  const bool subtracted = linear.kind == Kind::matmul && linear.add && linear.add->is("Sub");
  if (subtracted) std::ranges::transform(bias, bias.begin(), std::negate<>());

  Rounded rounded = round_rows(bias, linear.output_axis.channels, linear.weight.type(), bias_dims(linear));
  if (rounded.overflow >= 0) {
    return out_of_range(*linear.core, "bias", rounded.overflow, linear.weight.type());
  }
  patch.flushed += rounded.flushed;
  bound.add(rounded, slack);
  const Node& holder = linear.kind != Kind::matmul ? *linear.core : linear.add ? *linear.add : node;
  const std::string name = linear.bias_name.empty() ? label_of(*linear.core) + "_bias" : linear.bias_name;
  const Operand constant = patch.add_constant(folded_name(name), std::move(rounded.tensor), holder);

  // Up to opset 6 the second input broadcasts only when asked to, and without `axis` to the last dimensions.
  const bool legacy = node.opset() < 7;
  Attribute broadcast;
  broadcast.name = "broadcast";
  broadcast.value = int64_t{1};
  if (linear.kind != Kind::matmul) {
    patch.set_input(linear.core, 2, constant);
    if (linear.kind == Kind::gemm) {
      patch.remove_attribute(linear.core, "beta");  // 1 by default: it is in the bias now
      if (legacy && linear.bias_rows == 1) patch.set_attribute(linear.core, broadcast);
    }
  } else if (linear.add) {
    patch.set_input(linear.add, linear.add_constant, constant);
    if (legacy) patch.remove_attribute(linear.add, "axis");
  } else {
    Attributes attributes;
    if (legacy) attributes.set(broadcast);
    result = patch.add_node(
        {"Add", node.name, node.output(0)->name(), {result, constant}, std::move(attributes), &node});
  }
  return std::nullopt;
}

}  // namespace

RuleResult absorb_at_output(const LinearOp& linear, const ChannelAffine& affine, const Node& node,
                            const RuleContext& context) {
  if (affine.channels() != linear.output_axis.channels) {
    return Skip{fmt::format("it has {} channels, but {} computes {}", affine.channels(),
                            describe(*linear.core), linear.output_axis.channels),
                "", linear.core};
  }
  Patch patch(node);
  ErrorBound bound;
  if (auto skip = absorb_scale(linear, affine, context, patch, bound)) return *std::move(skip);
  // The Add behind a MatMul stays; that behind another operator is in its bias now.
  Operand result(linear.kind == Kind::matmul ? linear.output() : linear.core->output(0));
  if (auto skip = absorb_shift(linear, affine, node, patch, bound, result)) return *std::move(skip);
  patch.replace(node.output(0), result);
  patch.absorbers.push_back(linear.core);
  patch.error_bound = bound.get();
  return patch;
}

}  // namespace plica
