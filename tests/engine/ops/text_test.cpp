#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Ints = std::vector<int64_t>;
using Strings = std::vector<std::string>;

Tensor texts(Dims dims, const Strings& values) { return Tensor::of(values, std::move(dims)); }
Tensor texts(const Strings& values) { return texts({static_cast<int64_t>(values.size())}, values); }

TEST(Text, ConcatBroadcasts) {
  EXPECT_TENSOR(run("StringConcat", 20, {texts({2, 1}, {"a", "b"}), texts({"x", ""})}),
                texts({2, 2}, {"ax", "a", "bx", "b"}));
  EXPECT_TENSOR(run("StringConcat", 20, {texts({}, {"ä"}), texts({}, {"ö"})}), texts({}, {"äö"}));
  EXPECT_TENSOR(run("StringConcat", 20, {texts({0}, {}), texts({1}, {"x"})}), texts({0}, {}));
  expect_error(
      [] {
        run("StringConcat", 20, {texts({"a", "b"}), texts({"a", "b", "c"})});
      },
      ErrorCode::invalid_model, "cannot be broadcast");
}

TEST(Text, SplitAtADelimiter) {
  const auto y =
      run_all("StringSplit", 20, {texts({"a,b", ",", "", "a,,b"})}, {{"delimiter", std::string(",")}}, 2);
  EXPECT_TENSOR(y[0], texts({4, 3}, {"a", "b", "", "", "", "", "", "", "", "a", "", "b"}));
  EXPECT_TENSOR(y[1], ints({4}, {2, 2, 1, 3}));
  const auto limited = run_all("StringSplit", 20, {texts({}, {"a--b--c"})},
                               {{"delimiter", std::string("--")}, {"maxsplit", int64_t{1}}}, 2);
  EXPECT_TENSOR(limited[0], texts({2}, {"a", "b--c"}));
  EXPECT_TENSOR(limited[1], ints({}, {2}));
}

TEST(Text, SplitAtWhiteSpace) {
  const auto y = run_all("StringSplit", 20, {texts({1, 2}, {"  a \t b\n", " "})}, {}, 2);
  EXPECT_TENSOR(y[0], texts({1, 2, 2}, {"a", "b", "", ""}));
  EXPECT_TENSOR(y[1], ints({1, 2}, {2, 0}));
  const NamedAttributes one = {{"maxsplit", int64_t{1}}, {"delimiter", std::string()}};
  EXPECT_TENSOR(run_all("StringSplit", 20, {texts({" a  b c ", "d "})}, one, 2)[0],
                texts({2, 2}, {"a", "b c ", "d", ""}));
  EXPECT_TENSOR(run_all("StringSplit", 20, {texts({0}, {})}, {}, 2)[0], texts({0, 0}, {}));
  const auto facts = infer_all("StringSplit", 20, {typed(DataType::string, Shape{symbol("N")})}, {}, 2);
  EXPECT_EQ(to_string(facts[0].type), "string[N, ?]");
  EXPECT_EQ(to_string(facts[1].type), "int64[N]");
}

TEST(Text, RegexMatchesTheWhole) {
  const auto matches = [](const Strings& values, const std::string& pattern) {
    return doubles(run("RegexFullMatch", 20, {texts(values)}, {{"pattern", pattern}}));
  };
  EXPECT_EQ(matches({"abc", "xabc", "abcx", ""}, "a.c"), (std::vector<double>{1, 0, 0, 0}));
  EXPECT_EQ(matches({"ä", "ab"}, "."), (std::vector<double>{1, 0}));
  // Linear in the text, where backtracking would take 2^30 steps.
  EXPECT_EQ(matches({std::string(30, 'a')}, "(a*)*b"), (std::vector<double>{0}));
  expect_error([&] { matches({"a"}, "(a"); }, ErrorCode::invalid_model, "none of RE2's");
  expect_error([&] { matches({"a"}, "((a{100}){100}){100}"); }, ErrorCode::invalid_model, "none of RE2's");
  expect_error([&] { run("RegexFullMatch", 20, {texts({"a"})}); }, ErrorCode::invalid_model, "pattern");
  EXPECT_EQ(inferred_type("RegexFullMatch", 20, {typed(DataType::string, Shape{symbol("N")})},
                          {{"pattern", std::string("a")}}),
            "bool[N]");
}

TEST(Text, NormalizerDropsStopWords) {
  const Tensor x = texts({"Monday", "tuesday", "WEDNESDAY"});
  const NamedAttributes loose = {{"stopwords", Strings{"MONDAY"}},
                                 {"case_change_action", std::string("UPPER")}};
  EXPECT_TENSOR(run("StringNormalizer", 10, {x}, loose), texts({"TUESDAY", "WEDNESDAY"}));
  const NamedAttributes strict = {{"stopwords", Strings{"monday", "tuesday"}},
                                  {"is_case_sensitive", int64_t{1}}};
  EXPECT_TENSOR(run("StringNormalizer", 10, {x}, strict), texts({"Monday", "WEDNESDAY"}));
  EXPECT_TENSOR(run("StringNormalizer", 10, {texts({1, 1}, {"monday"})}, strict), texts({1, 1}, {""}));
  EXPECT_TENSOR(run("StringNormalizer", 10, {texts({0}, {})}), texts({""}));
  expect_error(
      [] {
        run("StringNormalizer", 10, {texts({2, 1}, {"a", "b"})});
      },
      ErrorCode::invalid_model, "[C] or [1, C]");
  EXPECT_EQ(inferred_type("StringNormalizer", 10, {typed(DataType::string, Shape{symbol("N"), 3})}),
            "string[1, ?]");
}

