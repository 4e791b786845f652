#include "index_state.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "hamming_search_all.hpp"

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

namespace {

// The number at the end of "segment-12", "removed-12" or "tail-12"; 0 for every other name.
uint64_t number_of(std::string_view name) {
  uint64_t number = 0;
  for (const std::string_view prefix : {"segment-", "removed-", "tail-"}) {
    if (name.starts_with(prefix)) {
      std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
    }
  }
  return number;
}

uint64_t numbers_end(const std::string& folder) {
  uint64_t end = 1;
  for (const std::string& name : names_in(folder)) {
    end = std::max(end, number_of(name) + 1);
  }
  return end;
}

constexpr std::string_view merging_prefix = "merging-";

void remove_unfinished_merges(const std::string& folder) {
  for (const std::string& name : names_in(folder)) {
    if (name.starts_with(merging_prefix)) {
      remove_file(folder + "/" + name);
    }
  }
}

// The bits of what is left of `parts` after the rows removed `before` went: those that were removed since.
std::unique_ptr<hamming::Tombstones> removed_since(const std::vector<hamming::Rows>& parts,
                                                   const std::vector<std::unique_ptr<hamming::Tombstones>>& before,
                                                   size_t row_count) {
  auto since = std::make_unique<hamming::Tombstones>(row_count);
  size_t next = 0;
  for (size_t part = 0; part < parts.size(); ++part) {
    const hamming::Tombstones& now = *parts[part].removed;
    for (size_t row = 0; row < parts[part].count; row += 64) {
      const size_t rows_here = std::min<size_t>(64, parts[part].count - row);
      const uint64_t gone = before[part]->word(row / 64);
      if (now.word(row / 64) == gone) {
        next += rows_here - static_cast<size_t>(std::popcount(gone));
        continue;
      }
      for (size_t bit = 0; bit < rows_here; ++bit) {
        if (!before[part]->has(row + bit)) {
          if (now.has(row + bit)) {
            since->put(next);
          }
          ++next;
        }
      }
    }
  }
  return since;
}

}  // namespace
}  // namespace index

using index::Batch;
using index::File;
using index::FileLock;
using index::FolderSegment;
using index::FolderTail;
using index::Manifest;
using index::ManifestSegment;
using index::View;

namespace {

constexpr size_t max_tail_bytes = size_t{16} << 20;

// Beyond this many segments a writer merges itself, whoever else should have.
constexpr size_t max_segments = 24;

constexpr int load_attempts = 100;
constexpr int search_attempts = 8;

bool may_reset_after(IndexFault fault) {
  switch (fault) {
    case IndexFault::missing:
    case IndexFault::foreign:
    case IndexFault::truncated:
    case IndexFault::corrupt:
    case IndexFault::other_database: return true;
    default: return false;
  }
}

}  // namespace

IndexFolder::State::State(const std::string& folder, const IndexOptions& options) : folder_(folder), options_(options) {
  if (options.database_id.size() > sizeof(index::ManifestHeader::database_id)) {
    throw std::invalid_argument("database_id: got " + std::to_string(options.database_id.size()) +
                                " bytes, expected at most 64; give a shorter name.");
  }
  if (options.reset) {
    index::make_folder(folder);
  }
  const int flags = O_RDWR | (options.reset ? O_CREAT : 0);
  lock_file_ = File(path("lock"), flags);
  merge_lock_file_ = File(path("merge-lock"), flags);
  const FileLock lock(lock_file_, options.lock_timeout_seconds);
  try {
    open(options.reset);
  } catch (const IndexError& error) {
    if (!options.reset || !may_reset_after(error.fault())) {
      throw;
    }
    make_empty();
    control_.set_boot();
  }
}

void IndexFolder::State::open(bool reset) {
  control_ = index::Control(folder_, reset);
  const Manifest manifest = index::read_manifest(path("manifest"));
  if (manifest.database_id != options_.database_id) {
    throw IndexError(IndexFault::other_database, "index: " + folder_ + " is of database '" + manifest.database_id +
                                                     "', expected '" + options_.database_id + "'");
  }
  begin();
}

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
    next->segments.push_back(segment != nullptr ? segment : std::make_shared<FolderSegment>(folder_, entry));
  }
  const bool same_tail = last != nullptr && last->manifest.tail_number == next->manifest.tail_number;
  next->tail = same_tail ? last->tail : std::make_shared<FolderTail>(folder_, next->manifest.tail_number);
  return next;
}

