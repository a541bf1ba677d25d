// Operators that move elements, or make new ones as weighted means of them, carry an affine along with its
// elements: Transpose, Reshape, Concat, Split, Slice, Pad, Resize, DepthToSpace, ...
#include <algorithm>
#include <cmath>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/node_parameters.h"
#include "engine/ops/table.h"
#include "passes/constants.h"
#include "passes/fold/carry.h"

namespace plica {
namespace {

const std::optional<Shape>& shape_of(const Value* value, const RuleContext& context) {
  return context.facts.of(value).type.shape;
}

Skip shape_unknown(const Node& node) {
  return {fmt::format("the shapes of {} are not known", describe(node)), "give the model's inputs shapes",
          &node};
}
Skip moves_channels(const Node& node) {
  return {fmt::format("{} moves elements along the axis of the factors", describe(node)), "", &node};
}

Carried to(int index, Affine affine) { return {{{index, simplest(std::move(affine))}}, {}}; }

// The affine with the extents of axis `axis` of an operand of this rank, taken from positions source(i).
template <class F>
Affine along_axis(const Affine& affine, int axis, int rank, int64_t size, F&& source) {
  Dims extents = affine.extents(rank);
  extents[static_cast<size_t>(axis)] = size;
  Dims strides(extents.size(), 0);
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; --i) {
    if (affine.varies(i, rank)) strides[static_cast<size_t>(i)] = stride;
    stride *= affine.extent(i, rank);
  }
  return gather(affine, extents, [&](const Dims& at) {
    int64_t from = 0;
    for (size_t i = 0; i < at.size(); ++i)
      from += (static_cast<int>(i) == axis ? source(at[i]) : at[i]) * strides[i];
    return static_cast<size_t>(from);
  });
}

// ---- views: Reshape, Flatten, Squeeze, Unsqueeze, Identity

// A run of axes on one side that holds the same elements as a run on the other.
struct AxisRun {
  int from_begin, from_end, to_begin, to_end;
};

// Splits two shapes of the same elements into runs with the same products, as short as possible. A symbol
// only matches itself; one unknown dim on each side match when all others multiply to the same.
std::vector<AxisRun> match_axes(const Shape& from, const Shape& to) {
  const auto open = [](const Shape& s) {
    return std::ranges::count_if(s, [](const Dim& d) { return !d.is_known() && !d.is_symbol(); });
  };
  const auto known_product = [](const Shape& s) {
    int64_t p = 1;
    for (const Dim& d : s) {
      if (d.is_known()) p = checked_mul(p, d.value());
    }
    return p;
  };
  const auto symbols = [](const Shape& s) {
    std::vector<std::string> names;
    for (const Dim& d : s) {
      if (d.is_symbol()) names.push_back(d.symbol());
    }
    std::ranges::sort(names);
    return names;
  };
  const bool one_open = open(from) == 1 && open(to) == 1 && symbols(from) == symbols(to) &&
                        known_product(from) == known_product(to);
  const auto equal = [one_open](const Dim& a, const Dim& b) {
    const auto is_open = [](const Dim& d) { return !d.is_known() && !d.is_symbol(); };
    return a.same_as(b) || (one_open && is_open(a) && is_open(b));
  };
  const auto is_one = [](const Dim& d) { return d.is_known() && d.value() == 1; };

  std::vector<AxisRun> runs;
  int i = 0, j = 0;
  while (i < from.rank() || j < to.rank()) {
    if (i < from.rank() && j < to.rank() && equal(from[i], to[j])) {
      runs.push_back({i, i + 1, j, j + 1});
      ++i, ++j;
    } else if (i < from.rank() && is_one(from[i])) {
      ++i;
    } else if (j < to.rank() && is_one(to[j])) {
      ++j;
    } else {
      AxisRun run{i, i, j, j};
      int64_t a = 1, b = 1;
      do {
        const bool left = a <= b ? i < from.rank() : j >= to.rank();
        const Shape& shape = left ? from : to;
        int& next = left ? i : j;
        if (next >= shape.rank() || !shape[next].is_known() || shape[next].value() == 0) {
          // Whatever is left on one side holds what is left on the other.
          runs.push_back({run.from_begin, from.rank(), run.to_begin, to.rank()});
          return runs;
        }
        int64_t& p = left ? a : b;
        p = checked_mul(p, shape[next++].value());
      } while (a != b);
      run.from_end = i;
      run.to_end = j;
      runs.push_back(run);
    }
  }
  return runs;
}

// ---- Transpose

std::optional<Affine> permuted(const Affine& affine, const std::vector<int>& axes) {
  // Axis i of the result is axis axes[i].
  const auto rank = static_cast<int>(axes.size());
  if (affine.rank() > rank) return std::nullopt;
  Dims extents, strides(axes.size(), 0);
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; --i) {
    strides[static_cast<size_t>(i)] = affine.varies(i, rank) ? stride : 0;
    stride *= affine.extent(i, rank);
  }
  for (int axis : axes) extents.push_back(affine.extent(axis, rank));
  return gather(affine, extents, [&](const Dims& at) {
    int64_t from = 0;
    for (size_t i = 0; i < at.size(); ++i) from += at[i] * strides[static_cast<size_t>(axes[i])];
    return static_cast<size_t>(from);
  });
}

