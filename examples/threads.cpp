// Many threads on one session, as in a server: each request is run by the thread that took it. For
// throughput, each run uses one CPU; one session is shared, so that weights are there once. Ctrl-C ends the
// runs that are under way.
//
//     threads MODEL.onnx [THREADS] [REQUESTS]
#include <plica/plica.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<bool> stop = false;

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: threads MODEL.onnx [THREADS] [REQUESTS]\n";
    return 2;
  }
  const int count = argc > 2 ? std::stoi(argv[2]) : plica::default_threads();
  const int requests = argc > 3 ? std::stoi(argv[3]) : 1000;
  std::signal(SIGINT, [](int) { stop = true; });

  plica::Model model = plica::Model::load(argv[1]);
  model.optimize({.measure = false});
  const std::string input = model.inputs().at(0).name, output = model.outputs().at(0).name;
  const plica::Session session(model, {.threads = 1});

  plica::Tensor image = plica::Tensor::zeros(plica::DataType::float32, {1, 1, 8, 8});
  const plica::Tensor expected = session.run({{input, image}}).at(output);

  std::atomic<int> next = 0, done = 0, different = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&] {
      while (next++ < requests) {
        try {
          const plica::TensorMap results = session.run({{input, image}}, {.cancel = &stop});
          different += !results.at(output).identical_to(expected);
          ++done;
        } catch (const plica::Error& error) {
          if (error.code() != plica::ErrorCode::cancelled) std::cerr << error.what() << "\n";
          return;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::printf("%d requests, %d different\n", done.load(), different.load());
  return different == 0 && done == requests ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << "threads: " << error.what() << "\n";
  return 1;
}
