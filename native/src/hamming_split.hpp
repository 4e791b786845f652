// How a code is cut into substrings, and how a radius is shared out among their tables.
//
// The generalised pigeonhole principle: if table i looks within t[i] bits of the query's substring i and
// sum(t[i] + 1) > radius, no code within the radius escapes all tables, for it would have to differ in at least
// t[i] + 1 bits in every substring. A table with t = -1 is not used. See Norouzi, Punjani, Fleet, "Fast search in Hamming
// space with multi-index hashing" (2012), and Qin et al., "GPH: similarity search in Hamming space" (2018).
//
// More is true: with the substrings in a ring, some i also differs in at most t[i] + t[i + 1] + 1 bits together with the
// next one (Qin, Xiao, "Pigeonring: a principle for faster thresholded similarity search", 2018). So postings of table i
// carry a few bits of substring i + 1, and most of the candidates that are near by accident are dropped unfetched.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hamming_kernels.hpp"

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
constexpr int max_key_bits = max_high_bits + 1;

constexpr int next_table(int table) { return (table + 1) % table_count; }

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

// The numbers that the layout of a segment's tables follows from.
struct TableShape {
  size_t rows;
  int high_bits;  // how many bits of a key the directory of a table resolves
  int slot_bits;  // how many bits of a posting hold its row

  int low_bits(int table) const { return substrings[table].bits - high_bits; }

  // How many bits of the next table's key a posting holds: what is left of its 36 bits, at least 4.
  int next_bits(int table) const {
    const int left = posting_bits - slot_bits - low_bits(table);
    return left < substrings[next_table(table)].bits ? left : substrings[next_table(table)].bits;
  }

  static constexpr int posting_bits = 36;
};

// For that many rows.
TableShape table_shape(size_t rows);

// What a search goes through, as expected of random codes.
struct Work {
  double probes = 0;
  double postings = 0;
  double candidates = 0;

  double cost_ns(const Costs& costs) const {
    return probes * costs.probe_ns + postings * costs.posting_ns + candidates * costs.candidate_ns;
  }
};

// The cheapest shares for every radius. Costs grow faster than linearly in t, so handing out one bit after another,
// each to the table where it costs least, is optimal, and the shares for a radius are the first radius + 1 steps.
struct Split {
  std::array<uint8_t, code_bits + 1> table_of_step;
  std::array<float, code_bits + 1> cost_ns;  // of one lookup with the radius that is the index here

  TableRadii radii_for(int radius_bits) const;
};

Split split_for(const TableShape& shape, const Costs& costs);
Work work_for(const TableShape& shape, const TableRadii& radii);

}  // namespace baken::hamming
