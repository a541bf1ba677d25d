// The user's own inputs for a comparison (plica optimize --data): sets of inputs, one after the other.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "plica/model.h"
#include "tools/npz.h"

namespace plica::tools {

struct SampleOptions {
  std::string mean, scale, layout, resize;  // of pictures, as InputOptions has them
  int64_t limit = 0;                        // samples; 0: all
  DimSizes sizes;
};

class Samples {
 public:
  // An .npz with an array for each input of the model; other arrays (labels) are left alone. Where an array
  // has more rows than the input takes, they are samples: sets have as many as the input's first dimension
  // says, or 16 when that is open. Any other file that plica run -i reads is one set. A directory has such
  // files, itself or in folders, which are read in the order of their paths.
  // Throws Error(invalid_argument) naming the file.
  static Samples open(const std::string& path, const Model& model, const SampleOptions& options);

  int64_t size() const;  // sets of inputs
  TensorMap operator[](int64_t i) const;

 private:
  Samples(const Model& model, const SampleOptions& options) : model_(model), options_(options) {}
  void open_arrays(const std::string& path);

  Model model_;
  SampleOptions options_;
  std::vector<std::filesystem::path> files_;  // a set each, when not empty
  NamedArrays arrays_;
  int64_t rows_ = 0, batch_ = 0;  // of the arrays; batch 0: they are one set
};

}  // namespace plica::tools
