#include "baken/hamming_index.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "hamming_merge.hpp"
#include "hamming_search_all.hpp"
#include "hamming_segment.hpp"
#include "hamming_tail.hpp"

namespace baken {
namespace {

using hamming::code_bytes;
using hamming::IdSet;
using hamming::Rows;
using hamming::Segment;
using hamming::Tail;

// What readers see: segments, each at least `growth` times as large as the next, then the tail.
struct Snapshot {
  std::vector<std::shared_ptr<Segment>> segments;
  std::shared_ptr<Tail> tail;

  std::vector<const Segment*> all() const {
    std::vector<const Segment*> all;
    for (const std::shared_ptr<Segment>& segment : segments) {
      all.push_back(segment.get());
    }
    return all;
  }
};

}  // namespace

class HammingIndex::State {
 public:
  explicit State(int member_bits)
      : member_bits_(hamming::checked_member_bits(member_bits)), current_(std::make_shared<Snapshot>()) {
    current_->tail = std::make_shared<Tail>(hamming::tail_rows);
  }

  int member_bits() const { return member_bits_; }

  std::shared_ptr<const Snapshot> snapshot() const {
    const std::lock_guard lock(current_mutex_);
    return current_;
  }

  void add(const Rows& rows) {
    const std::lock_guard lock(writer_mutex_);
    if (!current_->tail->append(rows)) {
      for (size_t first = 0; first < rows.count; first += hamming::max_segment_rows / 2) {
        const size_t count = std::min(rows.count - first, hamming::max_segment_rows / 2);
        freeze({rows.codes + first * code_bytes, rows.ids + first, count, nullptr});
      }
    }
    alive_ += rows.count;
  }

  size_t remove(const IdSet& ids) {
    const std::lock_guard lock(writer_mutex_);
    size_t removed = current_->tail->remove(ids);
    bool wasteful = false;
    for (const std::shared_ptr<Segment>& segment : current_->segments) {
      removed += segment->remove(ids);
      wasteful |= is_wasteful(*segment);
    }
    alive_ -= removed;
    if (wasteful) {
      rebuild_wasteful();
    }
    return removed;
  }

  size_t size() const { return alive_.load(); }

 private:
  static bool is_wasteful(const Segment& segment) { return 2 * segment.rows().alive_count() < segment.rows().count; }

  // Makes one segment of the tail, the new rows and the last segments as far as they are not much larger.
  void freeze(const Rows& rows) {
    auto next = std::make_shared<Snapshot>();
    next->segments = current_->segments;
    std::vector<Rows> parts = {current_->tail->rows(), rows};
    size_t merged = parts[0].alive_count() + rows.count;
    while (!next->segments.empty()) {
      const Rows last = next->segments.back()->rows();
      if (last.alive_count() >= hamming::growth * merged || last.alive_count() + merged > hamming::max_segment_rows) {
        break;
      }
      parts.insert(parts.begin(), last);
      merged += last.alive_count();
      next->segments.pop_back();
    }
    next->segments.push_back(std::make_shared<Segment>(parts));
    next->tail = std::make_shared<Tail>(hamming::tail_rows);
    publish(std::move(next));
  }

  void rebuild_wasteful() {
    auto next = std::make_shared<Snapshot>();
    next->tail = current_->tail;
    for (const std::shared_ptr<Segment>& segment : current_->segments) {
      const Rows rows = segment->rows();
      if (!is_wasteful(*segment)) {
        next->segments.push_back(segment);
      } else if (rows.alive_count() != 0) {
        next->segments.push_back(std::make_shared<Segment>(std::span(&rows, 1)));
      }
    }
    publish(std::move(next));
  }

  void publish(std::shared_ptr<Snapshot> next) {
    const std::lock_guard lock(current_mutex_);
    current_.swap(next);
  }

  int member_bits_;
  mutable std::mutex writer_mutex_;   // held through a whole add or remove
  mutable std::mutex current_mutex_;  // held only to copy or swap the pointer
  std::shared_ptr<Snapshot> current_;
  std::atomic<size_t> alive_{0};
};

HammingIndex::HammingIndex(int member_bits) : state_(std::make_unique<State>(member_bits)) {}
HammingIndex::~HammingIndex() = default;

void HammingIndex::add(const uint8_t* codes, const int64_t* ids, size_t count) {
  state_->add({codes, ids, count, nullptr});
}

size_t HammingIndex::remove(const int64_t* ids, size_t count) {
  return state_->remove(IdSet(ids, count, state_->member_bits()));
}

SearchResult HammingIndex::search(const Question& question) const {
  const std::shared_ptr<const Snapshot> snapshot = state_->snapshot();
  Question asked = question;
  asked.member_bits = state_->member_bits();
  return hamming::search_all(snapshot->all(), snapshot->tail->rows(), asked);
}

std::vector<SearchPlan> HammingIndex::explain(int radius_bits) const {
  const std::shared_ptr<const Snapshot> snapshot = state_->snapshot();
  return hamming::explain_all(snapshot->all(), snapshot->tail->rows(), radius_bits);
}

size_t HammingIndex::size() const { return state_->size(); }

size_t HammingIndex::memory_bytes() const {
  const std::shared_ptr<const Snapshot> snapshot = state_->snapshot();
  size_t size_bytes = snapshot->tail->memory_bytes();
  for (const std::shared_ptr<Segment>& segment : snapshot->segments) {
    size_bytes += segment->memory_bytes();
  }
  return size_bytes;
}

}  // namespace baken
