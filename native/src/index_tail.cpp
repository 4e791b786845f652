#include "index_tail.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "index_checksum.hpp"

namespace baken::index {
namespace {

using hamming::code_bytes;
using hamming::IdSet;
using hamming::Rows;
using hamming::Tail;

constexpr size_t first_capacity_rows = 1024;
constexpr size_t checked_from = 2 * sizeof(uint32_t);  // behind the mark and the checksum itself
constexpr uint64_t row_bytes = code_bytes + sizeof(int64_t);

uint64_t size_of(const BatchHeader& header, size_t header_bytes) {
  return header_bytes + header.removed_count * sizeof(int64_t) + header.count * row_bytes;
}

// Counts beyond this are no counts; their sizes could overflow.
constexpr uint64_t max_count = uint64_t{1} << 40;

bool may_be_batch(const BatchHeader& header, size_t header_bytes, uint64_t room_bytes) {
  return header.mark == batch_mark && header.removed_count < max_count && header.count < max_count &&
         header.size_bytes == size_of(header, header_bytes) && header.size_bytes <= room_bytes;
}

std::shared_ptr<Tail> with_room(const std::shared_ptr<Tail>& rows, size_t count) {
  const Rows old = rows->rows();
  auto larger = std::make_shared<Tail>(std::max(2 * rows->capacity(), old.count + count));
  for (size_t row = 0; row < old.count; ++row) {
    if (old.is_alive(row)) {
      larger->append({old.codes + row * code_bytes, old.ids + row, 1, nullptr});
    }
  }
  return larger;
}

}  // namespace

std::string tail_path(const std::string& folder, uint64_t number) { return folder + "/tail-" + std::to_string(number); }

void FolderTail::create(const std::string& folder, uint64_t number, const Applied& applied) {
  File file(tail_path(folder, number), O_RDWR | O_CREAT | O_TRUNC);
  file.allocate(page_bytes);
  // The mapped numbers may be lost in a power cut, so an empty batch says what was applied before.
  BatchHeader first{batch_mark, 0, sizeof first, applied.seq, 0, 0, applied.token};
  first.checksum = checksum(&first.size_bytes, sizeof first - checked_from);
  file.write(&first, sizeof first, page_bytes);
  TailHeader header{};
  header.number = number;
  header.published_bytes = page_bytes + sizeof first;
  header.settled_bytes = page_bytes + sizeof first;
  header.applied_seq = applied.seq;
  header.applied_token = applied.token;
  seal(&header, tail_magic, tail_header_bytes);
  file.write(&header, sizeof header, 0);
  file.sync();
}

FolderTail::FolderTail(const std::string& folder, uint64_t number, MapMode mode, int member_bits)
    : member_bits_(member_bits),
      file_(tail_path(folder, number), mode == MapMode::write ? O_RDWR : O_RDONLY),
      rows_(std::make_shared<Tail>(first_capacity_rows)) {
  const std::string path = tail_path(folder, number);
  std::vector<uint8_t> page(page_bytes);
  const size_t got_bytes = file_.read(page.data(), page.size(), 0);
  check_preamble(page.data(), got_bytes, tail_magic, tail_header_bytes, path);
  if (got_bytes < page_bytes) {
    throw IndexError(IndexFault::truncated, "index: " + path + " has " + std::to_string(got_bytes) +
                                                " bytes, expected at least " + std::to_string(page_bytes));
  }
  mapping_ = Mapping(file_, page_bytes, mode);
  if (header().number != number) {
    corrupt(path, "it is not the tail of its name");
  }
}

std::optional<Batch> FolderTail::read(uint64_t offset, uint64_t end) const {
  const size_t header_bytes = batch_header_bytes(header().preamble.version);
  BatchHeader batch{};
  if (end - offset < header_bytes || file_.read(&batch, header_bytes, offset) < header_bytes ||
      !may_be_batch(batch, header_bytes, end - offset)) {
    return std::nullopt;
  }
  std::vector<uint64_t> words(batch.size_bytes / sizeof(uint64_t));
  const size_t got_bytes = file_.read(words.data(), batch.size_bytes, offset);
  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  if (got_bytes < batch.size_bytes ||
      checksum(bytes + checked_from, batch.size_bytes - checked_from) != batch.checksum) {
    return std::nullopt;
  }
  return Batch(batch, header_bytes, std::move(words));
}

uint64_t FolderTail::append(const IndexChange& change, const Applied& applied) {
  BatchHeader header{batch_mark, 0, 0, applied.seq, change.removed_count, change.count, applied.token};
  header.size_bytes = size_of(header, sizeof header);
  const auto view = [](const void* data, size_t size_bytes) {
    return std::span(static_cast<const uint8_t*>(data), size_bytes);
  };
  const std::array parts = {view(change.removed_ids, change.removed_count * sizeof(int64_t)),
                            view(change.ids, change.count * sizeof(int64_t)),
                            view(change.codes, change.count * code_bytes)};
  header.checksum = checksum(view(&header, sizeof header).data() + checked_from, sizeof header - checked_from);
  for (const auto& part : parts) {
    header.checksum = checksum(part.data(), part.size(), header.checksum);
  }
  const uint64_t start = published_bytes();
  uint64_t next = start;
  try {
    file_.write(&header, sizeof header, next);
    next += sizeof header;
    for (const auto& part : parts) {
      if (!part.empty()) {
        file_.write(part.data(), part.size(), next);
        next += part.size();
      }
    }
    if (change.sync) {
      file_.sync();
    }
  } catch (const IndexError&) {
    cut(start);
    throw;
  }
  return next;
}

void FolderTail::cut(uint64_t end) { file_.truncate(end); }

void FolderTail::publish(uint64_t end) {
  step("publish", file_.path());
  header().published_bytes.store(end, std::memory_order_release);
}

void FolderTail::begin_removal() {
  step("removal", file_.path());
  header().removals.fetch_add(1);
}

void FolderTail::settle(uint64_t end, const Applied& applied) {
  step("settle", file_.path());
  header().applied_token.store(applied.token, std::memory_order_release);
  header().applied_seq.store(applied.seq, std::memory_order_release);
  step("settle", file_.path());
  header().settled_bytes.store(end, std::memory_order_release);
}

void FolderTail::condemn() {
  step("condemn", file_.path());
  header().applied_seq.store(Applied{}.seq, std::memory_order_release);
}

std::shared_ptr<Tail> FolderTail::rows() {
  const uint64_t end = published_bytes();
  const std::lock_guard lock(rows_mutex_);
  if (taken_bytes_ < end && end > file_.size_bytes()) {
    corrupt(file_.path(), "it is shorter than the batches it is said to hold");
  }
  while (taken_bytes_ < end) {
    const std::optional<Batch> batch = read(taken_bytes_, end);
    if (!batch) {
      corrupt(file_.path(), "the batch at byte " + std::to_string(taken_bytes_) + " is not whole");
    }
    take(*batch);
    taken_bytes_ += batch->header().size_bytes;
  }
  return rows_;
}

// The new rows first: a search beside this finds an entry twice rather than not at all.
void FolderTail::take(const Batch& batch) {
  const Rows rows = batch.rows();
  if (rows.count > rows_->capacity() - rows_->rows().count) {
    rows_ = with_room(rows_, rows.count);
  }
  const size_t before = rows_->rows().count;
  rows_->append(rows);
  if (batch.header().removed_count != 0) {
    removals_.fetch_add(1);
    rows_->remove(IdSet(batch.removed_ids(), batch.header().removed_count, member_bits_), before);
  }
}

void FolderTail::verify() const {
  const uint64_t end = published_bytes();
  if (end > file_.size_bytes()) {
    corrupt(file_.path(), "it is shorter than the batches it is said to hold");
  }
  for (uint64_t offset = page_bytes; offset < end;) {
    const std::optional<Batch> batch = read(offset, end);
    if (!batch) {
      corrupt(file_.path(), "the batch at byte " + std::to_string(offset) + " is not whole");
    }
    offset += batch->header().size_bytes;
  }
}

}  // namespace baken::index