CarryResult carry_transpose(const Node& node, const Affine& affine, bool backward,
                            const RuleContext& context) {
  auto axes = transpose_permutation(infer_context(node, context));
  if (!axes) return shape_unknown(node);
  if (backward) {
    std::vector<int> inverse(axes->size());
    for (size_t i = 0; i < axes->size(); ++i) inverse[static_cast<size_t>((*axes)[i])] = static_cast<int>(i);
    axes = std::move(inverse);
  }
  auto out = permuted(affine, *axes);
  return out ? CarryResult(to(0, *std::move(out))) : shape_unknown(node);
}

// ---- Concat, Split

// Where each part of the axis begins, with the end of the last; nullopt when a size is not known.
template <class GetValue>
std::optional<Dims> part_begins(int parts, int axis, GetValue&& value, const RuleContext& context) {
  Dims begins = {0};
  for (int i = 0; i < parts; ++i) {
    const Value* v = value(i);
    const auto& shape = v ? shape_of(v, context) : std::nullopt;
    if (!shape || !(*shape)[axis].is_known()) return std::nullopt;
    begins.push_back(checked_add(begins.back(), (*shape)[axis].value()));
  }
  return begins;
}

// One of the parts of an affine over the whole axis.
Affine part_of(const Affine& affine, int axis, int rank, int64_t begin, int64_t size) {
  if (!affine.varies(axis, rank)) return affine;
  return along_axis(affine, axis, rank, size, [begin](int64_t i) { return begin + i; });
}

// The affine over the whole axis that is `affine` on one part and the identity elsewhere.
std::optional<Affine> within_whole(const Affine& affine, int axis, int rank, int64_t begin, int64_t size,
                                   int64_t whole) {
  Dims extents = affine.extents(rank);
  extents[static_cast<size_t>(axis)] = size;
  const Affine part = expand(affine, extents);
  extents[static_cast<size_t>(axis)] = whole;
  if (checked_elements(extents) > kMostFactors) return std::nullopt;
  // One more position along the axis, which is the identity.
  Affine padded = along_axis(part, axis, rank, size + 1, [size](int64_t i) { return std::min(i, size - 1); });
  int64_t inner = 1;
  for (size_t i = static_cast<size_t>(axis) + 1; i < extents.size(); ++i) inner *= extents[i];
  for (size_t i = 0; i < padded.size(); ++i) {
    if (static_cast<int64_t>(i) / inner % (size + 1) != size) continue;
    padded.scale[i] = 1;
    padded.shift[i] = padded.shift_error[i] = 0;
  }
  return along_axis(padded, axis, rank, whole,
                    [begin, size](int64_t i) { return i >= begin && i < begin + size ? i - begin : size; });
}

struct Parts {
  int axis, rank;
  Dims begins;
};

// Of a Concat's inputs or a Split's outputs; nullopt when their sizes are not known.
std::optional<Parts> parts_of(const Node& node, const RuleContext& context) {
  const bool concat = node.is("Concat");
  const int rank = context.facts.rank_of(concat ? node.output(0) : node.input(0));
  if (rank < 1) return std::nullopt;
  const int axis = normalize_axis(AttributeReader(node).i("axis"), rank);
  auto begins = part_begins(
      concat ? node.num_inputs() : node.num_outputs(), axis,
      [&](int i) { return concat ? node.input(i) : node.output(i); }, context);
  if (!begins) return std::nullopt;
  return Parts{axis, rank, *std::move(begins)};
}

