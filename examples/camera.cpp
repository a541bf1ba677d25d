// A loop like a camera's: frames whose number changes, results in one buffer of the application's, a deadline
// for each, and memory given back when the loop pauses.
//
//     camera MODEL.onnx [FRAMES]
#include <plica/plica.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::cerr << "usage: camera MODEL.onnx [FRAMES]\n";
    return 2;
  }
  const int frames = argc > 2 ? std::stoi(argv[2]) : 200;
  plica::Model model = plica::Model::load(argv[1]);
  model.optimize({.measure = false});
  const std::string input = model.inputs().at(0).name, output = model.outputs().at(0).name;

  // Plans are kept by input shapes: as many as there are sizes in use.
  const plica::Session session(
      model, {.cached_plans = 8,
              .log = [](plica::LogLevel, std::string_view message) { std::cerr << message << "\n"; }});
  std::vector<float> pixels(8 * 64), scores(8 * 10);
  using Clock = std::chrono::steady_clock;
  Clock::duration slowest{};
  int64_t seen = 0;
  for (int frame = 0; frame < frames; ++frame) {
    const int64_t objects = 1 + frame * 7 % 4;  // found in this frame, say
    for (size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = static_cast<float>((i * 31 + static_cast<size_t>(frame)) % 97) / 97;
    const auto start = Clock::now();
    try {
      // Both are views: nothing is copied, and nothing is allocated once all sizes have been seen.
      session.run({{input, plica::Tensor::view(pixels.data(), {objects, 1, 8, 8})}},
                  {.outputs = {{output, plica::Tensor::view(scores.data(), {objects, 10})}}, .timeout = 1});
      seen += objects;
    } catch (const plica::Error& error) {
      if (error.code() != plica::ErrorCode::cancelled) throw;
      std::cerr << "frame " << frame << " is skipped: " << error.what() << "\n";
    }
    if (frame >= 8) slowest = std::max(slowest, Clock::now() - start);
  }
  std::printf("%d frames, %lld objects\n", frames, static_cast<long long>(seen));
  std::fprintf(stderr, "the slowest frame took %.2f ms\n",
               std::chrono::duration<double, std::milli>(slowest).count());

  session.trim();
  const plica::Session::Memory memory = session.memory();
  std::fprintf(stderr, "%zu plans, %zu bytes of packed weights, %zu bytes of workspaces\n", memory.plans,
               memory.weights, memory.workspaces);
} catch (const std::exception& error) {
  std::cerr << "camera: " << error.what() << "\n";
  return 1;
}
