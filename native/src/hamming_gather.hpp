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

// Ids, each once. At most twice as many are held, and a few.
class DistinctIds {
 public:
  void add(int64_t id) {
    if (!ids_.empty() && ids_.back() == id) {
      return;
    }
    ids_.push_back(id);
    if (ids_.size() >= full_size_) {
      sorted();
      full_size_ = std::max(least_full_size, 2 * ids_.size());
    }
  }

  void add_all(const DistinctIds& other) {
    for (const int64_t id : other.ids_) {
      add(id);
    }
  }

  const std::vector<int64_t>& sorted() {
    std::sort(ids_.begin(), ids_.end());
    ids_.erase(std::unique(ids_.begin(), ids_.end()), ids_.end());
    return ids_;
  }

 private:
  static constexpr size_t least_full_size = 256;

  size_t full_size_ = least_full_size;
  std::vector<int64_t> ids_;
};

// The `limit` least of any number of hits: twice as many are kept before the greater half is dropped. With member bits
// an owner's least hit stands for it, and owners are counted instead of hits.
class Nearest {
 public:
  explicit Nearest(const Question& question)
      : limit_(question.limit),
        member_bits_(question.member_bits),
        keeps_owners_(question.member_bits != 0 || question.lists_counted) {}

  void add(const Hit& hit) {
    ++count_;
    if (keeps_owners_) {
      owners_.add(owner_of(hit));
    }
    keep(hit);
  }

  void add_all(const Nearest& other) {
    count_ += other.count_;
    owners_.add_all(other.owners_);
    for (const Hit& hit : other.hits_) {
      keep(hit);
    }
  }

  size_t count() { return member_bits_ == 0 ? count_ : owners_.sorted().size(); }

  // Empty unless there are member bits, or the question asked for them.
  const std::vector<int64_t>& owners() { return owners_.sorted(); }

  std::vector<Hit> take() {
    if (member_bits_ != 0) {
      keep_least_of_owners();
    }
    if (hits_.size() > limit_) {
      drop_beyond_limit();
    }
    return std::move(hits_);
  }

 private:
  int64_t owner_of(const Hit& hit) const { return hit.id >> member_bits_; }

  void keep(const Hit& hit) {
    if (limit_ == 0 || (is_full_ && !(hit < bar_))) {
      return;
    }
    hits_.push_back(hit);
    if (hits_.size() < 2 * limit_) {
      return;
    }
    if (member_bits_ != 0) {
      keep_least_of_owners();
    }
    if (hits_.size() >= limit_) {
      drop_beyond_limit();
    }
  }

  void keep_least_of_owners() {
    std::sort(hits_.begin(), hits_.end(), [this](const Hit& left, const Hit& right) {
      return owner_of(left) != owner_of(right) ? owner_of(left) < owner_of(right) : left < right;
    });
    const auto is_of_one = [this](const Hit& left, const Hit& right) { return owner_of(left) == owner_of(right); };
    hits_.erase(std::unique(hits_.begin(), hits_.end(), is_of_one), hits_.end());
  }

  void drop_beyond_limit() {
    const auto last = hits_.begin() + static_cast<ptrdiff_t>(limit_) - 1;
    std::nth_element(hits_.begin(), last, hits_.end());
    bar_ = *last;
    is_full_ = true;
    hits_.resize(limit_);
  }

  size_t limit_;
  int member_bits_;
  bool keeps_owners_;
  size_t count_ = 0;
  bool is_full_ = false;
  Hit bar_{};
  std::vector<Hit> hits_;
  DistinctIds owners_;
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
