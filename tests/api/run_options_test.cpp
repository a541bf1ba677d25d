// What applications that embed sessions need of a run: memory of their own, an end, a look inside, and memory
// back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>
#include <thread>

#include "plica/plica.h"
#include "tests/api/error_of.h"
#include "tests/api/model_builder.h"

namespace plica {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr char kDigits[] = PLICA_SOURCE_DIR "/models/digits/digits.onnx";

Model digits() {
  Model model = Model::load(kDigits);
  model.optimize();
  return model;
}

TensorMap picture(int64_t count = 1) {
  Tensor image(DataType::float32, {count, 1, 8, 8});
  float value = 0;
  for (float& v : image.mutable_values<float>()) v = std::fmod(value += 0.37f, 1.0f);
  return {{"image", image}};
}

// y = Relu(x) and z = the coordinates of what is not zero, then c = Cast(z): an output by a plan, and two of
// shapes that nobody knows before the run.
Model model_of_unknown_shapes() {
  ModelBuilder b;
  Value* x = b.input("x", Shape{Dim::symbol("N")});
  Value* y = b.node("Relu", {x}, "y");
  Value* z = b.node("NonZero", {y}, "z");
  Attributes to;
  to.set("to", int64_t{1});
  Value* c = b.node("Cast", {z}, "c", std::move(to));
  b.output(y);
  b.output(z, DataType::int64);
  b.output(c);
  return Model::parse(b.bytes());
}

TEST(RunOptions, OutputsInTheCallersMemory) {
  const Session session(digits());
  const Tensor expected = session.run(picture(3)).at("probabilities");
  // Of any alignment.
  std::vector<float> memory(3 * 10 + 32, -1);
  for (size_t offset = 0; offset < 20; ++offset) {
    std::ranges::fill(memory, -1);
    const TensorMap results = session.run(
        picture(3), {.outputs = {{"probabilities", Tensor::view(memory.data() + offset, {3, 10})}}});
    EXPECT_EQ(results.at("probabilities").raw(), memory.data() + offset);
    EXPECT_EQ(std::memcmp(memory.data() + offset, expected.raw(), expected.bytes()), 0);
    EXPECT_THAT(std::span(memory).first(offset), Each(-1));
    EXPECT_THAT(std::span(memory).subspan(offset + 30), Each(-1));
  }
}

// Every kind of step may be the last one.
TEST(RunOptions, MemoryOfAnyAlignmentForEveryKindOfStep) {
  for (const char* op : {"Relu", "Conv", "Wide", "Depthwise", "MaxPool", "GlobalAveragePool", "Softmax",
                         "Transpose", "Resize", "MatMul", "Add", "Concat"}) {
    SCOPED_TRACE(op);
    ModelBuilder b;
    Value* x = b.input("x", Shape{1, 32, 12, 12});
    const auto weights = [&](const char* name, Dims dims) {
      Tensor t(DataType::float32, dims);
      float value = 0.01f;
      for (float& v : t.mutable_values<float>()) v = (value = -value * 1.0001f);
      return b.constant(name, t);
    };
    const auto ints = [](const char* name, std::vector<int64_t> values) {
      Attributes a;
      a.set(name, std::move(values));
      return a;
    };
    const std::string kind = op;
    Value* y = nullptr;
    if (kind == "Conv") {
      y = b.node("Conv", {x, weights("w", {48, 32, 3, 3})}, "y", ints("pads", {1, 1, 1, 1}));
    } else if (kind == "Wide") {
      y = b.node("Conv", {x, weights("w", {40, 32, 1, 1})}, "y");
    } else if (kind == "Depthwise") {
      Attributes a = ints("pads", {1, 1, 1, 1});
      a.set("group", int64_t{32});
      y = b.node("Conv", {x, weights("w", {32, 1, 3, 3})}, "y", std::move(a));
    } else if (kind == "MaxPool") {
      y = b.node("MaxPool", {x}, "y", ints("kernel_shape", {2, 2}));
    } else if (kind == "Transpose") {
      y = b.node("Transpose", {x}, "y", ints("perm", {0, 2, 3, 1}));
    } else if (kind == "Resize") {
      y = b.node("Resize", {x, nullptr, b.constant("s", Tensor::vector<float>({1, 1, 2, 2}))}, "y");
    } else if (kind == "MatMul") {
      y = b.node("MatMul", {x, weights("w", {12, 20})}, "y");
    } else if (kind == "Add") {
      y = b.node("Add", {x, weights("w", {1, 32, 1, 1})}, "y");
    } else if (kind == "Concat") {
      Attributes a;
      a.set("axis", int64_t{1});
      y = b.node("Concat", {x, x}, "y", std::move(a));
    } else {
      y = b.node(kind, {x}, "y");
    }
    b.output(y);
    const Session session(Model::parse(b.bytes()));
    Tensor in(DataType::float32, {1, 32, 12, 12});
    float value = 0;
    for (float& v : in.mutable_values<float>()) v = (value += 0.1f);
    const Tensor expected = session.run({{"x", in}}).at("y");
    std::vector<std::byte> memory(expected.bytes() + 128);
    for (const size_t offset : {0, 1, 4, 36}) {
      Tensor out = Tensor::view(DataType::float32, expected.dims(), memory.data() + offset);
      session.run({{"x", in}}, {.outputs = {{"y", out}}});
      EXPECT_EQ(std::memcmp(memory.data() + offset, expected.raw(), expected.bytes()), 0) << "at " << offset;
    }
  }
}

TEST(RunOptions, OutputsOfUnknownShapesAreAllocatedByTheCaller) {
  const Session session(model_of_unknown_shapes());
  const std::vector<float> x = {0, 2, -1, 3, 0, 5};
  std::vector<std::string> asked;
  std::vector<float> y(6), c(3);
  std::vector<int64_t> z(3);
  const TensorMap results =
      session.run({{"x", Tensor::view(x, {6})}},
                  {.outputs = {{"y", Tensor::view(y, {6})}},
                   .allocate = [&](const std::string& name, DataType type, const Dims& dims) {
                     asked.push_back(name);
                     EXPECT_EQ(dims, (Dims{1, 3}));
                     if (name == "z") {
                       EXPECT_EQ(type, DataType::int64);
                       return Tensor::view(z, {1, 3});
                     }
                     return Tensor::view(c, {1, 3});
                   }});
  EXPECT_THAT(asked, ::testing::UnorderedElementsAre("z", "c"));
  EXPECT_EQ(y, (std::vector<float>{0, 2, 0, 3, 0, 5}));
  EXPECT_EQ(z, (std::vector<int64_t>{1, 3, 5}));
  EXPECT_EQ(c, (std::vector<float>{1, 3, 5}));
  EXPECT_EQ(results.at("z").raw(), z.data());
  EXPECT_EQ(results.at("c").raw(), c.data());
}

// Outputs that no step computes: an input, a constant.
TEST(RunOptions, OutputsThatAreThereAlreadyAreCopied) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{2});
  b.output(b.node("Identity", {x}, "same"));
  b.output(b.node("Identity", {b.constant("k", Tensor::vector<float>({7, 8}))}, "constant"));
  const Session session(Model::parse(b.bytes()));
  const std::vector<float> in = {1, 2};
  std::vector<float> same(2), constant(2);
  session.run({{"x", Tensor::view(in, {2})}},
              {.outputs = {{"same", Tensor::view(same, {2})}, {"constant", Tensor::view(constant, {2})}}});
  EXPECT_EQ(same, in);
  EXPECT_EQ(constant, (std::vector<float>{7, 8}));
}

