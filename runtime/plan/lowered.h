// The lowered graph: what the runtime plans with. Each node of the graph becomes an operation with concrete
// shapes and normalized parameters; fusion then rewrites operations (fuse.h) until each is one step of the
// plan, or a few.
//
// A lowered operation ends in a chain of pointwise operations on its output (PointOp). An operation of kind
// `pointwise` is nothing but such a chain on its first input. The graph itself is never edited.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/graph/graph.h"
#include "engine/ops/infer.h"
#include "runtime/onednn/recurrent_cell.h"
#include "runtime/plan/region.h"

namespace plica {

// y = f(x), elementwise. `a` and `b` are the parameters named in the comment.
enum class Unary {
  linear,            // a * x + b
  relu,              // max(x, 0)
  leaky_relu,        // x < 0 ? a * x : x
  elu,               // x < 0 ? a * (exp(x) - 1) : x
  celu,              // x < 0 ? a * (exp(x / a) - 1) : x, a > 0
  thresholded_relu,  // x > a ? x : 0
  clip,              // min(max(x, a), b)
  sigmoid,
  tanh,
  hard_sigmoid,  // min(max(a * x + b, 0), 1)
  hard_swish,    // a * x * hard_sigmoid(x, 1/6, 1/2)
  swish,         // x * sigmoid(a * x)
  exp,
  log,
  sqrt,
  abs,
  sign,
  floor,
  ceil,
  round,  // halves to even
  square,
  reciprocal,
  sin,
  cos,
  erf,
  gelu,       // x * (1 + erf(x / sqrt(2))) / 2
  gelu_tanh,  // the same with tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) for erf
  soft_plus,  // log(1 + exp(x))
  soft_sign,  // x / (1 + |x|)
  mish,       // x * tanh(soft_plus(x))
};

enum class Binary {
  add,
  sub,
  mul,
  div,
  min,  // of min and max, NaN wins
  max,
  prelu,  // x < 0 ? x * operand : x
};

// One link of a chain: x := unary(x), or x := binary(x, operand), or with `reversed` binary(operand, x). The
// operand is a value of the lowered graph that broadcasts to the chain's shape.
struct PointOp {
  bool is_unary = true;
  Unary unary = Unary::relu;
  float a = 0, b = 0;
  Binary binary = Binary::add;
  int operand = -1;
  bool reversed = false;

