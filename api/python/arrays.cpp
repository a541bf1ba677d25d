#include "api/python/arrays.h"

#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

namespace plica::python {
namespace {

static_assert(std::endian::native == std::endian::little);

// Functions of plica/_arrays.py, and numpy.ndarray. Never freed: the interpreter may end first.
struct Helpers {
  nb::object convert, writable, dtype, unpack, strings, ndarray;
  std::array<nb::object, static_cast<size_t>(DataType::map) + 1> dtypes;

  Helpers() {
    const nb::module_ arrays = nb::module_::import_("plica._arrays");
    convert = arrays.attr("convert");
    writable = arrays.attr("writable");
    dtype = arrays.attr("dtype");
    unpack = arrays.attr("unpack");
    strings = arrays.attr("strings");
    ndarray = nb::module_::import_("numpy").attr("ndarray");
  }
};

Helpers& helpers() {
  static Helpers* const all = new Helpers;
  return *all;
}

// The memory of a tensor, as numpy sees it.
struct Memory {
  Tensor tensor;
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  Tensor& tensor = nb::inst_ptr<Memory>(nb::handle(self))->tensor;
  return PyBuffer_FillInfo(view, self, tensor.mutable_raw(), static_cast<Py_ssize_t>(tensor.bytes()), 0,
                           flags);
}

PyType_Slot memory_slots[] = {{Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)}, {0, nullptr}};

DataType sized(Py_ssize_t size, DataType one, DataType two, DataType four, DataType eight) {
  switch (size) {
    case 1:
      return one;
    case 2:
      return two;
    case 4:
      return four;
    case 8:
      return eight;
    default:
      return DataType::undefined;
  }
}

// Of the format of a buffer (module struct); undefined when there is none.
DataType type_of(const char* format, Py_ssize_t size) {
  if (!format) return DataType::uint8;
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  const bool is_complex = *format == 'Z';
  if (is_complex) ++format;
  if (format[0] == 0 || format[1] != 0) return DataType::undefined;
  const char c = *format;
  if (is_complex) {
    return c == 'f' && size == 8    ? DataType::complex64
           : c == 'd' && size == 16 ? DataType::complex128
                                    : DataType::undefined;
  }
  if (c == '?' && size == 1) return DataType::boolean;
  if (c == 'e' && size == 2) return DataType::float16;
  if (c == 'f' && size == 4) return DataType::float32;
  if (c == 'd' && size == 8) return DataType::float64;
  if (std::strchr("bhilqn", c))
    return sized(size, DataType::int8, DataType::int16, DataType::int32, DataType::int64);
  if (std::strchr("BHILQN", c))
    return sized(size, DataType::uint8, DataType::uint16, DataType::uint32, DataType::uint64);
  return DataType::undefined;
}

DataType type_of(nb::dlpack::dtype type) {
  using Code = nb::dlpack::dtype_code;
  if (type.lanes != 1) return DataType::undefined;
  const int size = type.bits % 8 == 0 ? type.bits / 8 : 0;
  switch (static_cast<Code>(type.code)) {
    case Code::Int:
      return sized(size, DataType::int8, DataType::int16, DataType::int32, DataType::int64);
    case Code::UInt:
      return sized(size, DataType::uint8, DataType::uint16, DataType::uint32, DataType::uint64);
    case Code::Float:
      return sized(size, DataType::undefined, DataType::float16, DataType::float32, DataType::float64);
    case Code::Bfloat:
      return size == 2 ? DataType::bfloat16 : DataType::undefined;
    case Code::Complex:
      return size == 8 ? DataType::complex64 : size == 16 ? DataType::complex128 : DataType::undefined;
    case Code::Bool:
      return size == 1 ? DataType::boolean : DataType::undefined;
    case Code::Float8_E4M3FN:
      return DataType::float8e4m3fn;
    case Code::Float8_E4M3FNUZ:
      return DataType::float8e4m3fnuz;
    case Code::Float8_E5M2:
      return DataType::float8e5m2;
    case Code::Float8_E5M2FNUZ:
      return DataType::float8e5m2fnuz;
    case Code::Float8_E8M0FNU:
      return DataType::float8e8m0;
    default:
      return DataType::undefined;
  }
}

bool is_aligned(const void* data, size_t size) {
  return reinterpret_cast<uintptr_t>(data) % std::min<size_t>(std::max<size_t>(size, 1), 8) == 0;
}

bool is_contiguous(const nb::ndarray<nb::ro>& array) {
  int64_t expected = 1;
  for (size_t i = array.ndim(); i-- > 0;) {
    if (array.shape(i) != 1 && array.stride(i) != expected) return array.size() == 0;
    expected *= static_cast<int64_t>(array.shape(i));
  }
  return true;
}

std::string utf8(nb::handle value) {
  if (PyBytes_Check(value.ptr()))
    return {PyBytes_AS_STRING(value.ptr()), static_cast<size_t>(PyBytes_GET_SIZE(value.ptr()))};
  Py_ssize_t size = 0;
  if (const char* text = PyUnicode_AsUTF8AndSize(value.ptr(), &size))
    return {text, static_cast<size_t>(size)};
  // Bytes that came out of a tensor and are no UTF-8.
  PyErr_Clear();
  const nb::object bytes = nb::steal(PyUnicode_AsEncodedString(value.ptr(), "utf-8", "surrogateescape"));
  if (!bytes.is_valid()) throw nb::python_error();
  return {PyBytes_AS_STRING(bytes.ptr()), static_cast<size_t>(PyBytes_GET_SIZE(bytes.ptr()))};
}

nb::object tuple_of(const Dims& dims) {
  nb::object shape = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(dims.size())));
  for (size_t i = 0; i < dims.size(); ++i)
    PyTuple_SET_ITEM(shape.ptr(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(dims[i]));
  return shape;
}

