// What a model may not read, by every route and in every way: on kernels with and without openat2, and while
// somebody swaps the files.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "engine/core/file.h"
#include "engine/onnx/external_data.h"
#include "tests/engine/onnx/external_models.h"
#include "tests/without_openat2.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

class ExternalMatrix : public testing::TestWithParam<bool> {
 protected:
  ExternalMatrix() : hostile_(make_hostile_files(dir_.path())) {}

  template <class Body>
  void run(Body&& body) {
    if (GetParam()) {
      body();
    } else if (!without_openat2(body)) {
      GTEST_SKIP() << "no seccomp here";
    }
  }

  TemporaryDirectory dir_;
  std::vector<HostileFile> hostile_;
};

TEST_P(ExternalMatrix, EveryRouteAndEveryKind) {
  run([&] {
    int cases = 0;
    for (const HostileFile& file : hostile_) {
      for (const ExternalRoute& route : external_routes(file.location)) {
        SCOPED_TRACE(file.kind + ", " + route.name);
        const fs::path path = dir_.path() / "model" / "net.onnx";
        write_file(path, route.model.SerializeAsString());
        const Error error = error_of([&] { load_model(path); });
        expect_error(error, file.code, file.part);
        expect_error(error, file.code, path.string() + ": ");
        expect_error(error, file.code, route.tensor);
        expect_error(error, file.code, "external data " + quoted(file.location) + ": ");
        EXPECT_EQ(error.message().find("secret!!"), std::string::npos);
        ++cases;
      }
    }
    EXPECT_GE(cases, 66);
  });
}

