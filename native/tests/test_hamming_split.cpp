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
    CHECK(rows == 0 || (rows - 1) >> shape.slot_bits == 0);
    CHECK(shape.slot_bits >= 4 && shape.slot_bits < 32);
    CHECK(shape.high_bits >= 0 && shape.high_bits <= max_high_bits);
    for (int table = 0; table < table_count; ++table) {
      CHECK(shape.low_bits(table) >= 0);
      CHECK(shape.next_bits(table) >= 4 && shape.next_bits(table) <= substrings[next_table(table)].bits);
      CHECK(shape.slot_bits + shape.low_bits(table) + shape.next_bits(table) <= TableShape::posting_bits);
      const uint64_t low = (uint64_t{1} << shape.low_bits(table)) - 1;
      const uint64_t next = (uint64_t{1} << shape.next_bits(table)) - 1;
      const uint64_t word = posting_word(shape, table, low, next);
      CHECK_EQ(word >> 32, uint64_t{0});
      CHECK_EQ(word & ((uint64_t{1} << shape.slot_bits) - 1), uint64_t{0});
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

TEST(the_shares_of_every_radius_leave_no_code_out_at_every_size) {
  for (const Kernels& kernels : all_kernels()) {
    for (const size_t rows : sizes) {
      const Split split = split_for(table_shape(rows), costs_of(kernels, rows));
      for (int radius = 0; radius <= code_bits; ++radius) {
        const TableRadii radii = split.radii_for(radius);
        int sum = 0;
        for (int table = 0; table < table_count; ++table) {
          CHECK(radii[table] >= -1 && radii[table] <= substrings[table].bits);
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
