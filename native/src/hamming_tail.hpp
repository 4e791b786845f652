// The newest codes, in the order they came; searched by scanning all of them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hamming_memory.hpp"
#include "hamming_rows.hpp"
#include "hamming_split.hpp"

namespace baken::hamming {

class Tail {
 public:
  explicit Tail(size_t capacity)
      : capacity_(capacity),
        codes_(capacity * code_bytes),
        ids_(capacity * sizeof(int64_t)),
        tombstones_(capacity) {}

  // Takes all rows or, when they do not fit, none. One writer at a time.
  bool append(const Rows& rows) {
    const size_t size = size_.load(std::memory_order_relaxed);
    if (rows.count > capacity_ - size) {
      return false;
    }
    if (rows.count != 0) {
      std::memcpy(codes_.data() + size * code_bytes, rows.codes, rows.count * code_bytes);
      std::memcpy(ids_.data() + size * sizeof(int64_t), rows.ids, rows.count * sizeof(int64_t));
    }
    size_.store(size + rows.count, std::memory_order_release);  // readers that see the size see the rows
    return true;
  }

  size_t remove(const IdSet& ids) { return remove(ids, SIZE_MAX); }

  // Among the first `row_count` rows only.
  size_t remove(const IdSet& ids, size_t row_count) {
    Rows among = rows();
    among.count = std::min(among.count, row_count);
    return bury(among, ids, tombstones_);
  }

  Rows rows() const {
    const size_t size = size_.load(std::memory_order_acquire);
    return {codes_.data(), reinterpret_cast<const int64_t*>(ids_.data()), size, &tombstones_};
  }

  size_t capacity() const { return capacity_; }
  size_t memory_bytes() const { return codes_.size_bytes() + ids_.size_bytes() + tombstones_.size_bytes(); }

 private:
  size_t capacity_;
  Buffer codes_;
  Buffer ids_;
  Tombstones tombstones_;
  std::atomic<size_t> size_{0};
};

}  // namespace baken::hamming
