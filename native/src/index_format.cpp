#include "index_format.hpp"

#include <fcntl.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "index_checksum.hpp"

namespace baken::index {
namespace {

static_assert(std::endian::native == std::endian::little, "an index is little-endian");

constexpr size_t checksum_end = sizeof(Preamble);

uint32_t checksum_of(const void* header, size_t header_bytes) {
  return checksum(static_cast<const uint8_t*>(header) + checksum_end, header_bytes - checksum_end);
}

}  // namespace

void corrupt(const std::string& path, const std::string& what) {
  throw IndexError(IndexFault::corrupt, "index: " + path + " is corrupt: " + what);
}

void seal(void* header, const Magic& magic, size_t header_bytes) {
  const Preamble preamble{magic, byte_order_mark, format_version, static_cast<uint32_t>(header_bytes),
                          checksum_of(header, header_bytes)};
  std::memcpy(header, &preamble, sizeof preamble);
}

void check_preamble(const void* header, size_t size_bytes, const Magic& magic, size_t header_bytes,
                    const std::string& path) {
  Preamble preamble{};
  if (size_bytes != 0) {
    std::memcpy(&preamble, header, std::min(size_bytes, sizeof preamble));
  }
  if (size_bytes >= sizeof magic && (preamble.magic != magic ||
                                     (size_bytes >= sizeof preamble && preamble.byte_order != byte_order_mark))) {
    throw IndexError(IndexFault::foreign, "index: " + path + " is no such file of an index of this machine's byte order");
  }
  if (size_bytes >= sizeof preamble && preamble.version > format_version) {
    throw IndexError(IndexFault::newer, "index: " + path + " has format version " + std::to_string(preamble.version) +
                                            ", expected at most " + std::to_string(format_version));
  }
  if (size_bytes < header_bytes) {
    throw IndexError(IndexFault::truncated, "index: " + path + " has " + std::to_string(size_bytes) +
                                                " bytes, expected at least " + std::to_string(header_bytes));
  }
  if (preamble.header_bytes != header_bytes || preamble.header_checksum != checksum_of(header, header_bytes)) {
    corrupt(path, "the checksum of its header is wrong");
  }
}

// A merge leaves a handful.
constexpr uint64_t most_segments = 1U << 20;

Manifest read_manifest(const std::string& path) {
  const File file(path, O_RDONLY);
  std::vector<uint8_t> bytes(file.size_bytes());
  bytes.resize(file.read(bytes.data(), bytes.size(), 0));
  ManifestHeader header{};
  if (!bytes.empty()) {
    std::memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
  }
  // The checksum covers the segments too, so the header's length is checked against their number first.
  const size_t expected_bytes =
      header.segment_count < most_segments ? sizeof header + header.segment_count * sizeof(ManifestSegment) : sizeof header;
  check_preamble(bytes.data(), bytes.size(), manifest_magic, expected_bytes, path);
  if (header.segment_count >= most_segments || bytes.size() != expected_bytes) {
    corrupt(path, "it does not hold as many segments as it says");
  }
  Manifest manifest{header.generation, header.applied_seq, header.tail_number, {}, {}};
  const auto end = std::find(header.database_id.begin(), header.database_id.end(), '\0');
  manifest.database_id.assign(header.database_id.begin(), end);
  manifest.segments.resize(header.segment_count);
  if (!manifest.segments.empty()) {
    std::memcpy(manifest.segments.data(), bytes.data() + sizeof header, bytes.size() - sizeof header);
  }
  return manifest;
}

void write_manifest(const std::string& path, const Manifest& manifest) {
  ManifestHeader header{};
  header.generation = manifest.generation;
  header.applied_seq = manifest.applied_seq;
  header.tail_number = manifest.tail_number;
  header.segment_count = manifest.segments.size();
  std::copy(manifest.database_id.begin(), manifest.database_id.end(), header.database_id.begin());
  const size_t segments_bytes = manifest.segments.size() * sizeof(ManifestSegment);
  std::vector<uint8_t> bytes(sizeof header + segments_bytes);
  std::memcpy(bytes.data(), &header, sizeof header);
  if (segments_bytes != 0) {
    std::memcpy(bytes.data() + sizeof header, manifest.segments.data(), segments_bytes);
  }
  seal(bytes.data(), manifest_magic, bytes.size());
  swap_file(path, bytes);
}

}  // namespace baken::index
