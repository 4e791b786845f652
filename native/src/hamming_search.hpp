// Queries against one segment, or against plain rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "hamming_gather.hpp"
#include "hamming_kernels.hpp"
#include "hamming_segment.hpp"

namespace baken::hamming {

// Ways to flip `width` bits, those with fewest flips first.
class Masks {
 public:
  struct Mask {
    uint32_t flips;
    uint32_t count;
  };

  // At most `most` flips of `width` bits are wanted from now on.
  void prepare(int width, int most);

  const Mask* begin() const { return masks_.data(); }
  size_t size(int most) const { return ends_[static_cast<size_t>(most)]; }  // those with at most `most` flips

 private:
  int width_ = -1;
  std::vector<Mask> masks_;
  std::vector<size_t> ends_;
};

// Probes of one table for one query that go through the stages together.
struct Batch {
  static constexpr size_t max_probes = 128;

  bool is_filled = false;
  int table = 0;
  size_t query = 0;
  uint32_t bucket = 0;        // whose number the masks change
  uint32_t allowed_bits = 0;  // how many bits a mask and what it leaves may differ in
  size_t first_mask = 0;
  size_t bucket_count = 0;
  size_t posting_count = 0;
  size_t slot_count = 0;
  size_t transposed_count = 0;
  std::array<Bucket, max_probes> buckets;
  std::vector<uint32_t> slots;       // of the query's key in the table; then the rows they name
  std::vector<uint32_t> transposed;  // rows whose key in the table's transpose is near the query's: for its transpose
};

// How much work the searches of a Lookup were.
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

  // Tells `gathering` every live row within the radius, in no order, for all its queries.
  void find(const Segment& segment, Gathering& gathering);
  void find_flat(const Rows& rows, Gathering& gathering);

  const LookupCounts& counts() const { return counts_; }

  // Whether a search met a directory or a posting that cannot be: the segment's file is damaged. What was found until then
  // are true matches all the same, for each was compared with its code.
  bool met_damage() const { return met_damage_; }

  // Whether every row is compared because tables would cost more.
  static bool is_scanned(const Kernels& kernels, const Segment& segment, int radius_bits);
  static double flat_cost_ns(const Kernels& kernels, size_t rows);

 private:
  struct Query {
    const uint8_t* code;
    Keys keys;
    size_t partner;  // a query with the transposed code, or its own number
    float budget_ns;  // left for it and its partner; the first of them keeps it
  };

  // What find() works on.
  struct Scene {
    const Segment* segment = nullptr;
    Rows rows{};
    Gathering* gathering = nullptr;
    TableRadii radii{};
  };

  // Queries by the slice of their key.
  struct Groups {
    std::vector<uint32_t> queries;
    std::vector<uint32_t> ends;
  };

  void scan(const Rows& rows, size_t query, Gathering& gathering);
  void begin(const Segment& segment, Gathering& gathering);
  void pair_queries();
  void search_place(int place);
  void search_slices(int place, int slice_bits);
  void visit_slice(int table, int slice_bits, uint32_t slice, const Groups& groups);
  void group_queries(int table, int slice_bits, Groups& groups) const;
  void warm_slice(int place, int slice_bits, uint32_t slice) const;
  int slice_bits_for(int place);

  // The stages of a batch, each some batches behind the one before so that memory arrives while the others compute.
  void visit(int table, size_t query, uint32_t bucket, int allowed_bits);
  void advance();
  void drain();
  void set_lag(size_t lag);
  void fetch_directory(const Batch& batch) const;
  void read_directory(Batch& batch);
  void filter(Batch& batch);
  void filter_piecewise(Batch& batch);
  void verify(Batch& batch);
  void part(Batch& batch);
  void take(size_t query, int table, uint32_t* slots, size_t slot_count);

  // The tables that lie at a place, from its own number to this one.
  int last_table(int place) const { return scene_.segment->arrays().shape.is_joint(place) ? place + 1 : place; }
  // Whether what the table finds for a query is found for its transpose too, in the table's transpose.
  bool is_shared(int table) const;
  bool asks(size_t query, int table) const { return queries_[query].partner >= query || !is_shared(table); }
  bool asks_for_two(size_t query, int table) const { return queries_[query].partner > query && is_shared(table); }
  float& budget_of(size_t query) { return queries_[std::min(query, queries_[query].partner)].budget_ns; }
  bool is_given_up(size_t query) { return budget_of(query) < 0; }
  PostingForm form_of(const Batch& batch) const;
  bool passes(const Query& query, const Keys& keys, int table) const;
  bool is_first_table(const Query& query, const Keys& keys, int table) const;

  const Kernels& kernels_;
  uint32_t radius_bits_;
  Scene scene_;
  std::vector<Query> queries_;
  Masks masks_;        // of all high bits, or of those below the slice's
  Masks slice_masks_;  // of the bits that name a slice
  std::array<Groups, 2> groups_;
  std::vector<std::pair<uint64_t, size_t>> sums_;

  size_t lag_ = 1;  // batches between two stages; the ring has 3 * lag_ + 1
  size_t step_ = 0;
  std::vector<Batch> ring_ = std::vector<Batch>(4);
  std::vector<Near> near_;
  LookupCounts counts_;
  bool met_damage_ = false;
};

}  // namespace baken::hamming
