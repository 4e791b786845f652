// Damage in the bits that say which rows were removed, and what a writer that died or a power cut leaves in them.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <functional>
#include <thread>

#include "../src/index_format.hpp"
#include "../src/index_removed.hpp"
#include "index_history.hpp"

namespace {

using Bytes = std::string;

constexpr size_t bits_offset = baken::index::removed_bits_offset;
constexpr size_t block_bytes = baken::index::removed_block_rows / 8;
constexpr size_t stamp_offset = 40;  // of the segment's file, until 56
constexpr std::streamoff settled_offset = 72;  // of the tail's numbers
constexpr int segment_rows = 20000;

template <typename Call>
bool is_corrupt(Call call) {
  try {
    call();
  } catch (const IndexError& error) {
    return error.fault() == IndexFault::corrupt;
  }
  return false;
}

Bytes content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void flip(const fs::path& path, size_t bit) {
  const char was = content(path)[bit / 8];
  overwrite(path, static_cast<std::streamoff>(bit / 8), Bytes(1, static_cast<char>(was ^ (1 << bit % 8))));
}

// A segment of so many rows with ids from 0 on, of which every seventh was removed.
Oracle make_segment(const TemporaryFolder& folder, int rows) {
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  Oracle oracle;
  Step all = random_step(static_cast<size_t>(rows), 0, 1, rng);
  {
    baken::IndexBuild build(index);
    build.add(all.codes.data(), all.ids.data(), all.ids.size());
    build.finish(1, 0);
  }
  oracle.apply(all);
  Step gone{{}, {}, {}, 2};
  for (int64_t id = 0; id < rows; id += 7) {
    gone.removed.push_back(id);
  }
  index.apply(gone.change());
  oracle.apply(gone);
  return oracle;
}

// The removed file and the tail's numbers before and after one more batch, which removes rows of blocks 0 and 3 alone:
// some for the first time, others again.
struct Batch {
  TemporaryFolder folder;
  Oracle before;
  Oracle after;
  Bytes old_removed;
  Bytes new_removed;

  Batch() : before(make_segment(folder, segment_rows)), after(before) {
    Step step{{}, {}, {}, 3};
    for (int64_t id : {0, 1, 2, 7, 63, 64, 65, 66, 1000, 4095, 3 * 4096 + 5, 3 * 4096 + 100, 4 * 4096 - 1}) {
      step.removed.push_back(id);
    }
    old_removed = content(removed());
    const Bytes old_tail = content(tail()).substr(settled_offset, 16);
    IndexFolder(folder.path(), opened()).apply(step.change());
    after.apply(step);
    new_removed = content(removed());
    CHECK(old_removed != new_removed);
    overwrite(tail(), settled_offset, old_tail);
  }

  fs::path removed() const { return folder.file("removed-"); }
  fs::path tail() const { return folder.file("tail-"); }
  size_t checksums_offset() const { return bits_offset + (segment_rows + 63) / 64 * 8; }

  // Puts back what is in the folder's files but the bits and checksums, and has those be `removed`.
  std::unique_ptr<TemporaryFolder> copy_with(const Bytes& content_of_removed) const {
    auto copy = std::make_unique<TemporaryFolder>();
    fs::copy(folder.path(), copy->path(), fs::copy_options::recursive);
    // The copied segment is another file: without its stamp it would be read through.
    Bytes bytes = content_of_removed;
    struct stat file {};
    CHECK_EQ(::stat(copy->file("segment-").c_str(), &file), 0);
    const uint64_t inode = file.st_ino;
    const int64_t modified_ns = int64_t{file.st_mtim.tv_sec} * 1'000'000'000 + file.st_mtim.tv_nsec;
    std::memcpy(bytes.data() + stamp_offset, &inode, sizeof inode);
    std::memcpy(bytes.data() + stamp_offset + sizeof inode, &modified_ns, sizeof modified_ns);
    overwrite(copy->file("removed-"), 0, bytes);
    return copy;
  }
};

void start_machine_again(const TemporaryFolder& folder) {
  overwrite(folder.path() + "/control", 24, std::string(36, 'b'));
}

bool is_whole(const TemporaryFolder& folder, const Oracle& oracle) {
  const IndexFolder index(folder.path(), opened());
  index.verify();
  return equals(index, oracle);
}

fs::path damaged_file;
std::string damaging_step;

int damage_at_step(const char* step) {
  if (step == damaging_step) {
    flip(damaged_file, (bits_offset + 100) * 8);
    damaging_step.clear();
  }
  return 0;
}

}  // namespace

