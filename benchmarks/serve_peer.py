"""The plain server that most would write: FastAPI over a pipeline of transformers, a thread for each request.

    python benchmarks/serve_peer.py MODEL --port 8000 --workers 2

It takes and gives what nlptl's server does, {"texts": […]} → {"predictions": […]}, so that the same load runs on both.
"""

import argparse
import os
from typing import Any

from pydantic import BaseModel

MODEL = "SERVE_PEER_MODEL"


class Body(BaseModel):
    text: str | None = None
    texts: list[str] | None = None
    probabilities: bool = False


def create() -> Any:
    from fastapi import FastAPI
    from transformers import pipeline

    app, classify = FastAPI(), pipeline("text-classification", model=os.environ[MODEL], top_k=None, device="cpu")

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/predict")
    def predict(body: Body) -> dict[str, list[dict[str, Any]]]:
        found = classify(body.texts or [body.text], batch_size=32, truncation=True)
        rows = [{one["label"]: one["score"] for one in each} for each in found]
        return {"predictions": [{"label": max(row, key=row.get), "probabilities": row} for row in rows]}

    return app


def save_model(folder: str, *, labels: int) -> None:
    """Write MiniLM with a head of random weights, whose answers cost what trained ones do."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from nlptl.models.weights import find_weights

    weights = find_weights("minilm", None, where="serve").folder
    AutoTokenizer.from_pretrained(weights).save_pretrained(folder)
    AutoModelForSequenceClassification.from_pretrained(weights, num_labels=labels).save_pretrained(folder)


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    os.environ[MODEL] = given.model
    uvicorn.run("serve_peer:create", factory=True, port=given.port, workers=given.workers, log_level="critical")


if __name__ == "__main__":
    main()
