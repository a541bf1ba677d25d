// RNN, GRU and LSTM by oneDNN's primitives. Weights are packed once, in oneDNN's order of gates; the layouts
// of the node that are not oneDNN's ([T, N, D * hidden] and [1, D, N, hidden]) are steps around it.
//
// The cells are the same on both sides. A GRU's update gate too, which keeps the old state:
//   H = (1 - z) * candidate + z * H   (ONNX operator GRU; oneDNN, RNN primitive, GRU)
#include <algorithm>
#include <array>
#include <functional>

#include "runtime/kernels/families.h"

namespace plica {
namespace {

// ---- from ONNX's order of gates to oneDNN's; the first axis is the direction

// Of [D, kCount * n]: gate g of the result is gate gates[g].
template <size_t kCount>
Tensor pick_gates(const Tensor& t, const std::array<int, kCount>& gates) {
  Tensor out(t.type(), t.dims());
  const int64_t block = t.size() / t.dim(0) / static_cast<int64_t>(kCount);
  const float* from = t.data<float>();
  float* to = out.mutable_data<float>();
  for (int64_t d = 0; d < t.dim(0); ++d, from += block * static_cast<int64_t>(kCount)) {
    for (const int gate : gates) to = std::copy_n(from + gate * block, block, to);
  }
  return out;
}

// Of [D, gates * hidden, terms]: [D, terms, gates, hidden], by blocks that stay in the cache. (oneDNN's
// reorder takes 25 times as long.)
Tensor transpose_weights(const Tensor& t) {
  constexpr int64_t kBlock = 16;
  const int64_t rows = t.dim(1), terms = t.dim(2);
  Tensor out(t.type(), {t.dim(0), terms, rows});
  for (int64_t d = 0; d < t.dim(0); ++d) {
    const float* const from = t.data<float>() + d * rows * terms;
    float* const to = out.mutable_data<float>() + d * rows * terms;
    for (int64_t i0 = 0; i0 < terms; i0 += kBlock) {
      for (int64_t r0 = 0; r0 < rows; r0 += kBlock) {
        for (int64_t i = i0; i < std::min(i0 + kBlock, terms); ++i) {
          for (int64_t r = r0; r < std::min(r0 + kBlock, rows); ++r) to[i * rows + r] = from[r * terms + i];
        }
      }
    }
  }
  return out;
}

// iofc to ifco
Tensor lstm_gates(const Tensor& t) { return pick_gates(t, std::array{0, 2, 3, 1}); }
Tensor lstm_weights(const Tensor& t) { return transpose_weights(lstm_gates(t)); }
// iof to ifo
Tensor lstm_peepholes(const Tensor& t) { return pick_gates(t, std::array{0, 2, 1}); }

// Wb + Rb of [D, 2 * n]
Tensor sum_of_biases(const Tensor& t) {
  const int64_t directions = t.dim(0), n = t.dim(1) / 2;
  Tensor out(t.type(), {directions, n});
  for (int64_t d = 0; d < directions; ++d) {
    const float* const w = t.data<float>() + d * 2 * n;
    std::transform(w, w + n, w + n, out.mutable_data<float>() + d * n, std::plus<>());
  }
  return out;
}
Tensor lstm_bias(const Tensor& t) { return lstm_gates(sum_of_biases(t)); }
// The reset gate is applied between the two biases of the candidate: z, r, Wb of the candidate, Rb of it.
Tensor gru_biases(const Tensor& t) {
  const int64_t directions = t.dim(0), n = t.dim(1) / 6;
  const Tensor sums = sum_of_biases(t);
  Tensor out(t.type(), {directions, 4 * n});
  float* to = out.mutable_data<float>();
  for (int64_t d = 0; d < directions; ++d) {
    const float* const given = t.data<float>() + d * 6 * n;
    to = std::copy_n(sums.data<float>() + d * 3 * n, 2 * n, to);
    to = std::copy_n(given + 2 * n, n, to);
    to = std::copy_n(given + 5 * n, n, to);
  }
  return out;
}

Arrange arranges_bias(RecurrentCell cell) {
  return cell == RecurrentCell::lstm                      ? lstm_bias
         : cell == RecurrentCell::gru_linear_before_reset ? gru_biases
                                                          : sum_of_biases;
}

int64_t gates_of(RecurrentCell cell) {
  if (cell == RecurrentCell::lstm) return 4;
  return cell == RecurrentCell::gru || cell == RecurrentCell::gru_linear_before_reset ? 3 : 1;
}

// ---- one layer

class Layer {
 public:
  Layer(PlanBuilder& builder, const LoweredOp& op, const RecurrentParams& params)
      : builder_(builder), op_(op), params_(params) {
    const Dims &x = builder.value(op.inputs[0]).dims, &r = builder.value(op.inputs[2]).dims;
    steps_ = x[params.batch_first ? 1 : 0];
    batch_ = x[params.batch_first ? 0 : 1];
    input_ = x[2];
    directions_ = r[0];
    hidden_ = r[2];
    gates_ = gates_of(params.cell);
  }

