// MatMulBnb4: Y = A * W' where W [N, K] is stored as bitsandbytes stores it: 4 bits a weight, the first of
// two in the high bits, an index into a table of values in [-1, 1], times the largest magnitude of the
// weight's block. Blocks run through the whole of W, row after row.
#include <algorithm>
#include <array>
#include <bit>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/packed_weights.h"

namespace plica {
namespace {

// FP4: a sign, two bits of exponent, one of mantissa, divided by the largest (12). NF4: quantiles of the
// normal distribution (Dettmers et al., QLoRA, arXiv 2305.14314, appendix E).
constexpr std::array<std::array<float, 16>, 2> kTables = {{
    {0, 5.208333333e-03f, 0.66666667f, 1, 0.33333333f, 0.5f, 0.16666667f, 0.25f, 0, -5.208333333e-03f,
     -0.66666667f, -1, -0.33333333f, -0.5f, -0.16666667f, -0.25f},
    {-1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
     -0.18477343022823334f, -0.09105003625154495f, 0, 0.07958029955625534f, 0.16093020141124725f,
     0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
     0.7229568362236023f, 1},
}};

struct Packing {
  int64_t rows, columns, block;  // N, K
  const std::array<float, 16>& table;

  explicit Packing(const AttributeReader& attributes)
      : rows(attributes.i("N")),
        columns(attributes.i("K")),
        block(attributes.i("block_size")),
        table(kTables[attributes.i("quant_type") == 1 ? 1 : 0]) {
    require(rows >= 0 && columns >= 0, ErrorCode::invalid_model, "N is {}, K {}", rows, columns);
    require(block >= 16 && std::has_single_bit(static_cast<uint64_t>(block)), ErrorCode::invalid_model,
            "block_size is {}, it must be a power of two from 16 on", block);
    const int64_t kind = attributes.i("quant_type");
    require(kind == 0 || kind == 1, ErrorCode::invalid_model,
            "quant_type is {}, it must be 0 (FP4) or 1 (NF4)", kind);
    require(attributes.i("transB") != 0, ErrorCode::unsupported, "a product with W itself (transB 0)");
  }
  int64_t count() const { return checked_mul(rows, columns); }
};

int64_t divided_up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

void infer_matmul_bnb4(InferContext& context) {
  const Packing p(context.attributes());
  require_elements(context, 1, "B", divided_up(p.count(), 2));
  require_elements(context, 2, "absmax", divided_up(p.count(), p.block));
  const DataType type = context.input_type(0), own = context.input_type(2);
  require(own == type || own == DataType::undefined || type == DataType::undefined, ErrorCode::invalid_model,
          "absmax is of type {}, A {}", to_string(own), to_string(type));
  infer_packed_product(context, p.rows, p.columns);
}

void evaluate_matmul_bnb4(EvaluateContext& context) {
  const Packing p(context.attributes());
  if (context.output().size() == 0) return;
  const Tensor a = cast_tensor(context.input(0), DataType::float32),
               largest = cast_tensor(context.input(2), DataType::float32);
  const uint8_t* const packed = context.input(1).data<uint8_t>();
  Tensor y = Tensor::zeros(DataType::float32, context.output().dims());
  constexpr int64_t kStrip = 64;
  parallel_for(p.columns == 0 ? 0 : divided_up(p.rows, kStrip), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> strip(static_cast<size_t>(std::min(kStrip, p.rows) * p.columns));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * kStrip, count = std::min(kStrip, p.rows - first), from = first * p.columns;
      for (int64_t k = 0; k < count * p.columns; ++k) {
        const int64_t at = from + k;
        const int index = packed[at / 2] >> (at % 2 == 0 ? 4 : 0) & 15;
        strip[static_cast<size_t>(k)] =
            p.table[static_cast<size_t>(index)] * largest.data<float>()[at / p.block];
      }
      add_product<float>(y.size() / p.rows, count, p.columns, {a.data<float>(), p.columns, 1},
                         MatrixView<float>{strip.data(), 1, p.columns}, y.mutable_data<float>() + first,
                         p.rows);
    }
  });
  cast_elements(y, context.output());
}

}  // namespace

std::vector<OpDef> matmul_bnb4_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16};
  return {{.name = "MatMulBnb4",
           .domain = kMicrosoft,
           .min_inputs = 3,
           .max_inputs = 3,
           .input_types = {kFloats, {DataType::uint8}, kFloats},
           .attributes = {{"K", AttributeType::int_, Required{}},
                          {"N", AttributeType::int_, Required{}},
                          {"block_size", AttributeType::int_, Required{}},
                          {"quant_type", AttributeType::int_, Required{}},
                          {"training_mode", AttributeType::int_, int64_t{0}},  // of no effect on the result
                          {"transB", AttributeType::int_, int64_t{1}}},
           .infer = infer_matmul_bnb4,
           .evaluate = evaluate_matmul_bnb4}};
}

}  // namespace plica