TEST(RunOptions, MemoryThatDoesNotFitIsRefused) {
  const Session session(digits());
  const TensorMap in = picture(2);
  std::vector<float> memory(64 * 2);
  const auto refused = [&](const char* name, Tensor tensor) {
    const Error error = error_of([&] { session.run(in, {.outputs = {{name, tensor}}}); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.message();
  };
  EXPECT_THAT(refused("probabilities", Tensor::view(memory.data(), {2, 9})),
              HasSubstr("output 'probabilities' is float32[2, 10], the memory given for it float32[2, 9]"));
  EXPECT_THAT(refused("probabilities", Tensor(DataType::float64, {2, 10})), HasSubstr("float64[2, 10]"));
  EXPECT_THAT(refused("logits?", Tensor::view(memory.data(), {2, 10})),
              HasSubstr("the model has no output 'logits?'"));
  EXPECT_THAT(refused("probabilities", Tensor::view(static_cast<const float*>(memory.data()), {2, 10})),
              HasSubstr("may not be written"));
  Tensor image = in.at("image");
  EXPECT_THAT(refused("probabilities", Tensor::view(image.mutable_data<float>() + 100, {2, 10})),
              HasSubstr("overlaps an input"));
  EXPECT_EQ(session.run(in).at("probabilities").dims(), (Dims{2, 10}));  // and nothing is broken
}

// 4,000 multiplications: a while.
Model slow_model() {
  ModelBuilder b;
  Value* x = b.input("x", Shape{300, 300});
  for (int i = 0; i < 4000; ++i)
    x = b.node("MatMul", {x, b.model.graph.inputs()[0]}, "v" + std::to_string(i));
  b.output(x);
  return Model::parse(b.bytes());
}

TEST(RunOptions, RunsEndWhenTheyAreTold) {
  const Session session(slow_model(), {.threads = 1});
  const TensorMap in = {{"x", Tensor::zeros(DataType::float32, {300, 300})}};
  std::atomic<bool> cancel = true;
  EXPECT_EQ(error_of([&] { session.run(in, {.cancel = &cancel}); }).code(), ErrorCode::cancelled);
  cancel = false;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    cancel = true;
  });
  EXPECT_EQ(error_of([&] { session.run(in, {.cancel = &cancel}); }).message(), "cancelled");
  other.join();
  const Error late = error_of([&] { session.run(in, {.timeout = 0.02}); });
  EXPECT_EQ(late.code(), ErrorCode::cancelled);
  EXPECT_THAT(late.message(), HasSubstr("time limit"));
  EXPECT_EQ(error_of([&] { session.run(in, {.timeout = -1}); }).code(), ErrorCode::invalid_argument);
}

