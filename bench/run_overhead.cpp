// What one run costs beside its arithmetic: a model of one Add on four numbers, by the C++ and the C
// interface, beside ONNX Runtime's C interface (of which its C++ is a wrapper), in turn in one process.
// Nanoseconds, minimum and median over rounds.
//
//     run_overhead [libonnxruntime.so] [ROUNDS]
#include <dlfcn.h>
#include <onnxruntime/onnxruntime_c_api.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "api/c/plica.h"
#include "plica/plica.h"

namespace {

constexpr int kRuns = 5000;

void require_ok(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "run_overhead: %s\n", what);
  std::exit(1);
}

// Fields of protobuf: a message or a string, a number.
std::string field(int number, const std::string& body) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(body.size())} + body;
}
std::string integer(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}
std::string value_info(const std::string& name) {
  return field(1, name) + field(2, field(1, integer(1, 1) + field(2, field(1, integer(1, 4)))));
}

// y = x + c, float32[4].
std::string model_bytes() {
  const float c[] = {1, 2, 3, 4};
  const std::string add = field(1, "x") + field(1, "c") + field(2, "y") + field(4, "Add");
  const std::string constant = integer(1, 4) + integer(2, 1) + field(8, "c") +
                               field(9, std::string(reinterpret_cast<const char*>(c), sizeof c));
  const std::string graph = field(1, add) + field(2, "g") + field(5, constant) + field(11, value_info("x")) +
                            field(12, value_info("y"));
  return integer(1, 8) + field(8, integer(2, 17)) + field(7, graph);
}

struct Contestant {
  const char* name;
  std::function<void()> run;
  std::vector<double> nanoseconds = {};
};

}  // namespace

int main(int argc, char** argv) {
  const std::string bytes = model_bytes();
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 40;
  std::vector<float> x = {1, 2, 3, 4}, y(4);
  std::vector<Contestant> all;

  const plica::Session session(plica::Model::parse(bytes), {.threads = 1});
  const plica::Tensor in = plica::Tensor::view(x, {4}), out = plica::Tensor::view(y, {4});
  const plica::TensorMap inputs = {{"x", in}};
  const plica::Session::RunOptions options = {.outputs = {{"y", out}}};
  all.push_back({"Plica, C++", [&] { session.run(inputs); }});
  all.push_back({"Plica, C++, into memory of the caller", [&] { session.run(inputs, options); }});

  plica_model* model = nullptr;
  plica_session* c_session = nullptr;
  plica_tensor *c_in = nullptr, *c_out = nullptr;
  plica_session_options c_options = PLICA_SESSION_OPTIONS_INIT;
  c_options.threads = 1;
  const int64_t dims[] = {4};
  require_ok(plica_model_parse(bytes.data(), bytes.size(), &model) == PLICA_OK &&
                 plica_session_create(model, &c_options, &c_session) == PLICA_OK &&
                 plica_tensor_view(PLICA_FLOAT32, dims, 1, x.data(), 16, &c_in) == PLICA_OK &&
                 plica_tensor_view(PLICA_FLOAT32, dims, 1, y.data(), 16, &c_out) == PLICA_OK,
             plica_last_error());
  const char *input_name = "x", *output_name = "y";
  const auto c_run = [&](plica_tensor** result) {
    require_ok(
        plica_session_run(c_session, nullptr, &input_name, &c_in, 1, &output_name, result, 1) == PLICA_OK,
        plica_last_error());
  };
  all.push_back({"Plica, C", [&] {
                   plica_tensor* result = nullptr;
                   c_run(&result);
                   plica_tensor_free(result);
                 }});
  all.push_back({"Plica, C, into memory of the caller", [&] { c_run(&c_out); }});

  if (argc > 1) {
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    require_ok(library != nullptr, "cannot load ONNX Runtime");
    const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"))();
    const OrtApi* ort = base->GetApi(ORT_API_VERSION);
    require_ok(ort != nullptr, "another ONNX Runtime than the header's");
    const auto ok = [&](OrtStatus* status) {
      if (status) require_ok(false, ort->GetErrorMessage(status));
    };
    OrtEnv* env = nullptr;
    OrtSessionOptions* ort_options = nullptr;
    OrtSession* ort_session = nullptr;
    OrtMemoryInfo* memory = nullptr;
    OrtValue *ort_in = nullptr, *ort_out = nullptr;
    ok(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "overhead", &env));
    ok(ort->CreateSessionOptions(&ort_options));
    ok(ort->SetIntraOpNumThreads(ort_options, 1));
    ok(ort->CreateSessionFromArray(env, bytes.data(), bytes.size(), ort_options, &ort_session));
    ok(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    const auto tensor = [&](std::vector<float>& of, OrtValue** value) {
      ok(ort->CreateTensorWithDataAsOrtValue(memory, of.data(), 16, dims, 1,
                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, value));
    };
    tensor(x, &ort_in);
    tensor(y, &ort_out);
    const auto run = [=](OrtValue** result) {
      ok(ort->Run(ort_session, nullptr, &input_name, &ort_in, 1, &output_name, 1, result));
    };
    all.push_back({"ONNX Runtime, C", [=] {
                     OrtValue* result = nullptr;
                     run(&result);
                     ort->ReleaseValue(result);
                   }});
    all.push_back({"ONNX Runtime, C, into memory of the caller", [=] {
                     OrtValue* result = ort_out;
                     run(&result);
                   }});
  }

  using Clock = std::chrono::steady_clock;
  for (int round = -1; round < rounds; ++round) {
    for (Contestant& c : all) {
      const auto start = Clock::now();
      for (int i = 0; i < kRuns; ++i) c.run();
      const double each = std::chrono::duration<double, std::nano>(Clock::now() - start).count() / kRuns;
      if (round >= 0) c.nanoseconds.push_back(each);
    }
  }
  for (Contestant& c : all) {
    std::ranges::sort(c.nanoseconds);
    std::printf("%-45s min %7.0f ns  median %7.0f ns\n", c.name, c.nanoseconds.front(),
                c.nanoseconds[c.nanoseconds.size() / 2]);
  }
}