// From the whole to the parts: Concat backward, Split forward.
CarryResult whole_to_parts(const Node& node, const Affine& affine, const RuleContext& context) {
  const int count = node.is("Concat") ? node.num_inputs() : node.num_outputs();
  const auto parts = parts_of(node, context);
  Carried carried;
  for (int i = 0; i < count; ++i) {
    if (!(node.is("Concat") ? node.has_input(i) : node.has_output(i))) return NoMatch{};
    if (!parts) {
      // Sizes matter only where the factors vary.
      if (affine.size() != 1) return shape_unknown(node);
      carried.to.push_back({i, affine});
      continue;
    }
    const auto at = static_cast<size_t>(i);
    if (affine.rank() > parts->rank) return shape_unknown(node);
    if (affine.varies(parts->axis, parts->rank) &&
        affine.extent(parts->axis, parts->rank) != parts->begins.back()) {
      return shape_unknown(node);
    }
    if (parts->begins[at + 1] == parts->begins[at]) continue;  // empty
    Affine part = simplest(part_of(affine, parts->axis, parts->rank, parts->begins[at],
                                   parts->begins[at + 1] - parts->begins[at]));
    if (!part.is_identity()) carried.to.push_back({i, std::move(part)});
  }
  return carried;
}

// From one part to the whole: Concat forward, Split backward.
CarryResult part_to_whole(const Node& node, int part, const Affine& affine, const RuleContext& context) {
  // Each of many parts would be looked at for each of them.
  constexpr int kMostParts = 64;
  if (std::max(node.num_inputs(), node.num_outputs()) > kMostParts)
    return Skip{fmt::format("{} has too many parts", describe(node)), "", &node};
  const auto parts = parts_of(node, context);
  if (!parts || affine.rank() > parts->rank) return shape_unknown(node);
  const auto at = static_cast<size_t>(part);
  const int64_t size = parts->begins[at + 1] - parts->begins[at];
  if (size == 0) return Carried{};
  if (affine.varies(parts->axis, parts->rank) && affine.extent(parts->axis, parts->rank) != size)
    return shape_unknown(node);
  auto whole = within_whole(affine, parts->axis, parts->rank, parts->begins[at], size, parts->begins.back());
  if (!whole) return moves_channels(node);
  return to(0, *std::move(whole));
}

// ---- Slice

CarryResult carry_slice(const Node& node, const Affine& affine, bool backward, const RuleContext& context) {
  const auto slices = axis_slices(infer_context(node, context));
  const auto &in = shape_of(node.input(0), context), &out = shape_of(node.output(0), context);
  if (!slices || !in || !out || affine.rank() > in->rank()) return shape_unknown(node);
  const int rank = in->rank();
  Affine result = affine;
  for (int axis = 0; axis < rank; ++axis) {
    const auto& slice = (*slices)[static_cast<size_t>(axis)];
    if (!result.varies(axis, rank) || (slice && slice->whole)) continue;
    if (!slice || !(*in)[axis].is_known() || !(*out)[axis].is_known()) return shape_unknown(node);
    if ((backward ? *out : *in)[axis].value() != result.extent(axis, rank)) return shape_unknown(node);
    const int64_t start = slice->start, step = slice->step, count = (*out)[axis].value();
    if (count == 0) return Carried{};
    if (!backward) {
      result = along_axis(result, axis, rank, count, [=](int64_t i) { return start + i * step; });
      continue;
    }
    // Elements that are not taken may have any factor: that of the nearest that is.
    result = along_axis(result, axis, rank, (*in)[axis].value(),
                        [=](int64_t i) { return std::clamp<int64_t>((i - start) / step, 0, count - 1); });
  }
  return to(0, std::move(result));
}

// ---- Pad

// backward:  s pad_v(x) + t = pad_w(s x + t),  w = s v + t
// forward:   pad_v(s u + t) = s pad_w(u) + t,  w = (v - t) / s
// where w must be one for all channels. Other modes repeat elements of x.
CarryResult carry_pad(const Node& node, const Affine& affine, bool backward, const RuleContext& context) {
  const auto pads = pad_parameters(infer_context(node, context));
  const int rank = context.facts.rank_of(node.input(0));
  if (!pads || affine.rank() > rank) return shape_unknown(node);
  bool pads_any = false;
  for (int axis = 0; axis < rank; ++axis) {
    const auto at = static_cast<size_t>(axis);
    const bool padded = pads->begin[at] != 0 || pads->end[at] != 0;
    if (padded && affine.varies(axis, rank)) return moves_channels(node);
    pads_any |= pads->begin[at] > 0 || pads->end[at] > 0;
  }
  Carried carried = to(0, affine);
  if (!pads->constant || !pads_any) return carried;
  if (!pads->value)
    return Skip{fmt::format("{} pads with a value that is computed at run time", describe(node)), "", &node};
  for (size_t i = 0; i < affine.size(); ++i) {
    const double s = affine.scale[i], t = affine.shift[i], v = *pads->value;
    const double w = backward ? s * v + t : v == 0 && t == 0 ? 0.0 : (v - t) / s;
    if (i > 0 && w != *carried.pad_value) {
      return Skip{
          fmt::format("{} pads with one value, and the offset asks for one for each channel", describe(node)),
          "", &node};
    }
    carried.pad_value = w;
  }
  if (!std::isfinite(*carried.pad_value)) return moves_channels(node);
  if (*carried.pad_value == *pads->value) carried.pad_value.reset();
  return carried;
}

