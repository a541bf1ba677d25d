// Quantization whose scale the run finds, and the way back: sums of products times both scales.
#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/integer_product.h"
#include "runtime/kernels/families.h"

namespace plica {
namespace {

class DynamicQuantizeKernel : public Kernel {  // operands: x, y, scale, zero point
 public:
  explicit DynamicQuantizeKernel(Dims dims) : dims_(std::move(dims)) {}
  void run(const Arguments& a) const override {
    const Tensor x = Tensor::view(DataType::float32, dims_, a.memory[0]);
    Tensor y = Tensor::view(DataType::uint8, dims_, a.memory[1]),
           scale = Tensor::view(DataType::float32, {}, a.memory[2]),
           zero_point = Tensor::view(DataType::uint8, {}, a.memory[3]);
    quantize_dynamically(x, y, scale, zero_point);
  }

 private:
  Dims dims_;
};

class ScaleSumsKernel : public Kernel {  // operands: sums, a_scale, b_scale, y, [bias]
 public:
  ScaleSumsKernel(int64_t rows, int64_t columns, bool by_column)
      : rows_(rows), columns_(columns), by_column_(by_column) {}
  void run(const Arguments& a) const override {
    const auto* sums = static_cast<const int32_t*>(a.memory[0]);
    const float a_scale = *static_cast<const float*>(a.memory[1]);
    const auto* b_scale = static_cast<const float*>(a.memory[2]);
    auto* y = static_cast<float*>(a.memory[3]);
    const auto* bias = a.memory.size() > 4 ? static_cast<const float*>(a.memory[4]) : nullptr;
    parallel_for(rows_, std::max<int64_t>(1, 16384 / columns_), [=, this](int64_t begin, int64_t end) {
      vectorized([=, this] {
        for (int64_t r = begin; r < end; ++r) {
          const int32_t* from = sums + r * columns_;
          float* to = y + r * columns_;
          if (by_column_) {
            for (int64_t j = 0; j < columns_; ++j)
              to[j] = static_cast<float>(from[j]) * (b_scale[j] * a_scale);
          } else {
            const float factor = *b_scale * a_scale;
            for (int64_t j = 0; j < columns_; ++j) to[j] = static_cast<float>(from[j]) * factor;
          }
          if (bias) {
            for (int64_t j = 0; j < columns_; ++j) to[j] += bias[j];
          }
        }
      });
    });
  }

 private:
  int64_t rows_, columns_;
  bool by_column_;
};

}  // namespace

void build_dynamic_quantize(PlanBuilder& builder, const LoweredOp& op) {
  std::vector<Placement> operands = {builder.row_major(op.inputs[0])};
  for (int v : op.outputs) operands.push_back(builder.allocate_row_major(v));
  builder.emit({"DynamicQuantizeLinear", node_names(op), "quantize", ""},
               std::make_unique<DynamicQuantizeKernel>(builder.value(op.inputs[0]).dims), operands);
}

void build_scale_sums(PlanBuilder& builder, const LoweredOp& op) {
  const Dims& y = builder.value(op.outputs[0]).dims;
  const bool by_column = checked_elements(builder.value(op.inputs[2]).dims) > 1;
  std::vector<Placement> operands;
  for (size_t i = 0; i < 3; ++i) operands.push_back(builder.row_major(op.inputs[i]));
  operands.push_back(builder.allocate_row_major(op.outputs[0]));
  if (op.inputs[3] >= 0) operands.push_back(builder.row_major(op.inputs[3]));
  builder.emit({"scale sums", node_names(op), "scale", ""},
               std::make_unique<ScaleSumsKernel>(checked_elements(y) / y.back(), y.back(), by_column),
               operands);
}

}  // namespace plica
