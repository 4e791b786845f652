// The stages that a batch of probes goes through.
#include <algorithm>
#include <bit>

#include "hamming_prefetch.hpp"
#include "hamming_search.hpp"

namespace baken::hamming {
namespace {

// What a candidate of a crowd is charged: most are matches, and those are ranked and counted as well. Charged like any
// other candidate, a lookup inside a million near-identical codes took 57 ms before it was given up, and 14 ms with this.
constexpr float crowd_candidate_ns = 40;

}  // namespace

void Candidates::make_room(size_t more) {
  if (room_ >= count + more + vector_slack) {
    return;
  }
  const size_t room = std::max(2 * room_, count + more + vector_slack);
  auto numbers = std::make_unique_for_overwrite<uint32_t[]>(2 * room);
  std::copy_n(slots(), count, numbers.get());
  std::copy_n(queries(), count, numbers.get() + room);
  numbers_ = std::move(numbers);
  room_ = room;
}

// Looks for a query into all buckets whose numbers differ from this one in no more than the allowed bits.
void Lookup::visit(int table, const QueryForm& form, uint32_t bucket, int allowed_bits) {
  const KeyMask* mask = masks_.begin();
  for (const KeyMask* end = mask + masks_.size(allowed_bits); mask != end;) {
    Batch& batch = ring_[step_ % ring_size];
    const auto count = std::min(static_cast<size_t>(end - mask), Batch::max_probes - batch.probe_count);
    const auto number = static_cast<uint16_t>(batch.form_count++);
    batch.table = table;
    batch.forms[number] = form;
    Probe* probe = batch.probes.data() + batch.probe_count;
    batch.probe_count += count;
    for (const Probe* last = probe + count; probe != last; ++probe, ++mask) {
      *probe = {bucket ^ mask->flips, static_cast<uint16_t>(static_cast<uint32_t>(allowed_bits) - mask->count), number};
    }
    if (batch.probe_count == Batch::max_probes) {
      launch();
    }
  }
}

// Looks into one bucket.
void Lookup::probe(int table, const QueryForm& form, uint32_t bucket, uint32_t allowed_bits) {
  Batch& batch = ring_[step_ % ring_size];
  const auto number = static_cast<uint16_t>(batch.form_count++);
  batch.table = table;
  batch.forms[number] = form;
  batch.probes[batch.probe_count++] = {bucket, static_cast<uint16_t>(allowed_bits), number};
  if (batch.probe_count == Batch::max_probes) {
    launch();
  }
}

void Lookup::fetch_directory(const Batch& batch) const {
  const uint32_t* directory = scene_.segment->arrays().directory[batch.table];
  for (size_t i = 0; i < batch.probe_count; ++i) {
    const uint32_t* entry = directory + batch.probes[i].bucket;
    prefetch(entry);
    prefetch(entry + 1);
  }
}

// Who wrote into the file since it was opened may have left any number in it, so that none is used unchecked; each is read
// once, for it may change between two looks.
void Lookup::read_directory(Batch& batch) {
  constexpr uint32_t all_lanes = (1U << line_postings) - 1;
  const SegmentArrays& arrays = scene_.segment->arrays();
  const uint32_t* directory = arrays.directory[batch.table];
  const uint32_t* postings = arrays.postings[batch.table];
  const uint64_t total = arrays.shape.postings(batch.table);
  uint64_t below_zero = 0;
  size_t posting_count = 0;
  LinePart* next = batch.parts.data();
  for (size_t i = 0; i < batch.probe_count; ++i) {
    const Probe probe = batch.probes[i];
    const uint32_t begin = __atomic_load_n(directory + probe.bucket, __ATOMIC_RELAXED);
    const uint32_t end = __atomic_load_n(directory + probe.bucket + 1, __ATOMIC_RELAXED);
    const uint32_t line = begin / line_postings;
    const uint32_t lane = begin % line_postings;
    const uint64_t end_lane = uint64_t{end - begin} + lane;
    below_zero |= (total - end) | (uint64_t{end} - begin);
    if (end_lane > Batch::max_bucket_lines * line_postings) [[unlikely]] {
      if (begin <= end && end <= total) {
        search_crowd(batch.table, batch.forms[probe.form], probe.allowed_bits, begin, end);
      }
      continue;
    }
    posting_count += end - begin;
    const uint64_t lanes = ((uint64_t{1} << end_lane) - 1) >> lane << lane;
    const auto part_in = [&](uint32_t number) -> LinePart {
      return {line + number, static_cast<uint16_t>(lanes >> (number * line_postings) & all_lanes),
              static_cast<uint8_t>(probe.form), static_cast<uint8_t>(probe.allowed_bits)};
    };
    // Most buckets lie in one line or two: both are written, so that no branch must be guessed. GCC makes one of a
    // comparison here.
    next[0] = part_in(0);
    next[1] = part_in(1);
    const size_t second = (line_postings - end_lane) >> 63;
    next += 1 + second;
    if (end_lane > 2 * line_postings) [[unlikely]] {
      for (uint32_t number = 2; number * line_postings < end_lane; ++number) {
        *next++ = part_in(number);
      }
    }
    prefetch(postings + size_t{line} * line_words);
    prefetch(postings + (size_t{line} + second) * line_words);
  }
  batch.part_count = static_cast<size_t>(next - batch.parts.data());
  counts_.probes += batch.probe_count;
  counts_.postings += posting_count;
  batch.probe_count = 0;
  if (below_zero >> 63 != 0) {
    met_damage_ = true;
    batch.part_count = 0;
  }
}

// Sends what visits gathered, if anything, and brings each batch under way a stage further.
void Lookup::launch() {
  const auto batch_of = [&](size_t stage) -> Batch& { return ring_[(step_ + ring_size - stage) % ring_size]; };
  fetch_directory(batch_of(0));
  if (batch_of(1).probe_count != 0) {
    read_directory(batch_of(1));
  }
  if (batch_of(2).part_count != 0) {
    filter(batch_of(2));
  }
  verify(batch_of(3));
  ++step_;
  ring_[step_ % ring_size].form_count = 0;
}

void Lookup::drain() {
  for (size_t stage = 0; stage < ring_size; ++stage) {
    launch();
  }
}

PostingForm Lookup::form_of(int table) const {
  const TableShape& shape = scene_.segment->arrays().shape;
  const uint64_t low = (uint64_t{1} << shape.low_bits(table)) - 1;
  const uint64_t next = (uint64_t{1} << shape.next_bits(table)) - 1;
  // A posting of the transposed key counts as one whose low bits differ, unless it is of use to a partner.
  const uint32_t turned = shape.is_joint(table) && !(has_partners_ && is_shared(table)) ? uint32_t{1} << shape.row_bits : 0;
  return {static_cast<uint32_t>(posting_word(shape, table, low, 0)) | turned,
          static_cast<uint32_t>(posting_word(shape, table, low, next)), (uint32_t{1} << shape.slot_bits(table)) - 1,
          static_cast<uint32_t>(scene_.radii[next_table(table)] + 1)};
}

void Lookup::filter(Batch& batch) {
  filter_parts(batch.table, batch.forms.data(), batch.parts.data(), batch.part_count, batch.own, batch.transposed);
  batch.part_count = 0;
  fetch_codes(batch.own);
  fetch_codes(batch.transposed);
}

void Lookup::fetch_codes(Candidates& candidates) const {
  const uint8_t* codes = scene_.segment->arrays().codes;
  for (size_t i = 0; i < candidates.count; ++i) {
    prefetch(codes + size_t{candidates.slots()[i]} * code_bytes);
  }
}

// Slots that are of the queries' own keys go to `own`; those of the transposed keys are for their partners. A row that is
// none would be read beyond the codes.
void Lookup::filter_parts(int table, const QueryForm* forms, const LinePart* parts, size_t part_count, Candidates& own,
                          Candidates& transposed) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const uint32_t* postings = arrays.postings[table];
  const PostingForm form = form_of(table);
  size_t left = kernels_.filter_postings(postings, forms, parts, part_count, form, passed_.data());
  const auto rows = static_cast<uint32_t>(arrays.shape.rows);
  const uint32_t own_slots = arrays.shape.slot_of(table, 0);
  const uint32_t transposed_slots = own_slots ^ (uint32_t{1} << arrays.shape.row_bits);
  const bool for_two = has_partners_ && is_shared(table);
  own.make_room(left * line_postings);
  transposed.make_room(for_two ? left * line_postings : 0);
  // One posting of each part a round: a loop within a part would end at another place each time.
  while (left > 0) {
    size_t kept = 0;
    for (size_t i = 0; i < left; ++i) {
      const PassedPart passed = passed_[i];
      const LinePart& part = parts[passed.part];
      const uint32_t slot =
          postings[size_t{part.line} * line_words + static_cast<size_t>(std::countr_zero(passed.lanes))] & form.slot_mask;
      const uint32_t query = forms[part.form].query;
      own.put(slot ^ own_slots, query, (slot ^ own_slots) < rows);
      if (for_two) {
        const uint32_t partner = queries_[query].partner;
        transposed.put(slot ^ transposed_slots, partner, (slot ^ transposed_slots) < rows && partner > query);
      }
      const auto lanes = static_cast<uint16_t>(passed.lanes & (passed.lanes - 1));
      passed_[kept] = {passed.part, lanes};
      kept += lanes != 0 ? 1 : 0;
    }
    left = kept;
  }
}

