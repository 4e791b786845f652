#include "hamming_segment.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "hamming_kernels.hpp"

namespace baken::hamming {
namespace {

constexpr size_t line_bytes = 64;
constexpr size_t postings_per_bucket = 6;

int high_bits_for(size_t rows) {
  const int bits = static_cast<int>(std::bit_width(rows / postings_per_bucket));
  return std::clamp(bits - 1, 0, max_high_bits);
}

size_t alive_count(std::span<const Rows> parts) {
  size_t alive = 0;
  for (const Rows& part : parts) {
    alive += part.alive_count();
  }
  return alive;
}

size_t lines(size_t size_bytes) { return (size_bytes + line_bytes - 1) / line_bytes * line_bytes; }

// The arrays are constant for everyone but their builder.
template <typename Value>
Value* writable(const Value* array) {
  return const_cast<Value*>(array);
}

Buffer allocate(SegmentArrays& arrays) {
  const SectionBytes sizes = section_bytes(arrays);
  size_t size_bytes = 0;
  for (const size_t section : sizes) {
    size_bytes += lines(section);
  }
  Buffer buffer(size_bytes);
  SectionPlaces places{};
  uint8_t* next = buffer.data();
  for (size_t section = 0; section < section_count; ++section) {
    places[section] = std::exchange(next, next + lines(sizes[section]));
  }
  place(arrays, places);
  return buffer;
}

void fill_id_ranges(const SegmentArrays& arrays) {
  IdRange* range = writable(arrays.id_ranges);
  for (size_t first = 0; first < arrays.rows; first += id_block_rows) {
    const size_t end = std::min(first + id_block_rows, arrays.rows);
    const auto [least, greatest] = std::minmax_element(arrays.ids + first, arrays.ids + end);
    *range++ = {*least, *greatest};
  }
}

void copy_rows(std::span<const Rows> parts, const SegmentArrays& arrays) {
  uint8_t* code = writable(arrays.codes);
  int64_t* id = writable(arrays.ids);
  for (const Rows& part : parts) {
    if (part.alive_count() == part.count) {
      std::memcpy(code, part.codes, part.count * code_bytes);
      id = std::copy_n(part.ids, part.count, id);
      code += part.count * code_bytes;
      continue;
    }
    for (size_t row = 0; row < part.count; ++row) {
      if (part.is_alive(row)) {
        std::memcpy(code, part.codes + row * code_bytes, code_bytes);
        code += code_bytes;
        *id++ = part.ids[row];
      }
    }
  }
}

// Sorts by coarse bucket in two passes, so that both scatter into few enough places to stay in the caches: first by the
// upper half of the bucket number (a "shelf"), then each shelf by the lower half. As many shelves as the scratch memory
// has room for are filled at a time.
class TableBuilder {
 public:
  TableBuilder(const SegmentArrays& arrays, size_t scratch_rows)
      : arrays_(arrays),
        shelf_bits_(arrays.high_bits / 2),
        bucket_bits_(arrays.high_bits - shelf_bits_) {
    count_shelves();
    scratch_rows_ = std::max(std::min(arrays.rows, scratch_rows), largest_shelf());
    keyed_slots_ = Buffer(scratch_rows_ * sizeof(uint64_t));
  }

  void build(int table) {
    uint32_t begin = 0;
    for (size_t shelf = 0; shelf < shelves();) {
      const size_t end_shelf = shelves_with_room(table, shelf);
      const uint32_t first = begin;
      fill_shelves(table, shelf, end_shelf);
      for (; shelf < end_shelf; ++shelf) {
        const uint32_t end = shelf_ends_[table][shelf];
        sort_shelf(table, shelf, begin, end, first);
        begin = end;
      }
    }
    writable(arrays_.directory[table])[size_t{1} << arrays_.high_bits] = static_cast<uint32_t>(arrays_.rows);
  }

 private:
  size_t shelves() const { return size_t{1} << shelf_bits_; }

  size_t shelf_of(uint32_t key, int table) const { return key >> (substrings[table].bits - shelf_bits_); }

  // shelf_ends_ holds each shelf's first place; filling the shelf moves it to the end.
  void count_shelves() {
    shelf_ends_.assign(table_count, std::vector<uint32_t>(shelves() + 1));
    for (size_t row = 0; row < arrays_.rows; ++row) {
      for (int table = 0; table < table_count; ++table) {
        ++shelf_ends_[table][shelf_of(key_of(arrays_.codes + row * code_bytes, table), table) + 1];
      }
    }
    for (std::vector<uint32_t>& ends : shelf_ends_) {
      for (size_t shelf = 1; shelf < ends.size(); ++shelf) {
        ends[shelf] += ends[shelf - 1];
      }
    }
  }

  size_t largest_shelf() const {
    size_t largest = 0;
    for (const std::vector<uint32_t>& ends : shelf_ends_) {
      for (size_t shelf = 0; shelf < shelves(); ++shelf) {
        largest = std::max<size_t>(largest, ends[shelf + 1] - ends[shelf]);
      }
    }
    return largest;
  }

  // The end of the shelves from `first` on that fit into the scratch memory together; at least one does.
  size_t shelves_with_room(int table, size_t first) const {
    const std::vector<uint32_t>& begins = shelf_ends_[table];
    size_t end = first + 1;
    while (end < shelves() && begins[end + 1] - begins[first] <= scratch_rows_) {
      ++end;
    }
    return end;
  }

