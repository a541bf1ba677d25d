// What ONNX Runtime's tools write around models that generate text (Whisper above all):
//   NGramRepeatBlock:    scores of -infinity for tokens that would repeat n tokens of the text
//   UnfoldTensor:        all windows of `size` along an axis, as torch.Tensor.unfold
//   DynamicTimeWarping:  the cheapest path through a matrix of costs, from its first element to its last
#include <algorithm>
#include <limits>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"
#include "engine/ops/input_shapes.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

// ---- NGramRepeatBlock: input_ids [batch, length], scores [batch, vocabulary]

void infer_ngrams(InferContext& context) {
  const int64_t n = context.attributes().i("ngram_size");
  require(n > 0, ErrorCode::invalid_model, "ngram_size is {}, it must be positive", n);
  SharedDim batch{"batch_size"}, length{"sequence_length"}, words{"vocab_size"};
  match_shape(context, 0, "input_ids", {&batch, &length});
  match_shape(context, 1, "scores", {&batch, &words});
  context.set_output(0, context.input_type(1), Shape{batch.dim, words.dim});
}

void evaluate_ngrams(EvaluateContext& context) {
  const Tensor &ids = context.input(0), &scores = context.input(1);
  const int64_t n = context.attributes().i("ngram_size"), length = ids.dim(1), words = scores.dim(1);
  std::ranges::copy(scores.values<float>(), context.output().mutable_data<float>());
  parallel_for(ids.dim(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t* const text = ids.data<int64_t>() + b * length;
      float* const out = context.output().mutable_data<float>() + b * words;
      for (int64_t i = 0; i <= length - n; ++i) {
        // The last n - 1 tokens have stood here before: what followed must not follow again.
        if (!std::equal(text + i, text + i + n - 1, text + length - (n - 1))) continue;
        const int64_t token = text[i + n - 1];
        require(token >= 0 && token < words, ErrorCode::invalid_argument, "token {} has no score of {}",
                token, words);
        out[token] = -std::numeric_limits<float>::infinity();
      }
    }
  });
}

// ---- UnfoldTensor

struct Windows {
  int axis;
  int64_t size, step;

  Windows(const AttributeReader& attributes, int rank)
      : axis(normalize_axis(attributes.i("dim"), rank, false, "dim")),
        size(attributes.i("size")),
        step(attributes.i("step")) {
    require(size > 0 && step > 0, ErrorCode::invalid_model, "size is {}, step {}, both must be positive",
            size, step);
  }
  int64_t count(int64_t length) const {
    require(size <= length, ErrorCode::invalid_model, "windows of {} in an axis of {}", size, length);
    return (length - size) / step + 1;
  }
};

void infer_unfold(InferContext& context) {
  std::optional<Shape> out = context.input_shape(0);
  if (out) {
    const Windows w(context.attributes(), out->rank());
    Dim& length = (*out)[w.axis];
    length = length.is_known() ? Dim(w.count(length.value())) : Dim();
    out->push_back(w.size);
  }
  context.set_output(0, context.input_type(0), std::move(out));
}

void evaluate_unfold(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output();
  if (y.size() == 0) return;
  const Windows w(context.attributes(), x.rank());
  Dims from = row_major_strides(x.dims());
  from.push_back(from[static_cast<size_t>(w.axis)]);
  from[static_cast<size_t>(w.axis)] *= w.count(x.dim(w.axis)) > 1 ? w.step : 1;
  copy_strided(x.type(), y.dims(), x.raw(), from, y.mutable_raw(), row_major_strides(y.dims()));
}

// ---- DynamicTimeWarping: costs [rows, columns] or [1, rows, columns]

void infer_warping(InferContext& context) {
  const auto& costs = context.input_shape(0);
  if (costs) {
    const int rank = costs->rank();
    require(rank == 2 || (rank == 3 && (!(*costs)[0].is_known() || (*costs)[0].value() == 1)),
            ErrorCode::invalid_model, "the costs have shape {}, they must be one matrix", to_string(*costs));
    for (int d = rank - 2; d < rank; ++d)
      require(!(*costs)[d].is_known() || (*costs)[d].value() > 0, ErrorCode::invalid_model,
              "there are no costs");
  }
  context.set_output(0, DataType::int32, Shape{2, Dim()});
}

void evaluate_warping(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const int64_t rows = x.dim(-2), columns = x.dim(-1);
  require(rows <= INT32_MAX && columns <= INT32_MAX, ErrorCode::limit, "the costs are {} x {}", rows,
          columns);
  const float* const cost = x.data<float>();
  // How the cheapest path to an element, of the sum `least`, comes to it.
  enum class From : uint8_t { diagonal, above, left };
  std::vector<From> from(static_cast<size_t>(x.size()), From::left);
  std::vector<float> least(static_cast<size_t>(columns));
  for (int64_t i = 0; i < rows; ++i) {
    const float* const own = cost + i * columns;
    From* const way = from.data() + i * columns;
    float diagonal = least[0];  // the sum above and to the left
    way[0] = From::above;
    least[0] = own[0] + (i > 0 ? least[0] : 0);
    for (int64_t j = 1; j < columns; ++j) {
      const auto at = static_cast<size_t>(j);
      const float left = least[at - 1], above = least[at];
      if (i == 0) {
        least[at] = own[j] + left;
        continue;
      }
      // The other two only where they are the cheapest alone, as Whisper has it.
      way[j] = diagonal < above && diagonal < left ? From::diagonal
               : above < diagonal && above < left  ? From::above
                                                   : From::left;
      least[at] = own[j] + (way[j] == From::diagonal ? diagonal : way[j] == From::above ? above : left);
      diagonal = above;
    }
  }
  std::vector<std::pair<int32_t, int32_t>> path;
  for (int64_t i = rows - 1, j = columns - 1; i >= 0 && j >= 0;) {
    path.emplace_back(static_cast<int32_t>(i), static_cast<int32_t>(j));
    const From way = from[static_cast<size_t>(i * columns + j)];
    if (i == 0 && j == 0) break;
    i -= way != From::left;
    j -= way != From::above;
  }
  const int64_t length = std::ssize(path);
  int32_t* const out = context.allocate(0, DataType::int32, {2, length}).mutable_data<int32_t>();
  for (int64_t t = 0; t < length; ++t) {
    const auto& [row, column] = path[static_cast<size_t>(length - 1 - t)];
    out[t] = row;
    out[length + t] = column;
  }
}

}  // namespace

std::vector<OpDef> generation_ops() {
  return {{.name = "NGramRepeatBlock",
           .domain = kMicrosoft,
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {types::kInt64, {DataType::float32}},
           .attributes = {{"ngram_size", AttributeType::int_, Required{}}},
           .infer = infer_ngrams,
           .evaluate = evaluate_ngrams},
          {.name = "UnfoldTensor",
           .domain = kMicrosoft,
           .input_types = {kMovableTypes},
           .attributes = {{"dim", AttributeType::int_, int64_t{-1}},
                          {"size", AttributeType::int_, Required{}},
                          {"step", AttributeType::int_, int64_t{1}}},
           .infer = infer_unfold,
           .evaluate = evaluate_unfold},
          {.name = "DynamicTimeWarping",
           .domain = kMicrosoft,
           .input_types = {{DataType::float32}},
           .infer = infer_warping,
           .evaluate = evaluate_warping}};
}

}  // namespace plica
