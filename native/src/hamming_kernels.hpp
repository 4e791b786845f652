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

// A candidate by its number, and its distance to its query.
struct Verified {
  uint32_t number;
  uint32_t distance_bits;
};

// Postings lie in lines of 64 bytes: 14 words, then a nibble for each of them, from the low end of 8 bytes on.
constexpr uint32_t line_words = 16;
constexpr uint32_t line_postings = 14;

// A query as a table asks for it.
struct QueryForm {
  uint32_t query;
  uint32_t word;    // its bits where a posting has them
  uint32_t nibble;  // the next table's four lowest bits
};

// What lies of a coarse bucket in one line, one bit a posting, and for which query.
struct LinePart {
  uint32_t line;
  uint16_t lanes;
  uint8_t form;          // number of the query's form
  uint8_t allowed_bits;  // how many low key bits may still differ from the query's
};

// The postings of a line's part that are near enough.
struct PassedPart {
  uint16_t part;  // its number
  uint16_t lanes;
};

// How to read a posting of a table: the row ("slot") in the low bits of its word, above it most of the next table's key
// bits, on top the low key bits. The nibble holds the next table's four lowest bits.
struct PostingForm {
  uint32_t low_mask;    // the low key bits
  uint32_t chain_mask;  // these and those of the next table
  uint32_t slot_mask;   // at least four bits wide
  uint32_t chain_bits;  // how many more may differ when the next table's count too
};

// A way to flip bits of a key.
struct KeyMask {
  uint32_t flips;
  uint32_t count;
};

// A bucket as a slice of a table is searched: 16 words from its first posting on, which may reach into the next line. Of
// these at least 14 are postings, so that most buckets have one view; the others have several, one after another.
struct BucketView {
  uint32_t first_word;  // of the table
  uint16_t words;       // which of the 16 are postings of the bucket, one bit a word
  uint16_t next;        // number of the bucket's next view; 0 where there is none, or unviewed
};
constexpr uint16_t unviewed = UINT16_MAX;  // the directory tells of such a bucket: a crowd's, or at the table's end

// A query as a table asks for it, and its own bucket.
struct Asked {
  QueryForm form;
  uint32_t bucket;
};

// What some queries ask of a slice: the postings of the buckets whose numbers in it differ from the query's own by a mask.
// As many low key bits may differ as the mask leaves of `allowed_bits`.
struct SliceQuestion {
  const uint32_t* postings;
  const BucketView* views;
  PostingForm form;
  uint32_t bucket_mask;  // the bits of a bucket's number that are its number in the slice
  const KeyMask* masks;
  size_t mask_count;
  uint32_t allowed_bits;
};

// The postings of a view that are near enough to a query.
struct PassedView {
  uint32_t first_word;
  uint16_t words;
  uint32_t query;
};

// A bucket that has no view and was asked for.
struct UnviewedBucket {
  uint32_t asked;   // number of the one who did
  uint32_t bucket;  // its number in the slice
  uint32_t allowed_bits;
};

struct ViewsFiltered {
  size_t passed;
  size_t unviewed;
};

// Lists of candidates are filled up to whole vectors, with up to this many elements past their end.
constexpr size_t vector_slack = 16;

// The nearest and the second nearest of some rows: the distance in the high bits, the row in the low ones, so that the
// lower of two equally near rows comes first. All ones where there is none.
struct NearestTwo {
  uint32_t first;
  uint32_t second;
};
constexpr uint32_t nearest_row_bits = 22;
constexpr uint32_t nearest_none = UINT32_MAX;

// What the steps of a search cost, as native/bench/bench_hamming_costs.cpp prints it (Zen 5, two busy cores; where
// it gives a probe no cost of its own, the least that fits about as well). Only their ratios matter, and only to speed: a
// search is exact whatever they are.
struct Costs {
  float probe_ns;      // one bucket: its directory entry, its first line, the start of the filter
  float posting_ns;    // one posting in the filter, further lines included
  float candidate_ns;  // one code fetched and compared
  float row_ns;        // one code compared in a scan
};

struct Kernels {
  // Writes the parts with postings whose key bits are near enough; returns how many.
  size_t (*filter_postings)(const uint32_t* postings, const QueryForm* forms, const LinePart* parts,
                            size_t part_count, const PostingForm& posting_form, PassedPart* passed);
  // Writes a view of each of the buckets that lie from `directory` on; of those that need more, one that is unviewed.
  void (*view_buckets)(const uint32_t* directory, size_t bucket_count, uint32_t posting_count, BucketView* views);
  // Writes the views with postings whose key bits are near enough, and the buckets that are unviewed. The first two lines
  // of the postings are read whatever is asked.
  ViewsFiltered (*filter_views)(const SliceQuestion& question, const Asked* asked, size_t asked_count,
                                PassedView* passed, UnviewedBucket* unviewed_buckets);
  // Writes the slots that passed, with `turned_bits` of them turned, and their queries, unless the slot is none of `rows`.
  // Returns how many. Both lists have room for all words and the slack.
  size_t (*slots_of_views)(const uint32_t* postings, const PassedView* passed, size_t count, uint32_t slot_mask,
                           uint32_t turned_bits, uint32_t rows, uint32_t* slots, uint32_t* queries);
  // Writes which of the `count` pairs of a slot and a query are within the radius; returns how many. Overwrites the slack
  // of both lists.
  size_t (*verify)(const uint8_t* query_codes, const uint8_t* codes, uint32_t* slots, uint32_t* queries, size_t count,
                   uint32_t radius_bits, Verified* verified);
  // Writes those of the rows first to first + count whose code is within the radius; returns how many.
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
