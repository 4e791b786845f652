// Checking an index a piece at a time.
#include <algorithm>

#include "index_state.hpp"

namespace baken {

using index::FolderSegment;
using index::Section;
using index::View;

// Where a check has come to in the segments of a view. The view keeps the files even when they are merged away.
class IndexCheck::Place {
 public:
  Place(IndexFolder::State& state, std::shared_ptr<const View> view) : state_(state), view_(std::move(view)) {}

  size_t step(size_t size_bytes) {
    size_t checked = 0;
    while (segment_ < view_->segments.size() && checked < size_bytes) {
      const FolderSegment& segment = *view_->segments[segment_];
      if (section_ < hamming::section_count) {
        checked += piece(segment, size_bytes - checked);
      } else if (checked == 0 || size_bytes - checked >= removed_block_bytes) {
        checked += removed_piece(segment, size_bytes - checked);
      } else {
        break;  // the next step begins with a block of bits, which is not checked in parts
      }
    }
    return checked;
  }

 private:
  size_t piece(const FolderSegment& segment, size_t size_bytes) {
    if (section_ == 0 && offset_ == 0) {
      segment.verify_header();
    }
    const Section& section = segment.section(section_);
    const size_t here = std::min<size_t>(size_bytes, section.size_bytes - offset_);
    sum_ = segment.checksum_of(section.offset + offset_, here, sum_);
    offset_ += here;
    if (offset_ == section.size_bytes) {
      end_section(segment);
    }
    return here;
  }

  void end_section(const FolderSegment& segment) {
    if (sum_ != segment.section(section_).checksum) {
      segment.raise_damaged(section_);
    }
    sum_ = 0;
    offset_ = 0;
    ++section_;
  }

  size_t removed_piece(const FolderSegment& segment, size_t size_bytes) {
    const size_t first = removed_block_;
    removed_block_ = std::min(first + std::max<size_t>(size_bytes / removed_block_bytes, 1), segment.removed().block_count());
    state_.check_removed(segment, first, removed_block_);
    const size_t checked = (removed_block_ - first) * removed_block_bytes;
    if (removed_block_ == segment.removed().block_count()) {
      removed_block_ = 0;
      section_ = 0;
      ++segment_;
    }
    return checked;
  }

  static constexpr size_t removed_block_bytes = index::removed_block_rows / 8;


  IndexFolder::State& state_;
  std::shared_ptr<const View> view_;
  size_t segment_ = 0;
  size_t section_ = 0;
  uint64_t offset_ = 0;
  size_t removed_block_ = 0;
  uint32_t sum_ = 0;
};

IndexCheck::IndexCheck(const IndexFolder& folder) {
  const std::shared_ptr<const View> view = folder.state_->view();
  index::read_manifest(folder.state_->folder() + "/manifest");
  view->tail->verify();
  place_ = std::make_unique<Place>(*folder.state_, view);
}

IndexCheck::~IndexCheck() = default;

size_t IndexCheck::step(size_t size_bytes) { return place_->step(size_bytes); }

void IndexFolder::State::check_removed(const FolderSegment& segment, size_t first_block, size_t end_block) {
  // In a copy of its own a process sees some of what others write, page by page: bits and checksums need not agree.
  if (mode_ == index::MapMode::copy || segment.removed().is_sound(first_block, end_block)) {
    return;
  }
  const std::lock_guard writer(writer_mutex_);
  const index::FileLock lock(lock_file_, options_.lock_timeout_seconds);
  if (!read_only_) {
    begin();
  } else if (!control_.of_this_boot() || view()->tail->file_bytes() != view()->tail->settled_bytes()) {
    return;  // a writer died, and the next one makes it good
  }
  if (!segment.removed().is_sound(first_block, end_block)) {
    segment.removed().raise_damaged();
  }
}

}  // namespace baken
