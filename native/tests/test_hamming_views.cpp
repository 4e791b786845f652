// Views of buckets, and what is filtered by them, against the plain meaning of a table's lines.
#include <algorithm>
#include <bit>
#include <tuple>
#include <vector>

#include "../src/hamming_kernels.hpp"
#include "baken/cpu.hpp"
#include "check.hpp"

namespace {

using namespace baken::hamming;

constexpr PostingForm form = {0xC0000000, 0xFFE00000, 0x001FFFFF, 6};

std::vector<Kernels> runnable_kernels() {
  std::vector<Kernels> all;
  for (const baken::InstructionPath path : baken::supported_paths()) {
    all.push_back(*kernels_of(static_cast<size_t>(path)));
  }
  return all;
}

uint32_t random_word(std::mt19937_64& rng) { return static_cast<uint32_t>(rng()); }

struct Table {
  std::vector<uint32_t> directory;  // of all buckets, and the end
  std::vector<uint32_t> postings;   // exactly the lines that a segment's table has

  uint32_t posting_count() const { return directory.back(); }

  uint32_t word(uint32_t posting) const { return postings[posting / line_postings * line_words + posting % line_postings]; }

  uint32_t nibble(uint32_t posting) const {
    const uint32_t lane = posting % line_postings;
    return postings[posting / line_postings * line_words + line_postings + lane / 8] >> (4 * (lane % 8)) & 15U;
  }
};

Table random_table(size_t buckets, std::mt19937_64& rng) {
  Table table;
  uint32_t next = 0;
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    table.directory.push_back(next);
    next += static_cast<uint32_t>(rng() % (rng() % 8 == 0 ? 60 : 17));
  }
  table.directory.push_back(next);
  table.postings.resize((next / line_postings + 1) * line_words);
  std::generate(table.postings.begin(), table.postings.end(), [&] { return random_word(rng); });
  return table;
}

std::vector<BucketView> views_of(const Kernels& kernels, const Table& table, uint32_t posting_count) {
  std::vector<BucketView> views(table.directory.size() - 1);
  kernels.view_buckets(table.directory.data(), views.size(), posting_count, views.data());
  return views;
}

using Slots = std::vector<std::pair<uint32_t, uint32_t>>;  // and their queries

Slots near_slots(const Table& table, const std::vector<BucketView>& views, const std::vector<Asked>& asked,
                 const std::vector<KeyMask>& masks, uint32_t allowed_bits) {
  Slots slots;
  for (const Asked& each : asked) {
    for (const KeyMask& mask : masks) {
      const uint32_t bucket = (each.bucket & (static_cast<uint32_t>(views.size()) - 1)) ^ mask.flips;
      const bool is_viewed = views[bucket].next != unviewed;
      for (uint32_t i = table.directory[bucket]; is_viewed && i < table.directory[bucket + 1]; ++i) {
        const uint32_t differing = table.word(i) ^ each.form.word;
        const int low_bits = std::popcount(differing & form.low_mask);
        const int chain_bits =
            std::popcount(differing & form.chain_mask) + std::popcount(table.nibble(i) ^ each.form.nibble);
        const int allowed = static_cast<int>(allowed_bits - mask.count);
        if (low_bits <= allowed && chain_bits <= allowed + static_cast<int>(form.chain_bits)) {
          slots.emplace_back(table.word(i) & form.slot_mask, each.form.query);
        }
      }
    }
  }
  std::sort(slots.begin(), slots.end());
  return slots;
}

}  // namespace

TEST(a_view_shows_the_postings_of_its_bucket) {
  std::mt19937_64 rng(1);
  for (const size_t buckets : {1, 5, 16, 23, 64, 512}) {
    const Table table = random_table(buckets, rng);
    for (const Kernels& kernels : runnable_kernels()) {
      const std::vector<BucketView> views = views_of(kernels, table, table.posting_count());
      for (size_t bucket = 0; bucket < buckets; ++bucket) {
        const uint32_t begin = table.directory[bucket];
        const uint32_t end = table.directory[bucket + 1];
        const bool is_viewed = views[bucket].next != unviewed;
        // The line behind a view's first one must be there, for it is read.
        CHECK_EQ(is_viewed, end - begin <= line_postings && begin / line_postings < table.posting_count() / line_postings);
        std::vector<uint32_t> shown;
        for (uint32_t word = 0; word < line_words; ++word) {
          if (views[bucket].words >> word & 1) {
            shown.push_back(views[bucket].first_word + word);
          }
        }
        std::vector<uint32_t> expected;
        for (uint32_t i = begin; is_viewed && i < end; ++i) {
          expected.push_back(i / line_postings * line_words + i % line_postings);
        }
        CHECK(shown == expected);
      }
    }
  }
}

