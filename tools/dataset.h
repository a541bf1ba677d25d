// Labelled data for plica evaluate: an .npz, or a directory with a folder of pictures for each class.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "plica/model.h"
#include "tools/image.h"

namespace plica::tools {

struct DatasetOptions {
  std::string mean, scale, layout, resize;  // of pictures, as InputOptions has them
  int64_t limit = 0;                        // 0: all samples
};

class Dataset {
 public:
  // For `input` of `model`. Folders are classes by the model's labels when all of them are such, else by the
  // order of their names. Throws Error(invalid_argument) naming the file.
  static Dataset open(const std::string& path, const Model& model, const TensorInfo& input,
                      const DatasetOptions& options);

  const std::vector<int64_t>& labels() const { return labels_; }
  // `count` samples from `first` on, filled up to `size` with copies of the last.
  Tensor batch(int64_t first, int64_t count, int64_t size) const;

 private:
  Tensor sample(int64_t i) const;

  std::vector<int64_t> labels_;
  Tensor array_;  // of an .npz: all samples
  std::vector<std::filesystem::path> pictures_;
  TensorInfo input_;
  DatasetOptions options_;
  Preprocessing preprocessing_;
};

}  // namespace plica::tools
