// Pad before what pads itself: another Pad, a Conv, a pool.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/checked.h"
#include "engine/ops/attribute_reader.h"
#include "passes/constants.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

// A Pad by a constant that adds elements (and crops none).
struct ConstantPad {
  Dims begin, end;  // by axis
  double value = 0;
  DataType type = DataType::undefined;
};

std::optional<ConstantPad> read_pad(const Node& node, const RuleContext& context) {
  const AttributeReader attributes(node);
  const Value* x = node.input(0);
  const int rank = context.facts.rank_of(x);
  const DataType type = context.facts.of(x).type.element;
  const Ints pads = ints_of(node, "pads", 1, context), axes = ints_of(node, "axes", 3, context);
  if (rank < 0 || !is_foldable_type(type) || attributes.s("mode") != "constant" || !pads.values ||
      (axes.given && !axes.values)) {
    return std::nullopt;
  }
  const size_t count = axes.given ? axes.values->size() : static_cast<size_t>(rank);
  if (pads.values->size() != 2 * count) return std::nullopt;
  ConstantPad pad{Dims(static_cast<size_t>(rank), 0), Dims(static_cast<size_t>(rank), 0), 0, type};
  for (size_t i = 0; i < count; ++i) {
    int64_t axis = axes.given ? (*axes.values)[i] : static_cast<int64_t>(i);
    if (axis < 0) axis += rank;
    if (axis < 0 || axis >= rank) return std::nullopt;
    pad.begin[static_cast<size_t>(axis)] = (*pads.values)[i];
    pad.end[static_cast<size_t>(axis)] = (*pads.values)[count + i];
  }
  for (const Dims& side : {pad.begin, pad.end}) {
    if (std::ranges::any_of(side, [](int64_t p) { return p < 0; })) return std::nullopt;
  }
  if (node.has_input(2)) {
    const auto value = scalar_input(node, 2, context);
    if (!value) return std::nullopt;
    pad.value = *value;
  } else if (attributes.has("value")) {
    pad.value = attributes.f("value");
  }
  return pad;
}

Dims joined(const Dims& begin, const Dims& end) {
  Dims all = begin;
  all.insert(all.end(), end.begin(), end.end());
  return all;
}

// The Pad that nothing but `node` reads, if it leaves batch and channels alone.
struct SpatialPad {
  ConstantPad pad;
  Value* input;
  size_t spatial;
};

std::optional<SpatialPad> spatial_pad_before(const Node& node, const RuleContext& context) {
  const Node* before = sole_producer_of(node.input(0), "Pad");
  if (!before) return std::nullopt;
  auto pad = read_pad(*before, context);
  if (!pad || pad->begin.size() < 3) return std::nullopt;
  for (size_t i = 0; i < 2; ++i) {
    if (pad->begin[i] != 0 || pad->end[i] != 0) return std::nullopt;
  }
  return SpatialPad{*pad, before->input(0), pad->begin.size() - 2};
}

// The window's own pads and those of the Pad together. nullopt where auto_pad would look at the padded size,
// or a window may reach beyond the pads (ceil_mode), or pads are as large as the pool's kernel, which
// runtimes refuse (and then a window might see padding alone).
std::optional<Dims> pads_together(const Node& node, const SpatialPad& p, bool is_pool) {
  const AttributeReader attributes(node);
  const std::string auto_pad = attributes.s("auto_pad");
  Dims own(2 * p.spatial, 0);
  if (auto_pad == "NOTSET" || auto_pad.empty()) {
    if (attributes.has("pads")) own = attributes.ints("pads");
  } else if (auto_pad != "VALID") {
    return std::nullopt;
  }
  if (own.size() != 2 * p.spatial) return std::nullopt;
  for (size_t i = 0; i < p.spatial; ++i) {
    own[i] = checked_add(own[i], p.pad.begin[i + 2]);
    own[i + p.spatial] = checked_add(own[i + p.spatial], p.pad.end[i + 2]);
  }
  if (!is_pool) return own;
  const Dims kernel = attributes.ints("kernel_shape");
  if (kernel.size() != p.spatial || attributes.has("dilations")) return std::nullopt;
  if (attributes.has("ceil_mode") && attributes.i("ceil_mode") != 0) return std::nullopt;
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i] >= kernel[i % p.spatial]) return std::nullopt;
  }
  return own;
}

Patch with_pads(const Node& node, const SpatialPad& p, Dims pads) {
  Node* self = node.output(0)->producer();
  Patch patch(node);
  patch.set_input(self, 0, p.input);
  patch.set_attribute(self, {.name = "pads", .value = std::move(pads)});
  if (node.attributes().has("auto_pad"))
    patch.set_attribute(self, {.name = "auto_pad", .value = std::string("NOTSET")});
  patch.keep_output(node.output(0));
  return patch;
}

