"""Keeping the ranks of cases right: after a change of a case, of a case that shares an account, or of the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from baken.priorities import Weights, rank_of, signals_of, widest
from baken.store import Store
from baken.store.case_ranks import Ranked, RankFacts

BATCH_CASES = 200


class CaseRanker:
    """Ranks the cases of one store by the operator's weights; every process may, in any number of threads."""

    def __init__(self, store: Store, weights: Weights) -> None:
        self._rows = store.case_ranks
        self._weights = weights
        self._is_adopted = False

    def has_work(self) -> bool:
        """Whether a case is to be ranked, or the weights are others than those it was done by."""
        return not self._is_adopted or bool(self._rows.due(1))

    def run(self, is_enough: Callable[[], bool] = lambda: False) -> int:
        """Rank what is due, until nothing is or `is_enough`; how many cases were ranked.

        The weights are compared once in a process's life: two servers with different ones must not undo each other's
        work every second.
        """
        if not self._is_adopted:
            if self._rows.weights() != str(self._weights):
                self._rows.set_weights(str(self._weights))
            self._is_adopted = True
        count = 0
        while not is_enough():
            case_ids = self._rows.due(BATCH_CASES)
            if not case_ids:
                break
            self._rows.mark_related(case_ids)
            ranked_count = self._rows.rank(case_ids, self._ranked)
            count += ranked_count
            if not ranked_count:
                break  # somebody is changing what is left; it will be due then
        return count

    def rank_anew(self) -> int:
        """Rank every undecided case; how many they were."""
        self._rows.mark_all()
        return self.run()

    def _ranked(self, facts: RankFacts) -> Ranked:
        visibility = widest(facts.visibilities)
        signals = signals_of(repeat_account_count=facts.repeat_account_count, album_count=facts.album_count)
        case = replace(facts.case, widest_visibility=visibility, signals=signals)
        return Ranked(facts, rank_of(case, self._weights), visibility, signals)
