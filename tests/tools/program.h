// The program as its users meet it: a process with arguments, an exit code, and what it prints and writes.
#pragma once

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/api/model_builder.h"
#include "tools/npy.h"
#include "tools/npz.h"

namespace plica {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

inline const std::string kDigits = PLICA_SOURCE_DIR "/models/digits/digits.onnx";
inline const std::string kTwo = PLICA_SOURCE_DIR "/models/digits/pictures/two.png";
inline const std::string kTestData = PLICA_SOURCE_DIR "/models/digits/test.npz";

inline std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

inline std::string quote(const std::string& word) {
  std::string out(1, '\'');
  for (char c : word) {
    if (c == '\'') out.append("'\\'");  // ends the quotes, and the next begins new ones: '\''
    out.push_back(c);
    if (c == '\'') out.push_back(c);
  }
  out.push_back('\'');
  return out;
}

class ProgramTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "plica_program_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { fs::remove_all(dir_); }

  std::string path(const std::string& name) const { return (dir_ / name).string(); }
  std::string write(const std::string& name, const std::string& contents) const {
    std::ofstream(path(name), std::ios::binary) << contents;
    return path(name);
  }

  // Runs `plica arguments...` in the test's directory through a shell; `before` and `after` surround the
  // command.
  Outcome plica(const std::vector<std::string>& arguments, const std::string& before = "",
                const std::string& after = "") const {
    const fs::path out = dir_ / ".stdout", err = dir_ / ".stderr";
    std::string words;
    for (const std::string& argument : arguments) words += fmt::format(" {}", quote(argument));
    const std::string command =
        fmt::format("cd {} && {}{}{}{} >{} 2>{}", quote(dir_.string()), before, quote(PLICA_PROGRAM), words,
                    after, quote(out.string()), quote(err.string()));
    const int status = std::system(command.c_str());
    Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out), slurp(err)};
    fs::remove(out);
    fs::remove(err);
    return outcome;
  }
  // Fails with that code and exactly one line on stderr that has `part` in it, prints and writes nothing.
  void expect_failure(int code, const std::vector<std::string>& arguments, const std::string& part,
                      const std::string& before = "") const {
    const size_t files = count_files();
    const Outcome outcome = plica(arguments, before);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, StartsWith("plica: "));
    EXPECT_THAT(outcome.err, HasSubstr(part));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_EQ(count_files(), files) << "something was written";
  }
  size_t count_files() const {
    return static_cast<size_t>(
        std::distance(fs::recursive_directory_iterator(dir_), fs::recursive_directory_iterator()));
  }

  fs::path dir_;
};

inline json parse_json(const Outcome& outcome) {
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  json parsed = json::parse(outcome.out, nullptr, false);
  EXPECT_TRUE(parsed.is_object()) << outcome.out;
  if (!parsed.is_object()) return json::object();
  EXPECT_EQ(parsed["schema"], 1);
  return parsed;
}

inline std::string npy(const Tensor& tensor) { return tools::serialize_npy(tensor); }
inline Tensor one_image() { return Tensor::zeros(DataType::float32, {1, 1, 8, 8}); }

}  // namespace plica
