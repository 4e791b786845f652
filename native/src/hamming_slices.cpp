// Many queries against a table, slice by slice.
#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "hamming_prefetch.hpp"
#include "hamming_search.hpp"

namespace baken::hamming {
namespace {

// How much of a table is searched at a time: the slice and the next one, which is fetched meanwhile, stay in the
// second-level cache.
constexpr size_t slice_bytes = size_t{128} << 10;

// A bucket in more views is a crowd's.
constexpr size_t most_views = Batch::max_bucket_lines;

// As many views are kept before their postings become candidates, unless one query's own take more.
constexpr size_t most_passed = 4096;

// As many candidates are kept before they are compared with the codes.
constexpr size_t most_candidates = 4096;

}  // namespace

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
  slices_.lines_a_probe = static_cast<double>(table_bytes / (line_words * sizeof(uint32_t))) / static_cast<double>(probes);
  return bits;
}

// Many queries meet about every line of a table. So it is gone through slice by slice, each fetched once from end to end
// while the one before is searched, and for each slice through the queries whose key is near enough to it.
void Lookup::search_slices(int place, int slice_bits) {
  drain();
  int most = 0;
  for (int table = place; table <= last_table(place); ++table) {
    group_queries(table, slice_bits, slices_.groups[static_cast<size_t>(table - place)]);
    most = std::max<int>(most, scene_.radii[table]);
  }
  slice_masks_.prepare(slice_bits, most);
  masks_.prepare(scene_.segment->arrays().shape.high_bits(place) - slice_bits, most);
  begin_fetching(place, slice_bits, 0);
  for (uint32_t slice = 0; slice < uint32_t{1} << slice_bits; ++slice) {
    fetch_lines(SIZE_MAX);
    view_slice(place, slice_bits, slice);
    if (slice + 1 < uint32_t{1} << slice_bits) {
      begin_fetching(place, slice_bits, slice + 1);
    }
    for (int table = place; table <= last_table(place); ++table) {
      search_slice(table, slice_bits, slice, slices_.groups[static_cast<size_t>(table - place)]);
    }
  }
  drain();
  turn_pending();
  turn_pending();
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

// One view of each bucket, and behind them the further ones of those that need several.
void Lookup::view_slice(int place, int slice_bits, uint32_t slice) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const int inner_bits = arrays.shape.high_bits(place) - slice_bits;
  const size_t buckets = size_t{1} << inner_bits;
  const uint32_t* directory = arrays.directory[place] + (size_t{slice} << inner_bits);
  const auto postings = static_cast<uint32_t>(arrays.shape.postings(place));
  std::vector<BucketView>& views = slices_.views;
  views.resize(buckets);
  kernels_.view_buckets(directory, buckets, postings, views.data());
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    if (views[bucket].next != unviewed) {
      continue;
    }
    const uint32_t begin = __atomic_load_n(directory + bucket, __ATOMIC_RELAXED);
    const uint32_t end = __atomic_load_n(directory + bucket + 1, __ATOMIC_RELAXED);
    const bool is_damaged = begin > end || end > postings;
    met_damage_ |= is_damaged;
    if (!is_damaged && end - begin <= most_views * line_postings && views.size() + most_views <= unviewed) {
      view_in_parts(bucket, begin, end, postings);
    }
  }
}

// Leaves the bucket unviewed when a part of it is.
void Lookup::view_in_parts(size_t bucket, uint32_t begin, uint32_t end, uint32_t posting_count) {
  std::array<uint32_t, most_views + 1> bounds{};
  std::array<BucketView, most_views> parts{};
  size_t count = 0;
  for (; begin < end; begin += line_postings) {
    bounds[count++] = begin;
    bounds[count] = std::min(end, begin + line_postings);
  }
  kernels_.view_buckets(bounds.data(), count, posting_count, parts.data());
  const auto is_unviewed = [](const BucketView& part) { return part.next == unviewed; };
  if (count == 0 || std::any_of(parts.begin(), parts.begin() + count, is_unviewed)) {
    return;
  }
  std::vector<BucketView>& views = slices_.views;
  for (size_t part = 0; part + 1 < count; ++part) {
    parts[part].next = static_cast<uint16_t>(views.size() + part);
  }
  views[bucket] = parts[0];
  views.insert(views.end(), parts.begin() + 1, parts.begin() + count);
}

