#include "baken/hamming_index.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "baken/cpu.hpp"
#include "check.hpp"

namespace {

constexpr size_t code_bytes = 32;

struct Banked {
  std::vector<uint8_t> codes;
  std::vector<int64_t> ids;

  size_t size() const { return ids.size(); }
  const uint8_t* code(size_t row) const { return codes.data() + row * code_bytes; }

  void append(const uint8_t* code, int64_t id) {
    codes.insert(codes.end(), code, code + code_bytes);
    ids.push_back(id);
  }

  void remove(const std::vector<int64_t>& gone) {
    Banked kept;
    for (size_t row = 0; row < size(); ++row) {
      if (std::find(gone.begin(), gone.end(), ids[row]) == gone.end()) {
        kept.append(code(row), ids[row]);
      }
    }
    *this = std::move(kept);
  }
};

using Match = std::tuple<int64_t, int32_t, int64_t>;  // query_row, distance_bits, id: the order of a result

std::vector<uint8_t> random_codes(size_t count, std::mt19937_64& rng) {
  std::vector<uint8_t> codes(count * code_bytes);
  for (uint8_t& byte : codes) {
    byte = static_cast<uint8_t>(rng());
  }
  return codes;
}

void flip_some(uint8_t* code, uint64_t most, std::mt19937_64& rng) {
  for (uint64_t flips = rng() % (most + 1); flips > 0; --flips) {
    const uint64_t bit = rng() % 256;
    code[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
  }
}

// A third random, a third crowded around few centres, the rest all zero, all one or copies of one code.
Banked mixed(size_t count, std::mt19937_64& rng) {
  Banked banked{random_codes(count, rng), {}};
  const std::vector<uint8_t> centres = random_codes(5, rng);
  for (size_t row = 0; row < count; ++row) {
    banked.ids.push_back(static_cast<int64_t>(rng() % (count / 2 + 1)) - 7);
    uint8_t* code = banked.codes.data() + row * code_bytes;
    if (row % 3 == 1) {
      std::memcpy(code, centres.data() + rng() % 5 * code_bytes, code_bytes);
      flip_some(code, 40, rng);
    } else if (row % 30 == 2) {
      std::memset(code, row % 60 == 2 ? 0 : 255, code_bytes);
    } else if (row % 30 == 5) {
      std::memcpy(code, centres.data(), code_bytes);
    }
  }
  return banked;
}

std::vector<uint8_t> queries_near(const Banked& banked, size_t count, std::mt19937_64& rng) {
  std::vector<uint8_t> queries = random_codes(count, rng);
  for (size_t query = 0; query < count && banked.size() != 0; query += 2) {
    std::memcpy(queries.data() + query * code_bytes, banked.code(rng() % banked.size()), code_bytes);
    flip_some(queries.data() + query * code_bytes, 64, rng);
  }
  return queries;
}

int32_t distance_bits(const uint8_t* left, const uint8_t* right) {
  int32_t bits = 0;
  for (size_t byte = 0; byte < code_bytes; ++byte) {
    bits += __builtin_popcount(static_cast<unsigned>(left[byte] ^ right[byte]));
  }
  return bits;
}

std::vector<Match> brute_force(const Banked& banked, const std::vector<uint8_t>& queries, int radius_bits) {
  std::vector<Match> matches;
  for (size_t query = 0; query < queries.size() / code_bytes; ++query) {
    for (size_t row = 0; row < banked.size(); ++row) {
      const int32_t bits = distance_bits(queries.data() + query * code_bytes, banked.code(row));
      if (bits <= radius_bits) {
        matches.emplace_back(query, bits, banked.ids[row]);
      }
    }
  }
  std::sort(matches.begin(), matches.end());
  return matches;
}

std::vector<Match> found(const baken::HammingIndex& index, const std::vector<uint8_t>& queries, int radius_bits) {
  const baken::SearchResult result = index.search(queries.data(), queries.size() / code_bytes, radius_bits);
  std::vector<Match> matches;
  for (size_t i = 0; i < result.id.size(); ++i) {
    matches.emplace_back(result.query_row[i], result.distance_bits[i], result.id[i]);
  }
  return matches;
}

void add(baken::HammingIndex& index, const Banked& banked) {
  index.add(banked.codes.data(), banked.ids.data(), banked.size());
}

void check_every_path(const baken::HammingIndex& index, const Banked& banked, const std::vector<uint8_t>& queries,
                      int radius_bits) {
  const std::vector<Match> expected = brute_force(banked, queries, radius_bits);
  const baken::InstructionPath before = baken::active_path();
  for (baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    CHECK(found(index, queries, radius_bits) == expected);
  }
  baken::force_path(before);
}

}  // namespace

TEST(every_radius_equals_brute_force_on_every_path) {
  std::mt19937_64 rng = check::fixed_rng();
  const Banked banked = mixed(20'000, rng);
  const std::vector<uint8_t> queries = queries_near(banked, 4, rng);
  baken::HammingIndex index;
  add(index, banked);
  for (int radius_bits = 0; radius_bits <= 64; ++radius_bits) {
    check_every_path(index, banked, queries, radius_bits);
  }
  for (int radius_bits : {100, 128, 255, 256}) {
    check_every_path(index, banked, queries, radius_bits);
  }
}

TEST(a_large_segment_equals_brute_force) {
  std::mt19937_64 rng = check::fixed_rng(2);
  Banked banked{random_codes(200'000, rng), {}};
  for (size_t row = 0; row < 200'000; ++row) {
    banked.ids.push_back(static_cast<int64_t>(row));
  }
  const std::vector<uint8_t> queries = queries_near(banked, 6, rng);
  baken::HammingIndex index;
  add(index, banked);
  for (int radius_bits : {0, 1, 9, 10, 11, 20, 31, 32, 40, 64}) {
    check_every_path(index, banked, queries, radius_bits);
  }
}

TEST(adds_in_pieces_and_removals_equal_brute_force) {
  std::mt19937_64 rng = check::fixed_rng(3);
  baken::HammingIndex index;
  Banked banked;
  for (int round = 0; round < 40; ++round) {
    const Banked piece = mixed(1 + rng() % 3000, rng);
    add(index, piece);
    for (size_t row = 0; row < piece.size(); ++row) {
      banked.append(piece.code(row), piece.ids[row]);
    }
    std::vector<int64_t> gone;
    for (int i = 0; i < 20; ++i) {
      gone.push_back(banked.ids[rng() % banked.size()]);
    }
    const size_t before = banked.size();
    banked.remove(gone);
    CHECK_EQ(index.remove(gone.data(), gone.size()), before - banked.size());
    CHECK_EQ(index.size(), banked.size());
    const std::vector<uint8_t> queries = queries_near(banked, 3, rng);
    CHECK(found(index, queries, 31) == brute_force(banked, queries, 31));
  }
}

TEST(removing_everything_leaves_an_index_that_works) {
  std::mt19937_64 rng = check::fixed_rng(4);
  const Banked banked = mixed(30'000, rng);
  baken::HammingIndex index;
  add(index, banked);
  CHECK_EQ(index.remove(banked.ids.data(), banked.size()), banked.size());
  CHECK_EQ(index.size(), size_t{0});
  CHECK_EQ(index.remove(banked.ids.data(), banked.size()), size_t{0});
  CHECK(found(index, banked.codes, 3).empty());
  add(index, banked);
  const std::vector<uint8_t> queries = queries_near(banked, 3, rng);
  check_every_path(index, banked, queries, 31);
}

TEST(an_empty_index_and_an_empty_query_find_nothing) {
  baken::HammingIndex index;
  std::mt19937_64 rng = check::fixed_rng(5);
  const std::vector<uint8_t> queries = random_codes(3, rng);
  CHECK(found(index, queries, 256).empty());
  index.add(nullptr, nullptr, 0);
  CHECK_EQ(index.remove(nullptr, 0), size_t{0});
  CHECK(found(index, {}, 31).empty());
  CHECK_EQ(index.size(), size_t{0});
}

TEST(a_radius_outside_0_to_256_is_refused) {
  baken::HammingIndex index;
  CHECK_THROWS(std::invalid_argument, index.search(nullptr, 0, -1));
  CHECK_THROWS(std::invalid_argument, index.search(nullptr, 0, 257));
}

TEST(distances_are_the_same_on_every_path) {
  std::mt19937_64 rng = check::fixed_rng(6);
  const Banked banked = mixed(101, rng);
  const std::vector<uint8_t> query = random_codes(1, rng);
  const baken::InstructionPath before = baken::active_path();
  for (baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    std::vector<int32_t> out(banked.size());
    baken::hamming_distances(query.data(), banked.codes.data(), banked.size(), out.data());
    for (size_t row = 0; row < banked.size(); ++row) {
      CHECK_EQ(out[row], distance_bits(query.data(), banked.code(row)));
    }
  }
  baken::force_path(before);
}

// Identical codes would make every bucket of a plain hash table quadratic; here the scan takes over.
TEST(a_crowd_of_identical_codes_is_found_whole) {
  std::mt19937_64 rng = check::fixed_rng(7);
  Banked banked{random_codes(60'000, rng), std::vector<int64_t>(60'000, 9)};
  for (size_t row = 0; row < 50'000; ++row) {
    std::memcpy(banked.codes.data() + row * code_bytes, banked.code(0), code_bytes);
  }
  baken::HammingIndex index;
  add(index, banked);
  std::vector<uint8_t> queries = random_codes(1, rng);
  queries.insert(queries.end(), banked.code(0), banked.code(0) + code_bytes);
  flip_some(queries.data() + code_bytes, 12, rng);
  check_every_path(index, banked, queries, 31);
}

TEST(the_nearest_are_the_first_of_all_and_the_count_is_exact) {
  std::mt19937_64 rng = check::fixed_rng(10);
  const Banked banked = mixed(40'000, rng);
  baken::HammingIndex index;
  add(index, banked);
  const std::vector<uint8_t> queries = queries_near(banked, 6, rng);
  const size_t query_count = queries.size() / code_bytes;
  for (const int radius_bits : {0, 11, 31, 64, 256}) {
    const std::vector<Match> all = brute_force(banked, queries, radius_bits);
    for (const size_t limit : {size_t{0}, size_t{1}, size_t{9}, size_t{1000}, baken::no_limit}) {
      baken::Question question{queries.data(), query_count, radius_bits};
      question.limit = limit;
      const baken::SearchResult result = index.search(question);
      size_t next = 0;
      size_t next_count = 0;
      for (size_t query = 0, first = 0; query < query_count; ++query) {
        size_t end = first;
        for (; end < all.size() && std::get<0>(all[end]) == static_cast<int64_t>(query); ++end) {
        }
        for (size_t i = first; i < std::min(end, first + std::min(limit, end - first)); ++i, ++next) {
          CHECK((all[i] == Match(result.query_row[next], result.distance_bits[next], result.id[next])));
        }
        if (end != first) {
          CHECK_EQ(result.count_item[next_count], static_cast<int64_t>(query));
          CHECK_EQ(result.count[next_count++], static_cast<int64_t>(end - first));
        }
        first = end;
      }
      CHECK_EQ(result.id.size(), next);
      CHECK_EQ(result.count.size(), next_count);
    }
  }
}

TEST(an_owner_counts_once_at_its_nearest_code) {
  std::mt19937_64 rng = check::fixed_rng(12);
  constexpr int member_bits = 4;
  Banked banked = mixed(40'000, rng);
  for (int64_t& id : banked.ids) {
    id += 7;  // none is negative then
  }
  baken::HammingIndex index(member_bits);
  add(index, banked);
  const std::vector<uint8_t> queries = queries_near(banked, 6, rng);
  const size_t query_count = queries.size() / code_bytes;
  for (const int radius_bits : {0, 31, 64}) {
    std::vector<Match> all = brute_force(banked, queries, radius_bits);
    for (const size_t limit : {size_t{1}, size_t{9}, baken::no_limit}) {
      baken::Question question{queries.data(), query_count, radius_bits};
      question.limit = limit;
      question.lists_counted = true;
      const baken::SearchResult result = index.search(question);
      std::vector<Match> expected;
      std::set<std::pair<int64_t, int64_t>> owners;
      std::vector<size_t> listed(query_count);
      for (const Match& match : all) {
        const auto [query, bits, id] = match;
        if (owners.emplace(query, id >> member_bits).second && listed[static_cast<size_t>(query)]++ < limit) {
          expected.push_back(match);
        }
      }
      std::vector<Match> got;
      for (size_t i = 0; i < result.id.size(); ++i) {
        got.emplace_back(result.query_row[i], result.distance_bits[i], result.id[i]);
      }
      CHECK(got == expected);
      std::vector<std::pair<int64_t, int64_t>> counted;
      for (size_t i = 0; i < result.counted_owner.size(); ++i) {
        counted.emplace_back(result.counted_item[i], result.counted_owner[i]);
      }
      CHECK(counted == std::vector(owners.begin(), owners.end()));
      for (size_t i = 0; i < result.count.size(); ++i) {
        CHECK_EQ(result.count[i], static_cast<int64_t>(listed[static_cast<size_t>(result.count_item[i])]));
      }
    }
  }
}

namespace {

void transpose(const uint8_t* code, uint8_t* turned) {
  std::memset(turned, 0, code_bytes);
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 16; ++column) {
      const size_t from = 16 * row + column;
      const size_t to = 16 * column + row;
      turned[to / 8] |= static_cast<uint8_t>((code[from / 8] >> (7 - from % 8) & 1) << (7 - to % 8));
    }
  }
}

// Queries and their transposes in an order that has none beside its own, some more than once, some their own transpose.
std::vector<uint8_t> with_transposes(const std::vector<uint8_t>& queries) {
  const size_t count = queries.size() / code_bytes;
  std::vector<uint8_t> all(2 * queries.size() + 6 * code_bytes);
  for (size_t query = 0; query < count; ++query) {
    std::memcpy(all.data() + query * code_bytes, queries.data() + query * code_bytes, code_bytes);
    transpose(queries.data() + query * code_bytes, all.data() + (2 * count - 1 - query) * code_bytes);
  }
  std::memset(all.data() + (2 * count + 1) * code_bytes, 255, code_bytes);
  for (size_t i = 2; i < 6; ++i) {
    std::memcpy(all.data() + (2 * count + i) * code_bytes, queries.data(), code_bytes);
  }
  return all;
}

}  // namespace

TEST(transposed_queries_in_one_call_equal_brute_force_at_every_radius) {
  std::mt19937_64 rng = check::fixed_rng(12);
  Banked banked = mixed(60'000, rng);
  for (size_t row = 1; row < 3000; row += 2) {
    transpose(banked.code(row - 1), banked.codes.data() + row * code_bytes);
  }
  baken::HammingIndex index;
  add(index, banked);
  const std::vector<uint8_t> queries = with_transposes(queries_near(banked, 6, rng));
  for (const int radius_bits : {0, 1, 3, 9, 10, 12, 19, 20, 21, 25, 30, 31, 32, 35, 42, 50, 64, 128, 256}) {
    check_every_path(index, banked, queries, radius_bits);
  }
}

// Enough queries that the tables are gone through slice by slice, with a crowd among the codes that sends some to a scan.
TEST(a_batch_finds_what_one_query_after_the_other_finds) {
  std::mt19937_64 rng = check::fixed_rng(11);
  constexpr size_t rows = 1'100'000;
  constexpr size_t query_count = 700;
  Banked banked{random_codes(rows, rng), {}};
  for (size_t row = 0; row < rows; ++row) {
    banked.ids.push_back(static_cast<int64_t>(row));
    if (row >= rows - 1000) {
      std::memcpy(banked.codes.data() + row * code_bytes, banked.code(0), code_bytes);
    }
  }
  baken::HammingIndex index;
  add(index, banked);
  const std::vector<uint8_t> queries = with_transposes(queries_near(banked, query_count, rng));
  const std::vector<Match> batch = found(index, queries, 31);
  std::vector<Match> singles;
  for (size_t query = 0; query < queries.size() / code_bytes; ++query) {
    const std::vector<uint8_t> one(queries.begin() + query * code_bytes, queries.begin() + (query + 1) * code_bytes);
    for (Match match : found(index, one, 31)) {
      std::get<0>(match) = static_cast<int64_t>(query);
      singles.push_back(match);
    }
  }
  CHECK(batch == singles);
}

// Each batch holds the centre twice, and every other batch is removed again. Readers may see any state between, but a
// search must see every batch that stays and was added before it, nothing that was removed before it, and no half batch.
TEST(readers_beside_a_writer_see_what_was_added_before_and_nothing_else) {
  constexpr int64_t batches = 60;
  constexpr size_t batch_rows = 700;
  std::mt19937_64 rng = check::fixed_rng(8);
  const std::vector<uint8_t> centre = random_codes(1, rng);
  std::atomic<int64_t> added{0};    // batches 0 to added - 1 are in
  std::atomic<int64_t> removed{0};  // odd batches below it are out
  baken::HammingIndex index;
  std::thread writer([&] {
    std::mt19937_64 noise = check::fixed_rng(9);
    for (int64_t batch = 0; batch < batches; ++batch) {
      Banked banked{random_codes(batch_rows, noise), std::vector<int64_t>(batch_rows, batch)};
      std::memcpy(banked.codes.data(), centre.data(), code_bytes);
      std::memcpy(banked.codes.data() + (batch_rows - 1) * code_bytes, centre.data(), code_bytes);
      add(index, banked);
      added.store(batch + 1);
      if (batch % 2 == 1) {
        index.remove(&batch, 1);
        removed.store(batch + 1);
      }
    }
  });
  std::vector<std::thread> readers;
  std::atomic<int> mistakes{0};
  for (int reader = 0; reader < 2; ++reader) {
    readers.emplace_back([&] {
      for (int64_t seen = 0; seen < batches;) {
        const int64_t certain = added.load();
        const int64_t gone = removed.load();
        const baken::SearchResult result = index.search(centre.data(), 1, 0);
        for (int64_t batch = 0; batch < batches; ++batch) {
          const auto seen_codes = std::count(result.id.begin(), result.id.end(), batch);
          const bool stays = batch % 2 == 0;
          mistakes += stays && seen_codes != 2 && (seen_codes != 0 || batch < certain) ? 1 : 0;
          mistakes += !stays && batch < gone && seen_codes != 0 ? 1 : 0;
        }
        seen = certain;
      }
    });
  }
  writer.join();
  for (std::thread& reader : readers) {
    reader.join();
  }
  CHECK_EQ(mistakes.load(), 0);
  CHECK_EQ(index.size(), batch_rows * batches / 2);
}
