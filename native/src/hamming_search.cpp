#include "hamming_search.hpp"

#include <algorithm>
#include <bit>

namespace baken::hamming {
namespace {

constexpr size_t flat_chunk_rows = 4096;

// Codes of a segment no larger than this (8 MB) are likely to stay in the last-level cache from one query to the next.
constexpr size_t cached_rows = size_t{1} << 18;

float flat_cost_ns(const Kernels& kernels, size_t rows) {
  return static_cast<float>(rows) * (rows <= cached_rows ? kernels.cached_flat_row_ns : kernels.flat_row_ns);
}

void prefetch(const void* address) { __builtin_prefetch(address, 0, 3); }

// Appends the masks of `width` bits with exactly `count` of them set (Gosper's hack, HAKMEM item 175).
void append_masks(int width, int count, std::vector<HighMask>& masks) {
  if (count == 0) {
    masks.push_back({0, 0});
    return;
  }
  const uint64_t end = uint64_t{1} << width;
  for (uint64_t mask = (uint64_t{1} << count) - 1; mask < end;) {
    masks.push_back({static_cast<uint32_t>(mask), static_cast<uint32_t>(count)});
    const uint64_t lowest = mask & -mask;
    const uint64_t carried = mask + lowest;
    mask = carried | ((mask ^ carried) >> (std::countr_zero(lowest) + 2));
  }
}

}  // namespace

void Lookup::find(const Segment& segment, const uint8_t* query, std::vector<Hit>& hits) {
  const float flat_ns = flat_cost_ns(kernels_, segment.arrays().rows);
  if (segment.split().cost_ns[radius_bits_] >= flat_ns) {
    find_flat(segment.rows(), query, hits);
    return;
  }
  if (arrays_ != &segment.arrays()) {
    prepare(segment);
    budget_ns_ = flat_ns;
  }
  const size_t hits_before = hits.size();
  if (!search_tables(segment.rows(), query, hits)) {
    hits.resize(hits_before);
    find_flat(segment.rows(), query, hits);
  }
}

void Lookup::find_flat(const Rows& rows, const uint8_t* query, std::vector<Hit>& hits) {
  near_.resize(std::max(near_.size(), flat_chunk_rows));
  counts_.flat_rows += rows.count;
  for (size_t first = 0; first < rows.count; first += flat_chunk_rows) {
    const size_t count = std::min(flat_chunk_rows, rows.count - first);
    const size_t found =
        kernels_.scan_flat(query, rows.codes, static_cast<uint32_t>(first), count, radius_bits_, near_.data());
    for (size_t i = 0; i < found; ++i) {
      if (rows.is_alive(near_[i].slot)) {
        hits.push_back({static_cast<int32_t>(near_[i].distance_bits), rows.ids[near_[i].slot]});
      }
    }
  }
}

void Lookup::prepare(const Segment& segment) {
  arrays_ = &segment.arrays();
  radii_ = segment.split().radii_for(static_cast<int>(radius_bits_));
  if (masks_high_bits_ != arrays_->high_bits) {
    masks_high_bits_ = arrays_->high_bits;
    masks_.clear();
    mask_ends_.clear();
  }
  const int widest = *std::max_element(radii_.begin(), radii_.end());
  for (int count = static_cast<int>(mask_ends_.size()); count <= widest; ++count) {
    if (count <= arrays_->high_bits) {
      append_masks(arrays_->high_bits, count, masks_);
    }
    mask_ends_.push_back(masks_.size());
  }
}

bool Lookup::search_tables(const Rows& rows, const uint8_t* query, std::vector<Hit>& hits) {
  query_ = query;
  for (int table = 0; table < table_count; ++table) {
    keys_[table] = key_of(query, table);
  }
  spent_ns_ = 0;
  cursor_table_ = 0;
  cursor_mask_ = 0;
  constexpr size_t stages = 4;
  for (Batch& batch : ring_) {
    batch.table = -1;
  }
  for (size_t step = 0, last = SIZE_MAX; step < last; ++step) {
    const auto batch = [&](size_t age) -> Batch& { return ring_[(step - age) % stages]; };
    if (next_batch(batch(0))) {
      fetch_directory(batch(0));
    } else if (last == SIZE_MAX) {
      last = step + stages - 1;
    }
    read_directory(batch(1));
    if (spent_ns_ > budget_ns_) {
      return false;
    }
    batch(1).slots.resize(std::max(batch(1).slots.size(), batch(1).posting_count + vector_slack));
    filter(batch(2));
    verify(batch(3), rows, hits);
  }
  return true;
}

bool Lookup::next_batch(Batch& batch) {
  while (cursor_table_ < table_count && (radii_[cursor_table_] < 0 || cursor_mask_ == probes_of(cursor_table_))) {
    ++cursor_table_;
    cursor_mask_ = 0;
  }
  batch.table = cursor_table_ < table_count ? cursor_table_ : -1;
  if (batch.table < 0) {
    return false;
  }
  batch.first_mask = cursor_mask_;
  batch.bucket_count = std::min(Batch::max_probes, probes_of(cursor_table_) - cursor_mask_);
  cursor_mask_ += batch.bucket_count;
  return true;
}

void Lookup::fetch_directory(const Batch& batch) const {
  const uint32_t* directory = arrays_->directory[batch.table];
  const uint32_t high = keys_[batch.table] >> arrays_->low_bits(batch.table);
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    const uint32_t* entry = directory + (high ^ masks_[batch.first_mask + i].flips);
    prefetch(entry);
    prefetch(entry + 1);
  }
}