// ---- Resize, Upsample

// Whether positions on the axis, which keeps its size, stay what they are: a scale of 1.2 makes 4 of 4 too,
// but others.
bool keeps_axis(const Node& node, int axis, int rank, const RuleContext& context) {
  const AttributeReader attributes(node);
  int index = axis;
  if (attributes.defines("axes") && attributes.has("axes")) {
    const std::vector<int64_t> axes = attributes.ints("axes");
    const auto at = std::ranges::find_if(axes, [&](int64_t a) { return (a < 0 ? a + rank : a) == axis; });
    if (at == axes.end()) return true;
    index = static_cast<int>(at - axes.begin());
  }
  std::vector<double> scales;
  if (attributes.defines("scales")) {
    const std::vector<float> list = attributes.floats("scales");
    scales.assign(list.begin(), list.end());
  } else if (attributes.defines("height_scale")) {
    return axis < 2;
  } else {
    const int input = node.is("Resize") && node.opset() >= 11 ? 2 : 1;
    if (node.has_input(input)) {
      auto constant = constant_input(node, input, "scales", context);
      if (!std::holds_alternative<Constant>(constant)) return false;
      const Tensor& tensor = std::get<Constant>(constant).tensor;
      if (!is_foldable_type(tensor.type())) return false;
      scales = to_doubles(tensor);
    }
  }
  // Without scales there are sizes.
  if (scales.empty()) {
    return !attributes.defines("keep_aspect_ratio_policy") ||
           attributes.s("keep_aspect_ratio_policy") == "stretch";
  }
  return static_cast<size_t>(index) < scales.size() && scales[static_cast<size_t>(index)] == 1;
}

// Every mode makes means of elements, with weights that sum to 1, of positions on the axes that it resizes;
// but for tf_crop_and_resize, which makes some up.
CarryResult carry_resize(const Node& node, const Affine& affine, const RuleContext& context) {
  const AttributeReader attributes(node);
  if (node.is("Resize") && attributes.has("coordinate_transformation_mode") &&
      attributes.s("coordinate_transformation_mode") == "tf_crop_and_resize") {
    return Skip{fmt::format("{} extrapolates", describe(node)), "", &node};
  }
  const auto &in = shape_of(node.input(0), context), &out = shape_of(node.output(0), context);
  if (!in || !out || affine.rank() > in->rank()) return shape_unknown(node);
  for (int axis = 0; axis < in->rank(); ++axis) {
    if (!affine.varies(axis, in->rank())) continue;
    if (!(*in)[axis].same_as((*out)[axis]) || !keeps_axis(node, axis, in->rank(), context))
      return moves_channels(node);
  }
  return to(0, affine);
}

// ---- DepthToSpace

CarryResult carry_depth_to_space(const Node& node, const Affine& affine, bool backward,
                                 const RuleContext& context) {
  constexpr int kRank = 4;
  const auto& in = shape_of(node.input(0), context);
  if (affine.rank() > kRank || affine.varies(2, kRank) || affine.varies(3, kRank))
    return moves_channels(node);
  if (!affine.varies(1, kRank)) return to(0, affine);
  if (!in || !(*in)[1].is_known()) return shape_unknown(node);
  const int64_t channels = (*in)[1].value();
  const std::vector<int64_t> to_channel = depth_to_space_channels(infer_context(node, context), channels);
  if (to_channel.empty()) return shape_unknown(node);
  const int64_t outputs = 1 + *std::ranges::max_element(to_channel);
  if (affine.extent(1, kRank) != (backward ? outputs : channels)) return shape_unknown(node);
  if (backward) {
    return to(0, along_axis(affine, 1, kRank, channels,
                            [&](int64_t i) { return to_channel[static_cast<size_t>(i)]; }));
  }
  // The channels that meet in one must have the same factors.
  Dims from(static_cast<size_t>(outputs), 0);
  for (int64_t i = channels; i-- > 0;) from[static_cast<size_t>(to_channel[static_cast<size_t>(i)])] = i;
  const auto source = [&](int64_t i) { return from[static_cast<size_t>(i)]; };
  Affine out = along_axis(affine, 1, kRank, outputs, source);
  const Affine back =
      along_axis(out, 1, kRank, channels, [&](int64_t i) { return to_channel[static_cast<size_t>(i)]; });
  if (back.scale != affine.scale || back.shift != affine.shift) return moves_channels(node);
  return to(0, std::move(out));
}

