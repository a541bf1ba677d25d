// TfIdfVectorizer: how often each n-gram of a pool occurs in a row, weighted.
// https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html
//
// The pool's n-grams are kept as a tree of tokens (a trie), whose edges are in one hash table.
#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/text.h"

namespace plica {
namespace {

struct Settings {
  enum class Mode { tf, idf, tf_idf };

  Mode mode;
  std::vector<int64_t> counts, indexes, pool_ints;
  std::vector<std::string> pool_strings;
  std::vector<float> weights;
  int64_t min_length, max_length, max_skip;
  int64_t columns = 0;

  explicit Settings(const AttributeReader& attributes)
      : mode(mode_of(attributes.s("mode"))),
        counts(attributes.ints("ngram_counts")),
        indexes(attributes.ints("ngram_indexes")),
        pool_ints(attributes.ints("pool_int64s")),
        pool_strings(attributes.strings("pool_strings")),
        weights(attributes.floats("weights")),
        min_length(attributes.i("min_gram_length")),
        max_length(attributes.i("max_gram_length")),
        max_skip(attributes.i("max_skip_count")) {
    require(pool_ints.empty() != pool_strings.empty(), ErrorCode::invalid_model,
            "one of the attributes pool_int64s and pool_strings must give the pool");
    require(min_length >= 1 && max_length >= min_length && max_skip >= 0, ErrorCode::invalid_model,
            "min_gram_length is {}, max_gram_length {}, max_skip_count {}", min_length, max_length, max_skip);
    require(!indexes.empty() && std::ranges::min(indexes) >= 0 && std::ranges::max(indexes) < INT64_MAX,
            ErrorCode::invalid_model, "ngram_indexes must be coordinates of the output");
    columns = std::ranges::max(indexes) + 1;
    // Each weight belongs to a coordinate: the implementations that models are made for have it so, though
    // the specification speaks of the n-gram's place in the pool.
    require(mode == Mode::tf || weights.empty() || static_cast<int64_t>(weights.size()) >= columns,
            ErrorCode::invalid_model, "{} weights for {} coordinates", weights.size(), columns);
    check_counts();
  }

  bool of_strings() const { return pool_ints.empty(); }
  int64_t pool_size() const {
    return static_cast<int64_t>(of_strings() ? pool_strings.size() : pool_ints.size());
  }
  // The n-grams of length n + 1: [begin(n), begin(n + 1)) in the pool.
  int64_t begin(size_t n) const { return n < counts.size() ? counts[n] : pool_size(); }

 private:
  static Mode mode_of(const std::string& name) {
    if (name == "TF") return Mode::tf;
    if (name == "IDF") return Mode::idf;
    if (name == "TFIDF") return Mode::tf_idf;
    fail(ErrorCode::invalid_model, "mode is {}, it must be TF, IDF or TFIDF", quoted(name));
  }

  void check_counts() const {
    require(pool_size() < std::numeric_limits<int32_t>::max(), ErrorCode::limit, "a pool of {} tokens",
            pool_size());
    require(!counts.empty() && counts[0] == 0, ErrorCode::invalid_model, "ngram_counts must start with 0");
    int64_t ngrams = 0;
    for (size_t n = 0; n < counts.size(); ++n) {
      const int64_t length = static_cast<int64_t>(n) + 1, size = begin(n + 1) - begin(n);
      require(begin(n) >= 0 && begin(n) <= pool_size() && size >= 0 && size % length == 0,
              ErrorCode::invalid_model, "ngram_counts has {} at {}, which does not fit a pool of {} tokens",
              counts[n], n, pool_size());
      ngrams += size / length;
    }
    require(ngrams == static_cast<int64_t>(indexes.size()), ErrorCode::invalid_model,
            "{} n-grams in the pool, but {} ngram_indexes", ngrams, indexes.size());
  }
};

class NGrams {
 public:
  explicit NGrams(const Settings& a) {
    number_tokens(a);
    std::vector<int32_t> pool(static_cast<size_t>(a.pool_size()));
    for (size_t i = 0; i < pool.size(); ++i)
      pool[i] = a.of_strings() ? of_string_.at(a.pool_strings[i]) : of_int_.at(a.pool_ints[i]);
    columns_.push_back(kNone);  // the root
    size_t ngram = 0;
    for (size_t n = 0; n < a.counts.size(); ++n) {
      const auto length = static_cast<int64_t>(n) + 1;
      for (int64_t at = a.begin(n); at < a.begin(n + 1); at += length, ++ngram) {
        if (length < a.min_length || length > a.max_length) continue;
        int32_t node = 0;
        for (int64_t i = at; i < at + length; ++i) node = add_child(node, pool[static_cast<size_t>(i)]);
        columns_[static_cast<size_t>(node)] = a.indexes[ngram];
      }
    }
  }

  static constexpr int32_t kNone = -1;

  // The token of a value; kNone for one that is not in the pool.
  int32_t token(int64_t value) const { return find(of_int_, value); }
  int32_t token(const std::string& value) const { return find(of_string_, std::string_view(value)); }

  // From a node along a token; kNone where no n-gram goes on so. The root is 0.
  int32_t child(int32_t node, int32_t token) const { return find(children_, key(node, token)); }
  // Where the n-gram that ends at the node is counted; kNone where none does.
  int64_t column(int32_t node) const { return columns_[static_cast<size_t>(node)]; }

 private:
  template <class Map, class Key>
  static int32_t find(const Map& map, const Key& key) {
    const auto it = map.find(key);
    return it == map.end() ? kNone : it->second;
  }
  static uint64_t key(int32_t node, int32_t token) {
    return static_cast<uint64_t>(node) << 32 | static_cast<uint32_t>(token);
  }

