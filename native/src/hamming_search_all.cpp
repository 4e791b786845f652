#include "hamming_search_all.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "hamming_search.hpp"

namespace baken::hamming {
namespace {

void append(const std::vector<Hit>& hits, size_t query_row, SearchResult& result) {
  for (const Hit& hit : hits) {
    result.query_row.push_back(static_cast<int64_t>(query_row));
    result.id.push_back(hit.id);
    result.distance_bits.push_back(hit.distance_bits);
  }
}

}  // namespace

SearchResult search_all(std::span<const Segment* const> segments, const Rows& tail, const uint8_t* codes, size_t count,
                        int radius_bits) {
  if (radius_bits < 0 || radius_bits > code_bits) {
    throw std::invalid_argument("radius_bits: got " + std::to_string(radius_bits) +
                                ", expected 0 to 256; 31 is the usual radius for PDQ.");
  }
  Lookup lookup(active_kernels(), radius_bits);
  SearchResult result;
  std::vector<Hit> hits;
  for (size_t query = 0; query < count; ++query) {
    hits.clear();
    for (const Segment* segment : segments) {
      lookup.find(*segment, codes + query * code_bytes, hits);
    }
    lookup.find_flat(tail, codes + query * code_bytes, hits);
    std::sort(hits.begin(), hits.end());
    append(hits, query, result);
  }
  return result;
}

}  // namespace baken::hamming
