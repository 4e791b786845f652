#include "hamming_gather.hpp"

#include <array>

namespace baken::hamming {
namespace {

constexpr size_t no_group = SIZE_MAX;

// The number of the id's group among those that count, or no_group when the id does not count at this distance.
size_t group_of(const IdGroups* groups, int64_t id, uint32_t distance_bits) {
  if (groups == nullptr) {
    return 0;
  }
  const int64_t group = id >> groups->shift_bits;
  const auto found = std::lower_bound(groups->groups.begin(), groups->groups.end(), group);
  if (found == groups->groups.end() || *found != group) {
    return no_group;
  }
  const auto number = static_cast<size_t>(found - groups->groups.begin());
  return static_cast<int32_t>(distance_bits) <= groups->radius_bits[number] ? number : no_group;
}

}  // namespace

Gathering::Gathering(const Kernels& kernels, const Question& question, size_t first_item, size_t item_count)
    : kernels_(kernels),
      question_(question),
      first_item_(first_item),
      codes_(question.codes + first_item * question.codes_an_item * code_bytes),
      excluded_(question.excluded_ids, question.excluded_count, question.member_bits),
      found_(item_count * question.codes_an_item),
      items_(item_count) {}

void Gathering::take(size_t query, const Near& near, const Rows& rows) {
  const int64_t id = rows.ids[near.slot];
  const size_t group = group_of(question_.groups, id, near.distance_bits);
  if (group == no_group || (question_.excluded_count != 0 && excluded_.has(id)) ||
      (question_.codes_an_item > 1 && !is_best_of_item(query, near, rows))) {
    return;
  }
  const Hit hit = {static_cast<int32_t>(near.distance_bits), static_cast<uint32_t>(query), id};
  nearest_of(found_[query], group).add(hit);
}

// Whether no other query of the item is nearer to the row; of equally near ones the first counts. So a row counts once
// for an item, and nobody must remember which rows were seen.
bool Gathering::is_best_of_item(size_t query, const Near& near, const Rows& rows) const {
  const size_t first = query - query % question_.codes_an_item;
  constexpr size_t at_once = 8;
  std::array<int32_t, at_once> distances{};
  for (size_t other = first; other < first + question_.codes_an_item; other += at_once) {
    const size_t count = std::min(at_once, first + question_.codes_an_item - other);
    kernels_.distances(rows.codes + size_t{near.slot} * code_bytes, code(other), count, distances.data());
    for (size_t i = 0; i < count; ++i) {
      const auto bits = static_cast<uint32_t>(distances[i]);
      if (bits < near.distance_bits || (bits == near.distance_bits && other + i < query)) {
        return false;
      }
    }
  }
  return true;
}

Nearest& Gathering::nearest_of(Groups& groups, size_t group) const {
  const auto is_before = [](const Group& each, size_t number) { return each.group < number; };
  auto found = std::lower_bound(groups.begin(), groups.end(), group, is_before);
  if (found == groups.end() || found->group != group) {
    found = groups.insert(found, {group, Nearest(question_)});
  }
  return found->nearest;
}

void Gathering::settle() {
  for (size_t query = 0; query < found_.size(); ++query) {
    for (const Group& each : found_[query]) {
      nearest_of(items_[query / question_.codes_an_item], each.group).add_all(each.nearest);
    }
    found_[query].clear();
  }
}

void Gathering::append_to(SearchResult& result) {
  for (size_t item = 0; item < items_.size(); ++item) {
    append_item(item, result);
  }
}

void Gathering::append_item(size_t item, SearchResult& result) {
  std::vector<Hit> hits;
  for (Group& each : items_[item]) {
    result.count_item.push_back(static_cast<int64_t>(first_item_ + item));
    result.count_group.push_back(question_.groups == nullptr ? 0 : question_.groups->groups[each.group]);
    result.count.push_back(static_cast<int64_t>(each.nearest.count()));
    if (question_.lists_counted) {
      const std::vector<int64_t>& owners = each.nearest.owners();
      result.counted_item.insert(result.counted_item.end(), owners.size(), static_cast<int64_t>(first_item_ + item));
      result.counted_owner.insert(result.counted_owner.end(), owners.begin(), owners.end());
    }
    const std::vector<Hit> nearest = each.nearest.take();
    hits.insert(hits.end(), nearest.begin(), nearest.end());
  }
  std::sort(hits.begin(), hits.end());
  for (const Hit& hit : hits) {
    result.query_row.push_back(static_cast<int64_t>(first_item_ * question_.codes_an_item + hit.query));
    result.id.push_back(hit.id);
    result.distance_bits.push_back(hit.distance_bits);
  }
}

}  // namespace baken::hamming