// Makes good what a writer that died left behind.
void IndexFolder::State::begin() {
  if (!lock_file_.is_in_place()) {
    // Two writers, each with a lock of its own, would spoil what was made anew there.
    throw IndexError(IndexFault::missing, "index: " + folder_ + " was deleted while it was open");
  }
  const Manifest manifest = index::read_manifest(path("manifest"));
  if (control_.generation() != manifest.generation) {
    control_.set_generation(manifest.generation);
  }
  const std::shared_ptr<const View> current = view();
  if (!control_.of_this_boot()) {
    control_.skip_numbers_to(index::numbers_end(folder_));
    replay(true);
    control_.set_boot();
  } else if (current->tail->file_bytes() != current->tail->settled_bytes()) {
    replay(false);
  }
}

// The mapped words may be older than the files after a power cut: then `all` batches count, as far as they are whole.
void IndexFolder::State::replay(bool all) {
  const std::shared_ptr<const View> current = view();
  FolderTail& tail = *current->tail;
  const uint64_t end = tail.file_bytes();
  uint64_t next = all ? index::page_bytes : tail.settled_bytes();
  const uint64_t acknowledged = all ? index::page_bytes : tail.published_bytes();
  int64_t applied_seq = all ? current->manifest.applied_seq : tail.applied_seq();
  while (next < end) {
    const std::optional<Batch> batch = tail.read(next, end);
    if (!batch) {
      if (next < acknowledged) {
        index::corrupt(index::tail_path(folder_, current->manifest.tail_number),
                       "the batch at byte " + std::to_string(next) + " is not whole");
      }
      tail.cut(next);
      break;
    }
    next += batch->header().size_bytes;
    if (all || next > acknowledged) {
      tail.publish(next);
    }
    bury(*current, *batch);
    applied_seq = std::max(applied_seq, batch->header().applied_seq);
  }
  if (all || next > acknowledged) {
    tail.publish(next);
  }
  tail.settle(next, applied_seq);
}

size_t IndexFolder::State::bury(const View& view, const Batch& batch) {
  if (batch.header().removed_count == 0) {
    return 0;
  }
  const hamming::IdSet ids(batch.removed_ids(), batch.header().removed_count);
  view.tail->begin_removal();
  size_t buried = 0;
  for (const std::shared_ptr<FolderSegment>& segment : view.segments) {
    index::step("bury", "segment");
    buried += segment->segment().remove(ids);
  }
  return buried;
}

size_t IndexFolder::State::apply(const IndexChange& change) {
  size_t removed = 0;
  bool crowded = false;
  {
    const std::lock_guard writer(writer_mutex_);
    const FileLock lock(lock_file_, options_.lock_timeout_seconds);
    begin();
    removed = write(change);
    const std::shared_ptr<const View> current = view();
    if (current->tail->rows()->rows().count >= hamming::tail_rows || current->tail->file_bytes() >= max_tail_bytes) {
      freeze();
    }
    crowded = view()->segments.size() > max_segments;
  }
  if (crowded) {
    merge();
  }
  return removed;
}

size_t IndexFolder::State::write(const IndexChange& change) {
  const std::shared_ptr<const View> current = view();
  FolderTail& tail = *current->tail;
  const int64_t applied_seq = std::max(tail.applied_seq(), change.applied_seq);
  if (change.removed_count == 0 && change.count == 0 && applied_seq == tail.applied_seq()) {
    return 0;
  }
  const size_t alive_before = tail.rows()->rows().alive_count();
  const uint64_t start = tail.published_bytes();
  const uint64_t end = tail.append(change, applied_seq);
  tail.publish(end);
  size_t removed = alive_before + change.count - tail.rows()->rows().alive_count();
  if (change.removed_count != 0) {
    removed += bury(*current, *tail.read(start, end));
  }
  tail.settle(end, applied_seq);
  return removed;
}

// Makes a segment of the tail and begins a new tail.
void IndexFolder::State::freeze() {
  const std::shared_ptr<const View> current = view();
  const std::shared_ptr<hamming::Tail> tail = current->tail->rows();
  const hamming::Rows rows = tail->rows();
  Manifest next = current->manifest;
  if (rows.alive_count() != 0) {
    const uint64_t number = control_.take_number();
    next.segments.push_back(index::write_segment(index::segment_path(folder_, number), number, std::span(&rows, 1)));
    const size_t alive = rows.alive_count();
    index::write_removed(folder_, number, hamming::Tombstones(alive), alive);
  }
  for (const std::shared_ptr<FolderSegment>& segment : current->segments) {
    segment->sync_removed();
  }
  next.applied_seq = current->tail->applied_seq();
  next.tail_number = control_.take_number();
  FolderTail::create(folder_, next.tail_number, next.applied_seq);
  swap(std::move(next));
}

void IndexFolder::State::swap(Manifest next) {
  ++next.generation;
  index::write_manifest(path("manifest"), next);
  control_.set_generation(next.generation);
  load();
  remove_unused();
}

void IndexFolder::State::clear() {
  const std::lock_guard writer(writer_mutex_);
  const FileLock lock(lock_file_, options_.lock_timeout_seconds);
  begin();
  make_empty();
}

