#include "runtime/kernels/resample_kernel.h"

#include <algorithm>
#include <cstring>

#include "engine/core/parallel.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

constexpr int64_t kParallelGrain = 8192;

template <class S>
PLICA_INLINE void nearest_row_body(const float* x, float* y, const Tap* columns, int64_t count,
                                   int64_t inner) {
  if (inner == 1) {
    for (int64_t i = 0; i < count; ++i) y[i] = x[columns[i].first];
  } else if (inner % S::kLanes == 0) {
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < inner; k += S::kLanes) {
        typename S::Vec v;
        S::load(v, x + columns[i].first * inner + k);
        S::store(y + i * inner + k, v);
      }
    }
  } else {
    for (int64_t i = 0; i < count; ++i)
      std::memcpy(y + i * inner, x + columns[i].first * inner, static_cast<size_t>(inner) * sizeof(float));
  }
}

template <class S>
PLICA_INLINE void linear_row_body(const float* top, const float* bottom, float weight, float* y,
                                  const Tap* columns, int64_t count, int64_t inner) {
  for (int64_t i = 0; i < count; ++i) {
    const Tap& t = columns[i];
    const float* a = top + t.first * inner;
    const float* b = top + t.second * inner;
    const float* c = bottom + t.first * inner;
    const float* d = bottom + t.second * inner;
    float* out = y + i * inner;
    for (int64_t k = 0; k < inner; ++k) {
      const float upper = a[k] + (b[k] - a[k]) * t.weight;
      const float lower = c[k] + (d[k] - c[k]) * t.weight;
      out[k] = upper + (lower - upper) * weight;
    }
  }
}

PLICA_FOR_EACH_ISA(nearest_row, (const float* x, float* y, const Tap* columns, int64_t count, int64_t inner),
                   (x, y, columns, count, inner))
PLICA_FOR_EACH_ISA(linear_row,
                   (const float* top, const float* bottom, float weight, float* y, const Tap* columns,
                    int64_t count, int64_t inner),
                   (top, bottom, weight, y, columns, count, inner))

}  // namespace

ResampleKernel::ResampleKernel(int64_t outer, int64_t height, int64_t width, int64_t inner,
                               std::vector<Tap> rows, std::vector<Tap> columns)
    : outer_(outer),
      height_(height),
      width_(width),
      inner_(inner),
      rows_(std::move(rows)),
      columns_(std::move(columns)) {
  const auto exact = [](const Tap& t) { return t.weight == 0.f; };
  nearest_ = std::ranges::all_of(rows_, exact) && std::ranges::all_of(columns_, exact);
}

void ResampleKernel::run(const Arguments& arguments) const {
  const auto* x = static_cast<const float*>(arguments.memory[0]);
  auto* y = static_cast<float*>(arguments.memory[1]);
  const auto out_height = static_cast<int64_t>(rows_.size()),
             out_width = static_cast<int64_t>(columns_.size());
  const int64_t in_row = width_ * inner_, out_row = out_width * inner_;
  parallel_for(outer_ * out_height, std::max<int64_t>(1, kParallelGrain / out_row),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) {
                   const Tap& t = rows_[static_cast<size_t>(r % out_height)];
                   const float* plane = x + r / out_height * height_ * in_row;
                   float* out = y + r * out_row;
                   if (!nearest_) {
                     linear_row(plane + t.first * in_row, plane + t.second * in_row, t.weight, out,
                                columns_.data(), out_width, inner_);
                   } else if (r > begin && r % out_height > 0 &&
                              rows_[static_cast<size_t>(r % out_height - 1)].first == t.first) {
                     std::memcpy(out, out - out_row, static_cast<size_t>(out_row) * sizeof(float));
                   } else {
                     nearest_row(plane + t.first * in_row, out, columns_.data(), out_width, inner_);
                   }
                 }
               });
}

}  // namespace plica
