#include "arrays.hpp"

namespace bindings {
namespace {

std::string type_text(nb::handle value) {
  if (nb::hasattr(value, "dtype")) {
    return std::string("an array of ") + nb::str(nb::handle(value.attr("dtype"))).c_str();
  }
  return nb::type_name(value.type()).c_str();
}

}  // namespace

AnyArray checked_array(nb::handle value, const ArraySpec& spec) {
  AnyArray array;
  if (!nb::try_cast(value, array, false) || array.dtype() != spec.dtype) {
    throw nb::type_error((std::string(spec.name) + ": got " + type_text(value) + ", expected a NumPy array " +
                          spec.expected + "; convert it with numpy.asarray(..., dtype=numpy." + spec.dtype_name + ").")
                             .c_str());
  }
  if (array.ndim() != spec.dimensions) {
    throw nb::value_error((std::string(spec.name) + ": got shape " + shape_text(array) + ", expected " + spec.expected +
                           "; reshape the array.")
                              .c_str());
  }
  return array;
}

void check_contiguous(const AnyArray& array, const ArraySpec& spec) {
  int64_t expected_stride = 1;
  for (std::size_t axis = array.ndim(); axis-- > 0;) {
    if (array.shape(axis) > 1 && array.stride(axis) != expected_stride && array.size() > 0) {
      throw nb::value_error((std::string(spec.name) + ": got an array with gaps between its values, expected " +
                             spec.expected + " without gaps; copy it with numpy.ascontiguousarray(...).")
                                .c_str());
    }
    expected_stride *= static_cast<int64_t>(array.shape(axis));
  }
}

std::string shape_text(const AnyArray& array) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(array.shape(axis));
  }
  return text + (array.ndim() == 1 ? ",)" : ")");
}

}  // namespace bindings
