// The newest changes: an append-only file of batches, and each process's own copy of their rows, to scan.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "hamming_tail.hpp"
#include "index_format.hpp"

namespace baken::index {

std::string tail_path(const std::string& folder, uint64_t number);

// A change of the database, and what tells it from the change of that number in another history; 0: not known.
struct Applied {
  int64_t seq = -1;
  uint64_t token = 0;

  friend bool operator==(const Applied&, const Applied&) = default;
};

// One step of the history as the file holds it.
class Batch {
 public:
  Batch(const BatchHeader& header, size_t header_bytes, std::vector<uint64_t> words)
      : header_(header), header_words_(header_bytes / sizeof(uint64_t)), words_(std::move(words)) {}

  const BatchHeader& header() const { return header_; }
  Applied applied() const { return {header_.applied_seq, header_.applied_token}; }
  const int64_t* removed_ids() const { return reinterpret_cast<const int64_t*>(words_.data() + header_words_); }
  hamming::Rows rows() const {
    const int64_t* ids = removed_ids() + header().removed_count;
    return {reinterpret_cast<const uint8_t*>(ids + header().count), ids, header().count, nullptr};
  }

 private:
  BatchHeader header_;
  size_t header_words_;
  std::vector<uint64_t> words_;
};

// Differs before and after a search when rows were removed beside it.
struct RemovalMark {
  uint64_t in_segments;
  uint64_t in_rows;

  friend bool operator==(const RemovalMark&, const RemovalMark&) = default;
};

class FolderTail {
 public:
  static void create(const std::string& folder, uint64_t number, const Applied& applied);

  // With MapMode::copy what is published and settled stays in this process.
  FolderTail(const std::string& folder, uint64_t number, MapMode mode, int member_bits);

  // Whether this version of Baken may append to it.
  bool is_current_version() const { return header().preamble.version == format_version; }

  uint64_t published_bytes() const { return header().published_bytes.load(std::memory_order_acquire); }
  uint64_t settled_bytes() const { return header().settled_bytes.load(std::memory_order_acquire); }
  Applied applied() const {
    return {header().applied_seq.load(std::memory_order_acquire), header().applied_token.load(std::memory_order_acquire)};
  }
  uint64_t file_bytes() const { return file_.size_bytes(); }

  // The batch at `offset`, or nothing when it is not whole before `end`.
  std::optional<Batch> read(uint64_t offset, uint64_t end) const;

  // Of the writer. Writes the batch behind what is published and returns where it ends; nobody sees it yet.
  uint64_t append(const IndexChange& change, const Applied& applied);
  void cut(uint64_t end);
  void publish(uint64_t end);
  void begin_removal();  // between publish() and the first bit set in a segment
  void settle(uint64_t end, const Applied& applied);
  void condemn();  // applied() is that of an empty index from now on

  RemovalMark removal_mark() const {
    return {header().removals.load(std::memory_order_acquire), removals_.load(std::memory_order_acquire)};
  }

  // The published rows; reads those that came since the last call.
  std::shared_ptr<hamming::Tail> rows();

  // Throws IndexError(corrupt) unless every published batch is whole.
  void verify() const;

 private:
  TailHeader& header() const { return *reinterpret_cast<TailHeader*>(mapping_.data()); }
  void take(const Batch& batch);

  int member_bits_;
  File file_;
  Mapping mapping_;
  std::mutex rows_mutex_;
  uint64_t taken_bytes_ = page_bytes;  // in rows_
  std::shared_ptr<hamming::Tail> rows_;
  std::atomic<uint64_t> removals_{0};  // batches whose removals began to reach rows_
};

}  // namespace baken::index
