// Models in the "QDQ" form have float operators between DequantizeLinear and QuantizeLinear. Here those
// operators that nothing else reads compute on the integers:
//
// Conv, Gemm, MatMul: integer products. The sum of (x - x_zero) * x_scale * (w - w_zero) * w_scale is their
// sum as integers, exact, times x_scale * w_scale: three roundings instead of one for every term, so nearer
// to the real number than the float sum. Both end in the same integer but where that number is within the
// float sum's error of the middle between two: there in neighbours.
//
// MaxPool: of the bytes, when both ends have one scale. Quantizing what was dequantized gives the same byte
// (k * s / s is k within 2^-22 for |k| < 2^9), and dequantizing keeps the order.
//
// Add, Mul: the same arithmetic in one pass (BytePairParams).
//
// Integer products whose sums a Cast makes float32 give float32 at once.
#include <algorithm>
#include <cmath>

#include "engine/core/checked.h"
#include "engine/ops/attribute_reader.h"
#include "runtime/onednn/onednn.h"
#include "runtime/plan/bytes.h"
#include "runtime/plan/fuse.h"

namespace plica {
namespace {

using Scale = BytePairParams::Scale;

constexpr size_t kMostAxes = 6;  // that oneDNN need describe

// Weights in 8 bits without a zero point, and their scales, one or one a channel.
struct Weights {
  Tensor values;  // int8
  std::vector<float> scales;
};

class QuantizedFuser {
 public:
  explicit QuantizedFuser(LoweredGraph& graph)
      : g_(graph),
        removed_(graph.ops.size(), false),
        uses_(graph.use_counts()),
        producer_(graph.producers()) {}

  void run() {
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      join_cast(g_.ops[i]);
      if (const auto y = scale_of(g_.ops[i], "QuantizeLinear")) join(g_.ops[i], *y);
    }
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      const LoweredOp& op = g_.ops[i];
      if (scale_of(op, "DequantizeLinear") && uses_[static_cast<size_t>(op.outputs[0])] == 0)
        removed_[i] = true;
    }
    g_.remove(removed_);
  }

 private:
  int producer_of(int v) const { return v < 0 ? -1 : producer_[static_cast<size_t>(v)]; }

  // Of an operation that is this operator alone, between float32 and bytes, with one scale.
  std::optional<Scale> scale_of(const LoweredOp& op, std::string_view op_type) const {
    if ((!op.is<ElementwiseParams>() && !op.is<EvaluateParams>()) || op.nodes.size() != 1)
      return std::nullopt;
    const Node& node = *op.nodes[0];
    if (node.op_type() != op_type || !node.domain().empty() || op.inputs.size() < 2) return std::nullopt;
    const bool quantizes = op_type == "QuantizeLinear";
    const AttributeReader attributes(node);
    if (quantizes && attributes.defines("precision") && attributes.has("precision")) return std::nullopt;
    const LoweredValue &x = g_.value(op.inputs[0]), &y = g_.value(op.outputs[0]), &s = g_.value(op.inputs[1]);
    const DataType wide = quantizes ? x.type : y.type, narrow = quantizes ? y.type : x.type;
    if (wide != DataType::float32 || !is_byte(narrow) || x.constant.defined()) return std::nullopt;
    if (!s.constant.defined() || s.type != DataType::float32 || s.constant.size() != 1) return std::nullopt;
    Scale scale{s.constant.data<float>()[0], 0};
    if (!std::isnormal(scale.scale) || scale.scale < 0) return std::nullopt;
    if (op.inputs.size() > 2 && op.inputs[2] >= 0) {
      const LoweredValue& z = g_.value(op.inputs[2]);
      if (!z.constant.defined() || z.constant.size() != 1 || !is_byte(z.type)) return std::nullopt;
      scale.zero = byte_at(z.constant, 0);
    }
    return scale;
  }

  // The DequantizeLinear that computes v: its scale, and the bytes.
  struct Bytes {
    int value;
    Scale scale;
  };
  std::optional<Bytes> bytes_of(int v) const {
    const int p = producer_of(v);
    if (p < 0) return std::nullopt;
    const LoweredOp& op = g_.ops[static_cast<size_t>(p)];
    const auto scale = scale_of(op, "DequantizeLinear");
    return scale ? std::optional(Bytes{op.inputs[0], *scale}) : std::nullopt;
  }

  // What the links of a chain from `first` on amount to, if they only bound the value.
  static std::optional<Bounds> bounds_of(const PointChain& chain, size_t first) {
    Bounds bounds;
    if (chain.size() > first + 1) return std::nullopt;
    if (chain.size() == first) return bounds;
    const PointOp& p = chain[first];
    if (!p.is_unary || (p.unary != Unary::relu && p.unary != Unary::clip)) return std::nullopt;
    bounds.low = std::max(bounds.low, p.unary == Unary::relu ? 0 : p.a);
    if (p.unary == Unary::clip) bounds.high = std::min(bounds.high, p.b);
    return bounds;
  }

