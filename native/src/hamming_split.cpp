#include "hamming_split.hpp"

#include <cmath>
#include <limits>
#include <vector>

namespace baken::hamming {
namespace {

// ball[t]: how many of the 2^bits keys are within t bits of a given one.
std::vector<double> ball_sizes(int bits) {
  std::vector<double> ball(bits + 1);
  double binomial = 1;
  double sum = 0;
  for (int t = 0; t <= bits; ++t) {
    sum += binomial;
    ball[t] = sum;
    binomial = binomial * (bits - t) / (t + 1);
  }
  return ball;
}

// cost[t + 1]: of a lookup within t bits in a table of `bits` bits; cost[0] = 0 is a table not used.
std::vector<double> lookup_costs(size_t rows, int high_bits, int bits) {
  const std::vector<double> buckets = ball_sizes(high_bits);
  const std::vector<double> keys = ball_sizes(bits);
  const double postings_per_bucket = std::ldexp(static_cast<double>(rows), -high_bits);
  const double rows_per_key = std::ldexp(static_cast<double>(rows), -bits);
  std::vector<double> cost = {0};
  for (int t = 0; t <= bits; ++t) {
    const double probed = buckets[t < high_bits ? t : high_bits];
    cost.push_back(probed * (probe_ns + postings_per_bucket * posting_ns) + keys[t] * rows_per_key * candidate_ns);
  }
  return cost;
}

}  // namespace

Split split_for(size_t rows, int high_bits) {
  std::array<std::vector<double>, table_count> cost;
  for (int table = 0; table < table_count; ++table) {
    cost[table] = lookup_costs(rows, high_bits, substrings[table].bits);
  }
  Split split{};
  std::array<size_t, table_count> taken{};
  double total = 0;
  for (int step = 0; step <= code_bits; ++step) {
    int cheapest = 0;
    double least = std::numeric_limits<double>::infinity();
    for (int table = 0; table < table_count; ++table) {
      const size_t next = taken[table] + 1;
      const double extra = next < cost[table].size() ? cost[table][next] - cost[table][next - 1] : least;
      if (extra < least) {
        least = extra;
        cheapest = table;
      }
    }
    ++taken[cheapest];
    total += least;
    split.table_of_step[step] = static_cast<uint8_t>(cheapest);
    split.cost_ns[step] = static_cast<float>(total);
  }
  return split;
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
