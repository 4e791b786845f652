#include <cstring>

#include "hamming_kernels.hpp"
#include "hamming_views.hpp"

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

size_t filter_postings(const uint32_t* postings, const QueryForm* forms, const LinePart* parts, size_t part_count,
                       const PostingForm& posting_form, PassedPart* passed) {
  PassedPart* out = passed;
  for (size_t i = 0; i < part_count; ++i) {
    const QueryForm& form = forms[parts[i].form];
    const uint32_t* line = postings + size_t{parts[i].line} * line_words;
    uint32_t near = 0;
    for (uint32_t lanes = parts[i].lanes; lanes != 0; lanes &= lanes - 1) {
      const auto lane = static_cast<uint32_t>(__builtin_ctz(lanes));
      const uint32_t differing = line[lane] ^ form.word;
      const uint32_t nibbles = line[line_postings + lane / 8] >> (4 * (lane % 8));
      const uint32_t chain = (differing & posting_form.chain_mask) | ((nibbles ^ form.nibble) & 15U);
      const bool passes = bit_count(differing & posting_form.low_mask) <= parts[i].allowed_bits &&
                          bit_count(chain) <= parts[i].allowed_bits + posting_form.chain_bits;
      near |= (passes ? 1U : 0U) << lane;
    }
    *out = {static_cast<uint16_t>(i), static_cast<uint16_t>(near)};
    out += near != 0 ? 1 : 0;
  }
  return static_cast<size_t>(out - passed);
}

class NearWords {
 public:
  NearWords(const uint32_t* postings, const PostingForm& form) : postings_(postings), form_(form) {}

  struct OfForm {
    const NearWords& near;
    QueryForm form;

    uint32_t words(const BucketView& view, uint32_t allowed_bits) const {
      const uint32_t lane = view.first_word % line_words;
      const uint32_t* first = near.postings_ + view.first_word;
      const uint32_t* line = first - lane;
      uint32_t passed = 0;
      for (uint32_t left = view.words; left != 0; left &= left - 1) {
        const auto word = static_cast<uint32_t>(__builtin_ctz(left));
        const uint32_t number = view_nibbles.of_lane[lane].number[word];
        const uint32_t nibble_word = line[number / 2 * line_words + line_postings + number % 2];
        const uint32_t differing = first[word] ^ form.word;
        const uint32_t chain = (differing & near.form_.chain_mask) |
                               ((nibble_word >> view_nibbles.of_lane[lane].shift[word] ^ form.nibble) & 15U);
        const bool passes = bit_count(differing & near.form_.low_mask) <= allowed_bits &&
                            bit_count(chain) <= allowed_bits + near.form_.chain_bits;
        passed |= (passes ? 1U : 0U) << word;
      }
      return passed;
    }
  };

  OfForm of(const QueryForm& form) const { return {*this, form}; }

 private:
  const uint32_t* postings_;
  PostingForm form_;
};

size_t verify(const uint8_t* query_codes, const uint8_t* codes, uint32_t* slots, uint32_t* queries, size_t count,
              uint32_t radius_bits, Verified* verified) {
  Verified* out = verified;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = distance(load(query_codes + size_t{queries[i]} * 32), codes + size_t{slots[i]} * 32);
    if (bits <= radius_bits) {
      *out++ = {static_cast<uint32_t>(i), bits};
    }
  }
  return static_cast<size_t>(out - verified);
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

const Kernels scalar_kernels = {filter_postings, view_each, filter_each_view<NearWords>, slots_of_each_view,
                                verify, scan_flat, distances, nearest_two, 0,
                                {7.7F, 3.7F, 8.5F, 6.1F}, {6.4F, 6.6F, 10.5F, 6.2F}};

}  // namespace baken::hamming
