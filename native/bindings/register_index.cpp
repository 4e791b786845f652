#include "arrays_index.hpp"
#include "baken/hamming_index.hpp"
#include "register.hpp"

namespace {

namespace nb = nanobind;

void add_codes(baken::HammingIndex& index, nb::handle codes, nb::handle ids) {
  const bindings::AnyArray code_rows = bindings::checked_codes(codes);
  const bindings::AnyArray id_array = bindings::checked_ids(ids);
  bindings::check_one_id_a_code(code_rows, id_array);
  nb::gil_scoped_release released;
  index.add(bindings::code_data(code_rows), bindings::id_data(id_array), code_rows.shape(0));
}

std::size_t remove_ids(baken::HammingIndex& index, nb::handle ids) {
  const bindings::AnyArray id_array = bindings::checked_ids(ids);
  nb::gil_scoped_release released;
  return index.remove(bindings::id_data(id_array), id_array.shape(0));
}

nb::tuple search(const baken::HammingIndex& index, nb::handle codes, int radius_bits) {
  const bindings::AnyArray code_rows = bindings::checked_codes(codes);
  baken::SearchResult result;
  {
    nb::gil_scoped_release released;
    result = index.search(bindings::code_data(code_rows), code_rows.shape(0), radius_bits);
  }
  return bindings::columns(std::move(result));
}

nb::object search_nearest(const baken::HammingIndex& index, nb::handle codes, int radius_bits, std::int64_t limit) {
  return bindings::nearest(codes, radius_bits, limit, [&](const baken::Question& question) {
    nb::gil_scoped_release released;
    return index.search(question);
  });
}

nb::object search_groups(const baken::HammingIndex& index, nb::handle codes, std::int64_t codes_an_item,
                         const bindings::GroupsArgument& groups, std::int64_t limit, nb::handle excluded_ids,
                         bool lists_counted) {
  const auto search = [&](const baken::Question& question) {
    nb::gil_scoped_release released;
    return index.search(question);
  };
  return bindings::nearest_of_groups(codes, codes_an_item, groups, limit, excluded_ids, lists_counted, search);
}

nb::list explain(const baken::HammingIndex& index, int radius_bits) { return bindings::plans(index.explain(radius_bits)); }

}  // namespace

void register_index(nb::module_& module) {
  bindings::register_questions(module);
  nb::class_<baken::HammingIndex>(module, "HammingIndex", nb::is_final(),
                                  "256-bit codes with ids, searched exactly: every code within the radius is found.")
      .def(nb::init<int>(), nb::arg("member_bits") = 0)
      .def("add", add_codes, nb::arg("codes").none(), nb::arg("ids").none(),
           "Add uint8[N, 32] codes under int64[N] ids; an id may repeat (several codes of one entry), in any order.")
      .def("remove", remove_ids, nb::arg("ids").none(),
           "Remove every code of the int64[M] ids and return how many codes went; unknown ids are no error.")
      .def("search", search, nb::arg("codes").none(), nb::arg("radius_bits"),
           "Find every code at most radius_bits (0 to 256) from each uint8[Q, 32] query, as (query_row, id, "
           "distance_bits).")
      .def("search_nearest", search_nearest, nb::arg("codes").none(), nb::arg("radius_bits"), nb::arg("limit"),
           "As search, but at most `limit` matches of each query, the nearest, and how many there are.")
      .def("search_groups", search_groups, nb::arg("codes").none(), nb::arg("codes_an_item"), nb::arg("groups"),
           nb::arg("limit"), nb::arg("excluded_ids").none(), nb::arg("lists_counted") = false,
           "The nearest matches of each item in each group of ids, and how many there are.")
      .def("explain", explain, nb::arg("radius_bits"),
           "How each segment, and last the newest codes, would be searched for one query.")
      .def("__len__", &baken::HammingIndex::size)
      .def_prop_ro("memory_bytes", &baken::HammingIndex::memory_bytes,
                   "How much memory the codes, ids and tables take, in bytes.");
}
