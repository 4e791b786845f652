#include "index_checksum.hpp"

#include <array>
#include <cstring>

namespace baken::index {
namespace {

constexpr uint32_t polynomial = 0x82F63B78;  // reflected

// tables[k][b]: what byte b adds, k bytes before the end of a word ("slicing by 8", Kounavis and Berry, 2005).
constexpr std::array<std::array<uint32_t, 256>, 8> tables = [] {
  std::array<std::array<uint32_t, 256>, 8> all{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
    }
    all[0][byte] = crc;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t byte = 0; byte < 256; ++byte) {
      all[k][byte] = (all[k - 1][byte] >> 8) ^ all[0][all[k - 1][byte] & 0xff];
    }
  }
  return all;
}();

}  // namespace

uint32_t checksum(const void* data, size_t size_bytes, uint32_t before) {
  static const bool in_hardware = has_checksum_sse42();
  return in_hardware ? checksum_sse42(data, size_bytes, before) : checksum_scalar(data, size_bytes, before);
}

uint32_t checksum_scalar(const void* data, size_t size_bytes, uint32_t before) {
  const auto* next = static_cast<const uint8_t*>(data);
  uint32_t crc = ~before;
  for (; size_bytes >= 8; size_bytes -= 8, next += 8) {
    uint64_t word;
    std::memcpy(&word, next, sizeof word);
    word ^= crc;
    crc = tables[7][word & 0xff] ^ tables[6][word >> 8 & 0xff] ^ tables[5][word >> 16 & 0xff] ^
          tables[4][word >> 24 & 0xff] ^ tables[3][word >> 32 & 0xff] ^ tables[2][word >> 40 & 0xff] ^
          tables[1][word >> 48 & 0xff] ^ tables[0][word >> 56];
  }
  for (; size_bytes > 0; --size_bytes, ++next) {
    crc = (crc >> 8) ^ tables[0][(crc ^ *next) & 0xff];
  }
  return ~crc;
}

}  // namespace baken::index
