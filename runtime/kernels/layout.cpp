// Operations that move elements or only rename their places: views, transposes, slices, concatenation.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/copy.h"
#include "runtime/kernels/families.h"

namespace plica {
namespace {

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

// Each part is `outer` runs of its own length, one after the other in each run of the whole.
class ConcatKernel : public Kernel {  // operands: parts, whole
 public:
  ConcatKernel(int64_t outer, std::vector<int64_t> runs) : outer_(outer), runs_(std::move(runs)) {
    for (int64_t r : runs_) whole_ += r;
  }
  void run(const Arguments& a) const override {
    auto* to = static_cast<float*>(a.memory[runs_.size()]);
    parallel_for(outer_, std::max<int64_t>(1, 16384 / std::max<int64_t>(whole_, 1)),
                 [&](int64_t begin, int64_t end) {
                   int64_t first = 0;
                   for (size_t p = 0; p < runs_.size(); ++p) {
                     const auto* from = static_cast<const float*>(a.memory[p]);
                     const int64_t run = runs_[p];
                     for (int64_t i = begin; i < end; ++i)
                       std::copy_n(from + i * run, run, to + i * whole_ + first);
                     first += run;
                   }
                 });
  }

 private:
  int64_t outer_, whole_ = 0;
  std::vector<int64_t> runs_;
};

}  // namespace

void build_view(PlanBuilder& builder, const LoweredOp& op) {
  const int x = op.inputs[0], y = op.outputs[0];
  Placement where = builder.row_major(x);
  if (where.desc) where.desc = onednn::row_major(builder.value(y).dims);
  builder.alias(y, where);
}

// The input in the layout that is the output in row-major order; a step only if it does not lie so already.
void build_transpose(PlanBuilder& builder, const LoweredOp& op, const TransposeParams& params) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Dims out_strides = row_major_strides(y);
  Dims strides(x.size());
  for (size_t i = 0; i < y.size(); ++i) strides[static_cast<size_t>(params.permutation[i])] = out_strides[i];
  const onednn::Desc wanted = onednn::strided(x, strides);
  const Placement from = builder.placement(op.inputs[0]);
  if (onednn::same_placement(*from.desc, wanted)) {
    builder.alias(op.outputs[0], {from.storage, from.offset, onednn::row_major(y)});
    return;
  }
  Placement to = builder.allocate(op.outputs[0], onednn::row_major(y));
  to.desc = wanted;
  builder.reorder(node_names(op), from, to);
}

namespace {

// Of channels, in a blocked layout: whole blocks of one image are a view. false: it is no such slice.
bool build_channel_slice(PlanBuilder& builder, const LoweredOp& op, const SliceParams& params) {
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  const Placement from = builder.placement(op.inputs[0]);
  if (!from.desc || x.size() < 3) return false;
  const onednn::Layout layout = onednn::layout_of(*from.desc);
  const int64_t block = block_of(layout), first = params.starts[1];
  if (block == 1 || checked_elements(y) == 0) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (i != 1 && x[i] != y[i]) return false;
  }
  if (x[0] == 1 && first % block == 0 && (y[1] % block == 0 || first + y[1] == x[1])) {
    const auto plane = static_cast<size_t>(checked_elements(y) / y[1]);
    builder.alias(op.outputs[0],
                  {from.storage, from.offset + static_cast<size_t>(first) * plane * sizeof(float),
                   onednn::desc_of(y, layout)});
    return true;
  }
  std::vector<ChannelGatherParams::Source> channels;
  for (int64_t c = 0; c < y[1]; ++c) channels.push_back({0, first + c});
  gather_channels(builder, op, "Slice", layout, channels);
  return true;
}

}  // namespace

