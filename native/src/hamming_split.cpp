#include "hamming_split.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace baken::hamming {
namespace {

// Fewer make directories large, more are read in vain; with 8 an entry takes at most 96 bytes, whatever the rows.
constexpr size_t postings_per_bucket = 8;

// A nibble of the next table's key takes the place of the lowest slot bits in the filter.
constexpr int min_slot_bits = 4;

// [n][k]: binomial coefficients, and how likely n random bits have at most k set.
struct Binomials {
  std::array<std::array<double, max_key_bits + 1>, max_key_bits + 1> choose{};
  std::array<std::array<double, max_key_bits + 1>, max_key_bits + 1> at_most{};

  Binomials() {
    for (int n = 0; n <= max_key_bits; ++n) {
      double sum = 0;
      for (int k = 0; k <= max_key_bits; ++k) {
        const double above = n > 0 ? choose[n - 1][k] + (k > 0 ? choose[n - 1][k - 1] : 0) : 0;
        choose[n][k] = k == 0 ? 1 : above;
        sum += choose[n][k];
        at_most[n][k] = std::ldexp(sum, -n);
      }
    }
  }
};
const Binomials binomials;

// Within t bits in one table, when the next one looks within `next`.
Work work_of(const TableShape& shape, int table, int t, int next) {
  const int bits = key_bits(table);
  const int high_bits = shape.high_bits(table);
  double probes = 0;
  for (int flips = 0; flips <= std::min(t, high_bits); ++flips) {
    probes += binomials.choose[high_bits][flips];
  }
  double keys = 0;
  for (int distance = 0; distance <= std::min(t, bits); ++distance) {
    const int left = std::min(t + next + 1 - distance, max_key_bits);
    keys += left < 0 ? 0 : binomials.choose[bits][distance] * binomials.at_most[shape.next_bits(table)][left];
  }
  const auto rows = static_cast<double>(shape.rows);
  const auto postings = static_cast<double>(shape.postings(table));
  return {probes, probes * std::ldexp(postings, -high_bits), keys * std::ldexp(rows, -bits)};
}

constexpr int table_before(int table) {
  return table < joint_tables ? (table + joint_tables - 2) % joint_tables : table;
}

double cost_of(const TableShape& shape, const Costs& costs, const TableRadii& radii, int table) {
  return radii[table] < 0 ? 0 : work_of(shape, table, radii[table], radii[next_table(table)]).cost_ns(costs);
}

// What one bit more costs in a table whose neighbours look as far as it does. For a code and its transpose, joint tables
// are gone through once and the others twice.
double step_cost(const TableShape& shape, const Costs& costs, const TableRadii& radii, int table) {
  const int t = radii[table];
  if (t == key_bits(table)) {
    return std::numeric_limits<double>::infinity();
  }
  const double before = t < 0 ? 0 : work_of(shape, table, t, t).cost_ns(costs);
  const int times = shape.is_joint() && table >= joint_tables ? 2 : 1;
  return times * (work_of(shape, table, t + 1, t + 1).cost_ns(costs) - before);
}

// Four bits of each of four neighbouring rows, as the 16 bits of a block, the last row first.
constexpr uint64_t block(uint64_t rows, int first_column) {
  constexpr uint64_t four_columns = 0x000F000F000F000F;
  constexpr uint64_t side_by_side = uint64_t{1} << 60 | uint64_t{1} << 40 | uint64_t{1} << 20 | 1;
  return ((rows >> first_column & four_columns) * side_by_side) >> 48;
}

// Four blocks transposed, each 4 x 4 bits, by two exchanges of bits (Warren, Hacker's Delight, 7-3).
constexpr uint64_t transposed(uint64_t blocks) {
  const uint64_t beside = (blocks ^ blocks >> 3) & 0x0A0A0A0A0A0A0A0A;
  blocks ^= beside ^ beside << 3;
  const uint64_t across = (blocks ^ blocks >> 6) & 0x00CC00CC00CC00CC;
  return blocks ^ across ^ across << 6;
}

// The six bits above the diagonal of each of four blocks.
constexpr uint64_t above_diagonal(uint64_t blocks) {
  const uint64_t six = (blocks >> 1 & 0x0007000700070007) | (blocks >> 3 & 0x0018001800180018) |
                       (blocks >> 6 & 0x0020002000200020);
  return (six & 0x3F) | (six >> 10 & 0xFC0) | (six >> 20 & 0x3F000) | (six >> 30 & 0xFC0000);
}

constexpr uint64_t diagonal(uint64_t blocks) {
  const uint64_t four = (blocks & 0x0001000100010001) | (blocks >> 4 & 0x0002000200020002) |
                        (blocks >> 8 & 0x0004000400040004) | (blocks >> 12 & 0x0008000800080008);
  return (four & 0xF) | (four >> 12 & 0xF0) | (four >> 24 & 0xF00) | (four >> 36 & 0xF000);
}

// 120 bits off the diagonal, cut into keys.
constexpr void cut(uint64_t low, uint64_t high, Keys& keys, int first_table) {
  constexpr uint64_t mask = (uint64_t{1} << 23) - 1;
  keys[first_table] = static_cast<uint32_t>(low & mask);
  keys[first_table + 2] = static_cast<uint32_t>(low >> 23 & mask);
  keys[first_table + 4] = static_cast<uint32_t>((low >> 46 | high << 18) & mask);
  keys[first_table + 6] = static_cast<uint32_t>(high >> 5 & mask);
  keys[first_table + 8] = static_cast<uint32_t>(high >> 28 & 0xFFFFFF);
}

}  // namespace

