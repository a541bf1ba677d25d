// Convolutions and matrix products of 8-bit integers, by oneDNN's primitives with their requantization
// inside. Activations are channels-last, which is what oneDNN's code for them reads and writes.
#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

// One byte as an int32.
class WidenKernel : public Kernel {  // operands: from, to
 public:
  explicit WidenKernel(DataType type) : type_(type) {}
  void run(const Arguments& a) const override {
    const uint8_t byte = *static_cast<const uint8_t*>(a.memory[0]);
    *static_cast<int32_t*>(a.memory[1]) = type_ == DataType::int8 ? static_cast<int8_t>(byte) : byte;
  }

 private:
  DataType type_;
};

Placement source_zero(PlanBuilder& builder, const LoweredOp& op, int v) {
  const LoweredValue& value = builder.value(v);
  const onednn::Desc desc = onednn::row_major({1}, DataType::int32);
  Placement from = builder.row_major(v);
  if (value.type == DataType::int32) return {from.storage, from.offset, desc};
  Placement to = builder.allocate_temporary(desc);
  builder.emit({"widen", node_names(op), "copy", ""}, std::make_unique<WidenKernel>(value.type), {from, to});
  return to;
}

// What is said of the result, and the operands that it needs.
struct Attributes {
  onednn::PostOps post_ops;
  int source_zero = 0;         // argument, or 0
  std::optional<int> factors;  // argument
};

Attributes attributes_of(const IntegerProductParams& p, bool has_zero, DataType type, int axis, int rank) {
  Attributes a;
  if (has_zero) a.source_zero = a.post_ops.subtract_source_zero_point();
  if (!p.factors.empty()) a.factors = a.post_ops.scale(p.factors, axis, rank);
  if (p.bounds != Bounds{}) a.post_ops.eltwise(dnnl::algorithm::eltwise_clip, p.bounds.low, p.bounds.high);
  // Added before rounding, an odd zero point would turn ties the other way. Without one, storing rounds.
  if (p.zero != 0 && type != DataType::float32) {
    a.post_ops.eltwise(dnnl::algorithm::eltwise_round, 0, 0);
    a.post_ops.eltwise(dnnl::algorithm::eltwise_linear, 1, static_cast<float>(p.zero));
  }
  return a;
}

Tensor factors_tensor(const std::vector<float>& factors, int axis, int rank) {
  Dims dims(static_cast<size_t>(rank), 1);
  dims[static_cast<size_t>(axis)] = static_cast<int64_t>(factors.size());
  return Tensor::of(factors, dims);
}

void add_operands(PlanBuilder& builder, const LoweredOp& op, const IntegerProductParams& p,
                  const Attributes& a, int axis, int rank,
                  std::vector<PlanBuilder::PrimitiveOperand>& operands) {
  if (a.source_zero != 0) operands.push_back({a.source_zero, source_zero(builder, op, op.inputs[2])});
  if (a.factors) {
    const Tensor t = factors_tensor(p.factors, axis, rank);
    const onednn::Desc desc = onednn::row_major(t.dims());
    operands.push_back({*a.factors, builder.packed(t, desc, desc)});
  }
}

// By engine/ops, where oneDNN has only its reference code.
void evaluate_instead(PlanBuilder& builder, const LoweredOp& op, const IntegerProductParams& p) {
  LoweredOp plain = op;
  plain.params = EvaluateParams{};
  plain.inputs = p.node_inputs;
  build_evaluate(builder, plain);
}

bool is_ref(const std::string& name) { return name.find("ref") != std::string::npos; }

