// Exact search among 256-bit codes: every code within a radius is found, and every distance is computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace baken {

constexpr size_t no_limit = SIZE_MAX / 2;

// The high bits of an id name its group: id >> shift_bits. Ids of groups that are not listed do not count.
struct IdGroups {
  std::vector<int64_t> groups;       // ascending
  std::vector<int32_t> radius_bits;  // of each group
  int shift_bits = 0;
};

// What is asked of an index. `codes` holds `count` codes of 32 bytes; `codes_an_item` neighbours ask for one item, and a
// code of the index counts once for an item, at its distance to the nearest of them.
struct Question {
  const uint8_t* codes = nullptr;
  size_t count = 0;
  int radius_bits = 0;
  size_t codes_an_item = 1;
  size_t limit = no_limit;           // how many matches are returned of each item and group, the nearest first
  const IdGroups* groups = nullptr;  // null: all ids are one group
  // These do not count. Of an index with member bits they are owners: ids without those bits.
  const int64_t* excluded_ids = nullptr;
  size_t excluded_count = 0;
  bool lists_counted = false;  // whether `counted_owner` is wanted; it takes 8 bytes for each
  int member_bits = 0;         // of the index, which sets it itself
};

// Parallel columns, one row a match, ordered by item, then distance_bits, then id, then query_row. Of an index with member
// bits a match is an owner: its nearest code, the one with the least id among equals, stands for it.
struct SearchResult {
  std::vector<int64_t> query_row;
  std::vector<int64_t> id;
  std::vector<int32_t> distance_bits;
  // How many codes matched, returned or not; an item and group without any is absent. Ordered by item, then group.
  std::vector<int64_t> count_item;
  std::vector<int64_t> count_group;
  std::vector<int64_t> count;
  // When the question asked for them: all that matched, returned or not, each once, without their member bits. Ordered
  // by item, then group, then owner.
  std::vector<int64_t> counted_item;
  std::vector<int64_t> counted_owner;
};

// How an index searches one of its parts for one query, and what that is expected to cost for random codes.
struct SearchPlan {
  size_t rows = 0;
  size_t removed_rows = 0;
  bool is_scanned = true;        // every row is compared; else tables are looked up
  std::vector<int> table_radii;  // bits each table looks around the query's part of its key; -1: not used
  double probes = 0;             // buckets
  double postings = 0;           // in these buckets
  double candidates = 0;         // codes compared
  double cost_us = 0;
};

// Thread-safe: any number of readers beside any number of writers; writers take turns and readers never wait for a
// build. A search sees every add and removal that returned before it started, and of an add running beside it all or
// nothing. A removal running beside it may be seen in part.
class HammingIndex {
 public:
  // Ids that differ in their low `member_bits` bits only have one owner, which counts once in a search and is removed
  // whole. Throws std::invalid_argument unless they are 0 to 62.
  explicit HammingIndex(int member_bits = 0);
  ~HammingIndex();
  HammingIndex(const HammingIndex&) = delete;
  HammingIndex& operator=(const HammingIndex&) = delete;

  // `codes` holds `count` codes of 32 bytes one after another; an id may repeat, within a call and between calls.
  void add(const uint8_t* codes, const int64_t* ids, size_t count);

  // Removes every code of these ids (of these owners, with member bits) and returns how many codes went.
  size_t remove(const int64_t* ids, size_t count);

  // Every pair of a query and a code at most `radius_bits` apart, or the nearest of them when the question has a limit.
  // Throws std::invalid_argument for a radius outside 0 to 256 or items that do not divide the codes.
  SearchResult search(const Question& question) const;
  SearchResult search(const uint8_t* codes, size_t count, int radius_bits) const {
    return search(Question{codes, count, radius_bits});
  }

  // One plan for each segment, and last that of the newest codes.
  std::vector<SearchPlan> explain(int radius_bits) const;

  // How many codes can be found.
  size_t size() const;

  // The address space of all arrays; of the last few thousand codes' array only a part may be resident.
  size_t memory_bytes() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

// The distance in bits of `query` to each of `count` codes.
void hamming_distances(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out);

}  // namespace baken
