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

}  // namespace bindings