bool build_integer_convolution(PlanBuilder& builder, const LoweredOp& op, const IntegerProductParams& p) {
  using onednn::Layout;
  const LoweredValue &x = builder.value(op.inputs[0]), &w = builder.value(op.inputs[1]),
                     &y = builder.value(op.outputs[0]);
  const ConvolutionParams& c = *p.convolution;
  Dims weights = w.dims;
  if (c.groups > 1) {
    weights[0] /= c.groups;
    weights.insert(weights.begin(), c.groups);
  }
  const int rank = static_cast<int>(y.dims.size());
  const bool has_zero = op.inputs[2] >= 0, has_bias = op.inputs[3] >= 0;
  const Attributes a = attributes_of(p, has_zero, y.type, 1, rank);
  onednn::ConvolutionShape shape;
  shape.source = onednn::desc_of(x.dims, Layout::channels_last, x.type);
  shape.destination = onednn::desc_of(y.dims, Layout::channels_last, y.type);
  shape.weights = onednn::any_layout(weights, DataType::int8);
  shape.has_bias = has_bias;
  shape.strides = c.window.strides;
  shape.dilations = c.window.dilations;
  shape.pads_begin = c.window.pads_begin;
  shape.pads_end = c.window.pads_end;
  auto primitive = onednn::convolution(
      shape, a.post_ops, [&](const std::string& name) { return p.node_inputs.empty() || !is_ref(name); });
  if (!primitive) return false;
  std::vector<PlanBuilder::PrimitiveOperand> operands = {
      {DNNL_ARG_SRC, builder.in_layout(op.inputs[0], shape.source)},
      {DNNL_ARG_WEIGHTS,
       builder.packed(w.constant, onednn::row_major(weights, DataType::int8), primitive->weights)}};
  if (has_bias) operands.push_back({DNNL_ARG_BIAS, builder.row_major(op.inputs[3])});
  add_operands(builder, op, p, a, 1, rank, operands);
  operands.push_back({DNNL_ARG_DST, builder.allocate(op.outputs[0], shape.destination)});
  builder.emit(op, "Conv", std::move(*primitive), operands);
  return true;
}

bool build_integer_matmul(PlanBuilder& builder, const LoweredOp& op, const IntegerProductParams& p) {
  const LoweredValue &x = builder.value(op.inputs[0]), &w = builder.value(op.inputs[1]),
                     &y = builder.value(op.outputs[0]);
  // By one matrix the leading axes are rows of one product.
  const bool flat = w.dims.size() == 2;
  const size_t axes = flat ? 2 : y.dims.size();
  const int rank = static_cast<int>(axes), axis = rank - 1;
  Dims a_dims = aligned_dims(x.dims, axes), b_dims = aligned_dims(w.dims, axes), y_dims = y.dims;
  if (flat) {
    a_dims = {checked_elements(x.dims) / x.dims.back(), x.dims.back()};
    y_dims = {a_dims[0], y.dims.back()};
  }
  const bool has_zero = op.inputs[2] >= 0, has_bias = op.inputs[3] >= 0, constant = w.constant.defined();
  const Attributes a = attributes_of(p, has_zero, y.type, axis, rank);
  const onednn::Desc source = onednn::row_major(a_dims, x.type),
                     stored = onednn::row_major(b_dims, DataType::int8),
                     destination = onednn::row_major(y_dims, y.type);
  auto primitive = onednn::matmul(source, constant ? onednn::any_layout(b_dims, DataType::int8) : stored,
                                  has_bias, destination, a.post_ops);
  const bool has_alternative = !p.node_inputs.empty();
  if (!primitive || (has_alternative && is_ref(primitive->implementation))) return false;
  const auto placed = [](Placement p, const onednn::Desc& desc) {
    p.desc = desc;
    return p;
  };
  std::vector<PlanBuilder::PrimitiveOperand> operands = {
      {DNNL_ARG_SRC, placed(builder.row_major(op.inputs[0]), source)},
      {DNNL_ARG_WEIGHTS, constant ? builder.packed(w.constant, stored, primitive->weights)
                                  : placed(builder.row_major(op.inputs[1]), stored)}};
  if (has_bias) {
    Dims bias(axes, 1);
    bias.back() = y_dims.back();
    operands.push_back({DNNL_ARG_BIAS, operand_as(builder, op, op.inputs[3], bias, onednn::row_major(bias))});
  }
  add_operands(builder, op, p, a, axis, rank, operands);
  operands.push_back({DNNL_ARG_DST, placed(builder.allocate_row_major(op.outputs[0]), destination)});
  builder.emit(op, "MatMul", std::move(*primitive), operands);
  return true;
}

}  // namespace

void build_integer_product(PlanBuilder& builder, const LoweredOp& op, const IntegerProductParams& p) {
  const bool built =
      p.convolution ? build_integer_convolution(builder, op, p) : build_integer_matmul(builder, op, p);
  if (built) return;
  require(!p.node_inputs.empty(), ErrorCode::unsupported, "oneDNN has no product of {} by {}",
          to_string(builder.value(op.inputs[0]).dims), to_string(builder.value(op.inputs[1]).dims));
  evaluate_instead(builder, op, p);
}

}  // namespace plica