// A byte holds its first column in its highest bit: read as little-endian words, columns are in the order 7, 6, ..., 0, 15,
// ..., 8. Rows are put into the same order, by which words are taken and by block(), so that what is transposed here is
// the transpose of the picture's bits.
Keys keys_of(const uint8_t* code) {
  std::array<uint64_t, 4> rows;
  std::memcpy(rows.data(), code + 8, 8);
  std::memcpy(rows.data() + 1, code, 8);
  std::memcpy(rows.data() + 2, code + 24, 8);
  std::memcpy(rows.data() + 3, code + 16, 8);
  const auto at = [&](int row, int column) { return block(rows[row], 4 * column); };
  const uint64_t middle = at(0, 0) | at(1, 1) << 16 | at(2, 2) << 32 | at(3, 3) << 48;
  const uint64_t upper_low = at(0, 1) | at(0, 2) << 16 | at(0, 3) << 32 | at(1, 2) << 48;
  const uint64_t upper_high = at(1, 3) | at(2, 3) << 16 | above_diagonal(middle) << 32;
  const uint64_t lower_low = transposed(at(1, 0) | at(2, 0) << 16 | at(3, 0) << 32 | at(2, 1) << 48);
  const uint64_t lower_high = transposed(at(3, 1) | at(3, 2) << 16) | above_diagonal(transposed(middle)) << 32;
  Keys keys;
  cut(upper_low, upper_high, keys, 0);
  cut(lower_low, lower_high, keys, 1);
  keys[joint_tables] = static_cast<uint32_t>(diagonal(middle) | (upper_high >> 52) << 16 | (lower_high >> 52) << 20);
  return keys;
}

bool are_transposed(const Keys& left, const Keys& right) {
  for (int table = 0; table < joint_tables; ++table) {
    if (left[table] != right[transposed_table(table)]) {
      return false;
    }
  }
  const uint32_t turned = right[joint_tables];
  return left[joint_tables] == ((turned & 0xFFFF) | (turned >> 20 & 0xF) << 16 | (turned >> 16 & 0xF) << 20);
}

TableShape table_shape(size_t rows) {
  const int bits = static_cast<int>(std::bit_width(rows / postings_per_bucket));
  const int slot_bits = static_cast<int>(std::bit_width(rows == 0 ? 0 : rows - 1));
  return {rows, std::clamp(bits - 1, 0, max_high_bits), std::max(slot_bits, min_slot_bits)};
}

Split split_for(const TableShape& shape, const Costs& costs) {
  Split split{};
  TableRadii radii;
  radii.fill(-1);
  std::array<double, table_count> next_costs{};
  for (int table = 0; table < table_count; ++table) {
    next_costs[table] = step_cost(shape, costs, radii, table);
  }
  double total = 0;
  for (int step = 0; step <= code_bits; ++step) {
    const int cheapest =
        static_cast<int>(std::min_element(next_costs.begin(), next_costs.end()) - next_costs.begin());
    const int before = table_before(cheapest);  // its filter looks at the cheapest one's bits
    const auto cost_of_both = [&] {
      return cost_of(shape, costs, radii, cheapest) + (before == cheapest ? 0 : cost_of(shape, costs, radii, before));
    };
    total -= cost_of_both();
    ++radii[cheapest];
    total += cost_of_both();
    next_costs[cheapest] = step_cost(shape, costs, radii, cheapest);
    split.table_of_step[step] = static_cast<uint8_t>(cheapest);
    split.cost_ns[step] = static_cast<float>(total);
  }
  return split;
}

Work work_for(const TableShape& shape, const TableRadii& radii) {
  Work sum;
  for (int table = 0; table < table_count; ++table) {
    if (radii[table] >= 0) {
      const Work work = work_of(shape, table, radii[table], radii[next_table(table)]);
      sum.probes += work.probes;
      sum.postings += work.postings;
      sum.candidates += work.candidates;
    }
  }
  return sum;
}

TableRadii Split::radii_for(int radius_bits) const {
  TableRadii radii;
  radii.fill(-1);
  for (int step = 0; step <= radius_bits; ++step) {
    ++radii[table_of_step[step]];
  }
  return radii;
}

}  // namespace baken::hamming
