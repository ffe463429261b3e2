"""Metrics of a server for Prometheus: requests, batches, queues, versions, reloads.

Several workers write theirs into one folder (PROMETHEUS_MULTIPROC_DIR), and each worker tells the sum of all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096)
TOKENS = (16, 64, 256, 1_024, 4_096, 16_384, 65_536)
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class ServerMetrics:
    """Counters of one process."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "nlptl_requests", "Requests, by path and HTTP status.", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "nlptl_request_seconds", "Time from a request's headers to the end of its answer.", ["path"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._texts = Counter("nlptl_texts", "Texts that got a prediction.", ["model"], registry=registry)
        self._batch_texts = Histogram(
            "nlptl_batch_texts", "Texts of a batch.", ["model"], buckets=TEXTS, registry=registry
        )
        self._batch_tokens = Histogram(
            "nlptl_batch_tokens", "Tokens of a batch, about.", ["model"], buckets=TOKENS, registry=registry
        )
        self._batch_seconds = Histogram(
            "nlptl_batch_seconds", "Time that a batch takes.", ["model"], buckets=SECONDS, registry=registry
        )
        self._waiting = Gauge(
            "nlptl_queue_texts", "Texts that wait.", ["model"], multiprocess_mode="livesum", registry=registry
        )
        self._versions = Gauge(
            "nlptl_model_workers", "Workers that answer by a version of a model.", ["model", "version"],
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._reloads = Counter(
            "nlptl_reloads",
            "Reloads of a model, by outcome: loaded or failed.",
            ["model", "outcome"],
            registry=registry,
        )
        self._done: dict[tuple[str, int], Counter] = {}
        self._latencies: dict[str, Histogram] = {}

    def request_done(self, path: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        key = path, status
        if key not in self._done:
            self._done[key] = self._requests.labels(path, str(status))
            self._latencies[path] = self._seconds.labels(path)
        self._done[key].inc()
        self._latencies[path].observe(seconds)

    def batch_observer(self, model: str) -> Callable[[int, int, float], None]:
        """Return what counts a computed batch of a model: its texts, tokens and seconds."""
        counters = self._texts.labels(model), self._batch_texts.labels(model)
        more = self._batch_tokens.labels(model), self._batch_seconds.labels(model)

        def observe(texts: int, tokens: int, seconds: float) -> None:
            counters[0].inc(texts)
            counters[1].observe(texts)
            more[0].observe(tokens)
            more[1].observe(seconds)

        return observe

    def waiting_is(self, model: str, texts: int) -> None:
        """Note how many texts of a model wait."""
        self._waiting.labels(model).set(texts)

    def version_is(self, model: str, version: str, *, before: str | None) -> None:
        """Note which version of a model answers, and which did before."""
        if before is not None and before != version:
            self._versions.labels(model, before).set(0)
        self._versions.labels(model, version).set(1)

    def reloaded(self, model: str, *, failed: bool) -> None:
        """Count a reload."""
        self._reloads.labels(model, "failed" if failed else "loaded").inc()

    def text(self) -> bytes:
        """Return the metrics in Prometheus' text format, those of all workers where there are several."""
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        every = CollectorRegistry()
        MultiProcessCollector(every)
        return generate_latest(every)