// Contiguous slices are views.
void build_slice(PlanBuilder& builder, const LoweredOp& op, const SliceParams& params) {
  if (build_channel_slice(builder, op, params)) return;
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  Placement from = builder.row_major(op.inputs[0]);
  const Dims strides = row_major_strides(x);
  int64_t offset = 0;
  for (size_t i = 0; i < x.size(); ++i) offset += params.starts[i] * strides[i];
  from.offset += static_cast<size_t>(offset) * sizeof(float);
  // Before the first axis that is cut all must be 1.
  size_t cut = 0;
  while (cut < x.size() && y[cut] == 1) ++cut;
  const bool contiguous =
      cut >= x.size() || std::equal(x.begin() + static_cast<std::ptrdiff_t>(cut) + 1, x.end(),
                                    y.begin() + static_cast<std::ptrdiff_t>(cut) + 1);
  if (contiguous) {
    from.desc = onednn::row_major(y);
    builder.alias(op.outputs[0], from);
    return;
  }
  from.desc = onednn::strided(y, strides);
  builder.reorder(node_names(op), from, builder.allocate(op.outputs[0], onednn::row_major(y)));
}

void build_concat(PlanBuilder& builder, const LoweredOp& op, const ConcatParams& params) {
  const auto axis = static_cast<size_t>(params.axis);
  const Dims& whole = builder.value(op.outputs[0]).dims;
  // The layout that most elements have, if the parts fit into it without breaking blocks.
  std::vector<Placement> parts;
  for (int v : op.inputs) parts.push_back(builder.placement(v));
  const onednn::Layout layout = layout_of_most(builder, op.inputs);
  const int64_t block = block_of(layout);
  const bool whole_blocks = block == 1 || std::ranges::all_of(op.inputs, [&](int v) {
                              return builder.value(v).dims[1] % block == 0;
                            });

  // Zero copies: the parts lie one after the other already.
  bool adjacent = axis == 0 || std::all_of(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(axis),
                                           [](int64_t d) { return d == 1; });
  adjacent = adjacent && whole_blocks && layout != onednn::Layout::channels_last && (block == 1 || axis == 1);
  size_t next = parts[0].offset;
  for (size_t i = 0; i < parts.size() && adjacent; ++i) {
    const Dims& dims = builder.value(op.inputs[i]).dims;
    adjacent = parts[i].storage == parts[0].storage && parts[i].offset == next &&
               onednn::same_placement(*parts[i].desc, onednn::desc_of(dims, layout));
    next += static_cast<size_t>(checked_elements(dims)) * sizeof(float);
  }
  if (adjacent) {
    builder.alias(op.outputs[0], {parts[0].storage, parts[0].offset, onednn::desc_of(whole, layout)});
    return;
  }

  if (!whole_blocks && axis == 1) {
    std::vector<ChannelGatherParams::Source> channels;
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      const int64_t count = builder.value(op.inputs[i]).dims[1];
      for (int64_t c = 0; c < count; ++c) channels.push_back({static_cast<int>(i), c});
    }
    return gather_channels(builder, op, "Concat", layout, channels);
  }
  // Blocks that do not come out even, along another axis: through channels-last.
  const onednn::Layout target = whole_blocks ? layout : onednn::Layout::channels_last;
  const onednn::Desc desc = onednn::desc_of(whole, target);
  int64_t outer = 1;
  std::vector<int64_t> runs;
  std::vector<Placement> operands;
  // Axes before the concatenated one in memory, and what each part has from there on.
  const size_t rank = whole.size();
  std::vector<size_t> order;
  for (size_t i = 0; i < rank; ++i) {
    if (target == onednn::Layout::channels_last && i == 1) continue;
    order.push_back(i);
  }
  if (target == onednn::Layout::channels_last) order.push_back(1);
  const auto position = std::ranges::find(order, axis);
  for (auto it = order.begin(); it != position; ++it) {
    outer *= target != onednn::Layout::row_major && block > 1 && *it == 1 ? whole[*it] / block : whole[*it];
  }
  for (int v : op.inputs) {
    const Dims& dims = builder.value(v).dims;
    operands.push_back(builder.in_layout(v, onednn::desc_of(dims, target)));
    runs.push_back(checked_elements(dims) / outer);
  }
  operands.push_back(builder.allocate(op.outputs[0], desc));
  builder.emit({"Concat", node_names(op), "copy", onednn::layout_name(desc)},
               std::make_unique<ConcatKernel>(outer, std::move(runs)), operands);
}

}  // namespace plica
