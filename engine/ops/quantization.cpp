// QuantizeLinear:    y = saturate(round(x / scale) + zero_point)
// DequantizeLinear:  y = (x - zero_point) * scale
// https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html, onnx__DequantizeLinear.html
#include "engine/ops/quantization.h"

#include <algorithm>
#include <cmath>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

bool is_quantizing(const OpDef& def) { return def.name == "QuantizeLinear"; }

// The type of an attribute that holds one; undefined where it is 0 or not there.
DataType type_attribute(const AttributeReader& attributes, const OpDef& def, std::string_view name,
                        int since) {
  if (def.since < since) return DataType::undefined;
  const int64_t value = attributes.i(name);
  require(value >= 0 && value <= static_cast<int64_t>(DataType::int2), ErrorCode::invalid_model, "{} is {}",
          name, value);
  return static_cast<DataType>(value);
}

// What the node computes; undefined when an input's type is not known.
template <class Context>
DataType output_type(const Context& context, DataType scale, DataType zero_point) {
  if (is_quantizing(context.def())) {
    const DataType asked = type_attribute(context.attributes(), context.def(), "output_dtype", 21);
    require(asked == DataType::undefined || zero_point == DataType::undefined || asked == zero_point,
            ErrorCode::invalid_model, "output_dtype is {}, but the zero point {}", to_string(asked),
            to_string(zero_point));
    if (asked != DataType::undefined) return asked;
    return context.has_input(2) ? zero_point : DataType::uint8;
  }
  const DataType asked = type_attribute(context.attributes(), context.def(), "output_dtype", 23);
  return asked != DataType::undefined ? asked : scale;
}

void infer_quantization(InferContext& context) {
  const auto &x = context.input_shape(0), &scale = context.input_shape(1);
  if (context.has_input(2)) {
    const auto& zero_point = context.input_shape(2);
    const auto a = scale ? scale->known() : std::nullopt, b = zero_point ? zero_point->known() : std::nullopt;
    // A scalar is often stored as a vector of one.
    const bool both_single = a && b && checked_elements(*a) == 1 && checked_elements(*b) == 1;
    require(!a || !b || a == b || both_single, ErrorCode::invalid_model,
            "the scale has shape {}, the zero point {}", a ? to_string(*a) : "", b ? to_string(*b) : "");
    if (!is_quantizing(context.def())) {
      const DataType t = context.input_type(0), z = context.input_type(2);
      require(t == z || t == DataType::undefined || z == DataType::undefined, ErrorCode::invalid_model,
              "the zero point is of type {}, the input {}", to_string(z), to_string(t));
    }
  }
  if (x && scale && x->known() && scale->known())
    quantization_layout(context.attributes(), *x->known(), *scale->known());
  const DataType zero_point = context.has_input(2) ? context.input_type(2) : DataType::undefined;
  context.set_output(0, output_type(context, context.input_type(1), zero_point), x);
}

// Calls f(first, count, index of the first scale, its step) for runs of elements: the scale's index goes up
// by the step, 0 or 1, from each to the next. Long runs come in pieces.
constexpr int64_t kRun = 1024;

template <class F>
void for_each_run(const QuantizationLayout& layout, F&& f) {
  const bool by_block = layout.granularity == QuantizationLayout::Granularity::block;
  // Along the axis where there is nothing inside of it.
  const bool by_rows = layout.inner == 1 && layout.granularity == QuantizationLayout::Granularity::axis;
  const int64_t length = by_rows ? 1 : layout.length, inner = by_rows ? layout.length : layout.inner;
  const int64_t pieces = (inner + kRun - 1) / kRun;
  parallel_for(layout.outer * length * pieces, (1 << 15) / std::clamp<int64_t>(inner, 1, kRun) + 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) {
                   const int64_t row = r / pieces, i = r % pieces * kRun;
                   const int64_t scale = by_rows ? i : layout.scale_index(row / length, row % length, i);
                   f(row * inner + i, std::min(kRun, inner - i), scale, by_rows || by_block ? 1 : 0);
                 }
               });
}

// Zero points as floats, or zeros.
Tensor zero_points(const EvaluateContext& context) {
  if (const Tensor* given = context.maybe_input(2)) return cast_tensor(*given, DataType::float32);
  return Tensor::zeros(DataType::float32, context.input(1).dims());
}

template <class T>
void dequantize_runs(const QuantizationLayout& layout, const T* in, const float* scale, const float* zero,
                     float* out) {
  for_each_run(layout, [=](int64_t first, int64_t count, int64_t s, int64_t step) {
    vectorized([=] {
      if (step == 0) {
        const float z = zero[s], factor = scale[s];
        for (int64_t i = first; i < first + count; ++i) out[i] = (static_cast<float>(in[i]) - z) * factor;
      } else {
        for (int64_t i = 0; i < count; ++i)
          out[first + i] = (static_cast<float>(in[first + i]) - zero[s + i]) * scale[s + i];
      }
    });
  });
}

