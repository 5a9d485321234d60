"""Errors of calibration sets, questions and texts."""

from spin_hub.errors.base import SpinHubError


class SourceError(SpinHubError):
    """A calibration source that cannot be read. Facts: name, spec, why."""

    sentence = "The calibration set {name!r} ({spec}) cannot be used: {why}."
    advice = (
        "A source is builtin:NAME, a recipe such as beavertails:privacy-safe, or, with the columns prompt and response "
        "or messages, a CSV, JSONL or Parquet file or a data set of the Hub, org/name[@revision][:config][/split]."
    )


class DatasetNotFound(SourceError):
    """A data set that the Hub does not have. Facts: dataset, why."""

    sentence = "The data set {dataset!r} was not found: {why}."
    advice = "Give a Hub id such as org/name or org/name@revision, or a file that is there."


class QuestionsError(SourceError):
    """Questions that cannot be read. Facts: spec, why."""

    sentence = "The questions {spec} cannot be used: {why}."
    advice = (
        "Questions are builtin:fairness, builtin:privacy, builtin:safety, builtin:lookalike, salad:fairness, "
        "salad:privacy, or a CSV, JSONL or Parquet file with the column question, and id and topic if you like."
    )


class TextError(SourceError):
    """Running text that cannot be read. Facts: spec, why."""

    sentence = "The text {spec} cannot be used: {why}."
    advice = "--text takes a .txt file, a table with the column text, or a data set of the Hub with that column."


class MissingColumns(SourceError):
    """A table without the columns. Facts: name, spec, missing, columns."""

    sentence = "The calibration set {name!r} ({spec}) has no column {missing} (it has: {columns})."
    advice = "Name the columns at the end of the source: #prompt=COLUMN,response=COLUMN."


class TooFewRows(SourceError):
    """Fewer rows than samples. Facts: name, spec, rows, samples."""

    sentence = "The calibration set {name!r} ({spec}) has {rows} rows, but {samples} examples are asked for."
    advice = "Lower --samples to at most {rows}, or give a larger source."


class BadRow(SourceError):
    """A row that gives no example. Facts: name, row, why."""

    sentence = "Row {row} of the calibration set {name!r} gives no example: {why}."
    advice = "Mend or remove the row."


class NoChatTemplate(SpinHubError):
    """A chat template is asked for and the tokenizer has none that works. Facts: why."""

    sentence = "The chat template cannot be used: {why}."
    advice = "Leave out --chat-template to use the raw prompts."
