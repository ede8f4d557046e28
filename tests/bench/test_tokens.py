"""The cost of padding."""

import pytest


def test_padding_is_measured_for_tasks_that_have_files(measure, rte):
    options = ["--data-root", rte(train=400, dev=40), "--model", "tiny-bert", "--tasks", "rte", "cola"]
    report, page = measure("tokens", *options)
    task = report["tasks"]["rte"]
    assert (task["split"], task["rows"], task["batch_size"]) == ("train", 400, 32)
    assert set(task["by_batch_size"]) >= {"8", "32", "80", "100"}
    assert 1 < task["grouped"] < 1.2 < task["random"] < task["longest"]
    assert task["longest"] == pytest.approx(320 / task["mean"], rel=1e-3)
    assert 1 < task["dev_sorted"] < task["dev_unsorted"] + 1e-9
    assert report["tasks"]["cola"] == {"missing": ["glue/CoLA/train.tsv", "glue/CoLA/dev.tsv"]}
    assert "Missing files: glue/CoLA/train.tsv, glue/CoLA/dev.tsv." in page


def test_the_dev_set_replaces_a_missing_training_file(measure, rte):
    report, page = measure("tokens", "--data-root", rte(dev=90), "--model", "tiny-bert", "--tasks", "rte")
    assert (report["tasks"]["rte"]["split"], report["tasks"]["rte"]["rows"]) == ("dev", 90)
    assert "| 90 (dev) |" in page
