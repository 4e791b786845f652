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
  const int64_t* removed_ids = nullptr;  // owners, with member bits
  size_t removed_count = 0;
  const uint8_t* codes = nullptr;
  const int64_t* ids = nullptr;
  size_t count = 0;
  int64_t applied_seq = -1;  // the index equals the database up to this number; less than it was changes nothing
  bool sync = true;          // whether the change survives a power cut once apply() returned; it survives kill -9 anyway
  uint64_t applied_token = 0;  // what tells the change `applied_seq` from that of another history; 0: nothing is known
};

struct IndexOptions {
  std::string database_id;            // at most 64 bytes; the index is for this database and no other
  bool reset = false;                 // make the index, or empty it when it cannot be used or is of another database
  double lock_timeout_seconds = 30;   // how long a writer waits for another
  int member_bits = 0;                // as of HammingIndex; the files do not hold it, so `database_id` should
};

// Thread-safe, and so across processes: any number of readers beside any number of writers; writers take turns. A search
// sees every change that returned before it started, in whichever process; of a change running beside it, the new codes
// before the old ones are gone. It waits for nobody, unless rows were removed beside eight attempts at the same query. A process that dies at any instruction loses no change that
// returned, and the next writer cleans up after it. An object must not be used in a forked child.
class IndexFolder {
 public:
  // Opens the index, or makes or empties it (`IndexOptions::reset`). A process that may only read the folder opens it
  // to read: whatever would write throws IndexError(read_only) then. Throws IndexError.
  IndexFolder(const std::string& path, const IndexOptions& options);
  ~IndexFolder();
  IndexFolder(const IndexFolder&) = delete;
  IndexFolder& operator=(const IndexFolder&) = delete;

  // Returns how many codes went.
  size_t apply(const IndexChange& change);

  // Empties the index: applied_seq() is -1 afterwards.
  void clear();

  // Tells all processes at once that the index must not be trusted: applied_seq() is -1 until it is cleared or built.
  // Takes no space on the disk.
  void condemn();

  // Merges segments until none is due; others search and write meanwhile. Returns how many segments were written: none
  // when another process is merging. Writes at most `bytes_per_second`; 0 is no limit. `settle` leaves fewer segments: for
  // an index to which nothing is added for a while. Throws IndexError(corrupt) rather than take over rows whose checksum
  // is wrong.
  size_t merge(size_t bytes_per_second = 0, bool settle = false);
  bool merge_due(bool settle = false) const;

  // As HammingIndex::search.
  SearchResult search(const Question& question) const;
  SearchResult search(const uint8_t* codes, size_t count, int radius_bits) const {
    return search(Question{codes, count, radius_bits});
  }

  // As HammingIndex::explain.
  std::vector<SearchPlan> explain(int radius_bits) const;

  size_t size() const;
  int64_t applied_seq() const;
  uint64_t applied_token() const;
  bool read_only() const;
  size_t segment_count() const;
  size_t memory_bytes() const;  // private to this process
  size_t mapped_bytes() const;  // shared with all processes

  // Reads everything and throws IndexError at the first checksum that is wrong.
  void verify() const;

 private:
  friend class IndexBuild;
  friend class IndexCheck;
  class State;
  std::unique_ptr<State> state_;
};

// Makes a whole new index of rows that come in any number of calls, as one segment, beside the index that counts; it
// takes its place in one step at the end. Nothing else merges or builds meanwhile. Memory does not grow with the rows:
// codes, ids and tables go to files. Not thread-safe; the folder must outlive it.
class IndexBuild {
 public:
  // Throws IndexError(locked) when another process merges or builds for longer than the folder's timeout.
  explicit IndexBuild(IndexFolder& folder);
  ~IndexBuild();  // gives up what is not finished
  IndexBuild(const IndexBuild&) = delete;
  IndexBuild& operator=(const IndexBuild&) = delete;

  void add(const uint8_t* codes, const int64_t* ids, size_t count);

  // The built rows replace everything that the index holds. Call it once.
  void finish(int64_t applied_seq, uint64_t applied_token);

 private:
  class Parts;
  IndexFolder::State& state_;
  std::unique_ptr<Parts> parts_;
};

// Checks an index as it is now, a piece at a time, so that the caller sets the pace. It reads the files and leaves the
// system's cache as it was.
class IndexCheck {
 public:
  explicit IndexCheck(const IndexFolder& folder);
  ~IndexCheck();
  IndexCheck(const IndexCheck&) = delete;
  IndexCheck& operator=(const IndexCheck&) = delete;

  // Checks up to `size_bytes` more and returns how many it checked, 0 when all is done. Throws IndexError at the first
  // checksum that is wrong.
  size_t step(size_t size_bytes);

 private:
  class Place;
  std::unique_ptr<Place> place_;
};

}  // namespace baken