  void number_tokens(const Settings& a) {
    int32_t next = 0;
    for (const std::string& s : a.pool_strings) next += of_string_.emplace(s, next).second;
    for (const int64_t v : a.pool_ints) next += of_int_.emplace(v, next).second;
  }

  int32_t add_child(int32_t node, int32_t token) {
    const auto [it, added] = children_.emplace(key(node, token), static_cast<int32_t>(columns_.size()));
    if (added) columns_.push_back(kNone);
    return it->second;
  }

  std::unordered_map<std::string_view, int32_t> of_string_;  // views of the settings' strings
  std::unordered_map<int64_t, int32_t> of_int_;
  std::unordered_map<uint64_t, int32_t> children_;
  std::vector<int64_t> columns_;  // by node
};

struct Vectorizer {
  Settings settings;
  NGrams ngrams;  // refers to the settings' strings

  explicit Vectorizer(const AttributeReader& attributes) : settings(attributes), ngrams(settings) {}
  Vectorizer(const Vectorizer&) = delete;
  Vectorizer& operator=(const Vectorizer&) = delete;
};

// Counts the n-grams whose tokens stand 1, 2, ..., max_skip + 1 apart; those of one token once.
void count_ngrams(const NGrams& ngrams, const Settings& a, std::span<const int32_t> row, float* counts) {
  const auto length = static_cast<int64_t>(row.size());
  for (int64_t distance = 1; distance - 1 <= a.max_skip && (distance == 1 || distance < length); ++distance) {
    // How many steps the shortest n-gram takes that is counted at this distance.
    const int64_t steps = distance == 1 ? a.min_length - 1 : std::max<int64_t>(a.min_length - 1, 1);
    if (steps >= a.max_length) break;
    for (int64_t start = 0; start < length && (length - 1 - start) / distance >= steps; ++start) {
      int32_t node = 0;
      int64_t size = 1;
      for (int64_t at = start; at < length && size <= a.max_length; at += distance, ++size) {
        const int32_t token = row[static_cast<size_t>(at)];
        node = token == NGrams::kNone ? NGrams::kNone : ngrams.child(node, token);
        if (node == NGrams::kNone) break;
        if (const int64_t column = ngrams.column(node);
            column != NGrams::kNone && (size > 1 || distance == 1))
          ++counts[column];
      }
    }
  }
}

void weigh(const Settings& a, float* row) {
  if (a.mode == Settings::Mode::tf) return;
  for (int64_t c = 0; c < a.columns; ++c) {
    const float weight = a.weights.empty() ? 1 : a.weights[static_cast<size_t>(c)];
    row[c] = a.mode == Settings::Mode::idf ? (row[c] > 0 ? weight : 0) : row[c] * weight;
  }
}

void infer_vectorizer(InferContext& context) {
  const Settings& a = context.prepared<Vectorizer>().settings;
  const DataType type = context.input_type(0);
  require(type == DataType::undefined || (type == DataType::string) == a.of_strings(),
          ErrorCode::invalid_model, "the pool is of {}, the input of {}",
          a.of_strings() ? "strings" : "integers", to_string(type));
  const auto& shape = context.input_shape(0);
  if (!shape) return context.set_output(0, DataType::float32, std::nullopt);
  require(shape->rank() <= 2, ErrorCode::invalid_model, "the input has rank {}, it must be [C] or [N, C]",
          shape->rank());
  context.set_output(0, DataType::float32,
                     shape->rank() == 2 ? Shape{(*shape)[0], a.columns} : Shape{a.columns});
}

void evaluate_vectorizer(EvaluateContext& context) {
  const auto& [a, ngrams] = context.prepared<Vectorizer>();
  const Tensor x = a.of_strings() ? context.input(0) : cast_tensor(context.input(0), DataType::int64);
  const int64_t rows = x.rank() == 2 ? x.dim(0) : 1, length = x.rank() == 0 ? 1 : x.dim(-1),
                columns = a.columns;
  Tensor& out = context.output();
  float* to = out.mutable_data<float>();
  std::fill_n(to, out.size(), 0.0f);
  parallel_for(rows, 1024 / std::max<int64_t>(1, length) + 1, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> tokens(static_cast<size_t>(length));
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t i = 0; i < length; ++i) {
        tokens[static_cast<size_t>(i)] = a.of_strings() ? ngrams.token(x.data<std::string>()[r * length + i])
                                                        : ngrams.token(x.data<int64_t>()[r * length + i]);
      }
      count_ngrams(ngrams, a, tokens, to + r * columns);
      weigh(a, to + r * columns);
    }
  });
}

}  // namespace

OpDef tf_idf_vectorizer_op() {
  const auto required = [](std::string_view name, AttributeType type) {
    return AttributeDef{name, type, Required{}};
  };
  return {.name = "TfIdfVectorizer",
          .since = 9,
          .input_types = {{DataType::string, DataType::int32, DataType::int64}},
          .attributes = {required("max_gram_length", AttributeType::int_),
                         required("max_skip_count", AttributeType::int_),
                         required("min_gram_length", AttributeType::int_),
                         required("mode", AttributeType::string),
                         required("ngram_counts", AttributeType::ints),
                         required("ngram_indexes", AttributeType::ints),
                         {"pool_int64s", AttributeType::ints, std::vector<int64_t>{}},
                         {"pool_strings", AttributeType::strings, std::vector<std::string>{}},
                         {"weights", AttributeType::floats, std::vector<float>{}}},
          .infer = infer_vectorizer,
          .evaluate = evaluate_vectorizer,
          .prepare = prepare_as<Vectorizer>};
}

}  // namespace plica
