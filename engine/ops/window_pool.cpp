// MaxPool, AveragePool, LpPool: a window slides over the spatial axes of each channel. Windows never read
// padding: each is the part that lies inside the input. What padding counts for is said by each operator.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/conv_geometry.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/pooling.h"
#include "engine/ops/widened.h"
#include "engine/ops/window_range.h"

namespace plica {
namespace {

using WideTypes = TypeList<float, double>;

std::optional<Shape> infer_window(const InferContext& context) {
  const auto& x = context.input_shape(0);
  if (!x) return std::nullopt;
  require(x->rank() >= 3, ErrorCode::invalid_model, "the input has rank {}, at least 3 is needed", x->rank());
  Shape out = {(*x)[0], (*x)[1]};
  for (Dim& d : pool_output_dims(context.attributes(), {x->begin() + 2, x->end()}))
    out.push_back(std::move(d));
  return out;
}

int64_t product(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

// The windows of one channel.
class Windows {
 public:
  Windows(const WindowGeometry& g, const Dims& spatial)
      : g_(g),
        spatial_(spatial),
        inputs_(product(spatial)),
        outputs_(product(g.output)),
        width_(g.output.back()) {
    for (size_t d = 0; d < g.rank(); ++d) {
      strides_.push_back(std::accumulate(spatial.begin() + static_cast<std::ptrdiff_t>(d) + 1, spatial.end(),
                                         int64_t{1}, std::multiplies<>()));
    }
  }

  int64_t inputs() const { return inputs_; }
  int64_t outputs() const { return outputs_; }
  int64_t width() const { return width_; }
  int64_t rows() const { return width_ == 0 ? 0 : outputs_ / width_; }
  size_t rank() const { return g_.rank(); }
  const Dims& spatial() const { return spatial_; }

  // The taps of axis d that lie inside the input for output position `at`.
  Range taps(size_t d, int64_t at) const {
    return inside(start(d, at), g_.dilations[d], spatial_[d], g_.kernel[d]);
  }
  int64_t start(size_t d, int64_t at) const { return at * g_.strides[d] - g_.pads_begin[d]; }

  // Calls f(input offset) for each tap of the axes but the last, for an output row (positions along the last
  // axis). The offset is that of the input row that the tap reads.
  template <class F>
  void for_each_input_row(int64_t row, F&& f) const {
    const size_t last = rank() - 1;
    std::vector<Range> ranges(last);
    Dims tap(last), starts(last);
    for (size_t d = last; d-- > 0;) {
      const int64_t at = row % g_.output[d];
      row /= g_.output[d];
      ranges[d] = taps(d, at);
      if (ranges[d].begin == ranges[d].end) return;
      starts[d] = start(d, at);
      tap[d] = ranges[d].begin;
    }
    for (;;) {
      int64_t offset = 0;
      for (size_t d = 0; d < last; ++d) offset += (starts[d] + tap[d] * g_.dilations[d]) * strides_[d];
      f(offset);
      size_t d = last;
      while (d > 0) {
        --d;
        if (++tap[d] < ranges[d].end) break;
        tap[d] = ranges[d].begin;
        if (d == 0) return;
      }
      if (last == 0) return;
    }
  }

  // Folds the windows of an output row: acc[i] = op(acc[i], x) over everything that window i covers.
  template <class T, class A, class Op>
  void fold_row(const T* x, int64_t row, A* acc, const Op& op) const {
    const size_t last = rank() - 1;
    const int64_t step = g_.strides[last], size = spatial_[last];
    // Taps that reach the input from any position.
    const int64_t span = (width_ - 1) * step;
    const Range all =
        inside(start(last, 0) + span, g_.dilations[last], checked_add(size, span), g_.kernel[last]);
    for_each_input_row(row, [&](int64_t offset) {
      const T* in = x + offset;
      for (int64_t tap = all.begin; tap < all.end; ++tap) {
        const int64_t shift = start(last, 0) + tap * g_.dilations[last];
        const Range columns = inside(shift, step, size, width_);
        if (step == 1) {
          for (int64_t i = columns.begin; i < columns.end; ++i) acc[i] = op(acc[i], in[shift + i]);
        } else {
          for (int64_t i = columns.begin; i < columns.end; ++i) acc[i] = op(acc[i], in[shift + i * step]);
        }
      }
    });
  }

  // By axis and position: how many taps lie inside the input, or inside the input with its padding.
  std::vector<Dims> counts(bool with_padding) const {
    std::vector<Dims> all;
    for (size_t d = 0; d < rank(); ++d) {
      Dims counts;
      for (int64_t at = 0; at < g_.output[d]; ++at) {
        const int64_t begin = with_padding ? g_.pads_begin[d] : 0;
        const int64_t size = with_padding ? spatial_[d] + g_.pads_begin[d] + g_.pads_end[d] : spatial_[d];
        const Range r = inside(start(d, at) + begin, g_.dilations[d], size, g_.kernel[d]);
        counts.push_back(r.end - r.begin);
      }
      all.push_back(std::move(counts));
    }
    return all;
  }

  // The product of the counts of the axes but the last.
  double count_of_row(const std::vector<Dims>& counts, int64_t row) const {
    double n = 1;
    for (size_t d = rank() - 1; d-- > 0;) {
      n *= static_cast<double>(counts[d][static_cast<size_t>(row % g_.output[d])]);
      row /= g_.output[d];
    }
    return n;
  }

 private:
  const WindowGeometry& g_;
  const Dims& spatial_;
  Dims strides_;
  int64_t inputs_, outputs_, width_;
};

// Calls body(x of the channel, y of the output row, row) for all output rows of all channels.
template <class T, class Body>
void for_each_output_row(const Windows& windows, const Tensor& x, Tensor& y, const WindowGeometry& g,
                         const Body& body) {
  const int64_t rows = windows.rows(), planes = y.size() / windows.outputs();
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  double work = static_cast<double>(windows.width());
  for (int64_t k : g.kernel) work *= static_cast<double>(k);
  const int64_t grain = std::max<int64_t>(1, static_cast<int64_t>(32768 / work));
  parallel_for(planes * rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      body(from + i / rows * windows.inputs(), to + i * windows.width(), i % rows);
  });
}

WindowGeometry geometry_of(const EvaluateContext& context) {
  const Dims& dims = context.input(0).dims();
  return pool_geometry(context.attributes(), {dims.begin() + 2, dims.end()});
}

// ---- MaxPool

void infer_max_pool(InferContext& context) {
  const auto out = infer_window(context);
  if (context.def().since >= 8) {
    const int64_t order = context.attributes().i("storage_order");
    require(order == 0 || order == 1, ErrorCode::invalid_model, "storage_order is {}, it must be 0 or 1",
            order);
  }
  context.set_output(0, context.input_type(0), out);
  if (context.num_outputs() > 1) context.set_output(1, DataType::int64, out);
}

template <class T>
constexpr T kLeast = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                          : std::numeric_limits<T>::lowest();

// b is larger, or the NaN that wins.
template <class T>
bool exceeds(T b, T a) {
  return b > a || b != b;
}

// The largest of each window, and the index of its first occurrence: of the element in the whole input, with
// the last spatial axis running fastest, or (storage_order 1) the first.
template <class T>
void max_with_indices(const Windows& windows, const WindowGeometry& g, const Tensor& x, Tensor& y,
                      int64_t* indices, bool column_major) {
  const size_t last = windows.rank() - 1;
  const int64_t rows = windows.rows(), width = windows.width(), planes = y.size() / windows.outputs();
  Dims order(windows.rank(), 1);
  for (size_t d = 1; d < order.size(); ++d) order[d] = order[d - 1] * windows.spatial()[d - 1];
  const auto index_of = [&](int64_t offset) {
    if (!column_major) return offset;
    int64_t index = 0;
    for (size_t d = windows.rank(); d-- > 0;) {
      index += offset % windows.spatial()[d] * order[d];
      offset /= windows.spatial()[d];
    }
    return index;
  };
  const T* from = x.data<T>();
  T* to = y.mutable_data<T>();
  parallel_for(planes * rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / rows;
      const T* in = from + plane * windows.inputs();
      for (int64_t column = 0; column < width; ++column) {
        const Range taps = windows.taps(last, column);
        T best = kLeast<T>;
        int64_t where = -1;
        windows.for_each_input_row(i % rows, [&](int64_t offset) {
          for (int64_t tap = taps.begin; tap < taps.end; ++tap) {
            const int64_t at = offset + windows.start(last, column) + tap * g.dilations[last];
            if (where >= 0 && (best != best || !exceeds(in[at], best))) continue;
            best = in[at];
            where = at;
          }
        });
        to[i * width + column] = best;
        // (A window wholly in the padding has no element; -1 says so.)
        indices[i * width + column] = where < 0 ? -1 : plane * windows.inputs() + index_of(where);
      }
    }
  });
}

