// ReduceX: the axes are an attribute, or (since opset 13 of ReduceSum, 18 of the others) an input.
// Sums of floating-point numbers are kept in double, so that no order of summation matters to the result.
#include <array>
#include <cmath>
#include <limits>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/cast.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/extreme.h"
#include "engine/ops/infer.h"
#include "engine/ops/node_parameters.h"
#include "engine/ops/reduction.h"

namespace plica {
namespace {

// ---- which axes

bool axes_are_input(const OpDef& def) { return def.max_inputs == 2; }

// By axis: is it reduced? `axes` as given; none at all reduces all, or nothing with noop_with_empty_axes.
std::vector<bool> reduced_axes(const AttributeReader& attributes, const OpDef& def,
                               const std::vector<int64_t>& axes, int rank) {
  if (axes.empty()) {
    const bool noop = axes_are_input(def) && attributes.i("noop_with_empty_axes") != 0;
    return std::vector<bool>(static_cast<size_t>(rank), !noop);
  }
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (const int64_t axis : axes) {
    const auto a = static_cast<size_t>(normalize_axis(axis, rank));
    require(!reduced[a], ErrorCode::invalid_model, "axis {} is listed twice", axis);
    reduced[a] = true;
  }
  return reduced;
}

// As given; nullopt when they are not known yet.
std::optional<std::vector<int64_t>> given_axes(const InferContext& context) {
  if (!axes_are_input(context.def()))
    return context.attributes().maybe_ints("axes").value_or(std::vector<int64_t>{});
  if (!context.has_input(1)) return std::vector<int64_t>{};
  const auto& shape = context.input_shape(1);
  require(!shape || shape->rank() == 1, ErrorCode::invalid_model, "the axes are of rank {}, it must be 1",
          shape ? shape->rank() : 0);
  if (shape && shape->known() == Dims{0}) return std::vector<int64_t>{};
  return context.input_ints(1);
}

void infer_reduce(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& shape = context.input_shape(0);
  const bool keep = context.attributes().i("keepdims") != 0;
  const auto axes = given_axes(context);
  if (!shape || !axes) {
    std::optional<Shape> unknown;
    if (shape && keep) unknown = Shape(std::vector<Dim>(static_cast<size_t>(shape->rank())));
    return context.set_output(0, type, std::move(unknown));
  }
  const auto reduced = reduced_axes(context.attributes(), context.def(), *axes, shape->rank());
  Shape out;
  for (int i = 0; i < shape->rank(); ++i) {
    if (!reduced[static_cast<size_t>(i)]) {
      out.push_back((*shape)[i]);
    } else if (keep) {
      out.push_back(1);
    }
  }
  context.set_output(0, type, std::move(out));
}

// ---- the order of reading

// Dims collapsed to runs of reduced and kept ones. The innermost is apart: if it is reduced, an output
// element is reduced from rows of neighbours; if it is kept, neighbouring output elements are reduced
// together.
struct Plan {
  Dims out_dims;
  bool inner_reduced = true;
  int64_t inner = 1;             // the length of the innermost run
  int64_t count = 1;             // elements reduced into one
  std::vector<int64_t> kept;     // input offsets: where each row (or element) of the output begins
  std::vector<int64_t> reduced;  // input offsets, from there, of what is reduced into it
};

// The offsets of all positions of runs, outermost first.
std::vector<int64_t> all_offsets(const std::vector<std::pair<int64_t, int64_t>>& size_and_stride) {
  std::vector<int64_t> offsets = {0};
  for (const auto& [size, stride] : size_and_stride) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(size));
    for (const int64_t base : offsets) {
      for (int64_t i = 0; i < size; ++i) next.push_back(base + i * stride);
    }
    offsets = std::move(next);
  }
  return offsets;
}

