#include "arrays.hpp"
#include "baken/hamming_index.hpp"
#include "baken/pdq.hpp"
#include "register.hpp"

namespace {

namespace nb = nanobind;

const bindings::ArraySpec codes_spec = {"codes", nb::dtype<uint8_t>(), "uint8", 2, "uint8[N, 32]"};
const bindings::ArraySpec ids_spec = {"ids", nb::dtype<int64_t>(), "int64", 1, "int64[N]"};

bindings::AnyArray checked_codes(nb::handle codes) {
  bindings::AnyArray array = bindings::checked_array(codes, codes_spec);
  if (array.shape(1) != baken::pdq_bytes) {
    throw nb::value_error(("codes: got shape " + bindings::shape_text(array) +
                           ", expected uint8[N, 32]; give one code of 32 bytes a row.")
                              .c_str());
  }
  bindings::check_contiguous(array, codes_spec);
  return array;
}

bindings::AnyArray checked_ids(nb::handle ids) {
  bindings::AnyArray array = bindings::checked_array(ids, ids_spec);
  bindings::check_contiguous(array, ids_spec);
  return array;
}

void add_codes(baken::HammingIndex& index, nb::handle codes, nb::handle ids) {
  const bindings::AnyArray code_rows = checked_codes(codes);
  const bindings::AnyArray id_array = checked_ids(ids);
  if (code_rows.shape(0) != id_array.shape(0)) {
    throw nb::value_error(("ids: got " + std::to_string(id_array.shape(0)) + " for " +
                           std::to_string(code_rows.shape(0)) + " codes, expected as many; give one id a code.")
                              .c_str());
  }
  nb::gil_scoped_release released;
  index.add(static_cast<const uint8_t*>(code_rows.data()), static_cast<const int64_t*>(id_array.data()),
            code_rows.shape(0));
}

std::size_t remove_ids(baken::HammingIndex& index, nb::handle ids) {
  const bindings::AnyArray id_array = checked_ids(ids);
  nb::gil_scoped_release released;
  return index.remove(static_cast<const int64_t*>(id_array.data()), id_array.shape(0));
}

template <typename Value>
nb::object column(std::vector<Value> values) {
  const std::size_t count = values.size();
  return bindings::owned_array(std::move(values), {count});
}

nb::tuple search(const baken::HammingIndex& index, nb::handle codes, int radius_bits) {
  const bindings::AnyArray code_rows = checked_codes(codes);
  baken::SearchResult result;
  {
    nb::gil_scoped_release released;
    result = index.search(static_cast<const uint8_t*>(code_rows.data()), code_rows.shape(0), radius_bits);
  }
  return nb::make_tuple(column(std::move(result.query_row)), column(std::move(result.id)),
                        column(std::move(result.distance_bits)));
}

}  // namespace

void register_index(nb::module_& module) {
  nb::class_<baken::HammingIndex>(module, "HammingIndex", nb::is_final(),
                                  "256-bit codes with ids, searched exactly: every code within the radius is found.")
      .def(nb::init<>())
      .def("add", add_codes, nb::arg("codes").none(), nb::arg("ids").none(),
           "Add uint8[N, 32] codes under int64[N] ids; an id may repeat (several codes of one entry), in any order.")
      .def("remove", remove_ids, nb::arg("ids").none(),
           "Remove every code of the int64[M] ids and return how many codes went; unknown ids are no error.")
      .def("search", search, nb::arg("codes").none(), nb::arg("radius_bits"),
           "Find every code at most radius_bits (0 to 256) from each uint8[Q, 32] query, as (query_row, id, "
           "distance_bits).")
      .def("__len__", &baken::HammingIndex::size)
      .def_prop_ro("memory_bytes", &baken::HammingIndex::memory_bytes,
                   "How much memory the codes, ids and tables take, in bytes.");
}
