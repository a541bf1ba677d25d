#include "engine/core/tensor.h"

#include <sys/mman.h>

#include <atomic>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/core/limits.h"
#include "engine/core/parallel.h"

namespace plica {
namespace {

constexpr std::align_val_t kAlignment{64};

// Large buffers lie on huge pages where the system has them: 512 page faults fewer for each.
constexpr size_t kHugePage = size_t{2} << 20;

// Bytes that an account of limits holds.
class Reservation {
 public:
  Reservation(std::shared_ptr<Limits> limits, size_t bytes) : limits_(std::move(limits)), bytes_(bytes) {
    limits_->reserve(bytes_);
  }
  Reservation(Reservation&& other) noexcept : limits_(std::move(other.limits_)), bytes_(other.bytes_) {}
  ~Reservation() {
    if (limits_) limits_->release(bytes_);
  }

 private:
  std::shared_ptr<Limits> limits_;
  size_t bytes_;
};

std::shared_ptr<void> allocate_unlimited(size_t bytes) {
  if (bytes >= kHugePage) {
    constexpr std::align_val_t kHugeAlignment{kHugePage};
    void* p = ::operator new(bytes, kHugeAlignment);
    ::madvise(p, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // advice: failing costs only time
    return {p, [](void* q) { ::operator delete(q, kHugeAlignment); }};
  }
  // At least one byte, so that an empty tensor has an address too.
  void* p = ::operator new(std::max<size_t>(bytes, 1), kAlignment);
  return {p, [](void* q) { ::operator delete(q, kAlignment); }};
}

std::shared_ptr<void> allocate_bytes(size_t bytes) {
  std::shared_ptr<Limits> limits = Limits::current();
  if (!limits) {
    check_machine_memory(bytes);
    return allocate_unlimited(bytes);
  }
  struct Limited {
    Reservation reservation;  // given back after the memory
    std::shared_ptr<void> memory;
  };
  auto limited = std::make_shared<Limited>(Limited{Reservation(std::move(limits), bytes), nullptr});
  limited->memory = allocate_unlimited(bytes);
  void* const p = limited->memory.get();
  return {std::move(limited), p};
}

// The elements of a deferred tensor and of all its copies. Once they are in memory they stay there.
class DeferredElements {
 public:
  DeferredElements(std::shared_ptr<const ElementSource> source, size_t bytes)
      : source_(std::move(source)), bytes_(bytes) {}

  const ElementSource& source() const { return *source_; }
  bool is_read() const { return data_.load(std::memory_order_acquire) != nullptr; }

  const void* get() const {
    if (const void* data = data_.load(std::memory_order_acquire)) return data;
    const std::lock_guard lock(mutex_);
    if (!buffer_) {
      auto buffer = allocate_bytes(bytes_);
      read_all(*source_, {static_cast<std::byte*>(buffer.get()), bytes_});
      buffer_ = std::move(buffer);
      data_.store(buffer_.get(), std::memory_order_release);
    }
    return buffer_.get();
  }

  // By several threads where that pays.
  static void read_all(const ElementSource& source, std::span<std::byte> out) {
    constexpr size_t kPiece = size_t{2} << 20;
    const size_t pieces = (out.size() + kPiece - 1) / kPiece;
    parallel_for(static_cast<int64_t>(pieces), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        source.read(i * kPiece, out.subspan(i * kPiece, std::min(kPiece, out.size() - i * kPiece)));
    });
  }

 private:
  const std::shared_ptr<const ElementSource> source_;
  const size_t bytes_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<void> buffer_;
  mutable std::atomic<const void*> data_ = nullptr;
};

class ElementsInFile : public ElementSource {
 public:
  explicit ElementsInFile(FileRange range) : range_(std::move(range)) {}
  void read(size_t offset, std::span<std::byte> out) const override {
    range_.file->read(range_.offset + offset, out);
  }

