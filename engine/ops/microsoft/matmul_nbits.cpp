// MatMulNBits: Y = A * W' + bias, where W [N, K] is stored as unsigned integers of 2, 4 or 8 bits in blocks
// of neighbours along K, each block with a scale and a zero point: w = (q - zero_point) * scale. Weights are
// decoded a strip of rows at a time, so that they never exist as a whole.
#include <algorithm>
#include <bit>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/maybe_dims.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/packed_weights.h"

namespace plica {
namespace {

enum Input { kA, kWeights, kScales, kZeroPoints, kGroups, kBias };

// What the attributes say of the weights.
struct Packing {
  int64_t rows, columns;  // N, K
  int64_t bits, block, blocks;

  explicit Packing(const AttributeReader& attributes)
      : rows(attributes.i("N")),
        columns(attributes.i("K")),
        bits(attributes.i("bits")),
        block(attributes.i("block_size")) {
    require(rows >= 0 && columns >= 0, ErrorCode::invalid_model, "N is {}, K {}", rows, columns);
    require(bits == 2 || bits == 4 || bits == 8, ErrorCode::invalid_model, "bits is {}, it must be 2, 4 or 8",
            bits);
    require(block >= 16 && std::has_single_bit(static_cast<uint64_t>(block)), ErrorCode::invalid_model,
            "block_size is {}, it must be a power of two from 16 on", block);
    require(attributes.i("weight_prepacked") == 0, ErrorCode::unsupported, "weights packed for a GPU");
    require(columns <= INT64_MAX - block, ErrorCode::limit, "K is {}", columns);
    blocks = (columns + block - 1) / block;
  }

  int64_t block_bytes() const { return block / 8 * bits; }
  int64_t row_bytes() const { return checked_mul(blocks, block_bytes()); }
  int64_t zero_point_bytes() const { return (checked_mul(blocks, bits) + 7) / 8; }  // of a row

  // Number `index` of a row of packed numbers.
  int number(const uint8_t* packed, int64_t index) const {
    const int64_t at = index * bits;
    return packed[at / 8] >> (at % 8) & ((1 << bits) - 1);
  }
};

void infer_matmul_nbits(InferContext& context) {
  const Packing p(context.attributes());
  const DataType type = context.input_type(kA);
  for (int i : {static_cast<int>(kScales), static_cast<int>(kBias)}) {
    if (!context.has_input(i)) continue;
    const DataType own = context.input_type(i);
    require(own == type || own == DataType::undefined || type == DataType::undefined,
            ErrorCode::invalid_model, "input {} is of type {}, A {}", i, to_string(own), to_string(type));
  }
  // Weights without elements stand for a product that is left out; what describes them then says nothing.
  const auto weights = maybe_dims(context, kWeights);
  if (weights && checked_elements(*weights) != 0) {
    require_elements(context, kWeights, "B", checked_mul(p.rows, p.row_bytes()));
    require_elements(context, kScales, "scales", checked_mul(p.rows, p.blocks));
    if (context.has_input(kZeroPoints)) {
      const DataType zero_type = context.input_type(kZeroPoints);
      if (zero_type != DataType::undefined)
        require_elements(context, kZeroPoints, "zero_points",
                         checked_mul(p.rows, zero_type == DataType::uint8 ? p.zero_point_bytes() : p.blocks));
    }
    if (context.has_input(kGroups)) {
      const auto groups = maybe_dims(context, kGroups);
      require(!groups || checked_elements(*groups) >= p.columns, ErrorCode::invalid_model,
              "g_idx has shape {}, K is {}", groups ? to_string(*groups) : "", p.columns);
    }
  }
  require_elements(context, kBias, "bias", p.rows);
  infer_packed_product(context, p.rows, p.columns);
}

// (q - zero) * scale for `count` packed numbers.
template <int kBits>
void decode_block(const uint8_t* packed, int64_t count, float zero, float scale, float* out) {
  constexpr int64_t kPerByte = 8 / kBits;
  constexpr int kMask = (1 << kBits) - 1;
  const int64_t bytes = count / kPerByte;
  for (int64_t i = 0; i < bytes; ++i) {
    for (int j = 0; j < kPerByte; ++j)
      out[i * kPerByte + j] = (static_cast<float>(packed[i] >> (j * kBits) & kMask) - zero) * scale;
  }
  for (int64_t i = bytes * kPerByte; i < count; ++i)
    out[i] = (static_cast<float>(packed[bytes] >> (i % kPerByte * kBits) & kMask) - zero) * scale;
}

// The sum of x[i] * y[i], in parts that vectorize.
float dot(const float* x, const float* y, int64_t count) {
  constexpr int64_t kParts = 16;
  float parts[kParts] = {};
  int64_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (int64_t j = 0; j < kParts; ++j) parts[j] += x[i + j] * y[i + j];
  }
  for (; i < count; ++i) parts[i % kParts] += x[i] * y[i];
  return std::accumulate(parts, parts + kParts, 0.0f);
}

// The weights as floats, by rows.
class Decoder {
 public:
  Decoder(const EvaluateContext& context, const Packing& packing)
      : p_(packing),
        weights_(context.input(kWeights).data<uint8_t>()),
        scales_(cast_tensor(context.input(kScales), DataType::float32)) {
    if (const Tensor* zero_points = context.maybe_input(kZeroPoints)) {
      if (zero_points->type() == DataType::uint8)
        packed_zeros_ = zero_points->data<uint8_t>();
      else
        zeros_ = cast_tensor(*zero_points, DataType::float32);
    }
    if (const Tensor* groups = context.maybe_input(kGroups)) {
      groups_ = groups->data<int32_t>();
      for (int64_t k = 0; k < p_.columns; ++k)
        require(groups_[k] >= 0 && groups_[k] < p_.blocks, ErrorCode::invalid_argument,
                "g_idx has {}, there are {} blocks", groups_[k], p_.blocks);
    }
  }

