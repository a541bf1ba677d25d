// Scan: a subgraph for each slice of its inputs; state goes from one to the next, results are put together.
//   (state..., y_t...) = body(state..., x_t...)
// https://onnx.ai/onnx/operators/onnx__Scan.html. Opset 8 has a batch axis in front of everything and the
// sequence on axis 1; each batch entry is a scan of its own, of as many steps as sequence_lens says.
#include <algorithm>

#include "engine/core/fail.h"
#include "engine/ops/control.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/pieces.h"

namespace plica {
namespace {

struct ScanParts {
  const Graph& body;
  bool batched;           // opset 8
  int first;              // input of the node that is the first state
  int states, sequences;  // inputs of the body
  int scanned;            // outputs

  template <class Context>
  explicit ScanParts(const Context& context)
      : body(context.attributes().graph("body")), batched(context.def().until < 9), first(batched ? 1 : 0) {
    const int64_t count = context.attributes().i("num_scan_inputs");
    const int values = context.num_inputs() - first;
    require(count >= 1 && count <= values, ErrorCode::invalid_model,
            "num_scan_inputs is {}, the node has {} inputs", count, values);
    sequences = static_cast<int>(count);
    states = values - sequences;
    scanned = context.num_outputs() - states;
    require(std::ssize(body.inputs()) == values, ErrorCode::invalid_model,
            "the body has {} inputs, the node {}", body.inputs().size(), values);
    require(scanned >= 0 && std::ssize(body.outputs()) == context.num_outputs(), ErrorCode::invalid_model,
            "the body has {} outputs, the node {}", body.outputs().size(), context.num_outputs());
  }
};

// One number for each input or output; zeros when the attribute is not there.
template <class Context>
std::vector<int64_t> per_value(const Context& context, std::string_view name, int count) {
  std::vector<int64_t> list = context.attributes().defines(name)
                                  ? context.attributes().maybe_ints(name).value_or(std::vector<int64_t>())
                                  : std::vector<int64_t>();
  if (list.empty()) list.assign(static_cast<size_t>(count), 0);
  require(std::ssize(list) == count, ErrorCode::invalid_model, "{} has {} elements, expected {}", name,
          list.size(), count);
  return list;
}

struct ScanLayout {
  std::vector<int64_t> input_axes, output_axes;
  std::vector<int64_t> input_reversed, output_reversed;

