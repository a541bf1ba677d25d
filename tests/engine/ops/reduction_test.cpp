#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using List = std::vector<int64_t>;

struct Reducer {
  const char* op;
  int since_input;  // the first opset with the axes as an input
  double start;
  double (*add)(double, double);
  double (*finish)(double, double count);
};

double plain(double s, double) { return s; }

const Reducer kReducers[] = {
    {"ReduceSum", 13, 0, [](double s, double x) { return s + x; }, plain},
    {"ReduceMean", 18, 0, [](double s, double x) { return s + x; }, [](double s, double n) { return s / n; }},
    {"ReduceProd", 18, 1, [](double s, double x) { return s * x; }, plain},
    {"ReduceMax", 18, -HUGE_VAL, [](double s, double x) { return std::max(s, x); }, plain},
    {"ReduceMin", 18, HUGE_VAL, [](double s, double x) { return std::min(s, x); }, plain},
    {"ReduceL1", 18, 0, [](double s, double x) { return s + std::fabs(x); }, plain},
    {"ReduceL2", 18, 0, [](double s, double x) { return s + x * x; },
     [](double s, double) { return std::sqrt(s); }},
    {"ReduceSumSquare", 18, 0, [](double s, double x) { return s + x * x; }, plain},
    {"ReduceLogSum", 18, 0, [](double s, double x) { return s + x; },
     [](double s, double) { return std::log(s); }},
    {"ReduceLogSumExp", 18, 0, [](double s, double x) { return s + std::exp(x); },
     [](double s, double) { return std::log(s); }},
};

Tensor reference(const Reducer& r, const Tensor& x, const std::vector<bool>& reduced, bool keep) {
  Dims full, kept;
  double count = 1;
  for (int i = 0; i < x.rank(); ++i) {
    const bool is_reduced = reduced[static_cast<size_t>(i)];
    full.push_back(is_reduced ? 1 : x.dim(i));
    if (!is_reduced || keep) kept.push_back(full.back());
    if (is_reduced) count *= static_cast<double>(x.dim(i));
  }
  std::vector<double> sums(static_cast<size_t>(Tensor(DataType::uint8, full).size()), r.start);
  const auto values = doubles(x);
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), at = 0, stride = 1;
    for (int d = x.rank(); d-- > 0; rest /= x.dim(d)) {
      if (!reduced[static_cast<size_t>(d)]) at += rest % x.dim(d) * stride;
      stride *= full[static_cast<size_t>(d)];
    }
    double& s = sums[static_cast<size_t>(at)];
    s = r.add(s, values[i]);
  }
  for (double& s : sums) s = r.finish(s, count);
  return tensor(x.type(), kept, sums);
}

class Reduce : public ::testing::TestWithParam<Reducer> {};

// Every subset of the axes, as attribute and as input.
TEST_P(Reduce, AllSubsetsOfAxes) {
  const Reducer& r = GetParam();
  for (const Dims& dims : {Dims{5}, Dims{3, 40}, Dims{2, 3, 4}, Dims{2, 1, 3, 2},
                           Dims{2, 2, 2, 2, 2, 2, 2, 2}, Dims{3, 5, 300}}) {
    const Tensor x = random(DataType::float32, dims, 0.5, 1.5, 11);
    for (unsigned subset = 1; subset<1u << dims.size(); subset += dims.size()> 4 ? 5 : 1) {
      std::vector<bool> reduced;
      List axes;
      for (size_t i = 0; i < dims.size(); ++i) {
        reduced.push_back(subset >> i & 1);
        if (reduced.back())
          axes.push_back(static_cast<int64_t>(i) - (i % 2 ? static_cast<int64_t>(dims.size()) : 0));
      }
      const bool keep = subset % 2;
      const NamedAttributes keepdims = {{"keepdims", int64_t{keep}}};
      const Tensor expected = reference(r, x, reduced, keep);
      EXPECT_TENSOR(
          run(r.op, r.since_input, {x, Tensor::of(axes, {static_cast<int64_t>(axes.size())})}, keepdims),
          expected)
          << subset;
      EXPECT_TENSOR(run(r.op, 11, {x}, {{"keepdims", int64_t{keep}}, {"axes", axes}}), expected) << subset;
    }
  }
}

