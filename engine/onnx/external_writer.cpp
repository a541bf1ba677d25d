#include "engine/onnx/external_writer.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "engine/core/fail.h"

namespace plica::onnx_format {
namespace {

namespace fs = std::filesystem;

constexpr int kMostNames = 100;
constexpr size_t kPiece = size_t{256} << 10;  // stays in the cache between its read and its write

std::string data_name(const fs::path& model, int number) {
  const std::string name = model.filename().native();
  return number == 0 ? name + ".data" : name + "." + std::to_string(number) + ".data";
}

fs::path beside(const fs::path& model, const std::string& name) {
  return (model.has_parent_path() ? model.parent_path() : fs::path(".")) / name;
}

// The first name that nothing has, links that lead nowhere included.
std::string unused_name(const fs::path& model) {
  for (int i = 0; i < kMostNames; ++i) {
    const std::string name = data_name(model, i);
    struct stat info;
    if (::lstat(beside(model, name).c_str(), &info) != 0) return name;
  }
  fail(ErrorCode::io, "{}: there are {} data files for it already", display_name(model), kMostNames);
}

// A data file that a model may name (external_data.h) and that no one is about to remove or to place.
Descriptor open_existing(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info;
  if (!file || (::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
      ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1) {
    return Descriptor();
  }
  return file;
}

// None when somebody keeps it locked.
Descriptor lock_directory(const fs::path& directory) {
  using namespace std::chrono_literals;
  Descriptor fd(open_retrying(directory.c_str(), O_RDONLY | O_DIRECTORY));
  constexpr int kMostAttempts = 5000;
  for (int attempt = 0; fd && attempt < kMostAttempts; ++attempt) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK && errno != EINTR) break;
    std::this_thread::sleep_for(1ms);
  }
  return Descriptor();
}

}  // namespace

ExternalWriter::ExternalWriter(const fs::path& path, AtomicFile& model, size_t threshold, How how)
    : model_(model), path_(path), how_(how), threshold_(threshold) {}

// For the first tensor, so that a model without large ones looks at nothing.
void ExternalWriter::choose() {
  const fs::path usual = beside(path_, data_name(path_, 0));
  if (how_ == How::compare) existing_fd_ = open_existing(usual);
  if (existing_fd_) {
    existing_ = ReadableFile::of(existing_fd_.get(), usual);
    location_ = usual.filename();
  } else {
    location_ = unused_name(path_);
    file_.emplace(beside(path_, location_), AtomicFile::At::unused);
    if (model_.replaced()) file_->set_mode(model_.replaced()->st_mode & 0777);
  }
}

ExternalWriter::~ExternalWriter() {
  if (file_ && file_->is_placed() && !model_.is_placed()) ::unlink(beside(path_, location_).c_str());
}

bool ExternalWriter::put(const Tensor& tensor, TensorProto& proto) {
  if (holds_objects(tensor.type()) || tensor.bytes() < threshold_) return false;
  require(!model_.is_direct(), ErrorCode::io,
          "is no regular file, and there is no place beside it for external data");
  if (location_.empty()) choose();
  append(std::vector<std::byte>(padding_before(tensor.bytes(), offset_)));
  describe_external(tensor, location_, offset_, proto);
  for (size_t at = 0; at < tensor.bytes() && !differs_; at += kPiece) {
    const size_t size = std::min(kPiece, tensor.bytes() - at);
    append({tensor.piece(at, size, buffer_), size});
  }
  return true;
}

void ExternalWriter::append(std::span<const std::byte> bytes) {
  if (differs_) return;
  const size_t offset = std::exchange(offset_, offset_ + bytes.size());
  if (existing_) {
    existing_buffer_.resize(std::max(existing_buffer_.size(), bytes.size()));
    const std::span<std::byte> there = std::span(existing_buffer_).first(bytes.size());
    differs_ = offset_ > existing_->size();
    if (differs_ || bytes.empty()) return;
    existing_->read(offset, there);
    differs_ = std::memcmp(there.data(), bytes.data(), bytes.size()) != 0;
    return;
  }
  file_->write(bytes);
}

bool ExternalWriter::commit() {
  if (location_.empty()) return true;
  if (file_) return file_->commit_new();
  if (differs_ || offset_ != existing_->size()) return false;
  if (::fsync(existing_fd_.get()) != 0) fail_io(existing_->path(), "cannot write", errno);
  return true;
}

void ExternalWriter::place_model(const SourceFiles* source) {
  if (location_.empty()) return model_.commit();
  const Descriptor lock = lock_directory(beside(path_, "").parent_path());
  model_.commit();
  if (lock && model_.replaced()) remove_older(source);
}

void ExternalWriter::remove_older(const SourceFiles* source) const {
  const bool is_in_place = source && source->model == FileId::of(*model_.replaced());
  for (int i = 0; i < kMostNames; ++i) {
    const std::string name = data_name(path_, i);
    const fs::path path = beside(path_, name);
    struct stat info;
    if (name == location_ || ::lstat(path.c_str(), &info) != 0) continue;
    const bool is_source =
        source && std::ranges::find(source->external, FileId::of(info)) != source->external.end();
    if (is_in_place || !is_source) remove_unless_held(path);
  }
}

}  // namespace plica::onnx_format
