// Checks of the arrays that Python hands in, with errors that say what to do.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bindings {

namespace nb = nanobind;

using AnyArray = nb::ndarray<nb::ro, nb::device::cpu>;

// What an argument must be: `dtype` and `expected` are words for the message, "uint8[N, 32]" for example.
struct ArraySpec {
  const char* name;
  nb::dlpack::dtype dtype;
  const char* dtype_name;
  std::size_t dimensions;
  const char* expected;
};

// Throws TypeError when `value` is no array of that dtype, ValueError when it has another number of dimensions.
AnyArray checked_array(nb::handle value, const ArraySpec& spec);

// Throws ValueError unless the array lies in memory without gaps, row by row.
void check_contiguous(const AnyArray& array, const ArraySpec& spec);

// The array's shape as Python prints it.
std::string shape_text(const AnyArray& array);

// A NumPy array that owns `values`.
template <typename Value>
nb::object owned_array(std::vector<Value> values, std::vector<std::size_t> shape) {
  auto* kept = new std::vector<Value>(std::move(values));
  nb::capsule owner(kept, [](void* memory) noexcept { delete static_cast<std::vector<Value>*>(memory); });
  return nb::cast(nb::ndarray<nb::numpy, Value>(kept->data(), shape.size(), shape.data(), owner));
}

}  // namespace bindings
