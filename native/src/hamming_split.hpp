// How a code is cut into substrings, and how a radius is shared out among their tables.
//
// The generalised pigeonhole principle: if table i looks within t[i] bits of the query's substring i and
// sum(t[i] + 1) > radius, no code within the radius escapes all tables, for it would have to differ in at least
// t[i] + 1 bits in every substring. A table with t = -1 is not used. See Norouzi, Punjani, Fleet, "Fast search in Hamming
// space with multi-index hashing" (2012), and Qin et al., "GPH: similarity search in Hamming space" (2018).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace baken::hamming {

constexpr size_t code_bytes = 32;
constexpr int code_bits = 256;
constexpr int table_count = 11;

struct Substring {
  int first_bit;
  int bits;
};

// Eight substrings of 23 bits and three of 24.
constexpr std::array<Substring, table_count> substrings = [] {
  std::array<Substring, table_count> all{};
  int first_bit = 0;
  for (int table = 0; table < table_count; ++table) {
    const int bits = code_bits / table_count + (table >= table_count - code_bits % table_count ? 1 : 0);
    all[table] = {first_bit, bits};
    first_bit += bits;
  }
  return all;
}();

constexpr int max_high_bits = code_bits / table_count;

// The substring of `code` that `table` is keyed by.
inline uint32_t key_of(const uint8_t* code, int table) {
  const Substring part = substrings[table];
  const int byte = part.first_bit / 8 < 24 ? part.first_bit / 8 : 24;
  uint64_t word;
  std::memcpy(&word, code + byte, sizeof word);
  return static_cast<uint32_t>(word >> (part.first_bit - 8 * byte)) & ((uint32_t{1} << part.bits) - 1);
}

// Bits each table looks around the query's substring; -1 means the table is not used.
using TableRadii = std::array<int8_t, table_count>;

// The cheapest shares for every radius. Costs grow faster than linearly in t, so handing out one bit after another,
// each to the table where it costs least, is optimal, and the shares for a radius are the first radius + 1 steps.
struct Split {
  std::array<uint8_t, code_bits + 1> table_of_step;
  std::array<float, code_bits + 1> cost_ns;  // of one lookup with the radius that is the index here

  TableRadii radii_for(int radius_bits) const;
};

// `high_bits`: how many bits of a key the directory of a table resolves.
Split split_for(size_t rows, int high_bits);

// What one step of a lookup costs when the arrays are far larger than the caches (measured with
// native/bench/bench_hamming_index.cpp at 10 million codes; only their ratios matter, and only to speed).
constexpr float probe_ns = 9.0F;       // one bucket: directory entry, line of postings, the start of the filter
constexpr float posting_ns = 0.1F;     // one posting in the filter
constexpr float candidate_ns = 6.0F;   // one code fetched and compared

}  // namespace baken::hamming
