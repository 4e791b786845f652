// A segment in two mapped files: the arrays, which never change, and one bit a row for what was removed since.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "hamming_segment.hpp"
#include "index_format.hpp"

namespace baken::index {

std::string segment_path(const std::string& folder, uint64_t number);
std::string removed_path(const std::string& folder, uint64_t number);

class FolderSegment {
 public:
  // Reads the headers only.
  FolderSegment(const std::string& folder, const ManifestSegment& entry);

  const ManifestSegment& entry() const { return entry_; }
  hamming::Segment& segment() { return *segment_; }
  size_t mapped_bytes() const { return arrays_.size_bytes() + removed_.size_bytes(); }

  // Writes what was removed to the disk.
  void sync_removed();
  void verify() const;

 private:
  void map_arrays();
  void map_removed(const std::string& folder);

  ManifestSegment entry_;
  std::string path_;
  Mapping arrays_;
  File removed_file_;
  Mapping removed_;
  std::unique_ptr<hamming::Segment> segment_;
};

// Writes the live rows of `parts` (see hamming::fill) to the file `path` and syncs it.
ManifestSegment write_segment(const std::string& path, uint64_t number, std::span<const hamming::Rows> parts);

// The bits of a segment of which nothing was removed, or what `removed` holds.
void write_removed(const std::string& folder, uint64_t number, const hamming::Tombstones& removed, size_t rows);

}  // namespace baken::index