Plan make_plan(const Dims& dims, const std::vector<bool>& reduced, bool keep) {
  Plan plan;
  struct Run {
    int64_t size;
    bool reduced;
  };
  std::vector<Run> runs;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (!reduced[i] || keep) plan.out_dims.push_back(reduced[i] ? 1 : dims[i]);
    if (reduced[i]) plan.count *= dims[i];
    if (dims[i] == 1) continue;
    if (!runs.empty() && runs.back().reduced == reduced[i]) {
      runs.back().size *= dims[i];
    } else {
      runs.push_back({dims[i], reduced[i]});
    }
  }
  if (plan.count == 0) return plan;  // nothing to read
  int64_t stride = 1;
  if (!runs.empty()) {
    plan.inner = stride = runs.back().size;
    plan.inner_reduced = runs.back().reduced;
    runs.pop_back();
  }
  std::vector<std::pair<int64_t, int64_t>> kept_runs, reduced_runs;
  for (auto it = runs.rbegin(); it != runs.rend(); stride *= it->size, ++it) {
    auto& list = it->reduced ? reduced_runs : kept_runs;
    list.insert(list.begin(), {it->size, stride});
  }
  plan.kept = all_offsets(kept_runs);
  plan.reduced = all_offsets(reduced_runs);
  return plan;
}

// ---- reducers: State init(), void add(State&, C), void join(State&, State), C result(State, count)

// Sums: in double for floating-point types; integers wrap around.
template <class C>
using SumType = std::conditional_t<std::is_floating_point_v<C>, double,
                                   std::conditional_t<std::is_signed_v<C>, int64_t, uint64_t>>;

template <class C>
C from_double(double x) {
  if constexpr (std::is_integral_v<C>)
    return to_integer<C>(x);
  else
    return static_cast<C>(x);
}

constexpr auto kPlus = []<class S>(S a, S b) {
  return static_cast<S>(static_cast<WrapType<S>>(a) + static_cast<WrapType<S>>(b));
};
constexpr auto kTimes = []<class S>(S a, S b) {
  return static_cast<S>(static_cast<WrapType<S>>(a) * static_cast<WrapType<S>>(b));
};

template <class C>
struct Summing {
  using State = SumType<C>;
  static State init() { return 0; }
  static void add(State& s, C x) { s = kPlus(s, static_cast<State>(x)); }
  static void join(State& s, State other) { s = kPlus(s, other); }
};

template <class C>
struct Sum : Summing<C> {
  static C result(SumType<C> s, int64_t) { return static_cast<C>(s); }
};
template <class C>
struct Mean : Summing<C> {
  static C result(SumType<C> s, int64_t count) {
    if constexpr (std::is_integral_v<C>) {
      require(count != 0, ErrorCode::invalid_argument, "the mean of no integers");
      return static_cast<C>(s / static_cast<SumType<C>>(count));
    } else {
      return static_cast<C>(s / static_cast<double>(count));
    }
  }
};
template <class C>
struct LogSum : Summing<C> {
  static C result(SumType<C> s, int64_t) { return from_double<C>(std::log(static_cast<double>(s))); }
};
template <class C>
struct L1 : Sum<C> {
  static void add(SumType<C>& s, C x) {
    Summing<C>::add(s, x < 0 ? kTimes(static_cast<SumType<C>>(x), static_cast<SumType<C>>(-1)) : x);
  }
};
template <class C>
struct SumSquare : Sum<C> {
  static void add(SumType<C>& s, C x) {
    s = kPlus(s, kTimes(static_cast<SumType<C>>(x), static_cast<SumType<C>>(x)));
  }
};
template <class C>
struct L2 : SumSquare<C> {
  static C result(SumType<C> s, int64_t) { return from_double<C>(std::sqrt(static_cast<double>(s))); }
};
template <class C>
struct Prod {
  using State = SumType<C>;
  static State init() { return 1; }
  static void add(State& s, C x) { s = kTimes(s, static_cast<State>(x)); }
  static void join(State& s, State other) { s = kTimes(s, other); }
  static C result(State s, int64_t) { return static_cast<C>(s); }
};

