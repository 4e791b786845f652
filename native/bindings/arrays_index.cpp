#include "arrays_index.hpp"

namespace bindings {
namespace {

constexpr std::size_t code_bytes = 32;

const ArraySpec codes_spec = {"codes", nb::dtype<uint8_t>(), "uint8", 2, "uint8[N, 32]"};
const ArraySpec ids_spec = {"ids", nb::dtype<int64_t>(), "int64", 1, "int64[N]"};

template <typename Value>
nb::object column(std::vector<Value> values) {
  const std::size_t count = values.size();
  return owned_array(std::move(values), {count});
}

}  // namespace

AnyArray checked_codes(nb::handle codes) {
  AnyArray array = checked_array(codes, codes_spec);
  if (array.shape(1) != code_bytes) {
    throw nb::value_error(("codes: got shape " + shape_text(array) +
                           ", expected uint8[N, 32]; give one code of 32 bytes a row.")
                              .c_str());
  }
  check_contiguous(array, codes_spec);
  return array;
}

AnyArray checked_ids(nb::handle ids) {
  AnyArray array = checked_array(ids, ids_spec);
  check_contiguous(array, ids_spec);
  return array;
}

void check_one_id_a_code(const AnyArray& codes, const AnyArray& ids) {
  if (codes.shape(0) != ids.shape(0)) {
    throw nb::value_error(("ids: got " + std::to_string(ids.shape(0)) + " for " + std::to_string(codes.shape(0)) +
                           " codes, expected as many; give one id a code.")
                              .c_str());
  }
}

nb::tuple columns(baken::SearchResult result) {
  return nb::make_tuple(column(std::move(result.query_row)), column(std::move(result.id)),
                        column(std::move(result.distance_bits)));
}

}  // namespace bindings
