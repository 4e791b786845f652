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

// The postings [begin, end) of one coarse bucket, and how many low key bits may still differ from the query's.
struct Bucket {
  uint32_t begin;
  uint32_t end;
  uint32_t allowed_bits;
};

// How to read a posting: the slot in its low bits, the low key bits above it.
struct PostingForm {
  uint32_t query_low;  // of the query's key, already shifted to where a posting has them
  uint32_t low_mask;
  uint32_t slot_mask;
};

// Postings and slot lists are read and written in whole vectors, up to this many elements past their end.
constexpr size_t vector_slack = 16;

struct Kernels {
  // Writes the slots whose low key bits are near enough; returns how many.
  size_t (*filter_postings)(const uint32_t* postings, const Bucket* buckets, size_t bucket_count, PostingForm form,
                            uint32_t* slots);
  // Writes those of the `count` slots whose code is within the radius; returns how many. Overwrites the slack of `slots`.
  size_t (*verify)(const uint8_t* query, const uint8_t* codes, uint32_t* slots, size_t count, uint32_t radius_bits,
                   Near* near);
  // The same for rows first to first + count.
  size_t (*scan_flat)(const uint8_t* query, const uint8_t* codes, uint32_t first, size_t count, uint32_t radius_bits,
                      Near* near);
  void (*distances)(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out);
  // What scan_flat takes for a row from memory and from the caches; chooses between flat and indexed.
  float flat_row_ns;
  float cached_flat_row_ns;
};

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;

// Those of baken::active_path().
const Kernels& active_kernels();

}  // namespace baken::hamming
