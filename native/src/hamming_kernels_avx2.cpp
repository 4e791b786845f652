#if defined(__AVX2__)
#include <immintrin.h>

#include "hamming_kernels.hpp"
#include "hamming_views.hpp"

namespace baken::hamming {
namespace {

constexpr size_t group_size = 4;

__m256i load(const uint8_t* code) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(code)); }

// The number of bits set in every byte, by table look-up of its halves (Mula, Kurz, Lemire, 2016).
__m256i bits_in_bytes(__m256i bytes) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                         0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(bytes, nibble));
  const __m256i high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
  return _mm256_add_epi8(low, high);
}

// Four partial sums of 64 bits.
__m256i partial_distances(__m256i query, __m256i code) {
  return _mm256_sad_epu8(bits_in_bytes(_mm256_xor_si256(query, code)), _mm256_setzero_si256());
}

// Four sums of 64 bits, in order, each of four partial ones.
__m256i sums_of_4(__m256i bits0, __m256i bits1, __m256i bits2, __m256i bits3) {
  const __m256i halves01 = _mm256_add_epi64(_mm256_unpacklo_epi64(bits0, bits1), _mm256_unpackhi_epi64(bits0, bits1));
  const __m256i halves23 = _mm256_add_epi64(_mm256_unpacklo_epi64(bits2, bits3), _mm256_unpackhi_epi64(bits2, bits3));
  return _mm256_add_epi64(_mm256_permute2x128_si256(halves01, halves23, 0x20),
                          _mm256_permute2x128_si256(halves01, halves23, 0x31));
}

__m256i distances_of_row_group(__m256i query, const uint8_t* codes) {
  const auto bits = [&](int i) { return partial_distances(query, load(codes + 32 * i)); };
  return sums_of_4(bits(0), bits(1), bits(2), bits(3));
}

uint32_t distance(__m256i query, const uint8_t* code) {
  const __m256i bits = partial_distances(query, load(code));
  const __m128i halves = _mm_add_epi64(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  return static_cast<uint32_t>(_mm_cvtsi128_si64(halves) + _mm_extract_epi64(halves, 1));
}

uint32_t lanes_above(__m256i bits, __m256i radius) {
  return static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bits, radius))));
}

__m256i bits_in_words(__m256i words) {
  const __m256i pairs = _mm256_maddubs_epi16(bits_in_bytes(words), _mm256_set1_epi8(1));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

__m256i all(uint32_t word) { return _mm256_set1_epi32(static_cast<int>(word)); }

size_t filter_postings(const uint32_t* postings, const QueryForm* forms, const LinePart* parts, size_t part_count,
                       const PostingForm& posting_form, PassedPart* passed) {
  const __m256i low_mask = all(posting_form.low_mask);
  const __m256i chain_mask = all(posting_form.chain_mask);
  const __m256i nibble_places = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
  PassedPart* out = passed;
  for (size_t i = 0; i < part_count; ++i) {
    const QueryForm& form = forms[parts[i].form];
    const __m256i query = all(form.word);
    const __m256i nibble = all(form.nibble);
    const __m256i allowed = all(parts[i].allowed_bits);
    const __m256i chain_allowed = all(parts[i].allowed_bits + posting_form.chain_bits);
    const uint32_t* line = postings + size_t{parts[i].line} * line_words;
    uint32_t far = 0;
    for (uint32_t half = 0; half < 2; ++half) {
      const __m256i posting = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line + 8 * half));
      const __m256i differing = _mm256_xor_si256(posting, query);
      const __m256i nibbles = _mm256_srlv_epi32(all(line[line_postings + half]), nibble_places);
      const __m256i next = _mm256_and_si256(_mm256_xor_si256(nibbles, nibble), all(15));
      const __m256i chain = _mm256_or_si256(_mm256_and_si256(differing, chain_mask), next);
      const __m256i above =
          _mm256_or_si256(_mm256_cmpgt_epi32(bits_in_words(_mm256_and_si256(differing, low_mask)), allowed),
                          _mm256_cmpgt_epi32(bits_in_words(chain), chain_allowed));
      far |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(above))) << (8 * half);
    }
    const uint32_t near = parts[i].lanes & ~far;
    *out = {static_cast<uint16_t>(i), static_cast<uint16_t>(near)};
    out += near != 0 ? 1 : 0;
  }
  return static_cast<size_t>(out - passed);
}

class NearWords {
 public:
  NearWords(const uint32_t* postings, const PostingForm& form)
      : postings_(postings),
        low_mask_(all(form.low_mask)),
        chain_mask_(all(form.chain_mask)),
        chain_bits_(form.chain_bits) {}

  struct OfForm {
    const NearWords& near;
    __m256i word;
    __m256i nibble;

