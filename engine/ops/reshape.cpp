// Reshape, Flatten, Squeeze, Unsqueeze: the same elements under other dims.
#include <algorithm>
#include <limits>

#include "engine/core/checked.h"
#include "engine/ops/layout.h"

namespace plica {
namespace {

// Output 0 holds the elements of input 0: followed when both are vectors or scalars.
void pass_elements(InferContext& context, const std::optional<Shape>& shape) {
  if (const auto* elements = context.input_elements(0); elements && shape && shape->rank() <= 1) {
    context.set_output_elements(0, *elements);
  }
}

void set_view(InferContext& context, std::optional<Shape> shape) {
  pass_elements(context, shape);
  context.set_output(0, context.input_type(0), std::move(shape));
}

// The same buffer under the output's dims.
void share_reshaped(EvaluateContext& context, Dims dims) {
  context.share(0, context.input(0).reshaped(std::move(dims)));
}

// ---- Reshape

// What a shape's dims multiply to: a known factor, symbols, and whether something unknown is in it.
struct Product {
  int64_t factor = 1;
  std::vector<std::string> symbols;
  bool unknown = false;

  void times(const Dim& d) {
    if (d.is_known())
      factor = checked_mul(factor, d.value());
    else if (d.is_symbol())
      symbols.push_back(d.symbol());
    else
      unknown = true;
  }
};

// What -1 stands for: whole / rest, as far as the symbols cancel out.
Dim divide(Product whole, const Product& rest) {
  for (const std::string& s : rest.symbols) {
    const auto it = std::ranges::find(whole.symbols, s);
    if (it == whole.symbols.end()) return {};
    whole.symbols.erase(it);
  }
  if (whole.unknown || rest.unknown || rest.factor == 0) return {};
  if (whole.symbols.empty()) {
    require(whole.factor % rest.factor == 0, ErrorCode::invalid_model,
            "{} elements do not divide by the {} of the other dimensions", whole.factor, rest.factor);
    return whole.factor / rest.factor;
  }
  if (whole.symbols.size() == 1 && whole.factor == rest.factor) return Dim::symbol(whole.symbols[0]);
  return {};
}

// https://onnx.ai/onnx/operators/onnx__Reshape.html: 0 copies the input's dim (unless allow_zero), -1 takes
// what is left.
Shape reshape(const std::optional<Shape>& in, const std::vector<Dim>& asked, bool allow_zero) {
  Shape out;
  int rest = -1;
  bool has_zero = false;
  for (size_t i = 0; i < asked.size(); ++i) {
    const Dim& d = asked[i];
    const int at = static_cast<int>(i);
    if (!d.is_known() || d.value() > 0) {
      out.push_back(d);
    } else if (d.value() == 0 && !allow_zero) {
      require(!in || at < in->rank(), ErrorCode::invalid_model,
              "dimension {} is to be copied from an input of rank {}", at, in ? in->rank() : 0);
      out.push_back(in ? (*in)[at] : Dim());
    } else if (d.value() == 0) {
      has_zero = true;
      out.push_back(0);
    } else {
      require(d.value() == -1, ErrorCode::invalid_model, "the new shape contains {}", d.value());
      require(rest < 0, ErrorCode::invalid_model, "the new shape contains -1 more than once");
      rest = at;
      out.push_back(Dim());
    }
  }
  require(!(has_zero && rest >= 0), ErrorCode::invalid_model, "the new shape contains both 0 and -1");
  if (!in) return out;
  Product whole, kept;
  for (const Dim& d : *in) whole.times(d);
  for (int i = 0; i < out.rank(); ++i) {
    if (i != rest) kept.times(out[i]);
  }
  const bool complete = whole.symbols.empty() && !whole.unknown && kept.symbols.empty() && !kept.unknown;
  if (rest >= 0) {
    require(!(complete && kept.factor == 0), ErrorCode::invalid_model,
            "-1 beside dimensions of 0 is ambiguous");
    out[rest] = divide(whole, kept);
  } else if (complete) {
    require(whole.factor == kept.factor, ErrorCode::invalid_model, "{} of {} elements cannot become {}",
            to_string(*in), whole.factor, to_string(out));
  }
  return out;
}

bool allows_zero(const AttributeReader& attributes, const OpDef& def) {
  return def.since >= 14 && attributes.i("allowzero") != 0;
}

void infer_reshape(InferContext& context) {
  std::optional<std::vector<Dim>> asked;
  if (context.def().until < 5) {
    const Dims shape = context.attributes().ints("shape");
    asked.emplace(shape.begin(), shape.end());
  } else {
    const auto& shape = context.input_shape(1);
    require(!shape || shape->rank() == 1, ErrorCode::invalid_model,
            "the new shape has rank {}, it must be a vector", shape ? shape->rank() : 0);
    if (const auto* elements = context.input_elements(1))
      asked = *elements;
    else if (shape && (*shape)[0].is_known() && (*shape)[0].value() <= 1024)
      asked.emplace(static_cast<size_t>((*shape)[0].value()));
  }
  if (!asked) return context.set_output(0, context.input_type(0), std::nullopt);
  set_view(context,
           reshape(context.input_shape(0), *asked, allows_zero(context.attributes(), context.def())));
}

void evaluate_reshape(EvaluateContext& context) {
  const Dims asked =
      context.def().until < 5 ? context.attributes().ints("shape") : *ints_of_input(context, 1);
  const Shape out = reshape(Shape(context.input(0).dims()), {asked.begin(), asked.end()},
                            allows_zero(context.attributes(), context.def()));
  share_reshaped(context, *out.known());
}

// ---- Flatten: all dims before `axis` become one, and all from it on.

Dim multiply_all(const Shape& shape, int begin, int end) {
  Dim out = 1;
  for (int i = begin; i < end; ++i) out = multiply(out, shape[i]);
  return out;
}

Shape flatten(const Shape& in, const AttributeReader& attributes) {
  const int64_t given = attributes.i("axis");
  const int axis = given == in.rank() ? in.rank() : normalize_axis(given, in.rank());
  return {multiply_all(in, 0, axis), multiply_all(in, axis, in.rank())};
}

void infer_flatten(InferContext& context) {
  const auto& in = context.input_shape(0);
  context.set_output(0, context.input_type(0), in ? flatten(*in, context.attributes()) : Shape{Dim(), Dim()});
}

void evaluate_flatten(EvaluateContext& context) {
  share_reshaped(context, *flatten(Shape(context.input(0).dims()), context.attributes()).known());
}

// ---- Squeeze, Unsqueeze

// The axes: an attribute before opset 13, then an input. `given` says that there are some, known or not.
struct Axes {
  bool given;
  std::optional<Dims> values;
};

template <class Context>
Axes axes_of(const Context& context) {
  if (context.def().until < 13) {
    auto values = context.attributes().maybe_ints("axes");
    return {values.has_value(), std::move(values)};
  }
  return {context.has_input(1), ints_of_input(context, 1)};
}

Shape squeeze(const Shape& in, const Axes& axes) {
  Shape out;
  if (!axes.given) {
    for (const Dim& d : in) {
      if (!d.is_known() || d.value() != 1) out.push_back(d);
    }
    return out;
  }
  const std::vector<int> dropped = normalize_axes(*axes.values, in.rank());
  for (int i = 0; i < in.rank(); ++i) {
    if (!std::ranges::binary_search(dropped, i)) {
      out.push_back(in[i]);
      continue;
    }
    require(!in[i].is_known() || in[i].value() == 1, ErrorCode::invalid_model,
            "axis {} of {} has not the size 1", i, to_string(in));
  }
  return out;
}

void infer_squeeze(InferContext& context) {
  const auto& in = context.input_shape(0);
  const Axes axes = axes_of(context);
  // Without axes the rank depends on every dim.
  const bool known = in && (axes.given ? axes.values.has_value() : in->is_known());
  if (known) return set_view(context, squeeze(*in, axes));
  context.set_output(0, context.input_type(0), std::nullopt);
}

void evaluate_squeeze(EvaluateContext& context) {
  share_reshaped(context, *squeeze(Shape(context.input(0).dims()), axes_of(context)).known());
}

Shape unsqueeze(const Shape& in, const Dims& axes) {
  const int rank = in.rank() + static_cast<int>(std::min<size_t>(axes.size(), 1 << 20));
  const std::vector<int> added = normalize_axes(axes, rank);
  Shape out;
  for (int i = 0, next = 0; i < rank; ++i)
    out.push_back(std::ranges::binary_search(added, i) ? Dim(1) : in[next++]);
  return out;
}

void infer_unsqueeze(InferContext& context) {
  const auto& in = context.input_shape(0);
  const Axes axes = axes_of(context);
  if (in && axes.values) return set_view(context, unsqueeze(*in, *axes.values));
  context.set_output(0, context.input_type(0), std::nullopt);
}

void evaluate_unsqueeze(EvaluateContext& context) {
  share_reshaped(context, *unsqueeze(Shape(context.input(0).dims()), *axes_of(context).values).known());
}

}  // namespace

std::vector<OpDef> reshape_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "Reshape",
                 .until = 4,
                 .input_types = {types::kAll},
                 .attributes = {{"consumed_inputs", AttributeType::ints, Optional{}},
                                {"shape", AttributeType::ints, Required{}}},
                 .infer = infer_reshape,
                 .evaluate = evaluate_reshape});
  OpDef reshape{.name = "Reshape",
                .since = 5,
                .until = 13,
                .min_inputs = 2,
                .max_inputs = 2,
                .input_types = {types::kAll, types::kInt64},
                .infer = infer_reshape,
                .evaluate = evaluate_reshape};
  ops.push_back(reshape);
  reshape.since = 14;
  reshape.until = kLatestOpset;
  reshape.attributes = {{"allowzero", AttributeType::int_, int64_t{0}}};
  ops.push_back(reshape);
  ops.push_back({.name = "Flatten",
                 .input_types = {types::kAll},
                 .attributes = {{"axis", AttributeType::int_, int64_t{1}}},
                 .infer = infer_flatten,
                 .evaluate = evaluate_flatten});
  ops.push_back({.name = "Squeeze",
                 .until = 12,
                 .input_types = {types::kAll},
                 .attributes = {{"axes", AttributeType::ints, Optional{}}},
                 .infer = infer_squeeze,
                 .evaluate = evaluate_squeeze});
  ops.push_back({.name = "Squeeze",
                 .since = 13,
                 .max_inputs = 2,
                 .input_types = {types::kAll, types::kInt64},
                 .infer = infer_squeeze,
                 .evaluate = evaluate_squeeze});
  ops.push_back({.name = "Unsqueeze",
                 .until = 12,
                 .input_types = {types::kAll},
                 .attributes = {{"axes", AttributeType::ints, Required{}}},
                 .infer = infer_unsqueeze,
                 .evaluate = evaluate_unsqueeze});
  ops.push_back({.name = "Unsqueeze",
                 .since = 13,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kAll, types::kInt64},
                 .infer = infer_unsqueeze,
                 .evaluate = evaluate_unsqueeze});
  return ops;
}

}  // namespace plica
