#include "hamming_search.hpp"

#include <algorithm>
#include <bit>

namespace baken::hamming {
namespace {

constexpr size_t flat_chunk_rows = 4096;

// The postings that are filtered at once; a crowd's bucket can be of any size.
constexpr size_t max_batch_postings = 8192;

// How much of a table is searched at a time for many queries: small enough for the last-level cache, large enough that
// a query meets few slices. Of 0.25 to 4 MB, 4 MB was the fastest (57 against 72 us a query at ten million codes).
constexpr size_t slice_bytes = size_t{4} << 20;

// Batches of a slice hold fewer probes each.
constexpr size_t slice_lag = 4;

// Into the second-level cache: the first level waits for far fewer lines at once (8 against 14 ns a line on Zen 4).
// The empty assembly is an effect: GCC deletes calls of functions that do nothing but prefetch.
void prefetch(const void* address) {
  __builtin_prefetch(address, 0, 2);
  __asm__ volatile("");
}

// Those of the slots that, less the bits of `own`, name one of the rows. Both lists may be the same.
size_t keep(const uint32_t* slots, size_t count, uint32_t own, uint32_t rows, uint32_t* kept) {
  size_t kept_count = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t row = slots[i] ^ own;
    kept[kept_count] = row;
    kept_count += row < rows ? 1 : 0;
  }
  return kept_count;
}

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

// A query that costs as much as a scan is given up and scanned: its neighbourhood is a crowd.
void Lookup::begin(const Segment& segment, Gathering& gathering) {
  scene_.segment = &segment;
  scene_.rows = segment.rows();
  scene_.gathering = &gathering;
  scene_.radii = segment.split(kernels_).radii_for(static_cast<int>(radius_bits_));
  const auto budget_ns = static_cast<float>(flat_cost_ns(kernels_, scene_.rows.count));
  queries_.resize(gathering.query_count());
  for (size_t query = 0; query < queries_.size(); ++query) {
    const uint8_t* code = gathering.code(query);
    queries_[query] = {code, keys_of(code), query, budget_ns};
  }
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
    sums_.emplace_back(sum, query);
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
  set_lag(1);
  const TableShape& shape = scene_.segment->arrays().shape;
  for (int table = place; table <= last_table(place); ++table) {
    const int radius = scene_.radii[table];
    if (radius < 0) {
      continue;
    }
    masks_.prepare(shape.high_bits(table), radius);
    for (size_t query = 0; query < queries_.size(); ++query) {
      if (asks(query, table)) {
        visit(table, query, queries_[query].keys[table] >> shape.low_bits(table), radius);
      }
    }
  }
}

// Into how many slices a table is cut, as a power of two: one unless the queries meet about every line of it.
int Lookup::slice_bits_for(int place) {
  const TableShape& shape = scene_.segment->arrays().shape;
  size_t met = 0;
  for (int table = place; table <= last_table(place); ++table) {
    if (scene_.radii[table] >= 0) {
      masks_.prepare(shape.high_bits(table), scene_.radii[table]);
      met += queries_.size() * masks_.size(scene_.radii[table]);
    }
  }
  const size_t lines = shape.posting_lines(place);
  if (met < lines) {
    return 0;
  }
  const size_t table_bytes = lines * line_words * sizeof(uint32_t) + (sizeof(uint32_t) << shape.high_bits(place));
  const int bits = static_cast<int>(std::bit_width(table_bytes / slice_bytes));
  return std::min(bits, shape.high_bits(place));
}

// Many queries meet about every line of a table. So it is gone through slice by slice, each read once from end to end,
// and for each slice through the queries whose key is near enough to it.
void Lookup::search_slices(int place, int slice_bits) {
  set_lag(slice_lag);
  int most = 0;
  for (int table = place; table <= last_table(place); ++table) {
    group_queries(table, slice_bits, groups_[static_cast<size_t>(table - place)]);
    most = std::max<int>(most, scene_.radii[table]);
  }
  slice_masks_.prepare(slice_bits, most);
  masks_.prepare(scene_.segment->arrays().shape.high_bits(place) - slice_bits, most);
  for (uint32_t slice = 0; slice < uint32_t{1} << slice_bits; ++slice) {
    warm_slice(place, slice_bits, slice);
    for (int table = place; table <= last_table(place); ++table) {
      visit_slice(table, slice_bits, slice, groups_[static_cast<size_t>(table - place)]);
    }
  }
  drain();
}

void Lookup::visit_slice(int table, int slice_bits, uint32_t slice, const Groups& groups) {
  const int radius = scene_.radii[table];
  if (radius < 0) {
    return;
  }
  const TableShape& shape = scene_.segment->arrays().shape;
  const int inner_bits = shape.high_bits(table) - slice_bits;
  const uint32_t inner_mask = (uint32_t{1} << inner_bits) - 1;
  const Masks::Mask* outer = slice_masks_.begin();
  for (const Masks::Mask* end = outer + slice_masks_.size(radius); outer != end; ++outer) {
    const uint32_t group = slice ^ outer->flips;
    for (uint32_t i = group == 0 ? 0 : groups.ends[group - 1]; i < groups.ends[group]; ++i) {
      const uint32_t high = queries_[groups.queries[i]].keys[table] >> shape.low_bits(table);
      visit(table, groups.queries[i], slice << inner_bits | (high & inner_mask), radius - static_cast<int>(outer->count));
    }
  }
}

void Lookup::group_queries(int table, int slice_bits, Groups& groups) const {
  const auto slice_of = [&](size_t query) { return queries_[query].keys[table] >> (key_bits(table) - slice_bits); };
  groups.ends.assign((size_t{1} << slice_bits) + 1, 0);
  for (size_t query = 0; query < queries_.size(); ++query) {
    groups.ends[slice_of(query) + 1] += asks(query, table) ? 1 : 0;
  }
  for (size_t group = 1; group < groups.ends.size(); ++group) {
    groups.ends[group] += groups.ends[group - 1];
  }
  groups.queries.resize(queries_.size());
  for (size_t query = 0; query < queries_.size(); ++query) {
    if (asks(query, table)) {
      groups.queries[groups.ends[slice_of(query)]++] = static_cast<uint32_t>(query);
    }
  }
}

void Lookup::warm_slice(int place, int slice_bits, uint32_t slice) const {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const int inner_bits = arrays.shape.high_bits(place) - slice_bits;
  const uint32_t* first = arrays.directory[place] + (size_t{slice} << inner_bits);
  const uint32_t* last = first + (size_t{1} << inner_bits);
  for (const uint32_t* entry = first; entry < last; entry += line_words) {
    prefetch(entry);
  }
  const size_t end_line = std::min<size_t>(*last / line_postings + 1, arrays.shape.posting_lines(place));
  for (size_t line = *first / line_postings; line < end_line; ++line) {
    prefetch(arrays.postings[place] + line * line_words);
  }
}

void Lookup::visit(int table, size_t query, uint32_t bucket, int allowed_bits) {
  const size_t count = masks_.size(allowed_bits);
  for (size_t first = 0; first < count && !is_given_up(query); first += Batch::max_probes) {
    Batch& batch = ring_[step_ % (3 * lag_ + 1)];
    batch.is_filled = true;
    batch.table = table;
    batch.query = query;
    batch.bucket = bucket;
    batch.allowed_bits = static_cast<uint32_t>(allowed_bits);
    batch.first_mask = first;
    batch.bucket_count = std::min(Batch::max_probes, count - first);
    fetch_directory(batch);
    advance();
  }
}

void Lookup::advance() {
  const size_t places = 3 * lag_ + 1;
  const auto batch_of = [&](size_t stage) -> Batch& { return ring_[(step_ + places - stage * lag_) % places]; };
  if (batch_of(1).is_filled) {
    read_directory(batch_of(1));
  }
  if (batch_of(2).is_filled) {
    filter(batch_of(2));
  }
  if (batch_of(3).is_filled) {
    verify(batch_of(3));
    batch_of(3).is_filled = false;
  }
  ++step_;
}

void Lookup::drain() {
  for (size_t left = 3 * lag_; left > 0; --left) {
    advance();
  }
}

void Lookup::set_lag(size_t lag) {
  if (lag != lag_) {
    drain();
    lag_ = lag;
    ring_.resize(std::max(ring_.size(), 3 * lag + 1));
  }
}

void Lookup::fetch_directory(const Batch& batch) const {
  const uint32_t* directory = scene_.segment->arrays().directory[batch.table];
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    const uint32_t* entry = directory + (batch.bucket ^ masks_.begin()[batch.first_mask + i].flips);
    prefetch(entry);
    prefetch(entry + 1);
  }
}