TEST_P(ExternalMatrix, EveryRouteReadsWhatItMay) {
  run([&] {
    write_file(dir_.path() / "model" / "sub" / "data", std::string("\0\0\x80\x3f\0\0\0\x40", 8));
    for (const ExternalRoute& route : external_routes("sub/data")) {
      SCOPED_TRACE(route.name);
      const fs::path path = dir_.path() / "model" / "net.onnx";
      write_file(path, route.model.SerializeAsString());
      EXPECT_NO_THROW(load_model(path));
      expect_error(error_of([&] { parse(route.model); }), ErrorCode::invalid_argument,
                   "no directory to look for it");
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Kernels, ExternalMatrix, testing::Bool(),
                         [](const auto& info) { return info.param ? "openat2" : "components"; });

// ---- swapped between check and use

class SwappedFiles : public testing::TestWithParam<bool> {
 protected:
  SwappedFiles() : model_(dir_.path() / "model") {
    fs::create_directories(model_ / "sub");
    fs::create_directories(dir_.path() / "other");
    write_text(dir_.path() / "other" / "data", kSecret);
  }

  // Opens "sub/data" again and again while `swap` changes what that is; it reads the right bytes or none.
  template <class Swap>
  void expect_never_secret(Swap&& swap) {
    std::atomic<bool> done = false;
    std::thread swapper([&] {
      while (!done) swap();
    });
    StringEntries entries;
    auto* entry = entries.Add();
    entry->set_key("location");
    entry->set_value("sub/data");
    const auto read = [&] {
      ExternalFiles files(model_, GetParam());
      std::string bytes(10, ' ');
      files.find(entries, 10).range.read(std::as_writable_bytes(std::span(bytes)));
      return bytes;
    };
    for (int i = 0; i < 10'000; ++i) {
      try {
        EXPECT_EQ(read(), kGood);
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == ErrorCode::invalid_model || error.code() == ErrorCode::io);
      }
    }
    done = true;
    swapper.join();
    fs::remove_all(model_ / "sub");
    fs::create_directories(model_ / "sub");
    put_good();
    EXPECT_EQ(read(), kGood);
  }
  void put_good() const {
    write_text(model_ / "tmp", kGood);
    fs::rename(model_ / "tmp", model_ / "sub" / "data");
  }

  static constexpr const char* kGood = "0123456789";
  static constexpr const char* kSecret = "secret!!!!";
  TemporaryDirectory dir_;
  fs::path model_;
};

TEST_P(SwappedFiles, ByASymbolicLink) {
  expect_never_secret([&] {
    put_good();
    fs::create_symlink(dir_.path() / "other" / "data", model_ / "tmp");
    fs::rename(model_ / "tmp", model_ / "sub" / "data");
  });
}

TEST_P(SwappedFiles, ByALinkedDirectory) {
  put_good();
  fs::create_directory_symlink("../other", model_ / "link");
  expect_never_secret([&] {
    ::syscall(SYS_renameat2, AT_FDCWD, (model_ / "link").c_str(), AT_FDCWD, (model_ / "sub").c_str(),
              2 /* RENAME_EXCHANGE */);
  });
}

// A second link to the secret is there when it is opened, and gone when its links are counted.
TEST_P(SwappedFiles, ByAHardLink) {
  expect_never_secret([&] {
    put_good();
    fs::create_hard_link(dir_.path() / "other" / "data", model_ / "tmp");
    fs::rename(model_ / "tmp", model_ / "sub" / "data");
  });
}

INSTANTIATE_TEST_SUITE_P(Kernels, SwappedFiles, testing::Bool(),
                         [](const auto& info) { return info.param ? "openat2" : "components"; });

// ---- offsets, lengths, keys

TEST(ExternalRanges, EachIsRefusedByItsName) {
  const TemporaryDirectory dir;
  write_file(dir.path() / "data", std::string(64, '\0'));
  using Entries = std::vector<std::pair<std::string, std::string>>;
  const auto message = [&](const Entries& entries) -> std::string {
    ModelProto model = small_model();
    TensorProto& w = add_initializer(*model.mutable_graph(), "w", TensorProto::FLOAT, {2}, "");
    set_external(w, "data");
    for (const auto& [key, value] : entries) {
      auto* entry = w.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    write_file(dir.path() / "net.onnx", model.SerializeAsString());
    try {
      load_model(dir.path() / "net.onnx");
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_model) << error.message();
      for (const char* part : {"net.onnx: ", "'w'", "external data"})
        EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
      return error.message();
    }
  };
  const auto refused = [&](const Entries& entries, std::string_view part) {
    const std::string text = message(entries);
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
  };
  for (const char* text : {"-1", "", "eight", "8 ", " 8", "+8", "0x8", "8.0", "1e1", "9223372036854775808",
                           "18446744073709551616", "-9223372036854775809"}) {
    refused({{"offset", text}}, "is not a number of bytes");
    refused({{"length", text}}, "is not a number of bytes");
  }
  refused({{"offset", "57"}}, "bytes 57 to 65 are wanted, the file has 64");
  refused({{"offset", "64"}}, "are wanted");
  refused({{"offset", "1000000000000000000"}}, "are wanted");
  refused({{"offset", "9223372036854775807"}}, "are wanted");
  refused({{"length", "7"}}, "length is 7 bytes, the tensor takes 8");
  refused({{"length", "0"}}, "length is 0");
  refused({{"length", "1000000000000000000"}}, "length is");
  refused({{"offset", "0"}, {"offset", "8"}}, "two entries offset");
  refused({{"length", "8"}, {"length", "8"}}, "two entries length");
  refused({{"location", "data"}}, "two entries location");
  EXPECT_EQ(message({{"offset", "3"}, {"length", "8"}}), "");  // unaligned
  EXPECT_EQ(message({{"offset", "56"}}), "");
  EXPECT_EQ(message({{"checksum", "x"}, {"__class__", "y"}, {"", "z"}}), "");  // unknown keys mean nothing
}

// The dims are what decides: none of these may be asked of the machine before the file is looked at.
TEST(ExternalRanges, MoreThanTheFileHas) {
  const TemporaryDirectory dir;
  write_file(dir.path() / "data", "12345678");
  const std::vector<std::vector<int64_t>> shapes = {
      {3},  {int64_t{1} << 40}, {int64_t{1} << 31, int64_t{1} << 28}, {int64_t{1} << 62, 2},
      {-1}, {INT64_MAX}};
  for (const auto& dims : shapes) {
    ModelProto model = small_model();
    set_external(add_initializer(*model.mutable_graph(), "w", TensorProto::FLOAT, dims, ""), "data");
    const Error error = error_of([&] { parse(model, dir.path()); });
    EXPECT_TRUE(error.code() == ErrorCode::invalid_model || error.code() == ErrorCode::limit)
        << error.message();
    EXPECT_NE(error.message().find("'w'"), std::string::npos) << error.message();
  }
}

// More files than stay open: all are read, and the process has descriptors left.
TEST(ExternalRanges, ThousandsOfFiles) {
  const TemporaryDirectory dir;
  ModelProto model = small_model();
  constexpr int kFiles = 1500;
  for (int i = 0; i < kFiles; ++i) {
    const std::string name = "t" + std::to_string(i);
    std::string bytes(8192, static_cast<char>(i));
    write_text(dir.path() / name, bytes);
    set_external(add_initializer(*model.mutable_graph(), name, TensorProto::UINT8, {8192}, ""), name);
  }
  const auto loaded = parse(model, dir.path());
  EXPECT_LT(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()), 400);
  for (int i = 0; i < kFiles; i += 37) {
    const Tensor& t = *loaded->graph.find("t" + std::to_string(i))->initializer();
    EXPECT_EQ(t.values<uint8_t>()[8191], static_cast<uint8_t>(i));
  }
}

// A mapping would end the process with SIGBUS.
TEST(ExternalRanges, AFileThatShrinksIsAnError) {
  const TemporaryDirectory dir;
  write_file(dir.path() / "data", std::string(100'000, 'x'));
  ModelProto model = small_model();
  set_external(add_initializer(*model.mutable_graph(), "w", TensorProto::UINT8, {100'000}, ""), "data");
  const auto loaded = parse(model, dir.path());
  fs::resize_file(dir.path() / "data", 10);
  const Error error = error_of([&] { loaded->graph.find("w")->initializer()->raw(); });
  expect_error(error, ErrorCode::io, (dir.path() / "data").string());
}

}  // namespace
}  // namespace plica
