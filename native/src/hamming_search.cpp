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
void prefetch(const void* address) { __builtin_prefetch(address, 0, 2); }

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
    if (scene_.radii[table] >= 0) {
      search_table(table);
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
  scene_.budget_ns = static_cast<float>(flat_cost_ns(kernels_, scene_.rows.count));
  queries_.resize(gathering.query_count());
  for (size_t query = 0; query < queries_.size(); ++query) {
    queries_[query].code = gathering.code(query);
    queries_[query].spent_ns = 0;
    for (int table = 0; table < table_count; ++table) {
      queries_[query].keys[table] = key_of(queries_[query].code, table);
    }
  }
}

void Lookup::search_table(int table) {
  const TableShape& shape = scene_.segment->arrays().shape;
  const int slice_bits = slice_bits_for(table);
  if (slice_bits > 0) {
    search_slices(table, slice_bits);
    return;
  }
  set_lag(1);
  masks_.prepare(shape.high_bits, scene_.radii[table]);
  for (size_t query = 0; query < queries_.size(); ++query) {
    visit(table, query, queries_[query].keys[table] >> shape.low_bits(table), scene_.radii[table]);
  }
}

// Into how many slices a table is cut, as a power of two: one unless the queries meet about every line of it.
int Lookup::slice_bits_for(int table) {
  const TableShape& shape = scene_.segment->arrays().shape;
  masks_.prepare(shape.high_bits, scene_.radii[table]);
  const size_t lines = shape.rows / line_postings;
  if (queries_.size() * masks_.size(scene_.radii[table]) < lines) {
    return 0;
  }
  const size_t table_bytes = lines * line_words * sizeof(uint32_t) + (sizeof(uint32_t) << shape.high_bits);
  const int bits = static_cast<int>(std::bit_width(table_bytes / slice_bytes));
  return std::min(bits, shape.high_bits);
}

// Many queries meet about every line of a table. So it is gone through slice by slice, each read once from end to end,
// and for each slice through the queries whose key is near enough to it.
void Lookup::search_slices(int table, int slice_bits) {
  set_lag(slice_lag);
  const TableShape& shape = scene_.segment->arrays().shape;
  const int inner_bits = shape.high_bits - slice_bits;
  const int radius = scene_.radii[table];
  slice_masks_.prepare(slice_bits, radius);
  masks_.prepare(inner_bits, radius);
  group_queries(table, slice_bits);
  const uint32_t inner_mask = (uint32_t{1} << inner_bits) - 1;
  for (uint32_t slice = 0; slice < uint32_t{1} << slice_bits; ++slice) {
    warm_slice(table, slice_bits, slice);
    const Masks::Mask* outer = slice_masks_.begin();
    for (const Masks::Mask* end = outer + slice_masks_.size(radius); outer != end; ++outer) {
      const uint32_t group = slice ^ outer->flips;
      for (uint32_t i = group == 0 ? 0 : group_ends_[group - 1]; i < group_ends_[group]; ++i) {
        const uint32_t high = queries_[grouped_[i]].keys[table] >> shape.low_bits(table);
        visit(table, grouped_[i], slice << inner_bits | (high & inner_mask), radius - static_cast<int>(outer->count));
      }
    }
  }
  drain();
}

void Lookup::group_queries(int table, int slice_bits) {
  const auto slice_of = [&](const Query& query) { return query.keys[table] >> (substrings[table].bits - slice_bits); };
  group_ends_.assign((size_t{1} << slice_bits) + 1, 0);
  for (const Query& query : queries_) {
    ++group_ends_[slice_of(query) + 1];
  }
  for (size_t group = 1; group < group_ends_.size(); ++group) {
    group_ends_[group] += group_ends_[group - 1];
  }
  grouped_.resize(queries_.size());
  for (size_t query = 0; query < queries_.size(); ++query) {
    grouped_[group_ends_[slice_of(queries_[query])]++] = static_cast<uint32_t>(query);
  }
}

