// The arrays that both indexes take and give.
#pragma once

#include "arrays.hpp"
#include "baken/hamming_index.hpp"

namespace bindings {

// uint8[N, 32] without gaps, or an error that says what was given.
AnyArray checked_codes(nb::handle codes);

// int64[N] without gaps, or an error that says what was given.
AnyArray checked_ids(nb::handle ids);

// Throws ValueError unless there is one id a code.
void check_one_id_a_code(const AnyArray& codes, const AnyArray& ids);

inline const uint8_t* code_data(const AnyArray& codes) { return static_cast<const uint8_t*>(codes.data()); }
inline const int64_t* id_data(const AnyArray& ids) { return static_cast<const int64_t*>(ids.data()); }

// (query_row, id, distance_bits)
nb::tuple columns(baken::SearchResult result);

// The classes below, and what their methods take and give.
void register_questions(nb::module_& module);

// Which ids count and within which radius; made from arrays, kept by Python.
class GroupsArgument {
 public:
  GroupsArgument(nb::handle groups, nb::handle radius_bits, int shift_bits);
  const baken::IdGroups& groups() const { return groups_; }
  int greatest_radius_bits() const;

 private:
  baken::IdGroups groups_;
};

// Throws ValueError unless the limit is 0 or more.
std::size_t checked_limit(std::int64_t limit);
nb::object nearest_matches(baken::SearchResult result, std::size_t query_count);
nb::object group_matches(baken::SearchResult result);
nb::list plans(const std::vector<baken::SearchPlan>& plans);

// What search_nearest and search_groups of an index do; `search` asks it without the GIL.
template <typename Search>
nb::object nearest(nb::handle codes, int radius_bits, std::int64_t limit, Search search) {
  const AnyArray code_rows = checked_codes(codes);
  baken::Question question{code_data(code_rows), code_rows.shape(0), radius_bits};
  question.limit = checked_limit(limit);
  return nearest_matches(search(question), question.count);
}

template <typename Search>
nb::object nearest_of_groups(nb::handle codes, std::int64_t codes_an_item, const GroupsArgument& groups,
                             std::int64_t limit, nb::handle excluded_ids, bool lists_counted, Search search) {
  const AnyArray code_rows = checked_codes(codes);
  const AnyArray excluded = checked_ids(excluded_ids);
  baken::Question question{code_data(code_rows), code_rows.shape(0), groups.greatest_radius_bits()};
  question.codes_an_item = codes_an_item < 0 ? 0 : static_cast<std::size_t>(codes_an_item);
  question.limit = checked_limit(limit);
  question.groups = &groups.groups();
  question.excluded_ids = id_data(excluded);
  question.excluded_count = excluded.shape(0);
  question.lists_counted = lists_counted;
  return group_matches(search(question));
}

}  // namespace bindings
