// The inner loops of a lookup, once for each instruction path. The files that implement them include nothing with inline
// functions of the standard library: compiled for a newer processor, the linker could pick those copies for everyone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace baken::hamming {

// A row of a segment and its distance to the query.
struct Near {
  uint32_t slot;
  uint32_t distance_bits;
};

// Postings lie in lines of 64 bytes: 14 words, then a nibble for each of them, from the low end of 8 bytes on.
constexpr uint32_t line_words = 16;
constexpr uint32_t line_postings = 14;

// The postings of one coarse bucket, and how many low key bits may still differ from the query's.
struct Bucket {
  uint32_t line;
  uint32_t lane;  // of the first posting, in its line
  uint32_t count;
  uint32_t allowed_bits;
};

// How to read a posting: the row ("slot") in the low bits of its word, above it most of the next table's key bits, on top
// the low key bits. The nibble holds the next table's four lowest bits.
struct PostingForm {
  uint32_t query_word;  // the query's bits where a posting has them
  uint32_t query_nibble;
  uint32_t low_mask;    // the low key bits
  uint32_t chain_mask;  // these and those of the next table
  uint32_t slot_mask;   // at least four bits wide
  uint32_t chain_bits;  // how many more may differ when the next table's count too
};

// Slot lists are written in whole vectors, up to this many elements past their end.
constexpr size_t vector_slack = 16;

// The nearest and the second nearest of some rows: the distance in the high bits, the row in the low ones, so that the
// lower of two equally near rows comes first. All ones where there is none.
struct NearestTwo {
  uint32_t first;
  uint32_t second;
};
constexpr uint32_t nearest_row_bits = 22;
constexpr uint32_t nearest_none = UINT32_MAX;

// What the steps of a search cost, as native/bench/bench_hamming_costs.cpp prints it (Zen 4, two busy cores). Only their
// ratios matter, and only to speed: a search is exact whatever they are.
struct Costs {
  float probe_ns;      // one bucket: its directory entry, its first line, the start of the filter
  float posting_ns;    // one posting in the filter, further lines included
  float candidate_ns;  // one code fetched and compared
  float row_ns;        // one code compared in a scan
};

struct Kernels {
  // Writes the slots whose key bits are near enough; returns how many.
  size_t (*filter_postings)(const uint32_t* postings, const Bucket* buckets, size_t bucket_count,
                            const PostingForm& form, uint32_t* slots);
  // Writes those of the `count` slots whose code is within the radius; returns how many. Overwrites the slack of `slots`.
  size_t (*verify)(const uint8_t* query, const uint8_t* codes, uint32_t* slots, size_t count, uint32_t radius_bits,
                   Near* near);
  // The same for rows first to first + count.
  size_t (*scan_flat)(const uint8_t* query, const uint8_t* codes, uint32_t first, size_t count, uint32_t radius_bits,
                      Near* near);
  void (*distances)(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out);
  // Of fewer than 2^22 rows.
  NearestTwo (*nearest_two)(const uint8_t* query, const uint8_t* codes, size_t count);
  size_t path;         // which of the paths this is
  Costs cached_costs;  // of a segment that stays in the caches from one query to the next
  Costs memory_costs;  // of one that does not
};

constexpr size_t path_count = 3;

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;

// Those of a path, whether or not this machine can run them; null when they are not compiled in.
const Kernels* kernels_of(size_t path);

// Those of baken::active_path().
const Kernels& active_kernels();

}  // namespace baken::hamming
