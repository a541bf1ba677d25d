// The rules that fold affines: chains of BatchNormalization, Add, Sub, Mul and Div by constants, as one map
// each.
#include <algorithm>
#include <cmath>

#include "engine/core/fail.h"
#include "passes/constants.h"
#include "passes/fold/absorb_affine.h"
#include "passes/fold/error_bound.h"
#include "passes/fold/folded_name.h"
#include "passes/fold/travel.h"
#include "passes/rules.h"

namespace plica {
namespace {

// The name of the one node that takes the place of the chain: its first batch norm's.
const Node& namesake(const AffineChain& chain) {
  for (const AffineNode& n : chain.nodes) {
    if (n.node->is("BatchNormalization")) return *n.node;
  }
  return chain.last();
}

// A node that adds (or multiplies by) the values; nothing when one is not finite, or the opset cannot say it.
std::optional<Operand> add_arithmetic(std::string_view op, const std::vector<double>& values, Dims dims,
                                      double slack, const AffineChain& chain, const std::string& output,
                                      const RuleContext& context, Patch& patch) {
  const Node& last = chain.last();
  const Facts& facts = context.facts.of(chain.input());
  if (!is_foldable_type(facts.type.element)) return std::nullopt;
  Attributes attributes;
  if (!broadcast_as_before_opset_7(last.opset(), context.facts.rank_of(chain.input()), dims, attributes))
    return std::nullopt;
  const Node& name = namesake(chain);
  const auto constant = add_rounded(values, std::move(dims), facts.type.element, slack,
                                    label_of(name) + (op == "Add" ? "_shift" : "_scale"), last, patch);
  if (!constant) return std::nullopt;
  return patch.add_node({.op_type = std::string(op),
                         .name = name.name,
                         .output_base_name = output,
                         .inputs = {chain.input(), *constant},
                         .attributes = std::move(attributes),
                         .before = &last});
}

// x + offset on feature maps as a depthwise 1x1 convolution with weights of 1: engines that convolve in a
// blocked layout stay in it, but leave it for an Add (figures in docs/passes.md).
std::optional<Operand> add_depthwise(const Affine& offset, double slack, const AffineChain& chain,
                                     const std::string& output, const RuleContext& context, Patch& patch) {
  const Node& last = chain.last();
  const Type& type = context.facts.of(chain.input()).type;
  if (type.element != DataType::float32 || !type.shape || type.shape->rank() != 4 ||
      !(*type.shape)[1].is_known())
    return std::nullopt;
  const int64_t channels = (*type.shape)[1].value();
  const auto factors = channels > 0 ? by_channel(offset, 2, channels) : std::nullopt;
  if (!factors) return std::nullopt;
  const Node& name = namesake(chain);
  const auto bias =
      add_rounded(factors->shift, {channels}, type.element, slack, label_of(name) + "_shift", last, patch);
  if (!bias) return std::nullopt;
  const Operand ones = patch.add_constant(
      label_of(name) + "_ones",
      Tensor::of(std::vector<float>(static_cast<size_t>(channels), 1.0f), {channels, 1, 1, 1}), last);
  Attributes attributes;
  attributes.set("group", channels);
  attributes.set("kernel_shape", std::vector<int64_t>{1, 1});
  return patch.add_node({.op_type = "Conv",
                         .name = name.name,
                         .output_base_name = output,
                         .inputs = {chain.input(), ones, *bias},
                         .attributes = std::move(attributes),
                         .before = &last});
}

double largest(const std::vector<double>& values) { return *std::ranges::max_element(values); }

// Reads the chain around the node, or says why there is none.
std::optional<RuleResult> read_chain(const Node& node, const RuleContext& context, AffineChain& chain) {
  auto read = read_affine_chain(node, context);
  if (std::holds_alternative<NoMatch>(read)) return NoMatch{};
  if (auto* skip = std::get_if<Skip>(&read)) return *std::move(skip);
  chain = std::get<AffineChain>(std::move(read));
  return std::nullopt;
}

// The chain computes nothing.
RuleResult remove_chain(const AffineChain& chain, const Node& at) {
  if (!can_replace(*chain.output(), *chain.input())) return NoMatch{};
  Patch patch(at);
  patch.error_bound = 0;
  patch.replace(chain.output(), chain.input());
  return patch;
}

Skip unknown_sizes(const AffineChain& chain) {
  return {fmt::format("sizes of its input {} are not known", quoted(chain.input()->name())),
          "give the model's inputs shapes, or run shape inference", chain.input()->producer()};
}

// ---- split_affine

// t / s beyond this would meet weights that are flushed to zero: a channel that is all but dead.
constexpr double kLargestRatio = 0x1p60;

// s x + t = s (x + t/s): the offset stays, the factor goes forward.
std::optional<Patch> split_forward(const AffineChain& chain, const Node& at, const RuleContext& context) {
  const Affine& affine = chain.affine;
  if (!chain.keeps_shape()) return std::nullopt;
  Affine offset = affine;
  offset.scale.assign(affine.size(), 1.0);
  double slack = 0;
  for (size_t i = 0; i < affine.size(); ++i) {
    const double ratio = affine.shift[i] / affine.scale[i];
    if (!(std::abs(ratio) <= kLargestRatio)) return std::nullopt;
    offset.shift[i] = ratio;
    slack = std::max(
        slack, affine.shift_error[i] / std::abs(affine.scale[i]) + 4 * ErrorBound::kUnit * std::abs(ratio));
  }
  Travel travel(chain, at, context);
  if (travel.forward(affine.scale_only(), false)) return std::nullopt;
  const std::string output = folded_name(chain.output()->name());
  auto sum = add_depthwise(offset, slack, chain, output, context, travel.patch());
  if (!sum)
    sum = add_arithmetic("Add", offset.shift, offset.dims, slack, chain, output, context, travel.patch());
  if (!sum) return std::nullopt;
  travel.patch().substitute(chain.output(), *sum);
  travel.patch().offset_stays = true;
  return std::move(travel).take();
}

// s x + t: the factor goes backward, the offset stays.
std::optional<Patch> split_backward(const AffineChain& chain, const Node& at, const RuleContext& context) {
  Travel travel(chain, at, context);
  if (travel.backward(chain.affine.scale_only())) return std::nullopt;
  const auto sum =
      add_arithmetic("Add", chain.affine.shift, chain.affine.dims, largest(chain.affine.shift_error), chain,
                     chain.output()->name(), context, travel.patch());
  if (!sum) return std::nullopt;
  travel.patch().replace(chain.output(), *sum);
  travel.patch().offset_stays = true;
  return std::move(travel).take();
}

// ---- merge_affines

// A chain with a batch norm: that takes in the others.
RuleResult merge_into_batch_norm(const AffineChain& chain, const AffineNode& holder, const Node& at,
                                 const RuleContext& context) {
  if (!chain.keeps_shape()) return NoMatch{};
  Patch patch(at);
  patch.error_bound = 0;
  if (absorb_into_affine(holder, chain.affine, context, patch)) return NoMatch{};
  Node* node = holder.node;
  if (chain.input() != node->input(0)) patch.set_input(node, 0, chain.input());
  if (chain.output() == node->output(0)) {
    patch.keep_output(node->output(0));
  } else {
    patch.replace(chain.output(), node->output(0));
  }
  for (const AffineNode& n : chain.nodes) {
    if (n.node != node && n.node->is("BatchNormalization")) patch.note(node, kFoldedKey, label_of(*n.node));
  }
  patch.absorbers.push_back(node);
  return patch;
}

// Several nodes of arithmetic become one BatchNormalization, of mean 0 and variance 1.
RuleResult make_batch_norm(const AffineChain& chain, const Node& at, const RuleContext& context) {
  const Type& type = context.facts.of(chain.input()).type;
  if (chain.last().opset() < 9 || !type.shape || type.shape->rank() < 2 || !(*type.shape)[1].is_known() ||
      !is_foldable_type(type.element)) {
    return NoMatch{};
  }
  const int64_t channels = (*type.shape)[1].value();
  const auto factors = by_channel(chain.affine, type.shape->rank() - 2, channels);
  if (!factors || channels == 0 || !chain.keeps_shape()) return NoMatch{};
  Patch patch(at);
  patch.error_bound = 0;
  const Node& last = chain.last();
  std::vector<Operand> inputs = {chain.input()};
  const auto add = [&](const std::vector<double>& values, double slack, const char* role) {
    const auto constant =
        add_rounded(values, {channels}, type.element, slack, label_of(last) + role, last, patch);
    if (constant) inputs.push_back(*constant);
    return constant.has_value();
  };
  const auto count = static_cast<size_t>(channels);
  if (!add(factors->scale, 0, "_scale") || !add(factors->shift, largest(factors->shift_error), "_bias") ||
      !add(std::vector<double>(count, 0.0), 0, "_mean") || !add(std::vector<double>(count, 1.0), 0, "_var")) {
    return NoMatch{};
  }
  Attributes attributes;
  attributes.set("epsilon", 0.0f);
  const Operand made = patch.add_node({.op_type = "BatchNormalization",
                                       .name = last.name,
                                       .output_base_name = chain.output()->name(),
                                       .inputs = std::move(inputs),
                                       .attributes = std::move(attributes),
                                       .before = &last});
  patch.replace(chain.output(), made);
  return patch;
}

}  // namespace

RuleResult fold_affine_backward(const Node& node, const RuleContext& context) {
  AffineChain chain;
  if (auto none = read_chain(node, context, chain)) return *std::move(none);
  if (chain.affine.is_identity()) return remove_chain(chain, node);
  Travel travel(chain, node, context);
  if (auto skip = travel.backward(chain.affine)) {
    if (chain.affine.rank() >= 2 && chain.affine.dims.back() != 1 && node.is("BatchNormalization") &&
        node.input(1)->type().shape && node.input(1)->type().shape->rank() > 1) {
      skip->reason += "; it has one value for each activation (spatial = 0), not for each channel";
      skip->fix = "export it with spatial = 1, or to opset 9 or later";
    }
    return *std::move(skip);
  }
  travel.patch().replace(chain.output(), chain.input());
  return std::move(travel).take();
}

RuleResult fold_affine_forward(const Node& node, const RuleContext& context) {
  AffineChain chain;
  if (read_chain(node, context, chain)) return NoMatch{};
  if (!chain.keeps_shape()) return unknown_sizes(chain);
  Travel travel(chain, node, context);
  if (auto skip = travel.forward(chain.affine, true)) return *std::move(skip);
  travel.patch().substitute(chain.output(), chain.input());
  return std::move(travel).take();
}

RuleResult split_affine(const Node& node, const RuleContext& context) {
  AffineChain chain;
  if (read_chain(node, context, chain)) return NoMatch{};
  if (!chain.affine.has_scale() || !chain.affine.has_shift()) return NoMatch{};
  if (chain.nodes.size() == 1 && !chain.has_batch_norm()) return NoMatch{};
  if (auto patch = split_forward(chain, node, context)) return *std::move(patch);
  if (auto patch = split_backward(chain, node, context)) return *std::move(patch);
  return NoMatch{};
}

RuleResult merge_affines(const Node& node, const RuleContext& context) {
  AffineChain chain;
  if (read_chain(node, context, chain) || chain.nodes.size() < 2) return NoMatch{};
  const Affine& affine = chain.affine;
  for (const AffineNode& n : chain.nodes) {
    if (n.node->is("BatchNormalization")) return merge_into_batch_norm(chain, n, node, context);
  }
  if (affine.has_scale() && affine.has_shift()) return make_batch_norm(chain, node, context);
  Patch patch(node);
  patch.error_bound = 0;
  const bool add = !affine.has_scale();
  const auto made =
      add_arithmetic(add ? "Add" : "Mul", add ? affine.shift : affine.scale, affine.dims,
                     add ? largest(affine.shift_error) : 0, chain, chain.output()->name(), context, patch);
  if (!made) return NoMatch{};
  patch.replace(chain.output(), *made);
  return patch;
}

}  // namespace plica
