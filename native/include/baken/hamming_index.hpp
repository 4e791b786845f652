// Exact search among 256-bit codes: every code within a radius is found, and every distance is computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace baken {

// Parallel columns, one row a match, ordered by query_row, then distance_bits, then id.
struct SearchResult {
  std::vector<int64_t> query_row;
  std::vector<int64_t> id;
  std::vector<int32_t> distance_bits;
};

// Thread-safe: any number of readers beside any number of writers; writers take turns and readers never wait for a
// build. A search sees every add and removal that returned before it started, and of an add running beside it all or
// nothing. A removal running beside it may be seen in part.
class HammingIndex {
 public:
  HammingIndex();
  ~HammingIndex();
  HammingIndex(const HammingIndex&) = delete;
  HammingIndex& operator=(const HammingIndex&) = delete;

  // `codes` holds `count` codes of 32 bytes one after another; an id may repeat, within a call and between calls.
  void add(const uint8_t* codes, const int64_t* ids, size_t count);

  // Removes every code of these ids and returns how many codes went.
  size_t remove(const int64_t* ids, size_t count);

  // Every pair of a query and a code at most `radius_bits` apart. Throws std::invalid_argument unless it is 0 to 256.
  SearchResult search(const uint8_t* codes, size_t count, int radius_bits) const;

  // How many codes can be found.
  size_t size() const;

  // The address space of all arrays; of the last few thousand codes' array only a part may be resident.
  size_t memory_bytes() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

// The distance in bits of `query` to each of `count` codes.
void hamming_distances(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out);

}  // namespace baken
