// GatherBlockQuantized: Gather from data that is quantized by blocks along `quantize_axis`, dequantized on
// the way: (q - zero_point) * scale. Numbers of fewer than 8 bits in uint8 data are packed along the last
// axis, the low bits first, as uint4 and int4 are. Only what is gathered is decoded.
#include <algorithm>
#include <bit>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"
#include "engine/ops/microsoft/microsoft.h"

namespace plica {
namespace {

enum Input { kData, kIndices, kScales, kZeroPoints };

// What the attributes say of data of this type, whose rank is known.
struct Layout {
  int gather_axis, quantize_axis;
  int64_t block;
  int bits;
  bool packed_bytes;  // several numbers in one element

  Layout(const AttributeReader& attributes, DataType type, int rank)
      : gather_axis(normalize_axis(attributes.i("gather_axis"), rank, false, "gather_axis")),
        quantize_axis(normalize_axis(attributes.i("quantize_axis"), rank, false, "quantize_axis")),
        block(attributes.i("block_size")),
        bits(type == DataType::uint8 ? static_cast<int>(attributes.i("bits")) : 4),
        packed_bytes(type == DataType::uint8 && bits < 8) {
    require(bits == 2 || bits == 4 || bits == 8, ErrorCode::invalid_model, "bits is {}, it must be 2, 4 or 8",
            bits);
    require(block >= 16 && std::has_single_bit(static_cast<uint64_t>(block)), ErrorCode::invalid_model,
            "block_size is {}, it must be a power of two from 16 on", block);
    require(!packed_bytes || gather_axis != rank - 1, ErrorCode::invalid_model,
            "packed data cannot be gathered along its last axis");
  }

  int64_t blocks_of(int64_t length) const { return length / block + (length % block != 0); }

  // The dims of the numbers in a tensor of these dims.
  Dims unpacked(Dims dims) const {
    if (packed_bytes) dims.back() = checked_mul(dims.back(), int64_t{8 / bits});
    return dims;
  }
  Dims scale_dims(Dims numbers) const {
    int64_t& length = numbers[static_cast<size_t>(quantize_axis)];
    length = blocks_of(length);
    return numbers;
  }
};

void require_dims(const InferContext& context, int i, std::string_view what, const Dims& expected) {
  if (!context.has_input(i) || !context.input_shape(i)) return;
  const auto dims = context.input_shape(i)->known();
  require(!dims || *dims == expected, ErrorCode::invalid_model, "{} has shape {}, {} is needed", what,
          dims ? to_string(*dims) : "", to_string(expected));
}

void infer_gather_quantized(InferContext& context) {
  const DataType type = context.input_type(kData), result = context.input_type(kScales);
  if (context.has_input(kZeroPoints)) {
    const DataType own = context.input_type(kZeroPoints);
    require(own == type || own == DataType::undefined || type == DataType::undefined,
            ErrorCode::invalid_model, "zero_points are of type {}, the data {}", to_string(own),
            to_string(type));
  }
  const auto &data = context.input_shape(kData), &indices = context.input_shape(kIndices);
  if (!data || type == DataType::undefined) return context.set_output(0, result, std::nullopt);
  require(data->rank() >= 1, ErrorCode::invalid_model, "the data is a scalar");
  const Layout layout(context.attributes(), type, data->rank());
  const auto known = data->known();
  if (known) {
    const Dims scales = layout.scale_dims(layout.unpacked(*known));
    require_dims(context, kScales, "scales", scales);
    Dims zeros = scales;
    const int64_t per_byte = 8 / layout.bits;
    if (layout.packed_bytes) zeros.back() = zeros.back() / per_byte + (zeros.back() % per_byte != 0);
    require_dims(context, kZeroPoints, "zero_points", zeros);
  }
  if (!indices) return context.set_output(0, result, std::nullopt);
  std::vector<Dim> out;
  for (int d = 0; d < data->rank(); ++d) {
    const bool packed = layout.packed_bytes && d + 1 == data->rank();
    if (d == layout.gather_axis)
      out.insert(out.end(), indices->begin(), indices->end());
    else
      out.push_back(packed ? multiply((*data)[d], Dim(8 / layout.bits)) : (*data)[d]);
  }
  context.set_output(0, result, Shape(std::move(out)));
}

// Unsigned numbers of a few bits, rows of `row` numbers beginning at a byte each (row 0: all in one).
struct Numbers {
  const uint8_t* bytes;
  int bits;
  int64_t row = 0;
  bool is_signed = false;

