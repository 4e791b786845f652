// What the files of an index hold, byte for byte; docs/reference/index-format.md says it in words.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "hamming_segment.hpp"
#include "index_files.hpp"

namespace baken::index {

// Segments of version 1 had postings without bits of the next table's key, and its tails no tokens; those of version 2 had
// substrings that lay side by side in the code. What is older than this version is read, and written anew in it.
constexpr uint32_t format_version = 3;
constexpr uint32_t first_version_with_tokens = 2;
constexpr uint32_t first_version_with_removed_checksums = 3;
constexpr uint32_t byte_order_mark = 0x01020304;
constexpr size_t page_bytes = 4096;

using Magic = std::array<char, 8>;
constexpr Magic manifest_magic = {'B', 'A', 'K', 'E', 'N', 'I', 'D', 'X'};
constexpr Magic segment_magic = {'B', 'A', 'K', 'E', 'N', 'S', 'E', 'G'};
constexpr Magic removed_magic = {'B', 'A', 'K', 'E', 'N', 'R', 'E', 'M'};
constexpr Magic tail_magic = {'B', 'A', 'K', 'E', 'N', 'L', 'O', 'G'};
constexpr Magic control_magic = {'B', 'A', 'K', 'E', 'N', 'C', 'T', 'L'};

// Every file begins with one. The checksum is that of the header's later bytes, to its end.
struct Preamble {
  Magic magic;
  uint32_t byte_order;
  uint32_t version;
  uint32_t header_bytes;
  uint32_t header_checksum;
};
static_assert(sizeof(Preamble) == 24);

struct Section {
  uint64_t offset;
  uint64_t size_bytes;
  uint32_t checksum;
  uint32_t unused;
};

struct SegmentHeader {
  Preamble preamble;
  uint64_t number;
  uint64_t rows;
  uint64_t file_bytes;
  uint32_t code_bits;
  uint32_t table_count;
  uint32_t high_bits;
  uint32_t slot_bits;
  std::array<Section, hamming::section_count> sections;
};
static_assert(sizeof(SegmentHeader) == 64 + 24 * hamming::section_count && sizeof(SegmentHeader) <= page_bytes);

// The bits follow at `removed_bits_offset`, then a checksum for each block of them (none before version 3). The stamp of
// the segment's file is no part of the header's checksum.
struct RemovedHeader {
  Preamble preamble;
  uint64_t number;
  uint64_t rows;
  std::atomic<uint64_t> segment_inode;
  std::atomic<int64_t> segment_modified_ns;
  uint64_t unused;
};
constexpr size_t removed_header_bytes = 40;
constexpr size_t removed_bits_offset = 64;
static_assert(sizeof(RemovedHeader) == removed_bits_offset);
constexpr size_t removed_block_rows = 4096;

// The atomics are no part of the checksum. They lie in a line of their own; batches follow at page_bytes.
struct TailHeader {
  Preamble preamble;
  uint64_t number;
  uint64_t unused[4];
  std::atomic<uint64_t> published_bytes;  // to here readers see the batches
  std::atomic<uint64_t> settled_bytes;    // to here removals reached the segments too
  std::atomic<int64_t> applied_seq;
  std::atomic<uint64_t> removals;  // batches whose removals began to reach the segments
  std::atomic<uint64_t> applied_token;
};
constexpr size_t tail_header_bytes = 64;
static_assert(sizeof(TailHeader) == 104);

// The removed ids follow, then the ids, then the codes. The checksum is that of all later bytes of the batch.
struct BatchHeader {
  uint32_t mark;
  uint32_t checksum;
  uint64_t size_bytes;
  int64_t applied_seq;
  uint64_t removed_count;
  uint64_t count;
  uint64_t applied_token;  // absent in a tail of version 1
};
static_assert(sizeof(BatchHeader) == 48);
constexpr uint32_t batch_mark = 0x48435442;  // "BTCH"

// The segments follow.
struct ManifestHeader {
  Preamble preamble;
  uint64_t generation;
  int64_t applied_seq;  // when the tail was begun
  uint64_t tail_number;
  uint64_t segment_count;
  std::array<char, 64> database_id;
};
struct ManifestSegment {
  uint64_t number;
  uint64_t rows;
  uint32_t header_checksum;
  uint32_t unused;
};

struct ControlHeader {
  Preamble preamble;
  std::array<char, 40> boot_id;  // of the machine's run in which the mapped files were last made whole
  std::atomic<uint64_t> generation;
  std::atomic<uint64_t> next_number;  // for new segments and tails
};
constexpr size_t control_header_bytes = 24;
static_assert(sizeof(ControlHeader) == 80);

struct Manifest {
  uint64_t generation = 0;
  int64_t applied_seq = -1;
  uint64_t tail_number = 0;
  std::string database_id;
  std::vector<ManifestSegment> segments;
};

constexpr size_t batch_header_bytes(uint32_t tail_version) {
  return tail_version < first_version_with_tokens ? offsetof(BatchHeader, applied_token) : sizeof(BatchHeader);
}

// Fills in a preamble over `header_bytes` whose other fields are final.
void seal(void* header, const Magic& magic, size_t header_bytes);

// Throws IndexError: truncated, foreign, newer or corrupt. `size_bytes`: how much of the file is at `header`.
void check_preamble(const void* header, size_t size_bytes, const Magic& magic, size_t header_bytes,
                    const std::string& path);

[[noreturn]] void corrupt(const std::string& path, const std::string& what);

Manifest read_manifest(const std::string& path);
void write_manifest(const std::string& path, const Manifest& manifest);

}  // namespace baken::index
