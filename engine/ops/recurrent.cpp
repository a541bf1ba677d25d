// RNN, GRU, LSTM: https://onnx.ai/onnx/operators/onnx__RNN.html, onnx__GRU.html, onnx__LSTM.html
#include "engine/ops/recurrent.h"

#include "engine/ops/broadcast.h"
#include "engine/ops/infer.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

std::vector<std::string> default_activations(CellKind kind) {
  switch (kind) {
    case CellKind::rnn:
      return {"Tanh"};
    case CellKind::gru:
      return {"Sigmoid", "Tanh"};
    case CellKind::lstm:
      return {"Sigmoid", "Tanh", "Tanh"};
  }
  return {};
}

template <class T>
std::vector<T> list_or_empty(const std::optional<std::vector<T>>& list) {
  return list ? *list : std::vector<T>();
}

void infer_recurrent(InferContext& context) {
  const RecurrentOptions options = recurrent_options(context.attributes(), context.def());
  const DataType type = common_type(context, 0, 4), rest = common_type(context, 5, context.num_inputs());
  require(type == rest || type == DataType::undefined || rest == DataType::undefined,
          ErrorCode::invalid_model, "the input is of type {}, the initial state or the peepholes {}",
          to_string(type), to_string(rest));
  SharedDim sequence{"seq_length"}, batch{"batch_size"}, input{"input_size"}, hidden{"hidden_size"},
      directions{"num_directions", options.directions};
  if (const auto size = context.attributes().maybe_i("hidden_size")) {
    require(*size > 0, ErrorCode::invalid_model, "hidden_size is {}", *size);
    hidden.dim = *size;
  }
  SharedDim* const outer = options.batch_first ? &batch : &sequence;
  SharedDim* const inner = options.batch_first ? &sequence : &batch;
  match_shape(context, 0, "X", {outer, inner, &input});
  SharedDim stacked{"gates * hidden_size"};
  match_shape(context, 2, "R", {&directions, &stacked, &hidden});
  if (!hidden.dim.is_known() && stacked.dim.is_known()) {
    require(stacked.dim.value() % options.gates == 0, ErrorCode::invalid_model,
            "R has {} rows, no multiple of {} gates", stacked.dim.value(), options.gates);
    hidden.dim = stacked.dim.value() / options.gates;
  }
  const auto times = [&](int factor) { return multiply(hidden.dim, Dim(factor)); };
  if (hidden.dim.is_known()) stacked.refine(times(options.gates), "R");
  match_shape(context, 1, "W", {&directions, &stacked, &input});
  SharedDim bias{"2 * gates * hidden_size", times(2 * options.gates)};
  match_shape(context, 3, "B", {&directions, &bias});
  match_shape(context, 4, "sequence_lens", {&batch});
  SharedDim* const first = options.batch_first ? &batch : &directions;
  SharedDim* const second = options.batch_first ? &directions : &batch;
  match_shape(context, 5, "initial_h", {first, second, &hidden});
  match_shape(context, 6, "initial_c", {first, second, &hidden});
  SharedDim peepholes{"3 * hidden_size", times(3)};
  match_shape(context, 7, "P", {&directions, &peepholes});

  const Shape y = options.batch_first ? Shape{batch.dim, sequence.dim, directions.dim, hidden.dim}
                                      : Shape{sequence.dim, directions.dim, batch.dim, hidden.dim};
  const Shape state{first->dim, second->dim, hidden.dim};
  for (int i = 0; i < context.num_outputs(); ++i) context.set_output(i, type, i == 0 ? y : state);
}

const TypeSet kUntil21 = {DataType::float32, DataType::float64, DataType::float16};

