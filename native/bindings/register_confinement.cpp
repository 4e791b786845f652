#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "baken/confinement.hpp"
#include "register.hpp"

void register_confinement(nanobind::module_& module) {
  namespace nb = nanobind;
  using namespace nb::literals;
  module.def(
      "confine",
      [](const std::vector<std::string>& readable, bool reads_everything) {
        const baken::Confinement done = baken::confine(readable, reads_everything);
        return std::pair(done.system_calls, done.files);
      },
      "readable"_a, "reads_everything"_a);
}