void evaluate_max_pool(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  const WindowGeometry g = geometry_of(context);
  const Dims spatial(context.input(0).dims().begin() + 2, context.input(0).dims().end());
  const Windows windows(g, spatial);
  const bool column_major = context.def().since >= 8 && context.attributes().i("storage_order") == 1;
  int64_t* indices = context.has_output(1) ? context.output(1).mutable_data<int64_t>() : nullptr;
  compute_widened({&context.input(0)}, context.output(), [&](const auto& in, Tensor& y) {
    dispatch<TypeList<float, double, int8_t, uint8_t>>(y.type(), [&]<class T>(std::type_identity<T>) {
      if (indices) return max_with_indices<T>(windows, g, *in[0], y, indices, column_major);
      for_each_output_row<T>(windows, *in[0], y, g, [&](const T* x, T* out, int64_t row) {
        std::fill_n(out, windows.width(), kLeast<T>);
        windows.fold_row(x, row, out, [](T a, T b) { return exceeds(b, a) ? b : a; });
      });
    });
  });
}

// ---- AveragePool: the sum by the number of elements, with count_include_pad those of the padding too.

void infer_pool(InferContext& context) {
  context.set_output(0, context.input_type(0), infer_window(context));
}

void evaluate_average_pool(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  const WindowGeometry g = geometry_of(context);
  const Dims spatial(context.input(0).dims().begin() + 2, context.input(0).dims().end());
  const Windows windows(g, spatial);
  const bool with_padding = context.def().since >= 7 && context.attributes().i("count_include_pad") != 0;
  const std::vector<Dims> counts = windows.counts(with_padding);
  compute_widened({&context.input(0)}, context.output(), [&](const auto& in, Tensor& y) {
    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
      for_each_output_row<T>(windows, *in[0], y, g, [&](const T* x, T* out, int64_t row) {
        std::fill_n(out, windows.width(), T(0));
        windows.fold_row(x, row, out, [](T a, T b) { return a + b; });
        const T count = static_cast<T>(windows.count_of_row(counts, row));
        for (int64_t i = 0; i < windows.width(); ++i)
          out[i] /= count * static_cast<T>(counts.back()[static_cast<size_t>(i)]);
      });
    });
  });
}

