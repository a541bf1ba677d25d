// The kernels: the input's part of all gates of the whole sequence is one matrix product; then, step by step,
// the state's part is added, and the cell's equations are applied to contiguous rows of hidden_size elements.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/dot_product.h"
#include "engine/ops/recurrent.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

struct Sizes {
  int64_t sequence, batch, input, hidden, rows;  // rows: gates * hidden
};

// One direction of one node.
template <class T>
class Direction {
 public:
  Direction(const RecurrentOptions& options, int index, const Sizes& sizes, const std::vector<Tensor>& inputs,
            const int32_t* lengths)
      : options_(options),
        sizes_(sizes),
        index_(index),
        reverse_(index == 1 || options.first_is_reverse),
        x_(inputs[0].data<T>()),
        w_(inputs[1].data<T>() + index * sizes.rows * sizes.input),
        r_(inputs[2].data<T>() + index * sizes.rows * sizes.hidden),
        bias_(part(inputs[3], 2 * sizes.rows)),
        initial_h_(inputs[5].defined() ? inputs[5].data<T>() : nullptr),
        initial_c_(inputs.size() > 6 && inputs[6].defined() ? inputs[6].data<T>() : nullptr),
        peepholes_(inputs.size() > 7 ? part(inputs[7], 3 * sizes.hidden) : nullptr),
        lengths_(lengths),
        f_(options.activations.data() + index * options.functions) {}

  // Outputs are null where the node leaves them out.
  void run(T* y, T* last_h, T* last_c) {
    const auto [sequence, batch, input, hidden, rows] = sizes_;
    Tensor gates = project_input();
    T* const projected = gates.mutable_data<T>();
    Tensor state = initial_state(initial_h_), cell;
    T* const h = state.mutable_data<T>();
    if (options_.kind == CellKind::lstm) cell = initial_state(initial_c_);
    T* const c = cell.defined() ? cell.mutable_data<T>() : nullptr;
    if (options_.kind == CellKind::gru) scratch_ = Tensor(data_type_of<T>, {batch, hidden});
    for (int64_t step = 0; step < sequence; ++step) {
      // Reversed sequences of different lengths are at different places.
      if (reverse_ && lengths_) {
        for (int64_t b = 0; b < batch; ++b) {
          if (step < lengths_[b]) advance(projected, lengths_[b] - 1 - step, b, b + 1, h, c);
        }
      } else {
        advance(projected, reverse_ ? sequence - 1 - step : step, 0, batch, h, c);
      }
      if (!y) continue;
      for (int64_t b = 0; b < batch; ++b) {
        const int64_t length = lengths_ ? lengths_[b] : sequence;
        if (step < length)
          std::copy_n(h + b * hidden, hidden, y + y_row(reverse_ ? length - 1 - step : step, b) * hidden);
      }
    }
    for (int64_t b = 0; b < batch; ++b) {
      if (last_h) std::copy_n(h + b * hidden, hidden, last_h + state_row(b) * hidden);
      if (last_c) std::copy_n(c + b * hidden, hidden, last_c + state_row(b) * hidden);
    }
  }

 private:
  const T* part(const Tensor& t, int64_t elements) const {
    return t.defined() ? t.data<T>() + index_ * elements : nullptr;
  }
  int64_t x_row(int64_t t, int64_t b) const {
    return options_.batch_first ? b * sizes_.sequence + t : t * sizes_.batch + b;
  }
  int64_t y_row(int64_t t, int64_t b) const {
    return options_.batch_first ? x_row(t, b) * options_.directions + index_
                                : (t * options_.directions + index_) * sizes_.batch + b;
  }
  int64_t state_row(int64_t b) const {
    return options_.batch_first ? b * options_.directions + index_ : index_ * sizes_.batch + b;
  }

  Tensor initial_state(const T* given) const {
    Tensor state = Tensor::zeros(data_type_of<T>, {sizes_.batch, sizes_.hidden});
    for (int64_t b = 0; given && b < sizes_.batch; ++b) {
      std::copy_n(given + state_row(b) * sizes_.hidden, sizes_.hidden,
                  state.mutable_data<T>() + b * sizes_.hidden);
    }
    return state;
  }