  // Constant float weights that the graph computes from bytes; their channels along `axis`.
  std::optional<Weights> weights_of(int v, int axis) const {
    const LoweredValue& value = g_.value(v);
    const Node* node = value.constant.defined() && value.source ? value.source->producer() : nullptr;
    if (!node || node->op_type() != "DequantizeLinear" || !node->domain().empty()) return std::nullopt;
    const auto constant = [&](int i) { return node->has_input(i) ? node->input(i)->constant() : nullptr; };
    const Tensor *w = constant(0), *scale = constant(1), *zero = constant(2);
    if (!w || w->type() != DataType::int8 || !scale || scale->type() != DataType::float32)
      return std::nullopt;
    for (int64_t i = 0; zero && i < zero->size(); ++i) {
      if (!is_byte(zero->type()) || byte_at(*zero, i) != 0) return std::nullopt;
    }
    if (node->has_input(2) && !zero) return std::nullopt;
    if (scale->size() != 1) {
      const AttributeReader attributes(*node);
      if (!attributes.defines("axis") || scale->rank() != 1) return std::nullopt;
      int64_t own = attributes.i("axis");
      if (own < 0) own += w->rank();
      if (own != axis || scale->size() != w->dim(axis)) return std::nullopt;
    }
    return Weights{*w, {scale->values<float>().begin(), scale->values<float>().end()}};
  }

  // A constant of one element for each channel, in units of the products.
  std::optional<int> bias_of(int v, int64_t channels, const std::vector<float>& units) {
    const Tensor& t = g_.value(v).constant;
    if (!t.defined() || t.size() != channels || t.dims().back() != channels) return std::nullopt;
    Tensor out(DataType::float32, {channels});
    for (int64_t c = 0; c < channels; ++c) {
      const float b = t.data<float>()[c] / units[units.size() == 1 ? 0 : static_cast<size_t>(c)];
      if (!std::isfinite(b)) return std::nullopt;
      out.mutable_data<float>()[c] = b;
    }
    return g_.add_constant(std::move(out));
  }

  void join(LoweredOp& quantize, const Scale& y) {
    const int v = quantize.inputs[0], p = producer_of(v);
    if (p < 0 || uses_[static_cast<size_t>(v)] != 1) return;
    const LoweredOp& before = g_.ops[static_cast<size_t>(p)];
    const std::vector<int> read = reads_of(before);
    const bool joined = before.is<ConvolutionParams>() ? join_convolution(quantize, before, y)
                        : before.is<MatMulParams>()    ? join_matmul(quantize, before, y)
                        : before.is<PoolingParams>()   ? join_pool(quantize, before, y)
                        : before.is<PointwiseParams>() ? join_pair(quantize, before, y)
                                                       : false;
    if (!joined) return;
    quantize.nodes.insert(quantize.nodes.begin(), before.nodes.begin(), before.nodes.end());
    removed_[static_cast<size_t>(p)] = true;
    for (int r : read) --uses_[static_cast<size_t>(r)];
  }

  // Sums that a Cast makes float32 (lower_quantized.cpp counts on it) are stored so.
  void join_cast(LoweredOp& cast) {
    if (!cast.is<EvaluateParams>() || cast.nodes.size() != 1 || cast.nodes[0]->op_type() != "Cast" ||
        g_.value(cast.outputs[0]).type != DataType::float32) {
      return;
    }
    const int v = cast.inputs[0], p = producer_of(v);
    if (p < 0 || uses_[static_cast<size_t>(v)] != 1 || g_.value(v).type != DataType::int32) return;
    const LoweredOp& product = g_.ops[static_cast<size_t>(p)];
    if (!product.is<IntegerProductParams>()) return;
    cast.params = product.params;
    std::get<IntegerProductParams>(cast.params).node_inputs.clear();
    cast.inputs = product.inputs;
    cast.nodes.insert(cast.nodes.begin(), product.nodes.begin(), product.nodes.end());
    removed_[static_cast<size_t>(p)] = true;
  }