  float at(int64_t index) const {
    const int64_t per_byte = 8 / bits, row_bytes = row == 0 ? 0 : (row + per_byte - 1) / per_byte;
    const int64_t in_row = row == 0 ? index : index % row, start = row == 0 ? 0 : index / row * row_bytes;
    const int value =
        bytes[start + in_row / per_byte] >> static_cast<int>(in_row % per_byte * bits) & ((1 << bits) - 1);
    return static_cast<float>(is_signed && value >> (bits - 1) != 0 ? value - (1 << bits) : value);
  }
};

void evaluate_gather_quantized(EvaluateContext& context) {
  const Tensor &data = context.input(kData), *zero_points = context.maybe_input(kZeroPoints);
  Tensor& out = context.output();
  if (out.size() == 0) return;
  const Layout layout(context.attributes(), data.type(), data.rank());
  const Dims dims = layout.unpacked(data.dims());
  const AxisSplit gather = split_at(dims, layout.gather_axis),
                  quantize = split_at(dims, layout.quantize_axis);
  const std::vector<int64_t> indices = read_indices(context.input(kIndices), gather.length);
  const bool is_signed = data.type() == DataType::int4;
  const auto numbers = [&](const Tensor& t, int64_t row) {
    return Numbers{static_cast<const uint8_t*>(t.raw()), layout.bits, row, is_signed};
  };
  const Numbers values = numbers(data, 0);
  const Dims scale_dims = layout.scale_dims(dims);
  const Numbers zeros =
      zero_points ? numbers(*zero_points, layout.packed_bytes ? scale_dims.back() : 0) : Numbers{};
  const float default_zero =
      data.type() == DataType::uint8 ? static_cast<float>(1 << (layout.bits - 1)) : 0.0f;
  const Tensor scales = cast_tensor(context.input(kScales), DataType::float32);
  const int64_t blocks = layout.blocks_of(quantize.length), count = std::ssize(indices);
  Tensor result(DataType::float32, out.dims());
  float* const y = result.mutable_data<float>();
  parallel_for(gather.outer * count, 4096 / gather.inner + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t from =
          (row / count * gather.length + indices[static_cast<size_t>(row % count)]) * gather.inner;
      for (int64_t i = 0; i < gather.inner; ++i) {
        const int64_t position = from + i, along = position / quantize.inner;
        const int64_t scale =
            (along / quantize.length * blocks + along % quantize.length / layout.block) * quantize.inner +
            position % quantize.inner;
        const float zero = zero_points ? zeros.at(scale) : default_zero;
        y[row * gather.inner + i] = (values.at(position) - zero) * scales.data<float>()[scale];
      }
    }
  });
  cast_elements(result, out);
}

}  // namespace

std::vector<OpDef> gather_block_quantized_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16},
                    kQuantized = {DataType::uint8, DataType::uint4, DataType::int4};
  return {{.name = "GatherBlockQuantized",
           .domain = kMicrosoft,
           .min_inputs = 3,
           .max_inputs = 4,
           .input_types = {kQuantized, types::kIndex, kFloats, kQuantized},
           .attributes = {{"bits", AttributeType::int_, int64_t{4}},
                          {"block_size", AttributeType::int_, int64_t{128}},
                          {"gather_axis", AttributeType::int_, int64_t{0}},
                          {"quantize_axis", AttributeType::int_, int64_t{1}}},
           .infer = infer_gather_quantized,
           .evaluate = evaluate_gather_quantized}};
}

}  // namespace plica