    uint32_t words(const BucketView& view, uint32_t allowed_bits) const {
      const uint32_t lane = view.first_word % line_words;
      const uint32_t* first = near.postings_ + view.first_word;
      const uint32_t* line = first - lane;
      const __m256i allowed = all(allowed_bits);
      const __m256i chain_allowed = all(allowed_bits + near.chain_bits_);
      const __m128i nibbles_here = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(line + line_postings));
      const __m128i nibbles_next = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(line + line_words + line_postings));
      const __m256i nibble_words = _mm256_castsi128_si256(_mm_unpacklo_epi64(nibbles_here, nibbles_next));
      uint32_t far = 0;
      for (uint32_t half = 0; half < line_words; half += 8) {
        const auto load_words = [=](const uint32_t* words) {
          return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + half));
        };
        const __m256i differing = _mm256_xor_si256(load_words(first), word);
        const __m256i in_place =
            _mm256_srlv_epi32(_mm256_permutevar8x32_epi32(nibble_words, load_words(view_nibbles.of_lane[lane].number)),
                              load_words(view_nibbles.of_lane[lane].shift));
        const __m256i next = _mm256_and_si256(_mm256_xor_si256(in_place, nibble), all(15));
        const __m256i chain = _mm256_or_si256(_mm256_and_si256(differing, near.chain_mask_), next);
        const __m256i above =
            _mm256_or_si256(_mm256_cmpgt_epi32(bits_in_words(_mm256_and_si256(differing, near.low_mask_)), allowed),
                            _mm256_cmpgt_epi32(bits_in_words(chain), chain_allowed));
        far |= static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(above))) << half;
      }
      return view.words & ~far;
    }
  };

  OfForm of(const QueryForm& form) const { return {*this, all(form.word), all(form.nibble)}; }

 private:
  const uint32_t* postings_;
  __m256i low_mask_;
  __m256i chain_mask_;
  uint32_t chain_bits_;
};

size_t verify(const uint8_t* query_codes, const uint8_t* codes, uint32_t* slots, uint32_t* queries, size_t count,
              uint32_t radius_bits, Verified* verified) {
  if (count == 0) {
    return 0;
  }
  for (size_t i = 0; i < group_size; ++i) {  // fills the last group
    slots[count + i] = slots[0];
    queries[count + i] = queries[0];
  }
  const __m256i radius = _mm256_set1_epi64x(radius_bits);
  const auto partial = [&](size_t i) {
    return partial_distances(load(query_codes + size_t{queries[i]} * 32), load(codes + size_t{slots[i]} * 32));
  };
  Verified* out = verified;
  for (size_t i = 0; i < count; i += group_size) {
    const __m256i bits = sums_of_4(partial(i), partial(i + 1), partial(i + 2), partial(i + 3));
    uint32_t hits = ~lanes_above(bits, radius) & 0xfU;
    if (hits == 0) {
      continue;
    }
    const size_t left = count - i;
    hits &= left >= group_size ? 0xfU : (1U << left) - 1;
    alignas(32) uint64_t lanes[group_size];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), bits);
    for (; hits != 0; hits &= hits - 1) {
      const int lane = __builtin_ctz(hits);
      *out++ = {static_cast<uint32_t>(i + lane), static_cast<uint32_t>(lanes[lane])};
    }
  }
  return static_cast<size_t>(out - verified);
}

size_t scan_flat(const uint8_t* query, const uint8_t* codes, uint32_t first, size_t count, uint32_t radius_bits,
                 Near* near) {
  const __m256i words = load(query);
  const __m256i radius = _mm256_set1_epi64x(radius_bits);
  Near* out = near;
  size_t i = first;
  const size_t end = first + count;
  for (; i + group_size <= end; i += group_size) {
    const __m256i bits = distances_of_row_group(words, codes + i * 32);
    uint32_t hits = ~lanes_above(bits, radius) & 0xfU;
    if (hits == 0) {
      continue;
    }
    alignas(32) uint64_t lanes[group_size];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), bits);
    for (; hits != 0; hits &= hits - 1) {
      const int lane = __builtin_ctz(hits);
      *out++ = {static_cast<uint32_t>(i + lane), static_cast<uint32_t>(lanes[lane])};
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
  const __m256i words = load(query);
  const __m256i even_lanes = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
  size_t i = 0;
  for (; i + group_size <= count; i += group_size) {
    const __m256i bits = distances_of_row_group(words, codes + i * 32);
    const __m256i narrow = _mm256_permutevar8x32_epi32(bits, even_lanes);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_castsi256_si128(narrow));
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

// In lanes of 64 bits, the high half of each 0.
NearestTwo nearest_two(const uint8_t* query, const uint8_t* codes, size_t count) {
  const __m256i words = load(query);
  __m256i first = _mm256_set1_epi64x(nearest_none);
  __m256i second = first;
  __m256i rows = _mm256_setr_epi64x(0, 1, 2, 3);
  size_t i = 0;
  for (; i + group_size <= count; i += group_size) {
    const __m256i bits = distances_of_row_group(words, codes + i * 32);
    const __m256i keys = _mm256_or_si256(_mm256_slli_epi64(bits, nearest_row_bits), rows);
    second = _mm256_min_epu32(second, _mm256_max_epu32(first, keys));
    first = _mm256_min_epu32(first, keys);
    rows = _mm256_add_epi64(rows, _mm256_set1_epi64x(group_size));
  }
  alignas(32) uint64_t keys[2 * group_size];
  _mm256_store_si256(reinterpret_cast<__m256i*>(keys), first);
  _mm256_store_si256(reinterpret_cast<__m256i*>(keys + group_size), second);
  NearestTwo nearest = {nearest_none, nearest_none};
  for (const uint64_t key : keys) {
    add(nearest, static_cast<uint32_t>(key));
  }
  for (; i < count; ++i) {
    const uint32_t key = distance(words, codes + i * 32) << nearest_row_bits | static_cast<uint32_t>(i);
    add(nearest, key);
  }
  return nearest;
}

}  // namespace

const Kernels avx2_kernels = {filter_postings, view_each, filter_each_view<NearWords>, slots_of_each_view,
                                verify, scan_flat, distances, nearest_two, 1,
                                {7.5F, 0.75F, 1.4F, 0.8F}, {2.9F, 2.0F, 3.5F, 1.1F}};

}  // namespace baken::hamming
#endif
