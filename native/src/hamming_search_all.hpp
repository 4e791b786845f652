// A question asked of all segments and the tail of an index.
#pragma once

#include <span>
#include <vector>

#include "baken/hamming_index.hpp"
#include "hamming_segment.hpp"

namespace baken::hamming {

// Throws std::invalid_argument unless member bits are 0 to 62.
int checked_member_bits(int member_bits);

// The tables of a segment cannot be what was written: who searches answers nothing.
struct DamagedTables {
  size_t segment;
};

// Throws std::invalid_argument as HammingIndex::search does.
void check(const Question& question);
// And DamagedTables.
SearchResult search_all(std::span<const Segment* const> segments, const Rows& tail, const Question& question);

// Throws std::invalid_argument unless the radius is 0 to 256.
std::vector<SearchPlan> explain_all(std::span<const Segment* const> segments, const Rows& tail, int radius_bits);

}  // namespace baken::hamming
