// Queries against one segment, or against plain rows.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "hamming_gather.hpp"
#include "hamming_kernels.hpp"
#include "hamming_segment.hpp"

namespace baken::hamming {

// Ways to flip `width` bits, those with fewest flips first.
class Masks {
 public:
  // At most `most` flips of `width` bits are wanted from now on.
  void prepare(int width, int most);

  const KeyMask* begin() const { return masks_.data(); }
  size_t size(int most) const { return ends_[static_cast<size_t>(most)]; }  // those with at most `most` flips

 private:
  int width_ = -1;
  std::vector<KeyMask> masks_;
  std::vector<size_t> ends_;
};

// Rows to compare with a query each.
class Candidates {
 public:
  // For so many more. Kernels write up to vector_slack elements past the last one.
  void make_room(size_t more);

  void put(uint32_t slot, uint32_t query, bool counts) {
    slots()[count] = slot;
    queries()[count] = query;
    count += counts ? 1 : 0;
  }

  uint32_t* slots() { return numbers_.get(); }
  uint32_t* queries() { return numbers_.get() + room_; }

  size_t count = 0;

 private:
  size_t room_ = 0;
  std::unique_ptr<uint32_t[]> numbers_;
};

// A coarse bucket to look into.
struct Probe {
  uint32_t bucket;
  uint16_t allowed_bits;  // how many low key bits may still differ from the query's
  uint16_t form;          // number of the query's form in the batch
};

// Probes of one table that go through the stages together.
struct Batch {
  static constexpr size_t max_probes = 128;
  static constexpr size_t max_bucket_lines = 4;  // a bucket in more lines is a crowd's

  int table = 0;
  size_t form_count = 0;
  size_t probe_count = 0;
  size_t part_count = 0;
  std::array<QueryForm, max_probes> forms;
  std::array<Probe, max_probes> probes;
  std::array<LinePart, max_probes * max_bucket_lines> parts;
  Candidates own;         // near in the table's key
  Candidates transposed;  // near in the key of the table's transpose: for the queries' transposes
};

// How much work the searches of a Lookup were.
struct LookupCounts {
  size_t flat_rows = 0;
  size_t probes = 0;
  size_t postings = 0;  // of buckets that were not searched in slices
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
    Keys keys;
    uint32_t partner;  // a query with the transposed code, or its own number
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
    std::vector<Asked> asked;
    std::vector<uint32_t> ends;
  };

  // Candidates whose codes are on their way.
  struct Pending {
    int table = 0;
    Candidates own;
    Candidates transposed;
  };

  // What the search of a table slice by slice works on.
  struct Slices {
    std::array<Groups, 2> groups;  // of each table at the place
    std::vector<BucketView> views;  // of the slice that is searched
    std::vector<PassedView> passed;
    size_t passed_count = 0;
    std::vector<UnviewedBucket> unviewed;
    std::array<Pending, 2> pending;  // the newest, and those before
    double lines_a_probe = 0;        // to fetch of the next slice
  };

  // What is still to be fetched of a slice.
  struct Fetching {
    const uint32_t* next_entry;
    const uint32_t* end_entry;
    size_t next_line;
    size_t end_line;
    const uint32_t* postings;
  };

  void scan(const Rows& rows, size_t query, Gathering& gathering);
  void begin(const Segment& segment, Gathering& gathering);
  void pair_queries();
  void search_place(int place);
  int slice_bits_for(int place);
  void search_slices(int place, int slice_bits);
  void group_queries(int table, int slice_bits, Groups& groups);
  void view_slice(int place, int slice_bits, uint32_t slice);
  void view_in_parts(size_t bucket, uint32_t begin, uint32_t end, uint32_t posting_count);
  void search_slice(int table, int slice_bits, uint32_t slice, const Groups& groups);
  void ask_slice(int table, uint32_t first_bucket, const SliceQuestion& question, const Asked* asked, size_t count);
  void take_passed(int table);
  void keep_for_partners(Candidates& candidates, size_t first) const;
  void turn_pending();
  void begin_fetching(int place, int slice_bits, uint32_t slice);
  void fetch_lines(size_t most);

  // Whether the query still goes through the table. If so, it is charged for it.
  bool enters(size_t query, int table);
  Asked asked_of(size_t query, int table) const;

  // The stages of a batch, each a batch behind the one before so that memory arrives while the others compute.
  void visit(int table, const QueryForm& form, uint32_t bucket, int allowed_bits);
  void probe(int table, const QueryForm& form, uint32_t bucket, uint32_t allowed_bits);
  void launch();
  void drain();
  void fetch_directory(const Batch& batch) const;
  void read_directory(Batch& batch);
  void filter(Batch& batch);
  void verify(Batch& batch);

  void search_crowd(int table, const QueryForm& form, uint32_t allowed_bits, uint32_t begin, uint32_t end);
  void filter_parts(int table, const QueryForm* forms, const LinePart* parts, size_t part_count, Candidates& own,
                    Candidates& transposed);
  void fetch_codes(Candidates& candidates) const;
  void take(int table, Candidates& candidates);
  PostingForm form_of(int table) const;

  // The tables that lie at a place, from its own number to this one.
  int last_table(int place) const { return scene_.segment->arrays().shape.is_joint(place) ? place + 1 : place; }
  // Whether what the table finds for a query is found for its transpose too, in the table's transpose.
  bool is_shared(int table) const;
  bool asks(size_t query, int table) const { return queries_[query].partner >= query || !is_shared(table); }
  bool asks_for_two(size_t query, int table) const { return queries_[query].partner > query && is_shared(table); }
  float& budget_of(size_t query) { return queries_[std::min<size_t>(query, queries_[query].partner)].budget_ns; }
  bool is_given_up(size_t query) { return budget_of(query) < 0; }
  bool passes(const Query& query, const Keys& keys, int table) const;
  bool is_first_table(const Query& query, const Keys& keys, int table) const;

  const Kernels& kernels_;
  uint32_t radius_bits_;
  Scene scene_;
  std::vector<Query> queries_;
  Masks masks_;        // of all high bits, or of those below the slice's
  Masks slice_masks_;  // of the bits that name a slice
  Slices slices_;
  Fetching fetching_{};
  bool has_partners_ = false;
  std::vector<std::pair<uint64_t, uint32_t>> sums_;

  static constexpr size_t ring_size = 4;
  size_t step_ = 0;
  std::unique_ptr<Batch[]> ring_ = std::make_unique_for_overwrite<Batch[]>(ring_size);
  Batch crowd_;
  std::vector<Near> near_;
  std::array<PassedPart, Batch::max_probes * Batch::max_bucket_lines> passed_;
  std::vector<Verified> verified_;
  LookupCounts counts_;
  bool met_damage_ = false;
};

}  // namespace baken::hamming