  void decode_row(int64_t row, float* out) const {
    const uint8_t* packed = weights_ + row * p_.row_bytes();
    for (int64_t block = 0; block < p_.blocks; ++block) {
      const int64_t begin = block * p_.block, end = std::min(begin + p_.block, p_.columns);
      if (groups_) {
        for (int64_t k = begin; k < end; ++k)
          out[k] =
              (static_cast<float>(p_.number(packed, k)) - zero(row, groups_[k])) * scale(row, groups_[k]);
      } else {
        const uint8_t* bytes = packed + block * p_.block_bytes();
        const auto decode = p_.bits == 8 ? decode_block<8> : p_.bits == 4 ? decode_block<4> : decode_block<2>;
        decode(bytes, end - begin, zero(row, block), scale(row, block), out + begin);
      }
    }
  }

 private:
  float scale(int64_t row, int64_t block) const { return scales_.data<float>()[row * p_.blocks + block]; }
  float zero(int64_t row, int64_t block) const {
    if (packed_zeros_)
      return static_cast<float>(p_.number(packed_zeros_ + row * p_.zero_point_bytes(), block));
    if (zeros_.defined()) return zeros_.data<float>()[row * p_.blocks + block];
    return static_cast<float>(1 << (p_.bits - 1));
  }

  const Packing& p_;
  const uint8_t* weights_;
  Tensor scales_, zeros_;
  const uint8_t* packed_zeros_ = nullptr;
  const int32_t* groups_ = nullptr;
};

void evaluate_matmul_nbits(EvaluateContext& context) {
  const Packing p(context.attributes());
  if (context.output().size() == 0) return;
  const Tensor a = cast_tensor(context.input(kA), DataType::float32);
  Tensor y = Tensor::zeros(DataType::float32, context.output().dims());
  float* to = y.mutable_data<float>();
  if (const Tensor* given = context.maybe_input(kBias)) {
    const Tensor bias = cast_tensor(*given, DataType::float32);
    apply_broadcast(to, y.dims(), bias.data<float>(), {p.rows}, to, y.dims(),
                    [](float, float b) { return b; });
  }
  if (context.input(kWeights).size() != 0 && p.columns != 0) {
    constexpr int64_t kStrip = 64, kFewRows = 8;
    const Decoder decoder(context, p);
    const float* from = a.data<float>();
    const int64_t rows = y.size() / p.rows;
    parallel_for((p.rows + kStrip - 1) / kStrip, 1, [&](int64_t begin, int64_t end) {
      std::vector<float> strip(static_cast<size_t>(std::min(kStrip, p.rows) * p.columns));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * kStrip, count = std::min(kStrip, p.rows - first);
        for (int64_t row = 0; row < count; ++row) {
          float* weights = strip.data() + row * p.columns;
          decoder.decode_row(first + row, weights);
          // A token or a few: packing for a blocked product would cost more than the product.
          for (int64_t r = 0; rows < kFewRows && r < rows; ++r)
            to[r * p.rows + first + row] += dot(from + r * p.columns, weights, p.columns);
        }
        if (rows < kFewRows) continue;
        add_product<float>(rows, count, p.columns, {from, p.columns, 1},
                           MatrixView<float>{strip.data(), 1, p.columns}, to + first, p.rows);
      }
    });
  }
  cast_elements(y, context.output());
}

}  // namespace

std::vector<OpDef> matmul_nbits_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16},
                    kUint8 = {DataType::uint8}, kInt32 = {DataType::int32};
  return {{.name = "MatMulNBits",
           .domain = kMicrosoft,
           .min_inputs = 3,
           .max_inputs = 6,
           .input_types = {kFloats, kUint8, kFloats, kFloats | kUint8, kInt32, kFloats},
           .attributes = {{"K", AttributeType::int_, Required{}},
                          {"N", AttributeType::int_, Required{}},
                          {"accuracy_level", AttributeType::int_,
                           int64_t{0}},  // of no effect: products are of float32
                          {"bits", AttributeType::int_, int64_t{4}},
                          {"block_size", AttributeType::int_, Required{}},
                          {"weight_prepacked", AttributeType::int_, int64_t{0}}},
           .infer = infer_matmul_nbits,
           .evaluate = evaluate_matmul_nbits}};
}

}  // namespace plica
