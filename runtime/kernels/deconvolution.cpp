// Deconvolutions. Where the kernel equals the stride every output pixel comes from one input pixel: then it
// is a 1x1 convolution to kernel * O channels, whose results go to their places by copies of runs. Others are
// oneDNN's.
#include <algorithm>
#include <cstring>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

using onednn::Layout;

// x [images, H, W, kh, run] to y [images, H, kh, W, run], where a run is kw * O elements.
class DepthToSpaceKernel : public Kernel {  // operands: x, y
 public:
  DepthToSpaceKernel(int64_t rows, int64_t width, int64_t kernel_height, int64_t run)
      : rows_(rows), width_(width), kernel_height_(kernel_height), run_(run) {}

  void run(const Arguments& a) const override {
    const auto* x = static_cast<const float*>(a.memory[0]);
    auto* y = static_cast<float*>(a.memory[1]);
    parallel_for(rows_ * kernel_height_, std::max<int64_t>(1, 8192 / (width_ * run_)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t r = begin; r < end; ++r) {
                     const float* from =
                         x + (r / kernel_height_ * width_ * kernel_height_ + r % kernel_height_) * run_;
                     float* to = y + r * width_ * run_;
                     const int64_t step = kernel_height_ * run_;
                     if (run_ == 2) {
                       for (int64_t w = 0; w < width_; ++w) {
                         to[2 * w] = from[w * step];
                         to[2 * w + 1] = from[w * step + 1];
                       }
                     } else {
                       for (int64_t w = 0; w < width_; ++w) std::copy_n(from + w * step, run_, to + w * run_);
                     }
                   }
                 });
  }

 private:
  int64_t rows_, width_, kernel_height_, run_;
};

// x [images, kh, kw, blocks, H, W, block] to y [images, blocks, H, kh, W, kw, block].
template <int kBlock>
class BlockedDepthToSpaceKernel : public Kernel {  // operands: x, y
 public:
  BlockedDepthToSpaceKernel(int64_t images, int64_t blocks, int64_t height, int64_t width,
                            int64_t kernel_height, int64_t kernel_width)
      : images_(images),
        blocks_(blocks),
        height_(height),
        width_(width),
        kernel_height_(kernel_height),
        kernel_width_(kernel_width) {}

  void run(const Arguments& a) const override {
    const auto* x = static_cast<const float*>(a.memory[0]);
    auto* y = static_cast<float*>(a.memory[1]);
    const int64_t row = width_ * kBlock, out_row = row * kernel_width_, rows = height_ * kernel_height_;
    // From one column of the kernel to the next.
    const int64_t step = blocks_ * height_ * row;
    parallel_for(
        images_ * blocks_ * rows, std::max<int64_t>(1, 8192 / out_row), [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; ++r) {
            const int64_t h = r % rows / kernel_height_, i = r % kernel_height_;
            const int64_t image = r / rows / blocks_, block = r / rows % blocks_;
            const float* from =
                x + (image * kernel_height_ + i) * kernel_width_ * step + (block * height_ + h) * row;
            float* to = y + r * out_row;
            for (int64_t w = 0; w < width_; ++w) {
              for (int64_t j = 0; j < kernel_width_; ++j, to += kBlock)
                std::memcpy(to, from + j * step + w * kBlock, kBlock * sizeof(float));
            }
          }
        });
  }

 private:
  int64_t images_, blocks_, height_, width_, kernel_height_, kernel_width_;
};

std::unique_ptr<Kernel> depth_to_space(Layout layout, const Dims& x, int64_t channels, const Dims& kernel) {
  const int64_t block = block_of(layout);
  if (block == 16) {
    return std::make_unique<BlockedDepthToSpaceKernel<16>>(x[0], channels / block, x[2], x[3], kernel[0],
                                                           kernel[1]);
  }
  if (block == 8) {
    return std::make_unique<BlockedDepthToSpaceKernel<8>>(x[0], channels / block, x[2], x[3], kernel[0],
                                                          kernel[1]);
  }
  return std::make_unique<DepthToSpaceKernel>(x[0] * x[2], x[3], kernel[0], kernel[1] * channels);
}

