#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "api/c/plica.h"
#include "plica/plica.h"
#include "tests/api/c_program.h"
#include "tests/api/model_builder.h"

namespace plica {
namespace {

using ::testing::HasSubstr;

constexpr char kDigits[] = PLICA_SOURCE_DIR "/models/digits/digits.onnx";

template <class T, void (*free)(T*)>
struct Free {
  void operator()(T* handle) const { free(handle); }
};
using ModelHandle = std::unique_ptr<plica_model, Free<plica_model, plica_model_free>>;
using SessionHandle = std::unique_ptr<plica_session, Free<plica_session, plica_session_free>>;
using TensorHandle = std::unique_ptr<plica_tensor, Free<plica_tensor, plica_tensor_free>>;
using CancelHandle = std::unique_ptr<plica_cancel, Free<plica_cancel, plica_cancel_free>>;

ModelHandle digits() {
  plica_model* model = nullptr;
  EXPECT_EQ(plica_model_load(kDigits, &model), PLICA_OK) << plica_last_error();
  return ModelHandle(model);
}

SessionHandle session_of(const plica_model* model, const plica_session_options* options = nullptr) {
  plica_session* session = nullptr;
  EXPECT_EQ(plica_session_create(model, options, &session), PLICA_OK) << plica_last_error();
  return SessionHandle(session);
}

TensorHandle view(std::vector<float>& values, std::vector<int64_t> dims) {
  plica_tensor* tensor = nullptr;
  EXPECT_EQ(
      plica_tensor_view(PLICA_FLOAT32, dims.data(), dims.size(), values.data(), values.size() * 4, &tensor),
      PLICA_OK)
      << plica_last_error();
  return TensorHandle(tensor);
}

// One input, one output.
plica_status run(const plica_session* session, const plica_run_options* options, const plica_tensor* image,
                 plica_tensor** result) {
  const char* input = "image";
  const char* output = "probabilities";
  return plica_session_run(session, options, &input, &image, 1, &output, result, 1);
}

TEST(CInterface, IsC) { EXPECT_STREQ(run_c_program(kDigits), nullptr); }

TEST(CInterface, WritesIntoMemoryOfTheCaller) {
  const ModelHandle model = digits();
  const SessionHandle session = session_of(model.get());
  std::vector<float> pixels(128, 0.5f), scores(20), allocated(20);
  const TensorHandle image = view(pixels, {2, 1, 8, 8}), memory = view(scores, {2, 10});
  plica_tensor* result = memory.get();
  ASSERT_EQ(run(session.get(), nullptr, image.get(), &result), PLICA_OK) << plica_last_error();
  EXPECT_EQ(result, memory.get());
  EXPECT_NEAR(scores[0] + scores[1] + scores[2] + scores[3] + scores[4] + scores[5] + scores[6] + scores[7] +
                  scores[8] + scores[9],
              1, 1e-5);

  plica_run_options options = PLICA_RUN_OPTIONS_INIT;
  options.user = &allocated;
  options.allocate = [](void* user, const char* name, plica_type type, const int64_t* dims, size_t rank,
                        size_t size) -> void* {
    EXPECT_STREQ(name, "probabilities");
    EXPECT_EQ(type, PLICA_FLOAT32);
    EXPECT_EQ(rank, 2u);
    EXPECT_EQ(dims[1], 10);
    EXPECT_EQ(size, 80u);
    return static_cast<std::vector<float>*>(user)->data();
  };
  result = nullptr;
  ASSERT_EQ(run(session.get(), &options, image.get(), &result), PLICA_OK) << plica_last_error();
  EXPECT_EQ(plica_tensor_data(result), allocated.data());
  EXPECT_EQ(allocated, scores);
  plica_tensor_free(result);

  std::vector<float> small(10);
  const TensorHandle wrong = view(small, {1, 10});
  result = wrong.get();
  EXPECT_EQ(run(session.get(), nullptr, image.get(), &result), PLICA_INVALID_ARGUMENT);
  EXPECT_THAT(plica_last_error(), HasSubstr("the memory given for it float32[1, 10]"));
}

TEST(CInterface, ErrorsAreStatusAndMessageOfTheThread) {
  plica_model* model = reinterpret_cast<plica_model*>(1);
  EXPECT_EQ(plica_model_load("/nonexistent/net.onnx", &model), PLICA_IO);
  EXPECT_EQ(model, nullptr);
  EXPECT_THAT(plica_last_error(), HasSubstr("/nonexistent/net.onnx"));
  std::thread([] { EXPECT_STREQ(plica_last_error(), ""); }).join();
  EXPECT_EQ(plica_model_parse("no model", 8, &model), PLICA_INVALID_MODEL);
  EXPECT_EQ(plica_model_load(nullptr, &model), PLICA_INVALID_ARGUMENT);
  EXPECT_EQ(plica_model_load(kDigits, nullptr), PLICA_INVALID_ARGUMENT);
  EXPECT_STREQ(plica_status_name(PLICA_INVALID_ARGUMENT), "invalid_argument");

  ModelBuilder b;
  b.model.opset_imports.emplace_back("com.example", 1);
  b.output(b.node("Foo", {b.input("x", Shape{1})}, "y", {}, "com.example"));
  const std::string bytes = b.bytes();
  ASSERT_EQ(plica_model_parse(bytes.data(), bytes.size(), &model), PLICA_OK);
  const ModelHandle owner(model);
  plica_session* session = nullptr;
  EXPECT_EQ(plica_session_create(model, nullptr, &session), PLICA_UNSUPPORTED);
  EXPECT_THAT(plica_last_error(), HasSubstr("com.example::Foo"));

  const SessionHandle digits_session = session_of(digits().get());
  std::vector<float> pixels(64);
  const TensorHandle image = view(pixels, {1, 1, 8, 8}), flat = view(pixels, {64});
  plica_tensor* result = nullptr;
  EXPECT_EQ(run(digits_session.get(), nullptr, flat.get(), &result), PLICA_INVALID_ARGUMENT);
  const char* names[] = {"image", "image"};
  const plica_tensor* twice[] = {image.get(), image.get()};
  EXPECT_EQ(plica_session_run(digits_session.get(), nullptr, names, twice, 2, nullptr, nullptr, 0),
            PLICA_INVALID_ARGUMENT);
  EXPECT_THAT(plica_last_error(), HasSubstr("given twice"));
  const char* unknown = "logits";
  EXPECT_EQ(plica_session_run(digits_session.get(), nullptr, names, twice, 1, &unknown, &result, 1),
            PLICA_INVALID_ARGUMENT);
  EXPECT_THAT(plica_last_error(), HasSubstr("no output 'logits'"));
  plica_value_info info = PLICA_VALUE_INFO_INIT;
  EXPECT_EQ(plica_model_input(owner.get(), 7, &info), PLICA_INVALID_ARGUMENT);
}

TEST(CInterface, StructsOfOtherVersions) {
  const ModelHandle model = digits();
  plica_session* session = nullptr;
  // Of a program that is older: only the first members.
  struct {
    size_t struct_size;
    int threads;
  } old = {sizeof old, 1};
  ASSERT_EQ(plica_session_create(model.get(), reinterpret_cast<plica_session_options*>(&old), &session),
            PLICA_OK)
      << plica_last_error();
  plica_session_free(session);
  // Of one that is newer: members that are not known here must be 0.
  struct {
    plica_session_options known;
    int further;
  } newer = {PLICA_SESSION_OPTIONS_INIT, 0};
  newer.known.struct_size = sizeof newer;
  ASSERT_EQ(plica_session_create(model.get(), &newer.known, &session), PLICA_OK) << plica_last_error();
  plica_session_free(session);
  newer.further = 1;
  EXPECT_EQ(plica_session_create(model.get(), &newer.known, &session), PLICA_INVALID_ARGUMENT);
  EXPECT_THAT(plica_last_error(), HasSubstr("does not know"));
  plica_session_options uninitialized = {};
  EXPECT_EQ(plica_session_create(model.get(), &uninitialized, &session), PLICA_INVALID_ARGUMENT);
  EXPECT_THAT(plica_last_error(), HasSubstr("_INIT"));
  // What is filled in stays within the caller's size.
  plica_value_info info = PLICA_VALUE_INFO_INIT;
  info.struct_size = offsetof(plica_value_info, rank);
  info.rank = 77;
  ASSERT_EQ(plica_model_input(model.get(), 0, &info), PLICA_OK);
  EXPECT_STREQ(info.name, "image");
  EXPECT_EQ(info.rank, 77);
}

TEST(CInterface, Tensors) {
  const int64_t dims[] = {2, 3};
  plica_tensor* tensor = nullptr;
  ASSERT_EQ(plica_tensor_create(PLICA_INT64, dims, 2, &tensor), PLICA_OK);
  EXPECT_EQ(plica_tensor_bytes(tensor), 48u);
  EXPECT_EQ(plica_tensor_elements(tensor), 6);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(plica_tensor_mutable_data(tensor)) % 64, 0u);
  plica_tensor_free(tensor);

