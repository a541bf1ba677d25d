// Uses a bit of everything that the installed headers declare.
#include <plica/plica.h>

#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  plica::Model model = plica::Model::load(argv[1]);
  const plica::Report report = model.optimize();
  const plica::Session session(model, {.threads = 2});
  const std::vector<float> pixels(64, 0.5f);
  const plica::TensorMap results = session.run({{"image", plica::Tensor::view(pixels, {1, 1, 8, 8})}});
  float sum = 0;
  for (const float score : results.at("probabilities").values<float>()) sum += score;
  // An exception passes the border of the library as itself.
  bool caught = false;
  try {
    session.run({});
  } catch (const plica::Error& error) {
    caught = error.code() == plica::ErrorCode::invalid_argument;
  }
  std::printf("%lld folded, sum %.3f, %s\n", static_cast<long long>(report.folded()),
              static_cast<double>(sum), caught ? "caught" : "not caught");
}
