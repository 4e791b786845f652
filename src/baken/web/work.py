"""Threads for what must not run on the event loop, with a bound on what may wait for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from baken.web.errors import OverloadedError

P = ParamSpec("P")
T = TypeVar("T")


class WorkPool:
    """A fixed number of threads and a bounded number of calls waiting for one."""

    def __init__(self, name: str, *, threads: int, max_waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"baken-{name}")
        self._name = name
        self._limit = threads + max_waiting
        self._held = 0
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """Calls that wait or run now."""
        return self._held

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call` in a thread and return its result.

        Raises:
            OverloadedError: too many calls wait already; nothing was started.
        """
        return await asyncio.wrap_future(self.submit(call, *args, **kwargs))

    async def run_begun(self, call: Callable[P, Future[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `call`, which begins something, in a thread and return what the future it gives comes to.

        The thread is free again as soon as the thing has begun, and the event loop is woken once instead of twice.

        Raises:
            OverloadedError: too many calls wait already; nothing was started.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self.submit(call, *args, **kwargs).add_done_callback(partial(_await_begun, loop, answer))
        return await answer

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue `call`; raises like `run`."""
        with self._lock:
            if self._held >= self._limit:
                message = f"{self._held} requests already wait for {self._name}, the most this process holds"
                raise OverloadedError(message, hint="Try again after the seconds in Retry-After, or add workers.")
            self._held += 1
        try:
            future = self._executor.submit(call, *args, **kwargs)
        except RuntimeError:
            self._release(None)
            raise OverloadedError("Baken is stopping", hint="Try again; another process will answer.") from None
        future.add_done_callback(self._release)
        return future

    def close(self) -> None:
        """Let what runs finish; idempotent."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _release(self, _: Future[T] | None) -> None:
        with self._lock:
            self._held -= 1


def _await_begun(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], begun: Future[Future[T]]) -> None:
    if begun.cancelled() or begun.exception() is not None:
        _wake(loop, answer, begun)
    else:
        begun.result().add_done_callback(partial(_wake, loop, answer))


def _wake(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], done: Future[Any]) -> None:
    if not loop.is_closed():  # it may be, when Baken was stopped before the answer came
        loop.call_soon_threadsafe(_settle, answer, done)


def _settle(answer: asyncio.Future[T], done: Future[T]) -> None:
    if answer.done():  # the client has gone, and nobody waits any more
        return
    if done.cancelled():
        answer.cancel()
    elif (error := done.exception()) is not None:
        answer.set_exception(error)
    else:
        answer.set_result(done.result())
