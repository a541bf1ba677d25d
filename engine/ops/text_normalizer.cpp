// StringNormalizer: drops stop words, and changes the case of the rest.
// https://onnx.ai/onnx/operators/onnx__StringNormalizer.html
#include <string>
#include <unordered_set>

#include "engine/core/fail.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/text.h"
#include "engine/ops/text_case.h"

namespace plica {
namespace {

enum class CaseChange { none, lower, upper };

CaseChange case_change(const AttributeReader& attributes) {
  const std::string name = attributes.s("case_change_action");
  if (name == "NONE") return CaseChange::none;
  if (name == "LOWER") return CaseChange::lower;
  if (name == "UPPER") return CaseChange::upper;
  fail(ErrorCode::invalid_model, "case_change_action is {}, it must be LOWER, UPPER or NONE", quoted(name));
}

class Normalizer {
 public:
  explicit Normalizer(const AttributeReader& attributes)
      : change_(case_change(attributes)), sensitive_(attributes.i("is_case_sensitive") != 0) {
    for (const std::string& word : attributes.strings("stopwords"))
      stop_words_.insert(sensitive_ ? word : to_lower(word));
  }

  bool drops(const std::string& word) const {
    return !stop_words_.empty() && stop_words_.contains(sensitive_ ? word : to_lower(word));
  }
  std::string change(const std::string& word) const {
    return change_ == CaseChange::lower   ? to_lower(word)
           : change_ == CaseChange::upper ? to_upper(word)
                                          : word;
  }

 private:
  CaseChange change_;
  bool sensitive_;
  std::unordered_set<std::string> stop_words_;  // in lower case where that does not matter
};

void infer_normalizer(InferContext& context) {
  context.prepared<Normalizer>();  // checks the attributes
  const auto& shape = context.input_shape(0);
  if (!shape) return context.set_output(0, DataType::string, std::nullopt);
  const int rank = shape->rank();
  const bool fits = rank == 1 || (rank == 2 && (!(*shape)[0].is_known() || (*shape)[0].value() == 1));
  require(fits, ErrorCode::invalid_model, "the input has shape {}, it must be [C] or [1, C]",
          to_string(*shape));
  context.set_output(0, DataType::string, rank == 1 ? Shape{Dim()} : Shape{1, Dim()});
}

void evaluate_normalizer(EvaluateContext& context) {
  const auto& normalizer = context.prepared<Normalizer>();
  std::vector<std::string> kept;
  const Tensor& x = context.input(0);
  for (const std::string& word : x.values<std::string>()) {
    if (!normalizer.drops(word)) kept.push_back(normalizer.change(word));
  }
  if (kept.empty()) kept.emplace_back();  // what the specification gives where nothing is left
  const auto count = static_cast<int64_t>(kept.size());
  Tensor& out = context.allocate(0, DataType::string, x.rank() == 1 ? Dims{count} : Dims{1, count});
  std::ranges::move(kept, out.mutable_data<std::string>());
}

}  // namespace

// The locale is not looked at: which there are differs from machine to machine, and the result must not.
OpDef string_normalizer_op() {
  return {.name = "StringNormalizer",
          .since = 10,
          .input_types = {types::kString},
          .attributes = {{"case_change_action", AttributeType::string, std::string_view("NONE")},
                         {"is_case_sensitive", AttributeType::int_, int64_t{0}},
                         {"locale", AttributeType::string, Optional{}},
                         {"stopwords", AttributeType::strings, std::vector<std::string>{}}},
          .infer = infer_normalizer,
          .evaluate = evaluate_normalizer,
          .prepare = prepare_as<Normalizer>};
}

}  // namespace plica