  static PointOp of(Unary f, float a = 0, float b = 0) { return {true, f, a, b}; }
  static PointOp of(Binary f, int operand, bool reversed = false) {
    PointOp p;
    p.is_unary = false;
    p.binary = f;
    p.operand = operand;
    p.reversed = reversed;
    return p;
  }
};
using PointChain = std::vector<PointOp>;

// Of a convolution, deconvolution or pooling, by spatial axis; dilations as in ONNX (1: dense).
struct Window {
  Dims kernel, strides, dilations, pads_begin, pads_end;
};

struct ConvolutionParams {  // inputs: x, weights (O I/g k...; I O/g k... when transposed), [bias of O]
  Window window;
  int64_t groups = 1;
  bool transposed = false;
  // Input 3 is [N, C, 1, 1], and x is multiplied by it first (fuse_scales.cpp); input 2 may be -1 then.
  bool scaled = false;
};
struct PoolingParams {  // inputs: x
  Window window;
  enum class Kind { max, average, average_with_padding } kind = Kind::max;
};
struct MatMulParams {  // inputs: a [..., M, K], b [..., K, N], [bias of N]
  bool transpose_a = false, transpose_b = false;
};
// A batch of products of a [batch..., M, K] and b [batch..., K, N], to y, whose axes lie in other orders:
// axis i of a is axis a_order[i] of input 0, and so for b; axis i of the output is axis y_order[i] of y.
struct BatchProductParams {  // inputs: a, b; links of the chain with operands only where y_order changes
                             // nothing
  std::vector<int> a_order, b_order, y_order;
};
// min(max(x, low), high)
struct Bounds {
  float low = -std::numeric_limits<float>::max(), high = std::numeric_limits<float>::max();
  bool operator==(const Bounds&) const = default;
};
// Sums of products of 8-bit integers, (x - x_zero) by w, exact. Then, by the type of the output:
//   int32:        sum
//   int8, uint8:  saturate(round(bounded((sum + bias) * factor)) + zero), ties to even
//   float32:      sum * factor, or the sum where there is no factor
struct IntegerProductParams {  // inputs: x [..., M, K] or [N, C, ...], w (int8), x_zero or -1, bias or -1
                               // (float32)
  std::optional<ConvolutionParams> convolution;  // none: a matrix product
  std::vector<float> factors;                    // one, or one for each channel or column; or none
  int zero = 0;
  Bounds bounds;
  // Those of the node, if it does nothing else; what is no constant is among the inputs too.
  std::vector<int> node_inputs;
};
// y = saturate(round(bounded(f(a, b)) / scale) + zero) of a = (a_byte - zero) * scale and b likewise; all of
// one type.
struct BytePairParams {  // inputs: a, b, of y's dims
  struct Scale {
    float scale = 1;
    int zero = 0;
    bool operator==(const Scale&) const = default;
  };
  Binary f = Binary::add;  // or mul
  Scale a, b, y;
  Bounds bounds;
};
struct DynamicQuantizeParams {
};  // inputs: x; outputs: y, scale, zero point, as DynamicQuantizeLinear has them
// float(sum) * (b_scale * a_scale) + bias, in this order.
struct ScaleSumsParams {  // inputs: sums (int32) [..., N], a_scale (one), b_scale (one or N), bias (N) or -1;
                          // float32
};
// One element of the output for each of `data`, inputs of its dims, whatever the order; the other inputs are
// constants.
struct ElementwiseParams {  // inputs: the node's
  std::vector<int> data;    // positions among the inputs
};
// RNN, GRU or LSTM with the functions that are their default, or RNN with another; all sequences are as long
// as X.
struct RecurrentParams {  // inputs and outputs: the node's; weights, bias and peepholes are constants
  RecurrentCell cell = RecurrentCell::tanh;
  RecurrentDirection direction = RecurrentDirection::forward;
  bool batch_first = false;  // layout 1
};
struct LrnParams {  // inputs: x [N, C, ...]; across an odd number of channels
  int64_t size = 1;
  float alpha = 0, beta = 0, bias = 0;
};
struct SoftmaxParams {  // inputs: x
  int axis = 0;
  bool log = false;  // LogSoftmax: the logarithm of it, along the last axis only
};
struct LayerNormParams {  // inputs: x, [scale], [shift]; over the last `axes` axes
  int axes = 1;
  float epsilon = 0;
  bool centered = true;  // or RMSNormalization: the mean is not subtracted
};
struct ReduceMeanParams {  // inputs: x; over the last `axes` axes, which stay as 1
  int axes = 1;
};
struct ConcatParams {  // inputs: the parts
  int axis = 0;
};
// Channel c of the output, along axis 1, is one of an input.
struct ChannelGatherParams {  // inputs: of the output's dims but for axis 1
  struct Source {
    int input = 0;
    int64_t channel = 0;
  };
  std::vector<Source> channels;
};
struct TransposeParams {  // inputs: x; output axis i is input axis permutation[i]
  std::vector<int> permutation;
};
struct SliceParams {  // inputs: x; step 1
  Dims starts;
};
struct ResampleParams {};   // inputs: the node's (Resize or Upsample), x [N, C, H, W]; nearest or linear
struct PointwiseParams {};  // inputs: x, then the operands
struct ViewParams {};       // inputs: x; the same row-major elements under other dims
struct EvaluateParams {};   // inputs: the node's; by its kernel in engine/ops, on row-major tensors
// The same, with shapes that only the run knows, or with subgraphs; inputs: the node's, then the captures.
struct DynamicParams {};

using LoweredParams =
    std::variant<PointwiseParams, ConvolutionParams, PoolingParams, MatMulParams, BatchProductParams,
                 IntegerProductParams, BytePairParams, DynamicQuantizeParams, ScaleSumsParams,
                 ElementwiseParams, RecurrentParams, LrnParams, SoftmaxParams, LayerNormParams,
                 ReduceMeanParams, ConcatParams, ChannelGatherParams, TransposeParams, SliceParams,
                 ResampleParams, ViewParams, EvaluateParams, DynamicParams>;

struct LoweredValue {
  const Value* source = nullptr;  // the graph's value, if it has one
  DataType type = DataType::undefined;
  Dims dims;             // meaningless when dynamic
  bool dynamic = false;  // shape (or kind) unknown until the run
  Tensor constant;       // defined: known at compile time
  int graph_input = -1;  // its position among the region's inputs
  bool is_output = false;
};

struct LoweredOp {
  LoweredParams params;
  std::vector<const Node*> nodes;  // those that it computes, in order
  std::vector<int> inputs;         // -1: left out. Operands of the chain are not among them.
  std::vector<int> outputs;        // -1: left out
  PointChain chain;                // applied to output 0, which has the shape of the operation's own result

  template <class T>
  const T* get_if() const {
    return std::get_if<T>(&params);
  }
  template <class T>
  bool is() const {
    return std::holds_alternative<T>(params);
  }
};

struct LoweredGraph {
  std::vector<LoweredValue> values;
  std::vector<LoweredOp> ops;  // in an order in which they can run
  std::vector<int> outputs;    // the region's outputs, by position

  LoweredValue& value(int i) { return values[static_cast<size_t>(i)]; }
  const LoweredValue& value(int i) const { return values[static_cast<size_t>(i)]; }
  int add_constant(Tensor tensor);
  // Without the operations that are marked.
  void remove(const std::vector<bool>& marked);
  // How often each value is read, by operations, chains and as an output.
  std::vector<int> use_counts() const;
  // The operation that computes each value, or -1.
  std::vector<int> producers() const;
};

// Values read by an operation: its inputs and the operands of its chain (left-out ones omitted).
std::vector<int> reads_of(const LoweredOp& op);

// Lowers the nodes that the outputs depend on. `facts` hold the concrete types; values that they know as
// constants need no operation.
LoweredGraph lower(const Region& region, const GraphFacts& facts);

}  // namespace plica