std::vector<OpDef> make_table() {
  std::vector<OpDef> ops;
  const auto add = [&](std::string_view name, int since, int until) {
    const bool is_lstm = name == "LSTM", is_gru = name == "GRU";
    const TypeSet types = since < 22 ? kUntil21 : types::kFloat, lengths = {DataType::int32};
    OpDef def{.name = name,
              .min_inputs = 3,
              .max_inputs = is_lstm ? 8 : 6,
              .min_outputs = 0,
              .max_outputs = is_lstm ? 3 : 2,
              .input_types = {types, types, types, types, lengths, types},
              .infer = infer_recurrent,
              .evaluate = evaluate_recurrent};
    std::vector<AttributeDef> attributes = {{"activation_alpha", AttributeType::floats, Optional{}},
                                            {"activation_beta", AttributeType::floats, Optional{}},
                                            {"clip", AttributeType::float_, Optional{}},
                                            {"direction", AttributeType::string, std::string_view("forward")},
                                            {"hidden_size", AttributeType::int_, Optional{}}};
    if (is_lstm || is_gru) {
      attributes.push_back({"activations", AttributeType::strings, Optional{}});
    } else {
      attributes.push_back({"activations", AttributeType::strings, std::vector<std::string>{"Tanh", "Tanh"}});
    }
    if (is_lstm) attributes.push_back({"input_forget", AttributeType::int_, int64_t{0}});
    if (is_gru && since >= 3) attributes.push_back({"linear_before_reset", AttributeType::int_, int64_t{0}});
    // Whether the node has the output Y, which the node itself shows.
    if (since < 7) attributes.push_back({"output_sequence", AttributeType::int_, int64_t{0}});
    if (since >= 14) attributes.push_back({"layout", AttributeType::int_, int64_t{0}});
    ops.push_back(for_versions(std::move(def), since, until, std::move(attributes)));
  };
  for (const std::string_view name : {"RNN", "GRU", "LSTM"}) {
    if (name == "GRU") {
      add(name, 1, 2);
      add(name, 3, 6);
    } else {
      add(name, 1, 6);
    }
    add(name, 7, 13);
    add(name, 14, 21);
    add(name, 22, kLatestOpset);
  }
  return ops;
}

}  // namespace

RecurrentOptions recurrent_options(const AttributeReader& attributes, const OpDef& def) {
  RecurrentOptions options{};
  options.kind = def.name == "LSTM" ? CellKind::lstm : def.name == "GRU" ? CellKind::gru : CellKind::rnn;
  options.gates = options.kind == CellKind::lstm ? 4 : options.kind == CellKind::gru ? 3 : 1;
  const std::string direction = attributes.s("direction");
  require(direction == "forward" || direction == "reverse" || direction == "bidirectional",
          ErrorCode::invalid_model, "direction is {}, it must be forward, reverse or bidirectional",
          quoted(direction));
  options.directions = direction == "bidirectional" ? 2 : 1;
  options.first_is_reverse = direction == "reverse";
  if (attributes.defines("layout")) {
    const int64_t layout = attributes.i("layout");
    require(layout == 0 || layout == 1, ErrorCode::invalid_model, "layout is {}, it must be 0 or 1", layout);
    options.batch_first = layout == 1;
  }
  if (attributes.defines("input_forget")) options.input_forget = attributes.i("input_forget") != 0;
  if (attributes.defines("linear_before_reset"))
    options.linear_before_reset = attributes.i("linear_before_reset") != 0;
  if (const auto clip = attributes.maybe_f("clip")) {
    require(*clip >= 0, ErrorCode::invalid_model, "clip is {}, it must not be negative", *clip);
    options.clip = *clip;
  }
  const std::vector<std::string> defaults = default_activations(options.kind);
  options.functions = static_cast<int>(defaults.size());
  const size_t needed = defaults.size() * static_cast<size_t>(options.directions);
  std::vector<std::string> names;
  if (attributes.has("activations")) {
    names = attributes.strings("activations");
    require(names.size() >= needed, ErrorCode::invalid_model, "there are {} activations, {} are needed",
            names.size(), needed);
    names.resize(needed);
  } else {
    while (names.size() < needed) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  options.activations = make_activations(names, list_or_empty(attributes.maybe_floats("activation_alpha")),
                                         list_or_empty(attributes.maybe_floats("activation_beta")));
  return options;
}

std::span<const OpDef> recurrent_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
