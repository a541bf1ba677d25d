// The table of all operators that Plica knows.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

class Node;

// The definition of an operator at an opset version of its domain; null when Plica has none.
const OpDef* find_op(std::string_view domain, std::string_view op_type, int64_t opset);
const OpDef* find_op(const Node& node);  // of the model's own operators too
// The same, for nodes; throws unsupported ("operator X of opset N is not supported").
const OpDef& op_of(const Node& node);

// All definitions, by domain, name, version.
std::vector<const OpDef*> all_ops();

// "float, int32": groups by the names that docs/operators.md explains, else element types.
std::string to_string(TypeSet types);

// Of the families, each in a file of its own name; table.cpp lists them.
std::span<const OpDef> elementwise_ops();   // unary and binary arithmetic, comparison, logic, Where, Clip, Cast
std::span<const OpDef> activation_ops();    // Relu ... HardSwish, Softmax family
std::span<const OpDef> reduction_ops();     // ReduceX, ArgMax, ArgMin
std::span<const OpDef> linear_ops();        // Conv, ConvTranspose, Gemm, MatMul
std::span<const OpDef> normalization_ops(); // BatchNormalization, InstanceNormalization, LayerNormalization, LRN
std::span<const OpDef> pooling_ops();       // MaxPool, AveragePool, Global*
std::span<const OpDef> layout_ops();        // Reshape, Transpose, Flatten, Squeeze, Concat, Split, Slice, Pad, ...
std::span<const OpDef> indexing_ops();      // Gather, ...
std::span<const OpDef> resize_ops();        // Resize, Upsample
std::span<const OpDef> constant_ops();      // Constant, ConstantOfShape, Shape, Size, Range, Identity, Dropout
std::span<const OpDef> quantization_ops();  // QuantizeLinear, DequantizeLinear
std::span<const OpDef> recurrent_ops();  // RNN, GRU, LSTM
std::span<const OpDef> attention_ops();  // Attention, RotaryEmbedding, LinearAttention, ...
std::span<const OpDef> loss_ops();  // NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss
std::span<const OpDef> einsum_ops();  // Einsum
std::span<const OpDef> spatial_ops();  // GridSample, RoiAlign, DeformConv, NonMaxSuppression, ...
std::span<const OpDef> signal_ops();  // DFT, STFT, windows
std::span<const OpDef> random_ops();  // RandomNormal, RandomUniform, Bernoulli, Multinomial
std::span<const OpDef> image_ops();  // ImageDecoder
std::span<const OpDef> integer_ops();  // ConvInteger, MatMulInteger, QLinearConv, QLinearMatMul, DynamicQuantizeLinear
std::span<const OpDef> microsoft_ops();  // com.microsoft
std::span<const OpDef> ml_ops();  // ai.onnx.ml
std::span<const OpDef> text_ops();  // StringConcat, StringNormalizer, StringSplit, RegexFullMatch, TfIdfVectorizer
std::span<const OpDef> training_ops();  // ai.onnx.preview.training
std::span<const OpDef> sequence_ops();  // Sequence..., Optional...
std::span<const OpDef> control_ops();  // If, Loop, Scan

}  // namespace plica