TEST_P(Reduce, WithoutAxes) {
  const Reducer& r = GetParam();
  const Tensor x = random(DataType::float32, {2, 3}, 0.5, 1.5, 12);
  const Tensor all = reference(r, x, {true, true}, false), none = reference(r, x, {false, false}, true);
  const NamedAttributes drop = {{"keepdims", int64_t{0}}};
  EXPECT_TENSOR(run(r.op, 1, {x}, drop), all);
  EXPECT_TENSOR(run(r.op, 18, {x}, drop), all);
  EXPECT_TENSOR(run(r.op, 18, {x, ints({0}, {})}, drop), all);
  // Nothing is reduced, but a composite operator does its other steps.
  EXPECT_TENSOR(run(r.op, 18, {x}, {{"noop_with_empty_axes", int64_t{1}}}), none);
  EXPECT_TENSOR(run(r.op, 18, {x, ints({0}, {})}, {{"noop_with_empty_axes", int64_t{1}}}), none);
  EXPECT_TENSOR(run(r.op, 18, {floats({}, {1.5})}), reference(r, floats({}, {1.5}), {}, false));
}

TEST_P(Reduce, OtherTypes) {
  const Reducer& r = GetParam();
  for (const auto& [type, rtol] :
       {std::pair(DataType::float64, 1e-13), {DataType::float16, 2e-3}, {DataType::bfloat16, 1e-2}}) {
    const Tensor x = random(type, {4, 5, 6}, 0.5, 1.5, 13);
    EXPECT_TENSOR(run(r.op, 18, {x, ints({2}, {0, 2})}), reference(r, x, {true, false, true}, true), rtol)
        << to_string(type);
  }
  for (DataType type : {DataType::int32, DataType::int64, DataType::uint32, DataType::uint64}) {
    const Tensor x = tensor(type, {2, 3}, {1, 2, 3, 4, 5, 6});
    Tensor expected = reference(r, tensor(DataType::float64, {2, 3}, doubles(x)), {false, true}, false);
    for (double& v : expected.mutable_values<double>()) v = std::trunc(v);
    EXPECT_TENSOR(run(r.op, 18, {x, ints({1}, {1})}, {{"keepdims", int64_t{0}}}),
                  tensor(type, {2}, doubles(expected)))
        << to_string(type);
  }
}

TEST_P(Reduce, EmptySets) {
  const Reducer& r = GetParam();
  const double expected = std::string_view(r.op) == "ReduceMean" ? kNan : r.finish(r.start, 0);
  EXPECT_TENSOR(run(r.op, 18, {floats({2, 0, 3}, {}), ints({1}, {1})}),
                floats({2, 1, 3}, std::vector<double>(6, expected)));
  EXPECT_TENSOR(run(r.op, 18, {floats({2, 0}, {}), ints({1}, {0})}, {{"keepdims", int64_t{0}}}),
                floats({0}, {}));
}

TEST_P(Reduce, NanGetsThrough) {
  std::vector<double> values(40, 1);
  values[17] = kNan;
  EXPECT_TENSOR(run(GetParam().op, 18, {floats({40}, values)}), floats({1}, {kNan}));
  EXPECT_TRUE(std::isnan(doubles(run(GetParam().op, 18, {floats({20, 2}, values), ints({1}, {0})}))[1]));
}

