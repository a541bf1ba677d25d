// LinearClassifier and LinearRegressor: scores = x * coefficients^T + intercepts, in float as their outputs.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/ml/class_labels.h"
#include "engine/ops/ml/ml.h"
#include "engine/ops/ml/post_transform.h"

namespace plica::ml {
namespace {

// coefficients [targets, features], intercepts [targets] (zeros where there are none).
struct LinearModel {
  int64_t targets;
  std::vector<float> coefficients;
  std::vector<float> intercepts;

  int64_t features() const { return static_cast<int64_t>(coefficients.size()) / targets; }
};

LinearModel linear_model(const AttributeReader& attributes, int64_t targets) {
  LinearModel m{targets, attributes.floats("coefficients"), attributes.floats("intercepts")};
  require(targets > 0, ErrorCode::invalid_model, "the model has {} targets", targets);
  require(m.coefficients.size() % static_cast<size_t>(targets) == 0, ErrorCode::invalid_model,
          "{} coefficients for {} targets", m.coefficients.size(), targets);
  require(m.intercepts.empty() || m.intercepts.size() == static_cast<size_t>(targets),
          ErrorCode::invalid_model, "{} intercepts for {} targets", m.intercepts.size(), targets);
  m.intercepts.resize(static_cast<size_t>(targets));
  return m;
}

// scores[target] of one row.
void score_row(const LinearModel& m, const float* row, float* scores) {
  const int64_t features = m.features();
  for (int64_t t = 0; t < m.targets; ++t) {
    const float* c = m.coefficients.data() + t * features;
    float sum = 0;
    for (int64_t i = 0; i < features; ++i) sum += row[i] * c[i];
    scores[t] = sum + m.intercepts[static_cast<size_t>(t)];
  }
}

int64_t row_grain(const LinearModel& m) {
  return 16384 / std::max<int64_t>(1, static_cast<int64_t>(m.coefficients.size())) + 1;
}

// ---- LinearRegressor

struct Regressor {
  LinearModel model;
  PostTransform transform;

  explicit Regressor(const AttributeReader& attributes)
      : model(linear_model(attributes, attributes.i("targets"))),
        transform(post_transform(attributes.s("post_transform"))) {}
};

void infer_linear_regressor(InferContext& context) {
  const LinearModel& m = context.prepared<Regressor>().model;
  const RowDims rows = infer_rows(context.input_shape(0));
  require_features(rows.features, m.features());
  context.set_output(0, DataType::float32, Shape{rows.count, m.targets});
}

void evaluate_linear_regressor(EvaluateContext& context) {
  const auto& [m, transform] = context.prepared<Regressor>();
  const Tensor x = cast_tensor(context.input(0), DataType::float32);
  const Rows rows = rows_of(x.dims());
  float* out = context.output().mutable_data<float>();
  parallel_for(rows.count, row_grain(m), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      float* scores = out + r * m.targets;
      score_row(m, x.data<float>() + r * rows.features, scores);
      transform_scores(transform, std::span(scores, static_cast<size_t>(m.targets)));
    }
  });
}

// ---- LinearClassifier. A single row of coefficients is a binary classifier, whose one score becomes two
// where there are two labels.

struct Classifier {
  LinearModel model;
  ClassLabels labels;
  PostTransform transform;

  explicit Classifier(const AttributeReader& attributes)
      : model(linear_model(attributes, count_targets(attributes))),
        labels(attributes, "classlabels_ints", "classlabels_strings"),
        transform(post_transform(attributes.s("post_transform"))) {
    require(model.targets == 1 || static_cast<size_t>(model.targets) <= labels.size(),
            ErrorCode::invalid_model, "{} scores for {} labels", model.targets, labels.size());
  }

  bool is_binary() const { return model.targets == 1; }
  int64_t scores() const { return is_binary() && labels.size() == 2 ? 2 : model.targets; }

 private:
  // As many as there are intercepts; without them, as there are labels.
  static int64_t count_targets(const AttributeReader& attributes) {
    if (const auto intercepts = attributes.floats("intercepts"); !intercepts.empty())
      return static_cast<int64_t>(intercepts.size());
    return static_cast<int64_t>(ClassLabels(attributes, "classlabels_ints", "classlabels_strings").size());
  }
};

void infer_linear_classifier(InferContext& context) {
  const auto& c = context.prepared<Classifier>();
  const RowDims rows = infer_rows(context.input_shape(0));
  require_features(rows.features, c.model.features());
  context.set_output(0, c.labels.type(), Shape{rows.count});
  context.set_output(1, DataType::float32, Shape{rows.count, c.scores()});
}

void evaluate_linear_classifier(EvaluateContext& context) {
  const auto& c = context.prepared<Classifier>();
  const Tensor x = cast_tensor(context.input(0), DataType::float32);
  const Rows rows = rows_of(x.dims());
  Tensor scores(DataType::float32, {rows.count, c.scores()});
  float* out = scores.mutable_data<float>();
  std::vector<int32_t> classes(static_cast<size_t>(rows.count));
  parallel_for(rows.count, row_grain(c.model), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const std::span<float> row(out + r * c.scores(), static_cast<size_t>(c.scores()));
      score_row(c.model, x.data<float>() + r * rows.features, row.data());
      int32_t& chosen = classes[static_cast<size_t>(r)];
      if (c.is_binary()) {
        chosen = row[0] > 0 ? 1 : 0;
      } else {
        chosen = static_cast<int32_t>(std::ranges::max_element(row) - row.begin());
      }
      if (c.is_binary() && row.size() == 2) {
        transform_binary(c.transform, BinaryScore::probability, row[0], row.data());
      } else {
        transform_scores(c.transform, row);
      }
    }
  });
  (c.is_binary() ? c.labels.binary() : c.labels)
      .write(classes, context.allocate(0, c.labels.type(), {rows.count}));
  context.share(1, scores);
}

}  // namespace

std::vector<OpDef> linear_model_ops() {
  return {{.name = "LinearClassifier",
           .min_outputs = 2,
           .max_outputs = 2,
           .input_types = {kNumbers},
           .attributes = {ints("classlabels_ints"),
                          strings("classlabels_strings"),
                          {"coefficients", AttributeType::floats, Required{}},
                          floats("intercepts"),
                          {"multi_class", AttributeType::int_, int64_t{0}},
                          kPostTransform},
           .infer = infer_linear_classifier,
           .evaluate = evaluate_linear_classifier,
           .prepare = prepare_as<Classifier>},
          {.name = "LinearRegressor",
           .input_types = {kNumbers},
           .attributes = {floats("coefficients"),
                          floats("intercepts"),
                          {"targets", AttributeType::int_, int64_t{1}},
                          kPostTransform},
           .infer = infer_linear_regressor,
           .evaluate = evaluate_linear_regressor,
           .prepare = prepare_as<Regressor>}};
}

}  // namespace plica::ml
