// Tensor: an element type, dimensions, and a shared buffer of row-major elements.
//
// Copying a Tensor is cheap and shares the buffer. The buffer is either owned (64-byte aligned) or a view of memory
// that somebody else keeps alive (a caller's array, a mapped file), or it is still to be read from a file: raw() and
// data() read it, once for all copies, into an owned buffer, and may then throw io and std::bad_alloc.
// Constants of a graph are Tensors that nobody writes to; mutable_data() is for whoever just made the tensor, and throws
// on a view of const memory.
// 4- and 2-bit elements are packed as in ONNX raw_data, the first element in the lowest bits; bool is one byte.
// Strings are stored as std::string objects: data<std::string>().
//
// ONNX's other values are Tensors too, whose elements are Tensors, data<Tensor>(): a sequence is a vector of its
// elements, an optional a vector of one or none, a map a vector of two, its keys and its values (tensors of rank 1, or
// the values a sequence). So whatever passes values on needs no second way for them.
//
// Thread safety: as for standard containers; concurrent reads are safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <vector>

#include "engine/core/api.h"
#include "engine/core/data_type.h"
#include "engine/core/shape.h"

namespace PLICA_API plica {

struct FileRange;

// Where the elements of a tensor come from when somebody asks for them. Thread safety: all; reads are the same
// however often they are made.
class ElementSource {
 public:
  virtual ~ElementSource() = default;
  // Fills `out` with the elements' bytes from `offset` on.
  virtual void read(size_t offset, std::span<std::byte> out) const = 0;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: no type, no data
  // Allocates; contents are uninitialized (strings are empty). Throws limit on overflow, std::bad_alloc.
  Tensor(DataType type, Dims dims);
  static Tensor zeros(DataType type, Dims dims);

  // A view of memory that the caller keeps alive and unchanged in place as long as any copy of the Tensor lives;
  // `owner`, if given, is kept as long as the buffer is used.
  static Tensor view(DataType type, Dims dims, const void* data, std::shared_ptr<const void> owner = nullptr);
  static Tensor view(DataType type, Dims dims, void* data, std::shared_ptr<const void> owner = nullptr);
  template <class T>
  static Tensor view(T* data, Dims dims) {
    return view(data_type_of<std::remove_const_t<T>>, std::move(dims), data);
  }
  // As above with the length checked against the dims. Throws invalid_argument when they differ.
  template <class T>
  static Tensor view(std::span<T> data, Dims dims) {
    check_length(data.size(), dims);
    return view(data.data(), std::move(dims));
  }
  template <class T>
  static Tensor view(std::vector<T>& data, Dims dims) { return view(std::span<T>(data), std::move(dims)); }
  template <class T>
  static Tensor view(const std::vector<T>& data, Dims dims) { return view(std::span<const T>(data), std::move(dims)); }

  // Elements that are read when somebody asks for them, and stay in memory then; no strings.
  static Tensor deferred(DataType type, Dims dims, std::shared_ptr<const ElementSource> source);
  // From a file; the range has exactly their bytes.
  static Tensor in_file(DataType type, Dims dims, FileRange range);
  // Where the elements come from, as long as nobody has asked for them; else null.
  const ElementSource* unread() const { return is_deferred_ ? unread_source() : nullptr; }

  // An owned copy of the values.
  template <class T>
  static Tensor of(std::span<const T> values, Dims dims) {
    check_length(values.size(), dims);
    Tensor t(data_type_of<T>, std::move(dims));
    std::copy(values.begin(), values.end(), t.mutable_data<T>());
    return t;
  }
  template <class T>
  static Tensor of(std::initializer_list<T> values, Dims dims) {
    return of(std::span<const T>(values.begin(), values.size()), std::move(dims));
  }
  template <class T>
  static Tensor of(const std::vector<T>& values, Dims dims) {
    return of(std::span<const T>(values), std::move(dims));
  }
  template <class T>
  static Tensor vector(std::initializer_list<T> values) {  // rank 1
    return of(values, {static_cast<int64_t>(values.size())});
  }
  template <class T>
  static Tensor scalar(T value) {  // rank 0
    return of({value}, {});
  }
  static Tensor container(DataType type, std::vector<Tensor> elements);

  bool defined() const { return type_ != DataType::undefined; }
  DataType type() const { return type_; }
  const Dims& dims() const { return dims_; }
  int rank() const { return static_cast<int>(dims_.size()); }
  int64_t dim(int i) const { return dims_[static_cast<size_t>(i < 0 ? i + rank() : i)]; }
  int64_t size() const { return size_; }  // elements
  size_t bytes() const;                   // 0 for strings and containers
  bool is_const() const { return is_const_; }  // a view of memory that may not be written

  // Elements; T must be the element type's (throws internal otherwise).
  template <class T>
  const T* data() const {
    check_type(data_type_of<T>);
    return static_cast<const T*>(raw());
  }
  // Of a container.
  std::span<const Tensor> elements() const;
  template <class T>
  T* mutable_data() {
    check_type(data_type_of<T>);
    return static_cast<T*>(writable());
  }
  template <class T>
  std::span<const T> values() const {
    return {data<T>(), static_cast<size_t>(size_)};
  }
  template <class T>
  std::span<T> mutable_values() {
    return {mutable_data<T>(), static_cast<size_t>(size_)};
  }
  const void* raw() const { return is_deferred_ ? read_elements() : data_; }
  void* mutable_raw() { return writable(); }

  // The same buffer under other dims with as many elements. Throws internal when the counts differ.
  Tensor reshaped(Dims dims) const;
  // With the elements in memory, but without making this tensor and its copies keep them: for one look at a large one.
  Tensor in_memory() const { return unread() ? clone() : *this; }
  // For a look at some of the elements' bytes, which likewise leaves the others where they are.
  void copy_bytes(size_t offset, std::span<std::byte> out) const;
  // The same without a copy where they are in memory, else in `buffer`.
  const std::byte* piece(size_t offset, size_t size, std::vector<std::byte>& buffer) const;
  // The same for tensors that share a buffer, different for those that don't; reads nothing.
  const void* buffer_id() const { return data_; }
  // An owned copy; of a container, with owned copies of its elements.
  Tensor clone() const;
  // The same elements in memory that lives as long as the tensor: a copy of what is a view of somebody's memory.
  Tensor owned() const;
  // The same elements in memory that nobody else knows: a copy of what is shared or a view.
  Tensor exclusive() &&;
  // Same type, dims and bytes (so NaN equals the same NaN).
  bool identical_to(const Tensor& other) const;

 private:
  static void check_length(size_t length, const Dims& dims);
  void check_type(DataType type) const {
    if (type != type_) throw_wrong_type(type);
  }
  [[noreturn]] void throw_wrong_type(DataType asked) const;
  void* writable();
  const ElementSource* unread_source() const;
  const void* read_elements() const;

  DataType type_ = DataType::undefined;
  bool is_const_ = false;
  bool is_deferred_ = false;  // data_ and owner_ are then a DeferredElements (tensor.cpp)
  Dims dims_;
  int64_t size_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

// "float32[1, 3, 224, 224]"
std::string to_string(const Tensor& tensor);

}  // namespace plica