TEST(a_flipped_bit_at_any_place_of_a_removed_file_is_found_by_a_verification) {
  const TemporaryFolder folder;
  const Oracle oracle = make_segment(folder, 300);
  const fs::path removed = folder.file("removed-");
  const IndexFolder index(folder.path(), opened());
  const size_t size_bytes = fs::file_size(removed);
  CHECK_EQ(size_bytes, size_t{64 + 5 * 8 + 4});
  for (size_t bit = 0; bit < size_bytes * 8; ++bit) {
    if (bit / 8 >= stamp_offset && bit / 8 < stamp_offset + 16) {
      continue;
    }
    flip(removed, bit);
    bool is_found = false;
    try {
      index.verify();
    } catch (const IndexError& error) {
      is_found = error.fault() == IndexFault::corrupt || bit / 8 < 24;  // another magic is foreign, for example
    }
    CHECK(is_found);
    flip(removed, bit);
  }
  index.verify();
  // A wrong stamp is no damage: the segment is read through when it is opened, and the right one noted.
  const Bytes sound = content(removed);
  for (const size_t byte : {stamp_offset, stamp_offset + 15}) {
    flip(removed, byte * 8);
    CHECK(is_whole(folder, oracle));
    CHECK(content(removed) == sound);
  }
}

TEST(a_flipped_bit_of_any_block_is_found_by_a_verification_and_by_a_merge_and_goes_nowhere) {
  const TemporaryFolder folder;
  make_segment(folder, segment_rows);
  const fs::path removed = folder.file("removed-");
  std::mt19937_64 rng = check::fixed_rng(4);
  IndexFolder index(folder.path(), opened());
  Step more = random_step(16384, 100'000, 3, rng);
  more.removed.clear();
  index.apply(more.change());
  CHECK(index.merge_due());
  const size_t size_before = index.size();
  const size_t bit_count = fs::file_size(removed) * 8 - bits_offset * 8;
  for (int round = 0; round < 40; ++round) {
    const size_t bit = bits_offset * 8 + rng() % bit_count;
    flip(removed, bit);
    CHECK(is_corrupt([&] { index.verify(); }));
    CHECK(is_corrupt([&] { index.merge(); }));
    CHECK_EQ(index.segment_count(), size_t{2});
    flip(removed, bit);
  }
  index.verify();
  CHECK_EQ(index.merge(), size_t{1});
  CHECK_EQ(index.size(), size_before);
  index.verify();
}

TEST(damage_that_comes_while_a_merge_runs_is_not_taken_over) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  index.apply(random_step(16384, 0, 1, rng).change());
  const fs::path removed = folder.file("removed-");
  index.apply(random_step(16384, 16384, 2, rng).change());
  CHECK(index.merge_due());
  damaged_file = removed;
  damaging_step = "allocate";  // of the merged segment's file: the bits were copied before
  baken::index::step_hook = damage_at_step;
  const bool is_found = is_corrupt([&] { index.merge(); });
  baken::index::step_hook = nullptr;
  CHECK(is_found);
  CHECK(damaging_step.empty());
  CHECK_EQ(index.segment_count(), size_t{2});
}

