#include "engine/ops/integer_product.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/saturate.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

double largest_magnitude(const Tensor& x) {
  float largest = 0;
  for (float v : x.values<float>()) largest = std::max(largest, std::abs(v));
  return largest;
}

// The largest magnitude up to which all integers are float32.
constexpr double kExact = 0x1p24;

// Positions [first, first + count) of an axis.
Tensor slice_axis(const Tensor& x, int axis, int64_t first, int64_t count) {
  Dims dims = x.dims();
  dims[static_cast<size_t>(axis)] = count;
  Tensor out(x.type(), dims);
  const Dims strides = row_major_strides(x.dims());
  copy_strided(x.type(), dims, element_address(x, first * strides[static_cast<size_t>(axis)]), strides,
               out.mutable_raw(), row_major_strides(dims));
  return out;
}

// out += sums, integers within the range of Integer.
template <class Integer, class F>
void add_wrapped(std::span<const F> sums, Tensor& out) {
  int32_t* to = out.mutable_data<int32_t>();
  const F* from = sums.data();
  parallel_for(out.size(), 16384, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      to[i] = static_cast<int32_t>(static_cast<uint32_t>(to[i]) +
                                   static_cast<uint32_t>(static_cast<Integer>(from[i])));
  });
}

template <class T>
void requantize_integers(const Tensor& x, const Dims& dims, const Tensor& factors, const Dims& factor_dims,
                         const Tensor* zero_point, Tensor& out) {
  const float zero = zero_point ? static_cast<float>(zero_point->data<T>()[0]) : 0;
  apply_broadcast(x.data<float>(), dims, factors.data<float>(), factor_dims, out.mutable_data<T>(), dims,
                  [zero](float v, float factor) { return saturate_rounded<T>(v * factor, zero); });
}

}  // namespace

Tensor centered(const Tensor& x, const Tensor* zero_point, const Dims& dims) {
  const Tensor wide = cast_tensor(x, DataType::float32);
  if (!zero_point) return wide;
  const Tensor zeros = cast_tensor(*zero_point, DataType::float32);
  Tensor out(DataType::float32, x.dims());
  apply_broadcast(wide.data<float>(), x.dims(), zeros.data<float>(), dims, out.mutable_data<float>(),
                  x.dims(), [](float a, float b) { return a - b; });
  return out;
}

void integer_product(const OpDef& base, const EvaluateContext& context, const Tensor& a, const Tensor& b,
                     const Contraction& contraction, Tensor& out) {
  const double largest_term =
      largest_magnitude(a) * largest_magnitude(b) * static_cast<double>(contraction.terms);
  if (static_cast<double>(contraction.length) * largest_term <= kExact) {
    Tensor sums(DataType::float32, out.dims());
    evaluate_by(base, context, {&a, &b}, sums);
    return cast_elements(sums, out);
  }
  std::fill_n(out.mutable_data<int32_t>(), out.size(), 0);
  const auto part = static_cast<int64_t>(kExact / largest_term);
  // Sums of few products would be more addition than multiplication.
  if (contraction.a_axis >= 0 && part * contraction.terms >= 64) {
    Tensor sums(DataType::float32, out.dims());
    for (int64_t first = 0; first < contraction.length; first += part) {
      const int64_t count = std::min(part, contraction.length - first);
      const Tensor part_a = slice_axis(a, contraction.a_axis, first, count),
                   part_b = slice_axis(b, contraction.b_axis, first, count);
      evaluate_by(base, context, {&part_a, &part_b}, sums);
      add_wrapped<int32_t>(sums.values<float>(), out);
    }
    return;
  }
  const Tensor wide_a = cast_tensor(a, DataType::float64), wide_b = cast_tensor(b, DataType::float64);
  Tensor sums(DataType::float64, out.dims());
  evaluate_by(base, context, {&wide_a, &wide_b}, sums);
  add_wrapped<int64_t>(sums.values<double>(), out);
}

void requantize(const Tensor& x, const Dims& dims, const Tensor& factors, const Dims& factor_dims,
                const Tensor* zero_point, Tensor& out) {
  const Tensor wide = cast_tensor(x, DataType::float32), scales = cast_tensor(factors, DataType::float32);
  if (is_integer(out.type())) {
    return dispatch<TypeList<uint8_t, int8_t>>(out.type(), [&]<class T>(std::type_identity<T>) {
      requantize_integers<T>(wide, dims, scales, factor_dims, zero_point, out);
    });
  }
  const float zero = zero_point ? cast_tensor(*zero_point, DataType::float32).values<float>()[0] : 0;
  Tensor result(DataType::float32, out.dims());
  apply_broadcast(wide.data<float>(), dims, scales.data<float>(), factor_dims, result.mutable_data<float>(),
                  dims, [zero](float v, float factor) { return v * factor + zero; });
  cast_elements(result, out);
}

