#include "hamming_segment.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "hamming_kernels.hpp"

namespace baken::hamming {
namespace {

constexpr size_t line_bytes = line_words * sizeof(uint32_t);

// Codes of a segment no larger than this (8 MB) are likely to stay in the last-level cache from one query to the next.
constexpr size_t cached_rows = size_t{1} << 18;

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

Buffer allocate(const TableShape& shape) {
  size_t size_bytes = 0;
  for (const size_t section : section_bytes(shape)) {
    size_bytes += lines(section);
  }
  return Buffer(size_bytes);
}

SegmentArrays placed_in(const Buffer& buffer, const TableShape& shape) {
  const SectionBytes sizes = section_bytes(shape);
  SectionPlaces places{};
  uint8_t* next = buffer.data();
  for (size_t section = 0; section < section_count; ++section) {
    places[section] = std::exchange(next, next + lines(sizes[section]));
  }
  return placed(shape, places);
}

std::array<Split, path_count> splits_for(const SegmentArrays& arrays) {
  std::array<Split, path_count> splits{};
  for (size_t path = 0; path < path_count && arrays.has_tables(); ++path) {
    if (const Kernels* kernels = kernels_of(path)) {
      splits[path] = split_for(arrays.shape, costs_of(*kernels, arrays.rows()));
    }
  }
  return splits;
}

void fill_id_ranges(const SegmentArrays& arrays) {
  IdRange* range = writable(arrays.id_ranges);
  for (size_t first = 0; first < arrays.rows(); first += id_block_rows) {
    const size_t end = std::min(first + id_block_rows, arrays.rows());
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
  TableBuilder(const SegmentArrays& arrays, size_t scratch_postings) : arrays_(arrays), shape_(arrays.shape) {
    count_shelves();
    scratch_postings_ = std::max(std::min(most_postings(), scratch_postings), largest_shelf());
    keyed_slots_ = Buffer(scratch_postings_ * sizeof(uint64_t));
  }

  // A joint table, and those that are not, by the number of their place.
  void build(int table) {
    uint32_t begin = 0;
    for (size_t shelf = 0; shelf < shelves(table);) {
      const size_t end_shelf = shelves_with_room(table, shelf);
      const uint32_t first = begin;
      fill_shelves(table, shelf, end_shelf);
      for (; shelf < end_shelf; ++shelf) {
        const uint32_t end = shelf_ends_[table][shelf];
        sort_shelf(table, shelf, begin, end, first);
        begin = end;
      }
    }
    writable(arrays_.directory[table])[size_t{1} << shape_.high_bits(table)] =
        static_cast<uint32_t>(shape_.postings(table));
  }

 private:
  // A posting on its way: its key above 40 bits with what a posting holds of the next table's key, above the slot.
  static constexpr int key_place = 40;
  static_assert(TableShape::posting_bits <= key_place && key_place + max_key_bits <= 64);

  int shelf_bits(int table) const { return shape_.high_bits(table) / 2; }
  size_t shelves(int table) const { return size_t{1} << shelf_bits(table); }
  size_t shelf_of(uint32_t key, int table) const { return key >> (key_bits(table) - shelf_bits(table)); }

  size_t most_postings() const { return std::max(shape_.postings(0), shape_.postings(joint_tables)); }

  // shelf_ends_ holds each shelf's first place; filling the shelf moves it to the end.
  void count_shelves() {
    shelf_ends_.resize(table_count);
    for (int table = 0; table < table_count; ++table) {
      shelf_ends_[table].assign(shelves(table) + 1, 0);
    }
    for (size_t row = 0; row < shape_.rows; ++row) {
      const Keys keys = keys_of(arrays_.codes + row * code_bytes);
      for (int table = 0; table < table_count; ++table) {
        ++shelf_ends_[shape_.place_of(table)][shelf_of(keys[table], table) + 1];
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
      for (size_t shelf = 0; shelf + 1 < ends.size(); ++shelf) {
        largest = std::max<size_t>(largest, ends[shelf + 1] - ends[shelf]);
      }
    }
    return largest;
  }

  // The end of the shelves from `first` on that fit into the scratch memory together; at least one does.
  size_t shelves_with_room(int table, size_t first) const {
    const std::vector<uint32_t>& begins = shelf_ends_[table];
    size_t end = first + 1;
    while (end < shelves(table) && begins[end + 1] - begins[first] <= scratch_postings_) {
      ++end;
    }
    return end;
  }

  void fill_shelves(int table, size_t first_shelf, size_t end_shelf) {
    uint64_t* keyed_slots = reinterpret_cast<uint64_t*>(keyed_slots_.data());
    std::vector<uint32_t>& ends = shelf_ends_[table];
    const uint32_t first = ends[first_shelf];
    const int slot_bits = shape_.slot_bits(table);
    const uint64_t next_mask = (uint64_t{1} << shape_.next_bits(table)) - 1;
    const int end_table = table + (shape_.is_joint(table) ? 2 : 1);
    for (size_t row = 0; row < shape_.rows; ++row) {
      const Keys keys = keys_of(arrays_.codes + row * code_bytes);
      for (int each = table; each < end_table; ++each) {
        const size_t shelf = shelf_of(keys[each], each);
        if (shelf - first_shelf < end_shelf - first_shelf) {
          const uint64_t next = keys[next_table(each)] & next_mask;
          keyed_slots[ends[shelf]++ - first] =
              uint64_t{keys[each]} << key_place | next << slot_bits | shape_.slot_of(each, row);
        }
      }
    }
  }

  // `first`: the posting of the table that the scratch memory begins with.
  void sort_shelf(int table, size_t shelf, uint32_t begin, uint32_t end, uint32_t first) {
    const uint64_t* keyed_slots = reinterpret_cast<const uint64_t*>(keyed_slots_.data());
    const int bucket_bits = shape_.high_bits(table) - shelf_bits(table);
    const auto keyed_slot = [=](uint32_t place) { return keyed_slots[place - first]; };
    uint32_t* directory = writable(arrays_.directory[table]) + (shelf << bucket_bits);
    const int low_bits = shape_.low_bits(table);
    const uint32_t bucket_mask = (uint32_t{1} << bucket_bits) - 1;
    const auto bucket_of = [=](uint64_t keyed) {
      return (static_cast<uint32_t>(keyed >> key_place) >> low_bits) & bucket_mask;  // together they may be 64
    };
    places_.assign(size_t{bucket_mask} + 1, 0);
    for (uint32_t i = begin; i < end; ++i) {
      ++places_[bucket_of(keyed_slot(i))];
    }
    uint32_t next = begin;
    for (uint32_t bucket = 0; bucket <= bucket_mask; ++bucket) {
      directory[bucket] = next;
      next += std::exchange(places_[bucket], next);
    }
    for (uint32_t i = begin; i < end; ++i) {
      put(table, places_[bucket_of(keyed_slot(i))]++, keyed_slot(i));
    }
  }

  // Into a line that is zero where nothing was put.
  void put(int table, uint32_t place, uint64_t keyed_slot) {
    const uint32_t lane = place % line_postings;
    uint32_t* line = writable(arrays_.postings[table]) + size_t{place / line_postings} * line_words;
    const int slot_bits = shape_.slot_bits(table);
    const uint64_t slot = keyed_slot & ((uint64_t{1} << slot_bits) - 1);
    const uint64_t next = keyed_slot >> slot_bits & ((uint64_t{1} << shape_.next_bits(table)) - 1);
    const uint64_t low = keyed_slot >> key_place & ((uint64_t{1} << shape_.low_bits(table)) - 1);
    line[lane] = static_cast<uint32_t>(posting_word(shape_, table, low, next) | slot);
    line[line_postings + lane / 8] |= static_cast<uint32_t>(next & 15U) << (4 * (lane % 8));
  }

  const SegmentArrays& arrays_;
  const TableShape shape_;
  size_t scratch_postings_ = 0;
  Buffer keyed_slots_;
  std::vector<std::vector<uint32_t>> shelf_ends_;
  std::vector<uint32_t> places_;
};

}  // namespace

SectionBytes section_bytes(const TableShape& shape) {
  SectionBytes sizes{shape.rows * code_bytes, shape.rows * sizeof(int64_t),
                     (shape.rows + id_block_rows - 1) / id_block_rows * sizeof(IdRange)};
  for (size_t table = 0; table < table_count; ++table) {
    const int number = static_cast<int>(table);
    if (shape.place_of(number) == number) {
      sizes[directory_section(table)] = ((size_t{1} << shape.high_bits(number)) + 1) * sizeof(uint32_t);
      sizes[postings_section(table)] = shape.posting_lines(number) * line_bytes;
    }
  }
  return sizes;
}

SegmentArrays placed(const TableShape& shape, const SectionPlaces& places) {
  SegmentArrays arrays{};
  arrays.shape = shape;
  arrays.codes = places[0];
  arrays.ids = reinterpret_cast<const int64_t*>(places[1]);
  arrays.id_ranges = reinterpret_cast<const IdRange*>(places[2]);
  for (size_t table = 0; table < table_count; ++table) {
    const auto place = static_cast<size_t>(shape.place_of(static_cast<int>(table)));
    arrays.directory[table] = reinterpret_cast<const uint32_t*>(places[directory_section(place)]);
    arrays.postings[table] = reinterpret_cast<const uint32_t*>(places[postings_section(place)]);
  }
  return arrays;
}

void fill(const SegmentArrays& arrays, std::span<const Rows> parts, const SectionDone& done) {
  copy_rows(parts, arrays);
  done(codes_section);
  done(ids_section);
  fill_tables(arrays, done);
}

void fill_tables(const SegmentArrays& arrays, const SectionDone& done, size_t scratch_postings) {
  fill_id_ranges(arrays);
  done(id_ranges_section);
  TableBuilder builder(arrays, scratch_postings);
  for (int table = 0; table < table_count; ++table) {
    if (arrays.shape.place_of(table) == table) {
      builder.build(table);
    }
    done(directory_section(table));
    done(postings_section(table));
  }
}

const Costs& costs_of(const Kernels& kernels, size_t rows) {
  return rows <= cached_rows ? kernels.cached_costs : kernels.memory_costs;
}

Segment::Segment(std::span<const Rows> parts)
    : buffer_(allocate(table_shape(alive_count(parts)))),
      arrays_(placed_in(buffer_, table_shape(alive_count(parts)))),
      tombstones_(arrays_.rows()),
      splits_(splits_for(arrays_)) {
  fill(arrays_, parts, [](size_t) {});
}

Segment::Segment(const SegmentArrays& arrays, std::span<Tombstones::Word> tombstones)
    : arrays_(arrays), tombstones_(tombstones), splits_(splits_for(arrays_)) {}

}  // namespace baken::hamming
