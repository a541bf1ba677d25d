// LRN, local response normalization across channels: https://onnx.ai/onnx/operators/onnx__LRN.html.
//   y = x / (bias + alpha / size * sum of x^2 over channels [c - floor((size - 1) / 2), c + ceil((size - 1) /
//   2)])^beta
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/normalization.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

void infer_lrn(InferContext& context) {
  const int64_t size = context.attributes().i("size");
  require(size >= 1, ErrorCode::invalid_model, "size is {}", size);
  const auto& x = context.input_shape(0);
  require(!x || x->rank() >= 2, ErrorCode::invalid_model, "the input has rank {}, at least 2 is needed",
          x ? x->rank() : 0);
  context.same_as_input();
}

template <class T>
void normalize(const AttributeReader& attributes, const Tensor& x, Tensor& y) {
  const int64_t channels = x.dim(1), spatial = x.size() / (x.dim(0) * channels);
  const int64_t size = attributes.i("size"), before = (size - 1) / 2, after = size - 1 - before;
  const T alpha = static_cast<T>(attributes.f("alpha") / static_cast<double>(size));
  const T beta = attributes.f("beta"), bias = attributes.f("bias");
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  parallel_for(x.dim(0) * channels, std::max<int64_t>(1, 4096 / spatial), [&](int64_t begin, int64_t end) {
    std::vector<T> sums(static_cast<size_t>(spatial));
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t c = plane % channels, first = plane - c;
      std::ranges::fill(sums, T(0));
      // (c + after may be beyond any number of channels, not c - before.)
      const int64_t last = after >= channels - c ? channels - 1 : c + after;
      for (int64_t k = std::max<int64_t>(c - before, 0); k <= last; ++k) {
        const T* row = from + (first + k) * spatial;
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += row[i] * row[i];
      }
      const T* in = from + plane * spatial;
      T* out = to + plane * spatial;
      for (size_t i = 0; i < sums.size(); ++i) out[i] = in[i] / std::pow(bias + alpha * sums[i], beta);
    }
  });
}

void evaluate_lrn(EvaluateContext& context) {
  if (context.input(0).size() == 0) return;
  compute_widened({&context.input(0)}, context.output(), [&](const auto& in, Tensor& y) {
    dispatch<TypeList<float, double>>(
        y.type(), [&]<class T>(std::type_identity<T>) { normalize<T>(context.attributes(), *in[0], y); });
  });
}

}  // namespace

std::vector<OpDef> lrn_ops() {
  return {{.name = "LRN",
           .input_types = {types::kFloat},
           .attributes = {{"alpha", AttributeType::float_, 1e-4f},
                          {"beta", AttributeType::float_, 0.75f},
                          {"bias", AttributeType::float_, 1.0f},
                          {"size", AttributeType::int_, Required{}}},
           .infer = infer_lrn,
           .evaluate = evaluate_lrn}};
}

}  // namespace plica
