// Where, Clip and PRelu: choices between elements.
#include "engine/core/fail.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/elementwise.h"

namespace plica {
namespace {

// ---- Where

void infer_where(InferContext& context) {
  const std::optional<Shape>* shapes[] = {&context.input_shape(0), &context.input_shape(1),
                                          &context.input_shape(2)};
  context.set_output(0, common_type(context, 1, 3), broadcast_shapes(shapes));
}

void evaluate_where(EvaluateContext& context) {
  const Tensor &condition = context.input(0), &a = context.input(1), &b = context.input(2);
  Tensor& out = context.output();
  const Broadcast plan(out.dims(), {condition.dims(), a.dims(), b.dims()});
  const auto* c = static_cast<const uint8_t*>(condition.raw());  // a file may hold any byte for true
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    const auto* x = static_cast<const T*>(a.raw());
    const auto* y = static_cast<const T*>(b.raw());
    auto* z = static_cast<T*>(out.mutable_raw());
    plan.parallel_runs([&](int64_t at, const auto& offsets, int64_t count) {
      for (int64_t i = 0; i < count; ++i) {
        z[at + i] = c[offsets[0] + i * plan.step(0)] ? x[offsets[1] + i * plan.step(1)]
                                                     : y[offsets[2] + i * plan.step(2)];
      }
    });
  });
}

// ---- Clip

// Min(max, Max(input, min)): max wins when the two are crossed, and NaN stays.
template <class T>
void clip(const Tensor& in, Tensor& out, const T* low, const T* high) {
  using C = ComputeType<T>;
  map_elements<TypeList<T>>(in, out, [=](C x) {
    if (low && x < static_cast<C>(*low)) x = static_cast<C>(*low);
    if (high && x > static_cast<C>(*high)) x = static_cast<C>(*high);
    return x;
  });
}

void infer_clip(InferContext& context) {
  common_type(context, 0, 3);
  for (int i = 1; i < 3; ++i) {
    if (!context.has_input(i) || !context.input_shape(i)) continue;
    const auto dims = context.input_shape(i)->known();
    require(!dims || std::ranges::all_of(*dims, [](int64_t d) { return d == 1; }), ErrorCode::invalid_model,
            "the bound in input {} is of shape {}, it must be a scalar", i,
            to_string(*context.input_shape(i)));
  }
  context.same_as_input();
}

void evaluate_clip(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const Tensor *min = context.maybe_input(1), *max = context.maybe_input(2);
  dispatch<NumericTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    clip(in, context.output(), min ? min->data<T>() : nullptr, max ? max->data<T>() : nullptr);
  });
}

// Opset 1 to 10: the bounds are attributes.
void evaluate_clip_by_attributes(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const bool optional = context.def().until <= 5;
  const auto bound = [&](std::string_view name) {
    return optional ? context.attributes().maybe_f(name) : std::optional(context.attributes().f(name));
  };
  const auto min = bound("min"), max = bound("max");
  dispatch<FloatTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    const T low = static_cast<T>(min.value_or(0)), high = static_cast<T>(max.value_or(0));
    clip(in, context.output(), min ? &low : nullptr, max ? &high : nullptr);
  });
}

// ---- PRelu

// Opset 1 to 6: one slope for each channel, which is axis 1, or one for all. Since then unidirectional
// broadcasting.
Dims slope_dims(const OpDef& def, Dims dims, int rank) {
  if (def.until < 7 && dims.size() == 1 && dims[0] != 1) {
    for (int i = 2; i < rank; ++i) dims.push_back(1);
  }
  return dims;
}

void infer_prelu(InferContext& context) {
  const DataType type = common_type(context, 0, 2);
  const auto& x = context.input_shape(0);
  const auto& slope = context.input_shape(1);
  if (x && slope && x->known() && slope->known()) {
    const Dims dims = slope_dims(context.def(), *slope->known(), x->rank());
    require(broadcast_dims(*x->known(), dims) == *x->known(), ErrorCode::invalid_model,
            "the slope {} does not broadcast to the input {}", to_string(*slope), to_string(*x));
  }
  context.set_output(0, type, x);
}

void evaluate_prelu(EvaluateContext& context) {
  const Tensor &x = context.input(0), &slope = context.input(1);
  Tensor& out = context.output();
  const Broadcast plan(out.dims(), {x.dims(), slope_dims(context.def(), slope.dims(), x.rank())});
  dispatch<JoinLists<FloatTypes, TypeList<int32_t, int64_t, uint32_t, uint64_t>>>(
      x.type(), [&]<class T>(std::type_identity<T>) {
        using C = ComputeType<T>;
        apply_broadcast(plan, x.data<T>(), slope.data<T>(), out.mutable_data<T>(), [](T value, T factor) {
          const C v = static_cast<C>(value);
          return v < 0 ? static_cast<T>(
                             static_cast<C>(static_cast<WrapType<C>>(factor) * static_cast<WrapType<C>>(v)))
                       : value;
        });
      });
}

}  // namespace

std::vector<OpDef> select_ops() {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr TypeSet kPReluTypes = types::kFloat | types::kIndex | TypeSet{DataType::uint32, DataType::uint64};
  constexpr TypeSet kMovable =
      types::kNumeric | types::kBool | types::kString | types::kComplex | types::kFloat8;
  std::vector<OpDef> ops;
  ops.push_back({.name = "Where",
                 .since = 9,
                 .min_inputs = 3,
                 .max_inputs = 3,
                 .input_types = {types::kBool, kMovable},
                 .infer = infer_where,
                 .evaluate = evaluate_where});
  ops.push_back({.name = "Clip",
                 .since = 1,
                 .until = 5,
                 .input_types = {types::kFloat},
                 .attributes = {kConsumedInputs,
                                {"min", AttributeType::float_, Optional{}},
                                {"max", AttributeType::float_, Optional{}}},
                 .infer = infer_same,
                 .evaluate = evaluate_clip_by_attributes});
  ops.push_back(
      {.name = "Clip",
       .since = 6,
       .until = 10,
       .input_types = {types::kFloat},
       .attributes = {{"min", AttributeType::float_, -kLargest}, {"max", AttributeType::float_, kLargest}},
       .infer = infer_same,
       .evaluate = evaluate_clip_by_attributes});
  ops.push_back({.name = "Clip",
                 .since = 11,
                 .max_inputs = 3,
                 .input_types = {types::kNumeric},
                 .infer = infer_clip,
                 .evaluate = evaluate_clip});
  OpDef prelu{.name = "PRelu",
              .min_inputs = 2,
              .max_inputs = 2,
              .input_types = {kPReluTypes},
              .infer = infer_prelu,
              .evaluate = evaluate_prelu};
  prelu.until = 6;
  prelu.attributes = {kConsumedInputs};
  ops.push_back(prelu);
  prelu.since = 7;
  prelu.until = kLatestOpset;
  prelu.attributes.clear();
  ops.push_back(std::move(prelu));
  return ops;
}

}  // namespace plica
