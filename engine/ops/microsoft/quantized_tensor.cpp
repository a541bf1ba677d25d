#include "engine/ops/microsoft/quantized_tensor.h"

#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/cast.h"
#include "engine/ops/saturate.h"

namespace plica {
namespace {

constexpr int64_t kGrain = 16384;
using Int8Types = TypeList<uint8_t, int8_t>;

float zero_of(const Tensor* zero_point) {
  if (!zero_point) return 0;
  return dispatch<Int8Types>(zero_point->type(), [&]<class T>(std::type_identity<T>) {
    return static_cast<float>(*zero_point->data<T>());
  });
}

}  // namespace

void require_quantization(const InferContext& context, int tensor, int scale, int zero_point) {
  context.input(scale);
  for (int i : {scale, zero_point}) {
    if (!context.has_input(i) || !context.input_shape(i)) continue;
    const auto dims = context.input_shape(i)->known();
    require(!dims || checked_elements(*dims) == 1, ErrorCode::invalid_model,
            "{} (input {}) has shape {}, it must be a scalar", i == scale ? "the scale" : "the zero point", i,
            to_string(*context.input_shape(i)));
  }
  if (!context.has_input(zero_point)) return;
  const DataType a = context.input_type(tensor), b = context.input_type(zero_point);
  require(a == b || a == DataType::undefined || b == DataType::undefined, ErrorCode::invalid_model,
          "the zero point (input {}) is of type {}, the tensor {}", zero_point, to_string(b), to_string(a));
}

Tensor dequantize(const Tensor& x, const Tensor& scale, const Tensor* zero_point) {
  Tensor out(DataType::float32, x.dims());
  const float factor = *scale.data<float>(), zero = zero_of(zero_point);
  float* to = out.mutable_data<float>();
  dispatch<Int8Types>(x.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = x.data<T>();
    parallel_for(x.size(), kGrain, [=](int64_t begin, int64_t end) {
      vectorized([=] {
        for (int64_t i = begin; i < end; ++i) to[i] = (static_cast<float>(from[i]) - zero) * factor;
      });
    });
  });
  return out;
}

void quantize(const Tensor& x, const Tensor& scale, const Tensor* zero_point, Tensor& out) {
  const float divisor = *scale.data<float>(), zero = zero_of(zero_point);
  const float* from = x.data<float>();
  dispatch<Int8Types>(out.type(), [&]<class T>(std::type_identity<T>) {
    T* to = out.mutable_data<T>();
    parallel_for(x.size(), kGrain, [=](int64_t begin, int64_t end) {
      vectorized([=] { quantize_elements(from + begin, divisor, zero, to + begin, end - begin); });
    });
  });
}

Tensor all_values(DataType type) {
  Tensor values(type, {256});
  auto* bytes = static_cast<uint8_t*>(values.mutable_raw());
  for (int i = 0; i < 256; ++i) bytes[i] = static_cast<uint8_t>(i);
  return values;
}

void look_up(const Tensor& x, const Tensor& table, Tensor& out) {
  const auto *from = static_cast<const uint8_t*>(x.raw()), *values = static_cast<const uint8_t*>(table.raw());
  auto* to = static_cast<uint8_t*>(out.mutable_raw());
  parallel_for(x.size(), kGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = values[from[i]];
  });
}

}  // namespace plica