  const char* words[] = {"a", "", "long enough for no small buffer at all", "d", "e", "f"};
  ASSERT_EQ(plica_tensor_of_strings(dims, 2, words, &tensor), PLICA_OK);
  size_t length = 0;
  EXPECT_STREQ(plica_tensor_string(tensor, 2, &length), words[2]);
  EXPECT_EQ(length, std::strlen(words[2]));
  EXPECT_EQ(plica_tensor_string(tensor, 6, &length), nullptr);
  EXPECT_EQ(plica_tensor_data(tensor), nullptr);
  plica_tensor_free(tensor);

  float values[6] = {};
  EXPECT_EQ(plica_tensor_view(PLICA_FLOAT32, dims, 2, values, sizeof values - 1, &tensor),
            PLICA_INVALID_ARGUMENT);
  EXPECT_THAT(plica_last_error(), HasSubstr("float32[2, 3] takes 24 bytes, not 23"));
  const int64_t negative[] = {-2, -3};
  EXPECT_EQ(plica_tensor_view(PLICA_FLOAT32, negative, 2, values, sizeof values, &tensor),
            PLICA_INVALID_ARGUMENT);
  const int64_t huge[] = {int64_t{1} << 40, int64_t{1} << 40};
  EXPECT_EQ(plica_tensor_create(PLICA_FLOAT32, huge, 2, &tensor), PLICA_LIMIT);
  EXPECT_EQ(plica_tensor_create(static_cast<plica_type>(99), dims, 2, &tensor), PLICA_INVALID_ARGUMENT);
  ASSERT_EQ(plica_tensor_view_const(PLICA_FLOAT32, dims, 2, values, sizeof values, &tensor), PLICA_OK);
  EXPECT_EQ(plica_tensor_mutable_data(tensor), nullptr);
  plica_tensor_free(tensor);
  plica_tensor_free(nullptr);
}

TEST(CInterface, CancelsLogsAndGivesMemoryBack) {
  const ModelHandle model = digits();
  std::vector<std::string> lines;
  plica_session_options options = PLICA_SESSION_OPTIONS_INIT;
  options.user = &lines;
  options.log = [](void* user, plica_log_level level, const char* message) {
    EXPECT_EQ(level, PLICA_LOG_DEBUG);
    static_cast<std::vector<std::string>*>(user)->emplace_back(message);
  };
  const SessionHandle session = session_of(model.get(), &options);
  std::vector<float> pixels(64 * 500);
  const TensorHandle image = view(pixels, {500, 1, 8, 8});

  plica_cancel* made = nullptr;
  ASSERT_EQ(plica_cancel_create(&made), PLICA_OK);
  const CancelHandle cancel(made);
  plica_run_options how = PLICA_RUN_OPTIONS_INIT;
  how.cancel = cancel.get();
  int steps = 0;
  how.user = &steps;
  how.on_step = [](void* user, const char* kind, const char*, double, double duration) {
    ++*static_cast<int*>(user);
    EXPECT_STRNE(kind, "");
    EXPECT_GE(duration, 0);
  };
  plica_cancel_set(cancel.get());
  plica_tensor* result = nullptr;
  EXPECT_EQ(run(session.get(), &how, image.get(), &result), PLICA_CANCELLED);
  EXPECT_EQ(steps, 0);
  plica_cancel_reset(cancel.get());
  ASSERT_EQ(run(session.get(), &how, image.get(), &result), PLICA_OK) << plica_last_error();
  EXPECT_GT(steps, 3);
  plica_tensor_free(result);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], HasSubstr("compiled a plan"));

  plica_memory memory = PLICA_MEMORY_INIT;
  ASSERT_EQ(plica_session_memory(session.get(), &memory), PLICA_OK);
  EXPECT_EQ(memory.plans, 1u);
  EXPECT_GT(memory.workspaces, 0u);
  plica_session_trim(session.get());
  ASSERT_EQ(plica_session_memory(session.get(), &memory), PLICA_OK);
  EXPECT_EQ(memory.workspaces, 0u);
}

