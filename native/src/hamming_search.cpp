#include "hamming_search.hpp"

#include <algorithm>
#include <bit>

namespace baken::hamming {
namespace {

constexpr size_t flat_chunk_rows = 4096;

}  // namespace

// Gosper's hack, HAKMEM item 175, for those with equally many flips.
void Masks::prepare(int width, int most) {
  if (width != width_) {
    width_ = width;
    masks_.clear();
    ends_.clear();
  }
  for (int count = static_cast<int>(ends_.size()); count <= most; ++count) {
    if (count == 0) {
      masks_.push_back({0, 0});
    } else if (count <= width) {
      const uint64_t end = uint64_t{1} << width;
      for (uint64_t mask = (uint64_t{1} << count) - 1; mask < end;) {
        masks_.push_back({static_cast<uint32_t>(mask), static_cast<uint32_t>(count)});
        const uint64_t lowest = mask & -mask;
        const uint64_t carried = mask + lowest;
        mask = carried | ((mask ^ carried) >> (std::countr_zero(lowest) + 2));
      }
    }
    ends_.push_back(masks_.size());
  }
}

double Lookup::flat_cost_ns(const Kernels& kernels, size_t rows) {
  return static_cast<double>(rows) * costs_of(kernels, rows).row_ns;
}

bool Lookup::is_scanned(const Kernels& kernels, const Segment& segment, int radius_bits) {
  return !segment.arrays().has_tables() ||
         segment.split(kernels).cost_ns[static_cast<size_t>(radius_bits)] >=
             flat_cost_ns(kernels, segment.arrays().rows());
}

void Lookup::find(const Segment& segment, Gathering& gathering) {
  if (is_scanned(kernels_, segment, static_cast<int>(radius_bits_))) {
    find_flat(segment.rows(), gathering);
    return;
  }
  begin(segment, gathering);
  for (int table = 0; table < table_count; ++table) {
    if (segment.arrays().shape.place_of(table) == table) {
      search_place(table);
    }
  }
  drain();
  for (size_t query = 0; query < queries_.size(); ++query) {
    if (is_given_up(query)) {
      gathering.forget(query);
      scan(scene_.rows, query, gathering);
    }
  }
}

void Lookup::find_flat(const Rows& rows, Gathering& gathering) {
  for (size_t query = 0; query < gathering.query_count(); ++query) {
    scan(rows, query, gathering);
  }
}

void Lookup::scan(const Rows& rows, size_t query, Gathering& gathering) {
  near_.resize(std::max(near_.size(), flat_chunk_rows));
  counts_.flat_rows += rows.count;
  for (size_t first = 0; first < rows.count; first += flat_chunk_rows) {
    const size_t count = std::min(flat_chunk_rows, rows.count - first);
    const size_t found = kernels_.scan_flat(gathering.code(query), rows.codes, static_cast<uint32_t>(first), count,
                                            radius_bits_, near_.data());
    for (size_t i = 0; i < found; ++i) {
      if (rows.is_alive(near_[i].slot)) {
        gathering.take(query, near_[i], rows);
      }
    }
  }
}

// A query whose crowds cost so much more than the plan that a scan were cheaper is given up and scanned.
void Lookup::begin(const Segment& segment, Gathering& gathering) {
  scene_.segment = &segment;
  scene_.rows = segment.rows();
  scene_.gathering = &gathering;
  scene_.radii = segment.split(kernels_).radii_for(static_cast<int>(radius_bits_));
  const double plan_ns = segment.split(kernels_).cost_ns[radius_bits_];
  const auto budget_ns = static_cast<float>(flat_cost_ns(kernels_, scene_.rows.count) - plan_ns);
  queries_.resize(gathering.query_count());
  for (size_t query = 0; query < queries_.size(); ++query) {
    queries_[query] = {keys_of(gathering.code(query)), static_cast<uint32_t>(query), budget_ns};
  }
  has_partners_ = false;
  if (segment.arrays().shape.is_joint() && queries_.size() > 1) {
    pair_queries();
  }
}

// Queries whose codes are each other's transposes have the same sum; so have equal ones, of which there may be many.
void Lookup::pair_queries() {
  constexpr size_t most_compared = 8;
  sums_.clear();
  for (size_t query = 0; query < queries_.size(); ++query) {
    uint64_t sum = 0;
    for (int table = 0; table < joint_tables; table += 2) {
      const uint64_t both = uint64_t{queries_[query].keys[table]} + queries_[query].keys[table + 1];
      sum = (sum ^ both) * 0x9E3779B97F4A7C15U;
    }
    sums_.emplace_back(sum, static_cast<uint32_t>(query));
  }
  std::sort(sums_.begin(), sums_.end());
  for (size_t i = 0; i < sums_.size(); ++i) {
    Query& query = queries_[sums_[i].second];
    const size_t end = std::min(sums_.size(), i + 1 + most_compared);
    for (size_t j = i + 1; query.partner == sums_[i].second && j < end && sums_[j].first == sums_[i].first; ++j) {
      Query& other = queries_[sums_[j].second];
      if (other.partner == sums_[j].second && are_transposed(query.keys, other.keys)) {
        query.partner = sums_[j].second;
        other.partner = sums_[i].second;
        query.budget_ns *= 2;
        has_partners_ = true;
      }
    }
  }
}

bool Lookup::is_shared(int table) const {
  const auto same = [&](int each) { return scene_.radii[each] == scene_.radii[transposed_table(each)]; };
  return scene_.segment->arrays().shape.is_joint(table) && same(table) && same(next_table(table));
}

void Lookup::search_place(int place) {
  const int slice_bits = slice_bits_for(place);
  if (slice_bits > 0) {
    search_slices(place, slice_bits);
    return;
  }
  const TableShape& shape = scene_.segment->arrays().shape;
  for (int table = place; table <= last_table(place); ++table) {
    const int radius = scene_.radii[table];
    if (radius < 0) {
      continue;
    }
    masks_.prepare(shape.high_bits(table), radius);
    for (size_t query = 0; query < queries_.size(); ++query) {
      if (enters(query, table)) {
        const Asked asked = asked_of(query, table);
        visit(table, asked.form, asked.bucket, radius);
      }
    }
    launch();
  }
}

bool Lookup::enters(size_t query, int table) {
  return scene_.radii[table] >= 0 && asks(query, table) && !is_given_up(query);
}

Asked Lookup::asked_of(size_t query, int table) const {
  const TableShape& shape = scene_.segment->arrays().shape;
  const Keys& keys = queries_[query].keys;
  const uint32_t low = keys[table] & ((uint32_t{1} << shape.low_bits(table)) - 1);
  const uint32_t next = keys[next_table(table)] & ((uint32_t{1} << shape.next_bits(table)) - 1);
  const auto word = static_cast<uint32_t>(posting_word(shape, table, low, next));
  return {{static_cast<uint32_t>(query), word | shape.slot_of(table, 0), next & 15U}, keys[table] >> shape.low_bits(table)};
}

// Whether the filter of a table lets the code with these keys pass.
bool Lookup::passes(const Query& query, const Keys& keys, int table) const {
  const int bits = std::popcount(query.keys[table] ^ keys[table]);
  if (bits > scene_.radii[table]) {
    return false;
  }
  const int next = next_table(table);
  const uint32_t carried = (uint32_t{1} << scene_.segment->arrays().shape.next_bits(table)) - 1;
  return bits + std::popcount((query.keys[next] ^ keys[next]) & carried) <= scene_.radii[table] + scene_.radii[next] + 1;
}

// A code may pass the filters of several tables; only the first of them tells of it.
bool Lookup::is_first_table(const Query& query, const Keys& keys, int table) const {
  for (int earlier = 0; earlier < table; ++earlier) {
    if (passes(query, keys, earlier)) {
      return false;
    }
  }
  return true;
}

}  // namespace baken::hamming