TEST(Text, NormalizerChangesTheCaseOfUtf8) {
  const auto changed = [](const std::string& text, const char* action) {
    return run("StringNormalizer", 10, {texts({text})}, {{"case_change_action", std::string(action)}})
        .values<std::string>()[0];
  };
  EXPECT_EQ(changed("ÄÖ Éß ДОМ ΑΣ 中 az", "LOWER"), "äö éß дом ασ 中 az");
  EXPECT_EQ(changed("äö éß дом 中 AZ @[`{", "UPPER"), "ÄÖ Éß ДОМ 中 AZ @[`{");
  // No UTF-8: a lone continuation, an overlong form, a surrogate, a cut-off sequence.
  const std::string broken =
      "\x80"
      "a\xc0\xaf"
      "b\xed\xa0\x80"
      "c\xe4\xb8";
  EXPECT_EQ(changed(broken, "UPPER"),
            "\x80"
            "A\xc0\xaf"
            "B\xed\xa0\x80"
            "C\xe4\xb8");
  expect_error([&] { changed("a", "TITLE"); }, ErrorCode::invalid_model, "case_change_action");
}

// Unigrams 2, 3; bigrams 2 3, 3 4.
NamedAttributes vectorizer(const char* mode, int64_t skips = 0) {
  return {{"mode", std::string(mode)},     {"pool_int64s", Ints{2, 3, 2, 3, 3, 4}},
          {"ngram_counts", Ints{0, 2}},    {"ngram_indexes", Ints{0, 1, 3, 2}},
          {"min_gram_length", int64_t{1}}, {"max_gram_length", int64_t{2}},
          {"max_skip_count", skips},       {"weights", std::vector<float>{10, 20, 30, 40}}};
}

TEST(Text, TfIdfCountsNGrams) {
  const Tensor x = ints({2, 4}, {2, 3, 2, 3, 3, 5, 4, 2});
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {x}, vectorizer("TF")), floats({2, 4}, {2, 2, 0, 2, 1, 1, 0, 0}));
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {x}, vectorizer("IDF")),
                floats({2, 4}, {10, 20, 0, 40, 10, 20, 0, 0}));
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {x}, vectorizer("TFIDF")),
                floats({2, 4}, {20, 40, 0, 80, 10, 20, 0, 0}));
  // One token between: 2 . 2, 3 . 3 of the first row; 3 . 4, 5 . 2 of the second. However many may be
  // skipped, there are no more; two between: 2 . . 3.
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {x}, vectorizer("TF", 1)),
                floats({2, 4}, {2, 2, 0, 2, 1, 1, 1, 0}));
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {x}, vectorizer("TF", INT64_MAX)),
                floats({2, 4}, {2, 2, 0, 3, 1, 1, 1, 0}));
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {Tensor::vector<int32_t>({3})}, vectorizer("TF")),
                floats({4}, {0, 1, 0, 0}));
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {ints({0}, {})}, vectorizer("TF")), floats({4}, {0, 0, 0, 0}));
  const NamedAttributes words = {{"mode", std::string("TF")},     {"pool_strings", Strings{"a", "b"}},
                                 {"ngram_counts", Ints{0, 0}},    {"ngram_indexes", Ints{0}},
                                 {"min_gram_length", int64_t{2}}, {"max_gram_length", int64_t{2}},
                                 {"max_skip_count", int64_t{0}}};
  EXPECT_TENSOR(run("TfIdfVectorizer", 9, {texts({"a", "b", "a", "b"})}, words), floats({1}, {2}));
}

TEST(Text, TfIdfRefusesWhatDoesNotFit) {
  const Tensor x = ints({1}, {2});
  const auto refused = [&](const char* name, AttributeValue value, const std::string& part) {
    auto attributes = vectorizer("TFIDF");
    for (auto& [key, old] : attributes) {
      if (key == name) old = value;
    }
    expect_error([&] { run("TfIdfVectorizer", 9, {x}, attributes); }, ErrorCode::invalid_model, part);
  };
  refused("mode", std::string("X"), "mode is");
  refused("ngram_counts", Ints{0, 7}, "does not fit a pool of 6");
  refused("ngram_counts", Ints{0, 3}, "does not fit a pool of 6");
  refused("ngram_counts", Ints{0, -2}, "does not fit a pool of 6");
  refused("ngram_indexes", Ints{0, 1, 2}, "4 n-grams in the pool, but 3");
  refused("ngram_indexes", Ints{0, 1, 2, -1}, "ngram_indexes");
  refused("ngram_indexes", Ints{0, 1, 2, 9}, "4 weights for 10 coordinates");
  refused("max_gram_length", int64_t{0}, "max_gram_length 0");
  expect_error([] { run("TfIdfVectorizer", 9, {texts({"a"})}, vectorizer("TF")); }, ErrorCode::invalid_model,
               "the pool is of integers");
}

}  // namespace
}  // namespace plica::test
