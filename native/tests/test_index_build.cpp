#include <fcntl.h>
#include <sys/wait.h>

#include <cerrno>
#include <functional>

#include "../src/hamming_segment.hpp"
#include "index_history.hpp"

namespace {

constexpr uint64_t token = 0xA1B2C3D4E5F60718;

void build(IndexFolder& index, const Step& rows, size_t rows_at_once) {
  baken::IndexBuild build(index);
  for (size_t first = 0; first < rows.ids.size(); first += rows_at_once) {
    const size_t count = std::min(rows_at_once, rows.ids.size() - first);
    build.add(rows.codes.data() + first * code_bytes, rows.ids.data() + first, count);
  }
  build.finish(rows.seq, token);
}

// Every way to change an index, and what it holds after each.
struct Act {
  std::function<void(IndexFolder&)> run;
  Oracle after;
};

std::vector<Act> acts() {
  std::mt19937_64 rng = check::fixed_rng(11);
  std::vector<Act> all;
  Oracle oracle;
  const auto apply = [&](size_t count, int64_t first_id, int64_t seq) {
    const Step step = random_step(count, first_id, seq, rng);
    oracle.apply(step);
    all.push_back({[step](IndexFolder& index) { index.apply(step.change()); }, oracle});
  };
  apply(16390, 0, 1);
  apply(4, 16390, 2);
  all.push_back({[](IndexFolder& index) { index.condemn(); }, oracle});
  all.back().after.seq = -1;
  oracle = {};
  all.push_back({[](IndexFolder& index) { index.clear(); }, oracle});
  const Step built = random_step(500, 0, 3, rng);
  oracle.apply(built);
  all.push_back({[built](IndexFolder& index) { build(index, built, 200); }, oracle});
  apply(3, 500, 4);
  all.push_back({[](IndexFolder& index) { index.apply({nullptr, 0, nullptr, nullptr, 0, 9, true, token}); }, oracle});
  oracle.seq = all.back().after.seq = 9;
  apply(16384, 600, 10);
  all.push_back({[](IndexFolder& index) { index.merge(); }, oracle});
  return all;
}

// Runs the acts in a process that is killed at step `after`; returns how many it acknowledged, and whether it was killed.
std::pair<size_t, bool> run_and_kill(const std::string& path, const std::vector<Act>& all, int after) {
  int acknowledged[2];
  CHECK_EQ(::pipe(acknowledged), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Hook hook;
    steps_left = after;
    IndexFolder index(path, made());
    for (const Act& act : all) {
      act.run(index);
      if (::write(acknowledged[1], "x", 1) != 1) {
        ::_exit(3);
      }
    }
    ::_exit(0);
  }
  ::close(acknowledged[1]);
  char done[32];
  size_t count = 0;
  for (ssize_t got = 1; (got = ::read(acknowledged[0], done, sizeof done)) > 0;) {
    count += static_cast<size_t>(got);
  }
  ::close(acknowledged[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
  return {count, WIFSIGNALED(status)};
}

// Opens the index in a process that is killed at step `after`; returns whether it was.
bool open_and_kill(const std::string& path, int after) {
  const pid_t child = ::fork();
  if (child == 0) {
    const Hook hook;
    steps_left = after;
    const IndexFolder index(path, made());
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

size_t unfinished_files(const TemporaryFolder& folder) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    count += entry.path().filename().string().starts_with("merging-") ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST(tables_built_in_many_passes_are_the_same_as_in_one) {
  namespace hamming = baken::hamming;
  std::mt19937_64 rng = check::fixed_rng();
  Step step = random_step(5000, 0, 1, rng);
  std::fill_n(step.codes.begin(), 2000 * code_bytes, uint8_t{7});  // one key for two fifths of the rows
  const auto tables_of = [&](size_t scratch_postings) {
    const hamming::TableShape shape = hamming::table_shape(step.ids.size());
    const hamming::SectionBytes sizes = hamming::section_bytes(shape);
    std::vector<std::vector<uint64_t>> memory;
    hamming::SectionPlaces places{};
    for (size_t section = 0; section < hamming::section_count; ++section) {
      memory.emplace_back(sizes[section] / 8 + 1);
      places[section] = reinterpret_cast<uint8_t*>(memory.back().data());
    }
    const hamming::SegmentArrays arrays = hamming::placed(shape, places);
    std::memcpy(places[hamming::codes_section], step.codes.data(), step.codes.size());
    std::memcpy(places[hamming::ids_section], step.ids.data(), step.ids.size() * sizeof(int64_t));
    std::vector<size_t> done;
    hamming::fill_tables(arrays, [&](size_t section) { done.push_back(section); }, scratch_postings);
    CHECK_EQ(done.size(), hamming::section_count - 2);
    return memory;
  };
  const auto expected = tables_of(hamming::max_scratch_postings);
  CHECK(tables_of(600) == expected);
  CHECK(tables_of(1) == expected);
}

TEST(a_build_takes_the_place_of_everything_in_one_step) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  const IndexFolder reader(folder.path(), opened());
  Oracle before;
  const Step old = random_step(20000, 0, 4, rng);
  index.apply(old.change());
  before.apply(old);
  Oracle after;
  const Step rows = random_step(30000, 0, 9, rng);
  after.apply(rows);
  {
    baken::IndexBuild building(index);
    building.add(rows.codes.data(), rows.ids.data(), 29000);
    building.add(rows.codes.data() + 29000 * code_bytes, rows.ids.data() + 29000, 1000);
    CHECK(equals(reader, before));
    CHECK_EQ(index.merge(), size_t{0});  // one at a time
    building.finish(9, token);
  }
  CHECK(equals(reader, after));
  CHECK_EQ(reader.applied_token(), token);
  CHECK_EQ(reader.segment_count(), size_t{1});
  CHECK_EQ(unfinished_files(folder), size_t{0});
  index.verify();
  const Step more = random_step(50, 30000, 10, rng);
  index.apply(more.change());
  after.apply(more);
  CHECK(equals(IndexFolder(folder.path(), opened()), after));
}

TEST(a_build_that_is_given_up_changes_nothing_and_an_empty_one_empties) {
  const TemporaryFolder folder;
  make_small(folder);
  IndexFolder index(folder.path(), opened());
  const size_t size = index.size();
  {
    std::mt19937_64 rng = check::fixed_rng();
    const Step rows = random_step(10, 0, 9, rng);
    baken::IndexBuild building(index);
    building.add(rows.codes.data(), rows.ids.data(), 10);
  }
  CHECK_EQ(index.size(), size);
  baken::IndexBuild(index).finish(12, token);
  CHECK_EQ(index.size(), size_t{0});
  CHECK_EQ(index.applied_seq(), int64_t{12});
  CHECK_EQ(unfinished_files(folder), size_t{0});
}

TEST(a_process_killed_at_any_step_of_a_build_a_clearing_or_a_commit_leaves_one_state_or_the_next) {
  const std::vector<Act> all = acts();
  bool killed = true;
  int kills = 0;
  for (int after = 0; killed; ++after) {
    const TemporaryFolder folder;
    const auto [done, was_killed] = run_and_kill(folder.path(), all, after);
    killed = was_killed;
    kills += killed ? 1 : 0;
    IndexFolder index(folder.path(), made());
    const auto holds = [&](size_t count) { return equals(index, count == 0 ? Oracle{} : all[count - 1].after); };
    CHECK(holds(done) || (done < all.size() && holds(done + 1)));
    index.verify();
    build(index, random_step(20, 0, 50, *std::make_unique<std::mt19937_64>(check::fixed_rng())), 20);
    CHECK_EQ(index.size(), size_t{20});
    CHECK_EQ(unfinished_files(folder), size_t{0});
  }
  CHECK(kills > 60);
}

TEST(who_makes_good_what_a_killed_writer_left_may_be_killed_too) {
  const std::vector<Act> all = acts();
  int openings_killed = 0;
  for (int after = 3; after < 120; after += 9) {
    for (int again = 0;; ++again) {
      const TemporaryFolder folder;
      const size_t done = run_and_kill(folder.path(), all, after).first;
      if (!open_and_kill(folder.path(), again)) {
        break;
      }
      ++openings_killed;
      const IndexFolder index(folder.path(), made());
      const auto holds = [&](size_t count) { return equals(index, count == 0 ? Oracle{} : all[count - 1].after); };
      CHECK(holds(done) || (done < all.size() && holds(done + 1)));
    }
  }
  CHECK(openings_killed > 10);
}

TEST(a_full_disk_stops_a_build_and_leaves_what_was_there) {
  for (const char* step : {"write", "allocate", "create", "sync", "rename"}) {
    const TemporaryFolder folder;
    make_small(folder);
    IndexFolder index(folder.path(), opened());
    const size_t size = index.size();
    std::mt19937_64 rng = check::fixed_rng();
    const Step rows = random_step(100, 0, 9, rng);
    {
      const Hook hook;
      failing_step = step;
      failing_with = ENOSPC;
      try {
        build(index, rows, 100);
        CHECK(false);
      } catch (const IndexError& error) {
        CHECK(error.fault() == IndexFault::disk_full);
      }
    }
    CHECK_EQ(index.size(), size);
    build(index, rows, 100);
    CHECK_EQ(index.size(), size_t{100});
    CHECK_EQ(unfinished_files(folder), size_t{0});
  }
}

TEST(the_token_of_the_last_change_lasts_through_segments_openings_and_power_cuts) {
  const TemporaryFolder folder;
  std::mt19937_64 rng = check::fixed_rng();
  IndexFolder index(folder.path(), made());
  CHECK_EQ(index.applied_token(), uint64_t{0});
  index.apply({nullptr, 0, nullptr, nullptr, 0, 5, true, token});
  CHECK_EQ(index.applied_token(), token);
  index.apply({nullptr, 0, nullptr, nullptr, 0, 4, true, 77});  // an older change says nothing
  CHECK_EQ(index.applied_token(), token);
  Step step = random_step(16384, 0, -1, rng);
  index.apply(step.change());  // which begins a new tail
  CHECK_EQ(IndexFolder(folder.path(), opened()).applied_token(), token);
  // Another run of the machine: mapped numbers are as old as they may be.
  overwrite(folder.path() + "/control", 24, std::string(36, 'b'));
  overwrite(folder.file("tail-"), 64, std::string(40, '\0'));
  const IndexFolder again(folder.path(), opened());
  CHECK_EQ(again.applied_seq(), int64_t{5});
  CHECK_EQ(again.applied_token(), token);
}

TEST(a_condemned_index_is_known_to_all_and_trusted_again_once_it_is_built) {
  const TemporaryFolder folder;
  make_small(folder);
  IndexFolder index(folder.path(), opened());
  const IndexFolder reader(folder.path(), opened());
  CHECK_EQ(reader.applied_seq(), int64_t{2});
  index.condemn();
  CHECK_EQ(reader.applied_seq(), int64_t{-1});
  CHECK_EQ(IndexFolder(folder.path(), opened()).applied_seq(), int64_t{-1});
  std::mt19937_64 rng = check::fixed_rng();
  build(index, random_step(10, 0, 9, rng), 10);
  CHECK_EQ(reader.applied_seq(), int64_t{9});
}
