#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.hpp"
#include "baken/cpu.hpp"
#include "baken/pdq.hpp"
#include "register.hpp"

namespace {

namespace nb = nanobind;

const bindings::ArraySpec luma_spec = {"luma", nb::dtype<uint8_t>(), "uint8", 2, "uint8[H, W]"};

nb::object codes_array(const baken::Pdq& result) {
  std::vector<uint8_t> bytes;
  bytes.reserve(baken::pdq_orientation_count * baken::pdq_bytes);
  for (const baken::PdqCode& code : result.orientations) {
    bytes.insert(bytes.end(), code.begin(), code.end());
  }
  return bindings::owned_array(std::move(bytes), {baken::pdq_orientation_count, baken::pdq_bytes});
}

nb::tuple pdq(nb::handle luma) {
  const bindings::AnyArray array = bindings::checked_array(luma, luma_spec);
  if (array.stride(1) != 1 && array.shape(1) > 1 && array.size() > 0) {
    throw nb::value_error(
        "luma: got an array with gaps between the pixels of a row, expected neighbours in a row to be neighbours in "
        "memory; copy it with numpy.ascontiguousarray(...).");
  }
  const auto* data = static_cast<const uint8_t*>(array.data());
  baken::Pdq result;
  {
    nb::gil_scoped_release released;
    result = baken::pdq(data, array.shape(0), array.shape(1), array.stride(0));
  }
  return nb::make_tuple(codes_array(result), result.quality_percent);
}

std::vector<std::string> instruction_paths() {
  std::vector<std::string> names;
  for (const baken::InstructionPath path : baken::supported_paths()) {
    names.emplace_back(baken::path_name(path));
  }
  return names;
}

std::string instruction_path() { return std::string(baken::path_name(baken::active_path())); }

void set_instruction_path(const std::string& name) { baken::force_path(baken::path_from_name(name)); }

}  // namespace

void register_pdq(nb::module_& module) {
  module.def("pdq", pdq, nb::arg("luma").none(),
             "The PDQ of a greyscale picture, uint8[H, W], in all eight orientations, and its quality in percent.");
  module.def("instruction_path", instruction_path, "The instruction path that kernels take now.");
  module.def("instruction_paths", instruction_paths, "The instruction paths this machine can run, slowest first.");
  module.def("set_instruction_path", set_instruction_path, nb::arg("name"),
             "Make every later kernel call of the process take one path; all give the same results.");
}
