// A segment in two mapped files: the arrays, which never change, and one bit a row for what was removed since (see
// index_removed.hpp).
#pragma once

#include <memory>
#include <span>
#include <string>

#include "hamming_segment.hpp"
#include "index_format.hpp"
#include "index_pace.hpp"
#include "index_removed.hpp"

namespace baken::index {

std::string segment_path(const std::string& folder, uint64_t number);

class FolderSegment {
 public:
  // Reads the headers only, unless someone touched the file of the arrays since it was written: then all of it is
  // checked first, and who keeps writers out calls accept_touched(). With MapMode::copy removals stay in this process.
  FolderSegment(const std::string& folder, const ManifestSegment& entry, MapMode mode);

  const ManifestSegment& entry() const { return entry_; }
  hamming::Segment& segment() { return *segment_; }
  size_t mapped_bytes() const { return arrays_.size_bytes() + removed_.size_bytes(); }

  RemovedRows& removed() { return removed_; }
  const RemovedRows& removed() const { return removed_; }

  // Checks the bits of a segment that someone touched and, when they are sound too, notes that it was found whole.
  void accept_touched(bool may_write);

  // Throw IndexError(corrupt) when a checksum of the arrays is wrong: of all, or of what a merge takes over.
  void verify() const;
  void verify_rows() const;

  // To check a piece at a time: a section as the header names it, the checksum of a piece of the file (leaving the
  // system's cache as it was), and the error.
  void verify_header() const;
  const Section& section(size_t index) const { return header().sections[index]; }
  uint32_t checksum_of(uint64_t offset, uint64_t size_bytes, uint32_t before) const;
  [[noreturn]] void raise_damaged(size_t section) const;
  [[noreturn]] void raise_unsound_tables() const;

 private:
  const SegmentHeader& header() const { return *reinterpret_cast<const SegmentHeader*>(arrays_.data()); }
  void map_arrays();
  void verify_section(size_t section) const;

  ManifestSegment entry_;
  std::string path_;
  File arrays_file_;
  Mapping arrays_;
  RemovedRows removed_;
  bool is_touched_ = false;
  std::unique_ptr<hamming::Segment> segment_;
};

// A segment's file that is whole and synced.
struct WrittenSegment {
  ManifestSegment entry;
  FileStamp stamp;
};

// Writes the live rows of `parts` (see hamming::fill) to the file `path` and syncs it.
WrittenSegment write_segment(const std::string& path, uint64_t number, std::span<const hamming::Rows> parts, Pace& pace);

// Makes a segment's file of rows that come one after another, without holding them in memory: the codes go to their
// place in the file at once, the ids to a second file until it is known where they belong.
class SegmentWriter {
 public:
  SegmentWriter(const std::string& path, uint64_t number);
  ~SegmentWriter();  // deletes the file unless it was finished
  SegmentWriter(const SegmentWriter&) = delete;
  SegmentWriter& operator=(const SegmentWriter&) = delete;

  uint64_t number() const { return number_; }
  size_t rows() const { return rows_; }
  void add(const uint8_t* codes, const int64_t* ids, size_t count);
  WrittenSegment finish();

 private:
  std::string path_;
  uint64_t number_;
  File file_;
  File ids_file_;
  size_t rows_ = 0;
  uint32_t codes_checksum_ = 0;
  uint32_t ids_checksum_ = 0;
  bool is_finished_ = false;
};

}  // namespace baken::index
