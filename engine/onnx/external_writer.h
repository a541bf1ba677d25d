// External data of a model that is being saved.
//
// Large initializers go one after another into a file beside the model: "NAME.data" when nothing has that
// name, or when what has it holds these very bytes; else "NAME.1.data" and so on, the first that is unused.
// Nothing that is there is written into, replaced or followed, so the model at NAME and the data that it
// names belong together at every moment: the old ones until the model's file is renamed, then the new ones.
// Only then are older data files of NAME removed, under a lock of the directory from before the renaming: a
// writer that was overtaken in between would remove the data of the model that overtook it. Who is killed in between leaves a data file that the next
// save removes.
//
// The names are a convention: while a model is at NAME, regular files NAME.data and NAME.<n>.data belong to
// it. One that the saved model itself was read from, under another name than NAME, stays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/core/file.h"
#include "engine/core/file_calls.h"
#include "engine/onnx/export.h"

namespace plica::onnx_format {

class ExternalWriter : public TensorSink {
 public:
  enum class How { compare, write };  // with the NAME.data that is there; to a new file

  // `model` is where the message goes; it must outlive this object, whose destructor removes the data again
  // when the model was not placed.
  ExternalWriter(const std::filesystem::path& path, AtomicFile& model, size_t threshold, How how);
  ~ExternalWriter() override;

  // Throws io when the model's file is a pipe or a device, beside which nothing is put.
  bool put(const Tensor& tensor, TensorProto& proto) override;
  // Before the model's file. False: the data that are there are different, or somebody took the name: to be
  // done again, to a new file.
  bool commit();
  // Puts the model's file in its place, and removes the data of the one that it replaces. `source`: what the
  // model was read from, or null.
  void place_model(const SourceFiles* source);

 private:
  void remove_older(const SourceFiles* source) const;
  void choose();
  void append(std::span<const std::byte> bytes);

  AtomicFile& model_;
  std::filesystem::path path_;
  How how_;
  size_t threshold_, offset_ = 0;
  std::string location_;            // empty: there are no data
  std::optional<AtomicFile> file_;  // when writing
  Descriptor existing_fd_;          // when comparing: holds a lock
  std::shared_ptr<const ReadableFile> existing_;
  std::vector<std::byte> buffer_, existing_buffer_;
  bool differs_ = false;
};

}  // namespace plica::onnx_format
