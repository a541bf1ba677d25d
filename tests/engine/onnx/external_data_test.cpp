// External data: read only from regular files beneath the model's directory, on kernels with and without
// openat2; written beside the model, the model's own mapped data included.
#include "engine/onnx/external_data.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "engine/core/file.h"
#include "tests/engine/onnx/messages_for_tests.h"

namespace plica {
namespace {

namespace fs = std::filesystem;

StringEntries entries(const std::vector<std::pair<std::string, std::string>>& pairs) {
  StringEntries out;
  for (const auto& [key, value] : pairs) {
    auto* entry = out.Add();
    entry->set_key(key);
    entry->set_value(value);
  }
  return out;
}

// With and without openat2.
class ExternalFilesTest : public testing::TestWithParam<bool> {
 protected:
  ExternalFilesTest() : model_(dir_.path() / "model") {
    fs::create_directories(model_ / "sub");
    write_file(model_ / "data", "0123456789");
    write_file(model_ / "sub" / "data", "abcdefghij");
    write_file(dir_.path() / "secret", "secret!!!!");
  }
  std::string read(const StringEntries& e, size_t bytes) {
    ExternalFiles files(model_, GetParam());
    const FileRange range = files.find(e, bytes).range;
    std::string out(range.size, ' ');
    range.read(std::as_writable_bytes(std::span(out)));
    return out;
  }
  void expect_refused(const std::string& location, ErrorCode code, std::string_view part) {
    SCOPED_TRACE(location);
    expect_error(error_of([&] { read(entries({{"location", location}}), 10); }), code, part);
  }

