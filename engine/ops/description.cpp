// What tells about a tensor (Shape, Size), and what passes it on (Identity, Dropout in inference).
#include <algorithm>
#include <random>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/cast.h"
#include "engine/ops/constant.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

// ---- Shape, Size

struct AxisRange {
  int begin, end;
};

// Since opset 15 a slice of the shape; out-of-range ends are clamped.
AxisRange shape_range(const AttributeReader& attributes, const OpDef& def, int rank) {
  if (def.until < 15) return {0, rank};
  const auto clamped = [rank](int64_t axis) {
    return static_cast<int>(std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank));
  };
  const AxisRange range{clamped(attributes.i("start")), clamped(attributes.maybe_i("end").value_or(rank))};
  return {range.begin, std::max(range.begin, range.end)};
}

void infer_shape(InferContext& context) {
  const auto& shape = context.input_shape(0);
  if (!shape) return context.set_output(0, DataType::int64, Shape{Dim()});
  const auto [begin, end] = shape_range(context.attributes(), context.def(), shape->rank());
  context.set_output(0, DataType::int64, Shape{Dim(end - begin)});
  context.set_output_elements(0, {shape->begin() + begin, shape->begin() + end});
}

void evaluate_shape(EvaluateContext& context) {
  const Dims& dims = context.input(0).dims();
  const auto [begin, end] = shape_range(context.attributes(), context.def(), static_cast<int>(dims.size()));
  Tensor& out = context.allocate(0, DataType::int64, {end - begin});
  std::copy(dims.begin() + begin, dims.begin() + end, out.mutable_data<int64_t>());
}

void infer_size(InferContext& context) {
  context.set_output(0, DataType::int64, Shape{});
  const auto& shape = context.input_shape(0);
  if (!shape) return;
  Dim size = 1;
  for (const Dim& d : *shape) size = multiply(size, d);
  context.set_output_elements(0, {size});
}

void evaluate_size(EvaluateContext& context) {
  *context.output().mutable_data<int64_t>() = context.input(0).size();
}

// ---- Identity

void infer_identity(InferContext& context) {
  if (context.num_outputs() > 0) context.outputs()[0] = context.input(0);
}

void evaluate_identity(EvaluateContext& context) { context.share(0, context.input(0)); }

// ---- Dropout

bool is_bool_mask(const OpDef& def) { return def.since >= 10; }

void infer_dropout(InferContext& context) {
  context.same_as_input();
  const DataType mask = is_bool_mask(context.def()) ? DataType::boolean : context.input_type(0);
  context.set_output(1, mask, context.input_shape(0));
  for (int i = 1; i < 3; ++i) {
    if (!context.has_input(i) || !context.input_shape(i)) continue;
    const auto dims = context.input_shape(i)->known();
    require(!dims || std::ranges::all_of(*dims, [](int64_t d) { return d == 1; }), ErrorCode::invalid_model,
            "input {} is of shape {}, it must be a scalar", i, to_string(*context.input_shape(i)));
  }
}

// The ratio that training drops; 0 in inference. Before opset 12 there was no training mode in the graph, or
// (opset 1 to 6) one by an attribute that exporters left at its default: both mean inference here.
double training_ratio(const EvaluateContext& context) {
  const Tensor* training = context.maybe_input(2);
  if (!training || *static_cast<const uint8_t*>(training->raw()) == 0) return 0;
  const Tensor* ratio = context.maybe_input(1);
  const double value = ratio ? *cast_tensor(*ratio, DataType::float64).data<double>() : 0.5;
  require(value >= 0 && value < 1, ErrorCode::invalid_argument, "the ratio {} is not in [0, 1)", value);
  return value;
}

// Keeps an element with probability 1 - ratio, scaled by 1 / (1 - ratio). The random numbers are those of the
// reference implementation, numpy.random.seed(seed) and numpy.random.uniform: 53 bits out of two draws of
// MT19937.
void drop(const Tensor& in, Tensor& out, uint8_t* mask, double ratio, uint32_t seed) {
  std::mt19937 random(seed);
  Tensor wide = cast_tensor(in, DataType::float64).clone();
  for (double& y : wide.mutable_values<double>()) {
    const uint64_t high = random() >> 5, low = random() >> 6;
    const bool kept = static_cast<double>(high << 26 | low) * 0x1p-53 >= ratio;
    y = kept ? y / (1 - ratio) : 0;
    if (mask) *mask++ = kept;
  }
  cast_elements(wide, out);
}

void evaluate_dropout(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const bool has_mask = context.num_outputs() > 1 && context.has_output(1);
  if (const double ratio = context.def().since >= 12 ? training_ratio(context) : 0; ratio > 0) {
    Tensor& out = context.allocate(0, in.type(), in.dims());
    uint8_t* mask =
        has_mask ? static_cast<uint8_t*>(context.allocate(1, DataType::boolean, in.dims()).mutable_raw())
                 : nullptr;
    return drop(in, out, mask, ratio,
                static_cast<uint32_t>(context.attributes().maybe_i("seed").value_or(0)));
  }
  context.share(0, in);
  if (!has_mask) return;
  Tensor ones(DataType::uint8, in.dims());
  std::ranges::fill(ones.mutable_values<uint8_t>(), uint8_t{1});
  cast_elements(ones,
                context.allocate(1, is_bool_mask(context.def()) ? DataType::boolean : in.type(), in.dims()));
}

}  // namespace

std::vector<OpDef> description_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "Shape", .since = 1, .until = 14, .infer = infer_shape, .evaluate = evaluate_shape});
  ops.push_back(
      {.name = "Shape",
       .since = 15,
       .attributes = {{"start", AttributeType::int_, int64_t{0}}, {"end", AttributeType::int_, Optional{}}},
       .infer = infer_shape,
       .evaluate = evaluate_shape});
  ops.push_back({.name = "Size", .infer = infer_size, .evaluate = evaluate_size});
  OpDef identity{.name = "Identity", .until = 13, .infer = infer_identity, .evaluate = evaluate_identity};
  ops.push_back(identity);
  identity.since = 14, identity.until = 15;
  identity.input_types = {types::kAll | types::kSequence};
  ops.push_back(identity);
  identity.since = 16, identity.until = kLatestOpset;
  identity.input_types = {types::kAll | types::kSequence | types::kOptional};
  ops.push_back(std::move(identity));

  const AttributeDef ratio{"ratio", AttributeType::float_, 0.5f};
  const AttributeDef is_test{"is_test", AttributeType::int_, int64_t{0}};
  const OpDef dropout{.name = "Dropout",
                      .max_outputs = 2,
                      .input_types = {types::kFloat},
                      .infer = infer_dropout,
                      .evaluate = evaluate_dropout,
                      .deterministic = false};  // in training
  const auto add = [&](int since, int until, std::vector<AttributeDef> attributes) {
    ops.push_back(dropout);
    ops.back().since = since;
    ops.back().until = until;
    ops.back().attributes = std::move(attributes);
  };
  add(1, 5, {is_test, kConsumedInputs, ratio});
  add(6, 6, {is_test, ratio});
  add(7, 9, {ratio});
  add(10, 11, {ratio});
  add(12, kLatestOpset, {{"seed", AttributeType::int_, Optional{}}});
  ops.back().max_inputs = 3;
  ops.back().input_types = {types::kFloat | types::kFloat8, types::kFloat | types::kFloat8, types::kBool};
  return ops;
}

}  // namespace plica