  // The common part of products; `bias`: a value or -1.
  bool become_product(LoweredOp& quantize, const Bytes& x, Weights w, int bias, int64_t channels,
                      const Bounds& bounds, const Scale& y, std::optional<ConvolutionParams> convolution) {
    if (!onednn::has_exact_int8()) return false;
    IntegerProductParams p;
    std::vector<float> units;
    for (float s : w.scales) {
      units.push_back(x.scale.scale * s);
      p.factors.push_back(x.scale.scale * s / y.scale);
      if (!std::isnormal(units.back()) || !std::isfinite(p.factors.back())) return false;
    }
    // What 32 bits hold in any case: 255 * 128 for each product, 2^31 in all.
    if (w.values.size() / channels >= int64_t{1} << 16) return false;
    int bias_in_units = -1;
    if (bias >= 0) {
      const auto converted = bias_of(bias, channels, units);
      if (!converted) return false;
      bias_in_units = *converted;
    }
    p.convolution = std::move(convolution);
    p.zero = y.zero;
    if (bounds != Bounds{}) {
      p.bounds.low = std::max(p.bounds.low, bounds.low / y.scale);
      p.bounds.high = std::min(p.bounds.high, bounds.high / y.scale);
    }
    const int zero =
        x.scale.zero == 0 ? -1 : g_.add_constant(Tensor::of(std::vector<int32_t>{x.scale.zero}, {1}));
    quantize.inputs = {x.value, g_.add_constant(std::move(w.values)), zero, bias_in_units};
    quantize.params = std::move(p);
    return true;
  }

  bool join_convolution(LoweredOp& quantize, const LoweredOp& conv, const Scale& y) {
    const ConvolutionParams& p = *conv.get_if<ConvolutionParams>();
    const auto x = bytes_of(conv.inputs[0]);
    const auto bounds = bounds_of(conv.chain, 0);
    auto w = weights_of(conv.inputs[1], 0);
    if (p.transposed || !x || !bounds || !w) return false;
    const int bias = conv.inputs.size() > 2 ? conv.inputs[2] : -1;
    const int64_t channels = w->values.dim(0);
    return become_product(quantize, *x, *std::move(w), bias, channels, *bounds, y, p);
  }

  bool join_matmul(LoweredOp& quantize, const LoweredOp& product, const Scale& y) {
    const MatMulParams& p = *product.get_if<MatMulParams>();
    const auto x = bytes_of(product.inputs[0]);
    const auto bounds = bounds_of(product.chain, 0);
    auto w = weights_of(product.inputs[1], p.transpose_b ? 0 : 1);
    if (p.transpose_a || !x || !bounds || !w || w->values.rank() != 2 || g_.value(x->value).dims.size() < 2)
      return false;
    if (p.transpose_b) w->values = transposed(w->values);
    const int bias = product.inputs.size() > 2 ? product.inputs[2] : -1;
    const int64_t channels = w->values.dim(1);
    return become_product(quantize, *x, *std::move(w), bias, channels, *bounds, y, {});
  }

  static Tensor transposed(const Tensor& w) {
    const int64_t rows = w.dim(0), columns = w.dim(1);
    Tensor out(DataType::int8, {columns, rows});
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j)
        out.mutable_data<int8_t>()[j * rows + i] = w.data<int8_t>()[i * columns + j];
    }
    return out;
  }

  bool join_pool(LoweredOp& quantize, const LoweredOp& pool, const Scale& y) {
    const PoolingParams& p = *pool.get_if<PoolingParams>();
    const auto x = bytes_of(pool.inputs[0]);
    if (p.kind != PoolingParams::Kind::max || !pool.chain.empty() || !x || x->scale != y ||
        g_.value(x->value).type != g_.value(quantize.outputs[0]).type) {
      return false;
    }
    const PoolingParams params = p;
    quantize.inputs = {x->value};
    quantize.params = params;
    return true;
  }

  bool join_pair(LoweredOp& quantize, const LoweredOp& point, const Scale& y) {
    if (point.chain.empty() || point.chain[0].is_unary) return false;
    const PointOp& first = point.chain[0];
    if (first.binary != Binary::add && first.binary != Binary::mul) return false;
    const auto bounds = bounds_of(point.chain, 1);
    const auto a = bytes_of(point.inputs[0]), b = bytes_of(first.operand);
    if (!bounds || !a || !b) return false;
    const LoweredValue& out = g_.value(quantize.outputs[0]);
    if (out.dims.size() > kMostAxes) return false;
    for (int v : {a->value, b->value}) {
      if (g_.value(v).dims != out.dims || g_.value(v).type != out.type) return false;
    }
    quantize.params = BytePairParams{first.binary, a->scale, b->scale, y, *bounds};
    quantize.inputs = {a->value, b->value};
    return true;
  }

  LoweredGraph& g_;
  std::vector<bool> removed_;
  std::vector<int> uses_, producer_;
};

}  // namespace

void fuse_quantized(LoweredGraph& graph) { QuantizedFuser(graph).run(); }

}  // namespace plica
