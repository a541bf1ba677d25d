// OpDef::prepare: what is prepared is used again, by inference and evaluation alike.
#include "engine/ops/table.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor texts(const std::vector<std::string>& values) {
  return Tensor::of(values, {static_cast<int64_t>(values.size())});
}

OneNode pattern_node(const char* pattern) {
  return OneNode("RegexFullMatch", 20, {true}, {{"pattern", std::string(pattern)}}, {true});
}

TEST(Prepared, EvaluationTakesWhatItIsGiven) {
  const OneNode a = pattern_node("a"), b = pattern_node("b");
  const Prepared of_b = prepare_node(b.node());
  const Tensor x = texts({"a", "b"});
  const Tensor* const inputs[] = {&x};
  EXPECT_EQ(doubles(evaluate_node(a.node(), inputs)[0]), (std::vector<double>{1, 0}));
  EXPECT_EQ(doubles(evaluate_node(a.node(), inputs, nullptr, of_b)[0]), (std::vector<double>{0, 1}));
  std::vector<Tensor> out = {Tensor(DataType::boolean, {2})};
  run_kernel(a.node(), op_of(a.node()), inputs, out, nullptr, of_b);
  EXPECT_EQ(doubles(out[0]), (std::vector<double>{0, 1}));
}

TEST(Prepared, InferenceKeepsWhatItMakes) {
  const OneNode one = pattern_node("a");
  const Facts x = typed(DataType::string, Shape{2});
  Prepared kept;
  infer_node(one.node(), {&x}, nullptr, &kept);
  ASSERT_TRUE(kept);
  const Prepared first = kept;
  infer_node(one.node(), {&x}, nullptr, &kept);
  EXPECT_EQ(kept, first);
}

TEST(Prepared, MostOperatorsPrepareNothing) {
  const OneNode one("Relu", 14, {true}, {}, {true});
  EXPECT_FALSE(prepare_node(one.node()));
}

TEST(Prepared, ErrorsNameTheNode) {
  const OneNode one = pattern_node("(a");
  expect_error([&] { prepare_node(one.node()); }, ErrorCode::invalid_model, "none of RE2's");
  try {
    prepare_node(one.node());
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("RegexFullMatch"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace plica::test