  void fill_shelves(int table, size_t first_shelf, size_t end_shelf) {
    uint64_t* keyed_slots = reinterpret_cast<uint64_t*>(keyed_slots_.data());
    std::vector<uint32_t>& ends = shelf_ends_[table];
    const uint32_t first = ends[first_shelf];
    for (size_t row = 0; row < arrays_.rows; ++row) {
      const uint32_t key = key_of(arrays_.codes + row * code_bytes, table);
      const size_t shelf = shelf_of(key, table);
      if (shelf - first_shelf < end_shelf - first_shelf) {
        keyed_slots[ends[shelf]++ - first] = uint64_t{key} << 32 | row;
      }
    }
  }

  // `first`: the row of the table that the scratch memory begins with.
  void sort_shelf(int table, size_t shelf, uint32_t begin, uint32_t end, uint32_t first) {
    const uint64_t* keyed_slots = reinterpret_cast<const uint64_t*>(keyed_slots_.data());
    const auto keyed_slot = [=](uint32_t place) { return keyed_slots[place - first]; };
    uint32_t* postings = writable(arrays_.postings[table]);
    uint32_t* directory = writable(arrays_.directory[table]) + (shelf << bucket_bits_);
    const int low_bits = arrays_.low_bits(table);
    const uint32_t bucket_mask = (uint32_t{1} << bucket_bits_) - 1;
    const auto bucket_of = [=](uint64_t keyed) { return static_cast<uint32_t>(keyed >> (32 + low_bits)) & bucket_mask; };
    places_.assign(size_t{bucket_mask} + 1, 0);
    for (uint32_t i = begin; i < end; ++i) {
      ++places_[bucket_of(keyed_slot(i))];
    }
    uint32_t next = begin;
    for (uint32_t bucket = 0; bucket <= bucket_mask; ++bucket) {
      directory[bucket] = next;
      next += std::exchange(places_[bucket], next);
    }
    const uint32_t low_mask = (uint32_t{1} << low_bits) - 1;
    for (uint32_t i = begin; i < end; ++i) {
      const uint32_t low = static_cast<uint32_t>(keyed_slot(i) >> 32) & low_mask;
      const uint32_t slot = static_cast<uint32_t>(keyed_slot(i));
      postings[places_[bucket_of(keyed_slot(i))]++] = (low << arrays_.slot_bits) | slot;
    }
  }

  const SegmentArrays& arrays_;
  int shelf_bits_;
  int bucket_bits_;
  size_t scratch_rows_ = 0;
  Buffer keyed_slots_;
  std::vector<std::vector<uint32_t>> shelf_ends_;
  std::vector<uint32_t> places_;
};

}  // namespace

SegmentArrays segment_shape(size_t rows) {
  SegmentArrays shape{};
  shape.rows = rows;
  shape.high_bits = high_bits_for(rows);
  shape.slot_bits = static_cast<int>(std::bit_width(rows));
  return shape;
}

SectionBytes section_bytes(const SegmentArrays& shape) {
  SectionBytes sizes{shape.rows * code_bytes, shape.rows * sizeof(int64_t),
                     (shape.rows + id_block_rows - 1) / id_block_rows * sizeof(IdRange)};
  for (size_t table = 0; table < table_count; ++table) {
    sizes[directory_section(table)] = ((size_t{1} << shape.high_bits) + 1) * sizeof(uint32_t);
    sizes[postings_section(table)] = (shape.rows + vector_slack) * sizeof(uint32_t);
  }
  return sizes;
}

void place(SegmentArrays& shape, const SectionPlaces& places) {
  shape.codes = places[0];
  shape.ids = reinterpret_cast<const int64_t*>(places[1]);
  shape.id_ranges = reinterpret_cast<const IdRange*>(places[2]);
  for (size_t table = 0; table < table_count; ++table) {
    shape.directory[table] = reinterpret_cast<const uint32_t*>(places[directory_section(table)]);
    shape.postings[table] = reinterpret_cast<const uint32_t*>(places[postings_section(table)]);
  }
}

void fill(const SegmentArrays& arrays, std::span<const Rows> parts, const SectionDone& done) {
  copy_rows(parts, arrays);
  done(codes_section);
  done(ids_section);
  fill_tables(arrays, done);
}

void fill_tables(const SegmentArrays& arrays, const SectionDone& done, size_t scratch_rows) {
  fill_id_ranges(arrays);
  done(id_ranges_section);
  TableBuilder builder(arrays, scratch_rows);
  for (int table = 0; table < table_count; ++table) {
    builder.build(table);
    done(directory_section(table));
    done(postings_section(table));
  }
}

Segment::Segment(std::span<const Rows> parts)
    : arrays_(segment_shape(alive_count(parts))),
      buffer_(allocate(arrays_)),
      tombstones_(arrays_.rows),
      split_(split_for(arrays_.rows, arrays_.high_bits)) {
  fill(arrays_, parts, [](size_t) {});
}

Segment::Segment(const SegmentArrays& arrays, std::span<Tombstones::Word> tombstones)
    : arrays_(arrays), tombstones_(tombstones), split_(split_for(arrays_.rows, arrays_.high_bits)) {}

}  // namespace baken::hamming
