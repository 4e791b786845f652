#include "index_segment.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "index_checksum.hpp"

namespace baken::index {
namespace {

constexpr size_t piece_bytes = size_t{1} << 20;

using hamming::codes_section;
using hamming::ids_section;
using hamming::Rows;
using hamming::SegmentArrays;
using hamming::TableShape;

size_t pages(size_t size_bytes) { return (size_bytes + page_bytes - 1) / page_bytes * page_bytes; }

SegmentHeader header_for(const TableShape& shape, uint64_t number) {
  SegmentHeader header{};
  header.number = number;
  header.rows = shape.rows;
  header.code_bits = hamming::code_bits;
  header.table_count = hamming::table_count;
  header.high_bits = static_cast<uint32_t>(shape.directory_bits);
  header.slot_bits = static_cast<uint32_t>(shape.row_bits);
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

// The first three sections, which all versions share; the tables of versions 1 and 2 lay otherwise.
constexpr size_t first_table_section = 3;

// Whether the header is one that is written for so many rows: then every offset lies in the file.
bool has_expected_shape(const SegmentHeader& header) {
  const SegmentHeader expected = header_for(hamming::table_shape(header.rows), header.number);
  const bool is_newest = header.preamble.version == format_version;
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

FolderSegment::FolderSegment(const std::string& folder, const ManifestSegment& entry, MapMode mode)
    : entry_(entry), path_(segment_path(folder, entry.number)), removed_(folder, entry, mode) {
  map_arrays();
  // Nothing writes into a segment, so a file with another time or inode was damaged or copied. Looking costs nothing.
  is_touched_ = arrays_file_.stamp() != removed_.segment_stamp();
  if (is_touched_) {
    verify();
  }
}

void FolderSegment::map_arrays() {
  arrays_file_ = File(path_, O_RDONLY);
  const size_t size_bytes = arrays_file_.size_bytes();
  SegmentHeader header{};
  check_preamble(&header, arrays_file_.read(&header, sizeof header, 0), segment_magic, sizeof header, path_);
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
  if (size_bytes > header.file_bytes) {
    corrupt(path_, "it is longer than it says");
  }
  arrays_ = Mapping(arrays_file_, header.file_bytes, MapMode::read);
  arrays_.wish_for_huge_pages();
  const SegmentArrays arrays = header.preamble.version == format_version
                                   ? placed_in(hamming::table_shape(header.rows), header, arrays_.data())
                                   : placed_without_tables(header, arrays_.data());
  segment_ = std::make_unique<hamming::Segment>(arrays, removed_.words());
}

void FolderSegment::accept_touched(bool may_write) {
  if (!is_touched_) {
    return;
  }
  removed_.require_sound();
  if (may_write) {
    removed_.note_segment_stamp(arrays_file_.stamp());
  }
  is_touched_ = false;
}

void FolderSegment::verify() const {
  verify_header();
  for (size_t section = 0; section < hamming::section_count; ++section) {
    verify_section(section);
  }
}

void FolderSegment::verify_rows() const {
  verify_section(codes_section);
  verify_section(ids_section);
}

void FolderSegment::verify_header() const {
  check_preamble(&header(), arrays_.size_bytes(), segment_magic, sizeof(SegmentHeader), path_);
  if (header().preamble.header_checksum != entry_.header_checksum) {
    corrupt(path_, "it is not the segment that the manifest names");
  }
}

void FolderSegment::verify_section(size_t index) const {
  const Section& expected = section(index);
  uint32_t sum = 0;
  for (uint64_t done = 0; done < expected.size_bytes; done += piece_bytes) {
    sum = checksum_of(expected.offset + done, std::min<uint64_t>(piece_bytes, expected.size_bytes - done), sum);
  }
  if (sum != expected.checksum) {
    raise_damaged(index);
  }
}

// Read, not looked at in the mapping: a disk that fails is then an error and no signal.
uint32_t FolderSegment::checksum_of(uint64_t offset, uint64_t size_bytes, uint32_t before) const {
  const bool was_cached = arrays_.is_any_resident(offset, size_bytes);
  std::vector<uint8_t> bytes(size_bytes);
  const size_t got_bytes = arrays_file_.read(bytes.data(), size_bytes, offset);
  if (got_bytes < size_bytes) {
    truncated(path_, offset + got_bytes, header().file_bytes);
  }
  if (!was_cached) {
    arrays_file_.forget(offset, size_bytes);
  }
  return checksum(bytes.data(), size_bytes, before);
}

void FolderSegment::raise_damaged(size_t section) const {
  corrupt(path_, "the checksum of section " + std::to_string(section) + " is wrong");
}

void FolderSegment::raise_unsound_tables() const {
  corrupt(path_, "a search met a directory or a posting that cannot be");
}

namespace {

WrittenSegment seal_segment(File& file, SegmentHeader& header) {
  seal(&header, segment_magic, sizeof header);
  file.write(&header, sizeof header, 0);
  file.sync();
  return {{header.number, header.rows, header.preamble.header_checksum, 0}, file.stamp()};
}

// Takes down the checksum of a section that is complete, while it is in the caches, and sends it on to the disk.
auto section_taker(SegmentHeader& header, const File& file, const Mapping& mapping, Pace& pace) {
  return [&](size_t index) {
    Section& section = header.sections[index];
    section.checksum = checksum(mapping.data() + section.offset, section.size_bytes);
    file.begin_sync(section.offset, section.size_bytes);
    pace.done(section.size_bytes);
  };
}

}  // namespace

WrittenSegment write_segment(const std::string& path, uint64_t number, std::span<const Rows> parts, Pace& pace) {
  const TableShape shape = hamming::table_shape(alive_count(parts));
  SegmentHeader header = header_for(shape, number);
  File file(path, O_RDWR | O_CREAT | O_TRUNC);
  file.allocate(header.file_bytes);
  {
    const Mapping mapping(file, header.file_bytes, MapMode::write);
    hamming::fill(placed_in(shape, header, mapping.data()), parts, section_taker(header, file, mapping, pace));
  }
  return seal_segment(file, header);
}

SegmentWriter::SegmentWriter(const std::string& path, uint64_t number)
    : path_(path),
      number_(number),
      file_(path, O_RDWR | O_CREAT | O_TRUNC),
      ids_file_(path + ".ids", O_RDWR | O_CREAT | O_TRUNC) {}

SegmentWriter::~SegmentWriter() {
  try {
    remove_file(path_ + ".ids");
    if (!is_finished_) {
      remove_file(path_);
    }
  } catch (const IndexError&) {
    // The next merge deletes it.
  }
}

void SegmentWriter::add(const uint8_t* codes, const int64_t* ids, size_t count) {
  if (count > hamming::max_segment_rows - rows_) {
    throw IndexError(IndexFault::failed, "index: " + path_ + " would have more than " +
                                             std::to_string(hamming::max_segment_rows) + " rows");
  }
  const size_t codes_bytes = count * hamming::code_bytes;
  const size_t codes_offset = page_bytes + rows_ * hamming::code_bytes;
  file_.write(codes, codes_bytes, codes_offset);
  file_.begin_sync(codes_offset, codes_bytes);
  ids_file_.write(ids, count * sizeof *ids, rows_ * sizeof *ids);
  codes_checksum_ = checksum(codes, codes_bytes, codes_checksum_);
  ids_checksum_ = checksum(ids, count * sizeof *ids, ids_checksum_);
  rows_ += count;
}

WrittenSegment SegmentWriter::finish() {
  const TableShape shape = hamming::table_shape(rows_);
  SegmentHeader header = header_for(shape, number_);
  file_.allocate(header.file_bytes);
  {
    const Mapping mapping(file_, header.file_bytes, MapMode::write);
    const Section& ids = header.sections[ids_section];
    if (ids_file_.read(mapping.data() + ids.offset, ids.size_bytes, 0) < ids.size_bytes) {
      truncated(ids_file_.path(), ids_file_.size_bytes(), ids.size_bytes);
    }
    ids_file_.truncate(0);
    Pace unpaced(0);
    const SegmentArrays arrays = placed_in(shape, header, mapping.data());
    hamming::fill_tables(arrays, section_taker(header, file_, mapping, unpaced));
  }
  header.sections[codes_section].checksum = codes_checksum_;
  header.sections[ids_section].checksum = ids_checksum_;
  const WrittenSegment written = seal_segment(file_, header);
  is_finished_ = true;
  return written;
}

}  // namespace baken::index
