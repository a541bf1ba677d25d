// SVMClassifier and SVMRegressor, in float as their outputs. Without support vectors both are linear models.
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/ml/class_labels.h"
#include "engine/ops/ml/ml.h"
#include "engine/ops/ml/post_transform.h"
#include "engine/ops/ml/probability_coupling.h"
#include "engine/ops/ml/support_vector_kernel.h"

namespace plica::ml {
namespace {

// The features of each of `count` vectors in a list of so many numbers.
int64_t features_of(std::string_view name, size_t numbers, int64_t count) {
  require(static_cast<int64_t>(numbers) % count == 0, ErrorCode::invalid_model,
          "{} has {} numbers for {} vectors", name, numbers, count);
  return static_cast<int64_t>(numbers) / count;
}

void require_at_least(std::string_view name, size_t length, int64_t least) {
  require(static_cast<int64_t>(length) >= least, ErrorCode::invalid_model, "{} has {} numbers, {} are needed",
          name, length, least);
}

int64_t row_grain(int64_t numbers) { return 8192 / std::max<int64_t>(1, numbers) + 1; }

// ---- SVMRegressor: y = sum of coefficient[i] k(x, vector[i]), + rho[0]

struct Regressor {
  std::vector<float> coefficients, rho, vectors;
  SupportVectorKernel kernel;
  PostTransform transform;
  int64_t supports, features;
  bool one_class;

  explicit Regressor(const AttributeReader& attributes)
      : coefficients(attributes.floats("coefficients")),
        rho(attributes.floats("rho")),
        vectors(attributes.floats("support_vectors")),
        kernel(attributes),
        transform(post_transform(attributes.s("post_transform"))),
        supports(attributes.i("n_supports")),
        features(0),
        one_class(attributes.i("one_class") != 0) {
    require(supports >= 0, ErrorCode::invalid_model, "n_supports is {}", supports);
    require_at_least("rho", rho.size(), 1);
    if (supports > 0) {
      features = features_of("support_vectors", vectors.size(), supports);
      require_at_least("coefficients", coefficients.size(), supports);
    } else {
      features = static_cast<int64_t>(coefficients.size());
      kernel = SupportVectorKernel();
    }
  }

  float score(const float* row) const {
    float sum = 0;
    if (supports == 0) sum = kernel(row, coefficients.data(), features);
    for (int64_t i = 0; i < supports; ++i)
      sum += coefficients[static_cast<size_t>(i)] * kernel(row, vectors.data() + i * features, features);
    return sum + rho[0];
  }
};

void infer_svm_regressor(InferContext& context) {
  const auto& model = context.prepared<Regressor>();
  const RowDims rows = infer_rows(context.input_shape(0));
  require_features(rows.features, model.features);
  context.set_output(0, DataType::float32, Shape{rows.count, 1});
}

void evaluate_svm_regressor(EvaluateContext& context) {
  const auto& model = context.prepared<Regressor>();
  const Tensor x = cast_tensor(context.input(0), DataType::float32);
  const Rows rows = rows_of(x.dims());
  float* out = context.output().mutable_data<float>();
  parallel_for(rows.count, row_grain(model.features * (model.supports + 1)), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      out[r] = model.score(x.data<float>() + r * rows.features);
      if (model.one_class) {
        out[r] = out[r] > 0 ? 1.0f : -1.0f;
      } else {
        transform_scores(model.transform, std::span(out + r, 1));
      }
    }
  });
}

// ---- SVMClassifier: a machine for each pair of classes i < j, which decides for i when
//   sum over i's vectors of coefficients[j - 1][v] k(x, v) + sum over j's of coefficients[i][v] k(x, v), +
//   rho[pair]
// is positive (libsvm's layout: the coefficients are [classes - 1, vectors]). Without support vectors, a
// linear model of a score for each class.

struct Classifier {
  std::vector<float> coefficients, rho, vectors, prob_a, prob_b;
  std::vector<int64_t> first_vector;  // of each class, and the end; empty for a linear model
  ClassLabels labels;
  SupportVectorKernel kernel;
  PostTransform transform;
  int64_t classes, pairs, features;
  bool positive_coefficients;