// Who wrote into the file since it was opened may have left any number in it, so that none is used unchecked; each is read
// once, for it may change between two looks.
void Lookup::read_directory(Batch& batch) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const uint32_t* directory = arrays.directory[batch.table];
  const uint32_t* postings = arrays.postings[batch.table];
  const uint64_t total = arrays.shape.postings(batch.table);
  batch.posting_count = 0;
  uint64_t below_zero = 0;
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    const Masks::Mask mask = masks_.begin()[batch.first_mask + i];
    const uint32_t* entry = directory + (batch.bucket ^ mask.flips);
    const uint32_t begin = __atomic_load_n(entry, __ATOMIC_RELAXED);
    const uint32_t end = __atomic_load_n(entry + 1, __ATOMIC_RELAXED);
    const uint32_t count = end - begin;
    const uint32_t line = begin / line_postings;
    const uint32_t lane = begin % line_postings;
    below_zero |= (total - end) | (uint64_t{end} - begin);
    prefetch(postings + size_t{line} * line_words);
    if (lane + count > line_postings) {
      prefetch(postings + size_t{line + 1} * line_words);
    }
    batch.buckets[i] = {line, lane, count, batch.allowed_bits - mask.count};
    batch.posting_count += count;
  }
  if (below_zero >> 63 != 0) {
    met_damage_ = true;
    batch.bucket_count = 0;
    batch.posting_count = 0;
  }
  const Costs& costs = costs_of(kernels_, arrays.rows());
  counts_.probes += batch.bucket_count;
  counts_.postings += batch.posting_count;
  budget_of(batch.query) -= static_cast<float>(batch.bucket_count) * costs.probe_ns +
                            static_cast<float>(batch.posting_count) * costs.posting_ns;
}

