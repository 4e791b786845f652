// How a slice of a table is searched by views of its buckets, written once. Each instruction path gives a `Near`, which
// says which words of a view are near enough to a query. All is in unnamed namespaces, which keep a path's instances out
// of the others.
#pragma once

#include "hamming_kernels.hpp"

namespace baken::hamming {
namespace {

// Where the nibble of each of a view's 16 words stands: `number` among the nibble words of the view's line and of the next
// one, two of each, and how far to shift it. Of no use where a word is no posting.
struct NibblePlaces {
  uint32_t number[line_words];
  uint32_t shift[line_words];
};

// By the lane of the view's first word.
struct NibbleTable {
  NibblePlaces of_lane[line_postings];
};

consteval NibbleTable nibble_table() {
  NibbleTable table{};
  for (uint32_t first = 0; first < line_postings; ++first) {
    for (uint32_t word = 0; word < line_words; ++word) {
      const uint32_t lane = (first + word) % line_words;
      if (lane < line_postings) {
        table.of_lane[first].number[word] = 2 * ((first + word) / line_words) + lane / 8;
        table.of_lane[first].shift[word] = 4 * (lane % 8);
      }
    }
  }
  return table;
}

alignas(64) constexpr NibbleTable view_nibbles = nibble_table();

// A view ends in the line after its first one, which must be there.
inline uint32_t viewable_end(uint32_t posting_count) { return posting_count / line_postings * line_postings; }

// Who writes into the file meanwhile may have left any number in it, so each is read once and none is used unchecked.
inline void view_each(const uint32_t* directory, size_t bucket_count, uint32_t posting_count, BucketView* views) {
  const uint32_t viewable = viewable_end(posting_count);
  uint32_t end = __atomic_load_n(directory, __ATOMIC_RELAXED);
  for (size_t bucket = 0; bucket < bucket_count; ++bucket) {
    const uint32_t begin = end;
    end = __atomic_load_n(directory + bucket + 1, __ATOMIC_RELAXED);
    const uint32_t lane = begin % line_postings;
    const uint32_t size = end - begin;
    if (begin >= viewable || end > posting_count || size > line_postings) {
      views[bucket] = {0, 0, unviewed};
      continue;
    }
    const uint32_t all = (1U << size) - 1;
    const uint32_t in_line = (1U << (line_postings - lane)) - 1;
    views[bucket] = {begin / line_postings * line_words + lane,
                     static_cast<uint16_t>((all & in_line) | (all & ~in_line) << (line_words - line_postings)), 0};
  }
}

template <typename Near>
ViewsFiltered filter_each_view(const SliceQuestion& question, const Asked* asked, size_t asked_count,
                               PassedView* passed, UnviewedBucket* unviewed_buckets) {
  PassedView* next_passed = passed;
  UnviewedBucket* next_unviewed = unviewed_buckets;
  const Near near(question.postings, question.form);
  const KeyMask* end = question.masks + question.mask_count;
  for (size_t i = 0; i < asked_count; ++i) {
    const QueryForm form = asked[i].form;
    const auto near_form = near.of(form);
    const uint32_t bucket = asked[i].bucket & question.bucket_mask;
    for (const KeyMask* mask = question.masks; mask != end; ++mask) {
      const uint32_t allowed = question.allowed_bits - mask->count;
      const BucketView* view = question.views + (bucket ^ mask->flips);
      for (;;) {
        const uint32_t words = near_form.words(*view, allowed);
        *next_passed = {view->first_word, static_cast<uint16_t>(words), form.query};
        next_passed += words != 0 ? 1 : 0;
        if (view->next == 0) [[likely]] {
          break;
        }
        if (view->next == unviewed) {
          *next_unviewed++ = {static_cast<uint32_t>(i), bucket ^ mask->flips, allowed};
          break;
        }
        view = question.views + view->next;
      }
    }
  }
  return {static_cast<size_t>(next_passed - passed), static_cast<size_t>(next_unviewed - unviewed_buckets)};
}

[[maybe_unused]] size_t slots_of_each_view(const uint32_t* postings, const PassedView* passed, size_t count,
                                           uint32_t slot_mask, uint32_t turned_bits, uint32_t rows, uint32_t* slots,
                                           uint32_t* queries) {
  size_t written = 0;
  for (size_t i = 0; i < count; ++i) {
    for (uint32_t left = passed[i].words; left != 0; left &= left - 1) {
      const uint32_t word = postings[passed[i].first_word + static_cast<uint32_t>(__builtin_ctz(left))];
      slots[written] = (word & slot_mask) ^ turned_bits;
      queries[written] = passed[i].query;
      written += slots[written] < rows ? 1 : 0;
    }
  }
  return written;
}

}  // namespace
}  // namespace baken::hamming
