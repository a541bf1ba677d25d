// The layer over oneDNN: the only place that knows which major version is there. Memory descriptors, and a
// factory for each kind of primitive that takes the same arguments whatever the version.
//
// Every primitive is made with a user-managed scratchpad: only then may threads run one primitive at the same
// time. Factories return nullopt when oneDNN has no implementation, and throw Error(internal) for anything
// else. Thread safety: all functions may be called from any thread.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/data_type.h"
#include "engine/core/shape.h"
#include "runtime/onednn/recurrent_cell.h"

namespace plica::onednn {

using Desc = dnnl::memory::desc;

dnnl::engine& cpu_engine();

// Products of uint8 or int8 by int8 are summed in 32 bits, exactly. Older CPUs add pairs of them in
// saturating 16 bits first, or have their weights halved against that: there the results depend on the CPU.
bool has_exact_int8();

// ---- descriptors of memory: float32, int32, int8, uint8

// Row-major. Rank 0 is described as one element.
Desc row_major(const Dims& dims, DataType type = DataType::float32);
Desc strided(const Dims& dims, const Dims& strides, DataType type = DataType::float32);
// The layout is for oneDNN to choose.
Desc any_layout(const Dims& dims, DataType type = DataType::float32);

// The layouts of activations [N, C, spatial...].
enum class Layout { row_major, channels_last, blocked8, blocked16 };
Desc desc_of(const Dims& dims, Layout layout, DataType type = DataType::float32);

// Which of these it is; row_major for anything else.
Layout layout_of(const Desc& desc);

Dims dims_of(const Desc& desc);
size_t bytes_of(const Desc& desc);
bool is_row_major(const Desc& desc);
// Types, dims, strides and blocks: equal texts, equal layouts. Empty for formats that are no strides and
// blocks, or have more than the elements.
std::string text_of(const Desc& desc);
// The same elements at the same offsets: strides of axes of size 1 don't matter, nor does blocking that does
// nothing.
bool same_placement(const Desc& a, const Desc& b);

// One axis of memory: `extent` steps of `stride` elements, each `step` along the tensor's axis `axis`.
struct Axis {
  int axis = 0;
  int64_t extent = 0, stride = 0, step = 1;
};
// The axes in order of memory, outermost first, an outer and an inner one for a blocked axis, with padding;
// those of extent 1 too. Nullopt for formats that are no strides and blocks.
std::optional<std::vector<Axis>> axes_of_memory(const Desc& desc);
bool has_padding(const Desc& desc);
// The block of the channel axis; 1 when it has none. 0 for anything else that is blocked.
int64_t channel_block(const Desc& desc);
// "nchw", "nhwc", "nChw16c", "ab", "bac", ...
std::string layout_name(const Desc& desc);

// ---- primitives

struct Primitive {
  dnnl::primitive primitive;
  std::string implementation;  // oneDNN's name for it
  Desc source, weights, destination;
  size_t scratch_bytes = 0;
};

// What happens to a result before it is stored, in order.
class PostOps {
 public:
  // Of an integer product: (sum + bias) * factor, for each position of axis `axis` of `rank`, or one for all.
  // Before anything else. When the primitive does not keep the factors, the number of the argument that must
  // be them.
  std::optional<int> scale(const std::vector<float>& factors, int axis, int rank);
  // The source's zero point, an int32, is the argument of this number. Padding is that zero.
  int subtract_source_zero_point();
  void eltwise(dnnl::algorithm algorithm, float alpha, float beta);
  void sum();  // adds what the destination held
  void binary(dnnl::algorithm algorithm, const Desc& operand);
  int size() const { return ops_.len(); }
  dnnl::primitive_attr attributes() const;

 private:
  dnnl::post_ops ops_;
  std::vector<float> factors_;
  int factors_mask_ = 0;
  bool source_zero_point_ = false;
};
// The argument number of the operand of post-op `index`.
int post_op_argument(int index);

struct ConvolutionShape {
  Desc source, weights, destination;  // layouts given or `any`
  bool has_bias = false;
  Dims strides, dilations;  // dilation 1: dense
  Dims pads_begin, pads_end;
};
// All implementations that fit, in oneDNN's order, up to the first that `accept` likes.
std::optional<Primitive> convolution(const ConvolutionShape& shape, const PostOps& post_ops,
                                     const std::function<bool(const std::string& implementation)>& accept);
std::optional<Primitive> deconvolution(const ConvolutionShape& shape, const PostOps& post_ops);
// source [M, K] * weights [K, N], or with equal batch axes before these.
std::optional<Primitive> matmul(const Desc& source, const Desc& weights, bool has_bias,
                                const Desc& destination, const PostOps& post_ops);
// source [M, K], weights [N, K].
std::optional<Primitive> inner_product(const Desc& source, const Desc& weights, bool has_bias,
                                       const Desc& destination, const PostOps& post_ops);
struct PoolingShape {
  Desc source, destination;
  dnnl::algorithm algorithm = dnnl::algorithm::pooling_max;
  Dims kernel, strides, dilations, pads_begin, pads_end;
};
std::optional<Primitive> pooling(const PoolingShape& shape);
std::optional<Primitive> softmax(const Desc& desc, int axis);
// y = x / (bias + alpha / size * sum of squares of `size` channels around x's)^beta; size is odd.
std::optional<Primitive> lrn(const Desc& desc, int64_t size, float alpha, float beta, float bias);
std::optional<Primitive> eltwise(const Desc& desc, dnnl::algorithm algorithm, float alpha, float beta);
std::optional<Primitive> reorder(const Desc& from, const Desc& to);
std::optional<Primitive> concat(const std::vector<Desc>& parts, int axis, const Desc& destination);

// One layer of L = 1, over T steps of N sequences, in D directions; G gates: of an LSTM in the order input,
// forget, candidate, output, of a GRU update, reset, candidate. Of a cell without gates G is 1.
struct RecurrentShape {
  RecurrentCell cell = RecurrentCell::tanh;
  RecurrentDirection direction = RecurrentDirection::forward;
  Desc source;                           // [T, N, input]
  Desc source_state, destination_state;  // [L, D, N, hidden], of an LSTM's cell too; undefined: none
  Desc weights_layer, weights_state;     // [L, D, input or hidden, G, hidden], layouts given or `any`
  Desc peepholes;                        // [L, D, 3, hidden]: input, forget, output; undefined: none
  Desc bias;         // [L, D, G, hidden], which oneDNN 2.6 insists on; gru_linear_before_reset has the hidden candidate's as a fourth
  Desc destination;  // [T, N, D * hidden]
};
struct RecurrentPrimitive {
  Primitive primitive;
  Desc weights_layer, weights_state;
};
std::optional<RecurrentPrimitive> recurrent(const RecurrentShape& shape);

}  // namespace plica::onednn