TEST(no_damaged_directory_leads_a_view_out_of_the_table) {
  std::mt19937_64 rng(2);
  for (int round = 0; round < 200; ++round) {
    Table table = random_table(64, rng);
    const uint32_t posting_count = table.posting_count();
    for (int damaged = 0; damaged < 8; ++damaged) {
      uint32_t& entry = table.directory[rng() % table.directory.size()];
      entry = rng() % 2 == 0 ? random_word(rng) : static_cast<uint32_t>(entry + rng() % 64 - 32);
    }
    for (const Kernels& kernels : runnable_kernels()) {
      for (const BucketView& view : views_of(kernels, table, posting_count)) {
        CHECK(view.next == unviewed ? view.words == 0 && view.first_word == 0
                                    : (view.first_word / line_words + 2) * line_words <= table.postings.size());
      }
    }
  }
}

TEST(a_slice_is_filtered_as_its_postings_say) {
  std::mt19937_64 rng(3);
  const Table table = random_table(256, rng);
  std::vector<KeyMask> masks = {{0, 0}};
  for (uint32_t bit = 0; bit < 8; ++bit) {
    masks.push_back({1U << bit, 1});
  }
  std::vector<Asked> asked;
  for (uint32_t query = 0; query < 40; ++query) {
    asked.push_back({{1000 + query, random_word(rng), static_cast<uint32_t>(rng() % 16)}, random_word(rng)});
  }
  for (const Kernels& kernels : runnable_kernels()) {
    const std::vector<BucketView> views = views_of(kernels, table, table.posting_count());
    const SliceQuestion question = {table.postings.data(), views.data(), form, 255, masks.data(), masks.size(), 2};
    std::vector<PassedView> passed(asked.size() * masks.size());
    std::vector<UnviewedBucket> unviewed_buckets(passed.size());
    const ViewsFiltered found =
        kernels.filter_views(question, asked.data(), asked.size(), passed.data(), unviewed_buckets.data());
    std::vector<uint32_t> slots(found.passed * line_postings + vector_slack);
    std::vector<uint32_t> queries(slots.size());
    const uint32_t rows = form.slot_mask / 2;
    const uint32_t turned_bits = 0x00100000;
    const size_t count = kernels.slots_of_views(table.postings.data(), passed.data(), found.passed, form.slot_mask,
                                                turned_bits, rows, slots.data(), queries.data());
    Slots got;
    for (size_t i = 0; i < count; ++i) {
      CHECK(slots[i] < rows);
      got.emplace_back(slots[i] ^ turned_bits, queries[i]);
    }
    std::sort(got.begin(), got.end());
    Slots expected = near_slots(table, views, asked, masks, question.allowed_bits);
    CHECK(expected.size() > 500);
    std::erase_if(expected, [&](const auto& each) { return (each.first ^ turned_bits) >= rows; });
    CHECK(got == expected);
    size_t expected_unviewed = 0;
    for (const Asked& each : asked) {
      for (const KeyMask& mask : masks) {
        expected_unviewed += views[(each.bucket & 255) ^ mask.flips].next == unviewed ? 1 : 0;
      }
    }
    CHECK_EQ(found.unviewed, expected_unviewed);
    for (size_t i = 0; i < found.unviewed; ++i) {
      const UnviewedBucket& each = unviewed_buckets[i];
      const uint32_t flips = (asked[each.asked].bucket & 255) ^ each.bucket;
      CHECK(views[each.bucket].next == unviewed);
      CHECK_EQ(each.allowed_bits + static_cast<uint32_t>(std::popcount(flips)), question.allowed_bits);
    }
  }
}

TEST(a_view_leads_to_the_next_one_of_its_bucket) {
  std::mt19937_64 rng(4);
  const Table table = random_table(16, rng);
  const KeyMask mask = {0, 0};
  for (const Kernels& kernels : runnable_kernels()) {
    std::vector<BucketView> views = {{0, 0x00FF, 1}, {line_words, 0x3FFF, 2}, {2 * line_words, 0x0003, 0}};
    const PostingForm all_pass = {0, 0, form.slot_mask, 4};
    const SliceQuestion question = {table.postings.data(), views.data(), all_pass, 0, &mask, 1, 0};
    const Asked asked = {{7, 0, 0}, 0};
    std::vector<PassedView> passed(4);
    UnviewedBucket none{};
    const ViewsFiltered found = kernels.filter_views(question, &asked, 1, passed.data(), &none);
    CHECK_EQ(found.passed, size_t{3});
    CHECK_EQ(found.unviewed, size_t{0});
    for (size_t i = 0; i < found.passed; ++i) {
      CHECK_EQ(passed[i].first_word, views[i].first_word);
      CHECK_EQ(passed[i].words, views[i].words);
      CHECK_EQ(passed[i].query, 7U);
    }
  }
}
