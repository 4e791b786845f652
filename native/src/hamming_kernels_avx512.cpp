#if defined(__AVX512VPOPCNTDQ__)
// GCC 12's own header warns of the undefined operand that its unmasked intrinsics pass on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "hamming_kernels.hpp"

namespace baken::hamming {
namespace {

constexpr size_t group_size = 8;

__m256i load(const uint8_t* code) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(code)); }

__m512i load_pair(const uint8_t* first, const uint8_t* second) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(load(first)), load(second), 1);
}

__m512i doubled(const uint8_t* query) { return _mm512_broadcast_i64x4(load(query)); }

// Eight sums in order from the differing bits of four pairs of codes: words are added crosswise, so that one vector holds
// all eight sums.
__m256i sums_of_8(__m512i pair0, __m512i pair1, __m512i pair2, __m512i pair3) {
  const __m512i bits0 = _mm512_popcnt_epi64(pair0);
  const __m512i bits1 = _mm512_popcnt_epi64(pair1);
  const __m512i bits2 = _mm512_popcnt_epi64(pair2);
  const __m512i bits3 = _mm512_popcnt_epi64(pair3);
  const __m512i halves01 = _mm512_add_epi64(_mm512_unpacklo_epi64(bits0, bits1), _mm512_unpackhi_epi64(bits0, bits1));
  const __m512i halves23 = _mm512_add_epi64(_mm512_unpacklo_epi64(bits2, bits3), _mm512_unpackhi_epi64(bits2, bits3));
  const __m512i first = _mm512_setr_epi64(0, 4, 1, 5, 8, 12, 9, 13);
  const __m512i second = _mm512_setr_epi64(2, 6, 3, 7, 10, 14, 11, 15);
  return _mm512_cvtepi64_epi32(_mm512_add_epi64(_mm512_permutex2var_epi64(halves01, first, halves23),
                                                _mm512_permutex2var_epi64(halves01, second, halves23)));
}

__m256i distances_of_row_group(__m512i query, const uint8_t* codes) {
  const auto pair = [&](int i) { return _mm512_xor_si512(query, _mm512_loadu_si512(codes + 64 * i)); };
  return sums_of_8(pair(0), pair(1), pair(2), pair(3));
}

// The numbers say which of the codes.
__m512i load_numbered(const uint8_t* codes, const uint32_t* numbers) {
  return load_pair(codes + size_t{numbers[0]} * 32, codes + size_t{numbers[1]} * 32);
}

// One bit a lane. Not as a mask register: GCC 12 spills an 8-bit mask as one byte and reloads four, which happens where
// ThreadSanitizer adds calls.
uint32_t lanes_above(__m256i bits, __m256i radius) {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(bits, radius))));
}

uint32_t distance(__m512i query, const uint8_t* code) {
  const __m256i bits = _mm256_popcnt_epi64(_mm256_xor_si256(_mm512_castsi512_si256(query), load(code)));
  const __m128i halves = _mm_add_epi64(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  return static_cast<uint32_t>(_mm_cvtsi128_si64(halves) + _mm_extract_epi64(halves, 1));
}

size_t filter_postings(const uint32_t* postings, const QueryForm* forms, const LinePart* parts, size_t part_count,
                       const PostingForm& posting_form, PassedPart* passed) {
  const auto all = [](uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); };
  const __m512i low_mask = all(posting_form.low_mask);
  const __m512i chain_mask = all(posting_form.chain_mask);
  const __m512i chain_bits = all(posting_form.chain_bits);
  const __m512i four_bits = all(15);
  const __m512i nibble_words = _mm512_setr_epi32(14, 14, 14, 14, 14, 14, 14, 14, 15, 15, 15, 15, 15, 15, 15, 15);
  const __m512i nibble_places = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  PassedPart* out = passed;
  for (size_t i = 0; i < part_count; ++i) {
    const QueryForm& form = forms[parts[i].form];
    const __m512i allowed = all(parts[i].allowed_bits);
    const __m512i posting = _mm512_loadu_si512(postings + size_t{parts[i].line} * line_words);
    const __m512i differing = _mm512_xor_si512(posting, all(form.word));
    const __m512i low_bits = _mm512_popcnt_epi32(_mm512_and_si512(differing, low_mask));
    const __m512i nibbles = _mm512_srlv_epi32(_mm512_permutexvar_epi32(nibble_words, posting), nibble_places);
    const __m512i next = _mm512_ternarylogic_epi32(nibbles, all(form.nibble), four_bits, 0x28);  // (a ^ b) & c
    const __m512i chain = _mm512_ternarylogic_epi32(differing, chain_mask, next, 0xea);                 // (a & b) | c
    const __mmask16 low_near = _mm512_mask_cmple_epu32_mask(parts[i].lanes, low_bits, allowed);
    const __mmask16 near =
        _mm512_mask_cmple_epu32_mask(low_near, _mm512_popcnt_epi32(chain), _mm512_add_epi32(allowed, chain_bits));
    *out = {static_cast<uint16_t>(i), near};
    out += near != 0 ? 1 : 0;
  }
  return static_cast<size_t>(out - passed);
}

