// Opening an index, and making good what a writer that died left in it.
#include "index_state.hpp"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "hamming_search_all.hpp"

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

using index::Applied;
using index::Batch;
using index::File;
using index::FileLock;
using index::FolderTail;
using index::Manifest;
using index::MapMode;
using index::Removal;
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
  hamming::checked_member_bits(options.member_bits);
  if (options.reset) {
    index::make_folder(folder);
  }
  open_lock_files();
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

void IndexFolder::State::open_lock_files() {
  const int flags = O_RDWR | (options_.reset ? O_CREAT : 0);
  try {
    lock_file_ = File(path("lock"), flags);
    merge_lock_file_ = File(path("merge-lock"), flags);
  } catch (const IndexError& error) {
    if (options_.reset || error.fault() != IndexFault::read_only) {
      throw;
    }
    read_only_ = true;
    mode_ = MapMode::read;
    lock_file_ = File(path("lock"), O_RDONLY);
  }
}

void IndexFolder::State::open(bool reset) {
  control_ = index::Control(folder_, reset, read_only_ ? MapMode::copy : MapMode::write);
  const Manifest manifest = index::read_manifest(path("manifest"));
  if (manifest.database_id != options_.database_id) {
    throw IndexError(IndexFault::other_database, "index: " + folder_ + " is of database '" + manifest.database_id +
                                                     "', expected '" + options_.database_id + "'");
  }
  if (read_only_) {
    open_to_read();
  } else {
    begin();
  }
  if (mode_ == MapMode::copy) {
    return;  // what is made good there is not in the files
  }
  // Now that what a dead writer left is made good, the bits of what someone touched must be sound as well.
  for (const std::shared_ptr<index::FolderSegment>& segment : view()->segments) {
    segment->accept_touched(!read_only_);
  }
}

// What a writer left to be made good is made good in this process's own copy of the mapped numbers and bits; it does not
// follow the index from then on, and applied_seq() says so. The lock is held.
void IndexFolder::State::open_to_read() {
  const std::shared_ptr<const View> current = view();
  const bool of_this_boot = control_.of_this_boot();
  if (of_this_boot && current->tail->file_bytes() == current->tail->settled_bytes()) {
    return;
  }
  mode_ = MapMode::copy;
  control_.set_generation(current->manifest.generation);
  current_ = nullptr;
  replay(!of_this_boot);
}

void IndexFolder::State::check_writable() const {
  if (read_only_) {
    throw IndexError(IndexFault::read_only, "index: " + folder_ + " may only be read by this process");
  }
}

// Makes good what a writer that died left behind.
void IndexFolder::State::begin() {
  check_writable();
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
    // A batch that was lost may have left bits without their checksums: better to build anew now than while serving.
    for (const std::shared_ptr<index::FolderSegment>& segment : view()->segments) {
      segment->removed().require_sound();
    }
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
  Applied applied = all ? Applied{current->manifest.applied_seq, 0} : tail.applied();
  while (next < end) {
    const std::optional<Batch> batch = tail.read(next, end);
    if (!batch) {
      if (next < acknowledged) {
        index::corrupt(index::tail_path(folder_, current->manifest.tail_number),
                       "the batch at byte " + std::to_string(next) + " is not whole");
      }
      if (!read_only_) {
        tail.cut(next);
      }
      break;
    }
    next += batch->header().size_bytes;
    if (all || next > acknowledged) {
      tail.publish(next);
    }
    bury(*current, *batch, all ? Removal::after_restart : Removal::repeated);
    if (batch->header().applied_seq >= applied.seq) {
      applied = batch->applied();
    }
  }
  if (all || next > acknowledged) {
    tail.publish(next);
  }
  tail.settle(next, applied);
}

}  // namespace baken
