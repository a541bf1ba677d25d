// Nearest and linear resampling of images in any layout, by tables.
#pragma once

#include <vector>

#include "runtime/kernels/kernel.h"

namespace plica {

// What one output coordinate is made of: (1 - weight) * input[first] + weight * input[second].
struct Tap {
  int64_t first = 0, second = 0;
  float weight = 0;
};

// x is [outer, taps' input, taps' input, inner].
class ResampleKernel : public Kernel {  // operands: x, y
 public:
  ResampleKernel(int64_t outer, int64_t height, int64_t width, int64_t inner, std::vector<Tap> rows,
                 std::vector<Tap> columns);
  void run(const Arguments& arguments) const override;

 private:
  int64_t outer_, height_, width_, inner_;
  std::vector<Tap> rows_, columns_;
  bool nearest_;
};

}  // namespace plica