// y[n, o, h * kh + i, w * kw + j] = sum over c of x[n, c, h, w] * weight[c, o, i, j], plus the bias of o.
bool build_by_depth_to_space(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  const Dims x = builder.value(op.inputs[0]).dims;
  const Dims y = builder.value(op.outputs[0]).dims;
  const Tensor& weight = builder.value(op.inputs[1]).constant;
  const auto all = [](const Dims& dims, int64_t v) {
    return std::ranges::all_of(dims, [v](int64_t d) { return d == v; });
  };
  if (x.size() != 4 || p.groups != 1 || !weight.defined() || p.window.kernel != p.window.strides ||
      !all(p.window.dilations, 1) || !all(p.window.pads_begin, 0) || !all(p.window.pads_end, 0)) {
    return false;
  }
  const int64_t in = x[1], out = y[1], kh = p.window.kernel[0], kw = p.window.kernel[1];
  const int64_t wide = checked_mul(out, checked_mul(kh, kw));
  Tensor weights(DataType::float32, {wide, in, 1, 1});
  for (int64_t i = 0; i < kh * kw; ++i) {
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t c = 0; c < in; ++c) {
        weights.mutable_data<float>()[(i * out + o) * in + c] =
            weight.data<float>()[(c * out + o) * kh * kw + i];
      }
    }
  }
  const bool has_bias = op.inputs.size() > 2;
  Tensor bias(DataType::float32, {wide});
  if (has_bias) {
    const Tensor& given = builder.value(op.inputs[2]).constant;
    if (!given.defined()) return false;
    for (int64_t i = 0; i < wide; ++i) bias.mutable_data<float>()[i] = given.data<float>()[i % out];
  }
  // Functions of one element don't mind the places: they run before the copy.
  LoweredOp unary = op;
  unary.chain.erase(std::ranges::find_if(unary.chain, [](const PointOp& link) { return !link.is_unary; }),
                    unary.chain.end());
  const Dims middle = {x[0], wide, x[2], x[3]};
  // Each pixel of the kernel must have blocks of its own.
  const bool blocked = block_of(builder.layout()) > 1 && out % block_of(builder.layout()) == 0;
  const Layout layout = blocked ? builder.layout() : Layout::channels_last;
  onednn::ConvolutionShape shape;
  shape.source = onednn::desc_of(x, layout);
  shape.weights = onednn::any_layout({wide, in, 1, 1});
  shape.destination = onednn::desc_of(middle, layout);
  shape.has_bias = has_bias;
  shape.strides = shape.dilations = {1, 1};
  shape.pads_begin = shape.pads_end = {0, 0};
  const FusedChain chain(builder, unary, middle, shape.destination, false);
  auto primitive = onednn::convolution(shape, chain.post_ops(), [](const std::string& name) {
    return name.find("ref") == std::string::npos && name.find("gemm") == std::string::npos;
  });
  if (!primitive) return false;
  std::vector<PlanBuilder::PrimitiveOperand> operands;
  operands.push_back({DNNL_ARG_SRC, builder.in_layout(op.inputs[0], shape.source)});
  operands.push_back(
      {DNNL_ARG_WEIGHTS, builder.packed(weights, onednn::row_major(weights.dims()), primitive->weights)});
  if (has_bias)
    operands.push_back(
        {DNNL_ARG_BIAS, builder.packed(bias, onednn::row_major({wide}), onednn::row_major({wide}))});
  chain.add_operands(builder, unary, operands);
  const Placement wide_result = builder.allocate_temporary(shape.destination);
  operands.push_back({DNNL_ARG_DST, wide_result});
  builder.emit(op, "ConvTranspose", std::move(*primitive), operands);
  const bool complete = chain.links() == op.chain.size();
  const onednn::Desc desc = onednn::desc_of(y, layout);
  const Placement to = complete ? builder.allocate(op.outputs[0], desc) : builder.allocate_temporary(desc);
  builder.emit({"DepthToSpace", node_names(op), "copy", onednn::layout_name(desc)},
               depth_to_space(layout, x, out, p.window.kernel), {wide_result, to});
  if (!complete) build_chain(builder, op, chain.links(), to, true);
  return true;
}

