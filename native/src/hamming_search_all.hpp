// Many queries against all segments and the tail of an index.
#pragma once

#include <cstdint>
#include <span>

#include "baken/hamming_index.hpp"
#include "hamming_segment.hpp"

namespace baken::hamming {

// Throws std::invalid_argument unless the radius is 0 to 256.
SearchResult search_all(std::span<const Segment* const> segments, const Rows& tail, const uint8_t* codes, size_t count,
                        int radius_bits);

}  // namespace baken::hamming
