// An immutable run of codes with one hash table for each substring.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "hamming_kernels.hpp"
#include "hamming_memory.hpp"
#include "hamming_rows.hpp"
#include "hamming_split.hpp"

namespace baken::hamming {

// The tables of a segment as plain arrays, wherever they lie.
//
// A table holds a posting for each row, or one of each of two keys (see hamming_split.hpp), grouped into coarse buckets by
// the high bits of the key: bucket b holds the postings directory[b] up to directory[b + 1]. A posting is the row number
// with what tells the keys of a joint table apart ("slot"), the key's remaining low bits and a few bits of the next table's
// key, in 36 bits (see PostingForm), 14 to a line of memory. About twelve share a bucket, so that a line or two answers
// for all keys that differ from the query's only in low bits. Both tables of a joint one have the same pointers.
struct SegmentArrays {
  const uint8_t* codes;
  const int64_t* ids;
  const IdRange* id_ranges;  // one for every id_block_rows rows
  TableShape shape;
  std::array<const uint32_t*, table_count> directory;
  std::array<const uint32_t*, table_count> postings;  // null in a segment of an older format, which is only scanned

  size_t rows() const { return shape.rows; }
  bool has_tables() const { return postings[0] != nullptr; }
};

// The word of a posting without its slot; the lowest four bits of `next` stand in the nibble.
inline uint64_t posting_word(const TableShape& shape, int table, uint64_t low, uint64_t next) {
  return (low << (shape.next_bits(table) - 4) | next >> 4) << shape.slot_bits(table);
}

// The row number must fit beside the low key bits.
constexpr size_t max_segment_rows = size_t{1} << 31;

// The arrays one after another: codes, ids, id ranges, then each table's directory and postings.
constexpr size_t section_count = 3 + 2 * table_count;
constexpr size_t codes_section = 0;
constexpr size_t ids_section = 1;
constexpr size_t id_ranges_section = 2;
constexpr size_t directory_section(size_t table) { return 3 + 2 * table; }
constexpr size_t postings_section(size_t table) { return 4 + 2 * table; }
using SectionBytes = std::array<size_t, section_count>;
using SectionPlaces = std::array<uint8_t*, section_count>;

SectionBytes section_bytes(const TableShape& shape);
SegmentArrays placed(const TableShape& shape, const SectionPlaces& places);

// 256 MiB. A larger segment's tables are built in several passes over its codes.
constexpr size_t max_scratch_postings = size_t{32} << 20;

// Called with the number of each section as soon as it is complete.
using SectionDone = std::function<void(size_t section)>;

// Writes the live rows of `parts` and their tables into placed arrays, which are zero and writable until then. The rows
// must be as many as the arrays have; `parts` may lose no row meanwhile. Takes 16 bytes a row of memory beside them, and
// never more than max_scratch_postings of that unless a table's keys are very unequal.
void fill(const SegmentArrays& arrays, std::span<const Rows> parts, const SectionDone& done);

// The same for arrays whose codes and ids are there already.
void fill_tables(const SegmentArrays& arrays, const SectionDone& done, size_t scratch_postings = max_scratch_postings);

class Segment {
 public:
  // Holds the rows of `parts` that are alive now, at most max_segment_rows.
  explicit Segment(std::span<const Rows> parts);

  // Arrays and tombstones lie elsewhere, in mapped files for example, and outlive this.
  Segment(const SegmentArrays& arrays, std::span<Tombstones::Word> tombstones);

  const SegmentArrays& arrays() const { return arrays_; }
  const Split& split(const Kernels& kernels) const { return splits_[kernels.path]; }
  Rows rows() const { return {arrays_.codes, arrays_.ids, arrays_.rows(), &tombstones_}; }
  size_t memory_bytes() const { return buffer_.size_bytes() + tombstones_.size_bytes(); }

  size_t remove(const IdSet& ids) { return bury(rows(), ids, tombstones_, arrays_.id_ranges); }

 private:
  Buffer buffer_;
  SegmentArrays arrays_;
  Tombstones tombstones_;
  std::array<Split, path_count> splits_;
};

// What the steps of a search in so many rows cost.
const Costs& costs_of(const Kernels& kernels, size_t rows);

}  // namespace baken::hamming
