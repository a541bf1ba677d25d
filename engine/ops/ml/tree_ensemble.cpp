// TreeEnsemble, TreeEnsembleClassifier and TreeEnsembleRegressor. Their attributes are checked when the nodes
// are compiled, which is when they are prepared: inference looks only at what the outputs' shapes need.
#include "engine/ops/ml/tree_ensemble.h"

#include <variant>

#include "engine/ops/cast.h"
#include "engine/ops/ml/class_labels.h"
#include "engine/ops/ml/post_transform.h"

namespace plica::ml {
namespace {

std::vector<double> base_values(const AttributeReader& attributes) {
  if (attributes.defines("base_values_as_tensor")) {
    if (const Tensor* t = attributes.maybe_tensor("base_values_as_tensor")) {
      const Tensor cast = cast_tensor(*t, DataType::float64);
      return {cast.values<double>().begin(), cast.values<double>().end()};
    }
  }
  const auto floats = attributes.floats("base_values");
  return {floats.begin(), floats.end()};
}

using AnyForest = std::variant<Forest<float>, Forest<double>>;

// Of doubles where one of these attributes has them; `compile` makes a Forest<T> when called so.
template <class Compile>
AnyForest compile_forest(const AttributeReader& attributes, std::initializer_list<std::string_view> tensors,
                         const Compile& compile) {
  const bool of_doubles = std::ranges::any_of(tensors, [&](std::string_view name) {
    const Tensor* t = attributes.defines(name) ? attributes.maybe_tensor(name) : nullptr;
    return t && t->type() == DataType::float64;
  });
  if (of_doubles) return compile(std::type_identity<double>{});
  return compile(std::type_identity<float>{});
}

AnyForest compile_named_forest(const AttributeReader& attributes, const std::string& votes, int64_t targets) {
  return compile_forest(attributes, {"nodes_values_as_tensor", votes + "_weights_as_tensor"},
                        [&]<class T>(std::type_identity<T>) -> AnyForest {
                          return compile_named_nodes<T>(attributes, votes, targets);
                        });
}

AnyForest compile_indexed_forest(const AttributeReader& attributes, int64_t targets) {
  return compile_forest(attributes, {"nodes_splits", "leaf_weights", "membership_values"},
                        [&]<class T>(std::type_identity<T>) -> AnyForest {
                          return compile_indexed_nodes<T>(attributes, targets);
                        });
}

// Calls f(forest, x), x being the input in the type in which features are compared and votes added: double
// where the input or the forest is.
template <class F>
void with_forest(const AnyForest& any, const Tensor& input, const F& f) {
  const Rows rows = rows_of(input.dims());
  std::visit(
      [&]<class T>(const Forest<T>& forest) {
        require(rows.features >= forest.features, ErrorCode::invalid_argument,
                "rows of {} features, the trees ask for {}", rows.features, forest.features);
        if (std::is_same_v<T, double> || input.type() == DataType::float64) {
          f(forest, cast_tensor(input, DataType::float64).values<double>());
        } else if constexpr (std::is_same_v<T, float>) {
          f(forest, cast_tensor(input, DataType::float32).values<float>());
        }
      },
      any);
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

// TreeEnsemble: numbers stand for names, and nodes are known by their places.
bool is_indexed(const AttributeReader& attributes) { return attributes.defines("tree_roots"); }

int64_t target_count(const AttributeReader& attributes) {
  int64_t targets = attributes.maybe_i("n_targets").value_or(0);
  if (!attributes.has("n_targets")) {
    for (const int64_t id : attributes.ints(is_indexed(attributes) ? "leaf_targetids" : "target_ids"))
      targets = std::max(targets, id < INT64_MAX ? id + 1 : id);
  }
  require(targets > 0, ErrorCode::invalid_model, "n_targets is {}", targets);
  return targets;
}

// What inference needs to know, too.
struct RegressorSettings {
  bool indexed;
  Aggregate aggregate;
  PostTransform transform;
  int64_t targets;

  explicit RegressorSettings(const AttributeReader& attributes)
      : indexed(is_indexed(attributes)),
        aggregate(aggregate_of(attributes, indexed)),
        transform(indexed ? post_transform(attributes.i("post_transform"))
                          : post_transform(attributes.s("post_transform"))),
        targets(target_count(attributes)) {}
};

struct Regressor : RegressorSettings {
  AnyForest forest;
  std::vector<double> base;

  explicit Regressor(const AttributeReader& attributes)
      : RegressorSettings(attributes),
        forest(indexed ? compile_indexed_forest(attributes, targets)
                       : compile_named_forest(attributes, "target", targets)) {
    if (!indexed) base = base_values(attributes);
    require(base.empty() || static_cast<int64_t>(base.size()) == targets, ErrorCode::invalid_model,
            "{} base_values for {} targets", base.size(), targets);
  }
};

void infer_regressor(InferContext& context) {
  const RegressorSettings settings(context.attributes());
  const RowDims rows = infer_rows(context.input_shape(0));
  context.set_output(0, settings.indexed ? context.input_type(0) : DataType::float32,
                     Shape{rows.count, settings.targets});
}

void evaluate_regressor(EvaluateContext& context) {
  const Regressor& model = context.prepared<Regressor>();
  const Rows rows = rows_of(context.input(0).dims());
  with_forest(
      model.forest, context.input(0), [&]<class T, class X>(const Forest<T>& forest, std::span<const X> x) {
        const auto trees = static_cast<X>(std::max<size_t>(1, forest.roots.size()));
        Tensor scores(data_type_of<X>, {rows.count, model.targets});
        X* out = scores.mutable_data<X>();
        score_rows(forest, x.data(), rows, model.targets, model.aggregate,
                   [&](int64_t r, const RowScores<X>& row) {
                     X* to = out + r * model.targets;
                     for (size_t t = 0; t < row.scores.size(); ++t) {
                       to[t] = model.aggregate == Aggregate::average ? row.scores[t] / trees : row.scores[t];
                       if (!model.base.empty()) to[t] += static_cast<X>(model.base[t]);
                     }
                     transform_scores(model.transform, std::span(to, row.scores.size()));
                   });
        cast_elements(scores, context.output());
      });
}

// ---- TreeEnsembleClassifier

struct ClassifierSettings {
  ClassLabels labels;
  PostTransform transform;

  explicit ClassifierSettings(const AttributeReader& attributes)
      : labels(attributes, "classlabels_int64s", "classlabels_strings"),
        transform(post_transform(attributes.s("post_transform"))) {}

  int64_t classes() const { return static_cast<int64_t>(labels.size()); }
};

struct Classifier : ClassifierSettings {
  AnyForest forest;
  std::vector<double> base;
  bool positive_weights = true;  // no vote is negative: scores are probabilities
  bool single_class = true;      // all votes are for one class

  explicit Classifier(const AttributeReader& attributes)
      : ClassifierSettings(attributes),
        forest(compile_named_forest(attributes, "class", classes())),
        base(base_values(attributes)) {
    require(base.empty() || base.size() == 1 || base.size() == labels.size(), ErrorCode::invalid_model,
            "{} base_values for {} classes", base.size(), labels.size());
    std::visit(
        [&](const auto& f) {
          for (const auto& vote : f.votes) {
            positive_weights = positive_weights && vote.weight >= 0;
            single_class = single_class && vote.target == f.votes[0].target;
          }
        },
        forest);
  }
};

void infer_classifier(InferContext& context) {
  const ClassifierSettings c(context.attributes());
  const RowDims rows = infer_rows(context.input_shape(0));
  context.set_output(0, c.labels.type(), Shape{rows.count});
  context.set_output(1, DataType::float32, Shape{rows.count, c.classes()});
}

template <class X>
int32_t finish_many_classes(const Classifier& c, const RowScores<X>& row) {
  int32_t chosen = -1;
  for (size_t i = 0; i < row.scores.size(); ++i) {
    if (i < c.base.size()) row.scores[i] += static_cast<X>(c.base[i]);
    if (!row.voted[i] && i >= c.base.size()) continue;
    if (chosen < 0 || row.scores[i] > row.scores[static_cast<size_t>(chosen)])
      chosen = static_cast<int32_t>(i);
  }
  transform_scores(c.transform, row.scores);
  return std::max(chosen, 0);
}

// Two classes, as ONNX Runtime has them: a score that only the first class has votes for is the positive
// class's, and becomes two; and the positive class is chosen by its own score alone.
template <class X>
int32_t finish_two_classes(const Classifier& c, const RowScores<X>& row) {
  X* scores = row.scores.data();
  const bool both = row.voted[1] != 0;
  for (size_t i = 0; i < c.base.size(); ++i) scores[i] += static_cast<X>(c.base[i]);
  const bool probability = c.single_class && c.positive_weights;
  const int32_t chosen = scores[both ? 1 : 0] > (probability ? X{0.5} : X{0}) ? 1 : 0;
  if (both || c.base.size() == 2) {
    transform_scores(c.transform, row.scores);
  } else {
    transform_binary(c.transform, probability ? BinaryScore::probability : BinaryScore::decision, scores[0],
                     scores);
  }
  return chosen;
}

void evaluate_classifier(EvaluateContext& context) {
  const Classifier& c = context.prepared<Classifier>();
  const int64_t classes = c.classes();
  const Rows rows = rows_of(context.input(0).dims());
  std::vector<int32_t> chosen(static_cast<size_t>(rows.count));
  with_forest(
      c.forest, context.input(0), [&]<class T, class X>(const Forest<T>& forest, std::span<const X> x) {
        Tensor scores(data_type_of<X>, {rows.count, classes});
        X* out = scores.mutable_data<X>();
        score_rows(forest, x.data(), rows, classes, Aggregate::sum, [&](int64_t r, const RowScores<X>& row) {
          chosen[static_cast<size_t>(r)] =
              classes == 2 ? finish_two_classes(c, row) : finish_many_classes(c, row);
          std::ranges::copy(row.scores, out + r * classes);
        });
        cast_elements(scores, context.allocate(1, DataType::float32, scores.dims()));
      });
  c.labels.write(chosen, context.allocate(0, c.labels.type(), {rows.count}));
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
                        .evaluate = evaluate_regressor,
                        .prepare = prepare_as<Regressor>};
  OpDef classifier = regressor;
  classifier.name = "TreeEnsembleClassifier";
  classifier.min_outputs = classifier.max_outputs = 2;
  classifier.infer = infer_classifier;
  classifier.evaluate = evaluate_classifier;
  classifier.prepare = prepare_as<Classifier>;
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