  // False: there is no such primitive, and nothing has been built.
  bool build() {
    const bool has_state = input(5) >= 0 || input(6) >= 0;
    const bool wants_state = output(1) >= 0 || output(2) >= 0;
    const onednn::Desc state = onednn::row_major({1, directions_, batch_, hidden_});
    onednn::RecurrentShape shape;
    shape.cell = params_.cell;
    shape.direction = params_.direction;
    shape.source = onednn::row_major({steps_, batch_, input_});
    if (has_state) shape.source_state = state;
    if (wants_state) shape.destination_state = state;
    shape.weights_layer = wanted_weights(input_);
    shape.weights_state = wanted_weights(hidden_);
    const int64_t biases = gates_ + (params_.cell == RecurrentCell::gru_linear_before_reset ? 1 : 0);
    shape.bias = onednn::row_major({1, directions_, biases, hidden_});
    if (input(7) >= 0) shape.peepholes = onednn::row_major({1, directions_, 3, hidden_});
    shape.destination = onednn::row_major({steps_, batch_, directions_ * hidden_});
    auto made = onednn::recurrent(shape);
    if (!made) return false;

    const bool is_lstm = params_.cell == RecurrentCell::lstm;
    add_source(shape.source);
    if (has_state) add_state(DNNL_ARG_SRC_ITER, 5, state);
    if (has_state && is_lstm) add_state(DNNL_ARG_SRC_ITER_C, 6, state);
    add_weights(DNNL_ARG_WEIGHTS_LAYER, 1, input_, made->weights_layer);
    add_weights(DNNL_ARG_WEIGHTS_ITER, 2, hidden_, made->weights_state);
    if (input(3) >= 0) {
      add_constant(DNNL_ARG_BIAS, 3, shape.bias, shape.bias, arranges_bias(params_.cell));
    } else {
      add_zeros(DNNL_ARG_BIAS, shape.bias);
    }
    if (input(7) >= 0)
      add_constant(DNNL_ARG_WEIGHTS_PEEPHOLE, 7, shape.peepholes, shape.peepholes, lstm_peepholes);
    add_result(DNNL_ARG_DST_LAYER, 0, shape.destination,
               onednn::row_major({steps_, batch_, directions_, hidden_}), layout_of_y());
    if (wants_state) add_result(DNNL_ARG_DST_ITER, 1, state, state, layout_of_state());
    if (wants_state && is_lstm) add_result(DNNL_ARG_DST_ITER_C, 2, state, state, layout_of_state());
    builder_.emit(op_, op_.nodes.front()->op_type(), std::move(made->primitive), operands_);
    for (const auto& [from, to] : moves_) builder_.reorder(node_names(op_), from, to);
    return true;
  }

 private:
  int input(size_t i) const { return i < op_.inputs.size() ? op_.inputs[i] : -1; }
  int output(size_t i) const { return i < op_.outputs.size() ? op_.outputs[i] : -1; }

  // ---- how the node's tensors lie, described by oneDNN's axes