void Lookup::search_slice(int table, int slice_bits, uint32_t slice, const Groups& groups) {
  const int radius = scene_.radii[table];
  if (radius < 0) {
    return;
  }
  const SegmentArrays& arrays = scene_.segment->arrays();
  const int inner_bits = arrays.shape.high_bits(table) - slice_bits;
  slices_.passed.resize(std::max(most_passed, most_views * masks_.size(radius)));
  slices_.unviewed.resize(slices_.passed.size() / most_views);
  SliceQuestion question{};
  question.postings = arrays.postings[table];
  question.views = slices_.views.data();
  question.form = form_of(table);
  question.bucket_mask = (uint32_t{1} << inner_bits) - 1;
  question.masks = masks_.begin();
  const KeyMask* outer = slice_masks_.begin();
  for (const KeyMask* end = outer + slice_masks_.size(radius); outer != end; ++outer) {
    const uint32_t group = slice ^ outer->flips;
    question.allowed_bits = static_cast<uint32_t>(radius) - outer->count;
    question.mask_count = masks_.size(static_cast<int>(question.allowed_bits));
    const size_t asked_at_once = slices_.unviewed.size() / question.mask_count;
    for (uint32_t first = group == 0 ? 0 : groups.ends[group - 1]; first < groups.ends[group];) {
      const size_t count = std::min<size_t>(groups.ends[group] - first, asked_at_once);
      ask_slice(table, slice << inner_bits, question, groups.asked.data() + first, count);
      first += static_cast<uint32_t>(count);
    }
  }
  take_passed(table);
  turn_pending();
  launch();
}

void Lookup::ask_slice(int table, uint32_t first_bucket, const SliceQuestion& question, const Asked* asked,
                       size_t count) {
  const size_t probes = count * question.mask_count;
  if (slices_.passed_count + probes * most_views > slices_.passed.size()) {
    take_passed(table);
  }
  const ViewsFiltered found = kernels_.filter_views(
      question, asked, count, slices_.passed.data() + slices_.passed_count, slices_.unviewed.data());
  slices_.passed_count += found.passed;
  counts_.probes += probes;
  for (size_t i = 0; i < found.unviewed; ++i) {
    const UnviewedBucket& each = slices_.unviewed[i];
    probe(table, asked[each.asked].form, first_bucket | each.bucket, each.allowed_bits);
  }
  fetch_lines(static_cast<size_t>(slices_.lines_a_probe * static_cast<double>(probes)) + 1);
}

// What passed becomes candidates.
void Lookup::take_passed(int table) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const auto rows = static_cast<uint32_t>(arrays.shape.rows);
  const PassedView* passed = slices_.passed.data();
  const size_t count = std::exchange(slices_.passed_count, 0);
  const PostingForm form = form_of(table);
  Pending& pending = slices_.pending[0];
  pending.table = table;
  const auto put_into = [&](Candidates& candidates, uint32_t turned_bits) {
    candidates.make_room(count * line_postings);
    candidates.count += kernels_.slots_of_views(arrays.postings[table], passed, count, form.slot_mask, turned_bits, rows,
                                                candidates.slots() + candidates.count,
                                                candidates.queries() + candidates.count);
  };
  const uint32_t own_slots = arrays.shape.slot_of(table, 0);
  put_into(pending.own, own_slots);
  if (has_partners_ && is_shared(table)) {
    const size_t first = pending.transposed.count;
    put_into(pending.transposed, own_slots ^ (uint32_t{1} << arrays.shape.row_bits));
    keep_for_partners(pending.transposed, first);
  }
  if (pending.own.count + pending.transposed.count >= most_candidates) {
    turn_pending();
  }
}

// Of the candidates from `first` on.
void Lookup::keep_for_partners(Candidates& candidates, size_t first) const {
  const size_t end = std::exchange(candidates.count, first);
  for (size_t i = first; i < end; ++i) {
    const uint32_t query = candidates.queries()[i];
    const uint32_t partner = queries_[query].partner;
    candidates.put(candidates.slots()[i], partner, partner > query);
  }
}

// The codes of the newest candidates are fetched while those of the ones before are compared.
void Lookup::turn_pending() {
  Pending& newest = slices_.pending[0];
  Pending& before = slices_.pending[1];
  fetch_codes(newest.own);
  fetch_codes(newest.transposed);
  take(before.table, before.own);
  take(transposed_table(before.table), before.transposed);
  std::swap(newest, before);
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

}  // namespace baken::hamming