TEST(a_removal_from_a_damaged_block_is_refused_and_the_index_is_emptied_when_it_is_opened_anew) {
  const TemporaryFolder folder;
  make_segment(folder, segment_rows);
  {
    IndexFolder index(folder.path(), opened());
    const fs::path removed = folder.file("removed-");
    flip(removed, (bits_offset + block_bytes + 3) * 8);
    const Bytes damaged = content(removed);
    Step step{{4096 + 500}, {}, {}, 3};
    CHECK(is_corrupt([&] { index.apply(step.change()); }));
    CHECK(content(removed) == damaged);  // no new checksum that makes it look sound
    CHECK_EQ(index.applied_seq(), int64_t{2});
    index.condemn();
    CHECK_EQ(index.applied_seq(), int64_t{-1});
  }
  CHECK(is_corrupt([&] { IndexFolder(folder.path(), opened()); }));
  const IndexFolder anew(folder.path(), made());
  CHECK_EQ(anew.applied_seq(), int64_t{-1});
  CHECK_EQ(anew.size(), size_t{0});
}

TEST(damaged_bits_are_found_when_a_segment_that_someone_touched_is_opened) {
  const TemporaryFolder folder;
  const Oracle oracle = make_segment(folder, segment_rows);
  const std::string copy = folder.path() + ".copy";
  fs::copy(folder.path(), copy, fs::copy_options::recursive);
  const fs::path removed = fs::path(copy) / folder.file("removed-").filename();
  flip(removed, (bits_offset + 9) * 8);
  for (int time = 0; time < 2; ++time) {
    CHECK(is_corrupt([&] { IndexFolder(copy, opened()); }));
  }
  flip(removed, (bits_offset + 9) * 8);
  CHECK(equals(IndexFolder(copy, opened()), oracle));
}

TEST(a_writer_killed_at_any_place_between_checksum_and_bits_leaves_what_the_next_one_makes_good) {
  const Batch batch;
  std::mt19937_64 rng = check::fixed_rng(9);
  std::vector<size_t> changed;  // bytes of bits
  for (size_t at = bits_offset; at < batch.checksums_offset(); ++at) {
    if (batch.old_removed[at] != batch.new_removed[at]) {
      changed.push_back(at);
    }
  }
  CHECK(changed.size() >= 6);
  // Blocks come in turn; of each the checksum comes first, then its words, in any order as far as a reader can tell.
  for (const size_t done_blocks : {0, 1, 2}) {
    const size_t blocks[] = {0, 3};
    for (int round = 0; round < 20; ++round) {
      Bytes state = batch.old_removed;
      for (size_t each = 0; each < 2; ++each) {
        const bool is_done = each < done_blocks;
        const bool is_begun = is_done || (each == done_blocks && round != 0);
        const size_t sum = batch.checksums_offset() + blocks[each] * 4;
        if (is_begun) {
          state.replace(sum, 4, batch.new_removed, sum, 4);
        }
        for (const size_t at : changed) {
          if ((at - bits_offset) / block_bytes == blocks[each] && (is_done || (is_begun && rng() % 2 == 0))) {
            state[at] = batch.new_removed[at];
          }
        }
      }
      CHECK(is_whole(*batch.copy_with(state), batch.after));
    }
  }
}

TEST(damage_in_a_block_that_a_killed_writer_was_at_is_found) {
  const Batch batch;
  for (const Bytes* const sums : {&batch.old_removed, &batch.new_removed}) {
    Bytes state = batch.old_removed;
    state.replace(batch.checksums_offset(), Bytes::npos, *sums, batch.checksums_offset(), Bytes::npos);
    state[bits_offset + 30] = static_cast<char>(state[bits_offset + 30] ^ 4);
    const auto copy = batch.copy_with(state);
    CHECK(is_corrupt([&] { IndexFolder(copy->path(), opened()); }));
  }
}

TEST(after_a_power_cut_bits_and_checksums_of_any_age_are_made_good) {
  const Batch batch;
  std::mt19937_64 rng = check::fixed_rng(11);
  for (int round = 0; round < 40; ++round) {
    Bytes state = batch.old_removed;
    for (size_t at = bits_offset; at < state.size(); at += 4) {
      if (round % 4 == 3 ? rng() % 2 == 0 : (at < batch.checksums_offset() ? round % 4 == 1 : round % 4 == 2)) {
        state.replace(at, 4, batch.new_removed, at, 4);
      }
    }
    const auto copy = batch.copy_with(state);
    start_machine_again(*copy);
    overwrite(copy->file("tail-"), 64, std::string(24, '\0'));
    CHECK(is_whole(*copy, batch.after));
  }
}

