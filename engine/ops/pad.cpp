// Pad: https://onnx.ai/onnx/operators/onnx__Pad.html. Negative pads crop, before anything is padded.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/layout.h"
#include "engine/ops/node_parameters.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

enum class PadMode { constant, reflect, edge, wrap };

PadMode pad_mode(const AttributeReader& attributes, const OpDef& def) {
  const std::string mode = attributes.s("mode");
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "edge") return PadMode::edge;
  if (mode == "wrap" && def.since >= 18) return PadMode::wrap;
  fail(ErrorCode::invalid_model, "mode is {}, it must be constant, reflect, edge{}", quoted(mode),
       def.since >= 18 ? " or wrap" : "");
}

// By axis of the input.
struct Pads {
  Dims begin, end;
};

// nullopt when they are not known yet.
template <class Context>
std::optional<Pads> pads_of(const Context& context, int rank) {
  std::optional<Dims> list;
  if (context.def().until < 2)
    list = context.attributes().ints("paddings");
  else if (context.def().until < 11)
    list = context.attributes().ints("pads");
  else
    list = ints_of_input(context, 1);
  if (!list) return std::nullopt;
  Dims axes;
  if (context.has_input(3)) {
    const auto given = ints_of_input(context, 3);
    if (!given) return std::nullopt;
    axes = *given;
    normalize_axes(axes, rank);
  } else {
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  }
  require(list->size() == 2 * axes.size(), ErrorCode::invalid_model, "{} pads for {} axes, {} are needed",
          list->size(), axes.size(), 2 * axes.size());
  Pads pads{Dims(static_cast<size_t>(rank), 0), Dims(static_cast<size_t>(rank), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(normalize_axis(axes[i], rank));
    pads.begin[axis] = (*list)[i];
    pads.end[axis] = (*list)[axes.size() + i];
  }
  return pads;
}

// What is left of an axis when negative pads have cropped it: [begin, begin + size).
struct Crop {
  int64_t begin, size;
};

Crop crop(int64_t size, int64_t begin, int64_t end) {
  const int64_t from = begin < 0 ? checked_sub(int64_t{0}, begin) : 0;
  const int64_t rest = checked_add(checked_sub(size, from), std::min<int64_t>(end, 0));
  require(rest >= 0, ErrorCode::invalid_model, "pads {} and {} crop more than the {} elements of an axis",
          begin, end, size);
  return {from, rest};
}

int64_t padded_size(int64_t size, int64_t begin, int64_t end, PadMode mode) {
  const Crop c = crop(size, begin, end);
  const int64_t added = checked_add(std::max<int64_t>(begin, 0), std::max<int64_t>(end, 0));
  require(added == 0 || c.size > 0 || mode == PadMode::constant, ErrorCode::invalid_model,
          "an empty axis can only be padded in mode constant");
  return checked_add(c.size, added);
}

void infer_pad(InferContext& context) {
  const PadMode mode = pad_mode(context.attributes(), context.def());
  const auto& in = context.input_shape(0);
  DataType type = context.input_type(0);
  if (context.has_input(2)) {
    const DataType other = context.input_type(2);
    if (type == DataType::undefined) type = other;
    require(type == other || other == DataType::undefined, ErrorCode::invalid_model,
            "constant_value has element type {}, the data {}", to_string(other), to_string(type));
    if (const auto& shape = context.input_shape(2)) {
      const auto dims = shape->known();
      require(!dims || checked_elements(*dims) == 1, ErrorCode::invalid_model, "constant_value has shape {}",
              to_string(*shape));
    }
  }
  if (!in) return context.set_output(0, type, std::nullopt);
  const auto pads = pads_of(context, in->rank());
  Shape out = *in;
  for (int i = 0; i < in->rank(); ++i) {
    if (!pads) {
      out[i] = Dim();
      continue;
    }
    const int64_t begin = pads->begin[static_cast<size_t>(i)], end = pads->end[static_cast<size_t>(i)];
    if (out[i].is_known())
      out[i] = padded_size(out[i].value(), begin, end, mode);
    else if (begin != 0 || end != 0)
      out[i] = Dim();
  }
  context.set_output(0, type, std::move(out));
}

// The value to pad with: one element, of the data's type.
Tensor pad_value(const EvaluateContext& context) {
  const DataType type = context.input(0).type();
  if (const Tensor* given = context.maybe_input(2)) return *given;
  if (context.def().until < 11) return cast_tensor(Tensor::scalar(context.attributes().f("value")), type);
  return Tensor::zeros(type, {});
}

void pad_constant(const Tensor& in, const Pads& pads, const Tensor& value, Tensor& out) {
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    const T& v = *static_cast<const T*>(value.raw());
    T* to = static_cast<T*>(out.mutable_raw());
    parallel_for(out.size(), 65536, [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, v); });
  });
  const Dims from_strides = row_major_strides(in.dims()), to_strides = row_major_strides(out.dims());
  Dims dims;
  int64_t from = 0, to = 0;
  for (size_t i = 0; i < in.dims().size(); ++i) {
    const Crop c = crop(in.dims()[i], pads.begin[i], pads.end[i]);
    dims.push_back(c.size);
    if (c.size == 0) return;
    from += c.begin * from_strides[i];
    to += std::max<int64_t>(pads.begin[i], 0) * to_strides[i];
  }
  copy_strided(in.type(), dims, element_address(in, from), from_strides, element_address(out, to),
               to_strides);
}

