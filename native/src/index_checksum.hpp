// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
#pragma once

#include <cstddef>
#include <cstdint>

namespace baken::index {

// Of `size_bytes` at `data`; `before` is the checksum of what came before them.
uint32_t checksum(const void* data, size_t size_bytes, uint32_t before = 0);

// The two ways to compute it; they agree, and `checksum` takes the second where the machine has the instruction.
uint32_t checksum_scalar(const void* data, size_t size_bytes, uint32_t before);
uint32_t checksum_sse42(const void* data, size_t size_bytes, uint32_t before);
bool has_checksum_sse42();

}  // namespace baken::index
