// NonMaxSuppression: https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/scalar_input.h"
#include "engine/ops/spatial.h"

namespace plica {
namespace {

void require_rank_3(const std::optional<Shape>& shape, std::string_view what) {
  require(!shape || shape->rank() == 3, ErrorCode::invalid_model, "the {} are of rank {}, it must be 3", what,
          shape ? shape->rank() : 0);
}

// boxes [batch, boxes, 4], scores [batch, classes, boxes] -> [selected, 3]
void infer_non_max_suppression(InferContext& context) {
  const auto &boxes = context.input_shape(0), &scores = context.input_shape(1);
  const int64_t format = context.attributes().i("center_point_box");
  require(format == 0 || format == 1, ErrorCode::invalid_model, "center_point_box is {}, it must be 0 or 1",
          format);
  require_rank_3(boxes, "boxes");
  require_rank_3(scores, "scores");
  if (boxes) {
    require(!(*boxes)[2].is_known() || (*boxes)[2].value() == 4, ErrorCode::invalid_model,
            "a box has {} coordinates, it must have 4", to_string((*boxes)[2]));
  }
  if (boxes && scores) {
    merge((*boxes)[0], (*scores)[0]);
    merge((*boxes)[1], (*scores)[2]);
  }
  context.set_output(0, DataType::int64, Shape{Dim(), 3});
}

struct Box {
  float y_low, x_low, y_high, x_high;

  float area() const { return (y_high - y_low) * (x_high - x_low); }
};

Box read_box(const float* b, bool center_point) {
  if (center_point) {
    const float half_width = b[2] / 2, half_height = b[3] / 2;
    return {b[1] - half_height, b[0] - half_width, b[1] + half_height, b[0] + half_width};
  }
  return {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
}

// Intersection over union above the threshold; never for boxes without an area.
bool overlaps(const Box& a, const Box& b, float threshold) {
  const float width = std::min(a.x_high, b.x_high) - std::max(a.x_low, b.x_low);
  const float height = std::min(a.y_high, b.y_high) - std::max(a.y_low, b.y_low);
  if (!(width > 0 && height > 0)) return false;
  const float intersection = width * height, area_a = a.area(), area_b = b.area();
  const float together = area_a + area_b - intersection;
  if (!(intersection > 0 && area_a > 0 && area_b > 0 && together > 0)) return false;
  return intersection / together > threshold;
}

struct Limits {
  int64_t most = 0;  // boxes of a class
  float overlap = 0;
  const float* score = nullptr;  // null: any
};

// The chosen boxes of one class, best first: equal scores by position, NaN last.
std::vector<int64_t> select(const std::vector<Box>& boxes, const float* scores, const Limits& limits) {
  std::vector<int64_t> candidates;
  for (int64_t i = 0; i < static_cast<int64_t>(boxes.size()); ++i)
    if (!limits.score || scores[i] > *limits.score) candidates.push_back(i);
  std::ranges::stable_sort(candidates, [&](int64_t a, int64_t b) {
    return scores[a] > scores[b] || (std::isnan(scores[b]) && !std::isnan(scores[a]));
  });
  std::vector<int64_t> chosen;
  for (const int64_t i : candidates) {
    if (static_cast<int64_t>(chosen.size()) >= limits.most) break;
    const Box& box = boxes[static_cast<size_t>(i)];
    const bool is_free = std::ranges::none_of(
        chosen, [&](int64_t c) { return overlaps(box, boxes[static_cast<size_t>(c)], limits.overlap); });
    if (is_free) chosen.push_back(i);
  }
  return chosen;
}

float read_float(const Tensor& tensor, std::string_view what) {
  require_one_element(tensor.size(), what);
  return *tensor.data<float>();
}

void evaluate_non_max_suppression(EvaluateContext& context) {
  const Tensor &boxes = context.input(0), &scores = context.input(1);
  const bool center_point = context.attributes().i("center_point_box") == 1;
  Limits limits;
  if (const Tensor* most = context.maybe_input(2); most && most->size() != 0)
    limits.most = read_scalar(*most, "maximum number of boxes");
  if (const Tensor* overlap = context.maybe_input(3); overlap && overlap->size() != 0)
    limits.overlap = read_float(*overlap, "IOU threshold");
  require(limits.overlap >= 0 && limits.overlap <= 1, ErrorCode::invalid_argument,
          "the IOU threshold is {}, it must be in [0, 1]", limits.overlap);
  float least = 0;
  if (const Tensor* score = context.maybe_input(4); score && score->size() != 0) {
    least = read_float(*score, "score threshold");
    limits.score = &least;
  }
  const int64_t batches = boxes.dim(0), count = boxes.dim(1), classes = scores.dim(1);
  const bool any = limits.most > 0 && count > 0;
  std::vector<std::vector<int64_t>> chosen(any ? static_cast<size_t>(batches * classes) : 0);
  if (any) {
    parallel_for(batches * classes, 1, [&](int64_t begin, int64_t end) {
      std::vector<Box> corners(static_cast<size_t>(count));
      int64_t of_batch = -1;
      for (int64_t i = begin; i < end; ++i) {
        if (of_batch != i / classes) {
          of_batch = i / classes;
          for (int64_t b = 0; b < count; ++b)
            corners[static_cast<size_t>(b)] =
                read_box(boxes.data<float>() + (of_batch * count + b) * 4, center_point);
        }
        chosen[static_cast<size_t>(i)] = select(corners, scores.data<float>() + i * count, limits);
      }
    });
  }
  int64_t total = 0;
  for (const auto& list : chosen) total += static_cast<int64_t>(list.size());
  Tensor& out = context.allocate(0, DataType::int64, {total, 3});
  int64_t* y = out.mutable_data<int64_t>();
  for (size_t i = 0; i < chosen.size(); ++i) {
    for (const int64_t box : chosen[i]) {
      *y++ = static_cast<int64_t>(i) / classes;
      *y++ = static_cast<int64_t>(i) % classes;
      *y++ = box;
    }
  }
}

}  // namespace

std::vector<OpDef> non_max_suppression_ops() {
  constexpr TypeSet kFloat32 = {DataType::float32};
  return {{.name = "NonMaxSuppression",
           .since = 10,
           .min_inputs = 2,
           .max_inputs = 5,
           .input_types = {kFloat32, kFloat32, types::kInt64, kFloat32, kFloat32},
           .attributes = {{"center_point_box", AttributeType::int_, int64_t{0}}},
           .infer = infer_non_max_suppression,
           .evaluate = evaluate_non_max_suppression}};
}

}  // namespace plica