TEST(RunOptions, MemoryIsBounded) {
  const Session session(digits());
  EXPECT_EQ(error_of([&] { session.run(picture(2000), {.max_memory = 4096}); }).code(), ErrorCode::limit);
  EXPECT_EQ(session.run(picture(2000), {.max_memory = size_t{1} << 30}).size(), 1u);
}

TEST(RunOptions, StepsAreTold) {
  const Session session(digits());
  std::vector<std::string> kinds;
  double end = 0;
  session.run(picture(), {.on_step = [&](const Session::Step& step, double start, double duration) {
                kinds.push_back(step.kind);
                EXPECT_GE(start, end);
                EXPECT_GE(duration, 0);
                end = start + duration;
              }});
  std::vector<std::string> planned;
  for (const Session::Step& step : session.plan(picture()).steps) planned.push_back(step.kind);
  EXPECT_EQ(kinds, planned);
  EXPECT_GT(kinds.size(), 3u);
}

TEST(Session, GivesMemoryBack) {
  const Session session(digits());
  EXPECT_EQ(session.memory().plans, 0u);
  { const TensorMap results = session.run(picture(2000)); }
  const Session::Memory used = session.memory();
  EXPECT_EQ(used.plans, 1u);
  EXPECT_GT(used.weights, 10'000u);
  EXPECT_GT(used.workspaces, 2000u * 64);
  EXPECT_GE(used.results, 2000u * 10 * 4);
  session.trim();
  const Session::Memory trimmed = session.memory();
  EXPECT_EQ(trimmed.plans, 1u);
  EXPECT_EQ(trimmed.weights, used.weights);
  EXPECT_EQ(trimmed.workspaces, 0u);
  EXPECT_EQ(trimmed.results, 0u);
  EXPECT_EQ(session.run(picture(3)).at("probabilities").dims(), (Dims{3, 10}));
}

// Workspaces of subgraphs and continuations too, whose plans end with the session.
TEST(Session, GivesMemoryBackOfWhatIsCompiledLater) {
  const Session session(model_of_unknown_shapes());
  for (const size_t count : {10u, 100'000u, 10u}) {
    const std::vector<float> x(count, 1.0f);
    session.run({{"x", Tensor::view(x, {static_cast<int64_t>(count)})}});
    session.trim();
    EXPECT_EQ(session.memory().workspaces, 0u);
  }
}

TEST(Session, LogsWhatHappens) {
  std::mutex mutex;
  std::vector<std::pair<LogLevel, std::string>> lines;
  const Session session(digits(), {.cached_plans = 2, .log = [&](LogLevel level, std::string_view message) {
                                     const std::lock_guard lock(mutex);
                                     lines.emplace_back(level, message);
                                   }});
  for (const int64_t count : {1, 2, 1, 3}) session.run(picture(count));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0].first, LogLevel::debug);
  EXPECT_THAT(lines[0].second, HasSubstr("compiled a plan of"));
  EXPECT_THAT(lines[2].second, HasSubstr("'image' float32[3, 1, 8, 8]"));
  EXPECT_EQ(lines[3].first, LogLevel::info);
  EXPECT_THAT(lines[3].second, HasSubstr("more than 2 sets of input shapes"));
}