TEST_P(Reduce, Errors) {
  const char* op = GetParam().op;
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  expect_error(
      [&] {
        run(op, 18, {x, ints({1}, {2})});
      },
      ErrorCode::invalid_model, "axis 2 is out of range for rank 2");
  expect_error([&] { run(op, 11, {x}, {{"axes", List{-3}}}); }, ErrorCode::invalid_model, "out of range");
  expect_error([&] { run(op, 18, {x, ints({2}, {1, -1})}); }, ErrorCode::invalid_model, "twice");
  expect_error([&] { run(op, 18, {x}, {{"axes", List{0}}}); }, ErrorCode::invalid_model, "'axes'");
  expect_error([&] { run(op, 18, {x, floats({1}, {0})}); }, ErrorCode::invalid_model, "input 1");
  expect_error([&] { run(op, 11, {x, ints({1}, {0})}, {}); }, ErrorCode::invalid_model, "2 inputs");
}

INSTANTIATE_TEST_SUITE_P(All, Reduce, ::testing::ValuesIn(kReducers),
                         [](const auto& info) { return std::string(info.param.op); });

TEST(Reduction, LongSumsStayExact) {
  const Tensor x = tensor(DataType::float32, {1 << 20}, std::vector<double>(1 << 20, 0.1f));
  EXPECT_TENSOR(run("ReduceSum", 13, {x}), floats({1}, {(1 << 20) * static_cast<double>(0.1f)}), 1e-7);
  EXPECT_TENSOR(run("ReduceMean", 18, {x.reshaped({1 << 18, 4}), ints({1}, {0})}),
                floats({1, 4}, std::vector<double>(4, 0.1f)), 1e-7);
}

TEST(Reduction, LogSumExpDoesNotOverflow) {
  EXPECT_TENSOR(run("ReduceLogSumExp", 18, {floats({2}, {1000, 1000})}), floats({1}, {1000 + std::log(2.0)}));
  EXPECT_TENSOR(run("ReduceLogSumExp", 18, {floats({2}, {-kInfinity, -kInfinity})}),
                floats({1}, {-kInfinity}));
  EXPECT_TENSOR(run("ReduceLogSumExp", 18, {floats({2}, {kInfinity, 0})}), floats({1}, {kInfinity}));
}

TEST(Reduction, MaxOfSmallTypesAndBooleans) {
  EXPECT_TENSOR(run("ReduceMax", 20, {tensor(DataType::boolean, {2, 2}, {0, 0, 1, 0}), ints({1}, {1})},
                    {{"keepdims", int64_t{0}}}),
                tensor(DataType::boolean, {2}, {0, 1}));
  EXPECT_TENSOR(run("ReduceMin", 20, {Tensor::vector<int8_t>({3, -7, 5})}), Tensor::vector<int8_t>({-7}));
  EXPECT_TENSOR(run("ReduceMin", 20, {Tensor::vector<uint8_t>({3, 7, 5})}), Tensor::vector<uint8_t>({3}));
  EXPECT_TENSOR(run("ReduceMax", 20, {Tensor(DataType::int8, {0})}), Tensor::vector<int8_t>({-128}));
  expect_error([] { run("ReduceMean", 18, {Tensor(DataType::int32, {0})}); }, ErrorCode::invalid_argument,
               "mean of no integers");
}

TEST(Reduction, Inference) {
  const Facts x = typed(DataType::float32, Shape{symbol("N"), 3, symbol("H"), Dim()});
  EXPECT_EQ(inferred_type("ReduceMean", 13, {x}, {{"axes", List{2, 3}}}), "float32[N, 3, 1, 1]");
  EXPECT_EQ(inferred_type("ReduceMean", 13, {x}, {{"axes", List{-1}}, {"keepdims", int64_t{0}}}),
            "float32[N, 3, H]");
  EXPECT_EQ(inferred_type("ReduceMean", 18, {x, Facts::of(ints({1}, {1}))}), "float32[N, 1, H, ?]");
  EXPECT_EQ(inferred_type("ReduceMean", 18, {x, typed(DataType::int64, Shape{1})}), "float32[?, ?, ?, ?]");
  EXPECT_EQ(
      inferred_type("ReduceMean", 18, {x, typed(DataType::int64, Shape{1})}, {{"keepdims", int64_t{0}}}),
      "float32[...]");
  EXPECT_EQ(inferred_type("ArgMax", 13, {x}, {{"axis", int64_t{-1}}}), "int64[N, 3, H, 1]");
  EXPECT_EQ(inferred_type("ArgMax", 13, {x}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}}),
            "int64[N, H, ?]");
}