void quantize_dynamically(const Tensor& x, Tensor& y, Tensor& scale, Tensor& zero_point) {
  float low = 0, high = 0;
  vectorized([&] {
    // Comparisons that NaN does not pass, in eight chains of eight.
    typedef float Vector __attribute__((vector_size(32)));
    constexpr int kChains = 8, kLanes = sizeof(Vector) / sizeof(float), kStep = kChains * kLanes;
    const float* from = x.data<float>();
    const int64_t size = x.size(), whole = size / kStep * kStep;
    Vector least[kChains] = {}, most[kChains] = {};
    for (int64_t i = 0; i < whole; i += kStep) {
      for (int j = 0; j < kChains; ++j) {
        Vector v;
        std::memcpy(&v, from + i + j * kLanes, sizeof v);
        least[j] = v < least[j] ? v : least[j];
        most[j] = v > most[j] ? v : most[j];
      }
    }
    for (int j = 0; j < kStep; ++j) {
      low = std::min(low, least[j / kLanes][j % kLanes]);
      high = std::max(high, most[j / kLanes][j % kLanes]);
    }
    for (int64_t i = whole; i < size; ++i) {
      low = from[i] < low ? from[i] : low;
      high = from[i] > high ? from[i] : high;
    }
  });
  // Of zeros alone: 1, as in the formula that the specification's reference implementation notes.
  const float step = high == low ? 1 : (high - low) / 255;
  const float exact = -low / step;
  const float zero = exact > 0 ? std::nearbyint(std::min(exact, 255.0f)) : 0.0f;
  *scale.mutable_data<float>() = step;
  *zero_point.mutable_data<uint8_t>() = static_cast<uint8_t>(zero);
  const float* from = x.data<float>();
  uint8_t* to = y.mutable_data<uint8_t>();
  parallel_for(x.size(), 16384, [=](int64_t begin, int64_t end) {
    vectorized([=] { quantize_elements(from + begin, step, zero, to + begin, end - begin); });
  });
}

namespace {

// `kept`: the matrices' axis, counted from the end, along which parameters differ; the other has one.
Dims parameter_dims(const Dims& parameter, const Dims& matrix, size_t kept, std::string_view what) {
  if (checked_elements(parameter) == 1) return {};
  const size_t rank = matrix.size();
  const auto from_end = [](const Dims& dims, size_t i) { return dims[dims.size() - i]; };
  const auto refuse = [&] {
    fail(ErrorCode::invalid_model, "{} has shape {}, its matrix {}", what, to_string(parameter),
         to_string(matrix));
  };
  if (rank < 2 || (parameter.size() != 1 && parameter.size() != rank)) refuse();
  if (parameter.size() == 1) {
    if (parameter[0] != from_end(matrix, kept)) refuse();
    return kept == 2 ? Dims{parameter[0], 1} : parameter;
  }
  for (size_t i = 1; i <= rank; ++i) {
    const bool single = i == 3 - kept;
    if (from_end(parameter, i) != 1 && (single || from_end(parameter, i) != from_end(matrix, i))) refuse();
  }
  return parameter;
}

}  // namespace

Dims row_parameter_dims(const Dims& parameter, const Dims& matrix, std::string_view what) {
  return parameter_dims(parameter, matrix, 2, what);
}

Dims column_parameter_dims(const Dims& parameter, const Dims& matrix, std::string_view what) {
  return parameter_dims(parameter, matrix, 1, what);
}

Dims promoted_product_dims(const Dims& a, const Dims& b) {
  const auto batch = [](const Dims& d) {
    return Dims(d.begin(), d.end() - static_cast<std::ptrdiff_t>(std::min<size_t>(d.size(), 2)));
  };
  Dims dims = broadcast_dims(batch(a), batch(b));
  dims.push_back(a.size() > 1 ? a[a.size() - 2] : 1);
  dims.push_back(b.size() > 1 ? b.back() : 1);
  return dims;
}

}  // namespace plica
