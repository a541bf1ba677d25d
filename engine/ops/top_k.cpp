// TopK.
#include <algorithm>
#include <bit>
#include <limits>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

bool k_is_input(const OpDef& def) { return def.since >= 10; }

void check_k(int64_t k, const Dim& length) {
  require(k >= 0, ErrorCode::invalid_model, "k is {}", k);
  require(!length.is_known() || k <= length.value(), ErrorCode::invalid_model,
          "k is {}, the axis has {} elements", k, length.value());
}

void infer_top_k(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& shape = context.input_shape(0);
  std::optional<int64_t> k;
  if (!k_is_input(context.def())) {
    k = context.attributes().i("k");
  } else if (const auto values = context.input_ints(1)) {
    require(values->size() == 1, ErrorCode::invalid_model, "k has {} elements, it must have one",
            values->size());
    k = (*values)[0];
  }
  std::optional<Shape> out = shape;
  if (out) {
    require(out->rank() > 0, ErrorCode::invalid_model, "a scalar has no axis");
    Dim& length = (*out)[normalize_axis(context.attributes().i("axis"), out->rank())];
    if (k) check_k(*k, length);
    length = k ? Dim(*k) : Dim();
  }
  context.set_output(0, type, out);
  context.set_output(1, DataType::int64, std::move(out));
}

// An unsigned number that orders as the value does; NaN is above all numbers, and -0 equals 0.
template <class C>
auto sort_key(C value) {
  using Bits = std::conditional_t<sizeof(C) == 8, uint64_t, uint32_t>;
  constexpr Bits kTop = Bits{1} << (sizeof(Bits) * 8 - 1);
  if constexpr (std::is_floating_point_v<C>) {
    const Bits bits = std::bit_cast<Bits>(value + C(0));  // -0 + 0 is 0
    const Bits key = bits & kTop ? ~bits : bits | kTop;
    return value != value ? static_cast<Bits>(~Bits{0}) : key;
  } else if constexpr (std::is_signed_v<C>) {
    return static_cast<Bits>(static_cast<Bits>(value) ^ kTop);
  } else {
    return static_cast<Bits>(value);
  }
}

// An element in the order of TopK: by value, equal ones by position.
template <class C>
class TopKItem {
 public:
  TopKItem() = default;
  TopKItem(C value, int64_t index, bool largest) {
    const auto key = sort_key(value);
    key_ = largest ? static_cast<decltype(key)>(~key) : key;
    index_ = index;
  }
  int64_t index() const { return index_; }
  bool operator<(const TopKItem& other) const {
    return key_ < other.key_ || (key_ == other.key_ && index_ < other.index_);
  }

 private:
  uint64_t key_;
  int64_t index_;
};

// Of elements of at most 32 bits, in one number.
template <class C>
requires(sizeof(C) <= 4) class TopKItem<C> {
 public:
  TopKItem() = default;
  TopKItem(C value, int64_t index, bool largest) {
    const uint32_t key = sort_key(value);
    bits_ = static_cast<uint64_t>(largest ? ~key : key) << 32 | static_cast<uint32_t>(index);
  }
  int64_t index() const { return static_cast<uint32_t>(bits_); }
  bool operator<(const TopKItem& other) const { return bits_ < other.bits_; }

 private:
  uint64_t bits_;
};

// Brings the k first to the front, in order.
template <class Item>
void order_first(std::vector<Item>& items, int64_t k) {
  // A heap of k is fastest where few are wanted.
  if (k <= static_cast<int64_t>(items.size()) / 8) {
    std::partial_sort(items.begin(), items.begin() + k, items.end());
    return;
  }
  if (k < static_cast<int64_t>(items.size())) std::nth_element(items.begin(), items.begin() + k, items.end());
  std::sort(items.begin(), items.begin() + k);
}

// The k first of each slice, with their positions; equal elements by position.
void evaluate_top_k(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const OpDef& def = context.def();
  const int axis = normalize_axis(context.attributes().i("axis"), in.rank());
  int64_t k = 0;
  if (k_is_input(def)) {
    require(context.input(1).size() == 1, ErrorCode::invalid_model, "k has {} elements, it must have one",
            context.input(1).size());
    k = *context.input(1).data<int64_t>();
  } else {
    k = context.attributes().i("k");
  }
  const int64_t length = in.dim(axis);
  check_k(k, length);
  const bool largest = def.since < 11 || context.attributes().i("largest") != 0;
  Dims dims = in.dims();
  dims[static_cast<size_t>(axis)] = k;
  Tensor& values = context.allocate(0, in.type(), dims);
  Tensor unused;
  if (context.num_outputs() < 2) unused = Tensor(DataType::int64, dims);
  Tensor& indices = context.num_outputs() < 2 ? unused : context.allocate(1, DataType::int64, dims);
  int64_t inner = 1;
  for (int i = axis + 1; i < in.rank(); ++i) inner *= in.dim(i);
  if (values.size() == 0) return;
  const int64_t slices = values.size() / k;
  require(length <= std::numeric_limits<uint32_t>::max(), ErrorCode::unsupported, "an axis of {} elements",
          length);
  dispatch<NumericTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    const T* x = in.data<T>();
    T* y = values.mutable_data<T>();
    int64_t* where = indices.mutable_data<int64_t>();
    parallel_for(slices, std::max<int64_t>(1, 4096 / length), [&](int64_t begin, int64_t end) {
      std::vector<TopKItem<C>> items(static_cast<size_t>(length));
      for (int64_t slice = begin; slice < end; ++slice) {
        const int64_t from = slice / inner * length * inner + slice % inner;
        const int64_t to = slice / inner * k * inner + slice % inner;
        TopKItem<C>* item = items.data();
        vectorized([=] {
          if (inner == 1) {
            for (int64_t i = 0; i < length; ++i)
              item[i] = TopKItem<C>(static_cast<C>(x[from + i]), i, largest);
          } else {
            for (int64_t i = 0; i < length; ++i)
              item[i] = TopKItem<C>(static_cast<C>(x[from + i * inner]), i, largest);
          }
        });
        order_first(items, k);
        for (int64_t i = 0; i < k; ++i) {
          const int64_t index = items[static_cast<size_t>(i)].index();
          y[to + i * inner] = x[from + index * inner];
          where[to + i * inner] = index;
        }
      }
    });
  });
}

}  // namespace

std::vector<OpDef> top_k_ops() {
  const AttributeDef last_axis{"axis", AttributeType::int_, int64_t{-1}};
  const OpDef top_k{.name = "TopK",
                    .max_outputs = 2,
                    .input_types = {types::kNumeric},
                    .attributes = {last_axis},
                    .infer = infer_top_k,
                    .evaluate = evaluate_top_k};
  std::vector<OpDef> ops;
  ops.push_back(top_k);
  ops.back().until = 9;
  ops.back().attributes.push_back({"k", AttributeType::int_, Required{}});
  for (const auto& [since, until] : {std::pair(10, 10), std::pair(11, kLatestOpset)}) {
    ops.push_back(top_k);
    ops.back().since = since;
    ops.back().until = until;
    ops.back().min_inputs = ops.back().max_inputs = 2;
    ops.back().input_types = {types::kNumeric, types::kInt64};
  }
  ops.back().attributes.push_back({"largest", AttributeType::int_, int64_t{1}});
  ops.back().attributes.push_back({"sorted", AttributeType::int_, int64_t{1}});
  return ops;
}

}  // namespace plica
