#if defined(__AVX512VPOPCNTDQ__)
// GCC 12's own header warns of the undefined operand that its unmasked intrinsics pass on purpose (GCC bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include "hamming_kernels.hpp"
#include "hamming_views.hpp"

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

__m512i all(uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }

size_t filter_postings(const uint32_t* postings, const QueryForm* forms, const LinePart* parts, size_t part_count,
                       const PostingForm& posting_form, PassedPart* passed) {
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

// Of whole numbers below 2^32. Half of a number has 31 bits, and 2^34 / 7 rounded up is near enough for those.
__m512i divided_by_14(__m512i numbers) {
  const __m512i seventh = _mm512_set1_epi64(0x92492493);
  const __m512i halves = _mm512_srli_epi32(numbers, 1);
  const __m512i even = _mm512_srli_epi64(_mm512_mul_epu32(halves, seventh), 34);
  const __m512i odd = _mm512_srli_epi64(_mm512_mul_epu32(_mm512_srli_epi64(halves, 32), seventh), 2);
  return _mm512_mask_mov_epi32(even, 0xaaaa, odd);
}

// As view_each(), 16 buckets at once.
void view_buckets(const uint32_t* directory, size_t bucket_count, uint32_t posting_count, BucketView* views) {
  static_assert(line_postings == 14 && line_words == 16 && sizeof(BucketView) == 8);
  const __m512i one = all(1);
  const __m512i low_views = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high_views = _mm512_add_epi32(low_views, all(8));
  size_t bucket = 0;
  for (; bucket + 16 <= bucket_count; bucket += 16) {
    const __m512i begin = _mm512_loadu_si512(directory + bucket);
    const __m512i end = _mm512_loadu_si512(directory + bucket + 1);
    const __m512i size = _mm512_sub_epi32(end, begin);
    const __mmask16 viewed = _mm512_cmplt_epu32_mask(begin, all(viewable_end(posting_count))) &
                             _mm512_cmple_epu32_mask(end, all(posting_count)) &
                             _mm512_cmple_epu32_mask(size, all(line_postings));
    const __m512i line = divided_by_14(begin);
    const __m512i two_lines = _mm512_slli_epi32(line, 1);
    const __m512i first_word = _mm512_add_epi32(begin, two_lines);  // 16 words a line instead of 14
    const __m512i lane = _mm512_and_si512(first_word, all(15));
    const __m512i bits = _mm512_sub_epi32(_mm512_sllv_epi32(one, size), one);
    const __m512i in_line = _mm512_sub_epi32(_mm512_sllv_epi32(one, _mm512_sub_epi32(all(14), lane)), one);
    const __m512i beyond = _mm512_slli_epi32(_mm512_andnot_si512(in_line, bits), 2);
    const __m512i words = _mm512_ternarylogic_epi32(bits, in_line, beyond, 0xea);  // (a & b) | c
    const __m512i rest = _mm512_mask_mov_epi32(all(uint32_t{unviewed} << 16), viewed, words);
    const __m512i firsts = _mm512_maskz_mov_epi32(viewed, first_word);
    _mm512_storeu_si512(views + bucket, _mm512_permutex2var_epi32(firsts, low_views, rest));
    _mm512_storeu_si512(views + bucket + 8, _mm512_permutex2var_epi32(firsts, high_views, rest));
  }
  view_each(directory + bucket, bucket_count - bucket, posting_count, views + bucket);
}

class NearWords {
 public:
  NearWords(const uint32_t* postings, const PostingForm& form)
      : postings_(postings),
        low_mask_(all(form.low_mask)),
        chain_mask_(all(form.chain_mask)),
        chain_bits_(all(form.chain_bits)) {}

  struct OfForm {
    const NearWords& near;
    __m512i word;
    __m512i nibble;

    uint32_t words(const BucketView& view, uint32_t allowed_bits) const {
      const uint32_t lane = view.first_word % line_words;
      const uint32_t* first = near.postings_ + view.first_word;
      const uint32_t* line = first - lane;
      const __m512i allowed = all(allowed_bits);
      const __m512i differing = _mm512_xor_si512(_mm512_loadu_si512(first), word);
      const __m512i low_bits = _mm512_popcnt_epi32(_mm512_and_si512(differing, near.low_mask_));
      const __m128i nibbles_here = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(line + line_postings));
      const __m128i nibbles_next = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(line + line_words + line_postings));
      const __m512i nibble_words = _mm512_castsi128_si512(_mm_unpacklo_epi64(nibbles_here, nibbles_next));
      const __m512i in_place =
          _mm512_srlv_epi32(_mm512_permutexvar_epi32(_mm512_load_si512(view_nibbles.of_lane[lane].number), nibble_words),
                            _mm512_load_si512(view_nibbles.of_lane[lane].shift));
      const __m512i next = _mm512_ternarylogic_epi32(in_place, nibble, all(15), 0x28);             // (a ^ b) & c
      const __m512i chain = _mm512_ternarylogic_epi32(differing, near.chain_mask_, next, 0xea);  // (a & b) | c
      const __mmask16 low_near = _mm512_mask_cmple_epu32_mask(view.words, low_bits, allowed);
      return _mm512_mask_cmple_epu32_mask(low_near, _mm512_popcnt_epi32(chain),
                                          _mm512_add_epi32(allowed, near.chain_bits_));
    }
  };

  OfForm of(const QueryForm& form) const { return {*this, all(form.word), all(form.nibble)}; }

 private:
  const uint32_t* postings_;
  __m512i low_mask_;
  __m512i chain_mask_;
  __m512i chain_bits_;
};

size_t slots_of_views(const uint32_t* postings, const PassedView* passed, size_t count, uint32_t slot_mask,
                      uint32_t turned_bits, uint32_t rows, uint32_t* slots, uint32_t* queries) {
  size_t written = 0;
  for (size_t i = 0; i < count; ++i) {
    const __m512i words = _mm512_loadu_si512(postings + passed[i].first_word);
    const __m512i turned = _mm512_ternarylogic_epi32(words, all(slot_mask), all(turned_bits), 0x6a);  // (a & b) ^ c
    const __mmask16 good = _mm512_mask_cmplt_epu32_mask(static_cast<__mmask16>(passed[i].words), turned, all(rows));
    _mm512_storeu_si512(slots + written, _mm512_maskz_compress_epi32(good, turned));
    _mm512_storeu_si512(queries + written, all(passed[i].query));
    written += static_cast<size_t>(__builtin_popcount(good));
  }
  return written;
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

const Kernels avx512_kernels = {filter_postings, view_buckets, filter_each_view<NearWords>, slots_of_views,
                                verify, scan_flat, distances, nearest_two, 2,
                                {4.8F, 0.6F, 1.2F, 0.42F}, {1.1F, 1.5F, 3.2F, 1.25F}};

}  // namespace baken::hamming
#endif
