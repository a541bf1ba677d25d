// SwiGLU, Y = A * sigmoid(alpha * A) * B: https://onnx.ai/onnx/operators/onnx__SwiGLU.html
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/attention.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/fast_math.h"
#include "engine/ops/infer.h"
#include "engine/ops/instruction_set.h"

namespace plica {
namespace {

void infer_swiglu(InferContext& context) {
  const DataType type = common_type(context, 0, 2);
  const auto &a = context.input_shape(0), &b = context.input_shape(1);
  if (!a || !b) return context.set_output(0, type, a ? a : b);
  bool same = a->rank() == b->rank();
  Shape out;
  for (int i = 0; same && i < a->rank(); ++i) {
    const Dim &x = (*a)[i], &y = (*b)[i];
    same = !x.is_known() || !y.is_known() || x.value() == y.value();
    out.push_back(x.is_known() || (x.is_symbol() && !y.is_known()) ? x : y);
  }
  require(same, ErrorCode::invalid_model, "A has shape {}, B {}; they must be the same", to_string(*a),
          to_string(*b));
  context.set_output(0, type, std::move(out));
}

void evaluate_swiglu(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Tensor& out = context.output();
  dispatch<FloatTypes>(a.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    const T *x = a.data<T>(), *y = b.data<T>();
    T* z = out.mutable_data<T>();
    const C alpha = static_cast<C>(context.attributes().f("alpha"));
    parallel_for(out.size(), 16384, [=](int64_t begin, int64_t end) {
      for_best_instruction_set([=]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
        for (int64_t i = begin; i < end; ++i) {
          const C gate = static_cast<C>(x[i]);
          z[i] = static_cast<T>(gate * fast_sigmoid(alpha * gate) * static_cast<C>(y[i]));
        }
      });
    });
  });
}

}  // namespace

void add_swiglu_ops(std::vector<OpDef>& ops) {
  ops.push_back({.name = "SwiGLU",
                 .since = 28,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kFloat},
                 .attributes = {{"alpha", AttributeType::float_, 1.0f}},
                 .infer = infer_swiglu,
                 .evaluate = evaluate_swiglu});
}

}  // namespace plica
