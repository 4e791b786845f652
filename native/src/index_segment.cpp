#include "index_segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "index_checksum.hpp"

namespace baken::index {
namespace {

using hamming::Rows;
using hamming::SegmentArrays;
using hamming::TableShape;
using hamming::Tombstones;

size_t pages(size_t size_bytes) { return (size_bytes + page_bytes - 1) / page_bytes * page_bytes; }

SegmentHeader header_for(const TableShape& shape, uint64_t number) {
  SegmentHeader header{};
  header.number = number;
  header.rows = shape.rows;
  header.code_bits = hamming::code_bits;
  header.table_count = hamming::table_count;
  header.high_bits = static_cast<uint32_t>(shape.high_bits);
  header.slot_bits = static_cast<uint32_t>(shape.slot_bits);
  const hamming::SectionBytes sizes = hamming::section_bytes(shape);
  uint64_t offset = page_bytes;
  for (size_t section = 0; section < hamming::section_count; ++section) {
    header.sections[section] = {offset, sizes[section], 0, 0};
    offset += pages(sizes[section]);
  }
  header.file_bytes = offset;
  return header;
}

SegmentArrays placed_in(const TableShape& shape, const SegmentHeader& header, uint8_t* file) {
  hamming::SectionPlaces places{};
  for (size_t section = 0; section < hamming::section_count; ++section) {
    places[section] = file + header.sections[section].offset;
  }
  return hamming::placed(shape, places);
}

// Codes, ids and id ranges as in every version, and no tables.
SegmentArrays placed_without_tables(const SegmentHeader& header, uint8_t* file) {
  SegmentArrays arrays = placed_in(hamming::table_shape(header.rows), header, file);
  arrays.directory.fill(nullptr);
  arrays.postings.fill(nullptr);
  return arrays;
}

// The first three sections, which all versions share; the tables of version 1 lay otherwise.
constexpr size_t first_table_section = 3;

// Whether the header is one that is written for so many rows: then every offset lies in the file.
bool has_expected_shape(const SegmentHeader& header) {
  const SegmentHeader expected = header_for(hamming::table_shape(header.rows), header.number);
  const bool is_newest = header.preamble.version == segment_version;
  bool same = header.code_bits == expected.code_bits && header.table_count == expected.table_count;
  if (is_newest) {
    same = same && header.file_bytes == expected.file_bytes && header.high_bits == expected.high_bits &&
           header.slot_bits == expected.slot_bits;
  }
  for (size_t section = 0; section < hamming::section_count; ++section) {
    const Section& found = header.sections[section];
    same = same && (is_newest || section < first_table_section
                        ? found.offset == expected.sections[section].offset &&
                              found.size_bytes == expected.sections[section].size_bytes
                        : found.offset <= header.file_bytes && found.size_bytes <= header.file_bytes - found.offset);
  }
  return same;
}

size_t alive_count(std::span<const Rows> parts) {
  size_t alive = 0;
  for (const Rows& part : parts) {
    alive += part.alive_count();
  }
  return alive;
}

[[noreturn]] void truncated(const std::string& path, size_t got_bytes, size_t expected_bytes) {
  throw IndexError(IndexFault::truncated, "index: " + path + " has " + std::to_string(got_bytes) + " bytes, expected " +
                                              std::to_string(expected_bytes));
}

}  // namespace

std::string segment_path(const std::string& folder, uint64_t number) {
  return folder + "/segment-" + std::to_string(number);
}

std::string removed_path(const std::string& folder, uint64_t number) {
  return folder + "/removed-" + std::to_string(number);
}

FolderSegment::FolderSegment(const std::string& folder, const ManifestSegment& entry)
    : entry_(entry), path_(segment_path(folder, entry.number)) {
  map_removed(folder);
  map_arrays();
}

void FolderSegment::map_arrays() {
  const File file(path_, O_RDONLY);
  const size_t size_bytes = file.size_bytes();
  SegmentHeader header{};
  check_preamble(&header, file.read(&header, sizeof header, 0), segment_magic, sizeof header, path_);
  if (header.rows != entry_.rows || header.number != entry_.number || header.rows > hamming::max_segment_rows ||
      header.preamble.header_checksum != entry_.header_checksum) {
    corrupt(path_, "it is not the segment that the manifest names");
  }
  if (!has_expected_shape(header)) {
    corrupt(path_, "its sections are not where they belong");
  }
  if (size_bytes < header.file_bytes) {
    truncated(path_, size_bytes, header.file_bytes);
  }
  arrays_ = Mapping(file, header.file_bytes, false);
  arrays_.wish_for_huge_pages();
  const SegmentArrays arrays = header.preamble.version == segment_version
                                   ? placed_in(hamming::table_shape(header.rows), header, arrays_.data())
                                   : placed_without_tables(header, arrays_.data());
  const std::span words(reinterpret_cast<Tombstones::Word*>(removed_.data() + removed_bits_offset),
                        Tombstones::words_for(header.rows));
  segment_ = std::make_unique<hamming::Segment>(arrays, words);
}

void FolderSegment::map_removed(const std::string& folder) {
  const std::string path = removed_path(folder, entry_.number);
  removed_file_ = File(path, O_RDWR);
  RemovedHeader header{};
  check_preamble(&header, removed_file_.read(&header, sizeof header, 0), removed_magic, sizeof header, path);
  if (header.rows != entry_.rows || header.number != entry_.number) {
    corrupt(path, "it is not for the segment of its name");
  }
  const size_t expected_bytes = removed_bits_offset + Tombstones::words_for(header.rows) * sizeof(uint64_t);
  if (removed_file_.size_bytes() < expected_bytes) {
    truncated(path, removed_file_.size_bytes(), expected_bytes);
  }
  removed_ = Mapping(removed_file_, expected_bytes, true);
}

void FolderSegment::sync_removed() { removed_file_.sync(); }

void FolderSegment::verify() const {
  const auto* header = reinterpret_cast<const SegmentHeader*>(arrays_.data());
  check_preamble(header, arrays_.size_bytes(), segment_magic, sizeof *header, path_);
  for (size_t section = 0; section < hamming::section_count; ++section) {
    const Section& expected = header->sections[section];
    if (checksum(arrays_.data() + expected.offset, expected.size_bytes) != expected.checksum) {
      corrupt(path_, "the checksum of section " + std::to_string(section) + " is wrong");
    }
  }
}

ManifestSegment write_segment(const std::string& path, uint64_t number, std::span<const Rows> parts) {
  const hamming::TableShape shape = hamming::table_shape(alive_count(parts));
  SegmentHeader header = header_for(shape, number);
  File file(path, O_RDWR | O_CREAT | O_TRUNC);
  file.allocate(header.file_bytes);
  {
    const Mapping mapping(file, header.file_bytes, true);
    hamming::fill(placed_in(shape, header, mapping.data()), parts);
    for (Section& section : header.sections) {
      section.checksum = checksum(mapping.data() + section.offset, section.size_bytes);
    }
  }
  seal(&header, segment_magic, sizeof header);
  file.write(&header, sizeof header, 0);
  file.sync();
  return {number, header.rows, header.preamble.header_checksum, 0};
}

void write_removed(const std::string& folder, uint64_t number, const Tombstones& removed, size_t rows) {
  RemovedHeader header{};
  header.number = number;
  header.rows = rows;
  seal(&header, removed_magic, sizeof header);
  const size_t word_count = Tombstones::words_for(rows);
  std::vector<uint8_t> bytes(removed_bits_offset + word_count * sizeof(uint64_t));
  std::memcpy(bytes.data(), &header, sizeof header);
  for (size_t index = 0; index < word_count; ++index) {
    const uint64_t word = removed.word(index);
    std::memcpy(bytes.data() + removed_bits_offset + index * sizeof word, &word, sizeof word);
  }
  File file(removed_path(folder, number), O_WRONLY | O_CREAT | O_TRUNC);
  file.write(bytes.data(), bytes.size(), 0);
  file.sync();
}

}  // namespace baken::index
