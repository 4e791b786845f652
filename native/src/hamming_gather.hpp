// Where the matches of a search gather: the nearest of each group of ids for each item, and how many there were. Memory is
// bounded by the limit, however many codes crowd around a query.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "baken/hamming_index.hpp"
#include "hamming_kernels.hpp"
#include "hamming_rows.hpp"
#include "hamming_split.hpp"

namespace baken::hamming {

struct Hit {
  int32_t distance_bits;
  uint32_t query;
  int64_t id;

  friend bool operator<(const Hit& left, const Hit& right) {
    if (left.distance_bits != right.distance_bits) {
      return left.distance_bits < right.distance_bits;
    }
    return left.id != right.id ? left.id < right.id : left.query < right.query;
  }
};

// The `limit` least of any number of hits: twice as many are kept before the greater half is dropped.
class Nearest {
 public:
  explicit Nearest(size_t limit) : limit_(limit) {}

  void add(const Hit& hit) {
    ++count_;
    keep(hit);
  }

  void add_all(const Nearest& other) {
    count_ += other.count_;
    for (const Hit& hit : other.hits_) {
      keep(hit);
    }
  }

  size_t count() const { return count_; }

  std::vector<Hit> take() {
    if (hits_.size() > limit_) {
      drop_beyond_limit();
    }
    return std::move(hits_);
  }

 private:
  void keep(const Hit& hit) {
    if (limit_ == 0 || (is_full_ && !(hit < bar_))) {
      return;
    }
    hits_.push_back(hit);
    if (hits_.size() >= 2 * limit_) {
      drop_beyond_limit();
    }
  }

  void drop_beyond_limit() {
    const auto last = hits_.begin() + static_cast<ptrdiff_t>(limit_) - 1;
    std::nth_element(hits_.begin(), last, hits_.end());
    bar_ = *last;
    is_full_ = true;
    hits_.resize(limit_);
  }

  size_t limit_;
  size_t count_ = 0;
  bool is_full_ = false;
  Hit bar_{};
  std::vector<Hit> hits_;
};

// For a few items at a time. Matches of a segment are kept apart until `settle`, so that a query that turns out to be in a
// crowd can be asked again in another way.
class Gathering {
 public:
  Gathering(const Kernels& kernels, const Question& question, size_t first_item, size_t item_count);

  size_t query_count() const { return found_.size(); }
  const uint8_t* code(size_t query) const { return codes_ + query * code_bytes; }
  int radius_bits() const { return question_.radius_bits; }

  // A live row within the radius of a query. It may be told of several queries of an item, once of each.
  void take(size_t query, const Near& near, const Rows& rows);
  void forget(size_t query) { found_[query].clear(); }
  void settle();

  void append_to(SearchResult& result);

 private:
  struct Group {
    size_t group;
    Nearest nearest;
  };
  using Groups = std::vector<Group>;  // those that were met, by number

  bool is_best_of_item(size_t query, const Near& near, const Rows& rows) const;
  Nearest& nearest_of(Groups& groups, size_t group) const;
  void append_item(size_t item, SearchResult& result);

  const Kernels& kernels_;
  const Question& question_;
  size_t first_item_;
  const uint8_t* codes_;
  IdSet excluded_;
  std::vector<Groups> found_;  // of each query, since the last settle()
  std::vector<Groups> items_;
};

}  // namespace baken::hamming
