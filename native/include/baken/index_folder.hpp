// The exact index of hamming_index.hpp in a folder of mapped files, shared by all processes of a machine. The layout of
// the files stands in docs/reference/index-format.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "baken/hamming_index.hpp"

namespace baken {

enum class IndexFault {
  missing,         // there is no index
  foreign,         // a file is none of an index, or of a machine of another byte order
  newer,           // a file was written by a later version
  truncated,       // a file is shorter than it says
  corrupt,         // a checksum or a number in a file is wrong
  other_database,  // the index was made for another database
  read_only,       // the folder may not be written
  disk_full,       // no space is left
  locked,          // another process writes for longer than we wait
  failed,          // the operating system refused something else
};

class IndexError : public std::runtime_error {
 public:
  IndexError(IndexFault fault, const std::string& what) : std::runtime_error(what), fault_(fault) {}
  IndexFault fault() const { return fault_; }

 private:
  IndexFault fault_;
};

// What changes in one step. Codes of `removed_ids` that were there before go; then the new codes come.
struct IndexChange {
  const int64_t* removed_ids = nullptr;
  size_t removed_count = 0;
  const uint8_t* codes = nullptr;
  const int64_t* ids = nullptr;
  size_t count = 0;
  int64_t applied_seq = -1;  // the index equals the database up to this number; less than it was changes nothing
  bool sync = true;          // whether the change survives a power cut once apply() returned; it survives kill -9 anyway
};

struct IndexOptions {
  std::string database_id;            // at most 64 bytes; the index is for this database and no other
  bool reset = false;                 // make the index, or empty it when it cannot be used or is of another database
  double lock_timeout_seconds = 30;   // how long a writer waits for another
};

// Thread-safe, and so across processes: any number of readers beside any number of writers; writers take turns. A search
// sees every change that returned before it started, in whichever process; of a change running beside it, the new codes
// before the old ones are gone. It waits for nobody, unless rows were removed beside eight attempts at the same query. A process that dies at any instruction loses no change that
// returned, and the next writer cleans up after it. An object must not be used in a forked child.
class IndexFolder {
 public:
  // Opens the index, or makes or empties it (`IndexOptions::reset`). Throws IndexError.
  IndexFolder(const std::string& path, const IndexOptions& options);
  ~IndexFolder();
  IndexFolder(const IndexFolder&) = delete;
  IndexFolder& operator=(const IndexFolder&) = delete;

  // Returns how many codes went.
  size_t apply(const IndexChange& change);

  // Empties the index: applied_seq() is -1 afterwards.
  void clear();

  // Merges segments until none is due; others search and write meanwhile. Returns how many segments were written: none
  // when another process is merging.
  size_t merge();
  bool merge_due() const;

  // As HammingIndex::search.
  SearchResult search(const Question& question) const;
  SearchResult search(const uint8_t* codes, size_t count, int radius_bits) const {
    return search(Question{codes, count, radius_bits});
  }

  // As HammingIndex::explain.
  std::vector<SearchPlan> explain(int radius_bits) const;

  size_t size() const;
  int64_t applied_seq() const;
  size_t segment_count() const;
  size_t memory_bytes() const;  // private to this process
  size_t mapped_bytes() const;  // shared with all processes

  // Reads everything and throws IndexError at the first checksum that is wrong.
  void verify() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace baken
