// Compiled files: they compute the same as what they were compiled from, with the packed weights that are in
// them, and whatever else is in a file that claims to be one is an error.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "engine/core/error.h"
#include "plica/compile.h"
#include "plica/plica.h"
#include "plica/tuning.h"
#include "tests/api/model_builder.h"

namespace plica {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr size_t kTrailer = 32;  // api/compiled_file.h

Tensor random_tensor(Dims dims, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> values(-0.1f, 0.1f);
  Tensor t(DataType::float32, std::move(dims));
  for (float& v : t.mutable_values<float>()) v = values(random);
  return t;
}

Attributes attributes(std::initializer_list<std::pair<const char*, AttributeValue>> values) {
  Attributes out;
  for (const auto& [name, value] : values) out.set(name, value);
  return out;
}

// A model whose weights are packed in every form there is: oneDNN's for 3 channels and for few rows,
// Winograd, 1x1, depthwise, products of rows.
std::string model_bytes() {
  ModelBuilder b;
  Value* x = b.input("x", Shape{1, 3, Dim::symbol("H"), 24});
  const auto conv = [&](Value* from, const std::string& name, Dims weights, std::vector<int64_t> pads,
                        std::vector<int64_t> strides, int64_t group) {
    const auto seed = static_cast<unsigned>(name.size());
    Value* w = b.constant("w_" + name, random_tensor(weights, seed));
    Value* bias = b.constant("b_" + name, random_tensor({weights[0]}, seed + 1));
    Value* y = b.node("Conv", {from, w, bias}, name,
                      attributes({{"pads", pads}, {"strides", strides}, {"group", group}}));
    return b.node("Relu", {y}, name + "_relu");
  };
  Value* y = conv(x, "stem", {48, 3, 3, 3}, {1, 1, 1, 1}, {1, 1}, 1);
  y = conv(y, "winograd", {48, 48, 3, 3}, {1, 1, 1, 1}, {1, 1}, 1);
  y = conv(y, "pointwise", {160, 48, 1, 1}, {0, 0, 0, 0}, {1, 1}, 1);
  y = conv(y, "depthwise", {160, 1, 3, 3}, {1, 1, 1, 1}, {1, 1}, 160);
  y = conv(y, "strided", {40, 160, 3, 3}, {1, 1, 1, 1}, {2, 2}, 1);
  y = b.node("ReduceMean", {y}, "mean",
             attributes({{"axes", std::vector<int64_t>{2}}, {"keepdims", int64_t{0}}}));
  y = b.node("Transpose", {y}, "rows", attributes({{"perm", std::vector<int64_t>{0, 2, 1}}}));
  y = b.node("MatMul", {y, b.constant("w_product", random_tensor({40, 72}, 9))}, "product");
  y = b.node("ReduceMean", {y}, "row",
             attributes({{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{0}}}));
  b.output(b.node("Gemm", {y, b.constant("w_class", random_tensor({72, 30}, 10))}, "y"));
  return b.bytes();
}

TensorMap inputs_of(int64_t height) { return {{"x", random_tensor({1, 3, height, 24}, 77)}}; }

void expect_same(const TensorMap& a, const TensorMap& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_TRUE(tensor.identical_to(b.at(name))) << name;
}

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class CompiledFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "plica_compiled_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    file_ = dir_ / "net.plica";
    model_ = Model::parse(model_bytes());
    model_->optimize({.measure = false});
  }
  void TearDown() override { fs::remove_all(dir_); }

  CompileReport compile(const CompileOptions& options = {.session = {.threads = 1}}) const {
    return Session::compile(*model_, {inputs_of(16)}, file_, options);
  }
  static TensorMap run(const Model& model, int64_t height = 16, SessionOptions options = {.threads = 1}) {
    return Session(model, options).run(inputs_of(height));
  }
  fs::path write(const std::string& bytes) const {
    const fs::path path = dir_ / "written.plica";
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static json table_of(const std::string& bytes) {
    uint64_t place[2];
    std::memcpy(place, bytes.data() + bytes.size() - kTrailer, sizeof place);
    return json::parse(bytes.substr(place[0], place[1]));
  }
  // With another table, and all that tells whether it is damaged.
  static std::string with_table(const std::string& bytes, const std::string& table) {
    std::string out = bytes.substr(0, bytes.size() - kTrailer);
    const uint64_t trailer[3] = {out.size(), table.size(), XXH3_64bits(table.data(), table.size())};
    out += table;
    out.append(reinterpret_cast<const char*>(trailer), sizeof trailer);
    return out + "\x89PLICA\r\n";
  }
  std::string with_table(const std::function<void(json&)>& change) const {
    const std::string bytes = slurp(file_);
    json table = table_of(bytes);
    change(table);
    return with_table(bytes, table.dump());
  }
  void expect_refused(const std::string& bytes, const std::string& part) const {
    try {
      run(Model::load(write(bytes)));
      ADD_FAILURE() << "is read, not: " << part;
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr(part));
      EXPECT_THAT(error.message(), HasSubstr("written.plica"));
      EXPECT_EQ(error.message().find('\n'), std::string::npos);
    }
  }

  fs::path dir_, file_;
  std::optional<Model> model_;
};

