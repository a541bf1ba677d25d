#include "engine/ops/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/float_types.h"
#include "engine/core/parallel.h"
#include "engine/ops/dot_product.h"
#include "engine/ops/fast_math.h"
#include "engine/ops/instruction_set.h"
#include "engine/ops/matrix_product.h"

namespace plica {
namespace {

constexpr int64_t kRowsPerTask = 64;

template <class T>
T round_to(T x, DataType type) {
  if (type == DataType::float16) return static_cast<T>(static_cast<float>(Float16(static_cast<float>(x))));
  if (type == DataType::bfloat16) return static_cast<T>(static_cast<float>(BFloat16(static_cast<float>(x))));
  return x;
}

bool is_narrow(DataType type) { return type == DataType::float16 || type == DataType::bfloat16; }

// e^(x - max) / sum, in T throughout.
template <class T>
void softmax_in_place(T* x, int64_t count) {
  for_best_instruction_set([=]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
    constexpr int64_t kLanes = 16;
    T largest[kLanes], sum[kLanes] = {};
    std::fill_n(largest, kLanes, -std::numeric_limits<T>::infinity());
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (int64_t l = 0; l < kLanes; ++l) largest[l] = x[i + l] > largest[l] ? x[i + l] : largest[l];
    }
    for (; i < count; ++i) largest[0] = std::max(largest[0], x[i]);
    const T top = *std::max_element(largest, largest + kLanes);
    for (i = 0; i < count; ++i) x[i] = fast_exp(x[i] - top);
    for (i = 0; i + kLanes <= count; i += kLanes) {
      for (int64_t l = 0; l < kLanes; ++l) sum[l] += x[i + l];
    }
    for (; i < count; ++i) sum[0] += x[i];
    T total = 0;
    for (const T s : sum) total += s;
    const T factor = T(1) / total;
    for (i = 0; i < count; ++i) x[i] *= factor;
  });
}

// The same with every step rounded to a 16-bit type.
template <class T>
void softmax_rounded(T* x, int64_t count, DataType type) {
  round_elements(x, count, type);
  const T top = *std::max_element(x, x + count);
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    x[i] = round_to(std::exp(round_to(x[i] - top, type)), type);
    sum += x[i];
    // bfloat16 has no wider accumulator in the suite's data.
    if (type == DataType::bfloat16) sum = round_to(sum, type);
  }
  sum = round_to(sum, type);
  for (int64_t i = 0; i < count; ++i) x[i] = round_to(x[i] / sum, type);
}

struct Range {
  int64_t begin, end;
};

// The keys that query `i` of batch entry `b` may see by position: j <= i + offset when causal, and within the
// windows.
template <class T>
Range visible_keys(const AttentionTask<T>& task, int64_t b, int64_t i) {
  const AttentionBias<T>& bias = task.bias;
  const int64_t keys = task.sizes.keys;
  const int64_t valid = bias.valid_keys ? bias.valid_keys[b] : keys;
  const int64_t position = i + (bias.valid_keys ? valid - task.sizes.queries : bias.past);
  int64_t end = std::min(keys, valid);
  if (bias.mask) end = std::min(end, bias.mask_keys);
  if (bias.is_causal) end = std::min(end, position + 1);
  if (bias.right_window >= 0)
    end = std::min(end, position + 1 + std::min(bias.right_window, keys + task.sizes.queries));
  const int64_t begin =
      bias.left_window >= 0 ? position - std::min(bias.left_window, keys + task.sizes.queries) : 0;
  return {std::clamp<int64_t>(begin, 0, keys), std::clamp<int64_t>(end, 0, keys)};
}

// Adds the bias to the scores of one query; false when it sees no key at all.
template <class T>
bool add_bias(const AttentionTask<T>& task, int64_t b, int64_t h, int64_t i, T* scores, int64_t keys) {
  constexpr T kHidden = -std::numeric_limits<T>::infinity();
  const AttentionBias<T>& bias = task.bias;
  const Range visible = visible_keys(task, b, i);
  const int64_t end = std::min(visible.end, keys);
  std::fill(scores, scores + std::min(visible.begin, keys), kHidden);
  std::fill(scores + end, scores + keys, kHidden);
  if (visible.begin >= end) {
    std::fill_n(scores, keys, kHidden);
    return false;
  }
  if (!bias.mask) return true;
  const T* mask =
      bias.mask + b * bias.mask_batch_stride + h * bias.mask_head_stride + i * bias.mask_row_stride;
  bool any = false;
  for (int64_t j = visible.begin; j < end; ++j) {
    // A hidden key's score may be anything, NaN too.
    scores[j] = mask[j] == kHidden ? kHidden : scores[j] + mask[j];
    any |= mask[j] != kHidden;
  }
  return any;
}

