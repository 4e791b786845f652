// Merging segments beside readers and writers.
#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "index_state.hpp"

namespace baken {
namespace index {

void remove_unfinished_merges(const std::string& folder) {
  for (const std::string& name : names_in(folder)) {
    if (name.starts_with(merging_prefix)) {
      remove_file(folder + "/" + name);
    }
  }
}

namespace {

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

hamming::Run due_run(const View& view, bool settle) {
  return hamming::due_run(view.sizes(), settle ? hamming::settled_growth : hamming::growth);
}

}  // namespace
}  // namespace index

using index::FileLock;
using index::FolderSegment;
using index::Manifest;
using index::ManifestSegment;
using index::WrittenSegment;
using index::View;

bool IndexFolder::State::merge_due(bool settle) const {
  return !index::due_run(*view(), settle).empty();
}

size_t IndexFolder::State::merge(size_t bytes_per_second, bool settle) {
  check_writable();
  const std::unique_lock merger(merge_mutex_, std::try_to_lock);
  if (!merger.owns_lock()) {
    return 0;
  }
  try {
    const FileLock lock(merge_lock_file_, 0);
    index::remove_unfinished_merges(folder_);
    size_t written = 0;
    index::Pace pace(bytes_per_second);
    while (merge_once(pace, settle)) {
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

std::string IndexFolder::State::merging_path(uint64_t number) const {
  return folder_ + "/" + std::string(index::merging_prefix) + std::to_string(number);
}

bool IndexFolder::State::merge_once(index::Pace& pace, bool settle) {
  const std::shared_ptr<const View> before = view();
  const hamming::Run run = index::due_run(*before, settle);
  if (run.empty()) {
    return false;
  }
  std::vector<std::unique_ptr<hamming::Tombstones>> removed_before;
  std::vector<hamming::Rows> parts;
  for (size_t i = run.first; i < run.end; ++i) {
    // What is taken over gets new checksums: damage must not, and no row may go because of a damaged bit.
    before->segments[i]->verify_rows();
    hamming::Rows rows = before->segments[i]->segment().rows();
    removed_before.push_back(removed_now(*before->segments[i]));
    rows.removed = removed_before.back().get();
    parts.push_back(rows);
  }
  const uint64_t number = control_.take_number();
  const WrittenSegment merged = index::write_segment(merging_path(number), number, parts, pace);
  return replace(*before, run, merged, removed_before);
}

// What was removed from a segment until now.
std::unique_ptr<hamming::Tombstones> IndexFolder::State::removed_now(const FolderSegment& segment) {
  auto copy = std::make_unique<hamming::Tombstones>(segment.entry().rows);
  for (size_t block = 0; block < segment.removed().block_count(); ++block) {
    if (segment.removed().copy_block(block, *copy)) {
      continue;
    }
    const std::lock_guard writer(writer_mutex_);
    const FileLock lock(lock_file_, options_.lock_timeout_seconds);
    begin();
    if (!segment.removed().copy_block(block, *copy)) {
      segment.removed().raise_damaged();
    }
  }
  return copy;
}

bool IndexFolder::State::replace(const View& before, hamming::Run run, const WrittenSegment& merged,
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
    before.segments[i]->removed().require_sound();
    parts.push_back(before.segments[i]->segment().rows());
  }
  const auto rest = next.segments.erase(first, first + static_cast<ptrdiff_t>(run.end - run.first));
  if (merged.entry.rows != 0) {
    adopt(merged, *index::removed_since(parts, removed_before, merged.entry.rows));
    next.segments.insert(rest, merged.entry);
  }
  swap(std::move(next));
  return true;
}

// Gives a merged or built segment its bits and its name.
void IndexFolder::State::adopt(const WrittenSegment& merged, const hamming::Tombstones& removed) {
  index::RemovedRows::create(folder_, merged.entry, merged.stamp, removed);
  index::rename_file(merging_path(merged.entry.number), index::segment_path(folder_, merged.entry.number));
}

}  // namespace baken