bool is_direct(const std::string& name) {
  return name.find("ref") == std::string::npos && name.find("gemm") == std::string::npos;
}

}  // namespace

void build_deconvolution(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  if (build_by_depth_to_space(builder, op, p)) return;
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& w = builder.value(op.inputs[1]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  // ONNX weights are [I, O/g, k...]; oneDNN wants [g, O/g, I/g, k...].
  Dims weights = {w[1], w[0] / p.groups};
  weights.insert(weights.end(), w.begin() + 2, w.end());
  int64_t kernel = 1;
  for (size_t i = 2; i < w.size(); ++i) kernel = checked_mul(kernel, w[i]);
  Dims strides = {kernel, checked_mul(w[1], kernel)};
  int64_t inner = kernel;
  for (size_t i = 2; i < w.size(); ++i) {
    inner /= w[i];
    strides.push_back(inner);
  }
  if (p.groups > 1) {
    weights.insert(weights.begin(), p.groups);
    strides.insert(strides.begin(), checked_mul(w[0] / p.groups, checked_mul(w[1], kernel)));
  }
  const onednn::Desc from = onednn::strided(weights, strides);
  onednn::ConvolutionShape shape;
  shape.weights = onednn::any_layout(weights);
  shape.has_bias = op.inputs.size() > 2;
  shape.strides = p.window.strides;
  shape.dilations = p.window.dilations;
  shape.pads_begin = p.window.pads_begin;
  shape.pads_end = p.window.pads_end;
  // With post-ops oneDNN 2.x computes into scratch memory and applies them element by element, so the chain
  // follows as a step of its own.
  for (const bool accept_any : {false, true}) {
    for (Layout layout :
         {builder.layout(), Layout::blocked16, Layout::blocked8, Layout::channels_last, Layout::row_major}) {
      shape.source = onednn::desc_of(x, layout);
      shape.destination = onednn::desc_of(y, layout);
      auto primitive = onednn::deconvolution(shape, onednn::PostOps());
      if (!primitive || (!accept_any && !is_direct(primitive->implementation))) continue;
      std::vector<PlanBuilder::PrimitiveOperand> operands;
      operands.push_back({DNNL_ARG_SRC, builder.in_layout(op.inputs[0], shape.source)});
      const LoweredValue& value = builder.value(op.inputs[1]);
      if (value.constant.defined()) {
        operands.push_back({DNNL_ARG_WEIGHTS, builder.packed(value.constant, from, primitive->weights)});
      } else {
        Placement place = builder.row_major(op.inputs[1]);
        place.desc = from;
        const Placement to = builder.allocate_temporary(primitive->weights);
        builder.reorder(node_names(op), place, to);
        operands.push_back({DNNL_ARG_WEIGHTS, to});
      }
      if (shape.has_bias) operands.push_back({DNNL_ARG_BIAS, builder.row_major(op.inputs[2])});
      const bool complete = op.chain.empty();
      const Placement to = complete ? builder.allocate(op.outputs[0], shape.destination)
                                    : builder.allocate_temporary(shape.destination);
      operands.push_back({DNNL_ARG_DST, to});
      builder.emit(op, "ConvTranspose", std::move(*primitive), operands);
      if (!complete) build_chain(builder, op, 0, to, true);
      return;
    }
  }
  build_evaluate(builder, op);
}

}  // namespace plica
