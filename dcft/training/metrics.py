"""The metrics of GLUE and SQuAD as `evaluate.Metric`s that need no network. All values are percentages.

`evaluate.load("glue", ...)` downloads a script; these are the same definitions (Wang et al., 2018; Rajpurkar et al.,
2016, 2018) over scikit-learn and scipy.
"""

import re
import string
from collections import Counter
from functools import lru_cache

import datasets
import evaluate
import numpy as np
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from dcft.errors import UserError, shown

NAMES = ("accuracy", "accuracy_f1", "matthews", "correlation", "squad", "squad_v2")
GLUE_CITATION = "Wang et al., 2018. GLUE: A multi-task benchmark and analysis platform for NLU."
SQUAD_CITATION = "Rajpurkar et al., 2018. Know what you don't know: Unanswerable questions for SQuAD."


class Glue(evaluate.Metric):
    """Metrics of the GLUE tasks.

    `config_name` is one of `accuracy` (SST-2, MNLI, QNLI, RTE), `accuracy_f1` (MRPC, QQP), `matthews` (CoLA) and
    `correlation` (STS-B: pearson and spearman; not a number where one side is constant).

    Example: `Glue("accuracy_f1").compute(predictions=[0, 1], references=[0, 1]) == {"accuracy": 100.0, "f1": 100.0}`
    """

    def __init__(self, config_name: str, **kwargs):
        super().__init__(config_name=config_name, keep_in_memory=True, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        dtype = "float64" if self.config_name == "correlation" else "int64"
        features = datasets.Features({"predictions": datasets.Value(dtype), "references": datasets.Value(dtype)})
        return evaluate.MetricInfo(self.__doc__, citation=GLUE_CITATION, features=features)

    def _compute(self, predictions, references) -> dict[str, float]:
        if self.config_name == "correlation":
            if np.ptp(predictions) == 0 or np.ptp(references) == 0:
                values = {"pearson": float("nan"), "spearman": float("nan")}
            else:
                pearson, spearman = pearsonr(predictions, references), spearmanr(predictions, references)
                values = {"pearson": pearson.statistic, "spearman": spearman.statistic}
        elif self.config_name == "matthews":
            values = {"matthews": matthews_corrcoef(references, predictions)}
        else:
            values = {"accuracy": accuracy_score(references, predictions)}
            if self.config_name == "accuracy_f1":
                values["f1"] = f1_score(references, predictions, zero_division=0.0)
        return {name: 100 * float(value) for name, value in values.items()}


class Squad(evaluate.Metric):
    """Exact match and F1 of answer texts, as SQuAD's official evaluation scripts define them.

    `config_name` is `squad` or `squad_v2`; the latter adds both metrics over the questions that have an answer and over
    those that have none. A prediction is a text, empty for "no answer"; a reference is the list of accepted texts.
    """

    def __init__(self, config_name: str, **kwargs):
        super().__init__(config_name=config_name, keep_in_memory=True, **kwargs)

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": datasets.List(text)})
        return evaluate.MetricInfo(self.__doc__, citation=SQUAD_CITATION, features=features)

    def _compute(self, predictions, references) -> dict[str, float]:
        exact, f1 = by_question(predictions, references)
        values = {"exact_match": exact.mean(), "f1": f1.mean()}
        if self.config_name == "squad_v2":
            answerable = np.array([bool(accepted_texts(r)) for r in references])
            for name, part in (("has_answer", answerable), ("no_answer", ~answerable)):
                if part.any():
                    values |= {f"{name}_exact_match": exact[part].mean(), f"{name}_f1": f1[part].mean()}
        return {name: 100 * float(value) for name, value in values.items()}


def by_question(predictions: list[str], references: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Exact match and F1 of each answer, from 0 to 1."""
    pairs = list(zip(predictions, references, strict=True))
    return tuple(np.array([best(metric, *pair) for pair in pairs]) for metric in (exact_match, token_f1))


@lru_cache(maxsize=1 << 18)  # an evaluation asks for each text four times: for two metrics, on dev and on a half
def normalize_answer(text: str) -> str:
    """Lower case, without punctuation, articles and extra blanks (official evaluation script)."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def accepted_texts(references: list[str]) -> list[str]:
    """The references that are not empty once normalised; none means the question has no answer (script of v2.0)."""
    return [reference for reference in references if normalize_answer(reference)]


def exact_match(prediction: str, reference: str) -> float:
    """1 if the normalised texts are equal, else 0."""
    return float(normalize_answer(prediction) == normalize_answer(reference))


def token_f1(prediction: str, reference: str) -> float:
    """F1 over the bags of tokens. If a bag is empty: 1 if both are, else 0 (script of v2.0)."""
    predicted, expected = normalize_answer(prediction).split(), normalize_answer(reference).split()
    if not predicted or not expected:
        return float(predicted == expected)
    common = sum((Counter(predicted) & Counter(expected)).values())
    return 2 * common / (len(predicted) + len(expected))


def best(metric, prediction: str, references: list[str]) -> float:
    """The metric against the closest accepted reference, or against the empty text if there is none."""
    return max(metric(prediction, reference) for reference in accepted_texts(references) or [""])


def create(config_name: str) -> evaluate.Metric:
    """The metric that a task's YAML names.

    Raises:
        UserError: if there is none of this name.
    """
    if config_name not in NAMES:
        raise UserError(f"task.metric={shown(config_name)}: give one of {', '.join(NAMES)}")
    return (Squad if config_name.startswith("squad") else Glue)(config_name)
