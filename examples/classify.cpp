// Classifies a picture: loads a model, folds its batch norms, says what became of them, and runs it.
//
//     classify MODEL.onnx PICTURE.pgm
//
// The picture is a binary PGM of the size that the model takes; pixels become numbers from 0 (black) to 1.
#include <plica/plica.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

plica::Tensor read_pgm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int64_t width = 0, height = 0, most = 0;
  if (!(file >> magic >> width >> height >> most) || magic != "P5" || most != 255 || width < 1 ||
      height < 1 || width > 10'000 || height > 10'000)
    throw std::runtime_error(path + " is no PGM with 8 bits a pixel");
  file.get();
  std::vector<char> bytes(static_cast<size_t>(width * height));
  if (!file.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    throw std::runtime_error(path + " is cut");
  plica::Tensor image(plica::DataType::float32, {1, 1, height, width});
  std::ranges::transform(bytes, image.mutable_data<float>(), [](char byte) {
    return static_cast<float>(static_cast<unsigned char>(byte)) / 255;
  });
  return image;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: classify MODEL.onnx PICTURE.pgm\n";
    return 2;
  }
  plica::Model model = plica::Model::load(argv[1]);
  const plica::Report report = model.optimize();
  std::cerr << report.folded() << " of " << report.batch_norms.size() << " batch norms folded\n";

  const plica::Session session(model);
  const std::string input = model.inputs().at(0).name, output = model.outputs().at(0).name;
  const plica::TensorMap results = session.run({{input, read_pgm(argv[2])}});

  const auto scores = results.at(output).values<float>();
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  for (size_t i = 0; i < std::min<size_t>(3, order.size()); ++i)
    std::printf("%zu  %6.2f %%\n", order[i], 100 * static_cast<double>(scores[order[i]]));
} catch (const std::exception& error) {
  std::cerr << "classify: " << error.what() << "\n";
  return 1;
}
