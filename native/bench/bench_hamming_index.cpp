// Prints what one exact lookup costs: random codes, half of the queries planted within 0 to 31 bits of a banked code.
// Usage: bench_hamming_index [radius_bits [rows...]]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "../src/hamming_search.hpp"
#include "baken/cpu.hpp"
#include "baken/hamming_index.hpp"

namespace {

using baken::hamming::code_bytes;
constexpr size_t query_count = 2000;
constexpr size_t rounds = 5;

using Codes = std::vector<uint8_t>;

Codes random_codes(size_t count, std::mt19937_64& rng) {
  Codes codes(count * code_bytes);
  for (size_t i = 0; i < codes.size(); i += 8) {
    const uint64_t word = rng();
    for (size_t byte = 0; byte < 8; ++byte) {
      codes[i + byte] = static_cast<uint8_t>(word >> (8 * byte));
    }
  }
  return codes;
}

Codes planted_queries(const Codes& codes, std::mt19937_64& rng) {
  Codes queries = random_codes(query_count, rng);
  for (size_t query = 0; query < query_count; query += 2) {
    const size_t row = rng() % (codes.size() / code_bytes);
    std::copy_n(codes.begin() + row * code_bytes, code_bytes, queries.begin() + query * code_bytes);
    for (uint64_t flips = rng() % 32; flips > 0; --flips) {
      const uint64_t bit = rng() % 256;
      queries[query * code_bytes + bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    }
  }
  return queries;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// One query a call, as a platform asks.
void time_queries(const baken::HammingIndex& index, const Codes& queries, int radius_bits) {
  for (baken::InstructionPath path : baken::supported_paths()) {
    baken::force_path(path);
    size_t matches = 0;
    std::vector<double> times_us;
    for (size_t i = 0; i < rounds * query_count; ++i) {
      const uint8_t* query = queries.data() + i % query_count * code_bytes;
      const auto start = std::chrono::steady_clock::now();
      matches += index.search(query, 1, radius_bits).id.size();
      times_us.push_back(seconds_since(start) * 1e6);
    }
    std::sort(times_us.begin(), times_us.end());
    std::printf("  %-7s %8.1f us a query (median; a tenth below %.1f), %zu matches\n",
                std::string(baken::path_name(path)).c_str(), times_us[times_us.size() / 2],
                times_us[times_us.size() / 10], matches / rounds);
  }
}

void count_work(const Codes& codes, const std::vector<int64_t>& ids, const Codes& queries, int radius_bits) {
  const baken::hamming::Rows rows = {codes.data(), ids.data(), ids.size(), nullptr};
  const baken::hamming::Segment segment(std::span(&rows, 1));
  const baken::hamming::Kernels& kernels = baken::hamming::active_kernels();
  baken::hamming::Lookup lookup(kernels, radius_bits);
  for (size_t query = 0; query < query_count; ++query) {
    const baken::Question question{queries.data() + query * code_bytes, 1, radius_bits};
    baken::hamming::Gathering gathering(kernels, question, 0, 1);
    lookup.find(segment, gathering);
  }
  const baken::hamming::LookupCounts& counts = lookup.counts();
  std::printf("  a query: %zu buckets, %zu postings, %zu candidates verified, %zu codes scanned\n",
              counts.probes / query_count, counts.postings / query_count, counts.candidates / query_count,
              counts.flat_rows / query_count);
}

// Many queries a call, and eight of one item.
void time_batches(const baken::HammingIndex& index, const Codes& codes, int radius_bits) {
  std::mt19937_64 rng(3);
  Codes queries;
  for (size_t i = 0; i < 5; ++i) {
    const Codes more = planted_queries(codes, rng);
    queries.insert(queries.end(), more.begin(), more.end());
  }
  const size_t count = queries.size() / code_bytes;
  for (const size_t at_once : {size_t{8}, size_t{100}, size_t{1000}, count}) {
    std::vector<double> times_us;
    for (size_t first = 0; first + at_once <= std::min(count, 200 * at_once); first += at_once) {
      const auto start = std::chrono::steady_clock::now();
      index.search(queries.data() + first * code_bytes, at_once, radius_bits);
      times_us.push_back(seconds_since(start) * 1e6);
    }
    std::sort(times_us.begin(), times_us.end());
    std::printf("  %zu at once: %8.1f us a query\n", at_once,
                times_us[times_us.size() / 2] / static_cast<double>(at_once));
  }
}

void run(size_t rows, int radius_bits) {
  std::mt19937_64 rng(rows);
  const Codes codes = random_codes(rows, rng);
  std::vector<int64_t> ids(rows);
  for (size_t row = 0; row < rows; ++row) {
    ids[row] = static_cast<int64_t>(row);
  }
  baken::HammingIndex index;
  const auto start = std::chrono::steady_clock::now();
  index.add(codes.data(), ids.data(), rows);
  std::printf("%zu codes, radius %d: built in %.2f s, %.1f bytes an entry\n", rows, radius_bits, seconds_since(start),
              static_cast<double>(index.memory_bytes()) / static_cast<double>(rows));
  const Codes queries = planted_queries(codes, rng);
  count_work(codes, ids, queries, radius_bits);
  time_queries(index, queries, radius_bits);
  time_batches(index, codes, radius_bits);
}

}  // namespace

int main(int argc, char** argv) {
  const int radius_bits = argc > 1 ? std::atoi(argv[1]) : 31;
  std::vector<size_t> sizes = {1'000'000, 10'000'000};
  if (argc > 2) {
    sizes.clear();
    for (int i = 2; i < argc; ++i) {
      sizes.push_back(std::strtoull(argv[i], nullptr, 10));
    }
  }
  for (size_t rows : sizes) {
    run(rows, radius_bits);
  }
  return 0;
}
