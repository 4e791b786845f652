// Measures what the steps of a search cost on this machine: the numbers that native/src/hamming_kernels_*.cpp hold for each
// instruction path. A candidate and a scanned row are timed alone. Searches of random codes at many radii then give as many
// equations
//   time - candidates * candidate_ns = probes * probe_ns + postings * posting_ns
// which are solved by least squares of the relative error. Usage: bench_hamming_costs
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "../src/hamming_search.hpp"
#include "baken/cpu.hpp"

namespace {

using namespace baken::hamming;
constexpr size_t query_count = 300;
constexpr size_t unknowns = 2;
using Equation = std::array<double, unknowns + 1>;

// Eight and nearly sixteen postings a bucket, so that probes and postings can be told apart.
const std::vector<size_t> cached_sizes = {1 << 17, (1 << 18) - 1};
const std::vector<size_t> memory_sizes = {1 << 22, (1 << 23) - 1};

double processor_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

std::vector<uint8_t> random_codes(size_t count, uint64_t seed) {
  std::mt19937_64 rng(seed);
  std::vector<uint8_t> codes(count * code_bytes);
  for (size_t i = 0; i < codes.size(); i += 8) {
    const uint64_t word = rng();
    std::copy_n(reinterpret_cast<const uint8_t*>(&word), 8, codes.begin() + static_cast<ptrdiff_t>(i));
  }
  return codes;
}

// The least of several rounds: what disturbs only adds.
template <typename Search>
double least_ns(Search search) {
  double least = 1e18;
  for (int round = 0; round < 5; ++round) {
    const double start = processor_ns();
    search();
    least = std::min(least, processor_ns() - start);
  }
  return least / query_count;
}

// Random codes, prefetched one batch ahead as a search does.
double candidate_ns(const Kernels& kernels, const Segment& segment, const uint8_t* query) {
  constexpr size_t batch = 64;
  constexpr size_t batches = 2000;
  std::mt19937_64 rng(3);
  std::vector<uint32_t> slots(batch * (batches + 1));
  for (uint32_t& slot : slots) {
    slot = static_cast<uint32_t>(rng() % segment.arrays().rows());
  }
  std::vector<Verified> verified(batch);
  std::vector<uint32_t> now(batch + vector_slack);
  std::vector<uint32_t> same_query(batch + vector_slack);
  const double ns = least_ns([&] {
    for (size_t first = 0; first < batch * batches; first += batch) {
      for (size_t i = 0; i < batch; ++i) {
        __builtin_prefetch(segment.arrays().codes + size_t{slots[first + batch + i]} * code_bytes, 0, 2);
      }
      std::copy_n(slots.begin() + static_cast<ptrdiff_t>(first), batch, now.begin());
      kernels.verify(query, segment.arrays().codes, now.data(), same_query.data(), batch, 31, verified.data());
    }
  });
  return ns * query_count / static_cast<double>(batch * batches);
}

Equation equation_for(const Kernels& kernels, const Segment& segment, const std::vector<uint8_t>& queries, int radius_bits,
                      double candidate_cost_ns) {
  Lookup lookup(kernels, radius_bits);
  size_t rounds = 0;
  const double ns = least_ns([&] {
    ++rounds;
    for (size_t query = 0; query < query_count; ++query) {
      Gathering gathering(kernels, {queries.data() + query * code_bytes, 1, radius_bits}, 0, 1);
      lookup.find(segment, gathering);
    }
  });
  const LookupCounts& counts = lookup.counts();
  const double searches = static_cast<double>(rounds * query_count);
  return {static_cast<double>(counts.probes) / searches, static_cast<double>(counts.postings) / searches,
          ns - candidate_cost_ns * static_cast<double>(counts.candidates) / searches};
}

// Gauss-Jordan on the normal equations of the rows divided by their time.
std::array<double, unknowns> solve(const std::vector<Equation>& equations) {
  std::array<Equation, unknowns> normal{};
  for (const Equation& each : equations) {
    for (size_t i = 0; i < unknowns; ++i) {
      for (size_t j = 0; j <= unknowns; ++j) {
        normal[i][j] += each[i] * each[j] / (each[unknowns] * each[unknowns]);
      }
    }
  }
  for (size_t pivot = 0; pivot < unknowns; ++pivot) {
    for (size_t i = 0; i < unknowns; ++i) {
      const double factor = i == pivot ? 0 : normal[i][pivot] / normal[pivot][pivot];
      for (size_t j = 0; j <= unknowns; ++j) {
        normal[i][j] -= factor * normal[pivot][j];
      }
    }
  }
  return {normal[0][unknowns] / normal[0][0], normal[1][unknowns] / normal[1][1]};
}

void measure(const char* where, const std::vector<size_t>& sizes) {
  const std::vector<uint8_t> queries = random_codes(query_count, 7);
  std::vector<std::vector<Equation>> equations(path_count);
  std::vector<double> row_ns(path_count, 1e18);
  std::vector<double> candidates_ns(path_count);
  for (const size_t rows : sizes) {
    const std::vector<uint8_t> codes = random_codes(rows, rows);
    const std::vector<int64_t> ids(rows);
    const Rows all = {codes.data(), ids.data(), rows, nullptr};
    const Segment segment(std::span(&all, 1));
    for (const baken::InstructionPath path : baken::supported_paths()) {
      baken::force_path(path);
      const Kernels& kernels = active_kernels();
      candidates_ns[kernels.path] = candidate_ns(kernels, segment, queries.data());
      for (int radius_bits = 10; radius_bits <= 43 && !Lookup::is_scanned(kernels, segment, radius_bits); radius_bits += 3) {
        equations[kernels.path].push_back(equation_for(kernels, segment, queries, radius_bits,
                                                         candidates_ns[kernels.path]));
      }
      std::vector<Near> near(rows);
      const double start = processor_ns();
      for (size_t query = 0; query < 20; ++query) {
        kernels.scan_flat(queries.data() + query * code_bytes, codes.data(), 0, rows, 31, near.data());
      }
      row_ns[kernels.path] = std::min(row_ns[kernels.path], (processor_ns() - start) / 20 / static_cast<double>(rows));
    }
  }
  for (const baken::InstructionPath path : baken::supported_paths()) {
    const auto number = static_cast<size_t>(path);
    const std::array<double, unknowns> costs = solve(equations[number]);
    std::printf("%-7s %-6s {%.2fF, %.2fF, %.2fF, %.2fF}\n", std::string(baken::path_name(path)).c_str(), where, costs[0],
                costs[1], candidates_ns[number], row_ns[number]);
    for (const Equation& each : equations[number]) {
      std::printf("    %8.0f probes %9.0f postings: %9.1f us, %9.1f predicted\n", each[0], each[1], each[2] / 1000,
                  (each[0] * costs[0] + each[1] * costs[1]) / 1000);
    }
  }
}

}  // namespace

int main() {
  measure("cached", cached_sizes);
  measure("memory", memory_sizes);
  return 0;
}