size_t verify(const uint8_t* query_codes, const uint8_t* codes, uint32_t* slots, uint32_t* queries, size_t count,
              uint32_t radius_bits, Verified* verified) {
  if (count == 0) {
    return 0;
  }
  for (size_t i = 0; i < group_size; ++i) {  // fills the last group
    slots[count + i] = slots[0];
    queries[count + i] = queries[0];
  }
  const __m256i radius = _mm256_set1_epi32(static_cast<int>(radius_bits));
  Verified* out = verified;
  for (size_t i = 0; i < count; i += group_size) {
    const auto pair = [&](size_t first) {
      return _mm512_xor_si512(load_numbered(codes, slots + first), load_numbered(query_codes, queries + first));
    };
    const __m256i bits = sums_of_8(pair(i), pair(i + 2), pair(i + 4), pair(i + 6));
    uint32_t hits = ~lanes_above(bits, radius) & 0xffU;
    if (hits == 0) {
      continue;
    }
    const size_t left = count - i;
    hits &= left >= group_size ? 0xffU : (1U << left) - 1;
    alignas(32) uint32_t lanes[group_size];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), bits);
    for (; hits != 0; hits &= hits - 1) {
      const int lane = __builtin_ctz(hits);
      *out++ = {static_cast<uint32_t>(i + lane), lanes[lane]};
    }
  }
  return static_cast<size_t>(out - verified);
}

size_t scan_flat(const uint8_t* query, const uint8_t* codes, uint32_t first, size_t count, uint32_t radius_bits,
                 Near* near) {
  const __m512i words = doubled(query);
  const __m256i radius = _mm256_set1_epi32(static_cast<int>(radius_bits));
  Near* out = near;
  size_t i = first;
  const size_t end = first + count;
  for (; i + group_size <= end; i += group_size) {
    const __m256i bits = distances_of_row_group(words, codes + i * 32);
    uint32_t hits = ~lanes_above(bits, radius) & 0xffU;
    if (hits == 0) {
      continue;
    }
    alignas(32) uint32_t lanes[group_size];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), bits);
    for (; hits != 0; hits &= hits - 1) {
      const int lane = __builtin_ctz(hits);
      *out++ = {static_cast<uint32_t>(i + lane), lanes[lane]};
    }
  }
  for (; i < end; ++i) {
    const uint32_t bits = distance(words, codes + i * 32);
    if (bits <= radius_bits) {
      *out++ = {static_cast<uint32_t>(i), bits};
    }
  }
  return static_cast<size_t>(out - near);
}

void distances(const uint8_t* query, const uint8_t* codes, size_t count, int32_t* out) {
  const __m512i words = doubled(query);
  size_t i = 0;
  for (; i + group_size <= count; i += group_size) {
    const __m256i bits = distances_of_row_group(words, codes + i * 32);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), bits);
  }
  for (; i < count; ++i) {
    out[i] = static_cast<int32_t>(distance(words, codes + i * 32));
  }
}

void add(NearestTwo& nearest, uint32_t key) {
  if (key < nearest.first) {
    nearest = {key, nearest.first};
  } else if (key < nearest.second) {
    nearest.second = key;
  }
}

NearestTwo nearest_two(const uint8_t* query, const uint8_t* codes, size_t count) {
  const __m512i words = doubled(query);
  __m256i first = _mm256_set1_epi32(-1);
  __m256i second = first;
  __m256i rows = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  size_t i = 0;
  for (; i + group_size <= count; i += group_size) {
    const __m256i bits = distances_of_row_group(words, codes + i * 32);
    const __m256i keys = _mm256_or_si256(_mm256_slli_epi32(bits, nearest_row_bits), rows);
    second = _mm256_min_epu32(second, _mm256_max_epu32(first, keys));
    first = _mm256_min_epu32(first, keys);
    rows = _mm256_add_epi32(rows, _mm256_set1_epi32(group_size));
  }
  alignas(32) uint32_t keys[2 * group_size];
  _mm256_store_si256(reinterpret_cast<__m256i*>(keys), first);
  _mm256_store_si256(reinterpret_cast<__m256i*>(keys + group_size), second);
  NearestTwo nearest = {nearest_none, nearest_none};
  for (const uint32_t key : keys) {
    add(nearest, key);
  }
  for (; i < count; ++i) {
    const uint32_t key = distance(words, codes + i * 32) << nearest_row_bits | static_cast<uint32_t>(i);
    add(nearest, key);
  }
  return nearest;
}

}  // namespace

const Kernels avx512_kernels = {filter_postings, verify, scan_flat, distances, nearest_two, 2,
                                {4.8F, 0.6F, 1.2F, 0.42F}, {1.1F, 1.5F, 3.2F, 1.25F}};

}  // namespace baken::hamming
#endif
