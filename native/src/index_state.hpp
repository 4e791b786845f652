// What one process holds of an index folder: the mapped files as of the last manifest it read.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hamming_merge.hpp"
#include "index_segment.hpp"
#include "index_tail.hpp"

namespace baken::index {

struct View {
  Manifest manifest;
  std::vector<std::shared_ptr<FolderSegment>> segments;
  std::shared_ptr<FolderTail> tail;

  std::vector<hamming::SegmentSize> sizes() const;
  std::vector<const hamming::Segment*> all() const;
};

// The few words that all processes look at before a search.
class Control {
 public:
  Control() = default;
  // Makes the file when `create` says so and it is not usable.
  Control(const std::string& folder, bool create, MapMode mode);

  bool of_this_boot() const;
  void set_boot();
  uint64_t generation() const { return header().generation.load(std::memory_order_acquire); }
  void set_generation(uint64_t generation);
  uint64_t take_number() { return header().next_number.fetch_add(1); }
  void skip_numbers_to(uint64_t number);

 private:
  ControlHeader& header() const { return *reinterpret_cast<ControlHeader*>(mapping_.data()); }

  std::string path_;
  Mapping mapping_;
};

// A segment on its way to become one; deleted by the next merge or build when its writer died.
constexpr std::string_view merging_prefix = "merging-";
void remove_unfinished_merges(const std::string& folder);

// The number at the end of "segment-12", "removed-12" or "tail-12"; 0 for every other name.
uint64_t number_of(std::string_view name);

// A number above all that the folder's files have.
uint64_t numbers_end(const std::string& folder);

}  // namespace baken::index

namespace baken {

class IndexFolder::State {
 public:
  State(const std::string& folder, const IndexOptions& options);

  // The newest; reads the manifest only when another process swapped it.
  std::shared_ptr<const index::View> view() const;

  SearchResult search(const Question& question);
  // Nothing when rows went beside it.
  std::optional<SearchResult> try_search(const Question& question) const;
  size_t apply(const IndexChange& change);
  void clear();
  void condemn();
  size_t merge(size_t bytes_per_second, bool settle);
  bool merge_due(bool settle) const;
  bool read_only() const { return read_only_; }

  void check_writable() const;  // throws IndexError(read_only)

  // Of a builder, which holds the merge lock.
  double lock_timeout_seconds() const { return options_.lock_timeout_seconds; }
  int member_bits() const { return options_.member_bits; }
  const std::string& folder() const { return folder_; }
  uint64_t take_number() { return control_.take_number(); }
  std::string merging_path(uint64_t number) const;
  // Throws IndexError(corrupt) when bits of a segment, those of the blocks from `first` to `end`, are damaged; what a
  // writer is at, or left to be made good, is no damage.
  void check_removed(const index::FolderSegment& segment, size_t first_block, size_t end_block);
  void put_in_place(const std::optional<index::WrittenSegment>& built, const index::Applied& applied);

 private:
  void open_lock_files();
  void open(bool reset);
  void open_to_read();

  // Of a writer that holds the lock.
  void begin();
  void replay(bool all);
  size_t write(const IndexChange& change);
  size_t bury(const index::View& view, const index::Batch& batch, index::Removal removal) const;
  void freeze();
  void swap(index::Manifest next);
  void make_empty();
  void begin_tail(index::Manifest& next, const index::Applied& applied);
  void adopt(const index::WrittenSegment& merged, const hamming::Tombstones& removed);
  void remove_unused() const;

  // Of a merger.
  bool merge_once(index::Pace& pace, bool settle);
  std::unique_ptr<hamming::Tombstones> removed_now(const index::FolderSegment& segment);
  bool replace(const index::View& before, hamming::Run run, const index::WrittenSegment& merged,
               const std::vector<std::unique_ptr<hamming::Tombstones>>& removed_before);

  std::shared_ptr<const index::View> load() const;
  std::shared_ptr<const index::View> load_once() const;
  std::string path(const char* name) const { return folder_ + "/" + name; }

  std::string folder_;
  IndexOptions options_;
  bool read_only_ = false;
  index::MapMode mode_ = index::MapMode::write;  // of segments and tails
  index::File lock_file_;
  index::File merge_lock_file_;
  index::Control control_;
  std::mutex writer_mutex_;
  std::mutex merge_mutex_;
  mutable std::mutex load_mutex_;     // held while a manifest is read
  mutable std::mutex current_mutex_;  // held only to copy or swap the pointer
  mutable std::shared_ptr<const index::View> current_;
};

}  // namespace baken
