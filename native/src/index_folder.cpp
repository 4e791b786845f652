#include "baken/index_folder.hpp"

#include <algorithm>

#include "index_state.hpp"

namespace baken {

using index::FolderSegment;
using index::View;

namespace {

constexpr size_t queries_at_once = 16;
constexpr size_t verified_at_once_bytes = size_t{1} << 20;

}  // namespace

IndexFolder::IndexFolder(const std::string& path, const IndexOptions& options)
    : state_(std::make_unique<State>(path, options)) {}
IndexFolder::~IndexFolder() = default;

size_t IndexFolder::apply(const IndexChange& change) { return state_->apply(change); }

void IndexFolder::clear() { state_->clear(); }

void IndexFolder::condemn() { state_->condemn(); }

size_t IndexFolder::merge(size_t bytes_per_second) { return state_->merge(bytes_per_second); }

bool IndexFolder::merge_due() const { return !hamming::due_run(state_->view()->sizes()).empty(); }

// Few queries at a time, so that a removal beside a long list of them repeats few.
SearchResult IndexFolder::search(const uint8_t* codes, size_t count, int radius_bits) const {
  SearchResult all = state_->search(codes, 0, radius_bits);
  for (size_t first = 0; first < count; first += queries_at_once) {
    const size_t here = std::min(queries_at_once, count - first);
    SearchResult found = state_->search(codes + first * hamming::code_bytes, here, radius_bits);
    for (int64_t& row : found.query_row) {
      row += static_cast<int64_t>(first);
    }
    all.query_row.insert(all.query_row.end(), found.query_row.begin(), found.query_row.end());
    all.id.insert(all.id.end(), found.id.begin(), found.id.end());
    all.distance_bits.insert(all.distance_bits.end(), found.distance_bits.begin(), found.distance_bits.end());
  }
  return all;
}

size_t IndexFolder::size() const {
  const std::shared_ptr<const View> view = state_->view();
  size_t alive = view->tail->rows()->rows().alive_count();
  for (const hamming::SegmentSize& each : view->sizes()) {
    alive += each.alive;
  }
  return alive;
}

int64_t IndexFolder::applied_seq() const { return state_->view()->tail->applied().seq; }

uint64_t IndexFolder::applied_token() const { return state_->view()->tail->applied().token; }

bool IndexFolder::read_only() const { return state_->read_only(); }

size_t IndexFolder::segment_count() const { return state_->view()->segments.size(); }

size_t IndexFolder::memory_bytes() const { return state_->view()->tail->rows()->memory_bytes(); }

size_t IndexFolder::mapped_bytes() const {
  size_t size_bytes = 2 * index::page_bytes;  // the control words and the head of the tail
  for (const std::shared_ptr<FolderSegment>& segment : state_->view()->segments) {
    size_bytes += segment->mapped_bytes();
  }
  return size_bytes;
}

void IndexFolder::verify() const {
  IndexCheck check(*this);
  while (check.step(verified_at_once_bytes) != 0) {
  }
}

}  // namespace baken
