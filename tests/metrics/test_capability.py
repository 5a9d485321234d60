"""Tasks of lm-eval from a local file, against lm-eval itself and against a model called by hand."""

import json

import models
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from spin_hub.core.selection import Selection
from spin_hub.errors import TasksUnusable
from spin_hub.metrics.base import nothing
from spin_hub.metrics.capability import Tasks, capability, open_tasks

pytestmark = pytest.mark.filterwarnings("ignore")
"""The harness's own libraries warn of each other."""

EDIT = Selection({"model.layers.1.mlp.down_proj.weight": np.arange(2048)})
DOCUMENTS = [
    {"question": f"{word} is number", "choices": [" one", " two", " three and more"], "answer": place % 3}
    for place, word in enumerate("abcdefghijkl")
]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
doc_to_choice: "{{{{choices}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    data = folder / "documents.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in DOCUMENTS))
    for name in ("spin_one", "spin_two", "spin_three"):
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data))
    (folder / "spin_broken.yaml").write_text(TASK.format(name="spin_broken", data=folder / "missing.jsonl"))
    (folder / "spin_both.yaml").write_text(
        "group: spin_both\ntask: [spin_two, spin_three]\naggregate_metric_list:\n  - metric: acc\n"
    )
    return folder


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(models.tiny_config()).eval()


def by_hand(model, document):
    """Whether the likeliest continuation is the right one."""
    tokenizer = models.byte_tokenizer()
    scores = []
    for choice in document["choices"]:
        prompt, whole = (tokenizer(text).input_ids for text in (document["question"], document["question"] + choice))
        with torch.no_grad():
            scored = model(torch.tensor([whole])).logits[0, :-1].log_softmax(-1)
        scores.append(float(sum(scored[t - 1, whole[t]] for t in range(len(prompt), len(whole)))))
    return max(range(3), key=scores.__getitem__) == document["answer"]


@pytest.mark.moderate
def test_the_figures_are_those_of_the_harness_and_of_a_model_called_by_hand(folder, model):
    import lm_eval
    from lm_eval.models.huggingface import HFLM

    from spin_hub.models.edit import switched

    tasks = Tasks(("spin_one", "spin_both"), folder)
    done = []
    found = capability(model, models.byte_tokenizer(), tasks, open_tasks(tasks), {"edited": EDIT}, done.append)
    assert done == [1, 1]
    one, both = found.metrics
    assert (one.axis, one.unit, one.better, both.axis) == ("spin_one", "acc", "higher", "spin_both")
    right = [by_hand(model, document) for document in DOCUMENTS]
    assert one.values["base"].value == pytest.approx(sum(right) / 12)
    with switched(model, EDIT):
        after = [by_hand(model, document) for document in DOCUMENTS]
        theirs = lm_eval.simple_evaluate(
            HFLM(pretrained=model, tokenizer=models.byte_tokenizer()),
            tasks=["spin_one"],
            task_manager=open_tasks(tasks),
        )
    edited = one.values["edited"]
    assert edited.value == pytest.approx(sum(after) / 12)
    assert edited.value == theirs["results"]["spin_one"]["acc,none"]
    assert edited.high - edited.value == pytest.approx(
        1.96 * theirs["results"]["spin_one"]["acc_stderr,none"], rel=1e-3
    )
    assert (edited.n, both.values["edited"].n) == (12, 24)
    pairs = list(zip(right, after, strict=True))
    change = found.about["paired"]["spin_one"]["edited"]
    assert (change["gained"], change["lost"]) == (pairs.count((False, True)), pairs.count((True, False)))
    assert (change["both"], change["neither"]) == (pairs.count((True, True)), pairs.count((False, False)))
    assert found.about["paired"]["spin_both"]["edited"]["gained"] == 2 * change["gained"]


@pytest.mark.moderate
def test_at_most_so_many_documents(folder, model, capfd):
    tasks = Tasks(("spin_one",), folder, limit=5)
    found = capability(model, models.byte_tokenizer(), tasks, open_tasks(tasks), {}, nothing)
    assert found.metrics[0].values["base"].n == found.about["tasks"]["spin_one"] == 5
    # The harness asks git, and this folder is no repository.
    assert "fatal" not in capfd.readouterr().err


@pytest.mark.moderate
def test_tasks_that_cannot_be_run_are_named(folder, model, tmp_path):
    with pytest.raises(TasksUnusable, match="no task 'spin_four'"):
        open_tasks(Tasks(("spin_one", "spin_four"), folder))
    with pytest.raises(TasksUnusable, match="nowhere is not a folder"):
        open_tasks(Tasks(("spin_one",), tmp_path / "nowhere"))
    tasks = Tasks(("spin_broken",), folder)
    with pytest.raises(TasksUnusable, match="missing"):
        capability(model, models.byte_tokenizer(), tasks, open_tasks(tasks), {}, nothing)