// Where the output's positions along an axis come from.
Dims sources(int64_t size, int64_t begin, int64_t end, PadMode mode) {
  const Crop c = crop(size, begin, end);
  const int64_t before = std::max<int64_t>(begin, 0),
                period = mode == PadMode::wrap ? c.size : std::max<int64_t>(2 * (c.size - 1), 1);
  Dims map(static_cast<size_t>(padded_size(size, begin, end, mode)));
  for (size_t i = 0; i < map.size(); ++i) {
    int64_t at = static_cast<int64_t>(i) - before;
    if (mode == PadMode::edge) {
      at = std::clamp<int64_t>(at, 0, c.size - 1);
    } else {
      at = ((at % period) + period) % period;
      if (mode == PadMode::reflect && at > c.size - 1) at = period - at;
    }
    map[i] = c.begin + at;
  }
  return map;
}

void pad_from_input(const Tensor& in, const Pads& pads, PadMode mode, Tensor& out) {
  const size_t rank = in.dims().size();
  const Dims strides = row_major_strides(in.dims());
  std::vector<Dims> maps;
  for (size_t i = 0; i < rank; ++i) maps.push_back(sources(in.dims()[i], pads.begin[i], pads.end[i], mode));
  if (rank == 0) maps.push_back({0});
  const Dims& last = maps.back();
  const int64_t width = static_cast<int64_t>(last.size());
  // The positions [middle, middle_end) are neighbours in the input too.
  const int64_t middle = rank == 0 ? 0 : std::max<int64_t>(pads.begin.back(), 0);
  int64_t middle_end = std::min(middle + 1, width);
  while (middle_end > middle && middle_end < width &&
         last[static_cast<size_t>(middle_end)] == last[static_cast<size_t>(middle_end) - 1] + 1)
    ++middle_end;
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = static_cast<const T*>(in.raw());
    T* to = static_cast<T*>(out.mutable_raw());
    parallel_for(out.size() / width, std::max<int64_t>(1, 16384 / width), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        int64_t offset = 0, rest = row;
        for (size_t i = rank; i-- > 1;) {
          const Dims& map = maps[i - 1];
          offset += map[static_cast<size_t>(rest % static_cast<int64_t>(map.size()))] * strides[i - 1];
          rest /= static_cast<int64_t>(map.size());
        }
        const T* source = from + offset;
        T* target = to + row * width;
        for (int64_t i = 0; i < middle; ++i) target[i] = source[last[static_cast<size_t>(i)]];
        std::copy_n(source + last[static_cast<size_t>(middle)], middle_end - middle, target + middle);
        for (int64_t i = middle_end; i < width; ++i) target[i] = source[last[static_cast<size_t>(i)]];
      }
    });
  });
}

void evaluate_pad(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const PadMode mode = pad_mode(context.attributes(), context.def());
  const Pads pads = *pads_of(context, in.rank());
  Dims dims = in.dims();
  for (size_t i = 0; i < dims.size(); ++i) dims[i] = padded_size(dims[i], pads.begin[i], pads.end[i], mode);
  Tensor& out = context.allocate(0, in.type(), std::move(dims));
  if (out.size() == 0) return;
  const Tensor value = pad_value(context);
  move_elements(in, out, [&](const Tensor& from, Tensor& to) {
    if (mode != PadMode::constant)
      pad_from_input(from, pads, mode, to);
    else
      pad_constant(from, pads, from.type() == value.type() ? value : unpack_elements(value), to);
  });
}

}  // namespace

std::optional<PadParameters> pad_parameters(const InferContext& context) {
  if (!context.input_shape(0)) return std::nullopt;
  const auto pads = pads_of(context, context.input_shape(0)->rank());
  if (!pads) return std::nullopt;
  PadParameters p{.begin = pads->begin, .end = pads->end};
  p.constant = pad_mode(context.attributes(), context.def()) == PadMode::constant;
  p.value_is_input = context.def().until >= 11;
  if (!p.value_is_input) {
    p.value = static_cast<double>(context.attributes().f("value"));
  } else if (!context.has_input(2)) {
    p.value = 0;
  } else if (const Tensor* given = context.input_constant(2); given && given->size() == 1) {
    p.value = cast_tensor(*given, DataType::float64).values<double>()[0];
  }
  return p;
}

std::vector<OpDef> pad_ops() {
  const AttributeDef mode{"mode", AttributeType::string, std::string_view("constant")};
  const AttributeDef value{"value", AttributeType::float_, 0.0f};
  std::vector<OpDef> ops;
  ops.push_back({.name = "Pad",
                 .until = 1,
                 .input_types = {types::kFloat},
                 .attributes = {mode, value, {"paddings", AttributeType::ints, Required{}}},
                 .infer = infer_pad,
                 .evaluate = evaluate_pad});
  ops.push_back({.name = "Pad",
                 .since = 2,
                 .until = 10,
                 .input_types = {types::kFloat},
                 .attributes = {mode, value, {"pads", AttributeType::ints, Required{}}},
                 .infer = infer_pad,
                 .evaluate = evaluate_pad});
  ops.push_back({.name = "Pad",
                 .since = 11,
                 .until = 17,
                 .min_inputs = 2,
                 .max_inputs = 3,
                 .input_types = {types::kAll, types::kInt64, types::kAll},
                 .attributes = {mode},
                 .infer = infer_pad,
                 .evaluate = evaluate_pad});
  ops.push_back({.name = "Pad",
                 .since = 18,
                 .min_inputs = 2,
                 .max_inputs = 4,
                 .input_types = {types::kAll, types::kInt64, types::kAll, types::kIndex},
                 .attributes = {mode},
                 .infer = infer_pad,
                 .evaluate = evaluate_pad});
  return ops;
}

}  // namespace plica
