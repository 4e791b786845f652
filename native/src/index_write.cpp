// Changes: a batch in the tail, its removals in the segments, a segment made of a full tail, a swapped manifest.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "index_state.hpp"

namespace baken {

using index::Applied;
using index::Batch;
using index::FileLock;
using index::FolderSegment;
using index::FolderTail;
using index::Manifest;
using index::ManifestSegment;
using index::Removal;
using index::View;

namespace {

constexpr size_t max_tail_bytes = size_t{16} << 20;

// Beyond this many segments a writer merges itself, whoever else should have.
constexpr size_t max_segments = 24;

}  // namespace

size_t IndexFolder::State::bury(const View& view, const Batch& batch, Removal removal) const {
  if (batch.header().removed_count == 0) {
    return 0;
  }
  const hamming::IdSet ids(batch.removed_ids(), batch.header().removed_count, options_.member_bits);
  view.tail->begin_removal();
  size_t buried = 0;
  for (const std::shared_ptr<FolderSegment>& segment : view.segments) {
    index::step("bury", "segment");
    buried += segment->removed().bury(segment->segment().arrays(), ids, removal);
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
    if (!view()->tail->is_current_version()) {
      freeze();
    }
    removed = write(change);
    const std::shared_ptr<const View> current = view();
    if (current->tail->rows()->rows().count >= hamming::tail_rows || current->tail->file_bytes() >= max_tail_bytes) {
      freeze();
    }
    crowded = view()->segments.size() > max_segments;
  }
  if (crowded) {
    merge(0, false);
  }
  return removed;
}

size_t IndexFolder::State::write(const IndexChange& change) {
  const std::shared_ptr<const View> current = view();
  FolderTail& tail = *current->tail;
  Applied applied = tail.applied();
  if (change.applied_seq > applied.seq || (change.applied_seq == applied.seq && change.applied_token != 0)) {
    applied = {change.applied_seq, change.applied_token};
  }
  if (change.removed_count == 0 && change.count == 0 && applied == tail.applied()) {
    return 0;
  }
  const size_t alive_before = tail.rows()->rows().alive_count();
  const uint64_t start = tail.published_bytes();
  const uint64_t end = tail.append(change, applied);
  tail.publish(end);
  size_t removed = alive_before + change.count - tail.rows()->rows().alive_count();
  if (change.removed_count != 0) {
    removed += bury(*current, *tail.read(start, end), Removal::fresh);
  }
  tail.settle(end, applied);
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
    index::Pace unpaced(0);
    const index::WrittenSegment frozen =
        index::write_segment(index::segment_path(folder_, number), number, std::span(&rows, 1), unpaced);
    index::RemovedRows::create(folder_, frozen.entry, frozen.stamp, hamming::Tombstones(frozen.entry.rows));
    next.segments.push_back(frozen.entry);
  }
  for (const std::shared_ptr<FolderSegment>& segment : current->segments) {
    segment->removed().sync();
  }
  begin_tail(next, current->tail->applied());
  swap(std::move(next));
}

void IndexFolder::State::begin_tail(Manifest& next, const Applied& applied) {
  next.applied_seq = applied.seq;
  next.tail_number = control_.take_number();
  FolderTail::create(folder_, next.tail_number, applied);
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
  begin_tail(next, {});
  swap(std::move(next));
}

void IndexFolder::State::condemn() {
  const std::lock_guard writer(writer_mutex_);
  const FileLock lock(lock_file_, options_.lock_timeout_seconds);
  try {
    begin();
  } catch (const IndexError& error) {
    if (error.fault() != IndexFault::corrupt) {
      throw;  // what cannot be made good, because it is damaged, is condemned all the more
    }
  }
  view()->tail->condemn();
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

}  // namespace baken
