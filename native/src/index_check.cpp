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
  explicit Place(std::shared_ptr<const View> view) : view_(std::move(view)) {}

  size_t step(size_t size_bytes) {
    size_t checked = 0;
    while (segment_ < view_->segments.size() && checked < size_bytes) {
      checked += piece(*view_->segments[segment_], size_bytes - checked);
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
    if (++section_ == hamming::section_count) {
      section_ = 0;
      ++segment_;
    }
  }

  std::shared_ptr<const View> view_;
  size_t segment_ = 0;
  size_t section_ = 0;
  uint64_t offset_ = 0;
  uint32_t sum_ = 0;
};

IndexCheck::IndexCheck(const IndexFolder& folder) {
  const std::shared_ptr<const View> view = folder.state_->view();
  index::read_manifest(folder.state_->folder() + "/manifest");
  view->tail->verify();
  place_ = std::make_unique<Place>(view);
}

IndexCheck::~IndexCheck() = default;

size_t IndexCheck::step(size_t size_bytes) { return place_->step(size_bytes); }

}  // namespace baken
