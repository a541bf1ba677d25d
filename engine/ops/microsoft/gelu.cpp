// Gelu and its relatives:
//   Gelu, BiasGelu:  g(x + bias), g(x) = x / 2 * (1 + erf(x / sqrt(2)))
//   FastGelu:        the same by tanh
//   QuickGelu:       x * sigmoid(alpha * x)
//   BiasSplitGelu:   left * g(right), the halves of x + bias along the last axis
//   BiasAdd:         x + bias + skip
#include <algorithm>

#include "engine/ops/activation_functions.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

using WideTypes = TypeList<float, double>;

void evaluate_quick_gelu(EvaluateContext& context) {
  const float alpha = context.attributes().f("alpha");
  map_elements<FloatTypes>(context.input(0), context.output(),
                           [alpha]<class T>(T x) { return kSwish(x, static_cast<T>(alpha)); });
}

// A bias is a vector along the last axis.
void require_bias(const InferContext& context) {
  if (!context.has_input(1) || !context.input_shape(1)) return;
  const Shape& bias = *context.input_shape(1);
  const auto& x = context.input_shape(0);
  const Dim last = x && x->rank() > 0 ? (*x)[x->rank() - 1] : Dim();
  require(bias.rank() == 1 && (!x || x->rank() > 0) &&
              (!bias[0].is_known() || !last.is_known() || bias[0].value() == last.value()),
          ErrorCode::invalid_model, "the bias has shape {}, the input {}", to_string(bias),
          x ? to_string(*x) : "");
}

void infer_with_bias(InferContext& context) {
  require_bias(context);
  common_type(context, 0, 2);
  context.same_as_input();
}

// op(x + bias)
template <auto kOp>
void evaluate_with_bias(EvaluateContext& context) {
  if (!context.has_input(1)) return map_elements<FloatTypes>(context.input(0), context.output(), kOp);
  compute_widened({&context.input(0), &context.input(1)}, context.output(), [](const auto& in, Tensor& y) {
    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
      apply_broadcast(in[0]->template data<T>(), y.dims(), in[1]->template data<T>(), in[1]->dims(),
                      y.mutable_data<T>(), y.dims(), [](T x, T bias) { return kOp(x + bias); });
    });
  });
}

void infer_bias_split_gelu(InferContext& context) {
  require_bias(context);
  std::optional<Shape> out = context.input_shape(0);
  if (out) {
    require(out->rank() >= 1, ErrorCode::invalid_model, "the input is a scalar");
    Dim& last = (*out)[out->rank() - 1];
    require(!last.is_known() || last.value() % 2 == 0, ErrorCode::invalid_model,
            "the last axis has {} elements, which make no halves", to_string(last));
    last = last.is_known() ? Dim(last.value() / 2) : Dim();
  }
  context.set_output(0, common_type(context, 0, 2), std::move(out));
}

void evaluate_bias_split_gelu(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  compute_widened({&context.input(0), &context.input(1)}, context.output(), [](const auto& in, Tensor& y) {
    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
      const int64_t half = y.dim(-1);
      const T *x = in[0]->template data<T>(), *bias = in[1]->template data<T>();
      T* out = y.mutable_data<T>();
      parallel_for(y.size() / half, std::max<int64_t>(1, 16384 / half), [=](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const T* left = x + 2 * row * half;
          for (int64_t i = 0; i < half; ++i)
            out[row * half + i] = (left[i] + bias[i]) * kGelu(left[half + i] + bias[half + i]);
        }
      });
    });
  });
}

void infer_bias_add(InferContext& context) {
  require_bias(context);
  const auto &x = context.input_shape(0), &skip = context.input_shape(2);
  const auto a = x ? x->known() : std::nullopt, b = skip ? skip->known() : std::nullopt;
  require(!a || !b || a == b, ErrorCode::invalid_model, "skip has shape {}, the input {}",
          b ? to_string(*b) : "", a ? to_string(*a) : "");
  context.set_output(0, common_type(context, 0, 3), x);
}

void evaluate_bias_add(EvaluateContext& context) {
  compute_widened({&context.input(0), &context.input(1), &context.input(2)}, context.output(),
                  [](const auto& in, Tensor& y) {
                    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
                      T* out = y.mutable_data<T>();
                      const auto add = [](T a, T b) { return a + b; };
                      apply_broadcast(in[0]->template data<T>(), y.dims(), in[1]->template data<T>(),
                                      in[1]->dims(), out, y.dims(), add);
                      apply_broadcast(out, y.dims(), in[2]->template data<T>(), y.dims(), out, y.dims(), add);
                    });
                  });
}

}  // namespace

std::vector<OpDef> gelu_ops() {
  std::vector<OpDef> ops;
  const auto add = [&](std::string_view name, int min_inputs, int max_inputs, void (*infer)(InferContext&),
                       void (*evaluate)(EvaluateContext&)) {
    ops.push_back({.name = name,
                   .domain = kMicrosoft,
                   .min_inputs = min_inputs,
                   .max_inputs = max_inputs,
                   .input_types = {types::kFloat},
                   .infer = infer,
                   .evaluate = evaluate});
  };
  add("Gelu", 1, 1, infer_same, evaluate_map<kGelu>);
  add("BiasGelu", 2, 2, infer_with_bias, evaluate_with_bias<kGelu>);
  add("FastGelu", 1, 2, infer_with_bias, evaluate_with_bias<kGeluTanh>);
  add("QuickGelu", 1, 1, infer_same, evaluate_quick_gelu);
  ops.back().attributes = {{"alpha", AttributeType::float_, 1.702f}};
  add("BiasSplitGelu", 2, 2, infer_bias_split_gelu, evaluate_bias_split_gelu);
  add("BiasAdd", 3, 3, infer_bias_add, evaluate_bias_add);
  return ops;
}

}  // namespace plica
