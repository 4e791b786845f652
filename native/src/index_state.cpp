// Opening an index, and making good what a writer that died left in it.
#include "index_state.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace baken {
namespace index {

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

}  // namespace index

using index::Batch;
using index::File;
using index::FileLock;
using index::FolderSegment;
using index::FolderTail;
using index::Manifest;
using index::View;

namespace {

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

void IndexFolder::State::verify() const {
  index::read_manifest(path("manifest"));
  const std::shared_ptr<const View> current = view();
  for (const std::shared_ptr<FolderSegment>& segment : current->segments) {
    segment->verify();
  }
  current->tail->verify();
}

}  // namespace baken
