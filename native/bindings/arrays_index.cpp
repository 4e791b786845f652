#include "arrays_index.hpp"

#include <nanobind/stl/vector.h>

#include <algorithm>

namespace bindings {
namespace {

constexpr std::size_t code_bytes = 32;

const ArraySpec codes_spec = {"codes", nb::dtype<uint8_t>(), "uint8", 2, "uint8[N, 32]"};
const ArraySpec groups_spec = {"groups", nb::dtype<int64_t>(), "int64", 1, "int64[G]"};
const ArraySpec radii_spec = {"radius_bits", nb::dtype<int32_t>(), "int32", 1, "int32[G]"};
const ArraySpec ids_spec = {"ids", nb::dtype<int64_t>(), "int64", 1, "int64[N]"};

template <typename Value>
nb::object column(std::vector<Value> values) {
  const std::size_t count = values.size();
  return owned_array(std::move(values), {count});
}

// Columns of a search with a limit; which ones depends on the question.
struct Matches {
  nb::object query_row, id, distance_bits;
};

struct NearestMatches : Matches {
  nb::object match_count;
};

struct GroupMatches : Matches {
  nb::object count_item, count_group, count, counted_item, counted_owner;
};

template <typename Kind>
Kind matches_of(baken::SearchResult& result) {
  Kind matches;
  matches.query_row = column(std::move(result.query_row));
  matches.id = column(std::move(result.id));
  matches.distance_bits = column(std::move(result.distance_bits));
  return matches;
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

GroupsArgument::GroupsArgument(nb::handle groups, nb::handle radius_bits, int shift_bits) {
  const AnyArray group_array = checked_array(groups, groups_spec);
  check_contiguous(group_array, groups_spec);
  const AnyArray radius_array = checked_array(radius_bits, radii_spec);
  check_contiguous(radius_array, radii_spec);
  const auto* first_group = static_cast<const std::int64_t*>(group_array.data());
  const auto* first_radius = static_cast<const std::int32_t*>(radius_array.data());
  groups_.groups.assign(first_group, first_group + group_array.shape(0));
  groups_.radius_bits.assign(first_radius, first_radius + radius_array.shape(0));
  groups_.shift_bits = shift_bits;
  const bool ascends = std::adjacent_find(groups_.groups.begin(), groups_.groups.end(), std::greater_equal<>()) ==
                       groups_.groups.end();
  if (!ascends || groups_.groups.size() != groups_.radius_bits.size() || shift_bits < 0 || shift_bits > 63) {
    throw nb::value_error("groups: expected ascending groups, one radius for each, and a shift of 0 to 63 bits.");
  }
}

int GroupsArgument::greatest_radius_bits() const {
  return groups_.radius_bits.empty() ? 0 : *std::max_element(groups_.radius_bits.begin(), groups_.radius_bits.end());
}

std::size_t checked_limit(std::int64_t limit) {
  if (limit < 0) {
    throw nb::value_error(("limit: got " + std::to_string(limit) + ", expected 0 or more matches.").c_str());
  }
  return std::min(static_cast<std::size_t>(limit), baken::no_limit);
}

nb::object nearest_matches(baken::SearchResult result, std::size_t query_count) {
  std::vector<std::int64_t> counts(query_count);
  for (std::size_t i = 0; i < result.count.size(); ++i) {
    counts[static_cast<std::size_t>(result.count_item[i])] = result.count[i];
  }
  auto matches = matches_of<NearestMatches>(result);
  matches.match_count = column(std::move(counts));
  return nb::cast(std::move(matches));
}

nb::object group_matches(baken::SearchResult result) {
  auto matches = matches_of<GroupMatches>(result);
  matches.count_item = column(std::move(result.count_item));
  matches.count_group = column(std::move(result.count_group));
  matches.count = column(std::move(result.count));
  matches.counted_item = column(std::move(result.counted_item));
  matches.counted_owner = column(std::move(result.counted_owner));
  return nb::cast(std::move(matches));
}

nb::list plans(const std::vector<baken::SearchPlan>& plans) {
  nb::list list;
  for (const baken::SearchPlan& plan : plans) {
    list.append(plan);
  }
  return list;
}

void register_questions(nb::module_& module) {
  nb::class_<NearestMatches>(module, "NearestMatches", nb::is_final(), "What search_nearest finds.")
      .def_ro("query_row", &NearestMatches::query_row, "int64[R], ascending.")
      .def_ro("id", &NearestMatches::id, "int64[R].")
      .def_ro("distance_bits", &NearestMatches::distance_bits, "int32[R].")
      .def_ro("match_count", &NearestMatches::match_count, "int64[Q], returned or not.");
  nb::class_<GroupMatches>(module, "GroupMatches", nb::is_final(), "What search_groups finds.")
      .def_ro("query_row", &GroupMatches::query_row, "int64[R].")
      .def_ro("id", &GroupMatches::id, "int64[R].")
      .def_ro("distance_bits", &GroupMatches::distance_bits, "int32[R].")
      .def_ro("count_item", &GroupMatches::count_item, "int64[C], ascending.")
      .def_ro("count_group", &GroupMatches::count_group, "int64[C], ascending within an item.")
      .def_ro("count", &GroupMatches::count, "int64[C], at least 1.")
      .def_ro("counted_item", &GroupMatches::counted_item, "int64[M], ascending.")
      .def_ro("counted_owner", &GroupMatches::counted_owner, "int64[M], ascending within an item.");
  nb::class_<GroupsArgument>(module, "IdGroups", nb::is_final(),
                             "Which ids count, by their high bits, and within which radius.")
      .def(nb::init<nb::handle, nb::handle, int>(), nb::arg("groups").none(), nb::arg("radius_bits").none(),
           nb::arg("shift_bits"));
  using Plan = baken::SearchPlan;
  nb::class_<Plan>(module, "SearchPlan", nb::is_final(), "How one part of an index is searched for one query.")
      .def_ro("rows", &Plan::rows)
      .def_ro("removed_rows", &Plan::removed_rows)
      .def_ro("is_scanned", &Plan::is_scanned)
      .def_ro("table_radii", &Plan::table_radii)
      .def_ro("probes", &Plan::probes)
      .def_ro("postings", &Plan::postings)
      .def_ro("candidates", &Plan::candidates)
      .def_ro("cost_us", &Plan::cost_us);
}

}  // namespace bindings