// NaN wins, as in numpy.
template <class C>
struct Max {
  static constexpr bool kIsMax = true;
  using State = C;
  static State init() {
    if constexpr (std::is_floating_point_v<C>)
      return -std::numeric_limits<C>::infinity();
    else
      return std::numeric_limits<C>::min();
  }
  static void add(State& s, C x) { s = ((s > x) | is_nan(s)) ? s : x; }
  static void join(State& s, State other) { add(s, other); }
  static C result(State s, int64_t) { return s; }
};
template <class C>
struct Min {
  static constexpr bool kIsMax = false;
  using State = C;
  static State init() {
    if constexpr (std::is_floating_point_v<C>)
      return std::numeric_limits<C>::infinity();
    else
      return std::numeric_limits<C>::max();
  }
  static void add(State& s, C x) { s = ((s < x) | is_nan(s)) ? s : x; }
  static void join(State& s, State other) { add(s, other); }
  static C result(State s, int64_t) { return s; }
};

// log(sum(exp(x))), with the running maximum taken out: the sum is of exp(x - largest).
template <class C>
struct LogSumExp {
  struct State {
    double largest, sum;
  };
  static State init() { return {-std::numeric_limits<double>::infinity(), 0}; }
  static void add(State& s, C value) { join(s, {static_cast<double>(value), 1}); }
  static void join(State& s, State other) {
    if (other.largest > s.largest) std::swap(s, other);
    s.sum += other.largest == s.largest ? other.sum : other.sum * std::exp(other.largest - s.largest);
  }
  static C result(State s, int64_t) { return from_double<C>(s.largest + std::log(s.sum)); }
};

// ---- the kernel

// Independent partial results, so that additions don't wait for each other.
constexpr int64_t kLanes = 16;
constexpr int64_t kColumns = 128;

template <class R, class T>
typename R::State reduce_row_body(const T* x, int64_t count, typename R::State state) {
  using C = ComputeType<T>;
  if constexpr (requires { R::kIsMax; } && std::is_floating_point_v<T>) {
    R::add(state, extreme_of_row<R::kIsMax>(x, count));
    return state;
  }
  if (count >= 2 * kLanes) {
    std::array<typename R::State, kLanes> lanes;
    lanes.fill(R::init());
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (int64_t k = 0; k < kLanes; ++k) R::add(lanes[static_cast<size_t>(k)], static_cast<C>(x[i + k]));
    }
    for (const auto& lane : lanes) R::join(state, lane);
    x += i;
    count -= i;
  }
  for (int64_t i = 0; i < count; ++i) R::add(state, static_cast<C>(x[i]));
  return state;
}

template <class R, class T>
typename R::State reduce_row(const T* x, int64_t count, typename R::State state) {
  vectorized([&state, x, count] { state = reduce_row_body<R>(x, count, state); });
  return state;
}

template <class R, class T>
void reduce(const Plan& plan, const T* x, T* y, int64_t out_size) {
  using State = typename R::State;
  if (plan.count == 0) {
    std::fill_n(y, out_size, static_cast<T>(R::result(R::init(), 0)));
    return;
  }
  const int64_t work = std::max<int64_t>(1, plan.count * (plan.inner_reduced ? 1 : plan.inner));
  const auto rows = static_cast<int64_t>(plan.kept.size());
  if (plan.inner_reduced) {
    parallel_for(rows, std::max<int64_t>(1, 16384 / work), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        State state = R::init();
        for (const int64_t offset : plan.reduced) {
          state = reduce_row<R>(x + plan.kept[static_cast<size_t>(row)] + offset, plan.inner, state);
        }
        y[row] = static_cast<T>(R::result(state, plan.count));
      }
    });
    return;
  }
  const int64_t parts = (plan.inner + kColumns - 1) / kColumns;
  parallel_for(rows * parts, std::max<int64_t>(1, 16384 / std::min(work, plan.count * kColumns)),
               [&](int64_t begin, int64_t end) {
                 std::array<State, kColumns> states;
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = i / parts, column = i % parts * kColumns;
                   const int64_t columns = std::min(kColumns, plan.inner - column);
                   std::fill_n(states.begin(), columns, R::init());
                   const T* from = x + plan.kept[static_cast<size_t>(row)] + column;
                   vectorized([&, from, columns] {
                     for (const int64_t offset : plan.reduced) {
                       for (int64_t j = 0; j < columns; ++j)
                         R::add(states[static_cast<size_t>(j)],
                                static_cast<ComputeType<T>>(from[offset + j]));
                     }
                   });
                   T* to = y + row * plan.inner + column;
                   for (int64_t j = 0; j < columns; ++j)
                     to[j] = static_cast<T>(R::result(states[static_cast<size_t>(j)], plan.count));
                 }
               });
}