const nb::object& numpy_dtype(DataType type) {
  nb::object& known = helpers().dtypes[static_cast<size_t>(type)];
  if (!known.is_valid()) known = helpers().dtype(static_cast<int>(type));
  return known;
}

nb::object list_of(std::span<const Tensor> elements) {
  nb::list list;
  for (const Tensor& element : elements) list.append(to_python(element));
  return list;
}

}  // namespace

Values::~Values() {
  for (Py_buffer& buffer : buffers_) PyBuffer_Release(&buffer);
}

std::optional<Tensor> Values::buffer(nb::handle value, int flags) {
  Py_buffer& view = buffers_.emplace_back();
  if (PyObject_GetBuffer(value.ptr(), &view, flags) != 0) {
    PyErr_Clear();  // a dtype that buffers can't name, or memory that is not to be written
    buffers_.pop_back();
    return std::nullopt;
  }
  const DataType type = type_of(view.format, view.itemsize);
  if (type == DataType::undefined || !PyBuffer_IsContiguous(&view, 'C') ||
      !is_aligned(view.buf, static_cast<size_t>(view.itemsize))) {
    PyBuffer_Release(&view);
    buffers_.pop_back();
    return std::nullopt;
  }
  Dims dims(view.shape, view.shape + view.ndim);
  return flags & PyBUF_WRITABLE ? Tensor::view(type, std::move(dims), view.buf)
                                : Tensor::view(type, std::move(dims), static_cast<const void*>(view.buf));
}

std::optional<Tensor> Values::dlpack(nb::handle value, const TensorInfo& info) {
  nb::ndarray<nb::ro> array;
  if (!nb::try_cast(value, array)) return std::nullopt;
  if (array.device_type() != nb::device::cpu::value) {
    throw Error(ErrorCode::invalid_argument,
                "input " + quoted(info.name) + " is not in the CPU's memory (DLPack device " +
                    std::to_string(array.device_type()) + "): copy it there first");
  }
  const DataType type = type_of(array.dtype());
  if (type == DataType::undefined) return std::nullopt;
  if (!is_contiguous(array)) {
    nb::ndarray<nb::ro, nb::c_contig> copy;
    if (!nb::try_cast(value, copy)) return std::nullopt;
    array = nb::ndarray<nb::ro>(copy);
  }
  Dims dims;
  for (size_t i = 0; i < array.ndim(); ++i) dims.push_back(static_cast<int64_t>(array.shape(i)));
  const void* data = array.data();
  tensors_.push_back(std::move(array));
  return Tensor::view(type, std::move(dims), data);
}

