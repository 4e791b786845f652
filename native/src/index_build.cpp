// Building a whole index beside the one that counts.
#include <fcntl.h>

#include <optional>
#include <utility>

#include "index_state.hpp"

namespace baken {

using index::File;
using index::FileLock;
using index::Manifest;
using index::SegmentWriter;
using index::WrittenSegment;

class IndexBuild::Parts {
 public:
  Parts(const std::string& lock_path, double timeout_seconds)
      : lock_file_(lock_path, O_RDWR), lock_(lock_file_, timeout_seconds) {}

  void begin(const std::string& path, uint64_t number) { writer_.emplace(path, number); }
  SegmentWriter& writer() { return *writer_; }

 private:
  File lock_file_;  // of its own, so that the lock also keeps out mergers of this process
  FileLock lock_;
  std::optional<SegmentWriter> writer_;
};

IndexBuild::IndexBuild(IndexFolder& folder) : state_(*folder.state_) {
  state_.check_writable();
  parts_ = std::make_unique<Parts>(state_.folder() + "/merge-lock", state_.lock_timeout_seconds());
  index::remove_unfinished_merges(state_.folder());
  const uint64_t number = state_.take_number();
  parts_->begin(state_.merging_path(number), number);
}

IndexBuild::~IndexBuild() = default;

void IndexBuild::add(const uint8_t* codes, const int64_t* ids, size_t count) {
  if (count != 0) {
    parts_->writer().add(codes, ids, count);
  }
}

void IndexBuild::finish(int64_t applied_seq, uint64_t applied_token) {
  const bool is_empty = parts_->writer().rows() == 0;
  state_.put_in_place(is_empty ? std::nullopt : std::optional(parts_->writer().finish()), {applied_seq, applied_token});
  parts_.reset();
}

void IndexFolder::State::put_in_place(const std::optional<WrittenSegment>& built, const index::Applied& applied) {
  const std::lock_guard writer(writer_mutex_);
  const FileLock lock(lock_file_, options_.lock_timeout_seconds);
  begin();
  Manifest next;
  next.generation = view()->manifest.generation;
  next.database_id = options_.database_id;
  if (built) {
    adopt(*built, hamming::Tombstones(built->entry.rows));
    next.segments.push_back(built->entry);
  }
  begin_tail(next, applied);
  swap(std::move(next));
}

}  // namespace baken
