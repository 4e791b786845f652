// How a code is cut into substrings, and how a radius is shared out among their tables.
//
// The generalised pigeonhole principle: if table i looks within t[i] bits of the query's substring i and
// sum(t[i] + 1) > radius, no code within the radius escapes all tables, for it would have to differ in at least
// t[i] + 1 bits in every substring. A table with t = -1 is not used. See Norouzi, Punjani, Fleet, "Fast search in Hamming
// space with multi-index hashing" (2012), and Qin et al., "GPH: similarity search in Hamming space" (2018).
//
// More is true: with the substrings in rings, some i also differs in at most t[i] + t[next(i)] + 1 bits together with the
// next one in its ring (Qin, Xiao, "Pigeonring: a principle for faster thresholded similarity search", 2018; of several
// rings, one has fewer differing bits than its tables look around). So postings of table i carry a few bits of the next
// substring, and most of the candidates that are near by accident are dropped unfetched.
//
// A code is 16 x 16 bits, and the PDQ of a transposed picture is the transposed code. Tables 2k and 2k + 1 are keyed by
// the same bits, transposed: what a code's key is in one of them, its transposed code's key is in the other. Their
// postings lie in one table ("joint"), with a bit that tells which of the two a posting is of. So the eight orientations
// of a picture, which are four codes and their transposes, go through ten of the eleven tables only four times.
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

constexpr int joint_tables = 10;  // those below are in pairs; table 10 holds the diagonal and is its own transpose

// Tables 0 to 7 have 23 bits, 8 to 10 have 24.
constexpr int key_bits(int table) { return table < 8 ? 23 : 24; }
constexpr int max_high_bits = 23;
constexpr int max_key_bits = 24;

constexpr int next_table(int table) { return table < joint_tables ? (table + 2) % joint_tables : table; }
constexpr int transposed_table(int table) { return table < joint_tables ? table ^ 1 : table; }

// The substrings of a code.
using Keys = std::array<uint32_t, table_count>;
Keys keys_of(const uint8_t* code);

// Whether the codes with these keys are each other's transposes.
bool are_transposed(const Keys& left, const Keys& right);

// Bits each table looks around the query's substring; -1 means the table is not used.
using TableRadii = std::array<int8_t, table_count>;

// The numbers that the layout of a segment's tables follows from.
struct TableShape {
  size_t rows;
  int directory_bits;  // how many bits of a key the directory of a table with a posting a row resolves
  int row_bits;        // how many bits of a posting hold its row

  // Larger segments have a table for each substring: a joint one's directory would have to resolve more bits than a key has.
  bool is_joint() const { return directory_bits < max_high_bits; }
  bool is_joint(int table) const { return is_joint() && table < joint_tables; }

  // Where the postings of a table lie: at its own number, or at the even one of two that lie together.
  int place_of(int table) const { return is_joint(table) ? table & ~1 : table; }
  size_t postings(int table) const { return rows << (is_joint(table) ? 1 : 0); }
  size_t posting_lines(int table) const { return postings(table) / line_postings + 1; }  // an empty last bucket has one too

  int high_bits(int table) const { return directory_bits + (is_joint(table) ? 1 : 0); }
  int low_bits(int table) const { return key_bits(table) - high_bits(table); }

  // The row number ("slot") of a posting, in a joint table below the bit that says which of the two it is of.
  int slot_bits(int table) const { return row_bits + (is_joint(table) ? 1 : 0); }
  uint32_t slot_of(int table, size_t row) const {
    return static_cast<uint32_t>(row) | (is_joint(table) ? uint32_t(table & 1) << row_bits : 0);
  }

  // How many bits of the next table's key a posting holds: what is left of its 36 bits, at least 4.
  int next_bits(int table) const {
    const int left = posting_bits - slot_bits(table) - low_bits(table);
    return left < key_bits(next_table(table)) ? left : key_bits(next_table(table));
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
