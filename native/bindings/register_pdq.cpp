#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.hpp"
#include "baken/cpu.hpp"
#include "baken/pdq.hpp"
#include "register.hpp"

namespace {

namespace nb = nanobind;

const bindings::ArraySpec luma_spec = {"luma", nb::dtype<uint8_t>(), "uint8", 2, "uint8[H, W]"};

const bindings::ArraySpec regions_spec = {"regions", nb::dtype<double>(), "float64", 2, "float64[N, 5]"};
constexpr std::size_t region_numbers = 5;

void append_codes(const baken::Pdq& result, std::vector<uint8_t>& bytes) {
  for (const baken::PdqCode& code : result.orientations) {
    bytes.insert(bytes.end(), code.begin(), code.end());
  }
}

nb::object codes_array(const baken::Pdq& result) {
  std::vector<uint8_t> bytes;
  append_codes(result, bytes);
  return bindings::owned_array(std::move(bytes), {baken::pdq_orientation_count, baken::pdq_bytes});
}

bindings::AnyArray luma_array(nb::handle luma) {
  const bindings::AnyArray array = bindings::checked_array(luma, luma_spec);
  if (array.stride(1) != 1 && array.shape(1) > 1 && array.size() > 0) {
    throw nb::value_error(
        "luma: got an array with gaps between the pixels of a row, expected neighbours in a row to be neighbours in "
        "memory; copy it with numpy.ascontiguousarray(...).");
  }
  return array;
}

nb::tuple pdq(nb::handle luma) {
  const bindings::AnyArray array = luma_array(luma);
  const auto* data = static_cast<const uint8_t*>(array.data());
  baken::Pdq result;
  {
    nb::gil_scoped_release released;
    result = baken::pdq(data, array.shape(0), array.shape(1), array.stride(0));
  }
  return nb::make_tuple(codes_array(result), result.quality_percent);
}

std::vector<baken::PdqRegion> regions_of(nb::handle regions) {
  const bindings::AnyArray array = bindings::checked_array(regions, regions_spec);
  bindings::check_contiguous(array, regions_spec);
  if (array.shape(1) != region_numbers) {
    throw nb::value_error(("regions: got shape " + bindings::shape_text(array) +
                           ", expected float64[N, 5]: left, top, right, bottom and tilt in degrees.")
                              .c_str());
  }
  const auto* numbers = static_cast<const double*>(array.data());
  std::vector<baken::PdqRegion> result;
  result.reserve(array.shape(0));
  for (std::size_t k = 0; k < array.shape(0); ++k, numbers += region_numbers) {
    result.push_back({numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]});
  }
  return result;
}

nb::tuple pdq_regions(nb::handle luma, nb::handle regions, bool repeat_edge) {
  const bindings::AnyArray array = luma_array(luma);
  const std::vector<baken::PdqRegion> asked = regions_of(regions);
  const auto* data = static_cast<const uint8_t*>(array.data());
  const baken::Beyond beyond = repeat_edge ? baken::Beyond::edge : baken::Beyond::black;
  std::vector<baken::Pdq> results;
  {
    nb::gil_scoped_release released;
    results = baken::pdq_regions(data, array.shape(0), array.shape(1), array.stride(0), asked, beyond);
  }
  std::vector<uint8_t> codes;
  std::vector<uint8_t> qualities;
  for (const baken::Pdq& result : results) {
    append_codes(result, codes);
    qualities.push_back(static_cast<uint8_t>(result.quality_percent));
  }
  return nb::make_tuple(
      bindings::owned_array(std::move(codes), {results.size(), baken::pdq_orientation_count, baken::pdq_bytes}),
      bindings::owned_array(std::move(qualities), {results.size()}));
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
  module.def("pdq_regions", pdq_regions, nb::arg("luma").none(), nb::arg("regions").none(), nb::arg("repeat_edge") = false,
             "The PDQ of parts of a greyscale picture in all eight orientations, and the quality of each in percent.");
  module.def("instruction_path", instruction_path, "The instruction path that kernels take now.");
  module.def("instruction_paths", instruction_paths, "The instruction paths this machine can run, slowest first.");
  module.def("set_instruction_path", set_instruction_path, nb::arg("name"),
             "Make every later kernel call of the process take one path; all give the same results.");
}
