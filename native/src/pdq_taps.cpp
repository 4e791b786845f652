#include "pdq_taps.hpp"

#include <algorithm>
#include <cmath>

namespace baken {
namespace {

// The inputs that one box filter averages for one output: `begin` to `end`, without `end`.
struct Span {
  std::size_t begin;
  std::size_t end;

  std::size_t size() const { return end - begin; }
};

class Box {
 public:
  explicit Box(std::size_t length_px)
      : length_(length_px), window_((length_px + 2 * pdq_side - 1) / (2 * pdq_side)) {}

  // An even window reaches one further to the right than to the left; at a border it shrinks and its average with it.
  Span around(std::size_t output) const {
    const std::size_t reach_right = window_ / 2;
    const std::size_t reach_left = window_ - 1 - reach_right;
    return {output - std::min(output, reach_left), std::min(output + reach_right + 1, length_)};
  }

  Span twice_around(std::size_t output) const {
    const Span outer = around(output);
    return {around(outer.begin).begin, around(outer.end - 1).end};
  }

  std::size_t max_count() const { return 2 * window_ - 1; }

 private:
  std::size_t length_;
  std::size_t window_;
};

std::size_t sample_position(std::size_t output, std::size_t length_px) {
  return (2 * output + 1) * length_px / (2 * pdq_side);
}

// Adds every inner average's share as a step up where it begins and a step down where it ends, then sums the steps.
std::vector<double> weights_of(const Box& box, std::size_t position) {
  const Span outer = box.around(position);
  const Span reached = box.twice_around(position);
  std::vector<double> weights(reached.size() + 1, 0.0);
  for (std::size_t middle = outer.begin; middle < outer.end; ++middle) {
    const Span inner = box.around(middle);
    const double share = 1.0 / (static_cast<double>(outer.size()) * static_cast<double>(inner.size()));
    weights[inner.begin - reached.begin] += share;
    weights[inner.end - reached.begin] -= share;
  }
  for (std::size_t k = 1; k < weights.size(); ++k) {
    weights[k] += weights[k - 1];
  }
  weights.pop_back();
  return weights;
}

// The share of a tent of half-width `reach` about 0 that lies before `at`.
double tent_before(double at, double reach) {
  if (at <= -reach) {
    return 0.0;
  }
  if (at >= reach) {
    return 1.0;
  }
  const double left = (reach - std::abs(at)) * (reach - std::abs(at)) / (2.0 * reach * reach);
  return at < 0.0 ? left : 1.0 - left;
}

}  // namespace

Taps pdq_taps(std::size_t length_px) {
  const Box box(length_px);
  Taps taps{};
  taps.padded_count = (box.max_count() + tap_padding - 1) / tap_padding * tap_padding;
  taps.weights.assign(pdq_side * taps.padded_count, 0.0F);
  for (std::size_t output = 0; output < pdq_side; ++output) {
    const std::size_t position = sample_position(output, length_px);
    const std::vector<double> weights = weights_of(box, position);
    taps.first[output] = box.twice_around(position).begin;
    taps.count[output] = weights.size();
    std::transform(weights.begin(), weights.end(), taps.weights.begin() + output * taps.padded_count,
                   [](double weight) { return static_cast<float>(weight); });
  }
  return taps;
}

Taps region_taps(std::size_t length_px, double begin_px, double end_px) {
  const double step = (end_px - begin_px) / static_cast<double>(pdq_side);
  // Below a pixel the tent would miss pixels altogether; half a pixel interpolates between two.
  const double reach = std::max(step / 2.0, 0.5);
  const auto last = static_cast<double>(length_px) - 1.0;
  Taps taps{};
  taps.padded_count = (static_cast<std::size_t>(2.0 * reach) + 2 + tap_padding - 1) / tap_padding * tap_padding;
  taps.weights.assign(pdq_side * taps.padded_count, 0.0F);
  for (std::size_t output = 0; output < pdq_side; ++output) {
    const double centre = begin_px + (static_cast<double>(output) + 0.5) * step;
    const auto first = static_cast<std::size_t>(std::clamp(std::floor(centre - reach), 0.0, last));
    const auto end = static_cast<std::size_t>(std::clamp(std::ceil(centre + reach), static_cast<double>(first) + 1.0, last + 1.0));
    const double inside = tent_before(static_cast<double>(end) - centre, reach) - tent_before(static_cast<double>(first) - centre, reach);
    taps.first[output] = first;
    taps.count[output] = end - first;
    for (std::size_t pixel = first; pixel < end; ++pixel) {
      const double before = tent_before(static_cast<double>(pixel) - centre, reach);
      const double share = tent_before(static_cast<double>(pixel) + 1.0 - centre, reach) - before;
      taps.weights[output * taps.padded_count + pixel - first] = static_cast<float>(inside > 0.0 ? share / inside : 1.0);
    }
  }
  return taps;
}

Taps mirrored_taps(const Taps& taps, std::size_t length_px) {
  Taps mirrored = taps;
  for (std::size_t output = 0; output < pdq_side; ++output) {
    mirrored.first[output] = length_px - taps.first[output] - taps.count[output];
    const auto weights = mirrored.weights.begin() + output * taps.padded_count;
    std::reverse(weights, weights + taps.count[output]);
  }
  return mirrored;
}

}  // namespace baken