  explicit Classifier(const AttributeReader& attributes)
      : coefficients(attributes.floats("coefficients")),
        rho(attributes.floats("rho")),
        vectors(attributes.floats("support_vectors")),
        prob_a(attributes.floats("prob_a")),
        prob_b(attributes.floats("prob_b")),
        labels(attributes, "classlabels_ints", "classlabels_strings"),
        kernel(attributes),
        transform(post_transform(attributes.s("post_transform"))),
        classes(static_cast<int64_t>(labels.size())),
        pairs(0),
        features(0),
        positive_coefficients(std::ranges::all_of(coefficients, [](float c) { return c >= 0; })) {
    require(classes < 65536, ErrorCode::limit, "{} classes", classes);
    pairs = classes * (classes - 1) / 2;
    require_at_least("rho", rho.size(), 1);
    require(prob_a.size() == prob_b.size(), ErrorCode::invalid_model, "prob_a has {} numbers, prob_b {}",
            prob_a.size(), prob_b.size());
    set_first_vectors(attributes.ints("vectors_per_class"));
    if (is_linear()) {
      features = features_of("coefficients", coefficients.size(), classes);
      kernel = SupportVectorKernel();
      return;
    }
    require(classes >= 2, ErrorCode::invalid_model, "support vectors for a single class");
    features = features_of("support_vectors", vectors.size(), first_vector.back());
    require_at_least("coefficients", coefficients.size(), checked_mul(classes - 1, first_vector.back()));
    require_at_least("rho", rho.size(), pairs);
    if (has_probabilities()) require_at_least("prob_a", prob_a.size(), pairs);
  }

  bool is_linear() const { return first_vector.empty(); }
  bool has_probabilities() const { return !prob_a.empty(); }
  int64_t scores() const {
    if (is_linear() || has_probabilities()) return classes;
    return classes == 2 ? 2 : pairs;
  }

 private:
  void set_first_vectors(const std::vector<int64_t>& counts) {
    int64_t sum = 0;
    for (const int64_t count : counts) {
      require(count >= 0, ErrorCode::invalid_model, "vectors_per_class has {}", count);
      sum = checked_add(sum, count);
    }
    if (sum == 0) return;
    require(counts.size() == labels.size(), ErrorCode::invalid_model,
            "vectors_per_class has {} numbers for {} labels", counts.size(), labels.size());
    first_vector.resize(counts.size() + 1);
    std::partial_sum(counts.begin(), counts.end(), first_vector.begin() + 1);
  }
};

void infer_svm_classifier(InferContext& context) {
  const auto& model = context.prepared<Classifier>();
  const RowDims rows = infer_rows(context.input_shape(0));
  require_features(rows.features, model.features);
  context.set_output(0, model.labels.type(), Shape{rows.count});
  context.set_output(1, DataType::float32, Shape{rows.count, model.scores()});
}

// What is needed for one row, kept from row to row.
struct Scratch {
  std::vector<float> kernels, decisions, probabilities;
  std::vector<int32_t> votes;
};

double weighted_sum(const float* weights, const float* values, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += static_cast<double>(weights[i]) * values[i];
  return sum;
}

// Fills in the decisions of all pairs, and gives the class with most votes, the first of several.
int32_t decide_pairs(const Classifier& model, const float* row, Scratch& scratch) {
  const int64_t vectors = model.first_vector.back();
  scratch.kernels.resize(static_cast<size_t>(vectors));
  for (int64_t v = 0; v < vectors; ++v)
    scratch.kernels[static_cast<size_t>(v)] =
        model.kernel(row, model.vectors.data() + v * model.features, model.features);
  scratch.decisions.clear();
  scratch.votes.assign(static_cast<size_t>(model.classes), 0);
  const auto& first = model.first_vector;
  for (size_t i = 0; i < static_cast<size_t>(model.classes); ++i) {
    for (size_t j = i + 1; j < static_cast<size_t>(model.classes); ++j) {
      const float* of_i = model.coefficients.data() + static_cast<int64_t>(j - 1) * vectors;
      const float* of_j = model.coefficients.data() + static_cast<int64_t>(i) * vectors;
      const double sum = weighted_sum(of_i, scratch.kernels.data(), first[i], first[i + 1]) +
                         weighted_sum(of_j, scratch.kernels.data(), first[j], first[j + 1]) +
                         model.rho[scratch.decisions.size()];
      scratch.decisions.push_back(static_cast<float>(sum));
      ++scratch.votes[sum > 0 ? i : j];
    }
  }
  return static_cast<int32_t>(std::ranges::max_element(scratch.votes) - scratch.votes.begin());
}

