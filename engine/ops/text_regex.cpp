// RegexFullMatch, by RE2: linear in the string's length, with bounded memory whatever the pattern.
// https://onnx.ai/onnx/operators/onnx__RegexFullMatch.html
#include <re2/re2.h>

#include <string>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/text.h"

namespace plica {
namespace {

class Pattern {
 public:
  explicit Pattern(const AttributeReader& attributes) : regex_(attributes.s("pattern"), options()) {
    require(regex_.ok(), ErrorCode::invalid_model, "the pattern {} is none of RE2's: {}",
            quoted(regex_.pattern()), escaped(regex_.error()));
  }

  bool matches(const std::string& text) const { return RE2::FullMatch(text, regex_); }

 private:
  static RE2::Options options() {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(int64_t{8} << 20);  // of the compiled pattern, with the states that matching keeps
    return options;
  }

  RE2 regex_;
};

void infer_match(InferContext& context) {
  context.prepared<Pattern>();  // throws where it is none
  context.set_output(0, DataType::boolean, context.input_shape(0));
}

void evaluate_match(EvaluateContext& context) {
  const auto& pattern = context.prepared<Pattern>();
  const std::string* in = context.input(0).data<std::string>();
  bool* out = context.output().mutable_data<bool>();
  parallel_for(context.input(0).size(), 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = pattern.matches(in[i]);
  });
}

}  // namespace

OpDef regex_full_match_op() {
  return {.name = "RegexFullMatch",
          .since = 20,
          .input_types = {types::kString},
          .attributes = {{"pattern", AttributeType::string, Required{}}},
          .infer = infer_match,
          .evaluate = evaluate_match,
          .prepare = prepare_as<Pattern>};
}

}  // namespace plica