TEST(Arg, ExtremesAndTies) {
  const Tensor x = floats({2, 3}, {2, 9, 9, 1, 1, 0});
  EXPECT_TENSOR(run("ArgMax", 13, {x}, {{"axis", int64_t{1}}}), ints({2, 1}, {1, 0}));
  EXPECT_TENSOR(run("ArgMax", 12, {x}, {{"axis", int64_t{1}}, {"select_last_index", int64_t{1}}}),
                ints({2, 1}, {2, 1}));
  EXPECT_TENSOR(run("ArgMin", 13, {x}, {{"axis", int64_t{-1}}, {"keepdims", int64_t{0}}}), ints({2}, {0, 2}));
  EXPECT_TENSOR(run("ArgMin", 1, {x}), ints({1, 3}, {1, 1, 1}));
  EXPECT_TENSOR(run("ArgMax", 13, {floats({3}, {1, kNan, 5})}), ints({1}, {1}));
  EXPECT_TENSOR(run("ArgMax", 13, {Tensor::vector<uint8_t>({3, 200, 7})}), ints({1}, {1}));
  EXPECT_TENSOR(run("ArgMax", 13, {iota(DataType::float64, {3, 2, 100})}, {{"axis", int64_t{0}}}),
                ints({1, 2, 100}, List(200, 2)));
  expect_error(
      [&] {
        run("ArgMax", 13, {x}, {{"axis", int64_t{2}}});
      },
      ErrorCode::invalid_model, "out of range");
  expect_error(
      [&] {
        run("ArgMax", 11, {x}, {{"select_last_index", int64_t{1}}});
      },
      ErrorCode::invalid_model, "'select_last_index'");
  expect_error(
      [&] {
        run("ArgMax", 13, {floats({2, 0}, {})}, {{"axis", int64_t{1}}});
      },
      ErrorCode::invalid_model, "empty");
}

TEST(Cumulative, Directions) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto sum = [&](int64_t axis, int64_t exclusive, int64_t reverse) {
    return run("CumSum", 14, {x, ints({}, {axis})}, {{"exclusive", exclusive}, {"reverse", reverse}});
  };
  EXPECT_TENSOR(sum(1, 0, 0), floats({2, 3}, {1, 3, 6, 4, 9, 15}));
  EXPECT_TENSOR(sum(-1, 1, 0), floats({2, 3}, {0, 1, 3, 0, 4, 9}));
  EXPECT_TENSOR(sum(-1, 0, 1), floats({2, 3}, {6, 5, 3, 15, 11, 6}));
  EXPECT_TENSOR(sum(0, 1, 1), floats({2, 3}, {4, 5, 6, 0, 0, 0}));
  EXPECT_TENSOR(run("CumProd", 26, {Tensor::vector<int32_t>({1, 2, 3}), Tensor::vector<int32_t>({0})}),
                Tensor::vector<int32_t>({1, 2, 6}));
  EXPECT_TENSOR(run("CumSum", 11, {floats({0, 2}, {}), ints({}, {0})}), floats({0, 2}, {}));
  expect_error([&] { sum(2, 0, 0); }, ErrorCode::invalid_model, "out of range");
  expect_error(
      [&] {
        run("CumSum", 11, {x, ints({2}, {0, 1})});
      },
      ErrorCode::invalid_model, "must be a scalar");
}

}  // namespace
}  // namespace plica::test