TEST(a_power_cut_hides_no_damage_in_blocks_that_nothing_was_removed_from_since_the_tail_was_begun) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  {
    IndexFolder index(folder.path(), made());
    index.apply(random_step(segment_rows, 0, 1, rng).change());
    Step step{{5, 6, 4096 * 2}, {}, {}, 2};
    index.apply(step.change());
  }
  flip(folder.file("removed-"), (bits_offset + block_bytes + 3) * 8);
  start_machine_again(folder);
  for (int time = 0; time < 2; ++time) {
    CHECK(is_corrupt([&] { IndexFolder(folder.path(), opened()); }));
  }
  const IndexFolder anew(folder.path(), made());
  CHECK_EQ(anew.applied_seq(), int64_t{-1});
  anew.verify();
}

TEST(bits_whose_batch_a_power_cut_took_have_the_index_built_anew_unless_their_checksums_came_along) {
  for (const bool came_along : {false, true}) {
    const TemporaryFolder folder;
    std::mt19937_64 rng = check::fixed_rng();
    Bytes old_removed;
    {
      IndexFolder index(folder.path(), made());
      index.apply(random_step(segment_rows, 0, 1, rng).change());
      old_removed = content(folder.file("removed-"));
      const Step step{{5, 6, 4096 * 2}, {}, {}, 2};
      index.apply(step.change());
    }
    const size_t sums_offset = bits_offset + (segment_rows + 63) / 64 * 8;
    if (!came_along) {
      overwrite(folder.file("removed-"), static_cast<std::streamoff>(sums_offset), old_removed.substr(sums_offset));
    }
    const fs::path tail = folder.file("tail-");
    fs::resize_file(tail, fs::file_size(tail) - 8);
    start_machine_again(folder);
    overwrite(tail, 64, std::string(24, '\0'));
    if (came_along) {
      const IndexFolder index(folder.path(), opened());
      CHECK_EQ(index.applied_seq(), int64_t{1});  // behind the database: the follower removes the rows again
      CHECK_EQ(index.size(), size_t{segment_rows - 3});
    } else {
      CHECK(is_corrupt([&] { IndexFolder(folder.path(), opened()); }));
    }
  }
}

TEST(a_verification_and_a_merge_beside_a_writer_raise_no_false_alarm) {
  const TemporaryFolder folder;
  Oracle oracle = make_segment(folder, segment_rows);
  std::mt19937_64 rng = check::fixed_rng(3);
  std::atomic<bool> done{false};
  std::atomic<int> alarms{0};
  std::atomic<int> verified{0};
  const auto beside = [&](bool merges) {
    IndexFolder index(folder.path(), opened());
    while (!done) {
      try {
        merges ? static_cast<void>(index.merge()) : index.verify();
        verified += merges ? 0 : 1;
      } catch (const IndexError& error) {
        std::printf("%s\n", error.what());
        ++alarms;
      }
    }
  };
  std::thread verifier(beside, false);
  std::thread merger(beside, true);
  {
    IndexFolder writer(folder.path(), opened());
    int64_t next_id = segment_rows;
    for (int64_t seq = 3; seq < 1500 || verified < 3; ++seq) {
      const size_t count = seq % 100 == 0 ? 3000 : 1;
      Step step = random_step(count, next_id, seq, rng);
      step.removed.resize(std::min<size_t>(step.removed.size(), 20));
      next_id += static_cast<int64_t>(count);
      writer.apply(step.change());
      oracle.apply(step);
    }
  }
  done = true;
  verifier.join();
  merger.join();
  CHECK_EQ(alarms.load(), 0);
  CHECK(is_whole(folder, oracle));
}
