// Tokenizer, which skl2onnx writes for the text vectorizers of scikit-learn: each string becomes tokens along
// a new last axis, filled up with pad_value. Tokens are what matches `tokenexp`, or what is left between
// matches of the `separators`, one after the other; with separators [""] or tokenexp ".", the characters.
//
// RE2 with the longest match: linear in the string's length, with bounded memory whatever the pattern.
#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/microsoft/microsoft.h"

namespace plica {
namespace {

using Tokens = std::vector<std::string_view>;

// Bytes of the character that starts at `at`: its first and those that UTF-8 marks as continuing it, at most
// three.
size_t character_size(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && end < at + 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return end - at;
}

bool has_characters(std::string_view text, int64_t least) {
  for (size_t at = 0; at < text.size(); at += character_size(text, at)) {
    if (--least <= 0) return true;
  }
  return least <= 0;
}

class Splitter {
 public:
  explicit Splitter(const AttributeReader& attributes) : least_(attributes.i("mincharnum")) {
    require(least_ > 0, ErrorCode::invalid_model, "mincharnum is {}, it must be positive", least_);
    const bool separates = attributes.has("separators");
    require(separates != attributes.has("tokenexp"), ErrorCode::invalid_model,
            "one of separators and tokenexp is needed, and only one");
    const std::vector<std::string> patterns =
        separates ? attributes.strings("separators") : std::vector{attributes.s("tokenexp")};
    require(!patterns.empty() && (separates || !patterns[0].empty()), ErrorCode::invalid_model, "{} is empty",
            separates ? "separators" : "tokenexp");
    if (patterns.size() == 1 && patterns[0] == (separates ? "" : ".")) {
      require(least_ == 1, ErrorCode::invalid_model, "mincharnum is {}, but the tokens are characters",
              least_);
      return;
    }
    keeps_matches_ = !separates;
    for (const std::string& pattern : patterns) {
      patterns_.push_back(std::make_unique<RE2>(pattern, options()));
      require(patterns_.back()->ok(), ErrorCode::invalid_model, "the pattern {} is none of RE2's: {}",
              quoted(pattern), escaped(patterns_.back()->error()));
    }
  }

  Tokens operator()(std::string_view text) const {
    Tokens tokens;
    if (patterns_.empty()) {
      for (size_t at = 0, size; at < text.size(); at += size) {
        size = character_size(text, at);
        tokens.push_back(text.substr(at, size));
      }
    } else if (keeps_matches_) {
      add_matches(text, tokens);
    } else {
      tokens = {text};
      for (const auto& separator : patterns_) {
        Tokens parts;
        for (const std::string_view part : tokens) add_parts(*separator, part, parts);
        tokens = std::move(parts);
      }
    }
    return tokens;
  }

 private:
  static RE2::Options options() {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_longest_match(true);
    options.set_max_mem(int64_t{8} << 20);  // of the compiled pattern, with the states that matching keeps
    return options;
  }

  // The place and size of the first match from `start` on.
  static bool find(const RE2& pattern, std::string_view text, size_t start, size_t& at, size_t& size) {
    re2::StringPiece match;
    const re2::StringPiece all(text.data(), text.size());
    if (start > text.size() || !pattern.Match(all, start, text.size(), RE2::UNANCHORED, &match, 1))
      return false;
    at = static_cast<size_t>(match.data() - text.data());
    size = match.size();
    return true;
  }

  // Where the match is shorter than a token may be, the search goes on after its first character.
  void add_matches(std::string_view text, Tokens& tokens) const {
    for (size_t at = 0, size = 0, start = 0; find(*patterns_[0], text, start, at, size);) {
      const std::string_view match = text.substr(at, size);
      const bool is_token = has_characters(match, least_);
      if (is_token) tokens.push_back(match);
      start = at + (is_token ? size : character_size(text, at));
    }
  }

  // An empty match takes the character after it.
  void add_parts(const RE2& separator, std::string_view text, Tokens& parts) const {
    const auto add = [&](std::string_view part) {
      if (has_characters(part, least_)) parts.push_back(part);
    };
    size_t at = 0, size = 0, start = 0;
    while (find(separator, text, start, at, size)) {
      add(text.substr(start, at - start));
      start = at + (size > 0 ? size : character_size(text, at));
    }
    add(text.substr(std::min(start, text.size())));
  }

  int64_t least_;
  bool keeps_matches_ = false;
  std::vector<std::unique_ptr<RE2>> patterns_;  // none: characters
};

void infer_tokenizer(InferContext& context) {
  const Splitter checked(context.attributes());
  std::optional<Shape> shape = context.input_shape(0);
  if (shape) {
    require(shape->rank() == 1 || shape->rank() == 2, ErrorCode::invalid_model,
            "the input is of rank {}, 1 or 2 is needed", shape->rank());
    const auto dims = shape->known();
    if (!dims) {
      shape.reset();  // A tensor without elements stays one without another axis.
    } else if (checked_elements(*dims) == 0) {
      shape = shape->rank() == 1 ? Shape{0} : Shape{(*shape)[0], 0};
    } else {
      shape->push_back({});
    }
  }
  context.set_output(0, DataType::string, std::move(shape));
}

void evaluate_tokenizer(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  const Splitter split(attributes);
  const Tensor& x = context.input(0);
  Dims dims = x.dims();
  if (x.size() == 0) {
    dims.back() = 0;
    context.allocate(0, DataType::string, std::move(dims));
    return;
  }
  std::vector<Tokens> rows(static_cast<size_t>(x.size()));
  parallel_for(x.size(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) rows[static_cast<size_t>(i)] = split(x.data<std::string>()[i]);
  });
  size_t longest = 0;
  for (const Tokens& row : rows) longest = std::max(longest, row.size());
  const bool mark = attributes.i("mark") != 0 && longest > 0;
  if (mark) longest += 2;
  dims.push_back(static_cast<int64_t>(longest));
  Tensor& y = context.allocate(0, DataType::string, std::move(dims));
  const std::string pad = attributes.s("pad_value");
  std::string* out = y.mutable_data<std::string>();
  for (const Tokens& row : rows) {
    std::string* const end = out + longest;
    if (mark) *out++ = "\x02";
    for (const std::string_view token : row) *out++ = token;
    if (mark) *out++ = "\x03";
    out = std::fill_n(out, end - out, pad);
  }
}

}  // namespace

std::vector<OpDef> tokenizer_ops() {
  return {{.name = "Tokenizer",
           .domain = kMicrosoft,
           .input_types = {types::kString},
           .attributes = {{"mark", AttributeType::int_, Required{}},
                          {"mincharnum", AttributeType::int_, Required{}},
                          {"pad_value", AttributeType::string, Required{}},
                          {"separators", AttributeType::strings, Optional{}},
                          {"tokenexp", AttributeType::string, Optional{}}},
           .infer = infer_tokenizer,
           .evaluate = evaluate_tokenizer}};
}

}  // namespace plica