  // X * W' + Wb + Rb for all gates, steps and sequences; rows as in X. A GRU that applies the reset gate to
  // the finished hidden product keeps that one's Rb apart.
  Tensor project_input() const {
    const int64_t count = checked_mul(sizes_.sequence, sizes_.batch), rows = sizes_.rows;
    Tensor result = Tensor::zeros(data_type_of<T>, {count, rows});
    T* const out = result.mutable_data<T>();
    if (bias_) {
      const int64_t both = options_.linear_before_reset ? 2 * sizes_.hidden : rows;
      for (int64_t i = 0; i < count; ++i) {
        for (int64_t j = 0; j < rows; ++j) out[i * rows + j] = bias_[j] + (j < both ? bias_[rows + j] : T(0));
      }
    }
    add_dot_products(count, rows, sizes_.input, x_, sizes_.input, w_, sizes_.input, out, rows);
    return result;
  }

  // One step of sequences [begin, end) at place t. (Those that have ended keep their state.)
  void advance(T* projected, int64_t t, int64_t begin, int64_t end, T* h, T* c) {
    const int64_t hidden = sizes_.hidden, rows = sizes_.rows, count = end - begin;
    const int64_t between = (options_.batch_first ? sizes_.sequence : 1) * rows;
    T* const gates = projected + x_row(t, begin) * rows;
    T* const state = h + begin * hidden;
    const bool is_gru = options_.kind == CellKind::gru;
    add_dot_products(count, is_gru ? 2 * hidden : rows, hidden, state, hidden, r_, hidden, gates, between);
    if (is_gru) return advance_gru(gates, between, t, begin, end, state);
    for (int64_t b = begin; b < end; ++b) {
      if (has_ended(b, t)) continue;
      T* const row = gates + (b - begin) * between;
      if (options_.kind == CellKind::lstm) {
        advance_lstm(row, h + b * hidden, c + b * hidden);
      } else {
        activate(f_[0], row, hidden);
        std::copy_n(row, hidden, h + b * hidden);
      }
    }
  }

  bool has_ended(int64_t b, int64_t t) const { return lengths_ && t >= lengths_[b]; }

  void activate(const RecurrentActivation& f, T* x, int64_t count) const {
    const T limit = static_cast<T>(options_.clip);
    if (options_.clip < std::numeric_limits<float>::infinity()) {
      for (int64_t i = 0; i < count; ++i) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
    }
    f.apply(x, count);
  }

  // i, o, f, c = rows of `hidden` gates.
  //   C = f(f + Pf * C) * C + f(i + Pi * C) * g(c);  H = f(o + Po * C) * h(C)
  void advance_lstm(T* gates, T* h, T* c) const {
    const int64_t hidden = sizes_.hidden;
    T *const i = gates, *const o = gates + hidden, *const f = o + hidden, *const g = f + hidden;
    if (peepholes_) {
      for (int64_t j = 0; j < hidden; ++j) {
        i[j] += peepholes_[j] * c[j];
        f[j] += peepholes_[2 * hidden + j] * c[j];
      }
    }
    activate(f_[0], i, hidden);
    activate(f_[1], g, hidden);
    if (options_.input_forget) {
      for (int64_t j = 0; j < hidden; ++j) f[j] = T(1) - i[j];
    } else {
      activate(f_[0], f, hidden);
    }
    for (int64_t j = 0; j < hidden; ++j) c[j] = f[j] * c[j] + i[j] * g[j];
    if (peepholes_) {
      for (int64_t j = 0; j < hidden; ++j) o[j] += peepholes_[hidden + j] * c[j];
    }
    activate(f_[0], o, hidden);
    std::copy_n(c, hidden, g);
    activate(f_[2], g, hidden);
    for (int64_t j = 0; j < hidden; ++j) h[j] = o[j] * g[j];
  }