void IndexFolder::State::make_empty() {
  Manifest next;
  next.generation = control_.generation();
  next.database_id = options_.database_id;
  control_.skip_numbers_to(index::numbers_end(folder_));
  next.tail_number = control_.take_number();
  FolderTail::create(folder_, next.tail_number, next.applied_seq);
  swap(std::move(next));
}

// Who still maps a file keeps its pages.
void IndexFolder::State::remove_unused() const {
  std::set<uint64_t> used;
  {
    const std::lock_guard lock(current_mutex_);
    used.insert(current_->manifest.tail_number);
    for (const ManifestSegment& segment : current_->manifest.segments) {
      used.insert(segment.number);
    }
  }
  for (const std::string& name : index::names_in(folder_)) {
    const uint64_t number = index::number_of(name);
    if (number != 0 && !used.contains(number)) {
      index::remove_file(path(name.c_str()));
    }
  }
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
  begin();
  return *try_search(question);
}

// A row that was replaced beside the search may be missed: its new code came after the tail was looked at, and its old
// one went before the segments were. So a search during which rows went, or the manifest changed, does not count.
std::optional<SearchResult> IndexFolder::State::try_search(const Question& question) const {
  const std::shared_ptr<const View> current = view();
  const index::RemovalMark before = current->tail->removal_mark();
  const std::shared_ptr<hamming::Tail> tail = current->tail->rows();
  const index::RemovalMark unmoved = {before.in_segments, current->tail->removal_mark().in_rows};
  SearchResult result = hamming::search_all(current->all(), tail->rows(), question);
  const bool counts =
      current->tail->removal_mark() == unmoved && control_.generation() <= current->manifest.generation;
  return counts ? std::optional(std::move(result)) : std::nullopt;
}

size_t IndexFolder::State::merge() {
  const std::unique_lock merger(merge_mutex_, std::try_to_lock);
  if (!merger.owns_lock()) {
    return 0;
  }
  try {
    const FileLock lock(merge_lock_file_, 0);
    index::remove_unfinished_merges(folder_);
    size_t written = 0;
    while (merge_once()) {
      ++written;
    }
    return written;
  } catch (const IndexError& error) {
    if (error.fault() == IndexFault::locked) {
      return 0;
    }
    throw;
  }
}

// Builds beside readers and writers, and stops them only to swap the manifest.
bool IndexFolder::State::merge_once() {
  const std::shared_ptr<const View> before = view();
  const hamming::Run run = hamming::due_run(before->sizes());
  if (run.empty()) {
    return false;
  }
  std::vector<std::unique_ptr<hamming::Tombstones>> removed_before;
  std::vector<hamming::Rows> parts;
  for (size_t i = run.first; i < run.end; ++i) {
    hamming::Rows rows = before->segments[i]->segment().rows();
    removed_before.push_back(std::make_unique<hamming::Tombstones>(rows.count));
    removed_before.back()->put_all(*rows.removed);
    rows.removed = removed_before.back().get();
    parts.push_back(rows);
  }
  const uint64_t number = control_.take_number();
  const std::string unfinished = path("merging-") + std::to_string(number);
  return replace(*before, run, index::write_segment(unfinished, number, parts), removed_before);
}

bool IndexFolder::State::replace(const View& before, hamming::Run run, const ManifestSegment& merged,
                                 const std::vector<std::unique_ptr<hamming::Tombstones>>& removed_before) {
  const std::lock_guard writer(writer_mutex_);
  const FileLock lock(lock_file_, options_.lock_timeout_seconds);
  begin();
  const std::shared_ptr<const View> current = view();
  const auto is_first = [&](const ManifestSegment& each) {
    return each.number == before.manifest.segments[run.first].number;
  };
  Manifest next = current->manifest;
  const auto first = std::find_if(next.segments.begin(), next.segments.end(), is_first);
  if (first == next.segments.end()) {
    return false;  // the index was emptied meanwhile
  }
  std::vector<hamming::Rows> parts;
  for (size_t i = run.first; i < run.end; ++i) {
    parts.push_back(before.segments[i]->segment().rows());
  }
  const auto rest = next.segments.erase(first, first + static_cast<ptrdiff_t>(run.end - run.first));
  if (merged.rows != 0) {
    index::write_removed(folder_, merged.number, *index::removed_since(parts, removed_before, merged.rows), merged.rows);
    index::rename_file(path("merging-") + std::to_string(merged.number), index::segment_path(folder_, merged.number));
    next.segments.insert(rest, merged);
  }
  swap(std::move(next));
  return true;
}

void IndexFolder::State::verify() const {
  index::read_manifest(path("manifest"));
  const std::shared_ptr<const View> current = view();
  for (const std::shared_ptr<FolderSegment>& segment : current->segments) {
    segment->verify();
  }
  current->tail->verify();
}

}  // namespace baken