  template <class Context>
  ScanLayout(const Context& context, const ScanParts& parts)
      : input_axes(per_value(context, "scan_input_axes", parts.sequences)),
        output_axes(per_value(context, "scan_output_axes", parts.scanned)),
        input_reversed(
            per_value(context, parts.batched ? "directions" : "scan_input_directions", parts.sequences)),
        output_reversed(per_value(context, "scan_output_directions", parts.scanned)) {
    for (const auto* list : {&input_reversed, &output_reversed}) {
      for (int64_t d : *list) require(d == 0 || d == 1, ErrorCode::invalid_model, "a direction is {}", d);
    }
  }
};

// Shapes of the slices of a sequence: without its axis; with its length merged into `steps`.
std::optional<Shape> slice_shape(const std::optional<Shape>& shape, int64_t axis, Dim& steps) {
  if (!shape) return std::nullopt;
  const int at = normalize_axis(axis, shape->rank());
  steps = merge(steps, (*shape)[at]);
  std::vector<Dim> dims(shape->begin(), shape->end());
  dims.erase(dims.begin() + at);
  return Shape(std::move(dims));
}

std::optional<Shape> with_axis(const std::optional<Shape>& shape, int at, Dim size) {
  if (!shape) return std::nullopt;
  std::vector<Dim> dims(shape->begin(), shape->end());
  dims.insert(dims.begin() + at, std::move(size));
  return Shape(std::move(dims));
}

void infer_scan(InferContext& context) {
  const ScanParts parts(context);
  const ScanLayout layout(context, parts);
  Dim steps, batch;
  std::vector<Type> inputs;
  for (int i = 0; i < parts.states + parts.sequences; ++i) {
    Type type = context.input(parts.first + i).type;
    if (parts.batched) type.shape = slice_shape(type.shape, 0, batch);
    if (i >= parts.states)
      type.shape = slice_shape(type.shape, layout.input_axes[static_cast<size_t>(i - parts.states)], steps);
    inputs.push_back(std::move(type));
  }
  const std::vector<Facts> results = context.infer_body(parts.body, inputs);
  for (int i = 0; i < context.num_outputs(); ++i) {
    Type type = results[static_cast<size_t>(i)].type;
    if (i < parts.states) {
      type = common_type(inputs[static_cast<size_t>(i)], type);
    } else if (type.shape) {
      const int64_t axis = layout.output_axes[static_cast<size_t>(i - parts.states)];
      type.shape = with_axis(type.shape, normalize_axis(axis, type.shape->rank() + 1), steps);
    }
    if (parts.batched) type.shape = with_axis(type.shape, 0, batch);
    context.set_output(i, std::move(type));
  }
}

// States and sequences in, states and scanned values out.
std::vector<Tensor> scan(const EvaluateContext& context, const ScanParts& parts, const ScanLayout& layout,
                         std::vector<Tensor> inputs, int64_t steps) {
  std::vector<std::vector<Tensor>> scanned(static_cast<size_t>(parts.scanned));
  std::vector<Tensor> states(inputs.begin(), inputs.begin() + parts.states);
  for (int64_t t = 0; t < steps; ++t) {
    std::vector<Tensor> now = std::move(states);
    for (int i = 0; i < parts.sequences; ++i) {
      const auto s = static_cast<size_t>(i);
      const Tensor& sequence = inputs[static_cast<size_t>(parts.states + i)];
      const int axis = normalize_axis(layout.input_axes[s], sequence.rank());
      const int64_t at = layout.input_reversed[s] ? sequence.dim(axis) - 1 - t : t;
      now.push_back(without_axis(slice_of(sequence, axis, at, 1), axis));
    }
    std::vector<Tensor> results = context.run_body(parts.body, std::move(now));
    states.assign(std::make_move_iterator(results.begin()),
                  std::make_move_iterator(results.begin() + parts.states));
    for (size_t i = 0; i < scanned.size(); ++i) {
      scanned[i].push_back(std::move(results[static_cast<size_t>(parts.states) + i]));
    }
  }
  for (size_t i = 0; i < scanned.size(); ++i) {
    if (layout.output_reversed[i]) std::ranges::reverse(scanned[i]);
    if (scanned[i].empty()) {
      const Value* declared = parts.body.outputs()[static_cast<size_t>(parts.states) + i];
      states.push_back(nothing_scanned(*declared, layout.output_axes[i]));
    } else {
      states.push_back(stack(scanned[i], normalize_axis(layout.output_axes[i], scanned[i][0].rank() + 1)));
    }
  }
  return states;
}

// The common length of the sequences.
int64_t steps_of(const std::vector<Tensor>& inputs, const ScanParts& parts, const ScanLayout& layout) {
  int64_t steps = -1;
  for (int i = 0; i < parts.sequences; ++i) {
    const Tensor& sequence = inputs[static_cast<size_t>(parts.states + i)];
    const int64_t own =
        sequence.dim(normalize_axis(layout.input_axes[static_cast<size_t>(i)], sequence.rank()));
    require(steps < 0 || own == steps, ErrorCode::invalid_argument, "sequences have lengths {} and {}", steps,
            own);
    steps = own;
  }
  return steps;
}

std::vector<Tensor> scan_batch(const EvaluateContext& context, const ScanParts& parts,
                               const ScanLayout& layout, const std::vector<Tensor>& inputs) {
  const int64_t batch = inputs.front().rank() > 0 ? inputs.front().dim(0) : 0;
  const Tensor* lengths = context.maybe_input(0);
  require(!lengths || lengths->size() == batch, ErrorCode::invalid_argument,
          "{} sequence lengths for a batch of {}", lengths ? lengths->size() : 0, batch);
  require(batch > 0, ErrorCode::unsupported, "a batch of 0");
  std::vector<std::vector<Tensor>> outputs(static_cast<size_t>(context.num_outputs()));
  for (int64_t b = 0; b < batch; ++b) {
    std::vector<Tensor> own;
    for (const Tensor& t : inputs) {
      require(t.rank() > 0 && t.dim(0) == batch, ErrorCode::invalid_argument, "{} has no batch of {}",
              to_string(t), batch);
      own.push_back(without_axis(slice_of(t, 0, b, 1), 0));
    }
    const int64_t most = steps_of(own, parts, layout);
    const int64_t steps = lengths ? lengths->data<int64_t>()[b] : most;
    require(steps >= 0 && steps <= most, ErrorCode::invalid_argument, "sequence length {} of {}", steps,
            most);
    std::vector<Tensor> results = scan(context, parts, layout, std::move(own), steps);
    for (size_t i = 0; i < outputs.size(); ++i) {
      Tensor& y = results[i];
      // Shorter sequences are filled up with zeros.
      if (static_cast<int>(i) >= parts.states && steps < most) {
        Dims rest = y.dims();
        rest[0] = most - steps;
        const Tensor padded[] = {y, Tensor::zeros(y.type(), std::move(rest))};
        y = concatenate(padded, 0);
      }
      outputs[i].push_back(std::move(y));
    }
  }
  std::vector<Tensor> whole;
  for (const auto& list : outputs) whole.push_back(stack(list, 0));
  return whole;
}

void evaluate_scan(EvaluateContext& context) {
  const ScanParts parts(context);
  const ScanLayout layout(context, parts);
  std::vector<Tensor> inputs;
  for (int i = parts.first; i < context.num_inputs(); ++i) inputs.push_back(context.input(i));
  std::vector<Tensor> outputs = parts.batched
                                    ? scan_batch(context, parts, layout, inputs)
                                    : scan(context, parts, layout, inputs, steps_of(inputs, parts, layout));
  for (int i = 0; i < context.num_outputs(); ++i)
    context.set_output(i, std::move(outputs[static_cast<size_t>(i)]));
}

}  // namespace

std::vector<OpDef> scan_ops() {
  const AttributeDef body{"body", AttributeType::graph, Required{}};
  const AttributeDef count{"num_scan_inputs", AttributeType::int_, Required{}};
  const auto list = [](std::string_view name) { return AttributeDef{name, AttributeType::ints, Optional{}}; };
  const OpDef scan{.name = "Scan",
                   .max_inputs = kUnlimited,
                   .max_outputs = kUnlimited,
                   .input_types = {types::kAll},
                   .infer = infer_scan,
                   .evaluate = evaluate_scan};
  OpDef batched = for_versions(scan, 8, 8, {body, count, list("directions")});
  batched.min_inputs = 0;
  batched.input_types = {types::kInt64, types::kAll};
  return {std::move(batched), for_versions(scan, 9, kLatestOpset,
                                           {body, count, list("scan_input_axes"), list("scan_output_axes"),
                                            list("scan_input_directions"), list("scan_output_directions")})};
}

}  // namespace plica