TEST_F(CompiledFileTest, ComputesTheSame) {
  const CompileReport report = compile();
  EXPECT_EQ(report.plans, 1u);
  EXPECT_GE(report.packed, 7u);  // one for each of the weights
  EXPECT_EQ(report.file_bytes, fs::file_size(file_));
  const Model compiled = Model::load(file_);
  EXPECT_TRUE(compiled.is_compiled());
  EXPECT_EQ(compiled.compiled_note(), "");
  EXPECT_FALSE(model_->is_compiled());
  expect_same(run(compiled), run(*model_));
  // With what it was not compiled for.
  expect_same(run(compiled, 40), run(*model_, 40));
  expect_same(run(compiled, 16, {.threads = 2}), run(*model_, 16, {.threads = 2}));
  expect_same(run(compiled, 16, {.threads = 1, .exact = true}),
              run(*model_, 16, {.threads = 1, .exact = true}));
}

// The original weights are in the file too, and nobody reads them.
TEST_F(CompiledFileTest, UsesThePackedWeights) {
  compile();
  std::string bytes = slurp(file_);
  size_t wiped = 0;
  const json table = table_of(bytes);
  for (const json& entry : table["packed"]) {
    const size_t source = entry[0], place = entry[2], size = entry[3];
    if (source == place) continue;
    std::memset(bytes.data() + source, 0x7f, std::min<size_t>(size, 4096));  // NaN
    ++wiped;
  }
  EXPECT_GE(wiped, 5u);
  expect_same(run(Model::load(write(bytes))), run(*model_));
}

TEST_F(CompiledFileTest, IsAModel) {
  compile();
  const Model compiled = Model::load(file_);
  EXPECT_TRUE(compiled.serialize() == model_->serialize());
  EXPECT_TRUE(compiled.check().empty());
  // By descriptor, too, and compiled again.
  const int fd = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  const Model by_descriptor = Model::load(fd);
  ::close(fd);
  EXPECT_TRUE(by_descriptor.is_compiled());
  Session::compile(by_descriptor, {inputs_of(16)}, dir_ / "again.plica", {.session = {.threads = 1}});
  EXPECT_TRUE(slurp(dir_ / "again.plica") == slurp(file_));
  // A pipe cannot be mapped.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const std::string beginning = slurp(file_).substr(0, 4096);
  ASSERT_EQ(::write(ends[1], beginning.data(), beginning.size()), std::ssize(beginning));
  ::close(ends[1]);
  for (const auto& load : {std::function([&] { Model::load(ends[0]); }),
                           std::function([&] { Model::parse(slurp(file_)); })}) {
    try {
      load();
      ADD_FAILURE() << "it was loaded";
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr("a compiled file is mapped"));
    }
  }
  ::close(ends[0]);
  // A change of the model does not meet packed weights of the old one.
  Model changed = compiled.dithered(1);
  EXPECT_FALSE(changed.is_compiled());
}

TEST_F(CompiledFileTest, ReplacedWhileInUse) {
  compile();
  const Model compiled = Model::load(file_);
  const TensorMap before = run(compiled);
  compile({.session = {.threads = 1, .exact = true}});
  expect_same(run(compiled), before);
  fs::remove(file_);
  expect_same(run(compiled), before);
}

TEST_F(CompiledFileTest, SeveralShapesAndThreads) {
  size_t calls = 0;
  CompileOptions options{.session = {}, .threads = {1, 2}};
  options.progress = [&](size_t done, size_t plans) {
    EXPECT_EQ(done, ++calls);
    EXPECT_EQ(plans, 4u);
  };
  const CompileReport report = Session::compile(*model_, {inputs_of(16), inputs_of(200)}, file_, options);
  EXPECT_EQ(report.plans, 4u);
  EXPECT_EQ(calls, 4u);
  const Model compiled = Model::load(file_);
  expect_same(run(compiled, 200), run(*model_, 200));
}

