// MatMul (numpy's: batches broadcast, vectors promoted) and Gemm.
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/linear.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

using MatrixTypes = TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>;

constexpr TypeSet kMatrixTypes =
    types::kFloat | TypeSet{DataType::int32, DataType::int64, DataType::uint32, DataType::uint64};

// What a type's products are summed in.
template <class T>
using ProductType =
    typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>, std::type_identity<T>>::type;

void require_equal_depth(const Dim& a, const Dim& b) {
  require(!a.is_known() || !b.is_known() || a.value() == b.value(), ErrorCode::invalid_model,
          "the first operand has {} columns, the second {} rows", to_string(a), to_string(b));
}

// ---- MatMul

void infer_matmul(InferContext& context) {
  const DataType type = common_type(context, 0, 2);
  const auto &a = context.input_shape(0), &b = context.input_shape(1);
  if (!a || !b) return context.set_output(0, type, std::nullopt);
  require(a->rank() >= 1 && b->rank() >= 1, ErrorCode::invalid_model, "an operand is a scalar");
  require_equal_depth((*a)[a->rank() - 1], (*b)[std::max(b->rank() - 2, 0)]);
  const auto batch = [](const Shape& s) {
    return Shape(std::vector<Dim>(s.begin(), s.end() - std::min(s.rank(), 2)));
  };
  Shape out = *broadcast_shapes(batch(*a), batch(*b));
  if (a->rank() > 1) out.push_back((*a)[a->rank() - 2]);
  if (b->rank() > 1) out.push_back((*b)[b->rank() - 1]);
  context.set_output(0, type, std::move(out));
}

void multiply_matrices(const Tensor& a, const Tensor& b, Tensor& y) {
  const int64_t m = a.rank() > 1 ? a.dim(-2) : 1, k = a.dim(-1), n = b.rank() > 1 ? b.dim(-1) : 1;
  const Dims batch_a(a.dims().begin(), a.dims().end() - std::min(a.rank(), 2));
  const Dims batch_b(b.dims().begin(), b.dims().end() - std::min(b.rank(), 2));
  Dims batch = broadcast_dims(batch_a, batch_b);
  if (y.size() == 0) return;
  dispatch<MatrixTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
    using P = ProductType<T>;
    const P* pa = reinterpret_cast<const P*>(a.data<T>());
    const P* pb = reinterpret_cast<const P*>(b.data<T>());
    P* py = reinterpret_cast<P*>(y.mutable_data<T>());
    std::fill_n(py, y.size(), P(0));
    // One matrix on the right for all on the left: the left ones are one tall matrix.
    if (std::ranges::all_of(batch_b, [](int64_t d) { return d == 1; })) {
      add_product<P>(y.size() / n, n, k, {pa, k, 1}, MatrixView<P>{pb, n, 1}, py, n);
      return;
    }
    const int64_t count = y.size() / (m * n);
    const Dims operands[] = {batch_a, batch_b};
    const Broadcast plan(batch, operands);
    const auto multiply = [&](int64_t begin, int64_t end) {
      plan.for_each_run(begin, end, [&](int64_t at, const auto& offsets, int64_t run) {
        for (int64_t i = 0; i < run; ++i) {
          add_product<P>(m, n, k, {pa + (offsets[0] + i * plan.step(0)) * m * k, k, 1},
                         MatrixView<P>{pb + (offsets[1] + i * plan.step(1)) * k * n, n, 1},
                         py + (at + i) * m * n, n);
        }
      });
    };
    // Many products in parallel, or each in parallel.
    if (count >= 2 * current_threads()) {
      parallel_for(count, std::max<int64_t>(1, 65536 / std::max<int64_t>(m * n * k, 1)), multiply);
    } else {
      multiply(0, count);
    }
  });
}

void evaluate_matmul(EvaluateContext& context) {
  compute_widened({&context.input(0), &context.input(1)}, context.output(),
                  [](const auto& in, Tensor& y) { multiply_matrices(*in[0], *in[1], y); });
}

// ---- Gemm

void infer_gemm(InferContext& context) {
  const DataType type = common_type(context, 0, 3);
  const auto &a = context.input_shape(0), &b = context.input_shape(1);
  require((!a || a->rank() == 2) && (!b || b->rank() == 2), ErrorCode::invalid_model,
          "A and B must be matrices");
  const int transpose_a = context.attributes().i("transA") != 0,
            transpose_b = context.attributes().i("transB") != 0;
  if (a && b) require_equal_depth((*a)[1 - transpose_a], (*b)[transpose_b]);
  Shape out = {a ? (*a)[transpose_a] : Dim(), b ? (*b)[1 - transpose_b] : Dim()};
  if (context.has_input(2) && context.input_shape(2)) {
    const Shape& c = *context.input_shape(2);
    const bool exact = context.def().until < 7 && context.attributes().i("broadcast") == 0;
    require(c.rank() <= 2 && (!exact || c.rank() == 2), ErrorCode::invalid_model, "C has rank {}", c.rank());
    for (int i = 0; i < c.rank(); ++i) {
      const Dim& from = c[i];
      Dim& to = out[2 - c.rank() + i];
      if (!from.is_known() || (from.value() == 1 && !exact)) continue;
      require(!to.is_known() || from.value() == to.value(), ErrorCode::invalid_model,
              "C of shape {} does not broadcast to the result's {}", to_string(c), to_string(out));
      to = from;
    }
  }
  context.set_output(0, type, std::move(out));
}

