// Transpose, DepthToSpace, SpaceToDepth: permuted axes.
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/ops/layout.h"
#include "engine/ops/node_parameters.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

// Output axis i is input axis perm[i]; without the attribute the axes are reversed.
std::vector<int> permutation(const AttributeReader& attributes, int rank) {
  std::vector<int> perm(static_cast<size_t>(rank));
  const auto given = attributes.maybe_ints("perm");
  if (!given) {
    std::iota(perm.rbegin(), perm.rend(), 0);
    return perm;
  }
  require(static_cast<int>(given->size()) == rank, ErrorCode::invalid_model, "perm has {} axes, the input {}",
          given->size(), rank);
  normalize_axes(*given, rank);  // each once
  std::ranges::transform(*given, perm.begin(), [&](int64_t axis) { return normalize_axis(axis, rank); });
  return perm;
}

void infer_transpose(InferContext& context) {
  const auto& in = context.input_shape(0);
  if (!in) return context.set_output(0, context.input_type(0), std::nullopt);
  Shape out;
  for (int axis : permutation(context.attributes(), in->rank())) out.push_back((*in)[axis]);
  if (const auto* elements = context.input_elements(0)) context.set_output_elements(0, *elements);
  context.set_output(0, context.input_type(0), std::move(out));
}

// Writes `in`, seen with these dims, into `out` with its axes permuted.
void permute(const Tensor& in, const Dims& dims, const std::vector<int>& perm, Tensor& out) {
  move_elements(in, out, [&](const Tensor& from, Tensor& to) {
    const Dims strides = row_major_strides(dims);
    Dims to_dims, from_strides;
    for (int axis : perm) {
      to_dims.push_back(dims[static_cast<size_t>(axis)]);
      from_strides.push_back(strides[static_cast<size_t>(axis)]);
    }
    copy_strided(from.type(), to_dims, from.raw(), from_strides, to.mutable_raw(),
                 row_major_strides(to_dims));
  });
}

void evaluate_transpose(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  permute(in, in.dims(), permutation(context.attributes(), in.rank()), context.output());
}

// ---- DepthToSpace, SpaceToDepth: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html

// Column-row-depth order, otherwise depth-column-row (the only one where there is no attribute).
bool is_crd(const AttributeReader& attributes) {
  if (!attributes.has("mode")) return false;
  const std::string mode = attributes.s("mode");
  require(mode == "DCR" || mode == "CRD", ErrorCode::invalid_model, "mode is {}, it must be DCR or CRD",
          quoted(mode));
  return mode == "CRD";
}

int64_t block_size(const AttributeReader& attributes) {
  const int64_t size = attributes.i("blocksize");
  require(size >= 1, ErrorCode::invalid_model, "blocksize is {}", size);
  return size;
}

Dim divide_exactly(const Dim& d, int64_t by, std::string_view what) {
  if (!d.is_known()) return by == 1 ? d : Dim();
  require(d.value() % by == 0, ErrorCode::invalid_model, "{} {} does not divide by {}", what, d.value(), by);
  return d.value() / by;
}

template <bool kToSpace>
void infer_blocks(InferContext& context) {
  const int64_t b = block_size(context.attributes());
  is_crd(context.attributes());
  const auto& in = context.input_shape(0);
  if (!in) return context.set_output(0, context.input_type(0), std::nullopt);
  require(in->rank() == 4, ErrorCode::invalid_model, "the input has rank {}, it must be 4", in->rank());
  const Shape& s = *in;
  const int64_t square = checked_mul(b, b);
  context.set_output(
      0, context.input_type(0),
      kToSpace ? Shape{s[0], divide_exactly(s[1], square, "depth"), multiply(s[2], b), multiply(s[3], b)}
               : Shape{s[0], multiply(s[1], square), divide_exactly(s[2], b, "height"),
                       divide_exactly(s[3], b, "width")});
}

void evaluate_depth_to_space(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const int64_t b = block_size(context.attributes());
  const int64_t n = in.dim(0), c = in.dim(1) / (b * b), h = in.dim(2), w = in.dim(3);
  if (is_crd(context.attributes())) {
    permute(in, {n, c, b, b, h, w}, {0, 1, 4, 2, 5, 3}, context.output());
  } else {
    permute(in, {n, b, b, c, h, w}, {0, 3, 4, 1, 5, 2}, context.output());
  }
}

void evaluate_space_to_depth(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const int64_t b = block_size(context.attributes());
  const int64_t n = in.dim(0), c = in.dim(1), h = in.dim(2) / b, w = in.dim(3) / b;
  if (is_crd(context.attributes())) {
    permute(in, {n, c, h, b, w, b}, {0, 1, 3, 5, 2, 4}, context.output());
  } else {
    permute(in, {n, c, h, b, w, b}, {0, 3, 5, 1, 2, 4}, context.output());
  }
}

}  // namespace

std::optional<std::vector<int>> transpose_permutation(const InferContext& context) {
  if (!context.input_shape(0)) return std::nullopt;
  return permutation(context.attributes(), context.input_shape(0)->rank());
}

std::vector<int64_t> depth_to_space_channels(const InferContext& context, int64_t channels) {
  const int64_t b = block_size(context.attributes()), square = checked_mul(b, b);
  require(channels % square == 0, ErrorCode::invalid_model, "depth {} does not divide by {}", channels, square);
  const bool crd = is_crd(context.attributes());
  std::vector<int64_t> to;
  for (int64_t i = 0; i < channels; ++i) to.push_back(crd ? i / square : i % (channels / square));
  return to;
}

std::vector<OpDef> transpose_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "Transpose",
                 .input_types = {types::kAll},
                 .attributes = {{"perm", AttributeType::ints, Optional{}}},
                 .infer = infer_transpose,
                 .evaluate = evaluate_transpose});
  const AttributeDef blocksize{"blocksize", AttributeType::int_, Required{}};
  const AttributeDef mode{"mode", AttributeType::string, std::string_view("DCR")};
  OpDef op{.name = "DepthToSpace",
           .until = 10,
           .input_types = {types::kAll},
           .attributes = {blocksize},
           .infer = infer_blocks<true>,
           .evaluate = evaluate_depth_to_space};
  ops.push_back(op);
  op.since = 11;
  op.until = kLatestOpset;
  op.attributes.push_back(mode);
  ops.push_back(op);
  op = {.name = "SpaceToDepth",
        .until = 27,
        .input_types = {types::kAll},
        .attributes = {blocksize},
        .infer = infer_blocks<false>,
        .evaluate = evaluate_space_to_depth};
  ops.push_back(op);
  op.since = 28;
  op.until = kLatestOpset;
  op.attributes.push_back(mode);
  ops.push_back(op);
  return ops;
}

}  // namespace plica
