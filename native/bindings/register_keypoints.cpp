#include <cstdint>
#include <utility>

#include "arrays.hpp"
#include "baken/keypoints.hpp"
#include "register.hpp"

namespace {

namespace nb = nanobind;

constexpr std::size_t code_bytes = 32;

bindings::AnyArray rows_of(nb::handle value, const bindings::ArraySpec& spec, std::size_t width) {
  const bindings::AnyArray array = bindings::checked_array(value, spec);
  if (array.shape(1) != width) {
    throw nb::value_error((std::string(spec.name) + ": got shape " + bindings::shape_text(array) + ", expected " +
                           spec.expected + "; reshape the array.")
                              .c_str());
  }
  bindings::check_contiguous(array, spec);
  return array;
}

bindings::AnyArray codes_of(nb::handle value, const char* name) {
  return rows_of(value, {name, nb::dtype<uint8_t>(), "uint8", 2, "uint8[N, 32]"}, code_bytes);
}

bindings::AnyArray places_of(nb::handle value, const char* name) {
  return rows_of(value, {name, nb::dtype<float>(), "float32", 2, "float32[N, 2]"}, 2);
}

baken::Placed placed(const bindings::AnyArray& places, const bindings::AnyArray& codes, const char* name) {
  if (places.shape(0) != codes.shape(0)) {
    throw nb::value_error((std::string(name) + ": got " + std::to_string(places.shape(0)) + " places and " +
                           std::to_string(codes.shape(0)) + " codes, expected as many; give one place a code.")
                              .c_str());
  }
  return {static_cast<const float*>(places.data()), static_cast<const uint8_t*>(codes.data()), codes.shape(0)};
}

template <typename Value>
nb::object column(std::vector<Value>&& values) {
  const std::size_t size = values.size();
  return bindings::owned_array(std::move(values), {size});
}

nb::tuple nearest_two(nb::handle codes, nb::handle others) {
  const bindings::AnyArray asked = codes_of(codes, "codes");
  const bindings::AnyArray among = codes_of(others, "others");
  baken::NearestOthers result;
  {
    nb::gil_scoped_release released;
    result = baken::nearest_two(static_cast<const uint8_t*>(asked.data()), asked.shape(0),
                                static_cast<const uint8_t*>(among.data()), among.shape(0));
  }
  return nb::make_tuple(column(std::move(result.other_row)), column(std::move(result.distance_bits)),
                        column(std::move(result.second_distance_bits)));
}

nb::tuple pairs_in_reach(nb::handle places, nb::handle codes, nb::handle other_places, nb::handle other_codes,
                         float reach_px, int radius_bits) {
  const bindings::AnyArray place_rows = places_of(places, "places");
  const bindings::AnyArray code_rows = codes_of(codes, "codes");
  const bindings::AnyArray other_place_rows = places_of(other_places, "other_places");
  const bindings::AnyArray other_code_rows = codes_of(other_codes, "other_codes");
  const baken::Placed some = placed(place_rows, code_rows, "places");
  const baken::Placed others = placed(other_place_rows, other_code_rows, "other_places");
  baken::CodePairs result;
  {
    nb::gil_scoped_release released;
    result = baken::pairs_in_reach(some, others, reach_px, radius_bits);
  }
  return nb::make_tuple(column(std::move(result.row)), column(std::move(result.other_row)),
                        column(std::move(result.distance_bits)));
}

}  // namespace

void register_keypoints(nb::module_& module) {
  module.def("nearest_two", nearest_two, nb::arg("codes").none(), nb::arg("others").none(),
             "Of each uint8[N, 32] code the nearest of the others, its distance in bits, and that of the second nearest.");
  module.def("pairs_in_reach", pairs_in_reach, nb::arg("places").none(), nb::arg("codes").none(),
             nb::arg("other_places").none(), nb::arg("other_codes").none(), nb::arg("reach_px"), nb::arg("radius_bits"),
             "Keypoints of two pictures that lie within reach of each other and look alike, each at most once.");
}