void Lookup::verify(Batch& batch) {
  take(batch.table, batch.own);
  take(transposed_table(batch.table), batch.transposed);
}

void Lookup::take(int table, Candidates& candidates) {
  if (candidates.count == 0) {
    return;
  }
  const SegmentArrays& arrays = scene_.segment->arrays();
  counts_.candidates += candidates.count;
  verified_.resize(std::max(verified_.size(), candidates.count));
  const size_t found = kernels_.verify(scene_.gathering->code(0), arrays.codes, candidates.slots(), candidates.queries(),
                                       candidates.count, radius_bits_, verified_.data());
  for (size_t i = 0; i < found; ++i) {
    const uint32_t query = candidates.queries()[verified_[i].number];
    const Near near = {candidates.slots()[verified_[i].number], verified_[i].distance_bits};
    if (scene_.rows.is_alive(near.slot) &&
        is_first_table(queries_[query], keys_of(arrays.codes + size_t{near.slot} * code_bytes), table)) {
      scene_.gathering->take(query, near, scene_.rows);
    }
  }
  candidates.count = 0;
}

// A bucket of any size, in pieces so that the memory they take is bounded, and until the query's budget is spent.
void Lookup::search_crowd(int table, const QueryForm& form, uint32_t allowed_bits, uint32_t begin, uint32_t end) {
  const SegmentArrays& arrays = scene_.segment->arrays();
  const Costs& costs = costs_of(kernels_, arrays.rows());
  for (uint32_t next = begin; next < end && !is_given_up(form.query);) {
    const uint32_t first = next;
    size_t part_count = 0;
    for (; part_count < crowd_.parts.size() && next < end; ++part_count) {
      const uint32_t lane = next % line_postings;
      const uint32_t end_lane = std::min(end - next, line_postings - lane) + lane;
      crowd_.parts[part_count] = {next / line_postings, static_cast<uint16_t>(((1U << end_lane) - 1) >> lane << lane), 0,
                                  static_cast<uint8_t>(allowed_bits)};
      next += end_lane - lane;
    }
    filter_parts(table, &form, crowd_.parts.data(), part_count, crowd_.own, crowd_.transposed);
    counts_.postings += next - first;
    budget_of(form.query) -= static_cast<float>(next - first) * costs.posting_ns +
                              static_cast<float>(crowd_.own.count + crowd_.transposed.count) * crowd_candidate_ns;
    take(table, crowd_.own);
    take(transposed_table(table), crowd_.transposed);
  }
}

}  // namespace baken::hamming
