// Sums and products of two tensors of 8-bit integers, in one pass and with the arithmetic of the three
// operators that it stands for: DequantizeLinear, Add or Mul, QuantizeLinear.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/saturate.h"
#include "runtime/kernels/families.h"

namespace plica {
namespace {

template <class T, class F>
void combine(const T* a, const T* b, T* y, int64_t count, const BytePairParams& p, F f) {
  const float a_scale = p.a.scale, b_scale = p.b.scale, y_scale = p.y.scale, low = p.bounds.low,
              high = p.bounds.high;
  const auto a_zero = static_cast<float>(p.a.zero), b_zero = static_cast<float>(p.b.zero),
             y_zero = static_cast<float>(p.y.zero);
  for (int64_t i = 0; i < count; ++i) {
    float v = f((static_cast<float>(a[i]) - a_zero) * a_scale, (static_cast<float>(b[i]) - b_zero) * b_scale);
    v = v > low ? v : low;
    v = v < high ? v : high;
    y[i] = saturate_rounded<T>(v / y_scale, y_zero);
  }
}

template <class T>
class BytePairKernel : public Kernel {  // operands: a, b, y
 public:
  BytePairKernel(BytePairParams params, int64_t size) : p_(params), size_(size) {}
  void run(const Arguments& arguments) const override {
    const auto *a = static_cast<const T*>(arguments.memory[0]),
               *b = static_cast<const T*>(arguments.memory[1]);
    auto* y = static_cast<T*>(arguments.memory[2]);
    parallel_for(size_, 16384, [=, this](int64_t begin, int64_t end) {
      vectorized([=, this] {
        if (p_.f == Binary::add) {
          combine(a + begin, b + begin, y + begin, end - begin, p_, [](float u, float v) { return u + v; });
        } else {
          combine(a + begin, b + begin, y + begin, end - begin, p_, [](float u, float v) { return u * v; });
        }
      });
    });
  }

 private:
  BytePairParams p_;
  int64_t size_;
};

}  // namespace

void build_byte_pair(PlanBuilder& builder, const LoweredOp& op, const BytePairParams& params) {
  using onednn::Layout;
  const LoweredValue& y = builder.value(op.outputs[0]);
  const auto is_last = [&](int v) {
    const Placement p = builder.placement(v);
    return p.desc && onednn::layout_of(*p.desc) == Layout::channels_last;
  };
  const bool last = is_last(op.inputs[0]) || is_last(op.inputs[1]);
  const onednn::Desc desc = onednn::desc_of(y.dims, last ? Layout::channels_last : Layout::row_major, y.type);
  const std::vector<Placement> operands = {builder.in_layout(op.inputs[0], desc),
                                           builder.in_layout(op.inputs[1], desc),
                                           builder.allocate(op.outputs[0], desc)};
  const int64_t size = checked_elements(y.dims);
  std::unique_ptr<const Kernel> kernel;
  if (y.type == DataType::int8) {
    kernel = std::make_unique<BytePairKernel<int8_t>>(params, size);
  } else {
    kernel = std::make_unique<BytePairKernel<uint8_t>>(params, size);
  }
  builder.emit({params.f == Binary::add ? "Add" : "Mul", node_names(op), "bytes", onednn::layout_name(desc)},
               std::move(kernel), operands);
}

}  // namespace plica
