// Compiled files (.plica): an optimized model, its weights packed as the kernels want them, and choices by
// measurement. What is in them is mapped, not read: a session that finds its packed weights there prepares
// nothing but its plan.
//
//   "\x89PLICA\r\n"                            shows what the file is, and transfers that change text
//   weights, packed weights, the model's message (engine/onnx/embedded_model.h)
//   {"schema": 1, "plica": "1.0.0", "kernels": "5f1c...", "onednn": "2.6.3", "cpu": "...",
//    "model": [offset, size], "packed": [[offset of the weights, "form", offset, size], ...], "tuning":
//    {...}}
//   offset and size of that, their XXH3 with it, "\x89PLICA\r\n": 32 bytes at the end
//
// The packed forms hold for this build of the kernels, this version of oneDNN and this kind of CPU: elsewhere
// the file is the optimized model, and says so. It is read as input that nobody vouches for: whatever is in
// it, what is asked of it has the size that the kernels expect. But it must not be truncated while it is
// mapped.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/untrusted_json.h"
#include "engine/core/file.h"
#include "engine/graph/model_graph.h"
#include "engine/onnx/embedded_model.h"
#include "runtime/plan/constants.h"
#include "runtime/plan/tuning.h"

namespace plica {

using PackedKey = std::pair<size_t, std::string>;  // offset of the source, form

// Thread safety: all, once it is read.
class CompiledFile : public PackedForms {
 public:
  // Whether it begins as one.
  static bool is_one(const ReadableFile& file);
  static bool is_one(std::span<const std::byte> bytes);
  struct Read {
    std::unique_ptr<ModelGraph> model;
    std::shared_ptr<const CompiledFile> file;
  };
  // Throws invalid_model, io.
  static Read read(const std::shared_ptr<const ReadableFile>& file);

  // Why only the model is used; empty when all is.
  const std::string& note() const { return note_; }
  // Null: there are no choices.
  const std::shared_ptr<const Tuning>& tuning() const { return tuning_; }

  bool knows(const Tensor& source) const override { return by_source_.contains(source.buffer_id()); }
  Tensor find(const Tensor& source, const std::string& form, size_t bytes) const override;

 private:
  void read_forms(const Json& table, size_t file_size);

  std::string name_, note_;
  std::shared_ptr<const MappedFile> mapping_;
  std::shared_ptr<const Tuning> tuning_;
  std::vector<EmbeddedTensor> tensors_;  // kept: their addresses are keys
  std::unordered_map<const void*, size_t> by_source_;
  std::map<PackedKey, Section> forms_;
};

class CompiledFileWriter {
 public:
  // The model must outlive this object: its tensors are known by their addresses.
  CompiledFileWriter(const std::filesystem::path& path, const ModelGraph& model);

  // Of these the packed forms of the model's weights; returns the bytes of the others.
  size_t add(const std::vector<std::shared_ptr<const Constant>>& constants);
  size_t commit(const Tuning& tuning);  // returns the size of the file

  size_t packed_bytes() const { return packed_bytes_; }
  size_t forms() const { return forms_.size(); }

 private:
  AtomicFile file_;
  SectionWriter writer_;
  Section model_;
  std::unordered_map<const void*, Section> by_source_;
  std::map<PackedKey, Section> forms_;
  size_t packed_bytes_ = 0;
};

}  // namespace plica
