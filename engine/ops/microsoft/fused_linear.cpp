// Conv, MatMul and Gemm with what ONNX Runtime fuses into them:
//   FusedConv:    activation(Conv(X, W, B) + Z)
//   FusedMatMul:  alpha * MatMul(A', B')
//   FusedGemm:    activation(Gemm(A, B, C))
#include <algorithm>
#include <numeric>

#include "engine/ops/broadcast.h"
#include "engine/ops/delegate.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/microsoft/fused_activation.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/strided_copy.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

// ---- FusedConv

const OpDef& conv() { return base_op("Conv", 11); }

FusedActivation conv_activation(const AttributeReader& attributes) {
  return {attributes.s("activation"),
          attributes.maybe_floats("activation_params").value_or(std::vector<float>())};
}

void infer_fused_conv(InferContext& context) {
  conv_activation(context.attributes()).validate();
  std::optional<Shape> out = infer_shape_by(conv(), context, {0, 1, 2});
  if (context.has_input(3)) {
    const auto& z = context.input_shape(3);
    require(!z || !out || z->rank() == out->rank(), ErrorCode::invalid_model, "Z has shape {}, the result {}",
            z ? to_string(*z) : "", out ? to_string(*out) : "");
    for (int i = 0; z && out && i < out->rank(); ++i) (*out)[i] = merge((*out)[i], (*z)[i]);
  }
  context.set_output(0, common_type(context, 0, 4), std::move(out));
}

void evaluate_fused_conv(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  compute_widened({&context.input(0), &context.input(1), context.maybe_input(2), context.maybe_input(3)},
                  context.output(), [&](const auto& in, Tensor& y) {
                    evaluate_by(conv(), context, {in[0], in[1], in[2]}, y);
                    if (in[3]) {
                      dispatch<TypeList<float, double>>(y.type(), [&]<class T>(std::type_identity<T>) {
                        T* to = y.mutable_data<T>();
                        apply_broadcast(to, y.dims(), in[3]->template data<T>(), y.dims(), to, y.dims(),
                                        [](T a, T b) { return a + b; });
                      });
                    }
                    conv_activation(context.attributes()).apply(y);
                  });
}

// ---- FusedMatMul: an operand's batch axes come first after transBatch ([M, batch..., K] is a stack of M x K
// matrices), and its last two are exchanged by trans. Vectors stay as they are.

const OpDef& matmul() { return base_op("MatMul", 13); }

std::vector<size_t> operand_permutation(const AttributeReader& attributes, char operand, size_t rank) {
  std::vector<size_t> axes(rank);
  std::iota(axes.begin(), axes.end(), size_t{0});
  if (rank < 2) return axes;
  const std::string batch = std::string("transBatch") + operand;
  if (attributes.defines(batch) && attributes.i(batch) != 0)
    std::rotate(axes.begin(), axes.begin() + 1, axes.end() - 1);
  if (attributes.i(std::string("trans") + operand) != 0) std::swap(axes[rank - 2], axes[rank - 1]);
  return axes;
}

std::optional<Shape> permuted(const std::optional<Shape>& shape, const AttributeReader& attributes,
                              char operand) {
  if (!shape) return std::nullopt;
  Shape out;
  for (size_t axis : operand_permutation(attributes, operand, shape->dims().size()))
    out.push_back(shape->dims()[axis]);
  return out;
}

Tensor permuted(const Tensor& x, const AttributeReader& attributes, char operand) {
  const std::vector<size_t> axes = operand_permutation(attributes, operand, x.dims().size());
  if (std::ranges::is_sorted(axes)) return x;
  const Dims from = row_major_strides(x.dims());
  Dims dims, strides;
  for (size_t axis : axes) {
    dims.push_back(x.dims()[axis]);
    strides.push_back(from[axis]);
  }
  Tensor out(x.type(), dims);
  copy_strided(x.type(), dims, x.raw(), strides, out.mutable_raw(), row_major_strides(dims));
  return out;
}

void infer_fused_matmul(InferContext& context) {
  const Facts operands[] = {shape_facts(permuted(context.input_shape(0), context.attributes(), 'A')),
                            shape_facts(permuted(context.input_shape(1), context.attributes(), 'B'))};
  context.set_output(0, common_type(context, 0, 2), infer_shape_by(matmul(), context, operands));
}

