// The inputs of a run: from the files that -i names, and made up where no file is given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plica/model.h"
#include "tools/image.h"

namespace plica::tools {

struct InputOptions {
  std::vector<std::string> files;  // "NAME=FILE" or "FILE"
  std::string mean, scale;         // numbers with commas; empty: the model's metadata, else 0 and 1/255
  std::string layout;              // "", "nchw", "nhwc"
  std::string resize;              // "", "WxH"
  uint64_t seed = 0;
  DimSizes sizes;
};

struct Inputs {
  TensorMap tensors;
  std::vector<std::pair<std::string, std::string>> sources;  // (input, "two.png" or "random, seed 0")
};

// All inputs that have no default. Throws Exit(kInvalid), Error(invalid_argument).
Inputs gather_inputs(const Model& model, const InputOptions& options);

// Random tensors for all inputs that have no default; what the model leaves open is chosen, and the choices
// are appended to `assumed`.
TensorMap random_inputs(const Model& model, const DimSizes& sizes, uint64_t seed,
                        std::vector<std::string>* assumed = nullptr);
// Says what was assumed.
void note_assumed(const std::vector<std::string>& assumed);

// How the model's metadata (plica.image.mean, plica.image.scale) or the options want pictures to become
// numbers.
Preprocessing preprocessing_for(const Model& model, const TensorInfo& input, const std::string& mean,
                                const std::string& scale, bool* is_default = nullptr);

// A picture as the model's input `info`: its channels, its size when the model or `resize` fixes one.
Tensor picture_for(const TensorInfo& info, const Image& picture, const std::string& layout,
                   const std::string& resize, const Preprocessing& preprocessing, const DimSizes& sizes);

}  // namespace plica::tools
