#include "index_removed.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "index_checksum.hpp"

namespace baken::index {
namespace {

using hamming::IdSet;
using hamming::Tombstones;

// A block of ids is what a removal skips or reads as a whole, so a block of bits is of the same rows.
constexpr size_t block_words = removed_block_rows / 64;
constexpr size_t block_bytes = block_words * sizeof(uint64_t);
static_assert(removed_block_rows == hamming::id_block_rows);
using BlockBits = std::array<uint64_t, block_words>;

constexpr size_t blocks_at_once = (size_t{1} << 20) / block_bytes;

size_t blocks_for(size_t rows) { return (rows + removed_block_rows - 1) / removed_block_rows; }

size_t words_in_block(size_t rows, size_t block) {
  return std::min(block_words, Tombstones::words_for(rows) - block * block_words);
}

size_t checksums_offset(size_t rows) { return removed_bits_offset + Tombstones::words_for(rows) * sizeof(uint64_t); }

size_t file_bytes(size_t rows, bool has_checksums) {
  return checksums_offset(rows) + (has_checksums ? blocks_for(rows) * sizeof(uint32_t) : 0);
}

bool has_checksums(const RemovedHeader& header) {
  return header.preamble.version >= first_version_with_removed_checksums;
}

uint32_t checksum_of_bits(std::span<const uint64_t> words) { return checksum(words.data(), words.size_bytes()); }

void check_header(const RemovedHeader& header, size_t got_bytes, const ManifestSegment& entry, const std::string& path) {
  check_preamble(&header, got_bytes, removed_magic, removed_header_bytes, path);
  if (header.rows != entry.rows || header.number != entry.number) {
    corrupt(path, "it is not for the segment of its name");
  }
  if (got_bytes == sizeof header && header.unused != 0) {
    corrupt(path, "its unused bytes are not zero");
  }
}

}  // namespace

std::string removed_path(const std::string& folder, uint64_t number) {
  return folder + "/removed-" + std::to_string(number);
}

void RemovedRows::create(const std::string& folder, const ManifestSegment& entry, const FileStamp& stamp,
                         const Tombstones& removed) {
  RemovedHeader header{};
  header.number = entry.number;
  header.rows = entry.rows;
  header.segment_inode = stamp.inode;
  header.segment_modified_ns = stamp.modified_ns;
  seal(&header, removed_magic, removed_header_bytes);
  std::vector<uint8_t> bytes(file_bytes(entry.rows, true));
  std::memcpy(bytes.data(), &header, sizeof header);
  uint8_t* const sums = bytes.data() + checksums_offset(entry.rows);
  for (size_t block = 0; block < blocks_for(entry.rows); ++block) {
    BlockBits bits{};
    const size_t count = words_in_block(entry.rows, block);
    for (size_t index = 0; index < count; ++index) {
      bits[index] = removed.word(block * block_words + index);
    }
    std::memcpy(bytes.data() + removed_bits_offset + block * block_bytes, bits.data(), count * sizeof(uint64_t));
    const uint32_t sum = checksum_of_bits(std::span(bits).first(count));
    std::memcpy(sums + block * sizeof sum, &sum, sizeof sum);
  }
  File file(removed_path(folder, entry.number), O_WRONLY | O_CREAT | O_TRUNC);
  file.write(bytes.data(), bytes.size(), 0);
  file.sync();
}

RemovedRows::RemovedRows(const std::string& folder, const ManifestSegment& entry, MapMode mode)
    : path_(removed_path(folder, entry.number)),
      entry_(entry),
      file_(path_, mode == MapMode::write ? O_RDWR : O_RDONLY) {
  RemovedHeader header{};
  check_header(header, file_.read(&header, sizeof header, 0), entry, path_);
  has_checksums_ = has_checksums(header);
  const size_t expected_bytes = file_bytes(entry.rows, has_checksums_);
  if (file_.size_bytes() > expected_bytes) {
    corrupt(path_, "it is longer than it says");
  }
  if (file_.size_bytes() < expected_bytes) {
    throw IndexError(IndexFault::truncated, "index: " + path_ + " has " + std::to_string(file_.size_bytes()) +
                                                " bytes, expected " + std::to_string(expected_bytes));
  }
  mapping_ = Mapping(file_, expected_bytes, mode);
}

std::span<RemovedRows::Word> RemovedRows::words() const {
  return {reinterpret_cast<Word*>(mapping_.data() + removed_bits_offset), Tombstones::words_for(entry_.rows)};
}

FileStamp RemovedRows::segment_stamp() const {
  return {header().segment_inode.load(), header().segment_modified_ns.load()};
}

void RemovedRows::note_segment_stamp(const FileStamp& stamp) {
  header().segment_inode.store(stamp.inode);
  header().segment_modified_ns.store(stamp.modified_ns);
}

size_t RemovedRows::block_count() const { return blocks_for(entry_.rows); }

std::atomic<uint32_t>& RemovedRows::checksum_of(size_t block) const {
  static_assert(std::atomic<uint32_t>::is_always_lock_free && sizeof(std::atomic<uint32_t>) == sizeof(uint32_t));
  return reinterpret_cast<std::atomic<uint32_t>*>(mapping_.data() + checksums_offset(entry_.rows))[block];
}

size_t RemovedRows::bury(const hamming::SegmentArrays& arrays, const IdSet& ids, Removal removal) {
  size_t buried = 0;
  for (size_t block = 0; block < block_count(); ++block) {
    if (!ids.meets(arrays.id_ranges[block])) {
      continue;
    }
    const size_t first = block * removed_block_rows;
    const size_t count = std::min<size_t>(removed_block_rows, entry_.rows - first);
    BlockBits gone{};
    bool any = false;
    for (size_t row = 0; row < count; ++row) {
      if (ids.has(arrays.ids[first + row])) {
        gone[row / 64] |= uint64_t{1} << (row % 64);
        any = true;
      }
    }
    if (any) {
      buried += bury_block(block, std::span(gone).first(words_in_block(entry_.rows, block)), removal);
    }
  }
  return buried;
}

// The checksum first, then the bits: whoever repeats the batch of a writer that died in between comes to the bits that
// the checksum is of, whatever part of them was set, and so notices damage all the same.
size_t RemovedRows::bury_block(size_t block, std::span<const uint64_t> gone, Removal removal) {
  const std::span<Word> bits = words().subspan(block * block_words, gone.size());
  BlockBits before_bits{};
  BlockBits after_bits{};
  size_t buried = 0;
  for (size_t index = 0; index < gone.size(); ++index) {
    before_bits[index] = bits[index].load(std::memory_order_relaxed);
    after_bits[index] = before_bits[index] | gone[index];
    buried += static_cast<size_t>(std::popcount(after_bits[index] ^ before_bits[index]));
  }
  if (buried == 0 && removal != Removal::after_restart) {
    return 0;
  }
  if (has_checksums_) {
    const uint32_t before = checksum_of_bits(std::span(before_bits).first(gone.size()));
    const uint32_t after = checksum_of_bits(std::span(after_bits).first(gone.size()));
    const uint32_t found = checksum_of(block).load(std::memory_order_relaxed);
    const bool is_sound = found == before || (removal == Removal::repeated && found == after);
    if (!is_sound && removal != Removal::after_restart) {
      raise_damaged();
    }
    step("bury", path_);
    checksum_of(block).store(after, std::memory_order_release);
  }
  step("bury", path_);
  for (size_t index = 0; index < gone.size(); ++index) {
    if (after_bits[index] != before_bits[index]) {
      bits[index].fetch_or(gone[index], std::memory_order_release);
    }
  }
  return buried;
}

bool RemovedRows::copy_block(size_t block, Tombstones& copy) const {
  const size_t count = words_in_block(entry_.rows, block);
  const std::span<Word> bits = words().subspan(block * block_words, count);
  BlockBits copied{};
  for (size_t index = 0; index < count; ++index) {
    copied[index] = bits[index].load(std::memory_order_acquire);
    copy.put_word(block * block_words + index, copied[index]);
  }
  return !has_checksums_ ||
         checksum_of_bits(std::span(copied).first(count)) == checksum_of(block).load(std::memory_order_acquire);
}

// Read, not looked at in the mapping: a disk that fails is then an error and no signal.
bool RemovedRows::is_sound(size_t first_block, size_t end_block) const {
  RemovedHeader header{};
  check_header(header, file_.read(&header, sizeof header, 0), entry_, path_);
  if (has_checksums(header) != has_checksums_) {
    corrupt(path_, "its version is another than it was");
  }
  if (!has_checksums_) {
    return true;
  }
  for (size_t first = first_block; first < end_block; first += blocks_at_once) {
    const size_t count = std::min(blocks_at_once, end_block - first);
    const size_t end_word = std::min((first + count) * block_words, Tombstones::words_for(entry_.rows));
    std::vector<uint64_t> bits(end_word - first * block_words);
    std::vector<uint32_t> sums(count);
    const size_t got_bytes =
        file_.read(bits.data(), bits.size() * sizeof(uint64_t), removed_bits_offset + first * block_bytes) +
        file_.read(sums.data(), sums.size() * sizeof(uint32_t),
                   checksums_offset(entry_.rows) + first * sizeof(uint32_t));
    if (got_bytes < bits.size() * sizeof(uint64_t) + sums.size() * sizeof(uint32_t)) {
      corrupt(path_, "it is shorter than it was");
    }
    for (size_t block = 0; block < count; ++block) {
      const size_t word_count = words_in_block(entry_.rows, first + block);
      if (checksum_of_bits(std::span(bits).subspan(block * block_words, word_count)) != sums[block]) {
        return false;
      }
    }
  }
  return true;
}

void RemovedRows::require_sound() const {
  if (!is_sound(0, block_count())) {
    raise_damaged();
  }
}

void RemovedRows::raise_damaged() const { corrupt(path_, "a checksum of its bits is wrong"); }

}  // namespace baken::index
