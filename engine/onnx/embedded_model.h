// A model as a part of a file that holds other things too (api/compiled_file.h): its large tensors, each
// where it can be mapped, then its message, which says where they are in this file.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/core/file.h"
#include "engine/core/tensor.h"
#include "engine/graph/model_graph.h"

namespace plica {

// Bytes of a file.
struct Section {
  size_t offset = 0, size = 0;
};

// Writes one section after another.
class SectionWriter {
 public:
  // `file` is new, and must outlive this object.
  explicit SectionWriter(AtomicFile& file) : file_(file) {}

  // Aligned as external data are (export.h).
  Section put(const Tensor& elements);
  Section put(std::string_view bytes);

 private:
  void align(size_t size);

  AtomicFile& file_;
  size_t end_ = 0;
};

struct EmbeddedTensor {
  Tensor tensor;
  Section place;
};

// Where the message is; `tensors` gets the large ones. Throws limit for a message beyond 2 GiB, io.
Section save_embedded(const ModelGraph& model, SectionWriter& file, std::vector<EmbeddedTensor>& tensors);
// The large tensors are read when they are first asked for; `tensors` gets them. Throws invalid_model and
// others.
std::unique_ptr<ModelGraph> load_embedded(const std::shared_ptr<const ReadableFile>& file, Section message,
                                          std::vector<EmbeddedTensor>& tensors);

}  // namespace plica