template <template <class> class R, class Types>
void evaluate_reduce(EvaluateContext& context) {
  // Booleans as 0 and 1: their max is "any", their min "all".
  const bool boolean = context.input(0).type() == DataType::boolean;
  const Tensor in = boolean ? cast_tensor(context.input(0), DataType::uint8) : context.input(0);
  std::vector<int64_t> axes;
  if (!axes_are_input(context.def())) {
    axes = context.attributes().maybe_ints("axes").value_or(axes);
  } else if (const Tensor* given = context.maybe_input(1)) {
    axes.assign(given->values<int64_t>().begin(), given->values<int64_t>().end());
  }
  const auto reduced = reduced_axes(context.attributes(), context.def(), axes, in.rank());
  const Plan plan = make_plan(in.dims(), reduced, context.attributes().i("keepdims") != 0);
  Tensor& out = context.allocate(0, context.input(0).type(), plan.out_dims);
  if (out.size() == 0) return;
  dispatch<Types>(in.type(), [&]<class T>(std::type_identity<T>) {
    reduce<R<ComputeType<T>>>(plan, in.data<T>(), static_cast<T*>(out.mutable_raw()), out.size());
  });
}

using ReducedTypes = JoinLists<FloatTypes, TypeList<int32_t, int64_t, uint32_t, uint64_t>>;

// `since_input`: the first version with the axes as an input.
void add(std::vector<OpDef>& ops, std::string_view name, int since_input, TypeSet types,
         void (*evaluate)(EvaluateContext&)) {
  const AttributeDef keepdims{"keepdims", AttributeType::int_, int64_t{1}};
  OpDef def{.name = name,
            .until = since_input - 1,
            .input_types = {types},
            .attributes = {{"axes", AttributeType::ints, Optional{}}, keepdims},
            .infer = infer_reduce,
            .evaluate = evaluate};
  ops.push_back(def);
  def.since = since_input;
  def.until = kLatestOpset;
  def.max_inputs = 2;
  def.input_types = {types, types::kInt64};
  def.attributes = {keepdims, {"noop_with_empty_axes", AttributeType::int_, int64_t{0}}};
  ops.push_back(std::move(def));
}

}  // namespace

std::optional<std::vector<bool>> reduced_axes(const InferContext& context) {
  const auto axes = given_axes(context);
  if (!axes || !context.input_shape(0)) return std::nullopt;
  return reduced_axes(context.attributes(), context.def(), *axes, context.input_shape(0)->rank());
}

std::vector<OpDef> reduce_ops() {
  constexpr TypeSet kTypes = types::kFloat | types::kIndex | TypeSet{DataType::uint32, DataType::uint64};
  constexpr TypeSet kOrderedTypes = types::kNumeric | types::kBool;
  std::vector<OpDef> ops;
  add(ops, "ReduceSum", 13, kTypes, evaluate_reduce<Sum, ReducedTypes>);
  add(ops, "ReduceMean", 18, kTypes, evaluate_reduce<Mean, ReducedTypes>);
  add(ops, "ReduceProd", 18, kTypes, evaluate_reduce<Prod, ReducedTypes>);
  add(ops, "ReduceL1", 18, kTypes, evaluate_reduce<L1, ReducedTypes>);
  add(ops, "ReduceL2", 18, kTypes, evaluate_reduce<L2, ReducedTypes>);
  add(ops, "ReduceSumSquare", 18, kTypes, evaluate_reduce<SumSquare, ReducedTypes>);
  add(ops, "ReduceLogSum", 18, kTypes, evaluate_reduce<LogSum, ReducedTypes>);
  add(ops, "ReduceLogSumExp", 18, kTypes, evaluate_reduce<LogSumExp, ReducedTypes>);
  add(ops, "ReduceMax", 18, kOrderedTypes, evaluate_reduce<Max, NumericTypes>);
  add(ops, "ReduceMin", 18, kOrderedTypes, evaluate_reduce<Min, NumericTypes>);
  return ops;
}

}  // namespace plica