 private:
  FileRange range_;
};

}  // namespace

Tensor::Tensor(DataType type, Dims dims) : type_(type), dims_(std::move(dims)), size_(checked_elements(dims_)) {
  require(type != DataType::undefined, ErrorCode::internal, "a tensor needs an element type");
  const auto make_objects = [&]<class T>(std::type_identity<T>) {
    auto objects = std::make_shared<std::vector<T>>(static_cast<size_t>(size_));
    data_ = objects->data();
    owner_ = std::move(objects);
  };
  if (type == DataType::string) {
    make_objects(std::type_identity<std::string>{});
  } else if (is_container(type)) {
    make_objects(std::type_identity<Tensor>{});
  } else {
    auto buffer = allocate_bytes(bytes_of(type, size_));
    data_ = buffer.get();
    owner_ = std::move(buffer);
  }
}

Tensor Tensor::zeros(DataType type, Dims dims) {
  Tensor t(type, std::move(dims));
  if (!holds_objects(type)) std::memset(t.mutable_raw(), 0, t.bytes());
  return t;
}

Tensor Tensor::container(DataType type, std::vector<Tensor> elements) {
  require(is_container(type), ErrorCode::internal, "{} is no container", to_string(type));
  auto objects = std::make_shared<std::vector<Tensor>>(std::move(elements));
  Tensor t;
  t.type_ = type;
  t.size_ = static_cast<int64_t>(objects->size());
  t.dims_ = {t.size_};
  t.data_ = objects->data();
  t.owner_ = std::move(objects);
  return t;
}

std::span<const Tensor> Tensor::elements() const {
  require(is_container(type_), ErrorCode::internal, "{} is no container", to_string(*this));
  return {static_cast<const Tensor*>(data_), static_cast<size_t>(size_)};
}

Tensor Tensor::view(DataType type, Dims dims, const void* data, std::shared_ptr<const void> owner) {
  Tensor t;
  t.type_ = type;
  t.is_const_ = true;
  t.size_ = checked_elements(dims);
  t.dims_ = std::move(dims);
  if (!holds_objects(type)) bytes_of(type, t.size_);  // refuse what would overflow
  t.data_ = data;
  t.owner_ = std::move(owner);
  return t;
}

Tensor Tensor::view(DataType type, Dims dims, void* data, std::shared_ptr<const void> owner) {
  Tensor t = view(type, std::move(dims), static_cast<const void*>(data), std::move(owner));
  t.is_const_ = false;
  return t;
}

Tensor Tensor::deferred(DataType type, Dims dims, std::shared_ptr<const ElementSource> source) {
  require(type != DataType::undefined && !holds_objects(type), ErrorCode::internal,
          "{} elements cannot be read later", to_string(type));
  Tensor t;
  t.type_ = type;
  t.is_const_ = t.is_deferred_ = true;
  t.size_ = checked_elements(dims);
  t.dims_ = std::move(dims);
  auto elements = std::make_shared<const DeferredElements>(std::move(source), bytes_of(type, t.size_));
  t.data_ = elements.get();
  t.owner_ = std::move(elements);
  return t;
}

Tensor Tensor::in_file(DataType type, Dims dims, FileRange range) {
  const size_t size = range.size;
  Tensor t = deferred(type, std::move(dims), std::make_shared<const ElementsInFile>(std::move(range)));
  require(size == t.bytes(), ErrorCode::internal, "{} bytes of a file for {}", size, to_string(t));
  return t;
}

const ElementSource* Tensor::unread_source() const {
  const auto* elements = static_cast<const DeferredElements*>(data_);
  return elements->is_read() ? nullptr : &elements->source();
}

void Tensor::copy_bytes(size_t offset, std::span<std::byte> out) const {
  if (const ElementSource* source = unread()) return source->read(offset, out);
  if (!out.empty()) std::memcpy(out.data(), static_cast<const std::byte*>(raw()) + offset, out.size());
}

const std::byte* Tensor::piece(size_t offset, size_t size, std::vector<std::byte>& buffer) const {
  const ElementSource* source = unread();
  if (!source) return static_cast<const std::byte*>(raw()) + offset;
  buffer.resize(std::max(buffer.size(), size));
  source->read(offset, std::span(buffer).first(size));
  return buffer.data();
}

const void* Tensor::read_elements() const { return static_cast<const DeferredElements*>(data_)->get(); }

size_t Tensor::bytes() const {
  return holds_objects(type_) || type_ == DataType::undefined ? 0 : bytes_of(type_, size_);
}

Tensor Tensor::reshaped(Dims dims) const {
  require(checked_elements(dims) == size_, ErrorCode::internal, "cannot view {} as {}", to_string(*this),
          to_string(dims));
  Tensor t = *this;
  t.dims_ = std::move(dims);
  return t;
}

Tensor Tensor::clone() const {
  if (!defined()) return {};
  if (is_container(type_)) {
    std::vector<Tensor> copies;
    for (const Tensor& e : elements()) copies.push_back(e.clone());
    return container(type_, std::move(copies));
  }
  Tensor t(type_, dims_);
  if (type_ == DataType::string) {
    std::ranges::copy(values<std::string>(), t.mutable_data<std::string>());
  } else if (const ElementSource* source = unread()) {
    DeferredElements::read_all(*source, {static_cast<std::byte*>(t.mutable_raw()), bytes()});
  } else if (bytes() != 0) {
    std::memcpy(t.mutable_raw(), raw(), bytes());
  }
  return t;
}

Tensor Tensor::owned() const {
  if (!defined() || (owner_ && !is_container(type_))) return *this;
  if (!is_container(type_)) return clone();
  std::vector<Tensor> copies;
  for (const Tensor& e : elements()) copies.push_back(e.owned());
  return container(type_, std::move(copies));
}

Tensor Tensor::exclusive() && {
  if (!defined()) return {};
  if (is_container(type_)) {
    const bool alone = owner_.use_count() == 1;
    std::vector<Tensor> own;
    for (const Tensor& e : elements()) {
      own.push_back(alone ? std::move(const_cast<Tensor&>(e)).exclusive() : e.clone());
    }
    return container(type_, std::move(own));
  }
  const bool alone = owner_.use_count() == 1 && !is_const_;
  return alone ? std::move(*this) : clone();
}

bool Tensor::identical_to(const Tensor& other) const {
  if (type_ != other.type_ || dims_ != other.dims_) return false;
  if (data_ == other.data_ || size_ == 0) return true;
  if (type_ == DataType::string) return std::ranges::equal(values<std::string>(), other.values<std::string>());
  if (is_container(type_)) {
    return std::ranges::equal(elements(), other.elements(),
                              [](const Tensor& a, const Tensor& b) { return a.identical_to(b); });
  }
  if (!unread() && !other.unread()) return std::memcmp(raw(), other.raw(), bytes()) == 0;
  // Most that differ do so at once, and none has to stay in memory for this.
  std::vector<std::byte> buffers[2];
  for (size_t at = 0, size = 4096; at < bytes(); at += size, size = size_t{64} << 10) {
    size = std::min(size, bytes() - at);
    if (std::memcmp(this->piece(at, size, buffers[0]), other.piece(at, size, buffers[1]), size) != 0)
      return false;
  }
  return true;
}

void Tensor::check_length(size_t length, const Dims& dims) {
  require(static_cast<size_t>(checked_elements(dims)) == length, ErrorCode::invalid_argument,
          "{} values do not fill shape {}", length, to_string(dims));
}

void Tensor::throw_wrong_type(DataType asked) const {
  fail(ErrorCode::internal, "{} elements read as {}", to_string(type_), to_string(asked));
}

void* Tensor::writable() {
  require(!is_const_, ErrorCode::internal, "writing to a view of constant memory");
  return const_cast<void*>(data_);
}

std::string to_string(const Tensor& tensor) {
  return std::string(to_string(tensor.type())) + to_string(tensor.dims());
}

}  // namespace plica