// (type, shape, buffer), (string, shape, list), or (container, descriptions).
Tensor Values::described(nb::handle description) {
  const auto type = static_cast<DataType>(nb::cast<int>(description[0]));
  if (is_container(type)) {
    std::vector<Tensor> elements;
    for (const nb::handle element : nb::object(description[1])) elements.push_back(described(element));
    return Tensor::container(type, std::move(elements));
  }
  Dims dims;
  for (const nb::handle dim : nb::object(description[1])) dims.push_back(nb::cast<int64_t>(dim));
  const nb::object elements = description[2];
  if (type == DataType::string) {
    Tensor tensor(type, std::move(dims));
    std::string* to = tensor.mutable_data<std::string>();
    for (const nb::handle element : elements) *to++ = utf8(element);
    return tensor;
  }
  Py_buffer& view = buffers_.emplace_back();
  if (PyObject_GetBuffer(elements.ptr(), &view, PyBUF_SIMPLE) != 0) {
    buffers_.pop_back();
    throw nb::python_error();
  }
  return Tensor::view(type, std::move(dims), static_cast<const void*>(view.buf));
}

Tensor Values::input(nb::handle value, const TensorInfo& info) {
  if (info.is_tensor && info.type != DataType::string) {
    if (PyObject_CheckBuffer(value.ptr())) {
      if (auto tensor = buffer(value, PyBUF_RECORDS_RO)) return *std::move(tensor);
    } else if (nb::hasattr(value, "__dlpack__")) {
      if (auto tensor = dlpack(value, info)) return *std::move(tensor);
    }
  }
  return described(helpers().convert(value, info.text.c_str(), info.name.c_str()));
}

std::optional<Tensor> Values::output(nb::handle array) {
  if (auto tensor = buffer(array, PyBUF_RECORDS)) return tensor;
  // As bytes, where numpy has only a name for the type.
  const nb::object bytes = helpers().writable(array);
  if (bytes.is_none()) return std::nullopt;
  Py_buffer& view = buffers_.emplace_back();
  const nb::object memory = bytes[2];
  if (PyObject_GetBuffer(memory.ptr(), &view, PyBUF_WRITABLE) != 0) {
    buffers_.pop_back();
    throw nb::python_error();
  }
  Dims dims;
  for (const nb::handle dim : nb::object(bytes[1])) dims.push_back(nb::cast<int64_t>(dim));
  return Tensor::view(static_cast<DataType>(nb::cast<int>(bytes[0])), std::move(dims), view.buf);
}

nb::object to_python(Tensor tensor) {
  const DataType type = tensor.type();
  if (type == DataType::undefined) return nb::none();
  if (type == DataType::sequence) return list_of(tensor.elements());
  if (type == DataType::optional) return tensor.size() == 0 ? nb::none() : to_python(tensor.elements()[0]);
  if (type == DataType::map) {
    const nb::object keys = to_python(tensor.elements()[0]).attr("tolist")();
    const nb::object values = to_python(tensor.elements()[1]);
    nb::dict map;
    const bool are_tensors = nb::isinstance<nb::list>(values);
    const nb::object items = are_tensors ? values : values.attr("tolist")();
    for (size_t i = 0; i < nb::len(keys); ++i) map[keys[i]] = items[i];
    return map;
  }
  const nb::object shape = tuple_of(tensor.dims());
  if (type == DataType::string) {
    nb::list strings;
    for (const std::string& s : tensor.values<std::string>()) {
      strings.append(
          nb::steal(PyUnicode_DecodeUTF8(s.data(), static_cast<Py_ssize_t>(s.size()), "surrogateescape")));
    }
    return helpers().strings(shape, strings);
  }
  if (tensor.is_const()) tensor = tensor.clone();
  const bool is_packed = bits_of(type) < 8;
  nb::object memory = nb::cast(Memory{std::move(tensor)});
  if (is_packed) return helpers().unpack(static_cast<int>(type), shape, memory);
  PyObject* const arguments[] = {nullptr, shape.ptr(), numpy_dtype(type).ptr(), memory.ptr()};
  nb::object array = nb::steal(PyObject_Vectorcall(helpers().ndarray.ptr(), arguments + 1,
                                                   3 | PY_VECTORCALL_ARGUMENTS_OFFSET, nullptr));
  if (!array.is_valid()) throw nb::python_error();
  return array;
}

void bind_arrays(nb::module_& m) {
  nb::class_<Memory>(m, "Memory", nb::type_slots(memory_slots),
                     "The memory of a result, as its array's base.");
}

}  // namespace plica::python
