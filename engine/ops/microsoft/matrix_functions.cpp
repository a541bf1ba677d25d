// Functions of matrices:
//   Inverse:  of each matrix of the last two axes (torch.inverse, before ONNX had a way to write it)
//   CDist:    the distances between the rows of two matrices, which skl2onnx writes for nearest neighbours
#include <algorithm>
#include <cmath>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/microsoft/microsoft.h"

namespace plica {
namespace {

constexpr TypeSet kWide = {DataType::float32, DataType::float64};

void infer_inverse(InferContext& context) {
  if (const auto& in = context.input_shape(0)) {
    require(in->rank() >= 2, ErrorCode::invalid_model, "the input is of rank {}, at least 2 is needed",
            in->rank());
    const Dim &rows = (*in)[in->rank() - 2], &columns = (*in)[in->rank() - 1];
    require(!rows.is_known() || !columns.is_known() || rows.value() == columns.value(),
            ErrorCode::invalid_model, "a matrix of {} x {} is not square", to_string(rows),
            to_string(columns));
  }
  context.same_as_input();
}

// Gauss-Jordan elimination of [A | 1] (n rows of 2n) with the largest pivot of each column; false when A is
// singular.
bool invert(std::vector<double>& rows, size_t n) {
  const size_t width = 2 * n;
  const auto row = [&](size_t i) { return rows.data() + i * width; };
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (std::abs(row(i)[k]) > std::abs(row(pivot)[k])) pivot = i;
    }
    if (row(pivot)[k] == 0) return false;
    if (pivot != k) std::swap_ranges(row(k), row(k) + width, row(pivot));
    const double factor = 1 / row(k)[k];
    for (size_t j = k; j < width; ++j) row(k)[j] *= factor;
    for (size_t i = 0; i < n; ++i) {
      const double times = row(i)[k];
      if (i == k || times == 0) continue;
      for (size_t j = k; j < width; ++j) row(i)[j] -= times * row(k)[j];
    }
  }
  return true;
}

void evaluate_inverse(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  if (out.size() == 0) return;
  const int64_t n = in.dim(-1), size = n * n;
  dispatch<FloatTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    const T* const x = in.data<T>();
    T* const y = out.mutable_data<T>();
    parallel_for(out.size() / size, 16384 / (size * n) + 1, [&](int64_t begin, int64_t end) {
      std::vector<double> rows(static_cast<size_t>(checked_mul(size, int64_t{2})));
      for (int64_t m = begin; m < end; ++m) {
        for (int64_t i = 0; i < size; ++i) {
          double* const row = rows.data() + i / n * 2 * n;
          row[i % n] = static_cast<double>(static_cast<ComputeType<T>>(x[m * size + i]));
          row[n + i % n] = i / n == i % n ? 1 : 0;
        }
        require(invert(rows, static_cast<size_t>(n)), ErrorCode::invalid_argument, "matrix {} is singular",
                m);
        for (int64_t i = 0; i < size; ++i)
          y[m * size + i] = static_cast<T>(
              static_cast<ComputeType<T>>(rows[static_cast<size_t>(i / n * 2 * n + n + i % n)]));
      }
    });
  });
}

bool takes_root(const AttributeReader& attributes) {
  const std::string metric = attributes.s("metric");
  require(metric == "euclidean" || metric == "sqeuclidean", ErrorCode::invalid_model,
          "the metric is {}, it must be euclidean or sqeuclidean", quoted(metric));
  return metric == "euclidean";
}

void infer_cdist(InferContext& context) {
  takes_root(context.attributes());
  const auto &a = context.input_shape(0), &b = context.input_shape(1);
  for (const auto* shape : {&a, &b}) {
    require(!*shape || (*shape)->rank() == 2, ErrorCode::invalid_model,
            "an input is of rank {}, it must be 2", *shape ? (*shape)->rank() : 0);
  }
  if (a && b) merge((*a)[1], (*b)[1]);
  context.set_output(0, common_type(context, 0, 2), Shape{a ? (*a)[0] : Dim(), b ? (*b)[0] : Dim()});
}

void evaluate_cdist(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Tensor& out = context.output();
  const bool root = takes_root(context.attributes());
  const int64_t columns = b.dim(0), length = a.dim(1);
  dispatch<TypeList<float, double>>(a.type(), [&]<class T>(std::type_identity<T>) {
    const T *const left = a.data<T>(), *const right = b.data<T>();
    T* const y = out.mutable_data<T>();
    parallel_for(a.dim(0), 16384 / (columns * length + 1) + 1, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t j = 0; j < columns; ++j) {
          T sum = 0;
          for (int64_t k = 0; k < length; ++k) {
            const T d = left[i * length + k] - right[j * length + k];
            sum += d * d;
          }
          y[i * columns + j] = root ? std::sqrt(sum) : sum;
        }
      }
    });
  });
}

}  // namespace

std::vector<OpDef> matrix_function_ops() {
  return {{.name = "Inverse",
           .domain = kMicrosoft,
           .input_types = {types::kFloat},
           .infer = infer_inverse,
           .evaluate = evaluate_inverse},
          {.name = "CDist",
           .domain = kMicrosoft,
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {kWide},
           .attributes = {{"metric", AttributeType::string, std::string_view("sqeuclidean")}},
           .infer = infer_cdist,
           .evaluate = evaluate_cdist}};
}

}  // namespace plica