PostingForm Lookup::form_of(const Batch& batch) const {
  const TableShape& shape = scene_.segment->arrays().shape;
  const Query& query = queries_[batch.query];
  const int slot_bits = shape.slot_bits(batch.table);
  const uint64_t low = (uint64_t{1} << shape.low_bits(batch.table)) - 1;
  const uint64_t next = (uint64_t{1} << shape.next_bits(batch.table)) - 1;
  const uint32_t next_key = query.keys[next_table(batch.table)];
  const uint64_t word = posting_word(shape, batch.table, query.keys[batch.table] & low, next_key & next);
  return {static_cast<uint32_t>(word),
          next_key & 15U,
          static_cast<uint32_t>(posting_word(shape, batch.table, low, 0)),
          static_cast<uint32_t>(posting_word(shape, batch.table, low, next)),
          (uint32_t{1} << slot_bits) - 1,
          static_cast<uint32_t>(scene_.radii[next_table(batch.table)] + 1)};
}

void Lookup::filter(Batch& batch) {
  batch.slot_count = 0;
  batch.transposed_count = 0;
  if (is_given_up(batch.query)) {
    return;
  }
  if (batch.posting_count > max_batch_postings) {
    filter_piecewise(batch);
    return;
  }
  batch.slots.resize(std::max(batch.slots.size(), batch.posting_count + vector_slack));
  const SegmentArrays& arrays = scene_.segment->arrays();
  batch.slot_count = kernels_.filter_postings(arrays.postings[batch.table], batch.buckets.data(), batch.bucket_count,
                                              form_of(batch), batch.slots.data());
  part(batch);
  for (size_t i = 0; i < batch.slot_count; ++i) {
    prefetch(arrays.codes + size_t{batch.slots[i]} * code_bytes);
  }
  for (size_t i = 0; i < batch.transposed_count; ++i) {
    prefetch(arrays.codes + size_t{batch.transposed[i]} * code_bytes);
  }
}

// Buckets of a crowd: in pieces, so that the memory they take is bounded.
void Lookup::filter_piecewise(Batch& batch) {
  const PostingForm form = form_of(batch);
  const uint32_t* postings = scene_.segment->arrays().postings[batch.table];
  batch.slots.resize(std::max(batch.slots.size(), max_batch_postings + vector_slack));
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    for (Bucket left = batch.buckets[i]; left.count > 0 && !is_given_up(batch.query);) {
      Bucket piece = left;
      piece.count = std::min<uint32_t>(left.count, max_batch_postings);
      batch.slot_count = kernels_.filter_postings(postings, &piece, 1, form, batch.slots.data());
      part(batch);
      verify(batch);
      const uint32_t behind = left.lane + piece.count;
      left = {left.line + behind / line_postings, behind % line_postings, left.count - piece.count, left.allowed_bits};
    }
  }
  batch.slot_count = 0;
  batch.transposed_count = 0;
}

// Leaves the rows of the slots that are of the query's own key; those of the transposed key are for the query's partner.
// A row that is none would be read beyond the codes.
void Lookup::part(Batch& batch) {
  const TableShape& shape = scene_.segment->arrays().shape;
  const auto rows = static_cast<uint32_t>(shape.rows);
  const uint32_t own = shape.slot_of(batch.table, 0);
  const uint32_t row_mask = (uint32_t{1} << shape.row_bits) - 1;
  batch.transposed_count = 0;
  if (asks_for_two(batch.query, batch.table)) {
    batch.transposed.resize(std::max(batch.transposed.size(), batch.slots.size()));
    batch.transposed_count = keep(batch.slots.data(), batch.slot_count, own ^ (row_mask + 1), rows, batch.transposed.data());
  }
  batch.slot_count = keep(batch.slots.data(), batch.slot_count, own, rows, batch.slots.data());
}

void Lookup::verify(Batch& batch) {
  take(batch.query, batch.table, batch.slots.data(), batch.slot_count);
  if (batch.transposed_count != 0) {
    take(queries_[batch.query].partner, transposed_table(batch.table), batch.transposed.data(), batch.transposed_count);
  }
}

void Lookup::take(size_t number, int table, uint32_t* slots, size_t slot_count) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const Query& query = queries_[number];
  counts_.candidates += slot_count;
  budget_of(number) -= static_cast<float>(slot_count) * costs_of(kernels_, arrays.rows()).candidate_ns;
  near_.resize(std::max(near_.size(), slot_count));
  const size_t found = kernels_.verify(query.code, arrays.codes, slots, slot_count, radius_bits_, near_.data());
  for (size_t i = 0; i < found; ++i) {
    const Near& near = near_[i];
    if (scene_.rows.is_alive(near.slot) &&
        is_first_table(query, keys_of(arrays.codes + size_t{near.slot} * code_bytes), table)) {
      scene_.gathering->take(number, near, scene_.rows);
    }
  }
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
