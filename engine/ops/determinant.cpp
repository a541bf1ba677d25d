// Det: https://onnx.ai/onnx/operators/onnx__Det.html
#include <algorithm>
#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/linear.h"

namespace plica {
namespace {

// [..., M, M] -> [...]
void infer_det(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& in = context.input_shape(0);
  if (!in) return context.set_output(0, type, std::nullopt);
  require(in->rank() >= 2, ErrorCode::invalid_model, "the input is of rank {}, at least 2 is needed",
          in->rank());
  const Dim &rows = (*in)[in->rank() - 2], &columns = (*in)[in->rank() - 1];
  require(!rows.is_known() || !columns.is_known() || rows.value() == columns.value(),
          ErrorCode::invalid_model, "a matrix of {} x {} is not square", to_string(rows), to_string(columns));
  context.set_output(0, type, Shape(std::vector<Dim>(in->begin(), in->end() - 2)));
}

// By Gaussian elimination with the largest pivot of each column; 1 for a matrix without elements. Destroys
// `a`.
double determinant(std::vector<double>& a, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    }
    if (a[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(&a[k * n], &a[k * n] + n, &a[pivot * n]);
      product = -product;
    }
    const double* top = &a[k * n];
    product *= top[k];
    for (size_t i = k + 1; i < n; ++i) {
      double* row = &a[i * n];
      const double factor = row[k] / top[k];
      for (size_t j = k + 1; j < n; ++j) row[j] -= factor * top[j];
    }
  }
  return product;
}

void evaluate_det(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  const int64_t n = in.dim(-1);
  if (out.size() == 0) return;
  dispatch<FloatTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = in.data<T>();
    T* y = out.mutable_data<T>();
    parallel_for(out.size(), std::max<int64_t>(1, 16384 / (n * n * n + 1)), [&](int64_t begin, int64_t end) {
      std::vector<double> matrix(static_cast<size_t>(n * n));
      for (int64_t i = begin; i < end; ++i) {
        std::transform(x + i * n * n, x + (i + 1) * n * n, matrix.begin(),
                       [](T v) { return static_cast<double>(static_cast<ComputeType<T>>(v)); });
        y[i] = static_cast<T>(static_cast<ComputeType<T>>(determinant(matrix, static_cast<size_t>(n))));
      }
    });
  });
}

}  // namespace

std::vector<OpDef> determinant_ops() {
  return {{.name = "Det",
           .since = 11,
           .input_types = {types::kFloat},
           .infer = infer_det,
           .evaluate = evaluate_det}};
}

}  // namespace plica
