// External data: the one place that opens files which a model names.
//
// A model file is hostile until checked. The files are opened beneath the model's directory only: with
// openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS), or where the kernel lacks it component by component with
// O_NOFOLLOW. The checks are made on what was opened (regular file, one hard link, long enough), never on the
// name, so that there is nothing to swap between a check and its use.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/core/file.h"
#include "engine/onnx/messages.h"

namespace plica::onnx_format {

inline constexpr char kThisFile[] = ".";

class ExternalFiles {
 public:
  // An empty directory: every tensor with external data is refused. Without openat2: as before Linux 5.6, for
  // tests.
  explicit ExternalFiles(std::filesystem::path directory, bool use_openat2 = true)
      : directory_(std::move(directory)), use_openat2_(use_openat2) {}
  // The only file is the one that the model is in, under the name kThisFile (embedded_model.h).
  explicit ExternalFiles(std::shared_ptr<const ReadableFile> itself)
      : use_openat2_(false), itself_(std::move(itself)) {}

  struct Found {
    FileRange range;       // as many bytes as the tensor has
    bool can_stay = true;  // false: so many files are open that this one should be read now and let go
  };
  // Where a tensor of that size is. Throws invalid_model, io.
  Found find(const StringEntries& entries, size_t tensor_bytes);
  const std::vector<FileId>& opened() const { return opened_; }

 private:
  std::shared_ptr<const ReadableFile> open(const std::string& location);

  std::filesystem::path directory_;
  bool use_openat2_;
  std::shared_ptr<const ReadableFile> itself_;
  std::unordered_map<std::string, std::shared_ptr<const ReadableFile>> files_;
  std::vector<FileId> opened_;
};

}  // namespace plica::onnx_format

namespace plica {

// What a model was read from.
struct SourceFiles {
  std::optional<FileId> model;
  std::vector<FileId> external;
};

}  // namespace plica
