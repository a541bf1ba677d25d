// TreeEnsemble, TreeEnsembleClassifier and TreeEnsembleRegressor. Their attributes are checked when they are
// compiled, which is when the operator computes: inference looks only at what the outputs' shapes need.
#include "engine/ops/ml/tree_ensemble.h"

#include "engine/core/dispatch.h"
#include "engine/ops/cast.h"
#include "engine/ops/ml/class_labels.h"
#include "engine/ops/ml/post_transform.h"

namespace plica::ml {
namespace {

template <class T>
std::vector<T> base_values(const AttributeReader& attributes) {
  std::vector<float> floats = attributes.floats("base_values");
  if (attributes.defines("base_values_as_tensor")) {
    if (const Tensor* t = attributes.maybe_tensor("base_values_as_tensor")) {
      const Tensor cast = cast_tensor(*t, data_type_of<T>);
      return {cast.values<T>().begin(), cast.values<T>().end()};
    }
  }
  return {floats.begin(), floats.end()};
}

// Calls f(std::type_identity<T>{}) with T as the trees compare, and the input as such.
template <class F>
void with_tree_input(const Tensor& input, F&& f) {
  const Tensor x = cast_tensor(input, tree_type(input.type()));
  dispatch<TypeList<float, double>>(x.type(), [&]<class T>(std::type_identity<T> type) { f(type, x); });
}

template <class T>
void require_row(const Forest<T>& forest, Rows rows) {
  require(rows.features >= forest.features, ErrorCode::invalid_argument,
          "rows of {} features, the trees ask for {}", rows.features, forest.features);
}

// ---- regressors

Aggregate aggregate_of(const AttributeReader& attributes, bool by_number) {
  if (by_number) {
    const int64_t number = attributes.i("aggregate_function");
    require(number >= 0 && number <= static_cast<int64_t>(Aggregate::max), ErrorCode::invalid_model,
            "aggregate_function is {}, it must be 0 to 3", number);
    return static_cast<Aggregate>(number);
  }
  const std::string name = attributes.s("aggregate_function");
  if (name == "AVERAGE") return Aggregate::average;
  if (name == "SUM") return Aggregate::sum;
  if (name == "MIN") return Aggregate::min;
  if (name == "MAX") return Aggregate::max;
  fail(ErrorCode::invalid_model, "aggregate_function is {}, it must be AVERAGE, SUM, MIN or MAX",
       quoted(name));
}

bool is_indexed(const OpDef& def) { return def.name == "TreeEnsemble"; }

int64_t target_count(const AttributeReader& attributes, const OpDef& def) {
  int64_t targets = attributes.maybe_i("n_targets").value_or(0);
  if (!attributes.has("n_targets")) {
    for (const int64_t id : attributes.ints(is_indexed(def) ? "leaf_targetids" : "target_ids"))
      targets = std::max(targets, id < INT64_MAX ? id + 1 : id);
  }
  require(targets > 0, ErrorCode::invalid_model, "n_targets is {}", targets);
  return targets;
}

PostTransform transform_of(const AttributeReader& attributes, const OpDef& def) {
  return is_indexed(def) ? post_transform(attributes.i("post_transform"))
                         : post_transform(attributes.s("post_transform"));
}

void infer_regressor(InferContext& context) {
  const bool indexed = is_indexed(context.def());
  aggregate_of(context.attributes(), indexed);
  transform_of(context.attributes(), context.def());
  const RowDims rows = infer_rows(context.input_shape(0));
  context.set_output(0, indexed ? context.input_type(0) : DataType::float32,
                     Shape{rows.count, target_count(context.attributes(), context.def())});
}

void evaluate_regressor(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  const bool indexed = is_indexed(context.def());
  const Aggregate aggregate = aggregate_of(attributes, indexed);
  const PostTransform transform = transform_of(attributes, context.def());
  const int64_t targets = target_count(attributes, context.def());
  const Rows rows = rows_of(context.input(0).dims());
  with_tree_input(context.input(0), [&]<class T>(std::type_identity<T>, const Tensor& x) {
    const auto forest = indexed ? compile_indexed_nodes<T>(attributes, targets)
                                : compile_named_nodes<T>(attributes, "target", targets);
    require_row(forest, rows);
    std::vector<T> base = indexed ? std::vector<T>{} : base_values<T>(attributes);
    require(base.empty() || static_cast<int64_t>(base.size()) == targets, ErrorCode::invalid_model,
            "{} base_values for {} targets", base.size(), targets);
    const auto trees = static_cast<T>(std::max<size_t>(1, forest.roots.size()));
    Tensor scores(data_type_of<T>, {rows.count, targets});
    T* out = scores.mutable_data<T>();
    score_rows(forest, x.data<T>(), rows, targets, aggregate, [&](int64_t r, const RowScores<T>& row) {
      T* to = out + r * targets;
      for (size_t t = 0; t < row.scores.size(); ++t) {
        to[t] = aggregate == Aggregate::average ? row.scores[t] / trees : row.scores[t];
        if (!base.empty()) to[t] += base[t];
      }
      transform_scores(transform, std::span(to, row.scores.size()));
    });
    cast_elements(scores, context.output());
  });
}

// ---- TreeEnsembleClassifier

struct Classifier {
  ClassLabels labels;
  PostTransform transform;
  bool positive_weights = true;  // no vote is negative: scores are probabilities
  bool single_class = true;      // all votes are for one class

