// One query against one segment, or against plain rows.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "hamming_kernels.hpp"
#include "hamming_segment.hpp"

namespace baken::hamming {

struct Hit {
  int32_t distance_bits;
  int64_t id;

  friend auto operator<=>(const Hit&, const Hit&) = default;
};

// How to change the high bits of a key, the masks with fewest bits first.
struct HighMask {
  uint32_t flips;
  uint32_t flip_count;
};

// The probes of one table that go through the stages together.
struct Batch {
  static constexpr size_t max_probes = 128;

  int table = -1;  // -1: nothing in this batch
  size_t first_mask = 0;
  size_t bucket_count = 0;
  size_t posting_count = 0;
  size_t slot_count = 0;
  std::array<Bucket, max_probes> buckets;
  std::vector<uint32_t> slots;
};

// How much work the searches of a Lookup were, for benchmarks.
struct LookupCounts {
  size_t flat_rows = 0;
  size_t probes = 0;
  size_t postings = 0;
  size_t candidates = 0;
};

// A radius, an instruction path and the scratch memory of a search. Use it from one thread.
class Lookup {
 public:
  Lookup(const Kernels& kernels, int radius_bits)
      : kernels_(kernels), radius_bits_(static_cast<uint32_t>(radius_bits)) {}

  // Appends every live row within the radius, in no order.
  void find(const Segment& segment, const uint8_t* query, std::vector<Hit>& hits);
  void find_flat(const Rows& rows, const uint8_t* query, std::vector<Hit>& hits);

  const LookupCounts& counts() const { return counts_; }

 private:
  void prepare(const Segment& segment);
  bool search_tables(const Rows& rows, const uint8_t* query, std::vector<Hit>& hits);
  bool next_batch(Batch& batch);
  size_t probes_of(int table) const { return mask_ends_[radii_[table]]; }

  // The stages of a batch, each a batch behind the one before so that memory arrives while the others compute.
  void fetch_directory(const Batch& batch) const;
  void read_directory(Batch& batch);
  void filter(Batch& batch);
  void verify(Batch& batch, const Rows& rows, std::vector<Hit>& hits);

  bool is_first_table(const uint8_t* code, int table) const;

  const Kernels& kernels_;
  uint32_t radius_bits_;
  const SegmentArrays* arrays_ = nullptr;  // of the segment that the next five belong to
  TableRadii radii_{};
  float budget_ns_ = 0;
  int masks_high_bits_ = -1;
  std::vector<HighMask> masks_;
  std::vector<size_t> mask_ends_;  // [t]: how many masks have at most t bits

  const uint8_t* query_ = nullptr;
  std::array<uint32_t, table_count> keys_{};
  float spent_ns_ = 0;
  int cursor_table_ = 0;
  size_t cursor_mask_ = 0;
  std::array<Batch, 4> ring_;
  std::vector<Near> near_;
  LookupCounts counts_;
};

}  // namespace baken::hamming
