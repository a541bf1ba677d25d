#include "runtime/onednn/describe.h"

namespace plica::onednn {
namespace {

dnnl::rnn_direction direction_of(RecurrentDirection direction) {
  switch (direction) {
    case RecurrentDirection::forward:
      return dnnl::rnn_direction::unidirectional_left2right;
    case RecurrentDirection::reverse:
      return dnnl::rnn_direction::unidirectional_right2left;
    case RecurrentDirection::both:
      break;
  }
  return dnnl::rnn_direction::bidirectional_concat;
}

template <class Pd>
std::optional<RecurrentPrimitive> finish_recurrent(const std::optional<Pd>& pd) {
  if (!pd) return std::nullopt;
  RecurrentPrimitive r{finish(*pd), pd->weights_layer_desc(), pd->weights_iter_desc()};
  r.primitive.source = pd->src_layer_desc();
  r.primitive.destination = pd->dst_layer_desc();
  return r;
}

template <class Op>
std::optional<RecurrentPrimitive> gated_unit(const RecurrentShape& s) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  return finish_recurrent(attempt([&] {
    return describe_primitive<Op>(attributes, kInference, direction_of(s.direction), s.source, s.source_state,
                                  s.weights_layer, s.weights_state, s.bias, s.destination,
                                  s.destination_state);
  }));
}

std::optional<RecurrentPrimitive> simple(const RecurrentShape& s, dnnl::algorithm activation) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  return finish_recurrent(attempt([&] {
    return describe_primitive<dnnl::vanilla_rnn_forward>(
        attributes, kInference, activation, direction_of(s.direction), s.source, s.source_state,
        s.weights_layer, s.weights_state, s.bias, s.destination, s.destination_state);
  }));
}

std::optional<RecurrentPrimitive> lstm(const RecurrentShape& s) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  // The cell's state is described as the hidden one.
  return finish_recurrent(attempt([&] {
    return describe_primitive<dnnl::lstm_forward>(attributes, kInference, direction_of(s.direction), s.source,
                                                  s.source_state, s.source_state, s.weights_layer,
                                                  s.weights_state, s.peepholes, s.bias, s.destination,
                                                  s.destination_state, s.destination_state);
  }));
}

}  // namespace

std::optional<RecurrentPrimitive> recurrent(const RecurrentShape& s) {
  switch (s.cell) {
    case RecurrentCell::relu:
      return simple(s, dnnl::algorithm::eltwise_relu);
    case RecurrentCell::tanh:
      return simple(s, dnnl::algorithm::eltwise_tanh);
    case RecurrentCell::sigmoid:
      return simple(s, dnnl::algorithm::eltwise_logistic);
    case RecurrentCell::lstm:
      return lstm(s);
    case RecurrentCell::gru:
      return gated_unit<dnnl::gru_forward>(s);
    case RecurrentCell::gru_linear_before_reset:
      break;
  }
  return gated_unit<dnnl::lbr_gru_forward>(s);
}

}  // namespace plica::onednn