void Lookup::warm_slice(int table, int slice_bits, uint32_t slice) const {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const int inner_bits = arrays.shape.high_bits - slice_bits;
  const uint32_t* first = arrays.directory[table] + (size_t{slice} << inner_bits);
  const uint32_t* last = first + (size_t{1} << inner_bits);
  for (const uint32_t* entry = first; entry < last; entry += line_words) {
    prefetch(entry);
  }
  const size_t end_line = *last / line_postings;
  for (size_t line = *first / line_postings; line <= end_line; ++line) {
    prefetch(arrays.postings[table] + line * line_words);
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

void Lookup::read_directory(Batch& batch) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const uint32_t* directory = arrays.directory[batch.table];
  const uint32_t* postings = arrays.postings[batch.table];
  batch.posting_count = 0;
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    const Masks::Mask mask = masks_.begin()[batch.first_mask + i];
    const uint32_t* entry = directory + (batch.bucket ^ mask.flips);
    const uint32_t begin = entry[0];
    const uint32_t count = entry[1] - begin;
    const uint32_t line = begin / line_postings;
    const uint32_t lane = begin % line_postings;
    prefetch(postings + size_t{line} * line_words);
    if (lane + count > line_postings) {
      prefetch(postings + size_t{line + 1} * line_words);
    }
    batch.buckets[i] = {line, lane, count, batch.allowed_bits - mask.count};
    batch.posting_count += count;
  }
  const Costs& costs = costs_of(kernels_, arrays.rows());
  counts_.probes += batch.bucket_count;
  counts_.postings += batch.posting_count;
  queries_[batch.query].spent_ns += static_cast<float>(batch.bucket_count) * costs.probe_ns +
                                    static_cast<float>(batch.posting_count) * costs.posting_ns;
}

PostingForm Lookup::form_of(const Batch& batch) const {
  const TableShape& shape = scene_.segment->arrays().shape;
  const Query& query = queries_[batch.query];
  const uint64_t low = (uint64_t{1} << shape.low_bits(batch.table)) - 1;
  const uint64_t next = (uint64_t{1} << shape.next_bits(batch.table)) - 1;
  const uint32_t next_key = query.keys[next_table(batch.table)];
  const uint64_t word = posting_word(shape, batch.table, query.keys[batch.table] & low, next_key & next);
  return {static_cast<uint32_t>(word),
          next_key & 15U,
          static_cast<uint32_t>(posting_word(shape, batch.table, low, 0)),
          static_cast<uint32_t>(posting_word(shape, batch.table, low, next)),
          (uint32_t{1} << shape.slot_bits) - 1,
          static_cast<uint32_t>(scene_.radii[next_table(batch.table)] + 1)};
}

void Lookup::filter(Batch& batch) {
  batch.slot_count = 0;
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
  for (size_t i = 0; i < batch.slot_count; ++i) {
    prefetch(arrays.codes + size_t{batch.slots[i]} * code_bytes);
  }
}

// Buckets of a crowd: in pieces, so that the memory they take is bounded.
void Lookup::filter_piecewise(const Batch& batch) {
  const PostingForm form = form_of(batch);
  const uint32_t* postings = scene_.segment->arrays().postings[batch.table];
  std::vector<uint32_t> slots(max_batch_postings + vector_slack);
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    for (Bucket left = batch.buckets[i]; left.count > 0 && !is_given_up(batch.query);) {
      Bucket piece = left;
      piece.count = std::min<uint32_t>(left.count, max_batch_postings);
      const size_t slot_count = kernels_.filter_postings(postings, &piece, 1, form, slots.data());
      take(batch, slots.data(), slot_count);
      const uint32_t behind = left.lane + piece.count;
      left = {left.line + behind / line_postings, behind % line_postings, left.count - piece.count, left.allowed_bits};
    }
  }
}

void Lookup::verify(Batch& batch) {
  take(batch, batch.slots.data(), batch.slot_count);
  batch.is_filled = false;
}

void Lookup::take(const Batch& batch, uint32_t* slots, size_t slot_count) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  Query& query = queries_[batch.query];
  counts_.candidates += slot_count;
  query.spent_ns += static_cast<float>(slot_count) * costs_of(kernels_, arrays.rows()).candidate_ns;
  near_.resize(std::max(near_.size(), slot_count));
  const size_t found = kernels_.verify(query.code, arrays.codes, slots, slot_count, radius_bits_, near_.data());
  for (size_t i = 0; i < found; ++i) {
    const Near& near = near_[i];
    if (scene_.rows.is_alive(near.slot) &&
        is_first_table(query, arrays.codes + size_t{near.slot} * code_bytes, batch.table)) {
      scene_.gathering->take(batch.query, near, scene_.rows);
    }
  }
}

// Whether the filter of a table lets the code pass.
bool Lookup::passes(const Query& query, const uint8_t* code, int table) const {
  const int bits = std::popcount(query.keys[table] ^ key_of(code, table));
  if (bits > scene_.radii[table]) {
    return false;
  }
  const int next = next_table(table);
  const uint32_t carried = (uint32_t{1} << scene_.segment->arrays().shape.next_bits(table)) - 1;
  return bits + std::popcount((query.keys[next] ^ key_of(code, next)) & carried) <=
         scene_.radii[table] + scene_.radii[next] + 1;
}

// A code may pass the filters of several tables; only the first of them tells of it.
bool Lookup::is_first_table(const Query& query, const uint8_t* code, int table) const {
  for (int earlier = 0; earlier < table; ++earlier) {
    if (passes(query, code, earlier)) {
      return false;
    }
  }
  return true;
}

}  // namespace baken::hamming
