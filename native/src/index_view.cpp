// What a process holds of the index: following the manifest, and searching in it.
#include <utility>

#include "hamming_search_all.hpp"
#include "index_state.hpp"

namespace baken {

namespace index {

std::vector<hamming::SegmentSize> View::sizes() const {
  std::vector<hamming::SegmentSize> sizes;
  for (const std::shared_ptr<FolderSegment>& segment : segments) {
    const hamming::Rows rows = segment->segment().rows();
    sizes.push_back({rows.count, rows.alive_count(), !segment->segment().arrays().has_tables()});
  }
  return sizes;
}

std::vector<const hamming::Segment*> View::all() const {
  std::vector<const hamming::Segment*> all;
  for (const std::shared_ptr<FolderSegment>& segment : segments) {
    all.push_back(&segment->segment());
  }
  return all;
}

}  // namespace index

using index::FileLock;
using index::FolderSegment;
using index::FolderTail;
using index::ManifestSegment;
using index::View;

namespace {

constexpr int load_attempts = 100;
constexpr int search_attempts = 8;

}  // namespace

std::shared_ptr<const View> IndexFolder::State::view() const {
  const uint64_t generation = control_.generation();
  {
    const std::lock_guard lock(current_mutex_);
    if (current_ != nullptr && current_->manifest.generation >= generation) {
      return current_;
    }
  }
  return load();
}

std::shared_ptr<const View> IndexFolder::State::load() const {
  const std::lock_guard loading(load_mutex_);
  for (int attempt = 1;; ++attempt) {
    try {
      std::shared_ptr<const View> next = load_once();
      const std::lock_guard lock(current_mutex_);
      current_ = next;
      return next;
    } catch (const IndexError& error) {
      // A file that is gone belongs to a manifest that was swapped meanwhile, or it is lost.
      if (error.fault() != IndexFault::missing) {
        throw;
      }
      if (attempt == load_attempts) {
        throw IndexError(IndexFault::corrupt, std::string(error.what()) + "; the manifest names it");
      }
    }
  }
}

std::shared_ptr<const View> IndexFolder::State::load_once() const {
  auto next = std::make_shared<View>();
  next->manifest = index::read_manifest(path("manifest"));
  std::shared_ptr<const View> last;
  {
    const std::lock_guard lock(current_mutex_);
    last = current_;
  }
  for (const ManifestSegment& entry : next->manifest.segments) {
    std::shared_ptr<FolderSegment> segment;
    for (size_t i = 0; last != nullptr && i < last->segments.size(); ++i) {
      if (last->segments[i]->entry().number == entry.number) {
        segment = last->segments[i];
      }
    }
    next->segments.push_back(segment != nullptr ? segment : std::make_shared<FolderSegment>(folder_, entry, mode_));
  }
  const bool same_tail = last != nullptr && last->manifest.tail_number == next->manifest.tail_number;
  next->tail = same_tail ? last->tail
                         : std::make_shared<FolderTail>(folder_, next->manifest.tail_number, mode_, options_.member_bits);
  return next;
}

SearchResult IndexFolder::State::search(const Question& question) {
  for (int attempt = 0; attempt < search_attempts; ++attempt) {
    std::optional<SearchResult> result = try_search(question);
    if (result) {
      return *std::move(result);
    }
  }
  // Rows were removed beside every attempt: this one keeps the writers out.
  const std::lock_guard writer(writer_mutex_);
  const FileLock lock(lock_file_, options_.lock_timeout_seconds);
  if (!read_only_) {
    begin();
  }
  std::optional<SearchResult> result = try_search(question);
  if (!result) {
    index::corrupt(path("control"), "its generation is not that of the manifest, and nobody writes");
  }
  return *std::move(result);
}

// A row that was replaced beside the search may be missed: its new code came after the tail was looked at, and its old
// one went before the segments were. So a search during which rows went, or the manifest changed, does not count.
std::optional<SearchResult> IndexFolder::State::try_search(const Question& question) const {
  const std::shared_ptr<const View> current = view();
  const index::RemovalMark before = current->tail->removal_mark();
  const std::shared_ptr<hamming::Tail> tail = current->tail->rows();
  const index::RemovalMark unmoved = {before.in_segments, current->tail->removal_mark().in_rows};
  try {
    SearchResult result = hamming::search_all(current->all(), tail->rows(), question);
    const bool counts =
        current->tail->removal_mark() == unmoved && control_.generation() <= current->manifest.generation;
    return counts ? std::optional(std::move(result)) : std::nullopt;
  } catch (const hamming::DamagedTables& damaged) {
    current->segments[damaged.segment]->raise_unsound_tables();
  }
}

}  // namespace baken
