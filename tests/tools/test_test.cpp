// plica test as a process.
#include "tests/tools/program.h"

namespace plica {
namespace {

class TestCommand : public ProgramTest {
 protected:
  // A case that adds 1 to x, with an expected answer.
  void add_case(const std::string& name, float expected, const std::string& op = "Add") {
    const fs::path set = dir_ / "suite" / "node" / name / "test_data_set_0";
    fs::create_directories(set);
    ModelBuilder b;
    b.output(b.node(op, {b.input("x", Shape{1}), b.constant("one", Tensor::vector<float>({1}))}, "y"));
    write("suite/node/" + name + "/model.onnx", b.bytes());
    write("suite/node/" + name + "/test_data_set_0/input_0.pb",
          serialize_tensor(Tensor::vector<float>({2}), "x"));
    write("suite/node/" + name + "/test_data_set_0/output_0.pb",
          serialize_tensor(Tensor::vector<float>({expected}), "y"));
  }
};

TEST_F(TestCommand, SaysWhatBecameOfEachCase) {
  add_case("a_right", 3);
  EXPECT_EQ(plica({"test", "suite"}).code, 0);
  add_case("b_wrong", 4);
  add_case("c_odd", 3, "Frobnicate");
  const Outcome outcome = plica({"test", "suite"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.out, HasSubstr("passed       node/a_right\n"));
  EXPECT_THAT(outcome.out, HasSubstr("failed       node/b_wrong: test_data_set_0: output 'y': 1 of 1 "
                                     "elements differ, the first at 0: 3, expected 4"));
  EXPECT_THAT(outcome.out, HasSubstr("unsupported  node/c_odd: "));
  EXPECT_THAT(outcome.out, HasSubstr("1 passed, 1 failed, 1 unsupported"));
  const Outcome as_json = plica({"test", "suite", "--json", "--no-optimize"});
  EXPECT_EQ(as_json.code, 3);
  const json result = json::parse(as_json.out);
  EXPECT_EQ(result["passed"], 1);
  EXPECT_EQ(result["failed"], 1);
  EXPECT_EQ(result["unsupported"], 1);
  EXPECT_EQ(result["cases"][1]["result"], "failed");
  write("suite/node/b_wrong/tol.json", R"({"rtol": 0.5, "atol": 0})");
  EXPECT_EQ(plica({"test", "suite"}).code, 0);
}

TEST_F(TestCommand, AllButExceptions) {
  add_case("a", 3);
  add_case("b_wrong", 4);
  add_case("c_odd", 3, "Frobnicate");
  write("except.txt", "node/b_wrong  # nobody knows\n");
  const Outcome one = plica({"test", "suite", "--except", "except.txt"});
  EXPECT_EQ(one.code, 3);
  EXPECT_THAT(one.err, HasSubstr("node/c_odd does not pass and is not in except.txt"));
  write("except.txt", "node/a\nnode/b_wrong\nnode/c_odd\nnode/gone\n");
  const Outcome all = plica({"test", "suite", "--except", "except.txt"});
  EXPECT_EQ(all.code, 0);
  EXPECT_THAT(all.err, AllOf(HasSubstr("node/a passes"), HasSubstr("node/gone is in except.txt but is not there")));
  EXPECT_EQ(plica({"test", "suite", "--except", "except.txt", "--list", "except.txt"}).code, 2);
}

TEST_F(TestCommand, KeepsAList) {
  add_case("a", 3);
  add_case("b", 3);
  write("list.txt", "# comment\nnode/a\n");
  const Outcome one_more = plica({"test", "suite", "--list", "list.txt"});
  EXPECT_EQ(one_more.code, 0);
  EXPECT_THAT(one_more.err, HasSubstr("node/b passes"));
  EXPECT_EQ(plica({"test", "suite", "--list", "list.txt", "--update-list"}).code, 0);
  EXPECT_THAT(slurp(path("list.txt")), AllOf(HasSubstr("node/a\n"), HasSubstr("node/b\n")));
  add_case("b", 5);
  const Outcome lost = plica({"test", "suite", "--list", "list.txt", "--update-list"});
  EXPECT_EQ(lost.code, 3);
  EXPECT_THAT(lost.err, HasSubstr("node/b is in list.txt but does not pass"));
  EXPECT_THAT(slurp(path("list.txt")), HasSubstr("node/b\n"));
  fs::remove_all(dir_ / "suite/node/b");
  EXPECT_EQ(plica({"test", "suite", "--list", "list.txt"}).code, 3);
}

TEST_F(TestCommand, RefusesWhatHasNoCases) {
  expect_failure(4, {"test", "missing"}, "missing");
  expect_failure(4, {"test", dir_.string()}, "model.onnx");
}

}  // namespace
}  // namespace plica
