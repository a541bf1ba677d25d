// com.microsoft: Tokenizer. What is expected is what ONNX Runtime 1.32 gives.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Strings = std::vector<std::string>;

Tensor texts(Dims dims, const Strings& values) { return Tensor::of(values, std::move(dims)); }

Tensor tokens(const Tensor& x, const NamedAttributes& own, int64_t least = 1, int64_t mark = 0) {
  NamedAttributes attributes = {{"mark", mark}, {"mincharnum", least}, {"pad_value", std::string("#")}};
  attributes.insert(attributes.end(), own.begin(), own.end());
  return run("Tokenizer", 1, {x}, attributes, "com.microsoft");
}
NamedAttributes separators(const Strings& list) { return {{"separators", list}}; }
NamedAttributes expression(const std::string& text) { return {{"tokenexp", text}}; }

TEST(Tokenizer, Separators) {
  EXPECT_TENSOR(tokens(texts({2}, {"Hello World", "I love computer science !"}), separators({" "})),
                texts({2, 5}, {"Hello", "World", "#", "#", "#", "I", "love", "computer", "science", "!"}));
  // One after the other; nothing is left between 1 and b, nor after 22.
  EXPECT_TENSOR(tokens(texts({1, 2}, {"a1b22", "zz"}), separators({"[0-9]+", "b"})),
                texts({1, 2, 1}, {"a", "zz"}));
  EXPECT_TENSOR(tokens(texts({2}, {"abc", "xxb"}), separators({"x*"})), texts({2, 0}, {}));
  EXPECT_TENSOR(tokens(texts({1}, {"a bb äöü"}), separators({" "}), 3), texts({1, 1}, {"äöü"}));
}

TEST(Tokenizer, Expression) {
  EXPECT_TENSOR(
      tokens(texts({2}, {"the cat, it sat", "x"}), expression("[a-z]+"), 2, 1),
      texts({2, 6}, {"\x02", "the", "cat", "it", "sat", "\x03", "\x02", "\x03", "#", "#", "#", "#"}));
  EXPECT_TENSOR(tokens(texts({2}, {"ab", "c"}), expression("a|ab")), texts({2, 1}, {"ab", "#"}));
  EXPECT_TENSOR(tokens(texts({1}, {"abc"}), expression("b*")), texts({1, 1}, {"b"}));
  EXPECT_TENSOR(tokens(texts({1}, {"don't a bb ccc"}), expression("\\b\\w\\w+\\b")),
                texts({1, 3}, {"don", "bb", "ccc"}));
}

TEST(Tokenizer, Characters) {
  const Tensor x = texts({2}, {"äö a", "b"}), y = texts({2, 4}, {"ä", "ö", " ", "a", "b", "#", "#", "#"});
  EXPECT_TENSOR(tokens(x, separators({""})), y);
  EXPECT_TENSOR(tokens(x, expression(".")), y);
  // Bytes that are no UTF-8 end up in some token.
  EXPECT_TENSOR(tokens(texts({1}, {"\x80\xFF\xE4"}), separators({""})),
                texts({1, 3}, {"\x80", "\xFF", "\xE4"}));
}

TEST(Tokenizer, OfNothing) {
  EXPECT_TENSOR(tokens(texts({1}, {"XX"}), separators({"X"}), 1, 1), texts({1, 0}, {}));
  EXPECT_TENSOR(tokens(texts({0}, {}), separators({"X"})), texts({0}, {}));
  EXPECT_TENSOR(tokens(texts({2, 0}, {}), separators({"X"})), texts({2, 0}, {}));
}

TEST(Tokenizer, RefusesWhatDoesNotFit) {
  const Tensor x = texts({1}, {"a"});
  expect_error([&] { tokens(x, {}); }, ErrorCode::invalid_model, "one of separators and tokenexp");
  expect_error([&] { tokens(x, separators({})); }, ErrorCode::invalid_model, "separators is empty");
  expect_error([&] { tokens(x, expression("")); }, ErrorCode::invalid_model, "tokenexp is empty");
  expect_error([&] { tokens(x, expression("(")); }, ErrorCode::invalid_model, "none of RE2's");
  expect_error([&] { tokens(x, separators({" "}), 0); }, ErrorCode::invalid_model, "mincharnum is 0");
  expect_error([&] { tokens(x, separators({""}), 2); }, ErrorCode::invalid_model,
               "the tokens are characters");
  expect_error(
      [&] {
        tokens(texts({1, 1, 1}, {"a"}), separators({" "}));
      },
      ErrorCode::invalid_model, "rank 3");
}

}  // namespace
}  // namespace plica::test