CarryResult carry_view(const Node& node, const Affine& affine, bool backward, const RuleContext& context) {
  const auto &in = shape_of(node.input(0), context), &out = shape_of(node.output(0), context);
  if (affine.size() == 1) return to(0, affine);
  if (!in || !out) return shape_unknown(node);
  auto result = backward ? through_reshape(affine, *out, *in) : through_reshape(affine, *in, *out);
  return result ? CarryResult(to(0, *std::move(result))) : moves_channels(node);
}

bool is_view(const Node& node) {
  return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze") ||
         node.is("Identity");
}

}  // namespace

InferContext infer_context(const Node& node, const RuleContext& context) {
  std::vector<const Facts*> inputs;
  for (int i = 0; i < node.num_inputs(); ++i)
    inputs.push_back(node.has_input(i) ? &context.facts.of(node.input(i)) : nullptr);
  return {node, *find_op(node), std::move(inputs)};
}

std::optional<Affine> through_reshape(const Affine& affine, const Shape& from, const Shape& to) {
  if (affine.rank() > from.rank()) return std::nullopt;
  const std::vector<AxisRun> runs = match_axes(from, to);
  // In each run along which the factors vary, they are repeated to its full size; elements keep their order.
  Dims full = affine.extents(from.rank()), extents(static_cast<size_t>(to.rank()), 1);
  for (const AxisRun& run : runs) {
    bool varies = false;
    for (int i = run.from_begin; i < run.from_end; ++i) varies |= affine.varies(i, from.rank());
    if (!varies) continue;
    int64_t from_size = 1, to_size = 1;
    for (int i = run.from_begin; i < run.from_end; ++i) {
      if (!from[i].is_known()) return std::nullopt;
      full[static_cast<size_t>(i)] = from[i].value();
      from_size = checked_mul(from_size, from[i].value());
    }
    for (int j = run.to_begin; j < run.to_end; ++j) {
      if (!to[j].is_known()) return std::nullopt;
      extents[static_cast<size_t>(j)] = to[j].value();
      to_size = checked_mul(to_size, to[j].value());
    }
    // With a size of 0 elsewhere, or one that is not known, the runs at the end need not hold the same.
    if (from_size != to_size || from_size == 0) return std::nullopt;
  }
  const Dims own = affine.extents(from.rank());
  for (size_t i = 0; i < own.size(); ++i) {
    if (own[i] != 1 && own[i] != full[i]) return std::nullopt;
  }
  if (checked_elements(full) > kMostFactors) return std::nullopt;
  Affine out = expand(affine, full);
  out.dims = std::move(extents);
  return out;
}

CarryResult carry_layout_backward(const Node& node, int output, const Affine& affine,
                                  const RuleContext& context) {
  if (node.is("Transpose")) return carry_transpose(node, affine, true, context);
  if (is_view(node)) return carry_view(node, affine, true, context);
  if (node.is("Concat")) return whole_to_parts(node, affine, context);
  if (node.is("Split")) return part_to_whole(node, output, affine, context);
  if (node.is("Slice")) return carry_slice(node, affine, true, context);
  if (node.is("Pad")) return carry_pad(node, affine, true, context);
  if (node.is("Resize") || node.is("Upsample")) return carry_resize(node, affine, context);
  if (node.is("DepthToSpace")) return carry_depth_to_space(node, affine, true, context);
  return NoMatch{};
}

CarryResult carry_layout_forward(const Node& node, int input, const Affine& affine,
                                 const RuleContext& context) {
  if (node.is("Concat")) return part_to_whole(node, input, affine, context);
  if (input != 0) return NoMatch{};
  if (node.is("Transpose")) return carry_transpose(node, affine, false, context);
  if (is_view(node)) return carry_view(node, affine, false, context);
  if (node.is("Split")) return whole_to_parts(node, affine, context);
  if (node.is("Slice")) return carry_slice(node, affine, false, context);
  if (node.is("Pad")) return carry_pad(node, affine, false, context);
  if (node.is("Resize") || node.is("Upsample")) return carry_resize(node, affine, context);
  if (node.is("DepthToSpace")) return carry_depth_to_space(node, affine, false, context);
  return NoMatch{};
}

}  // namespace plica
