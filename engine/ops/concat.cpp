// Concat and Split along one axis.
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/layout.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

int64_t product(const Dims& dims, int begin, int end) {
  return std::accumulate(dims.begin() + begin, dims.begin() + end, int64_t{1}, std::multiplies<>());
}

// A tensor seen from an axis: `outer` rows, each of `row` elements.
struct Rows {
  int64_t outer, row;
  Rows(const Dims& dims, int axis)
      : outer(product(dims, 0, axis)), row(product(dims, axis, static_cast<int>(dims.size()))) {}
};

// ---- Concat

void infer_concat(InferContext& context) {
  const DataType type = common_type(context, 0, context.num_inputs());
  std::optional<Shape> out;
  int axis = 0;
  bool complete = true;  // every input's shape is known, so the axis' size may be
  Dim along = 0;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const auto& in = context.input_shape(i);
    if (!in) {
      complete = false;
      continue;
    }
    if (!out) {
      require(in->rank() >= 1, ErrorCode::invalid_model, "input {} is a scalar", i);
      axis = normalize_axis(context.attributes().i("axis"), in->rank());
      out = in;
    }
    require(in->rank() == out->rank(), ErrorCode::invalid_model, "input {} has rank {}, another {}", i,
            in->rank(), out->rank());
    along = add(along, (*in)[axis]);
    for (int d = 0; d < in->rank(); ++d) {
      if (d == axis) continue;
      const Dim &a = (*out)[d], &b = (*in)[d];
      require(!a.is_known() || !b.is_known() || a.value() == b.value(), ErrorCode::invalid_model,
              "input {} has size {} on axis {}, another {}", i, to_string(b), d, to_string(a));
      (*out)[d] = merge(a, b);
    }
  }
  if (out) (*out)[axis] = complete ? along : Dim();
  // Shapes are often put together from vectors of a few elements.
  if (complete && out && out->rank() == 1) {
    std::vector<Dim> elements;
    bool known = true;
    for (int i = 0; i < context.num_inputs() && known; ++i) {
      if (const auto* part = context.input_elements(i))
        elements.insert(elements.end(), part->begin(), part->end());
      else if (const Dim& count = (*context.input_shape(i))[0]; count.is_known() && count.value() <= 64)
        elements.resize(elements.size() + static_cast<size_t>(count.value()));
      else
        known = false;
    }
    if (known && (type == DataType::int64 || type == DataType::int32))
      context.set_output_elements(0, std::move(elements));
  }
  context.set_output(0, type, std::move(out));
}

void evaluate_concat(EvaluateContext& context) {
  Tensor& out = context.output();
  const int axis = normalize_axis(context.attributes().i("axis"), out.rank());
  const Rows to(out.dims(), axis);
  int64_t offset = 0;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const Tensor& in = context.input(i);
    const Rows from(in.dims(), axis);
    if (in.size() == 0) continue;
    copy_strided(in.type(), {from.outer, from.row}, in.raw(), {from.row, 1}, element_address(out, offset),
                 {to.row, 1});
    offset += from.row;
  }
}

// ---- Split

// The sizes along the axis, as far as they are known: given, or equal parts (since opset 18 the last may be
// smaller).
std::optional<Dims> split_sizes(const std::optional<Dims>& given, const Dim& whole, int64_t outputs,
                                bool uneven) {
  if (given) {
    require(static_cast<int64_t>(given->size()) == outputs, ErrorCode::invalid_model,
            "split has {} sizes for {} outputs", given->size(), outputs);
    int64_t sum = 0;
    for (int64_t s : *given) {
      require(s >= 0, ErrorCode::invalid_model, "split contains {}", s);
      sum = checked_add(sum, s);
    }
    require(!whole.is_known() || sum == whole.value(), ErrorCode::invalid_model,
            "split adds up to {}, the axis has {}", sum, to_string(whole));
    return given;
  }
  if (!whole.is_known()) return std::nullopt;
  const int64_t size = whole.value();
  require(uneven || size % outputs == 0, ErrorCode::invalid_model,
          "size {} does not divide into {} equal parts", size, outputs);
  const int64_t part = size / outputs + (size % outputs != 0);
  Dims sizes(static_cast<size_t>(outputs), part);
  sizes.back() = size - part * (outputs - 1);
  require(sizes.back() >= 0, ErrorCode::invalid_model, "size {} does not split into {} parts of {}", size,
          outputs, part);
  return sizes;
}

// Opset 1 could have the sizes in an input too, of the data's own element type.
bool has_old_input(const OpDef& def, bool has_input) { return def.until < 2 && has_input; }
const Tensor* old_input(const InferContext& context) { return context.input_constant(1); }
const Tensor* old_input(const EvaluateContext& context) { return context.maybe_input(1); }

