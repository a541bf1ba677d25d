#include "tools/labels.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/fail.h"
#include "tools/files.h"
#include "tools/options.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines = split(text, '\n');
  for (std::string& line : lines) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
  }
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

bool are_probabilities(std::span<const double> scores) {
  double sum = 0;
  for (double score : scores) {
    if (!(score >= 0 && score <= 1 + 1e-6)) return false;
    sum += score;
  }
  return std::abs(sum - 1) < 1e-2;
}

void softmax(std::span<double> scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (double& score : scores) sum += score = std::exp(score - largest);
  for (double& score : scores) score /= sum;
}

}  // namespace

std::vector<std::string> read_labels(const std::string& path) { return lines_of(read_input(path).text()); }

std::vector<std::string> labels_of(const Model& model) {
  for (const char* key : {"labels", "classes", "names", "character"}) {
    if (const auto text = model.metadata(key)) return lines_of(*text);
  }
  return {};
}

std::optional<int64_t> class_count(const Tensor& tensor) {
  const Dims& dims = tensor.dims();
  if (!is_floating(tensor.type()) || !is_numeric(tensor.type()) || tensor.size() == 0) return std::nullopt;
  if (dims.size() == 1) return dims[0];
  if (dims.size() == 2 || (dims.size() == 4 && dims[2] == 1 && dims[3] == 1)) return dims[1];
  return std::nullopt;
}

Ranking rank_classes(const Tensor& scores, int64_t top) {
  const int64_t classes = class_count(scores).value();
  std::vector<double> values = to_doubles(scores);
  Ranking ranking;
  const auto sample = [&](int64_t i) {
    return std::span(values).subspan(static_cast<size_t>(i * classes), static_cast<size_t>(classes));
  };
  const int64_t samples = scores.size() / classes;
  for (int64_t i = 0; i < samples; ++i) ranking.softmax_applied |= !are_probabilities(sample(i));
  for (int64_t i = 0; i < samples; ++i) {
    const std::span<double> own = sample(i);
    if (ranking.softmax_applied) softmax(own);
    std::vector<int64_t> order(own.size());
    std::iota(order.begin(), order.end(), 0);
    const auto better = [&](int64_t a, int64_t b) {
      const double x = own[static_cast<size_t>(a)], y = own[static_cast<size_t>(b)];
      if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);  // NaN comes last
      return x > y || (x == y && a < b);
    };
    const auto kept = order.begin() + std::min<int64_t>(std::max<int64_t>(top, 0), classes);
    std::partial_sort(order.begin(), kept, order.end(), better);
    std::vector<Class>& best = ranking.samples.emplace_back();
    for (auto it = order.begin(); it != kept; ++it) best.push_back({*it, own[static_cast<size_t>(*it)]});
  }
  return ranking;
}

}  // namespace plica::tools
