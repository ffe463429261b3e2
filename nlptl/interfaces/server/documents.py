"""What the API takes and gives, as models for its OpenAPI document. Requests are parsed by hand; see `prediction_request`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class PredictBody(BaseModel):
    """Texts to be labelled."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "A clever film with a warm ending.", "probabilities": True}]},
    )
    texts: list[str] | None = Field(None, description="Texts to be labelled. Give either `texts` or `text`.")
    text: str | None = Field(None, description="One text to be labelled.")
    model: str | None = Field(None, description="Name of the model. It may be left out where one model is served.")
    probabilities: bool = Field(False, description="Whether the probability of each label is told.")
    coverage: float | None = Field(
        None, gt=0, lt=1,
        description="Share of texts whose set of labels is to hold the right one, such as 0.9. A text whose set has several "
        "labels, or that looks like one of no known label, gets the label null.",
    )  # fmt: skip
    explain: bool = Field(
        False, description="Whether the words are told that decided. It takes longer; 16 texts at most."
    )


class WordBody(BaseModel):
    """Word of an explained text."""

    text: str
    start: int = Field(description="Place of its first character in the text, in Unicode characters.")
    end: int = Field(description="Place after its last character.")
    contribution: float = Field(
        description="What the word adds to the logit of the label, less the mean of the others."
    )


class ExplanationBody(BaseModel):
    """What decided a label."""

    label: str = Field(description="The label that is explained.")
    method: str = Field(description="exact, or occlusion: the classifier was asked again without each word.")
    error: float = Field(description="Difference between the logits and the sum of all contributions.")
    words: list[WordBody]
    remarks: list[str] = Field(description="What a reader should know of this text.")


class PredictionBody(BaseModel):
    """Prediction of one text."""

    label: str | None = Field(description="The label. null: none of several labels fits, or the classifier abstains.")
    labels: list[str] | None = Field(None, description="All labels of the text, where it may have several.")
    probabilities: dict[str, float] | None = Field(None, description="Probability of each label.")
    set: list[str] | None = Field(
        None, description="Labels that the text may have, at the coverage; most probable first."
    )
    unknown: bool | None = Field(None, description="Whether the text looks like one of no known label.")
    explanation: ExplanationBody | None = None


class CoverageBody(BaseModel):
    """What prediction sets are worth."""

    promised: float = Field(description="Share of texts whose set holds their label.")
    low: float = Field(description="The true share is between `low` and `high` with a probability of .9.")
    high: float
    held_out: int = Field(description="Labelled texts that say so.")


class PredictAnswer(BaseModel):
    """Predictions in the order of the texts, all by one version of one model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "reviews", "version": "0f3a9c2b7d11",
                    "predictions": [{"label": "positive", "probabilities": {"negative": 0.06, "positive": 0.94}}],
                }
            ]
        }
    )  # fmt: skip
    model: str
    version: str = Field(description="Digest of the model's files, in short.")
    coverage: CoverageBody | None = Field(None, description="Told where a coverage was asked for.")
    predictions: list[PredictionBody]


class ModelBody(BaseModel):
    """Model that is served."""

    name: str
    version: str
    labels: list[str]
    multi_label: bool = Field(description="Whether a text may have several labels, or none.")
    can_abstain: bool = Field(description="Whether `coverage` may be asked for.")
    corrections: bool = Field(description="Whether /corrections collects corrected labels.")


class HealthyModel(BaseModel):
    """State of a model."""

    version: str
    reload_failed: str | None = Field(description="Why a newer version is not in use; null where there is none.")


class HealthBody(BaseModel):
    """State of the server."""

    status: str = Field(description="ok")
    models: dict[str, HealthyModel]


class ErrorDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="Short name of the fault, for programs.")
    message: str = Field(description="One sentence that says what was found, what is expected and what to do.")


class ErrorBody(BaseModel):
    """Answer to a request that cannot be served."""

    error: ErrorDetail
