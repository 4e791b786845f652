// The file removed-N: one bit a row for what was removed from segment N since it was written, and a checksum for every
// block of bits, so that damage is told from a removal.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "hamming_segment.hpp"
#include "index_format.hpp"

namespace baken::index {

std::string removed_path(const std::string& folder, uint64_t number);

// What the bits and checksums of a block that a batch removes rows from may look like before.
enum class Removal {
  fresh,          // they agree
  repeated,       // or the writer died in this very batch: then the checksum may be that of all its bits already
  after_restart,  // the machine was started since: each may be of any time since the tail was begun
};

class RemovedRows {
 public:
  using Word = hamming::Tombstones::Word;

  // Writes the file and syncs it.
  static void create(const std::string& folder, const ManifestSegment& entry, const FileStamp& stamp,
                     const hamming::Tombstones& removed);

  // Reads the header only. With MapMode::copy removals stay in this process.
  RemovedRows(const std::string& folder, const ManifestSegment& entry, MapMode mode);

  std::span<Word> words() const;
  size_t size_bytes() const { return mapping_.size_bytes(); }

  // What the segment's file was when it was last found whole.
  FileStamp segment_stamp() const;
  void note_segment_stamp(const FileStamp& stamp);

  // Of the writer. Marks every row whose id is in the set; returns how many were alive until now. Throws
  // IndexError(corrupt) rather than set a bit in a damaged block, whose new checksum would make it look sound.
  size_t bury(const hamming::SegmentArrays& arrays, const hamming::IdSet& ids, Removal removal);

  // Writes what was removed to the disk.
  void sync() { file_.sync(); }

  // Blocks of `removed_block_rows` rows each, with a checksum each unless the file is of an older version.
  size_t block_count() const;

  // Copies the bits of a block into `copy`, which has as many rows; false when the checksum is not that of what was
  // copied: the block is damaged, or a writer is at it.
  bool copy_block(size_t block, hamming::Tombstones& copy) const;

  // Whether the checksums of these blocks are right; of a block that a writer is at they may not be. Throws
  // IndexError(corrupt) when the header is damaged.
  bool is_sound(size_t first_block, size_t end_block) const;

  // Throws IndexError(corrupt) when anything is damaged; the caller keeps writers out.
  void require_sound() const;
  [[noreturn]] void raise_damaged() const;

 private:
  RemovedHeader& header() const { return *reinterpret_cast<RemovedHeader*>(mapping_.data()); }
  std::atomic<uint32_t>& checksum_of(size_t block) const;
  size_t bury_block(size_t block, std::span<const uint64_t> gone, Removal removal);

  std::string path_;
  ManifestSegment entry_;
  File file_;
  Mapping mapping_;
  bool has_checksums_ = true;  // not in a file of an older version
};

}  // namespace baken::index
