// Class labels, and the classes that an output says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "plica/model.h"

namespace plica::tools {

// Lines of a file; an empty last one does not count. Throws Exit(kInvalid).
std::vector<std::string> read_labels(const std::string& path);
// The model's own, from metadata `labels`, `classes`, `names` or `character`; empty when it has none.
std::vector<std::string> labels_of(const Model& model);

struct Class {
  int64_t index = 0;
  double probability = 0;
};
struct Ranking {
  std::vector<std::vector<Class>> samples;  // best first, of each sample of the batch
  bool softmax_applied = false;             // the output did not look like probabilities
};

// How many classes a tensor of scores has: C of [C], [N, C] and [N, C, 1, 1]; nullopt when it is none.
std::optional<int64_t> class_count(const Tensor& tensor);
// The best `top` classes of each sample. Scores are probabilities when each sample's are in [0, 1] and their
// sum is within 1e-2 of 1; otherwise softmax makes them so. The tensor must have a class_count.
Ranking rank_classes(const Tensor& scores, int64_t top);

}  // namespace plica::tools
