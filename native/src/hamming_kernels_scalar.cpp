#include <cstring>

#include "hamming_kernels.hpp"

namespace baken::hamming {
namespace {

struct Words {
  uint64_t word[4];
};

Words load(const uint8_t* code) {
  Words words;
  std::memcpy(&words, code, sizeof words);
  return words;
}

uint32_t distance(const Words& query, const uint8_t* code) {
  const Words other = load(code);
  int bits = 0;
  for (int i = 0; i < 4; ++i) {
    bits += __builtin_popcountll(query.word[i] ^ other.word[i]);
  }
  return static_cast<uint32_t>(bits);
}

uint32_t bit_count(uint32_t bits) { return static_cast<uint32_t>(__builtin_popcount(bits)); }

size_t filter_postings(const uint32_t* postings, const Bucket* buckets, size_t bucket_count, const PostingForm& form,
                       uint32_t* slots) {
  uint32_t* out = slots;
  for (const Bucket* bucket = buckets; bucket != buckets + bucket_count; ++bucket) {
    const uint32_t* line = postings + size_t{bucket->line} * line_words;
    uint32_t lane = bucket->lane;
    for (uint32_t i = 0; i < bucket->count; ++i) {
      const uint32_t differing = line[lane] ^ form.query_word;
      const uint32_t nibbles = line[line_postings + lane / 8] >> (4 * (lane % 8));
      const uint32_t chain = (differing & form.chain_mask) | ((nibbles ^ form.query_nibble) & 15U);
      const bool passes = bit_count(differing & form.low_mask) <= bucket->allowed_bits &&
                          bit_count(chain) <= bucket->allowed_bits + form.chain_bits;
      *out = line[lane] & form.slot_mask;
      out += passes ? 1 : 0;
      if (++lane == line_postings) {
        lane = 0;
        line += line_words;
      }
    }
  }
  return static_cast<size_t>(out - slots);
}

size_t verify(const uint8_t* query, const uint8_t* codes, uint32_t* slots, size_t count, uint32_t radius_bits,
              Near* near) {
  const Words words = load(query);
  Near* out = near;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = distance(words, codes + size_t{slots[i]} * 32);
    if (bits <= radius_bits) {
      *out++ = {slots[i], bits};
    }
  }
  return static_cast<size_t>(out - near);
}

size_t scan_flat(const uint8_t* query, const uint8_t* codes, uint32_t first, size_t count, uint32_t radius_bits,
                 Near* near) {
  const Words words = load(query);
  Near* out = near;
  for (size_t i = first; i < first + count; ++i) {
    const uint32_t bits = distance(words, codes + i * 32);
    if (bits <= radius_bits) {
      *out++ = {static_cast<uint32_t>(i), bits};
    }
  }
  return static_cast<size_t>(out - near);
}

void distances(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out) {
  const Words words = load(query);
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<int32_t>(distance(words, codes + i * 32));
  }
}

NearestTwo nearest_two(const uint8_t* query, const uint8_t* codes, size_t count) {
  const Words words = load(query);
  NearestTwo nearest = {nearest_none, nearest_none};
  for (size_t i = 0; i < count; ++i) {
    const uint32_t key = distance(words, codes + i * 32) << nearest_row_bits | static_cast<uint32_t>(i);
    if (key < nearest.first) {
      nearest = {key, nearest.first};
    } else if (key < nearest.second) {
      nearest.second = key;
    }
  }
  return nearest;
}

}  // namespace

const Kernels scalar_kernels = {filter_postings, verify, scan_flat, distances, nearest_two, 0,
                                {14.0F, 5.0F, 12.0F, 12.0F}, {55.0F, 6.0F, 17.0F, 12.0F}};

}  // namespace baken::hamming
