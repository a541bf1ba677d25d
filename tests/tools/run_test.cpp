// plica run as a process.
#include "tests/tools/program.h"

namespace plica {
namespace {

using RunCommand = ProgramTest;

TEST_F(RunCommand, RunClassifiesAPicture) {
  const Outcome outcome = plica({"run", kDigits, "-i", kTwo});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("2  "));
  EXPECT_THAT(outcome.out, HasSubstr("█"));
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(plica({"--color", "always", "run", kDigits, "-i", kTwo}).out, HasSubstr("\x1b["));
}

TEST_F(RunCommand, RunGivesJson) {
  const json result = parse_json(plica({"run", kDigits, "-i", kTwo, "--top", "3", "--json"}));
  EXPECT_EQ(result["classes"][0].size(), 3u);
  EXPECT_EQ(result["classes"][0][0]["label"], "2");
  EXPECT_EQ(result["softmax_applied"], false);
  EXPECT_EQ(result["outputs"][0]["shape"], json({1, 10}));
  EXPECT_EQ(result["inputs"][0]["name"], "image");
}

TEST_F(RunCommand, RunReadsWhatItWrites) {
  const std::string data = slurp(kTestData);
  const auto arrays = tools::parse_npz(std::as_bytes(std::span(data)));
  const Tensor& image = *tools::find_array(arrays, "image");
  write("x.npy", npy(Tensor::view(image.data<float>(), {3, 1, 8, 8})));
  for (const char* file : {"y.npz", "y.npy", "y.pb"}) {
    EXPECT_EQ(plica({"-q", "run", kDigits, "-i", "x.npy", "-o", file}).code, 0) << file;
  }
  const std::string npz = slurp(path("y.npz")), npy_text = slurp(path("y.npy")), pb = slurp(path("y.pb"));
  const Tensor a = *tools::find_array(tools::parse_npz(std::as_bytes(std::span(npz))), "probabilities");
  EXPECT_EQ(a.dims(), (Dims{3, 10}));
  EXPECT_TRUE(tools::parse_npy(std::as_bytes(std::span(npy_text))).identical_to(a));
  EXPECT_TRUE(parse_tensor(std::as_bytes(std::span(pb))).tensor.identical_to(a));
  // The same through the standard input and output.
  const Outcome piped = plica({"run", "-", "-i", "x.npy", "-o", "-"}, "cat " + quote(kDigits) + " | ");
  EXPECT_EQ(piped.code, 0) << piped.err;
  EXPECT_EQ(piped.out, npz);
  EXPECT_EQ(count_files(), 4u);
}

TEST_F(RunCommand, RunMakesUpInputsAndSaysSo) {
  const Outcome first = plica({"run", kDigits, "--seed", "3", "--dim", "N=2", "--json"});
  EXPECT_THAT(first.err, AllOf(HasSubstr("'image'"), HasSubstr("random"), HasSubstr("seed 3"),
                               HasSubstr("[2, 1, 8, 8]")));
  EXPECT_EQ(parse_json(first)["outputs"],
            parse_json(plica({"run", kDigits, "--seed", "3", "--shape", "2x1x8x8", "--json"}))["outputs"]);
  EXPECT_NE(parse_json(first)["outputs"],
            parse_json(plica({"run", kDigits, "--seed", "4", "--dim", "N=2", "--json"}))["outputs"]);
  EXPECT_EQ(plica({"-q", "run", kDigits}).err, "");
}

TEST_F(RunCommand, RunDumpsTensors) {
  EXPECT_EQ(plica({"-q", "run", kDigits, "--no-optimize", "--dump-tensors", "dump"}).code, 0);
  EXPECT_TRUE(fs::exists(dir_ / "dump" / "probabilities.npy"));
}

}  // namespace
}  // namespace plica