  TemporaryDirectory dir_;
  fs::path model_;
};

TEST_P(ExternalFilesTest, Reads) {
  EXPECT_EQ(read(entries({{"location", "data"}}), 10), "0123456789");
  EXPECT_EQ(read(entries({{"location", "./sub//data"}, {"offset", "2"}}), 3), "cde");
  EXPECT_EQ(read(entries({{"offset", "10"}, {"location", "data"}, {"length", "0"}}), 0), "");
  EXPECT_EQ(read(entries({{"location", "data"}, {"checksum", "beef"}, {"new key", "x"}}), 1), "0");
}

TEST_P(ExternalFilesTest, BytesOutliveTheFiles) {
  FileRange range;
  {
    ExternalFiles files(model_, GetParam());
    range = files.find(entries({{"location", "data"}}), 10).range;
  }
  fs::remove(model_ / "data");
  std::string out(10, ' ');
  range.read(std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(out, "0123456789");
}

TEST_P(ExternalFilesTest, RefusesWhatIsNotBeneath) {
  using enum ErrorCode;
  expect_refused("/etc/passwd", invalid_model, "absolute path");
  expect_refused((model_ / "data").string(), invalid_model, "absolute path");
  expect_refused("../secret", invalid_model, "out of the model's directory");
  expect_refused("sub/../../secret", invalid_model, "out of the model's directory");
  expect_refused("sub/../data", invalid_model, "'..'");
  expect_refused("", invalid_model, "names no file");
  expect_refused(std::string("data\0x", 6), invalid_model, "NUL");
  expect_refused("missing", io, "No such file");
  expect_refused("missing/data", io, "No such file");
  expect_refused("data/x", io, "Not a directory");
  expect_refused(std::string(5000, 'x'), io, "name too long");
}

TEST_P(ExternalFilesTest, RefusesLinks) {
  using enum ErrorCode;
  fs::create_symlink(dir_.path() / "secret", model_ / "link");
  expect_refused("link", invalid_model, "symbolic link");
  fs::create_symlink("data", model_ / "inner link");
  expect_refused("inner link", invalid_model, "symbolic link");
  fs::create_directory_symlink(dir_.path(), model_ / "dir link");
  expect_refused("dir link/secret", invalid_model, "symbolic link");
  fs::create_hard_link(dir_.path() / "secret", model_ / "hard");
  expect_refused("hard", invalid_model, "2 hard links");
  // The directory of the model itself may be reached through a link.
  fs::create_directory_symlink(model_, dir_.path() / "way");
  ExternalFiles files(dir_.path() / "way", GetParam());
  EXPECT_EQ(files.find(entries({{"location", "data"}}), 10).range.size, 10u);
}

TEST_P(ExternalFilesTest, RefusesWhatIsNoFile) {
  using enum ErrorCode;
  ASSERT_EQ(::mkfifo((model_ / "fifo").c_str(), 0600), 0);
  expect_refused("fifo", invalid_model, "not a regular file");  // and does not wait for a writer
  expect_refused("sub", invalid_model, "not a regular file");
  expect_refused("sub/", invalid_model, "not a regular file");
  expect_refused(".", invalid_model, "not a regular file");
  write_file(model_ / "empty", "");
  expect_refused("empty", invalid_model, "the file has 0");
}

TEST_P(ExternalFilesTest, RefusesOffsetsAndLengths) {
  using enum ErrorCode;
  const auto refused = [&](const std::string& key, const std::string& value, std::string_view part) {
    SCOPED_TRACE(key + " " + value);
    expect_error(error_of([&] {
                   read(entries({{"location", "data"}, {key, value}}), 10);
                 }),
                 invalid_model, part);
  };
  for (const std::string key : {"offset", "length"}) {
    for (const std::string value :
         {"-1", "", "x", "1x", " 1", "+1", "0x1", "1.0", "9223372036854775808", "99999999999999999999999"}) {
      refused(key, value, "is not a number of bytes");
    }
  }
  refused("offset", "1", "bytes 1 to 11 are wanted, the file has 10");
  refused("offset", "11", "bytes 11 to 21");
  refused("offset", "9223372036854775807", "are wanted");
  refused("length", "9", "length is 9 bytes, the tensor takes 10");
  refused("length", "9223372036854775807", "length is");
  expect_error(error_of([&] {
                 read(entries({{"location", "data"}, {"location", "data"}}), 1);
               }),
               invalid_model, "two entries location");
  expect_error(error_of([&] {
                 read(entries({{"location", "data"}, {"offset", "9223372036854775807"}}), SIZE_MAX);
               }),
               limit, "too large");
  expect_error(error_of([&] { read(entries({}), 1); }), invalid_model, "without a location");
}

INSTANTIATE_TEST_SUITE_P(Kernels, ExternalFilesTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "openat2" : "components"; });

// ---- saving

ModelProto model_with_weights() {
  ModelProto model = small_model();
  GraphProto& graph = *model.mutable_graph();
  add_initializer(graph, "small", TensorProto::FLOAT, {1}, "abcd");
  add_initializer(graph, "medium", TensorProto::INT8, {100}, std::string(100, 'm'));
  TensorProto& typed = add_initializer(graph, "typed", TensorProto::INT64, {64}, "");
  typed.clear_raw_data();
  for (int i = 0; i < 64; ++i) typed.add_int64_data(i - 32);
  typed.set_doc_string("kept");
  add_initializer(graph, "large", TensorProto::FLOAT, {100, 1000}, std::string(400'000, 'L'));
  TensorProto& strings = *graph.add_initializer();
  strings.set_name("strings");
  strings.set_data_type(TensorProto::STRING);
  strings.add_dims(1);
  strings.add_string_data(std::string(1000, 's'));
  AttributeProto& then = *add_node(graph, "If", {"x"}, {"z"}).add_attribute();
  then.set_name("then_branch");
  then.set_type(AttributeProto::GRAPH);
  add_initializer(*then.mutable_g(), "inner", TensorProto::FLOAT, {100}, std::string(400, 'i'));
  return model;
}

TEST(ExternalData, SavedAndLoadedAgain) {
  const TemporaryDirectory dir;
  const fs::path path = dir.path() / "net.onnx";
  const auto model = parse(model_with_weights());
  save_model(*model, path, {.external_data_threshold = 100});
  EXPECT_TRUE(fs::exists(dir.path() / "net.onnx.data"));
  EXPECT_LT(fs::file_size(path), 3000u);

  ModelProto saved;
  {
    std::ifstream in(path, std::ios::binary);
    ASSERT_TRUE(saved.ParseFromIstream(&in));
  }
  std::vector<std::string> external;
  for (const TensorProto& t : saved.graph().initializer()) {
    if (t.data_location() != TensorProto::EXTERNAL) continue;
    external.push_back(t.name());
    ASSERT_EQ(t.external_data(1).key(), "offset");
    EXPECT_EQ(std::stoul(t.external_data(1).value()) % (t.name() == "large" ? 4096 : 64), 0u);
    EXPECT_FALSE(t.has_raw_data());
  }
  EXPECT_EQ(external, (std::vector<std::string>{"medium", "typed", "large"}));

  const auto loaded = load_model(path);
  for (const Value* v : model->graph.initializers()) {
    EXPECT_TRUE(loaded->graph.find(v->name())->initializer()->identical_to(*v->initializer())) << v->name();
  }
  EXPECT_EQ(message_of(*loaded).graph().initializer(2).doc_string(), "kept");

  // Over itself: the data that are written are mapped from the file that they replace.
  save_model(*loaded, path, {.external_data_threshold = 100});
  const auto again = load_model(path);
  save_model(*again, path);  // all in one file now; the old data file is nobody's any more
  EXPECT_EQ(serialize_model(*load_model(path)), serialize_model(*loaded));
  const Tensor& large = *loaded->graph.find("large")->initializer();
  EXPECT_EQ(std::string_view(static_cast<const char*>(large.raw()), 3), "LLL");
}

TEST(ExternalData, SavedOnlyWhereThereIsSome) {
  const TemporaryDirectory dir;
  save_model(*parse(small_model()), dir.path() / "net.onnx", {.external_data_threshold = 1});
  EXPECT_FALSE(fs::exists(dir.path() / "net.onnx.data"));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

TEST(ExternalData, AFailedSaveLeavesTheOldFiles) {
  const TemporaryDirectory dir;
  const fs::path path = dir.path() / "no" / "net.onnx";
  expect_error(error_of([&] { save_model(*parse(small_model()), path); }), ErrorCode::io, path.string());
  fs::create_directory(dir.path() / "net.onnx");
  expect_error(error_of([&] {
                 save_model(*parse(model_with_weights()), dir.path() / "net.onnx",
                            {.external_data_threshold = 100});
               }),
               ErrorCode::io, "net.onnx");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace plica