// `split`: an attribute (opsets 1 to 12), then an input. nullopt: not given, or not known yet.
template <class Context>
std::optional<Dims> given_sizes(const Context& context) {
  if (has_old_input(context.def(), context.has_input(1))) {
    const Tensor* sizes = old_input(context);
    if (!sizes) return std::nullopt;
    const Tensor numbers = cast_tensor(*sizes, DataType::int64);
    return Dims(numbers.values<int64_t>().begin(), numbers.values<int64_t>().end());
  }
  if (context.def().until < 13) {
    auto sizes = context.attributes().maybe_ints("split");
    return sizes && sizes->empty() ? std::nullopt : sizes;
  }
  return ints_of_input(context, 1);
}

void infer_split(InferContext& context) {
  const OpDef& def = context.def();
  const auto& in = context.input_shape(0);
  const int64_t outputs = context.num_outputs();
  const bool sized = context.has_input(1) || given_sizes(context).has_value();
  if (def.since >= 18) {
    const auto count = context.attributes().maybe_i("num_outputs");
    require(!(count && sized), ErrorCode::invalid_model, "both split and num_outputs are given");
    require(!count || *count == outputs, ErrorCode::invalid_model,
            "num_outputs is {}, the node has {} outputs", count.value_or(0), outputs);
  }
  for (int i = 0; i < outputs; ++i) context.set_output(i, context.input_type(0), std::nullopt);
  if (!in) return;
  require(in->rank() >= 1, ErrorCode::invalid_model, "a scalar cannot be split");
  const int axis = normalize_axis(context.attributes().i("axis"), in->rank());
  const std::optional<Dims> given = given_sizes(context);
  // An input of sizes that are not known yet.
  const bool pending = sized && !given;
  const auto sizes = pending ? std::nullopt : split_sizes(given, (*in)[axis], outputs, def.since >= 18);
  size_t offset = 0;
  for (int i = 0; i < outputs; ++i) {
    Shape out = *in;
    out[axis] = sizes ? Dim((*sizes)[static_cast<size_t>(i)]) : Dim();
    if (outputs == 1 && !sized) out[axis] = (*in)[axis];
    context.set_output(i, context.input_type(0), std::move(out));
    const auto* elements = context.input_elements(0);
    if (!elements || !sizes || in->rank() != 1) continue;
    const size_t count = static_cast<size_t>((*sizes)[static_cast<size_t>(i)]);
    if (count > elements->size() - offset) break;
    context.set_output_elements(i, {elements->begin() + static_cast<std::ptrdiff_t>(offset),
                                    elements->begin() + static_cast<std::ptrdiff_t>(offset + count)});
    offset += count;
  }
}

void evaluate_split(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const int axis = normalize_axis(context.attributes().i("axis"), in.rank());
  const Dims sizes =
      *split_sizes(given_sizes(context), in.dim(axis), context.num_outputs(), context.def().since >= 18);
  const Rows from(in.dims(), axis);
  int64_t offset = 0;
  for (int i = 0; i < context.num_outputs(); ++i) {
    Dims dims = in.dims();
    dims[static_cast<size_t>(axis)] = sizes[static_cast<size_t>(i)];
    const Rows to(dims, axis);
    if (context.has_output(i)) {
      Tensor& out = context.allocate(i, in.type(), std::move(dims));
      if (out.size() != 0) {
        copy_strided(in.type(), {to.outer, to.row}, element_address(in, offset), {from.row, 1},
                     out.mutable_raw(), {to.row, 1});
      }
    }
    offset += to.row;
  }
}

}  // namespace

std::vector<OpDef> concat_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "Concat",
                 .until = 3,
                 .max_inputs = kUnlimited,
                 .input_types = {types::kAll},
                 .attributes = {{"axis", AttributeType::int_, int64_t{1}}},
                 .infer = infer_concat,
                 .evaluate = evaluate_concat});
  ops.push_back({.name = "Concat",
                 .since = 4,
                 .max_inputs = kUnlimited,
                 .input_types = {types::kAll},
                 .attributes = {{"axis", AttributeType::int_, Required{}}},
                 .infer = infer_concat,
                 .evaluate = evaluate_concat});
  const AttributeDef axis{"axis", AttributeType::int_, int64_t{0}};
  const AttributeDef sizes{"split", AttributeType::ints, Optional{}};
  OpDef split{.name = "Split",
              .until = 1,
              .max_inputs = 2,
              .max_outputs = kUnlimited,
              .input_types = {types::kAll, types::kNumeric},
              .attributes = {axis, sizes},
              .infer = infer_split,
              .evaluate = evaluate_split};
  ops.push_back(split);
  split.since = 2;
  split.until = 12;
  split.max_inputs = 1;
  split.input_types = {types::kAll, types::kInt64};
  ops.push_back(split);
  split.since = 13;
  split.until = 17;
  split.max_inputs = 2;
  split.attributes = {axis};
  ops.push_back(split);
  split.since = 18;
  split.until = kLatestOpset;
  split.attributes.push_back({"num_outputs", AttributeType::int_, Optional{}});
  ops.push_back(split);
  return ops;
}

}  // namespace plica