void evaluate_dequantize(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const auto layout = quantization_layout(context.attributes(), x.dims(), context.input(1).dims());
  Tensor& out =
      context.allocate(0, output_type(context, context.input(1).type(), DataType::undefined), x.dims());
  const Tensor scales = cast_tensor(context.input(1), DataType::float32), zeros = zero_points(context);
  const bool direct = out.type() == DataType::float32;
  Tensor result = direct ? Tensor() : Tensor(DataType::float32, x.dims());
  const float *scale = scales.data<float>(), *zero = zeros.data<float>();
  float* const to = (direct ? out : result).mutable_data<float>();
  if (x.type() == DataType::uint8) {
    dequantize_runs(layout, x.data<uint8_t>(), scale, zero, to);
  } else if (x.type() == DataType::int8) {
    dequantize_runs(layout, x.data<int8_t>(), scale, zero, to);
  } else if (x.type() == DataType::int32) {
    dequantize_runs(layout, x.data<int32_t>(), scale, zero, to);
  } else {
    const Tensor wide = cast_tensor(x, DataType::float32);
    dequantize_runs(layout, wide.data<float>(), scale, zero, to);
  }
  if (!direct) cast_elements(result, out);
}

// The ends of an integer type; nothing for the small floats, whose Cast saturates.
struct Range {
  float low, high;
};
std::optional<Range> range_of(DataType type) {
  switch (type) {
    case DataType::int8:
      return Range{-128, 127};
    case DataType::uint8:
      return Range{0, 255};
    case DataType::int16:
      return Range{-32768, 32767};
    case DataType::uint16:
      return Range{0, 65535};
    case DataType::int4:
      return Range{-8, 7};
    case DataType::uint4:
      return Range{0, 15};
    case DataType::int2:
      return Range{-2, 1};
    case DataType::uint2:
      return Range{0, 3};
    default:
      return std::nullopt;
  }
}

// One value, to be read as an array of them.
struct Repeated {
  float value;
  float operator[](int64_t) const { return value; }
};

// To int8 or uint8 in one pass; NaN becomes 0.
template <class Values>
void quantize_run(const float* in, Values scale, Values zero, Range range, uint8_t* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float v = std::nearbyint(in[i] / scale[i]) + zero[i];
    v = v < range.low ? range.low : v;
    v = v > range.high ? range.high : v;
    v = v == v ? v : 0.f;
    to[i] = static_cast<uint8_t>(static_cast<int32_t>(v));
  }
}

void quantize_to_bytes(const QuantizationLayout& layout, const float* in, const float* scale,
                       const float* zero, Tensor& out) {
  const Range range = *range_of(out.type());
  auto* to = static_cast<uint8_t*>(out.mutable_raw());
  for_each_run(layout, [=](int64_t first, int64_t count, int64_t s, int64_t step) {
    vectorized([=] {
      if (step == 0) {
        quantize_run(in + first, Repeated{scale[s]}, Repeated{zero[s]}, range, to + first, count);
      } else {
        quantize_run(in + first, scale + s, zero + s, range, to + first, count);
      }
    });
  });
}

void evaluate_quantize(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const AttributeReader& attributes = context.attributes();
  const DataType zero_type = context.has_input(2) ? context.input(2).type() : DataType::undefined;
  const DataType type = output_type(context, context.input(1).type(), zero_type);
  DataType precision = type_attribute(attributes, context.def(), "precision", 23);
  if (precision == DataType::undefined) {
    const DataType scale = context.input(1).type();
    precision = scale == DataType::float16 || scale == DataType::bfloat16 ? scale : DataType::float32;
  }
  const auto layout = quantization_layout(attributes, x.dims(), context.input(1).dims());
  Tensor& out = context.allocate(0, type, x.dims());
  const Tensor wide = cast_tensor(x, DataType::float32),
               scales = cast_tensor(context.input(1), DataType::float32), zeros = zero_points(context);
  const bool saturate = context.def().since < 19 || attributes.i("saturate") != 0;
  const auto range = range_of(type);
  const float *in = wide.data<float>(), *scale = scales.data<float>(), *zero = zeros.data<float>();
  if (precision == DataType::float32 && (type == DataType::uint8 || type == DataType::int8)) {
    quantize_to_bytes(layout, in, scale, zero, out);
    return;
  }
  Tensor quotients(DataType::float32, x.dims());
  float* to = quotients.mutable_data<float>();
  for_each_run(layout, [=](int64_t first, int64_t count, int64_t s, int64_t step) {
    for (int64_t i = 0; i < count; ++i) to[first + i] = in[first + i] / scale[s + i * step];
  });
  if (precision != DataType::float32) {
    quotients = cast_tensor(cast_tensor(quotients, precision), DataType::float32);
    to = quotients.mutable_data<float>();
  }
  for_each_run(layout, [=](int64_t first, int64_t count, int64_t s, int64_t step) {
    for (int64_t i = 0; i < count; ++i) {
      float& v = to[first + i];
      const float z = zero[s + i * step];
      v = range ? std::clamp(std::nearbyint(v) + z, range->low, range->high) : v + z;
    }
  });
  cast_elements(quotients, out, {.saturate = saturate});
}

constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16};
constexpr TypeSet kFloat8 = {DataType::float8e4m3fn, DataType::float8e4m3fnuz, DataType::float8e5m2,
                             DataType::float8e5m2fnuz};
constexpr TypeSet kInt8 = {DataType::int8, DataType::uint8};
constexpr TypeSet kFrom21 =
    kInt8 | kFloat8 | TypeSet{DataType::int16, DataType::uint16, DataType::uint4, DataType::int4};
constexpr TypeSet kFrom23 = kFrom21 | TypeSet{DataType::float4e2m1};
constexpr TypeSet kFrom25 = kFrom23 | TypeSet{DataType::uint2, DataType::int2};

std::vector<OpDef> make_table() {
  const AttributeDef axis{"axis", AttributeType::int_, int64_t{1}},
      block{"block_size", AttributeType::int_, int64_t{0}},
      saturate{"saturate", AttributeType::int_, int64_t{1}},
      type{"output_dtype", AttributeType::int_, int64_t{0}},
      precision{"precision", AttributeType::int_, int64_t{0}};
  const OpDef quantize{.name = "QuantizeLinear",
                       .min_inputs = 2,
                       .max_inputs = 3,
                       .infer = infer_quantization,
                       .evaluate = evaluate_quantize};
  OpDef dequantize = quantize;
  dequantize.name = "DequantizeLinear";
  dequantize.evaluate = evaluate_dequantize;
  std::vector<OpDef> ops;
  const auto add = [&](OpDef def, int since, int until, TypeSet low, TypeSet scale,
                       std::vector<AttributeDef> attributes) {
    const bool quantizing = is_quantizing(def);
    def.input_types = {quantizing
                           ? (since < 19 ? TypeSet{DataType::float32} : kFloats) | TypeSet{DataType::int32}
                           : low | TypeSet{DataType::int32},
                       scale, quantizing ? low : low | TypeSet{DataType::int32}};
    ops.push_back(for_versions(std::move(def), since, until, std::move(attributes)));
  };
  const TypeSet f32 = {DataType::float32}, with_int = kFloats | TypeSet{DataType::int32},
                e8m0 = {DataType::float8e8m0};
  add(quantize, 10, 12, kInt8, f32, {});
  add(quantize, 13, 18, kInt8, f32, {axis});
  add(quantize, 19, 20, kInt8 | kFloat8, with_int, {axis, saturate});
  add(quantize, 21, 22, kFrom21, with_int, {axis, saturate, block, type});
  add(quantize, 23, 23, kFrom23, with_int, {axis, saturate, block, type, precision});
  add(quantize, 24, 24, kFrom23, with_int | e8m0, {axis, saturate, block, type, precision});
  add(quantize, 25, kLatestOpset, kFrom25, with_int | e8m0, {axis, saturate, block, type, precision});
  add(dequantize, 10, 12, kInt8, f32, {});
  add(dequantize, 13, 18, kInt8, f32, {axis});
  add(dequantize, 19, 20, kInt8 | kFloat8, kFloats, {axis});
  add(dequantize, 21, 22, kFrom21, kFloats, {axis, block});
  add(dequantize, 23, 23, kFrom23, kFloats, {axis, block, type});
  add(dequantize, 24, 24, kFrom23, kFloats | e8m0, {axis, block, type});
  add(dequantize, 25, kLatestOpset, kFrom25, kFloats | e8m0, {axis, block, type});
  return ops;
}

}  // namespace

QuantizationLayout quantization_layout(const AttributeReader& attributes, const Dims& x, const Dims& scale) {
  QuantizationLayout layout;
  const auto rank = static_cast<int>(x.size());
  const int64_t elements = checked_elements(scale);
  const int64_t block = attributes.defines("block_size") ? attributes.i("block_size") : 0;
  require(block >= 0, ErrorCode::invalid_model, "block_size is {}", block);
  if (scale.empty() || (scale.size() == 1 && elements == 1)) {
    layout.inner = checked_elements(x);
    return layout;
  }
  // Before there was an attribute, the scale had to be a scalar.
  const int64_t axis = attributes.defines("axis") ? attributes.i("axis") : 0;
  require(attributes.defines("axis"), ErrorCode::invalid_model, "the scale has shape {}, it must be a scalar",
          to_string(scale));
  layout.axis = normalize_axis(axis, rank);
  const AxisSplit split = split_at(x, layout.axis);
  layout.outer = split.outer;
  layout.length = split.length;
  layout.inner = split.inner;
  if (scale.size() == 1) {
    layout.granularity = QuantizationLayout::Granularity::axis;
    require(elements == layout.length, ErrorCode::invalid_model, "{} scales for an axis of {} elements",
            elements, layout.length);
    return layout;
  }
  layout.granularity = QuantizationLayout::Granularity::block;
  layout.block = block;
  Dims expected = x;
  if (block > 0) expected[static_cast<size_t>(layout.axis)] = (layout.length + block - 1) / block;
  require(block > 0 && scale == expected, ErrorCode::invalid_model,
          "the scale has shape {}, the input {}, with blocks of {}", to_string(scale), to_string(x), block);
  return layout;
}

std::span<const OpDef> quantization_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
