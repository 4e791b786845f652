// What one process holds of an index folder: the mapped files as of the last manifest it read.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
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
  Control(const std::string& folder, bool create);

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
  size_t merge();
  void verify() const;

 private:
  // Of a writer that holds the lock.
  void open(bool reset);
  void begin();
  void replay(bool all);
  size_t write(const IndexChange& change);
  static size_t bury(const index::View& view, const index::Batch& batch);
  void freeze();
  void swap(index::Manifest next);
  void make_empty();
  void remove_unused() const;

  // Of a merger.
  bool merge_once();
  bool replace(const index::View& before, hamming::Run run, const index::ManifestSegment& merged,
               const std::vector<std::unique_ptr<hamming::Tombstones>>& removed_before);

  std::shared_ptr<const index::View> load() const;
  std::shared_ptr<const index::View> load_once() const;
  std::string path(const char* name) const { return folder_ + "/" + name; }

  std::string folder_;
  IndexOptions options_;
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