// Queries [first, first + count) of one head.
template <class T>
void attend(const AttentionTask<T>& task, int64_t b, int64_t h, int64_t first, int64_t count,
            std::vector<T>& buffer) {
  const AttentionSizes& s = task.sizes;
  const bool narrow = is_narrow(task.storage);
  int64_t keys = s.keys;
  if (!task.scores) {  // keys that nobody sees need no scores
    keys = 0;
    for (int64_t i = 0; i < count; ++i) keys = std::max(keys, visible_keys(task, b, first + i).end);
  }
  buffer.resize(static_cast<size_t>(count * (keys + s.head_size)));
  T *const scores = buffer.data(), *const q = scores + count * keys;
  const int64_t key_head = h / (s.query_heads / s.key_heads);

  // K is scaled by the same root already where results are rounded.
  const T factor =
      narrow ? round_to(static_cast<T>(std::sqrt(task.scale)), task.storage) : static_cast<T>(task.scale);
  for (int64_t i = 0; i < count; ++i) {
    const T* row = task.q.row(b, h, first + i);
    for (int64_t e = 0; e < s.head_size; ++e) q[i * s.head_size + e] = row[e] * factor;
  }
  round_elements(q, count * s.head_size, task.storage);
  std::fill_n(scores, count * keys, T(0));
  add_dot_products(count, keys, s.head_size, q, s.head_size, task.k.row(b, key_head, 0), task.k.row_stride,
                   scores, keys);
  round_elements(scores, count * keys, task.storage);

  const auto show = [&](ScoreStage stage, int64_t i, const T* row) {
    if (!task.scores || task.stage != stage) return;
    std::copy_n(row, keys, task.scores + ((b * s.query_heads + h) * s.queries + first + i) * keys);
  };
  const T cap = static_cast<T>(task.softcap);
  for (int64_t i = 0; i < count; ++i) {
    T* const row = scores + i * keys;
    show(ScoreStage::raw, i, row);
    if (cap > 0) {
      for (int64_t j = 0; j < keys; ++j) {
        const T capped = round_to(std::tanh(round_to(row[j] / cap, task.storage)), task.storage);
        row[j] = round_to(capped * cap, task.storage);
      }
    }
    show(ScoreStage::capped, i, row);
    const bool sees_any = add_bias(task, b, h, first + i, row, keys);
    round_elements(row, keys, task.storage);
    show(ScoreStage::biased, i, row);
    if (sees_any) {
      softmax_row(row, keys, task.softmax_precision);
    } else {
      std::fill_n(row, keys, T(0));
    }
    show(ScoreStage::probabilities, i, row);
    if (task.round_probabilities) round_elements(row, keys, task.storage);
  }
  T* const y = task.y.row(b, h, first);
  for (int64_t i = 0; i < count; ++i) std::fill_n(y + i * task.y.row_stride, s.value_size, T(0));
  add_product<T>(count, s.value_size, keys, {scores, keys, 1},
                 MatrixView<T>{task.v.row(b, key_head, 0), task.v.row_stride, 1}, y, task.y.row_stride);
}

}  // namespace

template <class T>
void round_elements(T* x, int64_t count, DataType type) {
  if (!is_narrow(type)) return;
  for (int64_t i = 0; i < count; ++i) x[i] = round_to(x[i], type);
}

template <class T>
void softmax_row(T* x, int64_t count, DataType precision) {
  if (count == 0) return;
  if (is_narrow(precision)) return softmax_rounded(x, count, precision);
  if (precision == data_type_of<T>) return softmax_in_place(x, count);
  using Other = std::conditional_t<std::is_same_v<T, float>, double, float>;
  std::vector<Other> row(x, x + count);
  softmax_in_place(row.data(), count);
  std::transform(row.begin(), row.end(), x, [](Other v) { return static_cast<T>(v); });
}

template <class T>
void compute_attention(const AttentionTask<T>& task) {
  const AttentionSizes& s = task.sizes;
  const int64_t blocks = (s.queries + kRowsPerTask - 1) / kRowsPerTask;
  const int64_t count = checked_mul(checked_mul(s.batch, s.query_heads), blocks);
  const double work = static_cast<double>(std::min(s.queries, kRowsPerTask)) * static_cast<double>(s.keys) *
                      static_cast<double>(s.head_size + s.value_size + 1);
  parallel_for(count, std::max<int64_t>(1, static_cast<int64_t>(65536 / std::max(work, 1.0))),
               [&](int64_t begin, int64_t end) {
                 std::vector<T> buffer;
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t head = i / blocks, first = i % blocks * kRowsPerTask;
                   attend(task, head / s.query_heads, head % s.query_heads, first,
                          std::min(kRowsPerTask, s.queries - first), buffer);
                 }
               });
}

template void round_elements(float*, int64_t, DataType);
template void round_elements(double*, int64_t, DataType);
template void softmax_row(float*, int64_t, DataType);
template void softmax_row(double*, int64_t, DataType);
template void compute_attention(const AttentionTask<float>&);
template void compute_attention(const AttentionTask<double>&);

}  // namespace plica