// alpha * A' * B' + beta * C
template <class T>
void compute_gemm(const AttributeReader& attributes, const Tensor& a, const Tensor& b, const Tensor* c,
                  Tensor& y) {
  using P = ProductType<T>;
  const bool transpose_a = attributes.i("transA") != 0, transpose_b = attributes.i("transB") != 0;
  const int64_t m = y.dim(0), n = y.dim(1), k = a.dim(transpose_a ? 0 : 1);
  P* py = reinterpret_cast<P*>(y.mutable_data<T>());
  std::fill_n(py, y.size(), P(0));
  const auto view = [](const Tensor& t, bool transposed) {
    const P* data = reinterpret_cast<const P*>(t.data<T>());
    return transposed ? MatrixView<P>{data, 1, t.dim(1)} : MatrixView<P>{data, t.dim(1), 1};
  };
  add_product<P>(m, n, k, view(a, transpose_a), view(b, transpose_b), py, n);
  const float alpha = attributes.f("alpha"), beta = attributes.f("beta");
  if (!c || beta == 0) {
    c = nullptr;
    if (alpha == 1) return;
  }
  // Integers: exactly where the factors are 1, otherwise by way of double.
  const bool unscaled = alpha == 1 && beta == 1;
  using S = std::conditional_t<std::is_integral_v<T>, double, T>;
  const auto combine = [=](T product, T addend) -> T {
    if constexpr (std::is_integral_v<T>) {
      if (unscaled) return static_cast<T>(static_cast<P>(product) + static_cast<P>(addend));
      return to_integer<T>(static_cast<S>(alpha) * static_cast<S>(product) +
                           static_cast<S>(beta) * static_cast<S>(addend));
    } else {
      return static_cast<S>(alpha) * product + static_cast<S>(beta) * addend;
    }
  };
  T* out = y.mutable_data<T>();
  const int64_t row_stride = c && c->rank() == 2 && c->dim(0) != 1 ? c->dim(1) : 0;
  const int64_t column_stride = c && c->rank() >= 1 && c->dim(-1) != 1 ? 1 : 0;
  const T* addend = c ? c->data<T>() : nullptr;
  for (int64_t i = 0; i < m; ++i) {
    T* row = out + i * n;
    if (!addend) {
      for (int64_t j = 0; j < n; ++j) row[j] = combine(row[j], T(0));
    } else if (column_stride == 0) {
      const T value = addend[i * row_stride];
      for (int64_t j = 0; j < n; ++j) row[j] = combine(row[j], value);
    } else {
      const T* values = addend + i * row_stride;
      for (int64_t j = 0; j < n; ++j) row[j] = combine(row[j], values[j]);
    }
  }
}

void evaluate_gemm(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  compute_widened({&context.input(0), &context.input(1), context.maybe_input(2)}, context.output(),
                  [&](const auto& in, Tensor& y) {
                    dispatch<MatrixTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
                      compute_gemm<T>(context.attributes(), *in[0], *in[1], in[2], y);
                    });
                  });
}

}  // namespace

std::vector<OpDef> matrix_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "MatMul",
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {kMatrixTypes},
                 .infer = infer_matmul,
                 .evaluate = evaluate_matmul});
  OpDef gemm{.name = "Gemm",
             .until = 6,
             .min_inputs = 3,
             .max_inputs = 3,
             .input_types = {kMatrixTypes},
             .attributes = {{"alpha", AttributeType::float_, 1.0f},
                            {"beta", AttributeType::float_, 1.0f},
                            {"transA", AttributeType::int_, int64_t{0}},
                            {"transB", AttributeType::int_, int64_t{0}},
                            {"broadcast", AttributeType::int_, int64_t{0}}},
             .infer = infer_gemm,
             .evaluate = evaluate_gemm};
  ops.push_back(gemm);
  gemm.since = 7;
  gemm.until = 10;
  gemm.attributes.pop_back();
  ops.push_back(gemm);
  gemm.since = 11;  // C may be left out
  gemm.until = kLatestOpset;
  gemm.min_inputs = 2;
  ops.push_back(gemm);
  return ops;
}

}  // namespace plica
