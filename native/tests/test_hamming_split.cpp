#include "../src/hamming_split.hpp"

#include <bit>
#include <numeric>
#include <vector>

#include "../src/hamming_kernels.hpp"
#include "../src/hamming_segment.hpp"
#include "check.hpp"

namespace {

using namespace baken::hamming;

// Small, where the layout changes, where a directory has its full size, 100 million, and the largest segment.
const std::vector<size_t> sizes = {0,         1,          7,           8,           16,          1000,       16384,
                                   1'000'000, 10'000'000, 100'000'000, 134'217'727, 134'217'728, 200'000'000, max_segment_rows};

std::vector<Kernels> all_kernels() {
  std::vector<Kernels> all;
  for (size_t path = 0; path < path_count; ++path) {
    if (const Kernels* kernels = kernels_of(path)) {
      all.push_back(*kernels);
    }
  }
  return all;
}

}  // namespace

TEST(a_posting_has_room_for_what_it_holds_at_every_size) {
  for (const size_t rows : sizes) {
    const TableShape shape = table_shape(rows);
    CHECK(rows == 0 || (rows - 1) >> shape.row_bits == 0);
    CHECK(shape.row_bits >= 4 && shape.row_bits < 32);
    for (int table = 0; table < table_count; ++table) {
      CHECK(shape.slot_bits(table) < 32);
      CHECK(shape.high_bits(table) >= 0 && shape.high_bits(table) <= max_high_bits);
      CHECK(shape.postings(table) <= max_segment_rows);
      CHECK(shape.low_bits(table) >= 0);
      CHECK(shape.next_bits(table) >= 4 && shape.next_bits(table) <= key_bits(next_table(table)));
      CHECK(shape.slot_bits(table) + shape.low_bits(table) + shape.next_bits(table) <= TableShape::posting_bits);
      const uint64_t low = (uint64_t{1} << shape.low_bits(table)) - 1;
      const uint64_t next = (uint64_t{1} << shape.next_bits(table)) - 1;
      const uint64_t word = posting_word(shape, table, low, next);
      CHECK_EQ(word >> 32, uint64_t{0});
      CHECK_EQ(word & ((uint64_t{1} << shape.slot_bits(table)) - 1), uint64_t{0});
      CHECK_EQ(std::popcount(word), shape.low_bits(table) + shape.next_bits(table) - 4);
    }
  }
}

TEST(an_entry_takes_at_most_96_bytes_at_every_large_size) {
  for (size_t rows = 100'000; rows <= 400'000'000; rows += rows / 7) {
    for (const size_t edge : {rows, std::bit_ceil(rows)}) {
      const SectionBytes sections = section_bytes(table_shape(edge));
      const size_t bits_bytes = edge / 8 + 8;
      const size_t total = std::accumulate(sections.begin(), sections.end(), bits_bytes);
      CHECK(total <= 96 * edge);
    }
  }
}

namespace {

std::array<uint8_t, code_bytes> transposed(const std::array<uint8_t, code_bytes>& code) {
  std::array<uint8_t, code_bytes> turned{};
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 16; ++column) {
      const size_t from = 16 * row + column;  // in a byte, the first column is the highest bit
      const size_t to = 16 * column + row;
      turned[to / 8] |= static_cast<uint8_t>((code[from / 8] >> (7 - from % 8) & 1) << (7 - to % 8));
    }
  }
  return turned;
}

std::array<uint8_t, code_bytes> random_code(std::mt19937_64& rng) {
  std::array<uint8_t, code_bytes> code{};
  for (uint8_t& byte : code) {
    byte = static_cast<uint8_t>(rng());
  }
  return code;
}

}  // namespace

TEST(each_bit_of_a_code_is_in_exactly_one_key) {
  std::array<uint8_t, code_bytes> code{};
  std::array<uint32_t, table_count> met{};
  for (size_t bit = 0; bit < code_bits; ++bit) {
    code[bit / 8] = static_cast<uint8_t>(1U << (bit % 8));
    const Keys keys = keys_of(code.data());
    code[bit / 8] = 0;
    int set = 0;
    for (int table = 0; table < table_count; ++table) {
      set += std::popcount(keys[table]);
      CHECK_EQ(met[table] & keys[table], 0U);
      met[table] |= keys[table];
    }
    CHECK_EQ(set, 1);
  }
  for (int table = 0; table < table_count; ++table) {
    CHECK_EQ(met[table], (uint32_t{1} << key_bits(table)) - 1);
  }
}

TEST(the_keys_of_a_transposed_code_are_those_of_the_transposed_tables) {
  std::mt19937_64 rng = check::fixed_rng(2);
  for (int round = 0; round < 1000; ++round) {
    const std::array<uint8_t, code_bytes> code = random_code(rng);
    std::array<uint8_t, code_bytes> turned = transposed(code);
    const Keys keys = keys_of(code.data());
    const Keys turned_keys = keys_of(turned.data());
    for (int table = 0; table < joint_tables; ++table) {
      CHECK_EQ(keys[table], turned_keys[transposed_table(table)]);
      CHECK_EQ(next_table(transposed_table(table)), transposed_table(next_table(table)));
    }
    CHECK(are_transposed(keys, turned_keys));
    const size_t bit = rng() % code_bits;
    turned[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    CHECK(!are_transposed(keys, keys_of(turned.data())));
  }
}

TEST(the_shares_of_every_radius_leave_no_code_out_at_every_size) {
  for (const Kernels& kernels : all_kernels()) {
    for (const size_t rows : sizes) {
      const Split split = split_for(table_shape(rows), costs_of(kernels, rows));
      for (int radius = 0; radius <= code_bits; ++radius) {
        const TableRadii radii = split.radii_for(radius);
        int sum = 0;
        for (int table = 0; table < table_count; ++table) {
          CHECK(radii[table] >= -1 && radii[table] <= key_bits(table));
          sum += radii[table] + 1;
        }
        CHECK_EQ(sum, radius + 1);
        CHECK(radius == 0 || split.cost_ns[radius] >= split.cost_ns[radius - 1] * 0.99F);
      }
    }
  }
}

TEST(the_cost_of_a_split_is_that_of_its_work) {
  for (const size_t rows : {size_t{1'000'000}, size_t{100'000'000}}) {
    const TableShape shape = table_shape(rows);
    const Costs& costs = costs_of(scalar_kernels, rows);
    const Split split = split_for(shape, costs);
    for (const int radius : {0, 10, 31, 40, 64}) {
      const double cost = work_for(shape, split.radii_for(radius)).cost_ns(costs);
      CHECK(cost > split.cost_ns[radius] * 0.999 && cost < split.cost_ns[radius] * 1.001);
    }
  }
}

// The principle that the filter of a table rests on: whatever the distances are, if they sum up to the radius some table
// is near enough, alone and together with the next one.
TEST(some_table_passes_alone_and_with_the_next_whatever_the_distances) {
  std::mt19937_64 rng = check::fixed_rng();
  const Split split = split_for(table_shape(10'000'000), costs_of(scalar_kernels, 10'000'000));
  for (int round = 0; round < 200'000; ++round) {
    const int radius = static_cast<int>(rng() % 65);
    const TableRadii radii = split.radii_for(radius);
    std::array<int, table_count> distances{};
    for (int bit = 0; bit < radius; ++bit) {
      ++distances[rng() % (1 + rng() % table_count)];
    }
    bool passes = false;
    for (int table = 0; table < table_count; ++table) {
      const int next = next_table(table);
      passes |= distances[table] <= radii[table] &&
                distances[table] + distances[next] <= radii[table] + radii[next] + 1;
    }
    CHECK(passes);
  }
}