void evaluate_fused_matmul(EvaluateContext& context) {
  const float alpha = context.attributes().f("alpha");
  compute_widened({&context.input(0), &context.input(1)}, context.output(), [&](const auto& in, Tensor& y) {
    const Tensor a = permuted(*in[0], context.attributes(), 'A'),
                 b = permuted(*in[1], context.attributes(), 'B');
    evaluate_by(matmul(), context, {&a, &b}, y);
    if (alpha == 1) return;
    map_elements<TypeList<float, double>>(y, y, [alpha]<class T>(T x) { return static_cast<T>(alpha) * x; });
  });
}

// ---- FusedGemm

const OpDef& gemm() { return base_op("Gemm", 13); }

FusedActivation gemm_activation(const AttributeReader& attributes) {
  FusedActivation activation{attributes.s("activation"), {}};
  for (const char* name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    // (An operator has alpha and beta, or alpha and gamma.)
    if (const auto value = attributes.maybe_f(name)) activation.parameters.push_back(*value);
  }
  return activation;
}

void infer_fused_gemm(InferContext& context) {
  gemm_activation(context.attributes()).validate();
  context.set_output(0, common_type(context, 0, 3), infer_shape_by(gemm(), context, {0, 1, 2}));
}

void evaluate_fused_gemm(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  compute_widened({&context.input(0), &context.input(1), context.maybe_input(2)}, context.output(),
                  [&](const auto& in, Tensor& y) {
                    evaluate_by(gemm(), context, in, y);
                    gemm_activation(context.attributes()).apply(y);
                  });
}

}  // namespace

std::vector<OpDef> fused_linear_ops() {
  const AttributeDef activation{"activation", AttributeType::string, std::string_view("")},
      trans_a{"transA", AttributeType::int_, int64_t{0}}, trans_b{"transB", AttributeType::int_, int64_t{0}},
      alpha{"alpha", AttributeType::float_, 1.0f};
  std::vector<OpDef> ops;
  ops.push_back({.name = "FusedConv",
                 .domain = kMicrosoft,
                 .min_inputs = 2,
                 .max_inputs = 4,
                 .input_types = {types::kFloat},
                 .attributes = {activation,
                                {"activation_params", AttributeType::floats, Optional{}},
                                {"auto_pad", AttributeType::string, std::string_view("NOTSET")},
                                {"dilations", AttributeType::ints, Optional{}},
                                {"group", AttributeType::int_, int64_t{1}},
                                {"kernel_shape", AttributeType::ints, Optional{}},
                                {"pads", AttributeType::ints, Optional{}},
                                {"strides", AttributeType::ints, Optional{}}},
                 .infer = infer_fused_conv,
                 .evaluate = evaluate_fused_conv});
  OpDef product{.name = "FusedMatMul",
                .domain = kMicrosoft,
                .min_inputs = 2,
                .max_inputs = 2,
                .input_types = {types::kFloat},
                .attributes = {alpha, trans_a, trans_b},
                .infer = infer_fused_matmul,
                .evaluate = evaluate_fused_matmul};
  ops.push_back(product);
  ops.back().name = "TransposeMatMul";  // the older name
  product.attributes.push_back({"transBatchA", AttributeType::int_, int64_t{0}});
  product.attributes.push_back({"transBatchB", AttributeType::int_, int64_t{0}});
  ops.push_back(std::move(product));
  ops.push_back({.name = "FusedGemm",
                 .domain = kMicrosoft,
                 .min_inputs = 2,
                 .max_inputs = 3,
                 .input_types = {types::kFloat},
                 .attributes = {activation,
                                {"activation_alpha", AttributeType::float_, Optional{}},
                                {"activation_beta", AttributeType::float_, Optional{}},
                                {"activation_gamma", AttributeType::float_, Optional{}},
                                alpha,
                                {"beta", AttributeType::float_, 1.0f},
                                trans_a,
                                trans_b},
                 .infer = infer_fused_gemm,
                 .evaluate = evaluate_fused_gemm});
  return ops;
}

}  // namespace plica