  explicit Classifier(const AttributeReader& attributes)
      : labels(attributes, "classlabels_int64s", "classlabels_strings"),
        transform(post_transform(attributes.s("post_transform"))) {}
};

void infer_classifier(InferContext& context) {
  const Classifier c(context.attributes());
  const RowDims rows = infer_rows(context.input_shape(0));
  context.set_output(0, c.labels.type(), Shape{rows.count});
  context.set_output(1, DataType::float32, Shape{rows.count, static_cast<int64_t>(c.labels.size())});
}

template <class T>
int32_t finish_many_classes(const Classifier& c, const std::vector<T>& base, const RowScores<T>& row) {
  int32_t chosen = -1;
  for (size_t i = 0; i < row.scores.size(); ++i) {
    if (i < base.size()) row.scores[i] += base[i];
    if (!row.voted[i] && i >= base.size()) continue;
    if (chosen < 0 || row.scores[i] > row.scores[static_cast<size_t>(chosen)])
      chosen = static_cast<int32_t>(i);
  }
  transform_scores(c.transform, row.scores);
  return std::max(chosen, 0);
}

// Two classes, as ONNX Runtime has them: a score that only the first class has votes for is the positive
// class's, and becomes two; and the positive class is chosen by its own score alone.
template <class T>
int32_t finish_two_classes(const Classifier& c, const std::vector<T>& base, const RowScores<T>& row) {
  T* scores = row.scores.data();
  const bool both = row.voted[1] != 0;
  for (size_t i = 0; i < base.size(); ++i) scores[i] += base[i];
  const bool probability = c.single_class && c.positive_weights;
  const int32_t chosen = scores[both ? 1 : 0] > (probability ? T{0.5} : T{0}) ? 1 : 0;
  if (both || base.size() == 2) {
    transform_scores(c.transform, row.scores);
  } else {
    transform_binary(c.transform, probability ? BinaryScore::probability : BinaryScore::decision, scores[0],
                     scores);
  }
  return chosen;
}

void evaluate_classifier(EvaluateContext& context) {
  const AttributeReader& attributes = context.attributes();
  Classifier c(attributes);
  const auto classes = static_cast<int64_t>(c.labels.size());
  const Rows rows = rows_of(context.input(0).dims());
  std::vector<int32_t> chosen(static_cast<size_t>(rows.count));
  with_tree_input(context.input(0), [&]<class T>(std::type_identity<T>, const Tensor& x) {
    const auto forest = compile_named_nodes<T>(attributes, "class", classes);
    require_row(forest, rows);
    const auto base = base_values<T>(attributes);
    require(base.empty() || base.size() == 1 || static_cast<int64_t>(base.size()) == classes,
            ErrorCode::invalid_model, "{} base_values for {} classes", base.size(), classes);
    for (const Vote<T>& vote : forest.votes) {
      c.positive_weights = c.positive_weights && vote.weight >= 0;
      c.single_class = c.single_class && vote.target == forest.votes[0].target;
    }
    Tensor scores(data_type_of<T>, {rows.count, classes});
    T* out = scores.mutable_data<T>();
    score_rows(forest, x.data<T>(), rows, classes, Aggregate::sum, [&](int64_t r, const RowScores<T>& row) {
      chosen[static_cast<size_t>(r)] =
          classes == 2 ? finish_two_classes(c, base, row) : finish_many_classes(c, base, row);
      std::ranges::copy(row.scores, out + r * classes);
    });
    c.labels.write(chosen, context.allocate(0, c.labels.type(), {rows.count}));
    cast_elements(scores, context.allocate(1, DataType::float32, scores.dims()));
  });
}

// ---- the table

std::vector<AttributeDef> named_attributes(std::string_view prefix, bool with_tensors) {
  static constexpr std::string_view kClass[] = {"class_ids", "class_nodeids", "class_treeids",
                                                "class_weights", "class_weights_as_tensor"},
                                    kTarget[] = {"target_ids", "target_nodeids", "target_treeids",
                                                 "target_weights", "target_weights_as_tensor"};
  const auto& votes = prefix == "class" ? kClass : kTarget;
  std::vector<AttributeDef> list = {ints(votes[0]),
                                    ints(votes[1]),
                                    ints(votes[2]),
                                    floats(votes[3]),
                                    floats("base_values"),
                                    ints("nodes_falsenodeids"),
                                    ints("nodes_featureids"),
                                    floats("nodes_hitrates"),
                                    ints("nodes_missing_value_tracks_true"),
                                    strings("nodes_modes"),
                                    ints("nodes_nodeids"),
                                    ints("nodes_treeids"),
                                    ints("nodes_truenodeids"),
                                    floats("nodes_values"),
                                    kPostTransform};
  if (with_tensors) {
    for (const std::string_view name :
         {votes[4], std::string_view("base_values_as_tensor"), std::string_view("nodes_hitrates_as_tensor"),
          std::string_view("nodes_values_as_tensor")})
      list.push_back({name, AttributeType::tensor, Optional{}});
  }
  if (prefix == "class") {
    list.push_back(ints("classlabels_int64s"));
    list.push_back(strings("classlabels_strings"));
  } else {
    list.push_back({"aggregate_function", AttributeType::string, std::string_view("SUM")});
    list.push_back({"n_targets", AttributeType::int_, Optional{}});
  }
  return list;
}

}  // namespace

std::vector<OpDef> tree_ensemble_ops() {
  const OpDef regressor{.name = "TreeEnsembleRegressor",
                        .input_types = {kNumbers},
                        .infer = infer_regressor,
                        .evaluate = evaluate_regressor};
  OpDef classifier = regressor;
  classifier.name = "TreeEnsembleClassifier";
  classifier.min_outputs = classifier.max_outputs = 2;
  classifier.infer = infer_classifier;
  classifier.evaluate = evaluate_classifier;
  OpDef indexed = regressor;
  indexed.name = "TreeEnsemble";
  indexed.input_types = {{DataType::float32, DataType::float64, DataType::float16}};
  const auto required = [](std::string_view name, AttributeType type) {
    return AttributeDef{name, type, Required{}};
  };
  return {
      for_versions(regressor, 1, 2, named_attributes("target", false)),
      for_versions(regressor, 3, kLatestOpset, named_attributes("target", true)),
      for_versions(classifier, 1, 2, named_attributes("class", false)),
      for_versions(classifier, 3, kLatestOpset, named_attributes("class", true)),
      for_versions(indexed, 5, kLatestOpset,
                   {{"aggregate_function", AttributeType::int_, int64_t{1}},
                    {"post_transform", AttributeType::int_, int64_t{0}},
                    {"n_targets", AttributeType::int_, Optional{}},
                    {"nodes_hitrates", AttributeType::tensor, Optional{}},
                    {"membership_values", AttributeType::tensor, Optional{}},
                    ints("nodes_missing_value_tracks_true"),
                    required("nodes_modes", AttributeType::tensor),
                    required("nodes_splits", AttributeType::tensor),
                    required("leaf_weights", AttributeType::tensor),
                    required("leaf_targetids", AttributeType::ints),
                    required("nodes_featureids", AttributeType::ints),
                    required("nodes_truenodeids", AttributeType::ints),
                    required("nodes_falsenodeids", AttributeType::ints),
                    required("nodes_trueleafs", AttributeType::ints),
                    required("nodes_falseleafs", AttributeType::ints),
                    required("tree_roots", AttributeType::ints)}),
  };
}

}  // namespace plica::ml
