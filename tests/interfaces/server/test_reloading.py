"""Hot reload: a new version answers, a broken one does not, and no answer mixes two."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from nlptl.disk.ownership import MANIFEST
from nlptl.interfaces.server.app import create_app
from nlptl.interfaces.server.loaded_model import LoadedModel, load_model
from nlptl.interfaces.server.reloading import RunWatch
from nlptl.interfaces.server.served_model import ServedModel
from nlptl.interfaces.server.server_metrics import ServerMetrics
from nlptl.interfaces.server.server_settings import ServerSettings
from nlptl.models.classifier import TextClassifier
from tests.interfaces.server.serving import ByRule


def renamed(classifier: Path, folder: Path, labels: Sequence[str]) -> None:
    """Publish the classifier into a folder under other labels."""
    given = TextClassifier.load(classifier)
    TextClassifier(given.encoder, given.head, labels).save(folder)


class Watched:
    """Served model of a folder, and what its watch tells."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        metrics = self.metrics = ServerMetrics()
        self.served = ServedModel("m", load_model(folder, device="cpu"), ServerSettings(), metrics)
        self.watch = RunWatch(self.served, folder, device="cpu", metrics=metrics, tell=self.told.append)
        self.look()

    def look(self) -> None:
        asyncio.run(self.watch.look())

    @property
    def labels(self) -> tuple[str, ...]:
        return self.served.current.model.predictor.labels


def test_a_new_version_answers_and_a_damaged_one_does_not(small_classifier: Path, tmp_path: Path) -> None:
    folder = tmp_path / "classifier"
    shutil.copytree(small_classifier, folder)
    watched = Watched(folder)
    first = watched.served.current.model.version
    watched.look()
    assert (watched.labels, watched.told) == (("negative", "positive"), [])

    renamed(small_classifier, folder, ["bad", "good"])
    watched.look()
    second = watched.served.current.model.version
    assert (watched.labels, watched.served.failure) == (("bad", "good"), None)
    assert watched.told == [f"m: version {second} answers from now on."]
    assert second != first

    manifest = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(manifest.replace("0", "1"))
    watched.look()
    watched.look()
    kept = f"version {second} stays in use"
    assert watched.labels == ("bad", "good")
    assert watched.served.failure == f"A newer version could not be read; {kept}. The server's log says why."
    assert watched.told[1:] == [
        f"m: {kept}, since a newer one could not be read. {folder / MANIFEST}: differs from the digest that it holds; it was "
        "changed. Run the stage again."
    ]
    text = watched.metrics.text().decode().splitlines()
    assert 'nlptl_reloads_total{model="m",outcome="failed"} 1.0' in text
    assert 'nlptl_reloads_total{model="m",outcome="loaded"} 1.0' in text
    assert f'nlptl_model_workers{{model="m",version="{first}"}} 0.0' in text
    assert f'nlptl_model_workers{{model="m",version="{second}"}} 1.0' in text

    (folder / MANIFEST).write_text(manifest)
    watched.look()
    assert (watched.labels, watched.served.failure) == (("bad", "good"), None)

    shutil.rmtree(folder)
    watched.look()
    assert watched.labels == ("bad", "good")
    shutil.copytree(small_classifier, folder)
    watched.look()
    assert watched.labels == ("negative", "positive"), "the first one again, as after a rollback"
    assert watched.served.current.model.version == first


def test_the_server_looks_for_new_versions_while_it_runs(small_classifier: Path, tmp_path: Path) -> None:
    folder = tmp_path / "classifier"
    shutil.copytree(small_classifier, folder)
    app = create_app(
        {"m": load_model(folder, device="cpu")}, ServerSettings(poll=0.02), runs={"m": folder}, device="cpu"
    )

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://t") as client,
        ):

            async def labels() -> list[str]:
                return (await client.get("/models")).json()[0]["labels"]

            assert await labels() == ["negative", "positive"]
            await asyncio.to_thread(renamed, small_classifier, folder, ["bad", "good"])
            async with asyncio.timeout(20):
                while await labels() != ["bad", "good"]:
                    await asyncio.sleep(0.02)

    asyncio.run(ask())


def test_a_request_stays_with_the_version_that_it_began_with() -> None:
    may_go, begun = threading.Semaphore(0), threading.Semaphore(0)

    class Held(ByRule):
        def probabilities(self, texts: Sequence[str], **_: Any) -> NDArray[np.float64]:
            begun.release()
            assert may_go.acquire(timeout=20)
            return super().probabilities(texts)

    served = ServedModel("m", LoadedModel(Held(("a", "b")), "1"), ServerSettings(), ServerMetrics())

    async def ask() -> tuple[bytes, bytes]:
        from nlptl.interfaces.server.prediction_request import PredictionRequest

        long = PredictionRequest(["aaa"] * 2_000)  # several batches
        old = asyncio.ensure_future(served.current.answer(long))
        assert await asyncio.to_thread(begun.acquire, timeout=20)
        served.replace(LoadedModel(ByRule(("p", "q")), "2"))
        new = await served.current.answer(PredictionRequest(["qqq"]))
        assert not old.done(), "the new version does not wait for the old one"
        may_go.release(1_000)
        return await old, new

    old, new = asyncio.run(ask())
    assert old == b'{"model":"m","version":"1","predictions":[' + b",".join([b'{"label":"a"}'] * 2_000) + b"]}"
    assert new == b'{"model":"m","version":"2","predictions":[{"label":"q"}]}'


def test_a_version_of_a_refreshed_run_is_followed(
    small_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watch asks the list of versions which one is in use, and follows a rollback."""
    second = tmp_path / "second"
    renamed(small_classifier, second, ["bad", "good"])
    in_use = [small_classifier]
    monkeypatch.setattr("nlptl.interfaces.server.loaded_model.artifact_in_use", lambda run: in_use[0])
    watched = Watched(tmp_path)
    in_use[0] = second
    watched.look()
    assert watched.labels == ("bad", "good")
    in_use[0] = small_classifier
    watched.look()
    assert watched.labels == ("negative", "positive")
