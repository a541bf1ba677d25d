// The program and files that a model must not make it read, or that are in the way of what it writes.
#include <sys/stat.h>

#include <functional>

#include "tests/engine/onnx/external_models.h"
#include "tests/tools/program.h"
#include "tests/without_openat2.h"

namespace plica {
namespace {

using ExternalFilesOfProgram = ProgramTest;

TEST_F(ExternalFilesOfProgram, NoneIsReadFromElsewhere) {
  const std::vector<HostileFile> hostile = make_hostile_files(dir_);
  const auto check = [&] {
    for (const HostileFile& file : hostile) {
      for (const ExternalRoute& route : external_routes(file.location)) {
        SCOPED_TRACE(file.kind + ", " + route.name);
        write("model/net.onnx", route.model.SerializeAsString());
        // A FIFO that was waited for would end this with 124.
        expect_failure(4, {"optimize", "model/net.onnx", "out.onnx"}, "net.onnx: ", "timeout 20 ");
        const Outcome outcome = plica({"run", "model/net.onnx"}, "timeout 20 ");
        EXPECT_EQ(outcome.code, 4);
        for (const std::string& part : {file.part, route.tensor, "external data " + quoted(file.location)})
          EXPECT_THAT(outcome.err, HasSubstr(part));
        EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("secret!!")));
      }
    }
  };
  check();
  if (!without_openat2(check)) GTEST_SKIP() << "no seccomp here";
}

TEST_F(ExternalFilesOfProgram, NoDirectoryForAStream) {
  write("w", "12345678");
  write("net.onnx", external_routes("w")[0].model.SerializeAsString());
  EXPECT_EQ(plica({"inspect", "net.onnx"}).code, 0);
  expect_failure(4, {"inspect", "-"}, "no directory to look for it", "cat net.onnx | ");
  expect_failure(4, {"optimize", "-", "-"}, "no directory to look for it", "<net.onnx ");
}

// A convolution whose weights take more than 1024 bytes, so that they go outside.
std::string model_bytes(float weight) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{1, 8, 4, 4});
  std::vector<float> weights(8 * 8 * 3 * 3, weight);
  b.output(b.node("Conv", {x, b.constant("w", Tensor::of<float>(weights, {8, 8, 3, 3}))}, "y"));
  return b.bytes();
}

TEST_F(ExternalFilesOfProgram, InputsAndOutputsThatAreOneFile) {
  const std::string in = write("in.onnx", model_bytes(1));
  ASSERT_EQ(plica({"optimize", in, "net.onnx", "--external-data"}).code, 0);
  const std::string data = slurp(path("net.onnx.data"));
  ASSERT_GE(data.size(), 8 * 8 * 3 * 3 * sizeof(float));

  // OUT is IN, by this name and others.
  fs::create_symlink("net.onnx", path("link.onnx"));
  for (const char* out : {"net.onnx", "./net.onnx", "link.onnx"}) {
    SCOPED_TRACE(out);
    expect_failure(2, {"optimize", "net.onnx", out, "--external-data"}, "--in-place");
    EXPECT_EQ(plica({"optimize", "net.onnx", out, "--external-data", "--in-place"}).code, 0);
    EXPECT_EQ(slurp(path("net.onnx.data")), data);
    EXPECT_TRUE(fs::is_symlink(path("link.onnx")));
  }
  // The data of IN are where those of OUT would go: they stay as they are.
  fs::rename(path("net.onnx"), path("moved.onnx"));
  write("net.onnx", model_bytes(2));
  ASSERT_EQ(plica({"optimize", "moved.onnx", "net.onnx", "--external-data"}).code, 0);
  EXPECT_EQ(slurp(path("net.onnx.data")), data);
  for (const char* model : {"moved.onnx", "net.onnx"}) EXPECT_EQ(plica({"run", model}).code, 0) << model;
}

TEST_F(ExternalFilesOfProgram, NothingInTheWayIsWrittenInto) {
  const std::string in = write("in.onnx", model_bytes(1)), precious = write("precious", "kept");
  const auto optimize = [&] { return plica({"optimize", in, "net.onnx", "--external-data"}, "timeout 20 "); };
  const std::vector<std::pair<std::string, std::function<void(const fs::path&)>>> kinds = {
      {"symbolic link", [&](const fs::path& p) { fs::create_symlink(precious, p); }},
      {"dangling link", [&](const fs::path& p) { fs::create_symlink(path("nowhere"), p); }},
      {"hard link", [&](const fs::path& p) { fs::create_hard_link(precious, p); }},
      {"FIFO", [&](const fs::path& p) { ASSERT_EQ(::mkfifo(p.c_str(), 0600), 0); }},
      {"directory", [&](const fs::path& p) { fs::create_directory(p); }},
  };
  for (const auto& [kind, make] : kinds) {
    SCOPED_TRACE(kind);
    make(path("net.onnx.data"));
    const auto before = fs::symlink_status(path("net.onnx.data")).type();
    for (int i = 0; i < 2; ++i) {
      const Outcome outcome = optimize();
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      EXPECT_EQ(fs::symlink_status(path("net.onnx.data")).type(), before);
      EXPECT_EQ(slurp(precious), "kept");
      EXPECT_FALSE(fs::exists(path("nowhere")));
      EXPECT_EQ(plica({"run", "net.onnx"}).code, 0);
    }
    fs::remove(path("net.onnx.data"));
    fs::remove(path("net.onnx"));
    fs::remove(path("net.onnx.1.data"));
  }
  // OUT itself.
  for (const auto& [kind, make] : kinds) {
    SCOPED_TRACE(kind);
    if (kind == "FIFO") continue;  // is written to, as any pipe
    make(path("net.onnx"));
    const Outcome outcome = plica({"optimize", in, "net.onnx"});
    EXPECT_EQ(outcome.code, kind == "directory" ? 1 : 0) << outcome.err;
    // A link that the user names is his way to the file; a hard link is one of its names.
    EXPECT_EQ(slurp(precious) == "kept", kind != "symbolic link");
    EXPECT_EQ(fs::exists(path("nowhere")), kind == "dangling link");
    write("precious", "kept");
    fs::remove(path("net.onnx"));
    fs::remove(path("nowhere"));
  }
  expect_failure(1, {"optimize", in, "/dev/null", "--external-data"}, "no place beside it");
  EXPECT_FALSE(fs::exists("/dev/null.data"));
  EXPECT_EQ(plica({"optimize", in, "/dev/null"}).code, 0);
}

}  // namespace
}  // namespace plica