TEST(Session, CopiesShareTheirPlans) {
  std::optional<Session> first = Session(digits());
  first->run(picture());
  const Session second = *first;
  first.reset();
  EXPECT_EQ(second.memory().plans, 1u);
  EXPECT_EQ(second.run(picture()).size(), 1u);
}

TEST(Session, MayBeDestroyedWhileItRuns) {
  const TensorMap in = {{"x", Tensor::zeros(DataType::float32, {300, 300})}};
  std::optional<Session> session = Session(slow_model(), {.threads = 1});
  std::atomic<bool> began = false, destroyed = false;
  std::atomic<bool> cancel = false;
  std::thread runner([&] {
    const Error error = error_of([&] {
      session->run(in, {.cancel = &cancel, .on_step = [&](const Session::Step&, double, double) {
                          began = true;
                          if (destroyed) cancel = true;
                        }});
    });
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  });
  while (!began) std::this_thread::yield();
  session.reset();
  destroyed = true;
  runner.join();
}

// OpenMP's threads do not come along.
TEST(Session, WorksInAForkedProcess) {
  const Session session(digits(), {.threads = 2});
  const Tensor expected = session.run(picture(500)).at("probabilities");
  const auto works = [&] {
    return session.run(picture(500)).at("probabilities").identical_to(expected) &&
           Session(digits(), {.threads = 2}).run(picture(500)).at("probabilities").identical_to(expected);
  };
  const auto in_child = [](const auto& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      ::_exit(body() ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  };
  EXPECT_TRUE(in_child(works));
  EXPECT_TRUE(in_child([&] {  // and that of a forked one, which has had a team of its own
    return works() && in_child(works) && works();
  }));
  EXPECT_TRUE(works());
  // Errors and limits come through.
  EXPECT_TRUE(in_child([&] {
    try {
      session.run(picture(5), {.max_memory = 100});
    } catch (const Error& error) {
      return error.code() == ErrorCode::limit;
    }
    return false;
  }));
}

// Threads on one session compute bitwise what one thread does.
TEST(Session, ManyThreadsComputeTheSame) {
  const Session session(digits(), {.threads = 1});
  std::vector<TensorMap> inputs;
  std::vector<Tensor> expected;
  for (int64_t count = 1; count <= 4; ++count) {
    inputs.push_back(picture(count));
    expected.push_back(session.run(inputs.back()).at("probabilities"));
  }
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 1000; ++i) {
        const size_t at = (i + t) % inputs.size();
        wrong += !session.run(inputs[at]).at("probabilities").identical_to(expected[at]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace plica
