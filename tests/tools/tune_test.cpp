// plica tune, and --tuned.
#include <cmath>

#include "tests/tools/program.h"

namespace plica {
namespace {

class TuneCommand : public ProgramTest {};

TEST_F(TuneCommand, TunedRunsGiveTheSameResults) {
  const json report = parse_json(
      plica({"tune", kDigits, "--threads", "1,2", "--duration", "0.1", "--cache", "t.json", "--json"}));
  EXPECT_EQ(report["schema"], 1);
  ASSERT_EQ(report["results"].size(), 2u);
  EXPECT_EQ(report["results"][1]["threads"], 2);
  EXPECT_LE(report["results"][0]["after_ms"], report["results"][0]["before_ms"]);
  EXPECT_EQ(json::parse(slurp(path("t.json")))["plans"].size(), 2u);

  for (const char* threads : {"1", "2"}) {
    const std::vector<std::string> words = {"-q", "run", kDigits, "-i", kTwo, "--threads", threads, "-o"};
    std::vector<std::string> untuned = words, tuned = words;
    untuned.push_back("untuned.npz");
    tuned.insert(tuned.end(), {"tuned.npz", "--tuned=t.json"});
    ASSERT_EQ(plica(untuned).code, 0);
    ASSERT_EQ(plica(tuned).code, 0);
    const std::string a = slurp(path("untuned.npz")), b = slurp(path("tuned.npz"));
    const tools::NamedArrays expected = tools::parse_npz(std::as_bytes(std::span(a)));
    const tools::NamedArrays actual = tools::parse_npz(std::as_bytes(std::span(b)));
    ASSERT_EQ(expected.size(), actual.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      const Tensor &x = expected[i].second, &y = actual[i].second;
      ASSERT_EQ(x.dims(), y.dims());
      // Probabilities: other orders of sums differ by some 1e-7 for each of a few layers.
      for (int64_t k = 0; k < x.dim(1); ++k) EXPECT_NEAR(x.data<float>()[k], y.data<float>()[k], 1e-5);
    }
  }
}

TEST_F(TuneCommand, DefaultFile) {
  const std::string home = "XDG_CACHE_HOME=" + quote(path("cache")) + " ";
  expect_failure(1, {"run", kDigits, "--tuned"}, "tuning.json", home);
  EXPECT_EQ(plica({"-q", "tune", kDigits, "--threads", "1", "--duration", "0"}, home).code, 0);
  EXPECT_TRUE(fs::exists(dir_ / "cache" / "plica" / "tuning.json"));
  EXPECT_EQ(plica({"-q", "run", "--tuned", kDigits}, home).code, 0);
}

TEST_F(TuneCommand, AnotherMachinesFileIsNotUsedABrokenOneIsAnError) {
  write("other.json", R"({"schema":1,"cpu":"abacus","onednn":"0","plica":"0","plans":{}})");
  const Outcome outcome = plica({"run", kDigits, "--threads", "1", "--tuned=other.json"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("abacus"));
  write("broken.json", "{");
  expect_failure(4, {"run", kDigits, "-q", "--tuned=broken.json"}, "broken.json");
  expect_failure(4, {"tune", kDigits, "-q", "--cache", "broken.json"}, "broken.json");
}

}  // namespace
}  // namespace plica