bool is_never_negative(const Value* value, const RuleContext& context) {
  for (const std::string_view op : {"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Exp"}) {
    if (producer_of(value, op)) return true;
  }
  if (const Node* clip = producer_of(value, "Clip")) {
    const auto bound = [&](const char* name, int input) -> std::optional<double> {
      if (clip->attributes().has(name)) return AttributeReader(*clip).f(name);
      return scalar_input(*clip, input, context);
    };
    const auto low = bound("min", 1), high = bound("max", 2);
    // A minimum above the maximum gives the maximum.
    const bool has_high = clip->attributes().has("max") || clip->has_input(2);
    return low && *low >= 0 && (!has_high || (high && *high >= 0));
  }
  for (const std::string_view op : {"MaxPool", "AveragePool", "Identity"}) {
    if (const Node* pool = producer_of(value, op)) {
      return std::ranges::any_of(std::initializer_list<std::string_view>{"Relu", "Sigmoid", "Abs"},
                                 [&](std::string_view f) { return producer_of(pool->input(0), f); });
    }
  }
  return false;
}

}  // namespace

// Pads by the same value add up.
RuleResult merge_pads(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Pad") || node.opset() < 2) return NoMatch{};
  const Node* inner = sole_producer_of(node.input(0), "Pad");
  if (!inner) return NoMatch{};
  auto outer = read_pad(node, context);
  const auto first = read_pad(*inner, context);
  if (!outer || !first || outer->type != first->type || outer->begin.size() != first->begin.size() ||
      outer->value != first->value || std::signbit(outer->value) != std::signbit(first->value)) {
    return NoMatch{};
  }
  for (size_t i = 0; i < outer->begin.size(); ++i) {
    outer->begin[i] = checked_add(outer->begin[i], first->begin[i]);
    outer->end[i] = checked_add(outer->end[i], first->end[i]);
  }
  Dims pads = joined(outer->begin, outer->end);
  Patch patch(node);
  Patch::NewNode made{.op_type = "Pad",
                      .output_base_name = node.output(0)->name(),
                      .inputs = {inner->input(0)},
                      .before = &node,
                      .like = &node};
  made.attributes.set("mode", std::string("constant"));
  if (node.attributes().has("pads")) {
    made.attributes.set("pads", std::move(pads));
    made.attributes.set("value", static_cast<float>(outer->value));
  } else {
    const auto count = static_cast<int64_t>(pads.size());
    made.inputs.push_back(
        patch.add_constant(node.output(0)->name() + "_pads", Tensor::of(pads, {count}), node));
    made.inputs.push_back(
        patch.add_constant(node.output(0)->name() + "_value", scalar_of(outer->type, outer->value), node));
  }
  patch.replace(node.output(0), patch.add_node(std::move(made)));
  return patch;
}

// Zeros around the image are what Conv's own pads are.
RuleResult fuse_pad_into_conv(const Node& node, const RuleContext& context) {
  if (!is_plain(node, "Conv")) return NoMatch{};
  const auto before = spatial_pad_before(node, context);
  if (!before || before->pad.value != 0) return NoMatch{};
  auto pads = pads_together(node, *before, false);
  return pads ? RuleResult(with_pads(node, *before, std::move(*pads))) : NoMatch{};
}

// AveragePool counts the zeros of a Pad as elements, which is count_include_pad; its own pads must then be
// counted too, or be none. MaxPool's own padding is -infinity; with pads smaller than the kernel every window
// has a true element, so where none is negative zeros change no maximum.
RuleResult fuse_pad_into_pool(const Node& node, const RuleContext& context) {
  const bool average = is_plain(node, "AveragePool");
  if (!average && !is_plain(node, "MaxPool")) return NoMatch{};
  const auto before = spatial_pad_before(node, context);
  if (!before) return NoMatch{};
  if (!average) {
    const double value = before->pad.value;
    const bool unseen = value == -std::numeric_limits<double>::infinity() ||
                        (value == 0 && is_never_negative(before->input, context));
    if (!unseen || (node.has_output(1) && node.output(1)->has_uses())) return NoMatch{};
  } else if (before->pad.value != 0 || node.opset() < 7) {
    return NoMatch{};
  }
  auto pads = pads_together(node, *before, true);
  if (!pads) return NoMatch{};
  if (!average) return with_pads(node, *before, std::move(*pads));
  const AttributeReader attributes(node);
  const Dims own = attributes.has("pads") ? attributes.ints("pads") : Dims();
  const bool has_own = std::ranges::any_of(own, [](int64_t p) { return p != 0; });
  if (has_own && attributes.i("count_include_pad") == 0) return NoMatch{};
  Patch patch = with_pads(node, *before, std::move(*pads));
  patch.set_attribute(node.output(0)->producer(), {.name = "count_include_pad", .value = int64_t{1}});
  return patch;
}

}  // namespace plica
