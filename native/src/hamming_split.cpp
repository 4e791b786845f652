#include "hamming_split.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
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
  const int bits = substrings[table].bits;
  double probes = 0;
  for (int flips = 0; flips <= std::min(t, shape.high_bits); ++flips) {
    probes += binomials.choose[shape.high_bits][flips];
  }
  double keys = 0;
  for (int distance = 0; distance <= std::min(t, bits); ++distance) {
    const int left = std::min(t + next + 1 - distance, max_key_bits);
    keys += left < 0 ? 0 : binomials.choose[bits][distance] * binomials.at_most[shape.next_bits(table)][left];
  }
  const auto rows = static_cast<double>(shape.rows);
  return {probes, probes * std::ldexp(rows, -shape.high_bits), keys * std::ldexp(rows, -bits)};
}

double cost_of(const TableShape& shape, const Costs& costs, const TableRadii& radii, int table) {
  return radii[table] < 0 ? 0 : work_of(shape, table, radii[table], radii[next_table(table)]).cost_ns(costs);
}

// What one bit more costs in a table whose neighbours look as far as it does.
double step_cost(const TableShape& shape, const Costs& costs, const TableRadii& radii, int table) {
  const int t = radii[table];
  if (t == substrings[table].bits) {
    return std::numeric_limits<double>::infinity();
  }
  const double before = t < 0 ? 0 : work_of(shape, table, t, t).cost_ns(costs);
  return work_of(shape, table, t + 1, t + 1).cost_ns(costs) - before;
}

}  // namespace

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
    const int before = (cheapest + table_count - 1) % table_count;  // its filter looks at the cheapest one's bits
    total -= cost_of(shape, costs, radii, cheapest) + cost_of(shape, costs, radii, before);
    ++radii[cheapest];
    total += cost_of(shape, costs, radii, cheapest) + cost_of(shape, costs, radii, before);
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