TEST_F(CompiledFileTest, KeepsChoicesByMeasurement) {
  const std::string tuning = dir_ / "tuning.json";
  Session::tune(*model_, inputs_of(16), {.session = {.threads = 1, .tuning = tuning}, .duration = 0.05});
  compile({.session = {.threads = 1, .tuning = tuning}});
  const json plans = json::parse(slurp(tuning))["plans"];
  const json table = table_of(slurp(file_));
  EXPECT_EQ(plans.empty(), !table.contains("tuning"));
  if (!plans.empty()) {
    EXPECT_EQ(table["tuning"], plans);
  }
  expect_same(run(Model::load(file_)), run(*model_, 16, {.threads = 1, .tuning = tuning}));
}

TEST_F(CompiledFileTest, OfAnotherMachineIsTheModel) {
  compile();
  for (const char* member : {"cpu", "onednn", "plica", "kernels"}) {
    const Model other = Model::load(write(with_table([&](json& table) { table[member] = "another"; })));
    EXPECT_TRUE(other.is_compiled());
    EXPECT_THAT(other.compiled_note(), HasSubstr(std::string(member) + " 'another', here '"));
    expect_same(run(other), run(*model_));
  }
}

TEST_F(CompiledFileTest, DamagedTablesAreRefused) {
  compile();
  const auto table = [&](const std::function<void(json&)>& change) { return with_table(change); };
  const size_t size = fs::file_size(file_);
  expect_refused(table([](json& t) { t["schema"] = 2; }), "no compiled file of schema 1");
  expect_refused(table([](json& t) { t.erase("cpu"); }), "'cpu' is no text");
  expect_refused(table([](json& t) { t["model"] = 5; }), "'model' is no array");
  expect_refused(table([](json& t) { t["model"] = {1}; }), "is no size");
  expect_refused(table([](json& t) { t["model"] = {-1, 5}; }), "is no size");
  expect_refused(table([&](json& t) { t["model"] = {size, 1u << 20}; }), "beyond the end");
  expect_refused(table([](json& t) { t["model"] = {SIZE_MAX, 2}; }), "beyond the end");
  expect_refused(table([](json& t) { t["packed"] = "x"; }), "'packed' is no array");
  expect_refused(table([](json& t) { t["packed"][0] = 7; }), "is no size");
  expect_refused(table([](json& t) { t["packed"][0][1] = 7; }), "damaged");
  expect_refused(table([](json& t) { t["packed"][0].push_back(7); }), "damaged");
  expect_refused(table([](json& t) { t["packed"][0][2] = SIZE_MAX; }), "beyond the end");
  expect_refused(table([](json& t) { t["packed"][0][2] = t["packed"][0][2].get<size_t>() + 4; }), "aligned");
  expect_refused(table([](json& t) {
                   for (json& entry : t["packed"]) entry[3] = entry[3].get<size_t>() - 4;
                 }),
                 "are needed");
  expect_refused(table([](json& t) { t["tuning"] = json::array(); }), "'tuning' is no object");
  expect_refused(with_table(slurp(file_), std::string(1000, '[') + std::string(1000, ']')), "schema 1");
  expect_refused(with_table(slurp(file_), ""), "schema 1");
}

TEST_F(CompiledFileTest, CutFilesAreRefused) {
  compile();
  const std::string bytes = slurp(file_);
  for (const size_t size : {size_t{8}, size_t{39}, size_t{40}, size_t{4096}, bytes.size() / 2,
                            bytes.size() - 33, bytes.size() - 1})
    expect_refused(bytes.substr(0, size), "not complete");
  expect_refused(bytes + "x", "not complete");
  // Less is not a compiled file at all.
  EXPECT_THROW(Model::load(write(bytes.substr(0, 7))), Error);
}

// Any byte of what is not elements may change: an error, or a model.
TEST_F(CompiledFileTest, ChangedBytes) {
  compile();
  const std::string bytes = slurp(file_);
  const json table = table_of(bytes);
  const size_t message = table["model"][0], message_size = table["model"][1];
  const size_t end = bytes.size() - 2000;  // before some of the table
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string changed = bytes;
    const size_t at = i % 2 == 0 ? message + random() % message_size : end + random() % (bytes.size() - end);
    changed[at] = static_cast<char>(random());
    try {
      run(Model::load(write(changed)));
    } catch (const Error& error) {
      EXPECT_EQ(error.message().find('\n'), std::string::npos);
      ++refused;
    }
  }
  EXPECT_GE(refused, 30);
}

TEST_F(CompiledFileTest, WritesOnlyRegularFiles) {
  EXPECT_THROW(Session::compile(*model_, {inputs_of(16)}, "/dev/null", {}), Error);
  EXPECT_THROW(Session::compile(*model_, {inputs_of(16)}, dir_ / "none" / "net.plica", {}), Error);
  EXPECT_THROW(Session::compile(*model_, {}, file_, {}), Error);
  EXPECT_FALSE(fs::exists(file_));
}

}  // namespace
}  // namespace plica
