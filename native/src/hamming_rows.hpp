// Rows of codes and ids, which of them were removed, and the sets of ids to remove.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace baken::hamming {

// One bit a row. Readers look while the writer sets bits; a bit is never cleared.
class Tombstones {
 public:
  using Word = std::atomic<uint64_t>;
  static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(uint64_t));  // processes share mapped words

  static size_t words_for(size_t rows) { return (rows + 63) / 64; }

  explicit Tombstones(size_t rows) : owned_(words_for(rows)), words_(owned_) {}

  // The bits lie elsewhere, in a mapped file for example, and outlive this.
  explicit Tombstones(std::span<Word> words) : words_(words) {}

  Tombstones(const Tombstones&) = delete;
  Tombstones& operator=(const Tombstones&) = delete;

  bool has(size_t row) const { return (word(row / 64) >> (row % 64) & 1) != 0; }
  // Acquire and, in put, release: who sees a bit also sees what the writer announced before it.
  uint64_t word(size_t index) const { return words_[index].load(std::memory_order_acquire); }
  size_t word_count() const { return words_.size(); }
  size_t size_bytes() const { return owned_.size() * sizeof(uint64_t); }

  // Looks at every word: 20 us for ten million rows.
  size_t count() const {
    size_t set = 0;
    for (size_t index = 0; index < words_.size(); ++index) {
      set += static_cast<size_t>(std::popcount(word(index)));
    }
    return set;
  }

  // Returns whether the row was alive.
  bool put(size_t row) {
    const uint64_t bit = uint64_t{1} << (row % 64);
    return (words_[row / 64].fetch_or(bit, std::memory_order_release) & bit) == 0;
  }

  // Sets the rows 64 * index to 64 * index + 63 that are set in `word`.
  void put_word(size_t index, uint64_t word) { words_[index].fetch_or(word, std::memory_order_relaxed); }

 private:
  std::vector<Word> owned_;
  std::span<Word> words_;
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

// The least and the greatest id of `id_block_rows` neighbouring rows: a removal skips the blocks it cannot meet.
struct IdRange {
  int64_t least;
  int64_t greatest;
};

constexpr size_t id_block_rows = 4096;

// The greatest number of member bits: an owner is left then.
constexpr int max_member_bits = 62;

// A set to test many ids against, without their low `member_bits` bits: a small bitmap answers "no" for most of them.
class IdSet {
 public:
  IdSet(const int64_t* owners, size_t count, int member_bits)
      : member_bits_(member_bits), sorted_(owners, owners + count) {
    std::sort(sorted_.begin(), sorted_.end());
    while ((uint64_t{1} << filter_bits_) < 16 * count && filter_bits_ < 26) {
      ++filter_bits_;
    }
    filter_.resize((uint64_t{1} << filter_bits_) / 64);
    for (int64_t owner : sorted_) {
      const uint64_t place = place_of(owner);
      filter_[place / 64] |= uint64_t{1} << (place % 64);
    }
  }

  bool has(int64_t id) const {
    const int64_t owner = id >> member_bits_;
    const uint64_t place = place_of(owner);
    return (filter_[place / 64] >> (place % 64) & 1) != 0 && std::binary_search(sorted_.begin(), sorted_.end(), owner);
  }

  bool meets(const IdRange& range) const {
    const auto found = std::lower_bound(sorted_.begin(), sorted_.end(), range.least >> member_bits_);
    return found != sorted_.end() && *found <= range.greatest >> member_bits_;
  }

 private:
  uint64_t place_of(int64_t owner) const {
    return (static_cast<uint64_t>(owner) * 0x9E3779B97F4A7C15U) >> (64 - filter_bits_);
  }

  int member_bits_;
  std::vector<int64_t> sorted_;
  std::vector<uint64_t> filter_;
  int filter_bits_ = 10;
};

// Marks every row whose id is in the set; returns how many were alive until now. `ranges` may be null.
inline size_t bury(const Rows& rows, const IdSet& ids, Tombstones& tombstones, const IdRange* ranges = nullptr) {
  size_t buried = 0;
  for (size_t first = 0; first < rows.count; first += id_block_rows) {
    if (ranges != nullptr && !ids.meets(ranges[first / id_block_rows])) {
      continue;
    }
    for (size_t row = first; row < std::min(first + id_block_rows, rows.count); ++row) {
      if (ids.has(rows.ids[row]) && tombstones.put(row)) {
        ++buried;
      }
    }
  }
  return buried;
}

}  // namespace baken::hamming
