// Python's values as Tensors and back, without copies where that can be: what is contiguous and has an
// element type that buffers or DLPack can name is read where it lies, and results are numpy arrays over a
// Tensor's memory. The rest (strided arrays, lists, strings, what ml_dtypes adds to numpy, containers) is
// plica/_arrays.py's.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <list>
#include <optional>
#include <vector>

#include "plica/plica.h"

namespace plica::python {

namespace nb = nanobind;

// The values that a call was given: keeps them, and the tensors that view them are valid as long as it lives.
class Values {
 public:
  Values() = default;
  ~Values();
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

  // As an input of this type; whether that fits is the session's to check.
  Tensor input(nb::handle value, const TensorInfo& info);
  // An array's memory, to write into; nullopt when its elements do not lie there as a Tensor's do.
  std::optional<Tensor> output(nb::handle array);

 private:
  std::optional<Tensor> buffer(nb::handle value, int flags);
  std::optional<Tensor> dlpack(nb::handle value, const TensorInfo& info);
  Tensor described(nb::handle description);

  std::list<Py_buffer> buffers_;
  std::vector<nb::ndarray<nb::ro>> tensors_;
};

void bind_arrays(nb::module_& m);

// A tensor as a numpy array that keeps it; a sequence as a list, an optional as its value or None, a map as a
// dict.
nb::object to_python(Tensor tensor);

}  // namespace plica::python
