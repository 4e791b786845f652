#include "hamming_search_all.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "hamming_search.hpp"

namespace baken::hamming {
namespace {

// Enough that each line of a table of ten million rows is met several times, few enough to hold their matches.
constexpr size_t queries_at_once = 16384;

void check_radius(int radius_bits) {
  if (radius_bits < 0 || radius_bits > code_bits) {
    throw std::invalid_argument("radius_bits: got " + std::to_string(radius_bits) +
                                ", expected 0 to 256; 31 is the usual radius for PDQ.");
  }
}

SearchPlan plan_of(const Kernels& kernels, const Rows& rows) {
  SearchPlan plan;
  plan.rows = rows.count;
  plan.removed_rows = rows.count - rows.alive_count();
  plan.cost_us = Lookup::flat_cost_ns(kernels, rows.count) / 1000;
  return plan;
}

}  // namespace

int checked_member_bits(int member_bits) {
  if (member_bits < 0 || member_bits > max_member_bits) {
    throw std::invalid_argument("member_bits: got " + std::to_string(member_bits) + ", expected 0 to " +
                                std::to_string(max_member_bits) + "; 0 makes every id an owner of its own.");
  }
  return member_bits;
}

void check(const Question& question) {
  check_radius(question.radius_bits);
  if (question.codes_an_item == 0 || question.count % question.codes_an_item != 0) {
    throw std::invalid_argument("codes_an_item: got " + std::to_string(question.codes_an_item) + " for " +
                                std::to_string(question.count) + " codes, expected a divisor.");
  }
}

SearchResult search_all(std::span<const Segment* const> segments, const Rows& tail, const Question& question) {
  check(question);
  const Kernels& kernels = active_kernels();
  Lookup lookup(kernels, question.radius_bits);
  SearchResult result;
  const size_t items = question.count / question.codes_an_item;
  const size_t items_at_once = std::max<size_t>(1, queries_at_once / question.codes_an_item);
  for (size_t first = 0; first < items; first += items_at_once) {
    Gathering gathering(kernels, question, first, std::min(items_at_once, items - first));
    for (size_t number = 0; number < segments.size(); ++number) {
      lookup.find(*segments[number], gathering);
      if (lookup.met_damage()) {
        throw DamagedTables{number};
      }
      gathering.settle();
    }
    lookup.find_flat(tail, gathering);
    gathering.settle();
    gathering.append_to(result);
  }
  return result;
}

std::vector<SearchPlan> explain_all(std::span<const Segment* const> segments, const Rows& tail, int radius_bits) {
  check_radius(radius_bits);
  const Kernels& kernels = active_kernels();
  std::vector<SearchPlan> plans;
  for (const Segment* segment : segments) {
    SearchPlan plan = plan_of(kernels, segment->rows());
    if (!Lookup::is_scanned(kernels, *segment, radius_bits)) {
      const TableRadii radii = segment->split(kernels).radii_for(radius_bits);
      const Work work = work_for(segment->arrays().shape, radii);
      plan.is_scanned = false;
      plan.table_radii.assign(radii.begin(), radii.end());
      plan.probes = work.probes;
      plan.postings = work.postings;
      plan.candidates = work.candidates;
      plan.cost_us = work.cost_ns(costs_of(kernels, plan.rows)) / 1000;
    }
    plans.push_back(plan);
  }
  plans.push_back(plan_of(kernels, tail));
  return plans;
}

}  // namespace baken::hamming
