// What the lowering of a node works with, and the lowerings by family (lower_<family>.cpp). Each turns `op`
// into the lowered operation that computes the same, or leaves it as it is.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>

#include "engine/ops/attribute_reader.h"
#include "runtime/plan/lowered.h"

namespace plica {

struct Lowerer {
  LoweredGraph& graph;
  const Node& node;
  LoweredOp& op;
  AttributeReader attributes;

  bool has_input(size_t i) const { return i < op.inputs.size() && op.inputs[i] >= 0; }
  bool has_output(size_t i) const { return i < op.outputs.size() && op.outputs[i] >= 0; }
  const LoweredValue& in(size_t i) const { return graph.value(op.inputs[i]); }
  const LoweredValue& out(size_t i = 0) const { return graph.value(op.outputs[i]); }
  const Tensor* constant(size_t i) const {
    return has_input(i) && in(i).constant.defined() ? &in(i).constant : nullptr;
  }
  // Some output or one of the first `count` inputs has no elements.
  bool empty(size_t count) const {
    auto zero = [&](int v) {
      return v >= 0 && std::ranges::find(graph.value(v).dims, 0) != graph.value(v).dims.end();
    };
    return std::ranges::any_of(std::span(op.inputs).first(count), zero) ||
           std::ranges::any_of(op.outputs, zero);
  }
  // All inputs and outputs are float32.
  bool all_float() const {
    auto is_float = [&](int v) { return v < 0 || graph.value(v).type == DataType::float32; };
    return std::ranges::all_of(op.inputs, is_float) && std::ranges::all_of(op.outputs, is_float);
  }
  std::optional<float> scalar(size_t i) const {
    const Tensor* t = constant(i);
    if (!t || t->type() != DataType::float32 || t->size() != 1) return std::nullopt;
    return t->data<float>()[0];
  }

  int new_value(Dims dims) {
    LoweredValue v;
    v.type = DataType::float32;
    v.dims = std::move(dims);
    graph.values.push_back(std::move(v));
    return static_cast<int>(graph.values.size()) - 1;
  }
  // Adds an operation before this one; returns its result.
  int before(LoweredParams params, std::vector<int> inputs, Dims dims) {
    LoweredOp first;
    first.params = std::move(params);
    first.nodes = op.nodes;
    first.inputs = std::move(inputs);
    first.outputs = {new_value(std::move(dims))};
    graph.ops.push_back(std::move(first));
    return graph.ops.back().outputs[0];
  }
  void become(LoweredParams params, std::vector<int> inputs, PointChain chain = {}) {
    op.params = std::move(params);
    op.inputs = std::move(inputs);
    op.chain = std::move(chain);
  }
};

// ---- lower_pointwise.cpp
void lower_unary(Lowerer& l, Unary f, float a = 0, float b = 0);
void lower_clip(Lowerer& l);
void lower_binary(Lowerer& l, Binary f);
void lower_pow(Lowerer& l);
void lower_batch_norm(Lowerer& l);
void lower_prelu(Lowerer& l);
void lower_variadic(Lowerer& l, Binary f);
void lower_selu(Lowerer& l);
void lower_celu(Lowerer& l);
void lower_gelu(Lowerer& l);

// ---- lower_window.cpp
void lower_conv(Lowerer& l, bool transposed);
void lower_pool(Lowerer& l, bool max);
void lower_global_pool(Lowerer& l, PoolingParams::Kind kind);
void lower_reduce_mean(Lowerer& l);
void lower_lrn(Lowerer& l);
void lower_resize(Lowerer& l);

// ---- lower_matrix.cpp
void lower_matmul(Lowerer& l);
void lower_gemm(Lowerer& l);
void lower_softmax(Lowerer& l);
void lower_layer_norm(Lowerer& l);

// ---- lower_recurrent.cpp
void lower_recurrent(Lowerer& l);

// ---- lower_quantized.cpp
// Operators on 8-bit integers; false when the node is none that has a lowering.
bool lower_quantized(Lowerer& l);
bool is_integer_product(std::string_view domain, std::string_view op_type);

// ---- lower_layout.cpp
void lower_view(Lowerer& l);
void lower_dropout(Lowerer& l);
void lower_concat(Lowerer& l);
void lower_transpose(Lowerer& l);
void lower_slice(Lowerer& l);
void lower_split(Lowerer& l);

}  // namespace plica
