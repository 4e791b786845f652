#include "baken/index_folder.hpp"

#include <algorithm>
#include <optional>

#include "hamming_search_all.hpp"
#include "index_state.hpp"

namespace baken {

using index::FolderSegment;
using index::View;

namespace {

constexpr size_t verified_at_once_bytes = size_t{1} << 20;
constexpr size_t many_queries = 16384;
constexpr size_t few_queries = 16;

Question part_of(const Question& question, size_t first, size_t count) {
  Question part = question;
  part.codes += first * hamming::code_bytes;
  part.count = std::min(count, question.count - first);
  return part;
}

// `first` is the query that `found` begins with.
void append(const SearchResult& found, size_t first, size_t codes_an_item, SearchResult& all) {
  const auto moved = [](const std::vector<int64_t>& from, size_t by, std::vector<int64_t>& to) {
    for (const int64_t row : from) {
      to.push_back(row + static_cast<int64_t>(by));
    }
  };
  moved(found.query_row, first, all.query_row);
  moved(found.count_item, first / codes_an_item, all.count_item);
  all.id.insert(all.id.end(), found.id.begin(), found.id.end());
  all.distance_bits.insert(all.distance_bits.end(), found.distance_bits.begin(), found.distance_bits.end());
  all.count_group.insert(all.count_group.end(), found.count_group.begin(), found.count_group.end());
  all.count.insert(all.count.end(), found.count.begin(), found.count.end());
  moved(found.counted_item, first / codes_an_item, all.counted_item);
  all.counted_owner.insert(all.counted_owner.end(), found.counted_owner.begin(), found.counted_owner.end());
}

}  // namespace

IndexFolder::IndexFolder(const std::string& path, const IndexOptions& options)
    : state_(std::make_unique<State>(path, options)) {}
IndexFolder::~IndexFolder() = default;

size_t IndexFolder::apply(const IndexChange& change) { return state_->apply(change); }

void IndexFolder::clear() { state_->clear(); }

void IndexFolder::condemn() { state_->condemn(); }

size_t IndexFolder::merge(size_t bytes_per_second, bool settle) {
  return state_->merge(bytes_per_second, settle);
}

bool IndexFolder::merge_due(bool settle) const { return state_->merge_due(settle); }

// Many queries at a time, because that is much faster; after a removal beside them few, so that the next repeats few.
SearchResult IndexFolder::search(const Question& asked) const {
  Question question = asked;
  question.member_bits = state_->member_bits();
  hamming::check(question);
  SearchResult all;
  const size_t step = std::max(many_queries / question.codes_an_item, size_t{1}) * question.codes_an_item;
  for (size_t first = 0; first == 0 || first < question.count; first += step) {
    const Question part = part_of(question, first, step);
    if (const std::optional<SearchResult> found = state_->try_search(part)) {
      append(*found, first, part.codes_an_item, all);
      continue;
    }
    const size_t few = std::max(few_queries / question.codes_an_item, size_t{1}) * question.codes_an_item;
    for (size_t next = 0; next < part.count; next += few) {
      append(state_->search(part_of(part, next, few)), first + next, part.codes_an_item, all);
    }
  }
  return all;
}

std::vector<SearchPlan> IndexFolder::explain(int radius_bits) const {
  const std::shared_ptr<const View> view = state_->view();
  return hamming::explain_all(view->all(), view->tail->rows()->rows(), radius_bits);
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