void Lookup::read_directory(Batch& batch) {
  if (batch.table < 0) {
    return;
  }
  const uint32_t* directory = arrays_->directory[batch.table];
  const uint32_t* postings = arrays_->postings[batch.table];
  const uint32_t high = keys_[batch.table] >> arrays_->low_bits(batch.table);
  const auto radius = static_cast<uint32_t>(radii_[batch.table]);
  batch.posting_count = 0;
  for (size_t i = 0; i < batch.bucket_count; ++i) {
    const HighMask mask = masks_[batch.first_mask + i];
    const uint32_t* entry = directory + (high ^ mask.flips);
    const Bucket bucket = {entry[0], entry[1], radius - mask.flip_count};
    prefetch(postings + bucket.begin);
    prefetch(postings + bucket.end - 1);
    batch.buckets[i] = bucket;
    batch.posting_count += bucket.end - bucket.begin;
  }
  counts_.probes += batch.bucket_count;
  counts_.postings += batch.posting_count;
  spent_ns_ +=
      static_cast<float>(batch.bucket_count) * probe_ns + static_cast<float>(batch.posting_count) * posting_ns;
}

void Lookup::filter(Batch& batch) {
  if (batch.table < 0) {
    return;
  }
  const int slot_bits = arrays_->slot_bits;
  const uint32_t low = (uint32_t{1} << arrays_->low_bits(batch.table)) - 1;
  const PostingForm form = {(keys_[batch.table] & low) << slot_bits, low << slot_bits, (uint32_t{1} << slot_bits) - 1};
  batch.slot_count = kernels_.filter_postings(arrays_->postings[batch.table], batch.buckets.data(), batch.bucket_count,
                                              form, batch.slots.data());
  for (size_t i = 0; i < batch.slot_count; ++i) {
    prefetch(arrays_->codes + batch.slots[i] * code_bytes);
  }
  counts_.candidates += batch.slot_count;
  spent_ns_ += static_cast<float>(batch.slot_count) * candidate_ns;
}

void Lookup::verify(Batch& batch, const Rows& rows, std::vector<Hit>& hits) {
  if (batch.table < 0) {
    return;
  }
  near_.resize(std::max(near_.size(), batch.slot_count));
  const size_t found =
      kernels_.verify(query_, arrays_->codes, batch.slots.data(), batch.slot_count, radius_bits_, near_.data());
  for (size_t i = 0; i < found; ++i) {
    const Near near = near_[i];
    if (rows.is_alive(near.slot) && is_first_table(arrays_->codes + near.slot * code_bytes, batch.table)) {
      hits.push_back({static_cast<int32_t>(near.distance_bits), rows.ids[near.slot]});
    }
  }
}

// A code near in several substrings is found by each of their tables; only the first of them reports it.
bool Lookup::is_first_table(const uint8_t* code, int table) const {
  for (int earlier = 0; earlier < table; ++earlier) {
    if (std::popcount(keys_[earlier] ^ key_of(code, earlier)) <= radii_[earlier]) {
      return false;
    }
  }
  return true;
}

}  // namespace baken::hamming
