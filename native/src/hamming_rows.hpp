// Rows of codes and ids, which of them were removed, and the sets of ids to remove.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace baken::hamming {

// One bit a row. Readers look while the writer sets bits; a bit is never cleared.
class Tombstones {
 public:
  explicit Tombstones(size_t rows) : words_((rows + 63) / 64) {}

  bool has(size_t row) const { return (words_[row / 64].load(std::memory_order_relaxed) >> (row % 64) & 1) != 0; }
  size_t count() const { return count_; }  // for the writer only
  size_t size_bytes() const { return words_.size() * sizeof(uint64_t); }

  // Returns whether the row was alive.
  bool put(size_t row) {
    const uint64_t bit = uint64_t{1} << (row % 64);
    const bool alive = (words_[row / 64].fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
    count_ += alive ? 1 : 0;
    return alive;
  }

 private:
  std::vector<std::atomic<uint64_t>> words_;
  size_t count_ = 0;
};

// A view of `count` rows side by side; `removed` may be null when none is.
struct Rows {
  const uint8_t* codes;
  const int64_t* ids;
  size_t count;
  const Tombstones* removed;

  bool is_alive(size_t row) const { return removed == nullptr || !removed->has(row); }
  size_t alive_count() const { return count - (removed == nullptr ? 0 : removed->count()); }
};

// A set to test many ids against: a small bitmap answers "no" for most of them.
class IdSet {
 public:
  IdSet(const int64_t* ids, size_t count) : sorted_(ids, ids + count) {
    std::sort(sorted_.begin(), sorted_.end());
    while ((uint64_t{1} << filter_bits_) < 16 * count && filter_bits_ < 26) {
      ++filter_bits_;
    }
    filter_.resize((uint64_t{1} << filter_bits_) / 64);
    for (int64_t id : sorted_) {
      const uint64_t place = place_of(id);
      filter_[place / 64] |= uint64_t{1} << (place % 64);
    }
  }

  bool has(int64_t id) const {
    const uint64_t place = place_of(id);
    return (filter_[place / 64] >> (place % 64) & 1) != 0 && std::binary_search(sorted_.begin(), sorted_.end(), id);
  }

 private:
  uint64_t place_of(int64_t id) const {
    return (static_cast<uint64_t>(id) * 0x9E3779B97F4A7C15U) >> (64 - filter_bits_);
  }

  std::vector<int64_t> sorted_;
  std::vector<uint64_t> filter_;
  int filter_bits_ = 10;
};

// Marks every row whose id is in the set; returns how many were alive until now.
inline size_t bury(const Rows& rows, const IdSet& ids, Tombstones& tombstones) {
  size_t buried = 0;
  for (size_t row = 0; row < rows.count; ++row) {
    if (ids.has(rows.ids[row]) && tombstones.put(row)) {
      ++buried;
    }
  }
  return buried;
}

}  // namespace baken::hamming