void classify_pairs(const Classifier& model, std::span<float> out, Scratch& scratch) {
  if (model.has_probabilities()) {
    couple_probabilities(scratch.decisions, model.prob_a, model.prob_b, out, scratch.probabilities);
    transform_scores(model.transform, out);
  } else if (model.classes == 2) {
    // As ONNX Runtime does: the other transforms leave the decision as if it were a probability.
    const bool decision = model.transform == PostTransform::none;
    transform_binary(model.transform, decision ? BinaryScore::decision : BinaryScore::probability,
                     scratch.decisions[0], out.data());
  } else {
    std::ranges::copy(scratch.decisions, out.begin());
    transform_scores(model.transform, out);
  }
}

// The classes of a linear model of two of them: the second as soon as any score says so.
int32_t classify_linear(const Classifier& model, const float* row, std::span<float> out) {
  for (int64_t c = 0; c < model.classes; ++c) {
    out[static_cast<size_t>(c)] =
        model.kernel(row, model.coefficients.data() + c * model.features, model.features) + model.rho[0];
  }
  const auto most = std::ranges::max_element(out);
  auto chosen = static_cast<int32_t>(most - out.begin());
  if (model.classes == 2 && !model.has_probabilities() &&
      (model.positive_coefficients ? *most >= 0.5f : *most > 0))
    chosen = 1;
  transform_scores(model.transform, out);
  return chosen;
}

void evaluate_svm_classifier(EvaluateContext& context) {
  const auto& model = context.prepared<Classifier>();
  const Tensor x = cast_tensor(context.input(0), DataType::float32);
  const Rows rows = rows_of(x.dims());
  const auto width = static_cast<size_t>(model.scores());
  float* out = context.allocate(1, DataType::float32, {rows.count, model.scores()}).mutable_data<float>();
  std::vector<int32_t> classes(static_cast<size_t>(rows.count));
  const int64_t work = static_cast<int64_t>(model.vectors.size() + model.coefficients.size());
  parallel_for(rows.count, row_grain(work), [&](int64_t begin, int64_t end) {
    Scratch scratch;
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x.data<float>() + r * rows.features;
      const std::span<float> scores(out + static_cast<size_t>(r) * width, width);
      int32_t& chosen = classes[static_cast<size_t>(r)];
      if (model.is_linear()) {
        chosen = classify_linear(model, row, scores);
      } else {
        chosen = decide_pairs(model, row, scratch);
        classify_pairs(model, scores, scratch);
      }
    }
  });
  model.labels.write(classes, context.allocate(0, model.labels.type(), {rows.count}));
}

}  // namespace

std::vector<OpDef> support_vector_ops() {
  const AttributeDef kernel_type{"kernel_type", AttributeType::string, std::string_view("LINEAR")};
  return {
      {.name = "SVMClassifier",
       .min_outputs = 2,
       .max_outputs = 2,
       .input_types = {kNumbers},
       .attributes = {ints("classlabels_ints"), strings("classlabels_strings"), floats("coefficients"),
                      floats("kernel_params"), kernel_type, kPostTransform, floats("prob_a"),
                      floats("prob_b"), floats("rho"), floats("support_vectors"), ints("vectors_per_class")},
       .infer = infer_svm_classifier,
       .evaluate = evaluate_svm_classifier,
       .prepare = prepare_as<Classifier>},
      {.name = "SVMRegressor",
       .input_types = {kNumbers},
       .attributes = {floats("coefficients"),
                      floats("kernel_params"),
                      kernel_type,
                      {"n_supports", AttributeType::int_, int64_t{0}},
                      {"one_class", AttributeType::int_, int64_t{0}},
                      kPostTransform,
                      floats("rho"),
                      floats("support_vectors")},
       .infer = infer_svm_regressor,
       .evaluate = evaluate_svm_regressor,
       .prepare = prepare_as<Regressor>}};
}

}  // namespace plica::ml