// ---- LpPool: (sum |x|^p)^(1/p)

double lp_order(const AttributeReader& attributes, const OpDef& def) {
  const double p = def.until < 2 ? attributes.f("p") : static_cast<double>(attributes.i("p"));
  require(p > 0, ErrorCode::invalid_model, "p is {}, it must be positive", p);
  return p;
}

void infer_lp_pool(InferContext& context) {
  lp_order(context.attributes(), context.def());
  infer_pool(context);
}

void evaluate_lp_pool(EvaluateContext& context) {
  if (context.output().size() == 0) return;
  const WindowGeometry g = geometry_of(context);
  const Dims spatial(context.input(0).dims().begin() + 2, context.input(0).dims().end());
  const Windows windows(g, spatial);
  const double order = lp_order(context.attributes(), context.def());
  compute_widened({&context.input(0)}, context.output(), [&](const auto& in, Tensor& y) {
    dispatch<WideTypes>(y.type(), [&]<class T>(std::type_identity<T>) {
      const T p = static_cast<T>(order);
      for_each_output_row<T>(windows, *in[0], y, g, [&](const T* x, T* out, int64_t row) {
        std::fill_n(out, windows.width(), T(0));
        if (p == 1)
          windows.fold_row(x, row, out, [](T a, T b) { return a + std::abs(b); });
        else if (p == 2)
          windows.fold_row(x, row, out, [](T a, T b) { return a + b * b; });
        else
          windows.fold_row(x, row, out, [p](T a, T b) { return a + std::pow(std::abs(b), p); });
        if (p == 1) return;
        for (int64_t i = 0; i < windows.width(); ++i)
          out[i] = p == 2 ? std::sqrt(out[i]) : std::pow(out[i], 1 / p);
      });
    });
  });
}

}  // namespace