TEST(CInterface, ModelsAreCopiedOptimizedAndSaved) {
  const ModelHandle model = digits();
  plica_model* made = nullptr;
  ASSERT_EQ(plica_model_copy(model.get(), &made), PLICA_OK);
  const ModelHandle copy(made);
  plica_optimize_options options = PLICA_OPTIMIZE_OPTIONS_INIT;
  const char* none[] = {"no_such_rule", nullptr};
  options.disable = none;
  EXPECT_EQ(plica_model_optimize(copy.get(), &options, nullptr), PLICA_INVALID_ARGUMENT);
  options.disable = nullptr;
  int calls = 0;
  options.user = &calls;
  options.progress = [](void* user, const char*, int done, int total) {
    ++*static_cast<int*>(user);
    EXPECT_LE(done, total);
  };
  char* report = nullptr;
  ASSERT_EQ(plica_model_optimize(copy.get(), &options, &report), PLICA_OK) << plica_last_error();
  EXPECT_GT(calls, 0);
  EXPECT_THAT(report, HasSubstr("\"verdict\": \"folded\""));
  plica_string_free(report);
  const std::string path = ::testing::TempDir() + "plica_c_folded.onnx";
  ASSERT_EQ(plica_model_save(copy.get(), path.c_str(), 0), PLICA_OK) << plica_last_error();
  EXPECT_LT(Model::load(path).summarize().nodes, Model::load(kDigits).summarize().nodes);
  EXPECT_EQ(plica_model_metadata(model.get(), "no such key"), nullptr);
  std::remove(path.c_str());
}

}  // namespace
}  // namespace plica