  // z, r, c = rows of `hidden` gates, the candidate c without the state's part yet.
  //   H = (1 - z) * g(c) + z * H
  void advance_gru(T* gates, int64_t between, int64_t t, int64_t begin, int64_t end, T* state) {
    const int64_t hidden = sizes_.hidden, count = end - begin;
    const T* const r_candidate = r_ + 2 * hidden * hidden;
    T* const scratch = scratch_.mutable_data<T>();
    const auto gates_of = [&](int64_t b) { return gates + b * between; };
    if (options_.linear_before_reset) {
      for (int64_t b = 0; b < count; ++b) {
        const T* const own_bias = bias_ ? bias_ + sizes_.rows + 2 * hidden : nullptr;
        for (int64_t j = 0; j < hidden; ++j) scratch[b * hidden + j] = own_bias ? own_bias[j] : T(0);
      }
      add_dot_products(count, hidden, hidden, state, hidden, r_candidate, hidden, scratch, hidden);
    }
    for (int64_t b = 0; b < count; ++b) {
      T *const r = gates_of(b) + hidden, *const c = r + hidden, *const s = scratch + b * hidden;
      activate(f_[0], gates_of(b), 2 * hidden);
      if (options_.linear_before_reset) {
        for (int64_t j = 0; j < hidden; ++j) c[j] += r[j] * s[j];
      } else {
        for (int64_t j = 0; j < hidden; ++j) s[j] = r[j] * state[b * hidden + j];
      }
    }
    if (!options_.linear_before_reset) {
      add_dot_products(count, hidden, hidden, scratch, hidden, r_candidate, hidden, gates + 2 * hidden,
                       between);
    }
    for (int64_t b = 0; b < count; ++b) {
      if (has_ended(begin + b, t)) continue;
      const T* const z = gates_of(b);
      T *const c = gates_of(b) + 2 * hidden, *const h = state + b * hidden;
      activate(f_[1], c, hidden);
      for (int64_t j = 0; j < hidden; ++j) h[j] = (T(1) - z[j]) * c[j] + z[j] * h[j];
    }
  }

  const RecurrentOptions& options_;
  const Sizes& sizes_;
  int index_;
  bool reverse_;
  const T *x_, *w_, *r_, *bias_, *initial_h_, *initial_c_, *peepholes_;
  const int32_t* lengths_;
  const RecurrentActivation* f_;
  Tensor scratch_;
};

template <class T>
T* data_or_null(std::optional<WidenedOutput>& output) {
  return output ? output->values().template mutable_data<T>() : nullptr;
}

}  // namespace

void evaluate_recurrent(EvaluateContext& context) {
  const RecurrentOptions options = recurrent_options(context.attributes(), context.def());
  const Tensor &x = context.input(0), &r = context.input(2);
  const Sizes sizes{x.dim(options.batch_first ? 1 : 0), x.dim(options.batch_first ? 0 : 1), x.dim(2),
                    r.dim(2), r.dim(1)};
  const int32_t* lengths = nullptr;
  if (const Tensor* given = context.maybe_input(4)) {
    lengths = given->data<int32_t>();
    for (const int32_t length : given->values<int32_t>()) {
      require(length >= 0 && length <= sizes.sequence, ErrorCode::invalid_argument,
              "a sequence length is {}, the input has {} steps", length, sizes.sequence);
    }
  }
  std::vector<Tensor> inputs;
  for (int i = 0; i < std::max(context.num_inputs(), 6); ++i)
    inputs.push_back(i == 4 ? Tensor() : widened_input(context.maybe_input(i)));
  std::optional<WidenedOutput> outputs[3];
  for (int i = 0; i < context.num_outputs(); ++i) {
    if (context.has_output(i)) outputs[i].emplace(context.output(i));
  }
  dispatch<TypeList<float, double>>(inputs[0].type(), [&]<class T>(std::type_identity<T>) {
    T* const y = data_or_null<T>(outputs[0]);
    // Steps after a sequence's end give zeros.
    if (y && lengths) std::fill_n(y, outputs[0]->values().size(), T(0));
    parallel_for(options.directions, 1, [&](int64_t begin, int64_t end) {
      for (int64_t d = begin; d < end; ++d) {
        Direction<T>(options, static_cast<int>(d), sizes, inputs, lengths)
            .run(y, data_or_null<T>(outputs[1]), data_or_null<T>(outputs[2]));
      }
    });
  });
  for (auto& output : outputs) {
    if (output) output->finish();
  }
}

}  // namespace plica