  onednn::Desc layout_of_x() const {
    const int64_t step = params_.batch_first ? input_ : batch_ * input_;
    const int64_t sequence = params_.batch_first ? steps_ * input_ : input_;
    return onednn::strided({steps_, batch_, input_}, {step, sequence, 1});
  }
  onednn::Desc layout_of_y() const {  // [T, D, N, hidden] or [N, T, D, hidden]
    const int64_t all = directions_ * hidden_;
    const Dims strides = params_.batch_first ? Dims{all, steps_ * all, hidden_, 1}
                                             : Dims{batch_ * all, hidden_, batch_ * hidden_, 1};
    return onednn::strided({steps_, batch_, directions_, hidden_}, strides);
  }
  onednn::Desc layout_of_state() const {  // [D, N, hidden] or [N, D, hidden]
    const int64_t all = directions_ * hidden_;
    const Dims strides = params_.batch_first ? Dims{batch_ * all, hidden_, all, 1}
                                             : Dims{batch_ * all, batch_ * hidden_, hidden_, 1};
    return onednn::strided({1, directions_, batch_, hidden_}, strides);
  }

  // A product of one row reads the weights once: with rows of all gates one after another (ldigo) that is a
  // pass over memory. oneDNN's choice is made for more rows. At 256 hidden units its LSTM of one sequence is
  // 1.5 times as fast so, its RNN too; from two sequences on its own choice is as fast or faster.
  onednn::Desc wanted_weights(int64_t terms) const {
    const Dims dims = {1, directions_, terms, gates_, hidden_};
    return batch_ == 1 ? onednn::row_major(dims) : onednn::any_layout(dims);
  }

  // ---- operands

  // The value, which lies as `from` says, as `to`.
  void add_source(const onednn::Desc& to) { add_input(DNNL_ARG_SRC_LAYER, input(0), layout_of_x(), to); }

  void add_state(int number, size_t i, const onednn::Desc& to) {
    if (input(i) >= 0) {
      add_input(number, input(i), layout_of_state(), to);
    } else {
      add_zeros(number, to);
    }
  }

  void add_zeros(int number, const onednn::Desc& desc) {
    const Tensor zeros = Tensor::zeros(DataType::float32, onednn::dims_of(desc));
    operands_.push_back({number, builder_.packed(zeros, desc, desc)});
  }

  void add_input(int number, int v, const onednn::Desc& from, const onednn::Desc& to) {
    const Tensor& constant = builder_.value(v).constant;
    if (constant.defined()) {
      operands_.push_back({number, builder_.packed(constant, from, to)});
      return;
    }
    Placement place = builder_.row_major(v);
    if (!onednn::same_placement(from, to)) {
      const Placement copy = builder_.allocate_temporary(to);
      place.desc = from;
      builder_.reorder(node_names(op_), place, copy);
      place = copy;
    }
    place.desc = to;
    operands_.push_back({number, place});
  }

  void add_weights(int number, size_t i, int64_t terms, const onednn::Desc& packed) {
    add_constant(number, i, onednn::row_major({1, directions_, terms, gates_, hidden_}), packed,
                 params_.cell == RecurrentCell::lstm ? lstm_weights : transpose_weights);
  }

  void add_constant(int number, size_t i, const onednn::Desc& from, const onednn::Desc& to, Arrange arrange) {
    operands_.push_back({number, builder_.packed(builder_.value(input(i)).constant, from, to, arrange)});
  }

  // The primitive gives the result as `given`, which is `from` by the axes of `to`, where the node has it.
  void add_result(int number, size_t i, const onednn::Desc& given, const onednn::Desc& from,
                  const onednn::Desc& to) {
    const bool moves = output(i) >= 0 && !onednn::same_placement(from, to);
    Placement place = output(i) >= 0 && !moves ? builder_.allocate_row_major(output(i))
                                               : builder_.allocate_temporary(given);
    if (moves) {
      Placement end = builder_.allocate_row_major(output(i));
      end.desc = to;
      place.desc = from;
      moves_.emplace_back(place, end);
    }
    place.desc = given;
    operands_.push_back({number, place});
  }

  PlanBuilder& builder_;
  const LoweredOp& op_;
  const RecurrentParams& params_;
  int64_t steps_, batch_, input_, hidden_, directions_, gates_;
  std::vector<PlanBuilder::PrimitiveOperand> operands_;
  std::vector<std::pair<Placement, Placement>> moves_;
};

}  // namespace

void build_recurrent(PlanBuilder& builder, const LoweredOp& op, const RecurrentParams& p) {
  if (Layer(builder, op, p).build()) return;
  LoweredOp plain = op;
  plain.params = EvaluateParams{};
  build_evaluate(builder, plain);
}

}  // namespace plica
