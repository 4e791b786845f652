#include "hamming_search.hpp"

#include <algorithm>
#include <bit>

#include "hamming_prefetch.hpp"

namespace baken::hamming {
namespace {

constexpr size_t flat_chunk_rows = 4096;

// How much of a table is searched at a time for many queries: the slice and the next one, which is fetched meanwhile, stay
// in the second-level cache.
constexpr size_t slice_bytes = size_t{128} << 10;

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

// Into how many slices a table is cut, as a power of two: one unless the queries meet about every line of it.
int Lookup::slice_bits_for(int place) {
  const TableShape& shape = scene_.segment->arrays().shape;
  size_t probes = 0;
  for (int table = place; table <= last_table(place); ++table) {
    if (scene_.radii[table] >= 0) {
      masks_.prepare(shape.high_bits(table), scene_.radii[table]);
      probes += queries_.size() * masks_.size(scene_.radii[table]);
    }
  }
  const size_t lines = shape.posting_lines(place);
  if (probes < lines) {
    return 0;
  }
  const size_t table_bytes = lines * line_words * sizeof(uint32_t) + (sizeof(uint32_t) << shape.high_bits(place));
  const int bits = std::min(static_cast<int>(std::bit_width(table_bytes / slice_bytes)), shape.high_bits(place));
  lines_a_batch_ = table_bytes / (line_words * sizeof(uint32_t)) * Batch::max_probes / probes + 1;
  return bits;
}

// Many queries meet about every line of a table. So it is gone through slice by slice, each fetched once from end to end
// while the one before is searched, and for each slice through the queries whose key is near enough to it.
void Lookup::search_slices(int place, int slice_bits) {
  drain();
  int most = 0;
  for (int table = place; table <= last_table(place); ++table) {
    group_queries(table, slice_bits, groups_[static_cast<size_t>(table - place)]);
    most = std::max<int>(most, scene_.radii[table]);
  }
  slice_masks_.prepare(slice_bits, most);
  masks_.prepare(scene_.segment->arrays().shape.high_bits(place) - slice_bits, most);
  is_sliced_ = true;
  begin_fetching(place, slice_bits, 0);
  for (uint32_t slice = 0; slice < uint32_t{1} << slice_bits; ++slice) {
    fetch_lines(SIZE_MAX);
    if (slice + 1 < uint32_t{1} << slice_bits) {
      begin_fetching(place, slice_bits, slice + 1);
    }
    for (int table = place; table <= last_table(place); ++table) {
      visit_slice(table, slice_bits, slice, groups_[static_cast<size_t>(table - place)]);
      launch();
    }
  }
  drain();
  is_sliced_ = false;
}

void Lookup::visit_slice(int table, int slice_bits, uint32_t slice, const Groups& groups) {
  const int radius = scene_.radii[table];
  if (radius < 0) {
    return;
  }
  const int inner_bits = scene_.segment->arrays().shape.high_bits(table) - slice_bits;
  const uint32_t inner_mask = (uint32_t{1} << inner_bits) - 1;
  const Masks::Mask* outer = slice_masks_.begin();
  for (const Masks::Mask* end = outer + slice_masks_.size(radius); outer != end; ++outer) {
    const uint32_t group = slice ^ outer->flips;
    const int allowed_bits = radius - static_cast<int>(outer->count);
    for (uint32_t i = group == 0 ? 0 : groups.ends[group - 1]; i < groups.ends[group]; ++i) {
      const Asked& asked = groups.asked[i];
      visit(table, asked.form, slice << inner_bits | (asked.bucket & inner_mask), allowed_bits);
    }
  }
}

void Lookup::group_queries(int table, int slice_bits, Groups& groups) {
  const auto slice_of = [&](size_t query) { return queries_[query].keys[table] >> (key_bits(table) - slice_bits); };
  groups.ends.assign((size_t{1} << slice_bits) + 1, 0);
  for (size_t query = 0; query < queries_.size(); ++query) {
    groups.ends[slice_of(query) + 1] += enters(query, table) ? 1 : 0;
  }
  for (size_t group = 1; group < groups.ends.size(); ++group) {
    groups.ends[group] += groups.ends[group - 1];
  }
  groups.asked.resize(queries_.size());
  for (size_t query = 0; query < queries_.size(); ++query) {
    if (enters(query, table)) {
      groups.asked[groups.ends[slice_of(query)]++] = asked_of(query, table);
    }
  }
}

// What a damaged directory says leads to no error, for fetching has none; only to less or more of it.
void Lookup::begin_fetching(int place, int slice_bits, uint32_t slice) {
  constexpr size_t most_lines = 4 * slice_bytes / (line_words * sizeof(uint32_t));
  const SegmentArrays& arrays = scene_.segment->arrays();
  const int inner_bits = arrays.shape.high_bits(place) - slice_bits;
  const uint32_t* first = arrays.directory[place] + (size_t{slice} << inner_bits);
  const uint32_t* last = first + (size_t{1} << inner_bits);
  const size_t first_line = *first / line_postings;
  const size_t end_line =
      std::min<size_t>({*last / line_postings + 1, first_line + most_lines, arrays.shape.posting_lines(place)});
  fetching_ = {first, last, first_line, std::max(first_line, end_line), arrays.postings[place]};
}

void Lookup::fetch_lines(size_t most) {
  for (; most > 0 && fetching_.next_entry < fetching_.end_entry; --most) {
    prefetch(fetching_.next_entry);
    fetching_.next_entry += line_words;
  }
  for (; most > 0 && fetching_.next_line < fetching_.end_line; --most) {
    prefetch(fetching_.postings + fetching_.next_line++ * line_words);
  }
}

bool Lookup::enters(size_t query, int table) {
  return scene_.radii[table] >= 0 && asks(query, table) && !is_given_up(query);
}

Lookup::Asked Lookup::asked_of(size_t query, int table) const {
  const TableShape& shape = scene_.segment->arrays().shape;
  const Keys& keys = queries_[query].keys;
  const uint32_t low = keys[table] & ((uint32_t{1} << shape.low_bits(table)) - 1);
  const uint32_t next = keys[next_table(table)] & ((uint32_t{1} << shape.next_bits(table)) - 1);
  const auto word = static_cast<uint32_t>(posting_word(shape, table, low, next));
  return {{static_cast<uint32_t>(query), word, next & 15U}, keys[table] >> shape.low_bits(table)};
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
