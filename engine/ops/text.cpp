// StringConcat and StringSplit, and the table of the text family.
// https://onnx.ai/onnx/operators/onnx__StringConcat.html, onnx__StringSplit.html
#include "engine/ops/text.h"

#include <algorithm>
#include <string>

#include "engine/core/checked.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

// ---- StringConcat: z = x y, with broadcasting

void infer_concat(InferContext& context) {
  context.set_output(0, DataType::string, broadcast_shapes(context.input_shape(0), context.input_shape(1)));
}

void evaluate_concat(EvaluateContext& context) {
  const Tensor &x = context.input(0), &y = context.input(1);
  Tensor& z = context.output();
  apply_broadcast(x.data<std::string>(), x.dims(), y.data<std::string>(), y.dims(),
                  z.mutable_data<std::string>(), z.dims(),
                  [](const std::string& a, const std::string& b) { return a + b; });
}

// ---- StringSplit: the pieces of each string along a new last axis, filled up with empty strings; and how
// many

void infer_split(InferContext& context) {
  std::optional<Shape> pieces = context.input_shape(0);
  if (pieces) pieces->push_back({});
  context.set_output(0, DataType::string, std::move(pieces));
  context.set_output(1, DataType::int64, context.input_shape(0));
}

// Calls f(piece) for the pieces between delimiters, of which the first `most` count.
template <class F>
void split_at_delimiter(std::string_view text, std::string_view delimiter, int64_t most, const F& f) {
  for (int64_t splits = 0; splits < most; ++splits) {
    const size_t at = text.find(delimiter);
    if (at == std::string_view::npos) break;
    f(text.substr(0, at));
    text.remove_prefix(at + delimiter.size());
  }
  f(text);
}

// The same between runs of white space, which is none of the pieces at the ends either.
template <class F>
void split_at_space(std::string_view text, int64_t most, const F& f) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const auto skip = [&] { text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size())); };
  skip();
  for (int64_t splits = 0; splits < most && !text.empty(); ++splits) {
    const size_t at = std::min(text.find_first_of(kSpace), text.size());
    f(text.substr(0, at));
    text.remove_prefix(at);
    skip();
  }
  if (!text.empty()) f(text);
}

void evaluate_split(EvaluateContext& context) {
  const std::string delimiter = context.attributes().maybe_s("delimiter").value_or("");
  // Without the attribute, or below zero, there is no limit.
  const int64_t limit = context.attributes().maybe_i("maxsplit").value_or(-1),
                most = limit < 0 ? INT64_MAX : limit;
  const auto split = [&](std::string_view text, const auto& f) {
    if (delimiter.empty()) {
      split_at_space(text, most, f);
    } else {
      split_at_delimiter(text, delimiter, most, f);
    }
  };
  const Tensor& x = context.input(0);
  Tensor counts(DataType::int64, x.dims());
  int64_t* count = counts.mutable_data<int64_t>();
  int64_t longest = 0;
  for (const std::string& text : x.values<std::string>()) {
    *count = 0;
    split(text, [&](std::string_view) { ++*count; });
    longest = std::max(longest, *count++);
  }
  Dims dims = x.dims();
  dims.push_back(longest);
  Tensor& out = context.allocate(0, DataType::string, std::move(dims));
  std::string* row = out.mutable_data<std::string>();
  for (const std::string& text : x.values<std::string>()) {
    std::string* to = row;
    split(text, [&](std::string_view piece) { *to++ = piece; });
    std::fill(to, row + longest, std::string());
    row += longest;
  }
  context.share(1, counts);
}

std::vector<OpDef> make_table() {
  return {{.name = "StringConcat",
           .since = 20,
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {types::kString},
           .infer = infer_concat,
           .evaluate = evaluate_concat},
          {.name = "StringSplit",
           .since = 20,
           .min_outputs = 2,
           .max_outputs = 2,
           .input_types = {types::kString},
           .attributes = {{"delimiter", AttributeType::string, Optional{}},
                          {"maxsplit", AttributeType::int_, Optional{}}},
           .infer = infer_split,
           .evaluate = evaluate_split},
          string_normalizer_op(),
          regex_full_match_op(),
          tf_idf_vectorizer_op()};
}

}  // namespace

std::span<const OpDef> text_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
