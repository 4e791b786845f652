// A picture's pixels where its decoder put them: the Arrow C Data Interface, read without a copy.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>

#include "register.hpp"

namespace {

namespace nb = nanobind;

// https://arrow.apache.org/docs/format/CDataInterface.html#structure-definitions; the layout is a stable ABI.
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};

struct ArrowSchema {
  const char* format;  // and more that is not needed here
};

// The capsules' destructors release what they hold, so keeping the second keeps the pixels.
nb::object arrow_uint8(nb::handle exporter) {
  const nb::tuple capsules = nb::cast<nb::tuple>(exporter.attr("__arrow_c_array__")());
  const auto* schema = static_cast<const ArrowSchema*>(PyCapsule_GetPointer(capsules[0].ptr(), "arrow_schema"));
  const auto* array = static_cast<const ArrowArray*>(PyCapsule_GetPointer(capsules[1].ptr(), "arrow_array"));
  if (schema == nullptr || array == nullptr) {
    throw nb::python_error();
  }
  const bool is_uint8 = schema->format[0] == 'C' && schema->format[1] == '\0';
  if (!is_uint8 || array->null_count != 0 || array->n_buffers != 2 || array->n_children != 0) {
    throw nb::value_error("exporter: got an Arrow array of another type, expected uint8 without nulls.");
  }
  const size_t shape[] = {static_cast<size_t>(array->length)};
  const auto* values = static_cast<const uint8_t*>(array->buffers[1]) + array->offset;
  return nb::cast(nb::ndarray<nb::numpy, const uint8_t>(values, 1, shape, capsules[1]));
}

}  // namespace

void register_arrow(nb::module_& module) {
  module.def("arrow_uint8", arrow_uint8, nb::arg("exporter"),
             "A read-only view, uint8[N], of what an object exports through the Arrow C Data Interface.");
}