std::vector<OpDef> window_pool_ops() {
  const AttributeDef auto_pad{"auto_pad", AttributeType::string, std::string_view("NOTSET")};
  const AttributeDef kernel{"kernel_shape", AttributeType::ints, Required{}},
      pads{"pads", AttributeType::ints, Optional{}};
  const AttributeDef strides{"strides", AttributeType::ints, Optional{}},
      dilations{"dilations", AttributeType::ints, Optional{}};
  const AttributeDef ceil_mode{"ceil_mode", AttributeType::int_, int64_t{0}},
      order{"storage_order", AttributeType::int_, int64_t{0}};
  const AttributeDef include{"count_include_pad", AttributeType::int_, int64_t{0}};
  const AttributeDef p_float{"p", AttributeType::float_, 2.0f}, p_int{"p", AttributeType::int_, int64_t{2}};
  const std::vector<AttributeDef> common = {auto_pad, kernel, pads, strides};

  std::vector<OpDef> ops;
  const auto add = [&](OpDef op, int since, int until, std::initializer_list<AttributeDef> more) {
    op.since = since;
    op.until = until;
    op.attributes = common;
    op.attributes.insert(op.attributes.end(), more);
    ops.push_back(std::move(op));
  };
  OpDef max{.name = "MaxPool",
            .input_types = {types::kFloat},
            .infer = infer_max_pool,
            .evaluate = evaluate_max_pool};
  add(max, 1, 7, {});
  max.max_outputs = 2;
  add(max, 8, 9, {order});
  add(max, 10, 11, {order, ceil_mode, dilations});
  max.input_types = {types::kFloat | TypeSet{DataType::int8, DataType::uint8}};
  add(max, 12, kLatestOpset, {order, ceil_mode, dilations});
  const OpDef average{.name = "AveragePool",
                      .input_types = {types::kFloat},
                      .infer = infer_pool,
                      .evaluate = evaluate_average_pool};
  add(average, 1, 6, {});
  add(average, 7, 9, {include});
  add(average, 10, 18, {include, ceil_mode});
  add(average, 19, kLatestOpset, {include, ceil_mode, dilations});
  const OpDef lp{
      .name = "LpPool", .input_types = {types::kFloat}, .infer = infer_lp_pool, .evaluate = evaluate_lp_pool};
  add(lp, 1, 1, {p_float});
  add(lp, 2, 17, {p_int});
  add(lp, 18, kLatestOpset, {p_int, ceil_mode, dilations});
  return ops;
}

}  // namespace plica
